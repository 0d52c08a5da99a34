//! Who is deciding about what, right now.
//!
//! Invariant: at most one thread decides about an aggregate from reading its state until the outcome is
//! durable and cached. So commits that build on one another within a batch can never be interleaved with
//! somebody else's, which expected versions alone would not notice (a foreign commit in the place of a
//! failed one has the right number and the wrong content).
//!
//! Invariant: nobody waits for a claim while holding another, except in the order of the keys. So there
//! is no deadlock.

use super::key::Key;
use parking_lot::{Condvar, Mutex};
use rustc_hash::{FxHashSet, FxHasher};
use std::hash::{Hash, Hasher};

const SHARDS: usize = 64;

/// The claims of a process.
#[derive(Debug)]
pub(crate) struct Claims(Vec<Shard>);

#[derive(Debug, Default)]
struct Shard {
    held: Mutex<FxHashSet<Key>>,
    released: Condvar,
}

impl Default for Claims {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Shard::default()).collect())
    }
}

impl Claims {
    fn shard(&self, key: &Key) -> &Shard {
        &self.0[shard_of(key, SHARDS)]
    }

    /// Takes a claim if nobody has it.
    pub(crate) fn try_take(&self, key: Key) -> bool {
        self.shard(&key).held.lock().insert(key)
    }

    /// Takes a claim, waiting for whoever has it.
    pub(crate) fn take(&self, key: Key) {
        let shard = self.shard(&key);
        let mut held = shard.held.lock();
        while !held.insert(key) {
            shard.released.wait(&mut held);
        }
    }

    pub(crate) fn release(&self, key: &Key) {
        let shard = self.shard(key);
        shard.held.lock().remove(key);
        // All of the shard's waiters, because they wait for different keys.
        shard.released.notify_all();
    }
}

/// Where a key belongs among `count` shards.
pub(crate) fn shard_of(key: &Key, count: usize) -> usize {
    let mut hasher = FxHasher::default();
    key.hash(&mut hasher);
    // The high bits of this hash are the well-mixed ones; maps within a shard use the low ones.
    usize::try_from(hasher.finish() >> 40).unwrap_or(0) % count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::key::Kind;
    use uuid::Uuid;

    #[test]
    fn one_holder_at_a_time() {
        let claims = Claims::default();
        let key = Key::new(Kind::Item, Uuid::from_u128(1));
        let mut counter = 0_u64;
        let shared = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        claims.take(key);
                        let seen = shared.load(std::sync::atomic::Ordering::Relaxed);
                        std::thread::yield_now();
                        shared.store(seen + 1, std::sync::atomic::Ordering::Relaxed);
                        claims.release(&key);
                    }
                });
            }
        });
        counter += shared.into_inner();
        assert_eq!(counter, 2000);
        assert!(claims.try_take(key));
        assert!(!claims.try_take(key));
    }
}
