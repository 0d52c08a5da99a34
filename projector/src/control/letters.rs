//! The dead letters of a projection, as they are obeyed: which events it passes over.
//!
//! Invariant: a dead letter holds back the later events of its own stream and nothing else. So the first one of each
//! stream says it all, and what a model holds is a function of the log and of these.

use domain::system::projections::ProjectionState;
use eventstore::{Digest, EventView, Position};
use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};

/// What a projection passes over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Letters {
    /// By stream the position of its first dead letter.
    first: FxHashMap<String, Position>,
}

impl Letters {
    /// As a projection's stream says.
    pub(crate) fn of(state: &ProjectionState) -> Self {
        let mut first = FxHashMap::default();
        // In the order of positions, so the first one of a stream stays.
        for (position, letter) in &state.dead_letters {
            first.entry(letter.event.stream_id.clone()).or_insert(Position::new(*position));
        }
        Self { first }
    }

    /// Whether an event is one of them, or held back by one.
    pub(crate) fn pass_over(&self, event: &EventView<'_>) -> bool {
        // Mostly there are none.
        !self.first.is_empty()
            && self.first.get(event.stream()).is_some_and(|first| event.position() >= *first)
    }

    /// Whether two sets say the same of everything before a position.
    pub(crate) fn agree_before(&self, other: &Self, next: Position) -> bool {
        let before = |letters: &Self| letters.first.values().filter(|first| **first < next).count();
        before(self) == before(other)
            && self
                .first
                .iter()
                .filter(|(_, first)| **first < next)
                .all(|(stream, first)| other.first.get(stream) == Some(first))
    }

    /// A digest of what they say of everything before a position: what was made under one digest is not used under
    /// another.
    pub(crate) fn digest_before(&self, next: Position) -> Digest {
        let mut before: Vec<_> = self.first.iter().filter(|(_, first)| **first < next).collect();
        before.sort_unstable();
        let mut hasher = Sha256::new();
        for (stream, first) in before {
            hasher.update((stream.len() as u64).to_le_bytes());
            hasher.update(stream.as_bytes());
            hasher.update(first.get().to_le_bytes());
        }
        Digest(hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(of: &[(&str, u64)]) -> Letters {
        Letters { first: of.iter().map(|(stream, at)| ((*stream).to_owned(), Position::new(*at))).collect() }
    }

    #[test]
    fn only_what_lies_before_counts() {
        let (one, other) = (letters(&[("item-a", 5)]), letters(&[("item-a", 5), ("item-b", 9)]));
        for next in 0..9 {
            assert!(one.agree_before(&other, Position::new(next)), "{next}");
            assert_eq!(one.digest_before(Position::new(next)), other.digest_before(Position::new(next)));
        }
        for (one, other) in [(&one, &other), (&other, &one), (&one, &letters(&[("item-b", 5)]))] {
            assert!(!one.agree_before(other, Position::new(10)));
            assert_ne!(one.digest_before(Position::new(10)), other.digest_before(Position::new(10)));
        }
    }
}
