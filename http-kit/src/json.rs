//! JSON bodies in and out, with refusals that name the field.
//!
//! Invariant: a body is read once, fast; only one that is refused is read again, slowly, to say where it
//! is wrong. The limit of a body's length is axum's `DefaultBodyLimit`, which `app` and routes set.

mod depth;

pub use depth::DEPTH_MAX;

use crate::problem::Problem;
use crate::server::{TooMuch, TooSlow};
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::{Deserialize, DeserializeOwned};
use serde::ser::Serialize;
use std::error::Error;

/// The media type of JSON.
pub const APPLICATION_JSON: &str = "application/json";

/// Longest body that is taken unless a route says otherwise, bytes.
pub const BODY_BYTES_MAX: usize = 16 << 20;

/// A JSON body: as an extractor it is read into `T`, as an answer `T` is written as 200.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        let JsonBytes(body) = JsonBytes::from_request(request, state).await?;
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                ([(header::CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON))], body).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "an answer has no JSON form");
                Problem::internal().into_response()
            }
        }
    }
}

/// The bytes of a JSON body, for those who borrow from it: media type and length are checked, the content is not.
/// A request without a body and without a media type gives no bytes.
#[derive(Debug, Clone, Default)]
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        let media_type = MediaType::of(request.headers());
        if media_type == MediaType::Other {
            return Err(Problem::unsupported_media_type());
        }
        let body = read(request, state).await?;
        if media_type == MediaType::Absent && !body.is_empty() {
            return Err(Problem::unsupported_media_type());
        }
        Ok(Self(body))
    }
}

/// Reads JSON that may borrow from the bytes.
///
/// # Errors
/// 400 `invalid_body`, whose `field` is the path to what is wrong (`.` for the body itself). Of a member that stands
/// twice serde's word holds: a typed one is refused, of an untyped one the last counts.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    check_depth(".", body)?;
    parse_outer(body)
}

/// The same for a body whose open parts are raw, and therefore skipped without being followed: how deep those are is
/// left to whoever reads them, by [`parse`] or [`check_depth`]. Counting them one by one costs much less than
/// following a long list of them.
///
/// # Errors
/// As [`parse`], save for the depth.
pub fn parse_outer<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    if body.is_empty() {
        return Err(Problem::invalid_body(".", "a JSON body is required"));
    }
    let mut source = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut source) {
        // What is no JSON has no members that could be named.
        Err(error) if !error.inner().is_data() => {
            Err(Problem::invalid_body(".", format!("this is not JSON: {}", error.inner())))
        }
        Err(error) => {
            let field = error.path().to_string();
            let name = if field == "." { "the body" } else { field.as_str() };
            Err(Problem::invalid_body(&field, format!("{name}: {}", error.inner())))
        }
        Ok(_) => {
            let reason = source.end().err().map_or_else(String::new, |error| error.to_string());
            Err(Problem::invalid_body(".", format!("there is something after the JSON value: {reason}")))
        }
    }
}

/// That a part of a body is nested no deeper than [`DEPTH_MAX`].
///
/// # Errors
/// 400 `invalid_body`, naming the field.
pub fn check_depth(field: &str, json: &[u8]) -> Result<(), Problem> {
    match depth::too_deep(json) {
        None => Ok(()),
        Some(at) => {
            let detail = format!("{field}: nested deeper than {DEPTH_MAX} levels, at byte {at} of it");
            Err(Problem::invalid_body(field, detail))
        }
    }
}

async fn read<S: Send + Sync>(request: Request<Body>, state: &S) -> Result<Bytes, Problem> {
    // How long it may take is the connection's to say: see `server`.
    match Bytes::from_request(request, state).await {
        Ok(body) => Ok(body),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::body_too_large())
        }
        Err(rejection) if is_about::<TooMuch>(&rejection) => {
            let detail =
                "too much is being received already; nothing was done, so it can be sent again later";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1))
        }
        Err(rejection) if is_about::<TooSlow>(&rejection) => {
            let detail = "the body came too slowly; nothing was done";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
        }
        Err(rejection) => Err(Problem::invalid_body(".", rejection.body_text())),
    }
}

fn is_about<E: Error + 'static>(rejection: &BytesRejection) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(rejection);
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Json,
    Other,
    Absent,
}

impl MediaType {
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Self::Absent };
        let Ok(value) = value.to_str() else { return Self::Other };
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(APPLICATION_JSON) { Self::Json } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        count: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer<'a> {
        name: &'a str,
        list: Vec<Inner>,
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let good = parse::<Outer<'_>>(br#"{"name":"a","list":[{"count":1}]}"#).unwrap();
        assert_eq!(good, Outer { name: "a", list: vec![Inner { count: 1 }] });
        for (body, field) in [
            (&br#"{"name":"a","list":[{"count":1},{"count":"x"}]}"#[..], "list[1].count"),
            (br#"{"name":"a","list":[{"count":300}]}"#, "list[0].count"),
            (br#"{"name":7,"list":[]}"#, "name"),
            (b"[]", "."),
            (b"", "."),
            (br#"{"name":"a","list":[]} x"#, "."),
        ] {
            let problem = parse::<Outer<'_>>(body).unwrap_err();
            assert_eq!(problem.extension("field").unwrap(), field, "{}", String::from_utf8_lossy(body));
            assert_eq!((problem.status().as_u16(), problem.code()), (400, "invalid_body"));
        }
    }

    async fn status(media_type: Option<&str>, body: &'static str) -> Result<Bytes, u16> {
        let mut request = Request::post("/");
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        let request = request.body(Body::from(body)).unwrap();
        JsonBytes::from_request(request, &())
            .await
            .map(|body| body.0)
            .map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn only_json_is_taken() {
        assert_eq!(status(Some("application/json; charset=utf-8"), "{}").await, Ok(Bytes::from("{}")));
        assert_eq!(status(Some("Application/JSON"), "{}").await, Ok(Bytes::from("{}")));
        assert_eq!(status(Some("text/plain"), "{}").await, Err(415));
        assert_eq!(status(None, "{}").await, Err(415));
        assert_eq!(status(None, "").await, Ok(Bytes::new()));
    }
}
