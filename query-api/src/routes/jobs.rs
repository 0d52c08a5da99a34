//! What is told of jobs of every kind, and the answer to whoever asks for one.

use super::written;
use crate::freshness::{Refusal, stamp};
use crate::jobs::Job;
use crate::rfc3339::Rfc3339;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use eventstore::Position;
use http_kit::json::APPLICATION_JSON;
use http_kit::problem::Problem;
use schemars::JsonSchema;
use serde::Serialize;
use std::io;

// Where a job stands. Documentation of it would be repeated in the API's document wherever a job is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum JobState {
    Idle,
    Running,
    Done,
    Failed,
}

/// How a job is.
#[derive(Debug)]
pub(super) struct Told<'a, F> {
    pub(super) state: JobState,
    pub(super) started_at: Option<Rfc3339>,
    /// How long it took.
    pub(super) seconds: Option<f64>,
    /// Why it did not come to its end.
    pub(super) failure: Option<String>,
    pub(super) found: Option<&'a F>,
}

impl<'a, F> Told<'a, F> {
    pub(super) fn of<A>(job: Option<&'a Job<A, F>>) -> Self {
        let started_at = job.map(|job| Rfc3339(job.began));
        let idle = Self { state: JobState::Idle, started_at, seconds: None, failure: None, found: None };
        let Some(job) = job else { return idle };
        let Some(end) = job.end() else { return Self { state: JobState::Running, ..idle } };
        let ended = Self { seconds: Some(end.took.as_secs_f64()), ..idle };
        match &end.outcome {
            Ok(found) => Self { state: JobState::Done, found: Some(found), ..ended },
            Err(failure) => Self { state: JobState::Failed, failure: Some(failure.clone()), ..ended },
        }
    }
}

/// Answers that a job has begun, and how it is; or that one is `running` already.
pub(super) fn accepted<T: Serialize>(
    has_begun: io::Result<bool>,
    running: fn() -> Problem,
    how: impl FnOnce() -> T,
    position: Position,
) -> Result<Response, Refusal> {
    match has_begun {
        Ok(true) => {}
        Ok(false) => return Err(running().into()),
        Err(error) => {
            tracing::error!(%error, "no thread for a job");
            return Err(Problem::internal().into());
        }
    }
    let mut response = Response::new(Body::from(written(&how())?));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON));
    Ok(stamp(response, position))
}
