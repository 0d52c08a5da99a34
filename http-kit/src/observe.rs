//! Around every request: its id, its time limit, its panic, its line in the access log, its span and its figures.
//!
//! Invariant: a panic in a handler ends that request with a 500 and nothing else.

use crate::REQUEST_ID;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::telemetry::ServerSpan;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;
use uuid::Uuid;

/// Longest request id that is taken over from a client, bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Has `answer` answer a request, and looks on.
pub(crate) async fn observe(
    metrics: &Metrics,
    limits: &Limits,
    mut request: Request,
    answer: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    let uri = request.uri().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = ServerSpan::begin(&mut request, route.as_ref().map_or("unmatched", MatchedPath::as_str));

    let mut response = match limits.admit(&request) {
        Err(refused) => refused,
        Ok(shown) => {
            let time = limits.settings().request_seconds.get();
            let response = match tokio::time::timeout(time, catch(answer(request))).await {
                Ok(Ok(response)) => response,
                Ok(Err(panic)) => {
                    tracing::error!(%method, path = uri.path(), id = ?id, panic = message(&*panic), "a handler panicked");
                    Problem::internal().into_response()
                }
                Err(_) => took_too_long(&method).into_response(),
            };
            limits.judged(shown, response.status());
            response
        }
    };
    response.headers_mut().insert(REQUEST_ID, id.clone());

    let took = started.elapsed();
    let status = response.status().as_u16();
    if let Some(span) = span {
        span.end(status);
    }
    metrics.request(&method, route.as_ref().map_or("unmatched", MatchedPath::as_str), status, took);
    tracing::debug!(%method, path = uri.path(), status, took_us = took.as_micros(), id = ?id, "answered");
    response
}

/// What was handed over goes on without this request, so nothing is said about a change but that it may have happened.
fn took_too_long(method: &Method) -> Problem {
    let (code, detail) = if method.is_safe() {
        ("request_timeout", "the request took too long")
    } else {
        (
            "outcome_unknown",
            "the request took too long, and whether it is carried out is not known: send it again with the same \
             Idempotency-Key to learn what became of it",
        )
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(1)
}

fn request_id(request: &Request) -> HeaderValue {
    let sound = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    if let Some(value) = request.headers().get(&REQUEST_ID).filter(sound) {
        return value.clone();
    }
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unnamed"))
}

/// Runs a future; a panic in it is a value. The future is not polled again after one, so that nothing can
/// see what it left half done.
async fn catch<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
