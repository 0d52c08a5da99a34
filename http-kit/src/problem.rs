//! An error as the client sees it: RFC 9457 `application/problem+json` with a stable code.
//!
//! Invariant: `code` is a contract and never changes its meaning; `detail` is for people and may change.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, ready to be sent.
///
/// On the wire: `{"type": "urn:sunday:problem:<code>", "title", "status", "code", "detail", …extensions}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    extensions: Map<String, Value>,
    retry_after_s: Option<u32>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem with its stable code and a sentence for people.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            status,
            code: code.into(),
            detail: detail.into(),
            extensions: Map::new(),
            retry_after_s: None,
            headers: HeaderMap::new(),
        }))
    }

    /// Adds a member that machines can read, such as `currentVersion`.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.extensions.insert(member.to_owned(), value.into());
        self
    }

    /// Asks the client to wait this many seconds (header `Retry-After`).
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Adds a header that belongs to the answer, such as `WWW-Authenticate`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The sentence for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// A further member, if it is there.
    #[must_use]
    pub fn extension(&self, member: &str) -> Option<&Value> {
        self.0.extensions.get(member)
    }

    /// 400 `invalid_body`, naming the field.
    #[must_use]
    pub fn invalid_body(field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", detail).with("field", field)
    }

    /// 400 `invalid_parameter`, naming the parameter of the path or the query.
    #[must_use]
    pub fn invalid_parameter(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail).with("field", name)
    }

    /// 400 `invalid_header`, naming the header.
    #[must_use]
    pub fn invalid_header(name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_header", detail).with("field", name)
    }

    /// 404 `not_found` for something that is not there.
    #[must_use]
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 413 `body_too_large`, with the limit in bytes.
    #[must_use]
    pub fn body_too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the body is longer than this resource takes",
        )
    }

    /// 415 `unsupported_media_type`.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be sent with content-type: application/json",
        )
    }

    /// 500 `internal`: a fault of ours. The cause belongs in the log, not in the answer.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; it has been logged",
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.code, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = &self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("urn:sunday:problem:{}", inner.code))?;
        map.serialize_entry("title", inner.status.canonical_reason().unwrap_or("Problem"))?;
        map.serialize_entry("status", &inner.status.as_u16())?;
        map.serialize_entry("code", &inner.code)?;
        map.serialize_entry("detail", &inner.detail)?;
        for (member, value) in &inner.extensions {
            map.serialize_entry(member, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings and plain values always have a JSON form; the fallback keeps this total.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.0.status, body).into_response();
        let headers = response.headers_mut();
        headers.extend(self.0.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_on_the_top_level() {
        let problem =
            Problem::new(StatusCode::CONFLICT, "version_conflict", "it moved on").with("currentVersion", 7);
        let json: Value = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:sunday:problem:version_conflict", "title": "Conflict", "status": 409,
                "code": "version_conflict", "detail": "it moved on", "currentVersion": 7,
            })
        );
        let response = problem.retry_after(3).into_response();
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
        assert_eq!(response.headers()["retry-after"], "3");
    }
}
