//! Read-your-writes: how fresh an answer has to be, and how fresh it is.
//!
//! Invariant: `Sunday-Position` is exclusive, the number of events that the answer covers. An answer may cover more
//! than its header says (the model moved on while it was read), never less.

use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use eventstore::Position;
use http_kit::SUNDAY_POSITION;
use http_kit::problem::Problem;
use std::time::Duration;

/// What a request asks of its model's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// The checkpoint has to be at least here; 0 = as it is.
    pub(crate) min_position: Position,
    /// How long to wait for that.
    pub(crate) timeout: Duration,
}

/// Says in the response's head how many events it covers.
pub(crate) fn stamp(mut response: Response, position: Position) -> Response {
    response.headers_mut().insert(SUNDAY_POSITION, HeaderValue::from(position.get()));
    response
}

/// A problem, and the position that it rests on where it rests on one.
#[derive(Debug)]
pub(crate) struct Refusal {
    problem: Problem,
    position: Option<Position>,
}

impl Refusal {
    /// A problem with what was read at `position`.
    pub(crate) fn at(position: Position, problem: Problem) -> Self {
        Self { problem, position: Some(position) }
    }
}

impl From<Problem> for Refusal {
    /// A problem with the request itself: it would be one at any position.
    fn from(problem: Problem) -> Self {
        Self { problem, position: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let response = self.problem.into_response();
        match self.position {
            Some(position) => stamp(response, position),
            None => response,
        }
    }
}
