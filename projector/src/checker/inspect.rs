//! What a check asks of a read model, and what it says about the answers.

use crate::checker::entity::{Entity, Scope};
use crate::checker::report::Class;
use crate::read_model::ReadModel;
use eventstore::{Digest, EventView};
use std::fmt::Debug;
use std::hash::Hash;
use uuid::Uuid;

/// A read model that can be looked into, thing by thing.
///
/// An implementation MUST observe the same of a key for the same commits, whether all events were taken in or only those that
/// [`wants`](Inspect::wants) asked for in the same scope; that is what makes a sample comparable with the whole.
pub(crate) trait Inspect: ReadModel {
    /// What names a part of the model that can be compared by itself.
    type Key: Clone + Eq + Hash + Debug;

    /// The parts that are there, in no order.
    fn keys(&self, scope: &Scope) -> Vec<Self::Key>;

    /// A part as it is now; nothing where there is none.
    fn observe(&self, key: &Self::Key, scope: &Scope) -> Option<Observed>;

    /// Whether an event has to be taken in to tell the parts in a scope. Asked of a replay that has taken in what came before.
    fn wants(&self, event: &EventView<'_>, scope: &Scope) -> bool;

    /// Whose part it is, and which one.
    fn whose(key: &Self::Key) -> (Entity, Option<String>);

    /// What is wrong with a part, where `found` is not what is `expected`; `self` is what is expected of everything.
    fn judge(
        &self,
        key: &Self::Key,
        found: Option<&Observed>,
        expected: Option<&Observed>,
    ) -> Vec<(Entity, Option<String>, Class)> {
        let (entity, part) = Self::whose(key);
        vec![(entity, part, Class::of(found.is_some(), expected.is_some()))]
    }

    /// Replaces a thing, with all that is said of it elsewhere, by what another model has in its place.
    fn replace(&mut self, entity: &Entity, by: &Self);
}

/// What was seen of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Of everything in it.
    pub(crate) digest: Digest,
    /// Where it is a list of things: which, in order.
    pub(crate) members: Vec<Uuid>,
}

impl Observed {
    pub(crate) fn of(digest: [u8; 32]) -> Self {
        Self { digest: Digest(digest), members: Vec::new() }
    }
}
