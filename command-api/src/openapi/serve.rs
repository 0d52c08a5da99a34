//! The document's bytes, made once, and the route that serves them.

use super::document;
use crate::routes::table::OPERATIONS;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_kit::json::APPLICATION_JSON;
use std::sync::LazyLock;
use uuid::Uuid;

struct Served {
    bytes: Bytes,
    tag: String,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    // Strings, numbers and maps always have a JSON form.
    let mut bytes = serde_json::to_vec_pretty(&document(&OPERATIONS)).unwrap_or_default();
    bytes.push(b'\n');
    // A name-based UUID is the hash that is at hand.
    let tag = format!("\"{}\"", Uuid::new_v5(&Uuid::NAMESPACE_URL, &bytes).simple());
    Served { bytes: bytes.into(), tag }
});

/// The route, outside the versioned part.
pub(crate) fn route() -> Router {
    Router::new().route("/openapi.json", get(serve))
}

async fn serve(headers: HeaderMap) -> Response {
    let served = &*SERVED;
    let tag = HeaderValue::from_static(&served.tag);
    // Kept by clients, and asked for again by its tag.
    let caching = [(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if is_known(&headers, &served.tag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let media_type = [(header::CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON))];
    (caching, media_type, served.bytes.clone()).into_response()
}

/// Whether the client has these bytes: `If-None-Match`, compared weakly (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_served_with_a_tag_and_not_twice() {
        let first = serve(HeaderMap::new()).await;
        assert_eq!(
            (first.status().as_u16(), &first.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        let tag = first.headers()["etag"].clone();
        for (known, status) in [
            (tag.to_str().unwrap().to_owned(), 304),
            (format!("\"other\", W/{}", tag.to_str().unwrap()), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
            ("nonsense".to_owned(), 200),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("if-none-match", known.parse().unwrap());
            let answer = serve(headers).await;
            assert_eq!(answer.status().as_u16(), status, "{known}");
            assert_eq!(answer.headers()["etag"], tag);
        }
    }
}
