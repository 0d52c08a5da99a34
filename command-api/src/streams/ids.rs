//! The ids of events, made here or chosen by the caller. No id stands in the log twice: one that was chosen is remembered as
//! a command beside the append's own, so the log finds it as it finds commands; one that was made here is looked for.

use super::body::Event;
use super::refusals::invalid;
use crate::service::{may_be_made_here, uuid_v7};
use eventstore::{CommandId, Log, ReadError, Timestamp};
use http_kit::problem::Problem;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// How long before its event is recorded an id is made here, at most: longer than any request takes.
const MADE_BEFORE_MAX: Duration = Duration::from_secs(60);

/// The ids of the events: said, or made.
pub(super) fn ids(events: &[Event<'_>], now: Timestamp) -> Result<Vec<Uuid>, Problem> {
    let ids = events.iter().enumerate().map(|(index, event)| match event.event_id {
        Some(id) if id.is_nil() => {
            Err(invalid(&format!("events[{index}].eventId"), &"the nil UUID names nothing"))
        }
        Some(id) => Ok(id),
        None => Ok(uuid_v7(now.get())),
    });
    ids.collect()
}

/// The ids that the caller chose.
#[derive(Debug)]
pub(super) struct Chosen(Vec<ChosenId>);

#[derive(Debug)]
struct ChosenId {
    /// Number of the event in the body.
    index: usize,
    id: Uuid,
    /// What the log remembers it as.
    command: CommandId,
}

impl Chosen {
    pub(super) fn of(events: &[Event<'_>]) -> Result<Self, Problem> {
        let mut seen = HashSet::new();
        let mut chosen = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let Some(id) = event.event_id else { continue };
            if !seen.insert(id) {
                let reason = "an event before it has the same id";
                return Err(invalid(&format!("events[{index}].eventId"), &reason));
            }
            chosen.push(ChosenId { index, id, command: CommandId::derive(&[b"event id", id.as_bytes()]) });
        }
        Ok(Self(chosen))
    }

    fn perhaps_made_here(&self) -> impl Iterator<Item = &ChosenId> {
        self.0.iter().filter(|chosen| may_be_made_here(chosen.id))
    }

    /// Whether the log has to be looked through for one of them.
    pub(super) fn has_to_look(&self) -> bool {
        self.perhaps_made_here().next().is_some()
    }

    /// The number of the first event whose id was made here and is in the log. Blocks.
    pub(super) fn taken(&self, log: &Log) -> Result<Option<usize>, ReadError> {
        for chosen in self.perhaps_made_here() {
            if log.event_with_own_id(chosen.id, MADE_BEFORE_MAX)?.is_some() {
                return Ok(Some(chosen.index));
            }
        }
        Ok(None)
    }

    /// What the log is to remember.
    pub(super) fn commands(&self) -> impl Iterator<Item = CommandId> {
        self.0.iter().map(|chosen| chosen.command)
    }

    /// The number of the event whose id is remembered as a command.
    pub(super) fn index_of(&self, command: CommandId) -> Option<usize> {
        self.0.iter().find(|chosen| chosen.command == command).map(|chosen| chosen.index)
    }
}
