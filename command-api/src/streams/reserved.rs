//! What callers may not write: streams, types and tags of the domain and of the system.
//!
//! Invariant: readers tell the domain's events by their types, and its guards trust its tags; so neither is ever given
//! away. Whole families are kept, so that what a later version needs is not taken by then.

use axum::http::StatusCode;
use domain::{BoardId, CommentId, ItemId, ProjectId, WorkspaceId, system};
use eventstore::StreamId;
use http_kit::problem::Problem;

/// Categories of streams, and first words of types.
const FAMILIES: [&str; 7] = [
    WorkspaceId::CATEGORY,
    ProjectId::CATEGORY,
    BoardId::CATEGORY,
    ItemId::CATEGORY,
    CommentId::CATEGORY,
    "schema",
    system::CATEGORY,
];

/// What tags of the domain begin with, besides the families.
const TAGS: [&str; 2] = ["column", "board-shape"];

/// Refuses streams that only commands may write.
pub(super) fn check_stream(stream: &StreamId) -> Result<(), Problem> {
    if !FAMILIES.contains(&stream.category()) {
        return Ok(());
    }
    let detail = format!("streams of the category {} are written by commands only", stream.category());
    Err(Problem::new(StatusCode::FORBIDDEN, "reserved_stream", detail).with("field", "streamId"))
}

/// Whether an event type belongs to the domain or to the system.
pub(crate) fn is_reserved_type(event_type: &str) -> bool {
    FAMILIES.contains(&event_type.split('.').next().unwrap_or_default())
}

/// Whether a tag belongs to the domain or to the system.
pub(super) fn is_reserved_tag(tag: &str) -> bool {
    tag.split_once(':').is_some_and(|(prefix, _)| FAMILIES.contains(&prefix) || TAGS.contains(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::DomainEvent;

    #[test]
    fn everything_of_the_domain_is_reserved() {
        for (event_type, _) in DomainEvent::types() {
            assert!(is_reserved_type(event_type), "{event_type}");
        }
        for stream in ["item-1", "item", "sys-schemas", "schema-x", "workspace-"] {
            assert!(check_stream(&StreamId::new(stream).unwrap()).is_err(), "{stream}");
        }
        for stream in ["items-1", "order-item-1", "system-1"] {
            assert!(check_stream(&StreamId::new(stream).unwrap()).is_ok(), "{stream}");
        }
        for tag in ["workspace:1", "board-shape:", "column:1", "item:x:y"] {
            assert!(is_reserved_tag(tag), "{tag}");
        }
        for tag in ["items:1", "item", "order:item:1", ":"] {
            assert!(!is_reserved_tag(tag), "{tag}");
        }
    }
}
