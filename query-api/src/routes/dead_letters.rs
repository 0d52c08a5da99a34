//! `/projections/{name}/dead-letters`: the events that a projection passes over, and why.

use super::{LISTED_MAX, json};
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::{not_found, unreadable};
use crate::service::QueryService;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::system::projections::DeadLetter;
use eventstore::{Log, ReadError, StreamId};
use http_kit::params::Path;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// Dead letters of a page unless the request says otherwise.
pub(super) const LIMIT_DEFAULT: usize = 100;

/// `{"total", "deadLetters": [{"position", "streamId", "reason", …}], "next"}`, in the order of positions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetters {
    /// How many there are.
    total: usize,
    dead_letters: Vec<Letter>,
    /// What to ask for as `from` to get the next page, if there is one.
    next: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DeadLetter")]
struct Letter {
    /// Where the event is.
    position: u64,
    event_id: Uuid,
    stream_id: String,
    version: u64,
    /// Why it cannot be taken in.
    reason: String,
    /// How many times that was found.
    attempts: u32,
    /// Where the log has the newest decision.
    decided_at: u64,
    /// Later events of the same stream, which are passed over until this one is taken in.
    held_back: u64,
}

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    Path(name): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    audience.reads_the_log()?;
    let from = parameters.number("from", 0..=u64::MAX)?.unwrap_or(0);
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let freshness = parameters.finish()?;
    service.log_reaches(&freshness).await?;
    let reading = service.clone();
    let answer = service.blocking(move || page(&reading, &name, from, limit)).await?;
    answer.map_err(|error| unreadable(&error).into())
}

fn page(service: &QueryService, name: &str, from: u64, limit: usize) -> Result<Response, ReadError> {
    let log = service.log();
    // Read first: what is decided meanwhile may be told, too.
    let covered = log.watermark();
    let Some(state) = service.controls().state(name)? else {
        return Ok(stamp(not_found("projection").into_response(), covered));
    };
    let mut wanted = state.dead_letters.range(from..);
    let dead_letters = wanted.by_ref().take(limit).map(|(_, letter)| told(letter, log));
    let dead_letters = dead_letters.collect::<Result<_, _>>()?;
    let next = wanted.next().map(|(position, _)| *position);
    Ok(stamp(json(&DeadLetters { total: state.dead_letters.len(), dead_letters, next }), covered))
}

fn told(letter: &DeadLetter, log: &Log) -> Result<Letter, ReadError> {
    let event = &letter.event;
    let newest = match StreamId::new(&event.stream_id) {
        Ok(stream) => log.stream_version(&stream)?,
        Err(_) => None,
    };
    Ok(Letter {
        position: event.position,
        event_id: event.event_id,
        stream_id: event.stream_id.clone(),
        version: event.version,
        reason: event.reason.clone(),
        attempts: letter.attempts,
        decided_at: letter.decided_at,
        held_back: newest.map_or(0, |newest| newest.get().saturating_sub(event.version)),
    })
}
