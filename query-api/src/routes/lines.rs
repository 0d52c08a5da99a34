//! Lists as lines: `Accept: application/x-ndjson` gives the entries of a part of a list, one a line.
//!
//! Invariant: what such an answer holds is what the JSON would; where it ends is told by its length, which is known before it
//! begins, and what is left by `Sunday-Next`, the offset to go on from. So a part never looks like the whole.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_kit::entity_tags;
use http_kit::problem::Problem;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What lines are called.
pub(crate) const NDJSON: &str = "application/x-ndjson";

const SUNDAY_NEXT: HeaderName = HeaderName::from_static("sunday-next");
const SUNDAY_TOTAL: HeaderName = HeaderName::from_static("sunday-total");

/// Makes lines of a list for whoever asks for them.
pub(super) async fn as_lines(request: Request, next: Next) -> Response {
    let wants_lines = accepts_lines(request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    if !wants_lines || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Its length is bounded by what a list may hold.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return Problem::internal().into_response() };
    let Some(lines) = lines(&body, &mut parts.headers) else { return Problem::internal().into_response() };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    parts.headers.insert(header::ETAG, entity_tags::weak(&lines));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(lines))
}

fn accepts_lines(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|range| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(NDJSON)
    })
}

/// The entries, one a line; what else the part says goes into the head. Nothing where it is no part of a list.
fn lines(body: &[u8], headers: &mut HeaderMap) -> Option<Vec<u8>> {
    let members: BTreeMap<&str, &RawValue> = serde_json::from_slice(body).ok()?;
    let number = |name: &str| -> Option<Option<u64>> { serde_json::from_str(members.get(name)?.get()).ok() };
    if let Some(total) = number("total")? {
        headers.insert(SUNDAY_TOTAL, HeaderValue::from(total));
    }
    if let Some(next) = number("next")? {
        headers.insert(SUNDAY_NEXT, HeaderValue::from(next));
    }
    let (_, entries) = members.into_iter().find(|(name, _)| !matches!(*name, "total" | "next"))?;
    let entries: Vec<&RawValue> = serde_json::from_str(entries.get()).ok()?;
    let mut lines = Vec::with_capacity(body.len());
    for entry in entries {
        // Answers are written without line ends.
        lines.extend_from_slice(entry.get().as_bytes());
        lines.push(b'\n');
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_list_becomes_lines_and_says_what_is_left() {
        let mut headers = HeaderMap::new();
        let body = br#"{"total":7,"items":[{"a":"x\ny"},{"a":[1,{"b":null}]}],"next":2}"#;
        let made = lines(body, &mut headers).unwrap();
        assert_eq!(made, b"{\"a\":\"x\\ny\"}\n{\"a\":[1,{\"b\":null}]}\n");
        assert_eq!(
            (&headers["sunday-total"], &headers["sunday-next"]),
            (&"7".parse().unwrap(), &"2".parse().unwrap())
        );
        let mut headers = HeaderMap::new();
        assert_eq!(lines(br#"{"total":0,"items":[],"next":null}"#, &mut headers).unwrap(), b"");
        assert!(!headers.contains_key("sunday-next"), "nothing is left");
        assert!(lines(b"[1]", &mut headers).is_none());
    }
}
