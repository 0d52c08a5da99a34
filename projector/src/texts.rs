//! Long texts, read from the log by the position of the event that set them.
//!
//! The models keep such positions instead of the texts. A position that does not lead to the text (a log that was
//! replaced under the models) is no text, not an error.

use domain::codec::{self, Decoded};
use domain::{Changes, DomainEvent, board, comment, item, project};
use eventstore::{EventView, Log, Position, ReadError, RecordedCommit, RecordedEvent};
use serde::Deserialize;
use serde_json::Value;

/// The description of an item, board or project that the event at `at` set.
///
/// # Errors
/// When the log cannot be read there.
pub fn description(log: &Log, at: Position) -> Result<Option<String>, ReadError> {
    Ok(log.event(at)?.as_ref().and_then(RecordedEvent::get).and_then(|event| described(&event)))
}

/// The text of a comment that the event at `at` set.
///
/// # Errors
/// When the log cannot be read there.
pub fn body(log: &Log, at: Position) -> Result<Option<String>, ReadError> {
    Ok(log.event(at)?.as_ref().and_then(RecordedEvent::get).and_then(|event| said(&event)))
}

/// Reads many texts: those of one commit with one check of it. Ask for them in the order of the log.
#[derive(Debug)]
pub(crate) struct TextReader<'a> {
    log: &'a Log,
    /// The commit that the last text was in.
    commit: Option<RecordedCommit>,
}

impl<'a> TextReader<'a> {
    pub(crate) fn of(log: &'a Log) -> Self {
        Self { log, commit: None }
    }

    /// As [`description`].
    pub(crate) fn description(&mut self, at: Position) -> Result<Option<String>, ReadError> {
        Ok(self.event(at)?.as_ref().and_then(RecordedEvent::get).and_then(|event| described(&event)))
    }

    /// As [`body`].
    pub(crate) fn body(&mut self, at: Position) -> Result<Option<String>, ReadError> {
        Ok(self.event(at)?.as_ref().and_then(RecordedEvent::get).and_then(|event| said(&event)))
    }

    fn event(&mut self, at: Position) -> Result<Option<RecordedEvent>, ReadError> {
        let holds = |commit: &RecordedCommit| commit.first() <= at && at < commit.next();
        if !self.commit.as_ref().is_some_and(holds) {
            self.commit = self.log.commit_at(at)?;
        }
        Ok(self.commit.as_ref().and_then(|commit| commit.event(at)))
    }
}

/// What an item's, board's or project's event says of its description, of all that it says.
#[derive(Deserialize)]
struct Created {
    description: Option<String>,
}

#[derive(Deserialize)]
struct Updated {
    changes: Described,
}

#[derive(Deserialize)]
struct Described {
    description: Option<To>,
}

#[derive(Deserialize)]
struct To {
    to: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    body: String,
}

/// The description that an event set. Only that is read of it, as far as it has the shape of today.
fn described(event: &EventView<'_>) -> Option<String> {
    if codec::is_current(event.event_type(), event.schema_version()) {
        match event.event_type() {
            "item.created" | "board.created" | "project.created" => {
                if let Ok(Created { description }) = serde_json::from_slice(event.payload()) {
                    return description;
                }
            }
            "item.updated" | "board.updated" | "project.updated" => {
                if let Ok(Updated { changes }) = serde_json::from_slice(event.payload()) {
                    return changes.description?.to;
                }
            }
            _ => return None,
        }
    }
    match known(event)? {
        DomainEvent::Item(item::Event::Created(event)) => event.description,
        DomainEvent::Item(item::Event::Updated(event)) => changed(event.changes, "description"),
        DomainEvent::Board(board::Event::Created(event)) => event.description,
        DomainEvent::Board(board::Event::Updated(event)) => changed(event.changes, "description"),
        DomainEvent::Project(project::Event::Created(event)) => event.description,
        DomainEvent::Project(project::Event::Updated(event)) => changed(event.changes, "description"),
        _ => None,
    }
}

/// The text of a comment that an event set.
fn said(event: &EventView<'_>) -> Option<String> {
    if codec::is_current(event.event_type(), event.schema_version())
        && matches!(event.event_type(), "comment.added" | "comment.edited")
        && let Ok(Said { body }) = serde_json::from_slice(event.payload())
    {
        return Some(body);
    }
    match known(event)? {
        DomainEvent::Comment(comment::Event::Added(event)) => Some(event.body),
        DomainEvent::Comment(comment::Event::Edited(event)) => Some(event.body),
        _ => None,
    }
}

/// The value of an item's custom field that the event at `at` set.
///
/// # Errors
/// When the log cannot be read there.
pub fn field_value(log: &Log, at: Position, name: &str) -> Result<Option<Value>, ReadError> {
    let event = log.event(at)?;
    Ok(match event.as_ref().and_then(RecordedEvent::get).and_then(|event| known(&event)) {
        Some(DomainEvent::Item(item::Event::Created(mut event))) => event.fields.remove(name),
        Some(DomainEvent::Item(item::Event::Updated(mut event))) => {
            event.changes.remove(name).map(|change| change.to)
        }
        _ => None,
    })
}

fn known(event: &EventView<'_>) -> Option<DomainEvent> {
    match codec::decode(event.event_type(), event.schema_version(), event.payload()) {
        Ok(Decoded::Known(event)) => Some(event),
        _ => None,
    }
}

fn changed(mut changes: Changes, field: &str) -> Option<String> {
    match changes.remove(field)?.to {
        Value::String(text) => Some(text),
        _ => None,
    }
}
