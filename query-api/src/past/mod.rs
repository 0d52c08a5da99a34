//! What was: `asOf` and the differences between two moments.
//!
//! ```text
//! as_of (a position or a time) ─▶ recall (how far the log and the models are; whose it is) ─▶ fold (events ─▶ models)
//!                                                              differences (member by member) ◀─ answers, twice ◀┘
//! ```
//!
//! Invariant: an answer about the past is made by the code that answers about today. What cannot change any more is not held
//! against `minPosition`: `Sunday-Position` of such an answer is the moment that was asked for.

mod as_of;
pub(crate) mod differences;
mod fold;

pub(crate) use as_of::{AsOf, PATTERN};
pub(crate) use fold::{Past, Source};

use crate::freshness::{Freshness, Refusal, stamp};
use crate::problems::{bad_parameter, too_much_history, unreadable};
use crate::service::QueryService;
use crate::service::reading::Work;
use axum::response::{IntoResponse, Response};
use eventstore::{Log, Position};
use fold::Failure;
use http_kit::problem::Problem;
use projector::models::Models;
use std::sync::Arc;
use tokio::time::Instant;

/// Events that are read for one answer at most.
const EVENTS_MAX: usize = 200_000;
/// Answers about the past that are made at one time; the next ones wait. The others' reads keep their places.
pub(crate) const RECALLS_MAX: usize = 8;

/// A moment, and the parameter that names it; without one it is now.
pub(crate) type Moment = (&'static str, Option<AsOf>);

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TooMuch => too_much_history(EVENTS_MAX),
            Failure::Read(error) => unreadable(&error),
        }
    }
}

impl QueryService {
    /// Answers like [`QueryService::read_one`], about another moment than now where one is given. `sources` says where the events
    /// of the thing are, or that there is no such thing, by the models of today.
    pub(crate) async fn read_as_of<T: Send + 'static>(
        &self,
        as_of: Option<AsOf>,
        freshness: Freshness,
        sources: impl FnOnce(&Models) -> Result<Vec<Source>, Problem> + Send + 'static,
        copy: impl FnOnce(&Models) -> Result<T, Problem> + Send + 'static,
        work: impl FnOnce(&T) -> Work,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let Some(as_of) = as_of else { return self.read_one(freshness, copy, work, finish).await };
        let tell = |past: &mut Past<'_>, [position]: [Position; 1], log: &Log| {
            finish(copy(past.at(position)?)?, log)
        };
        self.recall([("asOf", Some(as_of))], freshness, sources, tell).await
    }

    /// Answers about some moments; the answer tells the latest of them.
    pub(crate) async fn recall<const N: usize>(
        &self,
        moments: [Moment; N],
        freshness: Freshness,
        sources: impl FnOnce(&Models) -> Result<Vec<Source>, Problem> + Send + 'static,
        tell: impl FnOnce(&mut Past<'_>, [Position; N], &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let deadline = Instant::now() + freshness.timeout;
        self.models_reach(&freshness).await?;
        let (log, now) = (self.log().clone(), self.models().checkpoint());
        let positions = self.blocking(move || positions(&log, now, moments)).await??;
        let latest = positions.iter().copied().max().unwrap_or_default();
        // What was made before then is known to the models of today.
        let min_position = freshness.min_position.max(latest);
        let timeout = deadline.saturating_duration_since(Instant::now());
        self.models_reach(&Freshness { min_position, timeout }).await?;
        // It fails only when the semaphore is closed, which nobody does.
        let place = Arc::clone(self.recalls()).acquire_owned().await;
        let service = self.clone();
        let answer = self.blocking(move || {
            let _place = place;
            let found = sources(&service.models().read());
            let log = service.log();
            let answer = found.and_then(|sources| {
                let mut past = Past::of(log, service.models(), sources, EVENTS_MAX)?;
                tell(&mut past, positions, log)
            });
            stamp(answer.unwrap_or_else(IntoResponse::into_response), latest)
        });
        Ok(answer.await?)
    }
}

/// How many events the log held at each moment.
fn positions<const N: usize>(
    log: &Log,
    now: Position,
    moments: [Moment; N],
) -> Result<[Position; N], Refusal> {
    let mut positions = [now; N];
    for (position, (name, as_of)) in positions.iter_mut().zip(moments) {
        let Some(as_of) = as_of else { continue };
        *position = as_of.position(log).map_err(|error| Refusal::at(now, unreadable(&error)))?;
        let end = log.watermark();
        if *position > end {
            let reason = format_args!("the log ends at position {end}; minPosition waits for more");
            return Err(Refusal::at(now, bad_parameter(name, reason)));
        }
    }
    Ok(positions)
}
