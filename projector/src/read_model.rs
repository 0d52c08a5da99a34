//! What every in-memory read model has in common: it is a function of the log up to its checkpoint.

use crate::decode::{DecodedCommit, DecodedEvent};
use crate::projection::{ProjectionError, Step, step};
use eventstore::codec::CodecError;
use eventstore::{Digest, Lineage};
use std::fmt;
use uuid::Uuid;

/// A model in memory that is made of the log, commit by commit.
///
/// An implementation MUST give the same [`digest`](ReadModel::digest) for the same commits, whether they were replayed,
/// taken in one by one, or partly read from rows; and it MUST be total: an event that makes no sense changes nothing. What it [`refuses`](ReadModel::refuses) is not given to it, and
/// neither is what comes later in the same stream.
pub trait ReadModel: fmt::Debug + Send + Sync + Sized + 'static {
    /// What it is called in commands, in answers and on disk: at most 16 lower-case letters.
    const NAME: &'static str;
    /// Version of its rows and of what it makes of events. To be raised with any change of either: images of another
    /// version are passed over.
    const VERSION: u32;

    /// A model that has taken in nothing of a store's log.
    fn begin(store: Uuid) -> Self;

    /// What it has taken in.
    fn checkpoint(&self) -> Lineage;

    /// Takes in one event; the checkpoint stays where it is.
    fn take_in(&mut self, event: &DecodedEvent<'_>);

    /// Why an event cannot be taken in, asked before anything of its commit is: it becomes a dead letter then. What a
    /// build does not know is no reason.
    fn refuses(&self, event: &DecodedEvent<'_>) -> Option<String> {
        event.unreadable()
    }

    /// It takes the place of another one, which was kept up to date until now, in the same process.
    fn replaces(&mut self, other: &Self) {
        let _ = other;
    }

    /// All events up to there have been taken in.
    fn advance(&mut self, to: Lineage);

    /// Takes in a commit, or passes it over if it was taken in before.
    ///
    /// # Errors
    /// When commits before it are missing.
    fn apply(&mut self, commit: &DecodedCommit<'_>) -> Result<(), ProjectionError> {
        if step(&self.checkpoint(), commit)? == Step::TakeIn {
            commit.events.iter().for_each(|event| self.take_in(event));
            self.advance(commit.lineage);
        }
        Ok(())
    }

    /// Digest of everything in it at its checkpoint: equal models, equal digests.
    fn digest(&mut self) -> Digest;

    /// Tells of each entity its name (kind and id, such as `item:0198…`) and the digest of it alone, in no order. Of two
    /// models with different digests, some entity has different digests, or is in one only.
    fn each_digest(&mut self, told: &mut dyn FnMut(&dyn fmt::Display, Digest));

    /// How many things it knows, for people.
    fn count(&self) -> usize;

    /// What an image holds of it, the checkpoint apart. What follows from the rest SHOULD be left out.
    ///
    /// # Errors
    /// When the rows cannot be encoded.
    fn to_rows(&self) -> Result<Vec<u8>, CodecError>;

    /// The model that rows stand for, at the checkpoint where they were made.
    ///
    /// # Errors
    /// When the rows are not what [`to_rows`](ReadModel::to_rows) makes.
    fn from_rows(rows: &[u8], checkpoint: Lineage) -> Result<Self, CodecError>;
}
