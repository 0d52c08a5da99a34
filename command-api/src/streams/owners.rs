//! Whose stream is it? The tenant that its first event is tagged with, remembered.
//!
//! Invariant: a stream's owner never changes, so what is remembered is never wrong; what is forgotten is looked up in
//! the log again. That a stream does not exist is never remembered.

use domain::tags;
use eventstore::{Direction, Log, ReadError, StreamId, Version};
use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use uuid::Uuid;

const SHARDS: usize = 16;

/// Streams remembered per shard and generation; about 100 bytes each.
const STREAMS_MAX: usize = 4_096;

/// The owner of a stream: a tenant, or nobody in particular.
pub(super) type Owner = Option<Uuid>;

/// Whose streams are whose.
#[derive(Debug, Default)]
pub(super) struct Owners([Mutex<Shard>; SHARDS]);

/// Two generations: when the young one is full, the old one is dropped and the young one becomes old.
#[derive(Debug, Default)]
struct Shard {
    young: FxHashMap<StreamId, Owner>,
    old: FxHashMap<StreamId, Owner>,
}

impl Shard {
    fn insert(&mut self, stream: StreamId, owner: Owner) {
        if self.young.len() >= STREAMS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, owner);
    }
}

impl Owners {
    fn shard(&self, stream: &StreamId) -> &Mutex<Shard> {
        // The upper bits: the map inside uses the lower ones.
        let hash = FxBuildHasher.hash_one(stream);
        &self.0[usize::try_from(hash >> 60).unwrap_or(0) % SHARDS]
    }

    /// The owner, if it is remembered.
    pub(super) fn known(&self, stream: &StreamId) -> Option<Owner> {
        let mut shard = self.shard(stream).lock();
        if let Some(owner) = shard.young.get(stream) {
            return Some(*owner);
        }
        let owner = shard.old.remove(stream)?;
        shard.insert(stream.clone(), owner);
        Some(owner)
    }

    /// Remembers the owner of a stream that exists.
    pub(super) fn learn(&self, stream: &StreamId, owner: Owner) {
        let mut shard = self.shard(stream).lock();
        if !shard.young.contains_key(stream) {
            shard.insert(stream.clone(), owner);
        }
    }

    /// The owner; `None` when the stream does not exist. Reads the log if need be.
    pub(super) fn find(&self, log: &Log, stream: &StreamId) -> Result<Option<Owner>, ReadError> {
        if let Some(owner) = self.known(stream) {
            return Ok(Some(owner));
        }
        let first = log.read_stream(stream, Version::ZERO, Direction::Forward, 1)?;
        let Some(first) = first.first().and_then(eventstore::RecordedEvent::get) else { return Ok(None) };
        let owner = first
            .tags()
            .find_map(|tag| tag.strip_prefix(tags::WORKSPACE))
            .and_then(|workspace| Uuid::try_parse(workspace).ok());
        self.learn(stream, owner);
        Ok(Some(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_outlives_a_generation() {
        let owners = Owners::default();
        let name = |number: usize| StreamId::new(format!("order-{number}")).unwrap();
        let kept = name(usize::MAX);
        owners.learn(&kept, Some(Uuid::from_u128(7)));
        for number in 0..4 * SHARDS * STREAMS_MAX {
            owners.learn(&name(number), None);
            if number % 1_000 == 0 {
                assert_eq!(owners.known(&kept), Some(Some(Uuid::from_u128(7))));
            }
        }
        assert_eq!(owners.known(&name(0)), None, "it is bounded");
        let held = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        };
        let held: usize = owners.0.iter().map(held).sum();
        assert!(held <= 2 * SHARDS * STREAMS_MAX);
    }
}
