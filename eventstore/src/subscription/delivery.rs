//! What a subscription hands out.

use super::filter::Filter;
use crate::format::event::EventView;
use crate::numbers::{Lineage, Position};
use crate::recorded::RecordedCommit;
use std::sync::Arc;

/// The events of one commit that a subscription wants, or only news of how far it has come, and the checkpoint to
/// keep once they are dealt with.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The commit, and how many of its events are wanted.
    wanted: Option<(RecordedCommit, usize)>,
    filter: Arc<Filter>,
    from: Position,
    checkpoint: Lineage,
}

impl Delivery {
    /// `len` events of `commit`, which are at or after `from`.
    pub(super) fn events_of(commit: RecordedCommit, len: usize, filter: Arc<Filter>, from: Position) -> Self {
        let checkpoint = commit.lineage();
        Self { wanted: Some((commit, len)), filter, from, checkpoint }
    }

    pub(super) fn checkpoint_only(checkpoint: Lineage, filter: Arc<Filter>) -> Self {
        Self { wanted: None, filter, from: checkpoint.next, checkpoint }
    }

    /// The events, in order; [`Delivery::len`] of them.
    pub fn events(&self) -> impl Iterator<Item = EventView<'_>> {
        let commit = self.wanted.iter().flat_map(|(commit, _)| commit.events());
        commit.filter(|event| event.position() >= self.from && self.filter.matches(event))
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wanted.as_ref().map_or(0, |(_, len)| *len)
    }

    /// Whether there is nothing but a checkpoint in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wanted.is_none()
    }

    /// The commit that the events are part of, with all that the filter left out.
    #[must_use]
    pub fn commit(&self) -> Option<&RecordedCommit> {
        self.wanted.as_ref().map(|(commit, _)| commit)
    }

    /// What to keep once the events are dealt with, and to resume from: everything before it has been delivered, or
    /// was not wanted.
    #[must_use]
    pub fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }
}
