//! What an append answers.
//!
//! Invariant: an answer is built from the commit alone, so a repeated append gets the first one again.

use super::Appended;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_kit::SUNDAY_POSITION;
use http_kit::json::Json;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What was recorded.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AppendedEvents")]
pub(crate) struct AppendAnswer<'a> {
    /// The stream.
    stream_id: &'a str,
    /// The version of the last event.
    version: u64,
    /// The version of the first event.
    first_version: u64,
    /// The position after the last event; wait for it at the query API to read one's own writes.
    position: u64,
    /// The ids of the events, in order.
    event_ids: &'a [Uuid],
}

pub(super) fn recorded(appended: &Appended) -> Response {
    let answer = AppendAnswer {
        stream_id: appended.stream.as_str(),
        version: appended.last.get(),
        first_version: appended.first.get(),
        position: appended.position.get(),
        event_ids: &appended.ids,
    };
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(SUNDAY_POSITION, HeaderValue::from(appended.position.get()));
    // A number in quotes is always a header's value.
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", appended.last)) {
        headers.insert(header::ETAG, tag);
    }
    (StatusCode::CREATED, headers, Json(answer)).into_response()
}
