//! Models of a few things as they once were: fed with the events that concern these things, and with no others.
//!
//! Invariant: what is asked for was given whole: an item's own events, its comments' and its board's; a board's own and those of
//! everything on it; a project's own and those of all its boards. Then it is what [`Models`] had at that position, which is
//! tested position by position.
//!
//! There is no lineage here and no digest, and never [`Models`] by value: what was fed like this must not be taken for models
//! that follow the log, nor stand in an image.

use crate::control::Letters;
use crate::decode::DecodedEvent;
use crate::models::{Models, SharedModels};
use eventstore::{Position, RecordedEvent};
use std::sync::Arc;

/// See the [module](self).
#[derive(Debug)]
pub struct PastModels {
    models: Models,
    /// Behind the newest event that was taken in.
    next: Position,
    /// What the models of today pass over was never there.
    letters: Arc<Letters>,
}

impl PastModels {
    /// Models in which nothing has happened, which pass over whatever those of today do.
    #[must_use]
    pub fn beside(today: &SharedModels) -> Self {
        let store = today.read().checkpoint().store;
        Self { models: Models::new(store), next: Position::ZERO, letters: today.letters() }
    }

    /// Takes in an event, or passes it over if it is not behind those before: an event may have been found in several
    /// ways. Says whether it was taken in.
    pub fn take_in(&mut self, event: &RecordedEvent) -> bool {
        let Some(view) = event.get().filter(|view| view.position() >= self.next) else { return false };
        self.next = view.position().plus(1);
        if self.letters.pass_over(&view) {
            return false;
        }
        self.models.apply_event(&DecodedEvent::decode(view));
        true
    }

    /// What is known of the things that the events concerned.
    #[must_use]
    pub fn models(&self) -> &Models {
        &self.models
    }
}
