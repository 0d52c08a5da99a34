//! What is wrong with an append, as its sender is told.

use crate::problems::problem;
use crate::service::Refusal;
use axum::http::StatusCode;
use eventstore::limits::TAGS_MAX;
use eventstore::{CommitError, Guard, Version};
use http_kit::problem::Problem;
use serde_json::{Value, json};

/// A commit that the log does not take.
pub(super) fn too_large(error: &CommitError) -> Problem {
    let refusal = |code: &'static str, field: String| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code, error.to_string()).with("field", field)
    };
    match error {
        CommitError::EventTooLarge { index, .. } => {
            refusal("event_too_large", format!("events[{index}].data"))
        }
        CommitError::TooLarge { .. } => refusal("append_too_large", "events".to_owned()),
        error => problem(&Refusal::from(error.clone())),
    }
}

/// 400 with the path to what is wrong.
pub(super) fn invalid(field: &str, reason: &dyn std::fmt::Display) -> Problem {
    Problem::invalid_body(field, format!("{field}: {reason}"))
}

/// 403: the tag is the domain's.
pub(super) fn reserved_tag(field: String, detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "reserved_tag", format!("{field}: {detail}")).with("field", field)
}

/// More tags than an event takes.
pub(super) fn too_many_tags(index: usize, count: usize) -> Problem {
    let field = format!("events[{index}].tags");
    let reason = format!("{count} tags, the workspace's own included; at most {TAGS_MAX} are allowed");
    invalid(&field, &reason)
}

/// What a guard is about is not as it says; where it is, only for those who may know.
pub(super) fn guard_failed(index: usize, guard: &Guard, current: Option<u64>, says_where: bool) -> Problem {
    let field = format!("guards[{index}]");
    let said = match guard {
        Guard::StreamAt(stream, version) => {
            json!({"stream": stream.as_str(), "version": version.map(Version::get)})
        }
        Guard::NoNewer(tag, position) => json!({"tag": tag.as_str(), "position": position.get()}),
    };
    let refusal =
        Problem::new(StatusCode::CONFLICT, "guard_failed", format!("{field} does not hold: {guard}"))
            .with("field", field)
            .with("guard", said);
    let current = current.map_or(Value::Null, Value::from);
    match guard {
        Guard::StreamAt(..) => refusal.with("currentVersion", current),
        // Tags are one space for all tenants, so where the newest event is may be another's business.
        Guard::NoNewer(..) if says_where => refusal.with("newestPosition", current),
        Guard::NoNewer(..) => refusal,
    }
}

/// The refusal of an id that another event has.
pub(super) fn id_taken(index: usize) -> Problem {
    let field = format!("events[{index}].eventId");
    let detail = format!("{field}: another event has this id; no two events of a log may have the same");
    Problem::new(StatusCode::CONFLICT, "event_id_taken", detail).with("field", field)
}
