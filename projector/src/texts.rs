//! Long texts, read from the log by the position of the event that set them.
//!
//! The models keep such positions instead of the texts. A position that does not lead to the text (a log that was
//! replaced under the models) is no text, not an error.

use domain::codec::{self, Decoded};
use domain::{Changes, DomainEvent, board, comment, item, project};
use eventstore::{Log, Position, ReadError};
use serde_json::Value;

/// The description of an item, board or project that the event at `at` set.
///
/// # Errors
/// When the log cannot be read there.
pub fn description(log: &Log, at: Position) -> Result<Option<String>, ReadError> {
    Ok(match event(log, at)? {
        Some(DomainEvent::Item(item::Event::Created(event))) => event.description,
        Some(DomainEvent::Item(item::Event::Updated(event))) => changed(event.changes, "description"),
        Some(DomainEvent::Board(board::Event::Created(event))) => event.description,
        Some(DomainEvent::Board(board::Event::Updated(event))) => changed(event.changes, "description"),
        Some(DomainEvent::Project(project::Event::Created(event))) => event.description,
        Some(DomainEvent::Project(project::Event::Updated(event))) => changed(event.changes, "description"),
        _ => None,
    })
}

/// The text of a comment that the event at `at` set.
///
/// # Errors
/// When the log cannot be read there.
pub fn body(log: &Log, at: Position) -> Result<Option<String>, ReadError> {
    Ok(match event(log, at)? {
        Some(DomainEvent::Comment(comment::Event::Added(event))) => Some(event.body),
        Some(DomainEvent::Comment(comment::Event::Edited(event))) => Some(event.body),
        _ => None,
    })
}

/// The value of an item's custom field that the event at `at` set.
///
/// # Errors
/// When the log cannot be read there.
pub fn field_value(log: &Log, at: Position, name: &str) -> Result<Option<Value>, ReadError> {
    Ok(match event(log, at)? {
        Some(DomainEvent::Item(item::Event::Created(mut event))) => event.fields.remove(name),
        Some(DomainEvent::Item(item::Event::Updated(mut event))) => {
            event.changes.remove(name).map(|change| change.to)
        }
        _ => None,
    })
}

fn event(log: &Log, at: Position) -> Result<Option<DomainEvent>, ReadError> {
    let recorded = log.event(at)?;
    let Some(view) = recorded.as_ref().and_then(eventstore::RecordedEvent::get) else { return Ok(None) };
    Ok(match codec::decode(view.event_type(), view.schema_version(), view.payload()) {
        Ok(Decoded::Known(event)) => Some(event),
        _ => None,
    })
}

fn changed(mut changes: Changes, field: &str) -> Option<String> {
    match changes.remove(field)?.to {
        Value::String(text) => Some(text),
        _ => None,
    }
}
