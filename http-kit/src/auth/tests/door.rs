//! The layer around a router: who comes through, and what the others are told.

use super::super::{Authentication, Authenticator, DevelopmentToken, Principal, Scope};
use super::issuer::{Pair, Server, claims, rules, with};
use crate::app::App;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn is(&self, status: u16, code: &str) {
        let body: Value = serde_json::from_str(&self.text).unwrap();
        assert_eq!((self.status.as_u16(), body["code"].as_str().unwrap()), (status, code), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
    }

    fn challenge(&self) -> &str {
        self.headers["www-authenticate"].to_str().unwrap()
    }
}

fn router(authentication: Authentication) -> Router {
    let routes = Router::new()
        .route("/who", get(async |who: Principal| who.subject().to_string()))
        .route("/header", get(async |headers: HeaderMap| headers.contains_key("authorization").to_string()))
        .route("/protocols", get(async |headers: HeaderMap| offered(&headers)))
        .route("/openapi.json", get(async || "{}"));
    App::new(authentication).frame(routes)
}

fn offered(headers: &HeaderMap) -> String {
    let offered = headers.get_all("sec-websocket-protocol").iter();
    offered.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join("|")
}

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

async fn with_issuer() -> (Router, Pair) {
    let pair = Pair::ed25519("k");
    let server = Server::start(&[&pair]).await;
    let authenticator = Authenticator::tokens(rules(server.jwks.clone())).await.unwrap();
    (router(Authentication::Required(authenticator)), pair)
}

#[tokio::test]
async fn only_what_is_on_the_list_is_open() {
    let (router, pair) = with_issuer().await;
    for path in super::super::OPEN {
        assert_eq!(ask(&router, path, &[]).await.status, 200, "{path}");
    }
    for path in ["/who", "/metrics", "/nowhere", "/", "//livez", "/livez/", "/LIVEZ", "/livez/../who"] {
        let refused = ask(&router, path, &[]).await;
        refused.is(401, "unauthenticated");
        assert_eq!(refused.challenge(), "Bearer realm=\"sunday\"", "{path}");
    }
    // What is open shows nobody's token to anybody.
    let bearer = format!("Bearer {}", pair.sign(&claims()));
    assert_eq!(ask(&router, "/header", &[("authorization", &bearer)]).await.text, "false");
    ask(&router, "/nowhere", &[("authorization", &bearer)]).await.is(404, "no_such_route");
}

#[tokio::test]
async fn the_header_stands_once_and_its_scheme_in_any_case() {
    let (router, pair) = with_issuer().await;
    let token = pair.sign(&claims());
    for header in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER   {token}"),
        format!("bEaReR {token} "),
    ] {
        let answer = ask(&router, "/who", &[("authorization", &header)]).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (200, "ann"), "{header}");
    }
    let bearer = format!("Bearer {token}");
    for headers in [
        vec![("authorization", &*bearer), ("authorization", &bearer)],
        vec![("authorization", "Bearer")],
        vec![("authorization", "Bearer  ")],
        vec![("authorization", "Bearer a b")],
        vec![("authorization", "Bearer {}")],
        vec![("authorization", "Bearer caf\u{e9}")],
        vec![("authorization", "Bearer ====")],
    ] {
        let refused = ask(&router, "/who", &headers).await;
        refused.is(401, "invalid_token");
        assert!(refused.challenge().contains("error=\"invalid_token\", error_description=\""), "{headers:?}");
    }
    // Another scheme is no token of ours; nor is one in the query.
    ask(&router, "/who", &[("authorization", "Basic YTpi")]).await.is(401, "unauthenticated");
    ask(&router, &format!("/who?access_token={token}"), &[]).await.is(401, "unauthenticated");
}

#[tokio::test]
async fn a_socket_may_carry_its_token_as_a_subprotocol() {
    const OFFERED: &str = "sec-websocket-protocol";
    let (router, pair) = with_issuer().await;
    let token = pair.sign(&claims());
    for (lines, left) in [
        (vec![format!("sunday.board.v1, bearer.{token}")], "sunday.board.v1"),
        (vec![format!("bearer.{token},sunday.board.v1 ,other")], "sunday.board.v1, other"),
        (vec!["sunday.board.v1".to_owned(), format!("bearer.{token}")], "sunday.board.v1"),
        (vec![format!("bearer.{token}")], ""),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| (OFFERED, line.as_str())).collect();
        assert_eq!(ask(&router, "/who", &headers).await.text, "ann", "{lines:?}");
        // Nothing behind the door sees it, as it sees no Authorization.
        assert_eq!(ask(&router, "/protocols", &headers).await.text, left);
    }
    for offered in ["bearer.", "bearer.a b", &format!("bearer.{token}, bearer.{token}"), "bearer.nonsense"] {
        ask(&router, "/who", &[(OFFERED, offered)]).await.is(401, "invalid_token");
    }
    ask(&router, "/who", &[(OFFERED, "sunday.board.v1")]).await.is(401, "unauthenticated");
    // The header decides, where there is one.
    let headers = [("authorization", "Bearer x"), (OFFERED, &*format!("bearer.{token}"))];
    ask(&router, "/who", &headers).await.is(401, "invalid_token");
}

