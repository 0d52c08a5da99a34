//! What the query side answers when it has no answer: one place for every status and code it uses.
//!
//! Invariant: nothing that a client can send leads to a 5xx; those are for a log that cannot be read (500), a model
//! that did not catch up in time (504), an index that is not there yet, live streams and exports that are too many (503).

use axum::http::StatusCode;
use domain::system::consumers::ConsumerName;
use eventstore::{Position, ReadError};
use http_kit::problem::Problem;
use projector::search::SearchError;
use std::fmt::Display;

/// 400: a parameter is not what the endpoint takes.
pub(crate) fn bad_parameter(name: &str, reason: impl Display) -> Problem {
    Problem::invalid_parameter(name, format!("parameter {name}: {reason}"))
}

/// 400: the endpoint has no such parameter.
pub(crate) fn unknown_parameter(name: &str, known: &[&str]) -> Problem {
    // What was sent comes back shortened: an error is no mirror.
    let name: String = name.chars().take(100).collect();
    let detail = format!("parameter {name}: there is none of this name here, only {}", known.join(", "));
    Problem::new(StatusCode::BAD_REQUEST, "unknown_parameter", detail)
        .with("field", name)
        .with("known", known)
}

/// 404: there is no such thing, as far as the model has come.
pub(crate) fn not_found(thing: &str) -> Problem {
    Problem::not_found(format!("there is no such {thing}"))
}

/// 410: there was one.
pub(crate) fn gone(thing: &str) -> Problem {
    Problem::new(StatusCode::GONE, "gone", format!("the {thing} was deleted"))
}

/// 422: an answer would rest on more events than are read for one.
pub(crate) fn too_much_history(events_max: usize) -> Problem {
    let detail = format!(
        "more than {events_max} events concern it until then, which is more than are read for one answer; \
         ask for an earlier moment, or read the events themselves (/events/export)"
    );
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_much_history", detail)
}

/// 504: the model is not as far as the caller asked for.
pub(crate) fn not_caught_up(wanted: Position, reached: Position) -> Problem {
    let detail = format!("position {wanted} was not reached in time; what answers has come to {reached}");
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "not_caught_up", detail)
        .with("minPosition", wanted.get())
        .with("position", reached.get())
}

/// 426: this is spoken to in another protocol.
pub(crate) fn no_websocket() -> Problem {
    let detail = "this is a WebSocket: the request has to ask for the upgrade (RFC 6455)";
    Problem::new(StatusCode::UPGRADE_REQUIRED, "no_websocket", detail)
}

/// 503: no more live streams for now.
pub(crate) fn too_many_subscribers() -> Problem {
    let detail = "there are as many live streams as this process serves";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(5)
}

/// 409: somebody else reads for the consumer.
pub(crate) fn consumer_busy(name: &ConsumerName) -> Problem {
    let detail = format!(
        "somebody else reads for the consumer {name} just now; with takeover=true they are sent away"
    );
    Problem::new(StatusCode::CONFLICT, "consumer_busy", detail)
}

/// 426: an answer whose length nobody knows cannot be told from a part of it.
pub(crate) fn no_length() -> Problem {
    let detail = "an export needs HTTP/1.1: with an older one, nobody could tell whether it is whole";
    Problem::new(StatusCode::UPGRADE_REQUIRED, "http_too_old", detail)
}

/// 503: no more exports for now.
pub(crate) fn too_many_exports() -> Problem {
    let detail = "there are as many exports as this process serves at a time, or as one principal may have";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(5)
}

/// 409: the read models are being checked already.
pub(crate) fn check_running() -> Problem {
    let detail = "a check is going on; GET /api/v1/projections/check says how it is";
    Problem::new(StatusCode::CONFLICT, "check_running", detail)
}

/// 409: one verification goes on at a time.
pub(crate) fn verification_running() -> Problem {
    let detail = "a verification is going on; GET /api/v1/audit/verify says how it is";
    Problem::new(StatusCode::CONFLICT, "verification_running", detail)
}

/// 500: the log cannot be read where it should be; 503 where it is in the archive, which does not answer. Logged here, because
/// here it is handled.
pub(crate) fn unreadable(error: &ReadError) -> Problem {
    tracing::error!(%error, "the log cannot be read");
    if matches!(error, ReadError::InArchive { .. }) {
        let detail = "what was asked for is in the log's archive and cannot be fetched now; try again";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "archive_unreachable", detail).retry_after(5);
    }
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "log_unreadable", "the log cannot be read there")
}

/// What a search is refused with: 400 for its query and pages, 503 while there is no index, 500 for a broken one.
pub(crate) fn unsearchable(error: &SearchError) -> Problem {
    match error {
        SearchError::Mistake(mistake) => {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_query", format!("parameter q: {mistake}"))
                .with("field", "q")
                .with("at", mistake.at)
                .with("expected", mistake.expected.as_str())
        }
        SearchError::TooManyFacets { .. } => bad_parameter("facets", error),
        SearchError::CursorUnreadable | SearchError::CursorForeign | SearchError::CursorAndOffset => {
            bad_parameter("after", error)
        }
        SearchError::TooFar { .. } => bad_parameter("offset", error),
        SearchError::NoIndex | SearchError::OtherBuild => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_search_index", error.to_string()).retry_after(1)
        }
        _ => {
            tracing::error!(%error, "a search failed");
            Problem::internal()
        }
    }
}

/// 500: a thread of ours ended early, which is a bug of ours.
pub(crate) fn interrupted(error: &tokio::task::JoinError) -> Problem {
    tracing::error!(%error, "a read did not finish");
    Problem::internal()
}
