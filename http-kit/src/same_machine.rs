//! Refuses requests that a foreign web page makes a browser send to this machine.
//!
//! Invariant: without an issuer's tokens, nobody but programs of this machine is answered. A
//! loopback address keeps other machines out but not the pages in this machine's browsers: they can send
//! "simple" requests anywhere (`Origin`, `Sec-Fetch-Site`), and reach this port under a name of theirs that
//! they let point to 127.0.0.1 (`Host`).

use crate::problem::Problem;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use std::net::IpAddr;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// That a request comes from a program of this machine.
///
/// # Errors
/// 403 `foreign_origin`.
pub(crate) fn of_this_machine(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let is_ours = request.uri().authority().is_none_or(|authority| is_local(authority.as_str()))
        && all(headers, &header::HOST, is_local)
        && all(headers, &header::ORIGIN, is_local_origin)
        && all(headers, &SEC_FETCH_SITE, |site| site != "cross-site");
    if is_ours {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        "only requests of programs on this machine are taken, under the name localhost or a loopback address",
    ))
}

/// Whether every value of a header passes; one that is absent does, one that is no text does not.
fn all(headers: &HeaderMap, name: &HeaderName, passes: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(&passes))
}

/// `host` or `host:port`.
fn is_local(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An origin is `scheme://host:port`, or `null` for a page without one, which is foreign.
fn is_local_origin(origin: &str) -> bool {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(is_local)
}

#[cfg(test)]
mod tests {
    use crate::app::App;
    use crate::auth::Authentication;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::post;
    use tower::ServiceExt;

    async fn status(uri: &str, headers: &[(&str, &str)]) -> u16 {
        let routes = Router::new().route("/write", post(async || "written"));
        let app = App::new(Authentication::SameMachineOnly).frame(routes);
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_web_page_cannot_write_by_a_simple_request() {
        for header in [
            ("origin", "https://evil.example"),
            ("origin", "http://localhost.evil.example:7400"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert_eq!(status("/write", &[("host", "127.0.0.1:7400"), header]).await, 403, "{header:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_was_rebound_to_this_machine_is_refused() {
        for host in
            ["evil.example", "evil.example:7400", "127.0.0.1.evil.example", "10.0.0.1:7400", "caf\u{e9}"]
        {
            assert_eq!(status("/write", &[("host", host)]).await, 403, "{host}");
        }
        assert_eq!(status("http://evil.example/write", &[("host", "localhost")]).await, 403);
        assert_eq!(status("/write", &[("host", "localhost"), ("host", "evil.example")]).await, 403);
        assert_eq!(status("/nowhere", &[("host", "evil.example")]).await, 403, "no route escapes");
    }

    #[tokio::test]
    async fn programs_and_pages_of_this_machine_are_answered() {
        assert_eq!(status("/write", &[]).await, 200);
        for host in ["127.0.0.1:7400", "localhost:7400", "LOCALHOST", "[::1]:7400", "[::1]", "127.9.9.9"] {
            assert_eq!(status("/write", &[("host", host)]).await, 200, "{host}");
        }
        let page = [("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")];
        assert_eq!(status("/write", &page).await, 200);
    }
}