#[tokio::test]
async fn a_refusal_repeats_nothing_of_the_token() {
    let (router, pair) = with_issuer().await;
    let token = pair.sign(&with("iss", json!("https://evil.example")));
    let refused = ask(&router, "/who", &[("authorization", &format!("Bearer {token}"))]).await;
    refused.is(401, "invalid_token");
    assert_eq!(
        refused.challenge(),
        "Bearer realm=\"sunday\", error=\"invalid_token\", error_description=\"it is from another issuer\""
    );
    assert!(!refused.text.contains("evil") && !refused.text.contains(&token[..20]));
}

#[tokio::test]
async fn figures_need_their_scope() {
    let (router, pair) = with_issuer().await;
    let bearer = format!("Bearer {}", pair.sign(&claims()));
    let refused = ask(&router, "/metrics", &[("authorization", &bearer)]).await;
    refused.is(403, "insufficient_scope");
    assert_eq!(
        refused.challenge(),
        "Bearer realm=\"sunday\", error=\"insufficient_scope\", scope=\"metrics:read\""
    );
    assert!(refused.text.contains("\"scope\":\"metrics:read\""));
    let bearer = format!("Bearer {}", pair.sign(&with("scope", json!(Scope::Metrics.name()))));
    let figures = ask(&router, "/metrics", &[("authorization", &bearer)]).await;
    assert_eq!(figures.status, 200);
    for line in ["sunday_auth_keys 1", "sunday_auth_verified_total 2", "sunday_auth_cached_tokens 2"] {
        assert!(figures.text.lines().any(|written| written == line), "{line} in {}", figures.text);
    }
}

#[tokio::test]
async fn behind_an_issuer_a_proxy_may_have_a_name_of_its_own() {
    let (router, pair) = with_issuer().await;
    let bearer = format!("Bearer {}", pair.sign(&claims()));
    let headers =
        [("authorization", &*bearer), ("host", "sunday.example"), ("origin", "https://app.example")];
    assert_eq!(ask(&router, "/who", &headers).await.status, 200);
    ask(&router, "/who", &headers[1..]).await.is(401, "unauthenticated");
}

#[tokio::test]
async fn the_development_token_is_the_only_one_and_stays_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let token = DevelopmentToken::keep(dir.path()).unwrap();
    let bearer = format!("Bearer {}", token.text());
    let router = router(Authentication::Required(Authenticator::development(token)));
    assert_eq!(ask(&router, "/who", &[("authorization", &bearer)]).await.text, "local");
    ask(&router, "/who", &[]).await.is(401, "unauthenticated");
    for other in
        ["Bearer sunday_dev_", &bearer[..bearer.len() - 1], &format!("{bearer}A"), &bearer.to_uppercase()]
    {
        ask(&router, "/who", &[("authorization", other)]).await.is(401, "invalid_token");
    }
    let jwt = format!("Bearer {}", Pair::ed25519("k").sign(&claims()));
    ask(&router, "/who", &[("authorization", &jwt)]).await.is(401, "invalid_token");
    assert_eq!(ask(&router, "/metrics", &[]).await.status, 200);
    for foreign in
        [("host", "evil.example"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]
    {
        ask(&router, "/who", &[("authorization", &bearer), foreign]).await.is(403, "foreign_origin");
    }
}

#[tokio::test]
async fn without_tokens_everybody_on_this_machine_is_local() {
    let router = router(Authentication::SameMachineOnly);
    assert_eq!(ask(&router, "/who", &[]).await.text, "local");
    ask(&router, "/who", &[("host", "evil.example")]).await.is(403, "foreign_origin");
    // Outside the frame there is nobody: closed.
    let bare = Router::new().route("/who", get(async |who: Principal| who.subject().to_string()));
    ask(&bare, "/who", &[]).await.is(500, "internal");
}
