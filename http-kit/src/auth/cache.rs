//! Tokens that were verified, by their SHA-256, so that a signature is checked once per token and not once per request.
//!
//! Invariant: what is found was verified with a key that the issuer still publishes (its *edition* of the keys), and has
//! not expired. Only verified tokens are kept, so nobody without one can push others out.

use super::principal::Principal;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Shards: threads rarely meet on one.
const SHARDS: usize = 32;

/// SHA-256 of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(pub(super) [u8; 32]);

impl Digest {
    fn shard(self) -> usize {
        usize::from(self.0[31]) % SHARDS
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// A digest needs no further hashing.
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used by `Digest`; right for anything all the same.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

type Tokens = HashMap<Digest, Entry, BuildHasherDefault<FirstBytes>>;

#[derive(Debug)]
struct Entry {
    principal: Principal,
    /// Unix time from which on it has to be verified again, seconds.
    until_s: u64,
}

/// Two generations: what is used moves into the young one; when that is full it becomes the old one, and what was old is
/// forgotten.
#[derive(Debug, Default)]
struct Shard {
    edition: u64,
    young: Tokens,
    old: Tokens,
}

/// The cache.
#[derive(Debug)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    generation_max: usize,
}

impl Cache {
    /// One that holds at most this many tokens (rounded up to the shards).
    pub(super) fn new(tokens_max: usize) -> Self {
        Self { shards: Default::default(), generation_max: tokens_max.div_ceil(2 * SHARDS).max(1) }
    }

    /// Who holds a token, if that is known under this edition of the keys.
    pub(super) fn get(&self, digest: Digest, edition: u64, now_s: u64) -> Option<Principal> {
        let mut shard = self.shards[digest.shard()].lock();
        if shard.edition != edition {
            return None;
        }
        if let Some(entry) = shard.young.get(&digest) {
            return (now_s < entry.until_s).then(|| entry.principal.clone());
        }
        let entry = shard.old.remove(&digest)?;
        if now_s >= entry.until_s {
            return None;
        }
        let principal = entry.principal.clone();
        shard.insert(digest, entry, self.generation_max);
        Some(principal)
    }

    /// Remembers who holds a token that was verified with a key of this edition.
    pub(super) fn put(&self, digest: Digest, edition: u64, until_s: u64, principal: Principal) {
        let mut shard = self.shards[digest.shard()].lock();
        if edition < shard.edition {
            // Verified while the keys changed: with one that may be gone by now.
            return;
        }
        if edition > shard.edition {
            shard.young.clear();
            shard.old.clear();
            shard.edition = edition;
        }
        shard.insert(digest, Entry { principal, until_s }, self.generation_max);
    }

    /// Tokens in it, expired ones included.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock()).map(|shard| shard.young.len() + shard.old.len()).sum()
    }
}

impl Shard {
    fn insert(&mut self, digest: Digest, entry: Entry, generation_max: usize) {
        if self.young.len() >= generation_max && !self.young.contains_key(&digest) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Scopes, Tenants};
    use sha2::{Digest as _, Sha256};

    fn digest(number: usize) -> Digest {
        Digest(Sha256::digest(number.to_le_bytes()).into())
    }

    fn principal(subject: &str) -> Principal {
        Principal::new(subject, Tenants::All, Scopes::default())
    }

    #[test]
    fn it_forgets_what_has_expired_and_what_lost_its_key() {
        let cache = Cache::new(1000);
        cache.put(digest(1), 1, 100, principal("a"));
        assert_eq!(cache.get(digest(1), 1, 99), Some(principal("a")));
        assert_eq!(cache.get(digest(2), 1, 99), None);
        assert_eq!(cache.get(digest(1), 1, 100), None, "expired");
        assert_eq!(cache.get(digest(1), 2, 50), None, "the keys have changed");
        // A verification that began before the change ends after it.
        cache.put(digest(3), 2, 100, principal("c"));
        let same_shard = (4..).map(digest).find(|other| other.shard() == digest(3).shard()).unwrap();
        cache.put(same_shard, 1, 100, principal("b"));
        assert_eq!(cache.get(same_shard, 2, 50), None);
        assert_eq!(cache.get(same_shard, 1, 50), None);
        assert_eq!(cache.get(digest(3), 2, 50), Some(principal("c")));
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new(640);
        cache.put(digest(0), 1, 100, principal("used"));
        for number in 1..20_000 {
            cache.put(digest(number), 1, 100, principal("other"));
            assert_eq!(cache.get(digest(0), 1, 50), Some(principal("used")), "after {number}");
        }
        assert!(cache.len() <= 640, "{}", cache.len());
        assert!((1..20_000).filter(|number| cache.get(digest(*number), 1, 50).is_some()).count() > 100);
    }
}
