//! What each refusal means over HTTP: one exhaustive mapping.
//!
//! Invariant: nothing that a client can send ends in a 5xx, save that the log takes no more (503).
//! What is logged here is logged nowhere else.

use crate::recorded;
use crate::service::{Demand, Refusal, Since};
use axum::http::StatusCode;
use domain::DomainError;
use domain::error::Kind;
use eventstore::Version;
use http_kit::auth::insufficient_scope;
use http_kit::problem::Problem;
use serde_json::Value;

/// Seconds that a client is asked to wait when the log is busy.
const RETRY_AFTER_S: u32 = 1;

/// The problem that a refusal is.
#[must_use]
pub fn problem(refusal: &Refusal) -> Problem {
    let text = refusal.to_string();
    match refusal {
        Refusal::Domain(error) => of_domain(error, error.field(), text),
        Refusal::Reference { field, error } => of_domain(error, Some(field), text),
        Refusal::Malformed { field, .. } => Problem::invalid_body(field, text),
        Refusal::Contradiction { field, .. } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "contradiction", text).with("field", *field)
        }
        Refusal::InsufficientScope { needs } => insufficient_scope(*needs),
        Refusal::TenantMismatch { field } => {
            Problem::new(StatusCode::FORBIDDEN, "tenant_mismatch", text).with("field", *field)
        }
        Refusal::NoTarget => Problem::invalid_body("id", text),
        Refusal::VersionConflict { stream, expected, current, demand, since } => {
            let status = match demand {
                Demand::IfMatch | Demand::IfNoneMatch => StatusCode::PRECONDITION_FAILED,
                Demand::ExpectedVersion | Demand::Retries => StatusCode::CONFLICT,
            };
            let problem = Problem::new(status, "version_conflict", text)
                .with("streamId", stream.as_str())
                .with("expectedVersion", number(*expected))
                .with("currentVersion", number(*current));
            match (since, demand) {
                (Some(since), _) => with_since(problem, since),
                (None, Demand::Retries) => problem.retry_after(RETRY_AFTER_S),
                (None, _) => problem,
            }
        }
        Refusal::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", text),
        Refusal::CommandsSplit => Problem::new(StatusCode::CONFLICT, "commands_split", text),
        Refusal::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "event_too_large", text),
        Refusal::Overloaded => unavailable("overloaded", text),
        Refusal::ReadOnly(_) => {
            tracing::error!(reason = text, "the log takes no more");
            unavailable("read_only", "the log is read-only for the moment".to_owned())
        }
        Refusal::Closed => unavailable("stopping", text),
        Refusal::InArchive => unavailable("archive_unreachable", text),
        Refusal::OutcomeUnknown(_) => {
            tracing::error!(reason = text, "the outcome of a commit is not known");
            unavailable("outcome_unknown", "whether the command was recorded is not known".to_owned())
        }
        // The last three never leave the service; if they did, that would be a fault of ours too.
        Refusal::Fault(_) | Refusal::NeedsTurns(_) | Refusal::NotAtHand | Refusal::Moved { .. } => {
            tracing::error!(reason = text, "a command could not be carried out");
            Problem::internal()
        }
    }
}

/// What a client needs to ask its user: what both sides want, and what happened since.
fn with_since(problem: Problem, since: &Since) -> Problem {
    let (events, is_cut) = recorded::events(since);
    let problem = problem.with("conflicts", recorded::conflicts(&since.conflicts)).with("events", events);
    if is_cut { problem.with("truncated", true) } else { problem }
}

fn of_domain(error: &DomainError, field: Option<&str>, text: String) -> Problem {
    let status = match error.kind() {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Gone => StatusCode::GONE,
        Kind::AlreadyExists => StatusCode::CONFLICT,
        Kind::Invalid | Kind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::NotPermitted => StatusCode::FORBIDDEN,
    };
    let mut problem = Problem::new(status, error.code(), text);
    if let DomainError::NotPermitted { action, needs, has } = error {
        problem = problem
            .with("action", *action)
            .with("needs", needs.name())
            .with("has", has.map_or(Value::Null, |role| role.name().into()));
    }
    match field {
        Some(field) => problem.with("field", field),
        None => problem,
    }
}

fn unavailable(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_S)
}

fn number(version: Option<Version>) -> Value {
    version.map_or(Value::Null, |version| version.get().into())
}
