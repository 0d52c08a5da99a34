//! Models of a few things as they once were: fed with the events that concern these things, and with no others.
//!
//! Invariant: what is asked for was given whole: an item's own events, its comments' and its board's; a board's own and those of
//! everything on it; a project's own and those of all its boards. Then it is what [`Models`] had at that position, which is
//! tested position by position.
//!
//! There is no lineage here and no digest, and never [`Models`] by value: what was fed like this must not be taken for models
//! that follow the log, nor stand in an image.

use crate::decode::DecodedEvent;
use crate::models::Models;
use eventstore::{Position, RecordedEvent};
use uuid::Uuid;

/// See the [module](self).
#[derive(Debug)]
pub struct PastModels {
    models: Models,
    /// Behind the newest event that was taken in.
    next: Position,
}

impl PastModels {
    /// Models of a store in which nothing has happened.
    #[must_use]
    pub fn new(store: Uuid) -> Self {
        Self { models: Models::new(store), next: Position::ZERO }
    }

    /// Takes in an event, or passes it over if it is not behind those before: an event may have been found in several
    /// ways. Says whether it was taken in.
    pub fn take_in(&mut self, event: &RecordedEvent) -> bool {
        let Some(view) = event.get().filter(|view| view.position() >= self.next) else { return false };
        self.next = view.position().plus(1);
        self.models.apply_event(&DecodedEvent::decode(view));
        true
    }

    /// What is known of the things that the events concerned.
    #[must_use]
    pub fn models(&self) -> &Models {
        &self.models
    }
}
