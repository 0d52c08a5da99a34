//! States of aggregates at versions that are durable, so that a decision rarely has to read the log.
//!
//! Invariant: it is only ever a shortcut: dropping any entry at any time is right. Its size is bounded by
//! the bytes of the events that made its states, which is more than what the states take.
//!
//! Each shard has two generations: what is used moves to the young one; when that is full, it becomes the
//! old one and what nobody used meanwhile is dropped.

use super::claims::shard_of;
use super::key::{Key, State};
use eventstore::{Position, StreamId, Version};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

const SHARDS: usize = 32;

/// A state as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub(crate) stream: StreamId,
    pub(crate) state: State,
    pub(crate) version: Version,
    /// The state holds every event of the stream before this position.
    pub(crate) as_of: Position,
    /// Bytes of the events that made it.
    pub(crate) weight: usize,
    /// How many of them the newest snapshot holds that is known of.
    pub(crate) kept: u64,
}

/// What an entry takes besides its state, bytes.
const ENTRY_BYTES: usize = 400;

#[derive(Debug, Default)]
struct Shard {
    young: FxHashMap<Key, Cached>,
    old: FxHashMap<Key, Cached>,
    young_bytes: usize,
}

/// A bounded cache of states.
#[derive(Debug)]
pub(crate) struct Cache {
    // A mutex rather than a lock for readers, because a look-up moves the entry to the young generation.
    shards: Vec<Mutex<Shard>>,
    generation_bytes_max: usize,
}

impl Cache {
    /// One that takes about `bytes_max` at most.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            generation_bytes_max: bytes_max / SHARDS / 2,
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        &self.shards[shard_of(key, SHARDS)]
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Cached> {
        let mut shard = self.shard(key).lock();
        if let Some(cached) = shard.young.get(key) {
            return Some(cached.clone());
        }
        let cached = shard.old.remove(key)?;
        self.insert(&mut shard, *key, cached.clone());
        Some(cached)
    }

    /// Keeps a state unless a newer one is kept.
    pub(crate) fn put(&self, key: Key, cached: Cached) {
        let mut shard = self.shard(&key).lock();
        let known = shard.young.get(&key).or_else(|| shard.old.get(&key));
        if known.is_some_and(|known| known.version > cached.version) {
            return;
        }
        shard.old.remove(&key);
        self.insert(&mut shard, key, cached);
    }

    pub(crate) fn remove(&self, key: &Key) {
        let mut shard = self.shard(key).lock();
        shard.old.remove(key);
        if let Some(cached) = shard.young.remove(key) {
            shard.young_bytes -= ENTRY_BYTES + cached.weight;
        }
    }

    /// Entries that are kept.
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                shard.young.len() + shard.old.len()
            })
            .sum()
    }

    fn insert(&self, shard: &mut Shard, key: Key, cached: Cached) {
        shard.young_bytes += ENTRY_BYTES + cached.weight;
        if let Some(before) = shard.young.insert(key, cached) {
            shard.young_bytes -= ENTRY_BYTES + before.weight;
        }
        if shard.young_bytes > self.generation_bytes_max {
            // What was old is dropped; its table is filled next, so that none has to grow again.
            std::mem::swap(&mut shard.old, &mut shard.young);
            shard.young.clear();
            shard.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::key::Kind;
    use uuid::Uuid;

    fn entry(key: Key, version: u64) -> Cached {
        Cached {
            stream: key.stream(),
            state: State::absent(key.kind),
            version: Version::new(version),
            as_of: Position::ZERO,
            weight: 600,
            kept: 0,
        }
    }

    #[test]
    fn it_stays_within_its_bound_and_keeps_what_is_used() {
        let cache = Cache::new(SHARDS * 2 * 20 * 1000);
        let used = Key::new(Kind::Board, Uuid::from_u128(0));
        cache.put(used, entry(used, 1));
        for id in 1..20_000 {
            let key = Key::new(Kind::Item, Uuid::from_u128(id * 0x9e37_79b9_7f4a_7c15));
            cache.put(key, entry(key, 0));
            assert!(cache.get(&used).is_some(), "dropped after {id}");
        }
        assert!(cache.len() <= SHARDS * 2 * 21, "{} entries", cache.len());
    }

    #[test]
    fn an_older_version_does_not_replace_a_newer_one() {
        let cache = Cache::new(1 << 20);
        let key = Key::new(Kind::Item, Uuid::from_u128(5));
        cache.put(key, entry(key, 4));
        cache.put(key, entry(key, 3));
        assert_eq!(cache.get(&key).unwrap().version, Version::new(4));
        cache.remove(&key);
        assert!(cache.get(&key).is_none());
    }
}
