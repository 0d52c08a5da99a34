//! A document's bytes, made once, and the route that serves them.

use crate::json::APPLICATION_JSON;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::Value;
use std::sync::LazyLock;
use uuid::Uuid;

/// A document as it is served.
#[derive(Debug)]
pub struct Served {
    bytes: Bytes,
    tag: String,
}

impl Served {
    /// Writes a document.
    #[must_use]
    pub fn new(document: &Value) -> Self {
        // Strings, numbers and maps always have a JSON form.
        let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
        bytes.push(b'\n');
        // A name-based UUID is the hash that is at hand.
        let tag = format!("\"{}\"", Uuid::new_v5(&Uuid::NAMESPACE_URL, &bytes).simple());
        Self { bytes: bytes.into(), tag }
    }
}

/// The route, outside the versioned part. Clients keep the document, and ask for it again by its tag: the frame answers
/// that.
pub fn route(served: &'static LazyLock<Served>) -> Router {
    let serve = async move || {
        let headers = [
            (header::ETAG, HeaderValue::from_static(&served.tag)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON)),
        ];
        (headers, served.bytes.clone()).into_response()
    };
    Router::new().route("/openapi.json", get(serve))
}
