//! Where things are: streams, tags, commands and positions to places in the log.
//!
//! The segment being written is indexed in memory ([`Active`]); a segment that has ended becomes part of a *run*, a
//! sorted, immutable file of `<data-dir>/index/` ([`Run`]), and runs are merged in tiers, so that memory is bounded and a
//! lookup asks a logarithmic number of filters. Byte tables are in `FORMAT.md` (Index runs).
//!
//! Two rules make that exact. Names are kept as 64-bit hashes, and hashes collide: every answer is checked against the
//! real name in the log. And an index is never authoritative: what is missing, foreign or rotten is built anew from
//! the segments, so a bad index can cost time, never a wrong answer.

mod active;
mod files;
mod filter;
mod layers;
mod merge;
mod run;
mod summary;
mod write;

pub(crate) use active::{Active, Stamp};
pub(crate) use files::{RunFiles, next_merge};
pub(crate) use layers::{Found, View};
pub(crate) use run::{Run, RunInfo};
pub(crate) use summary::CommitSummary;
pub(crate) use write::{Content, WriteError, in_memory, of_active, of_runs, save};

use crate::names::CommandId;
use crate::numbers::LogOffset;

/// Every how many commits the place of a position is noted.
const COMMITS_PER_NOTE: u64 = 64;

/// What an index knows about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Number: the last version that a commit gives the stream.
    Streams = 0,
    /// Number: position of the newest event with the tag in a commit.
    Tags = 1,
    /// Number: 0.
    Commands = 2,
    /// In the place of a hash the first position of a commit; not of every commit.
    Positions = 3,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Streams, Self::Tags, Self::Commands, Self::Positions];
}

/// One entry: that the commit at `place` has to do with what hashes to `hash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) number: u64,
    pub(crate) place: LogOffset,
}

/// An entry found by its hash: right, unless the name at the place is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) number: u64,
    pub(crate) place: LogOffset,
}

/// A run whose bytes are not what was written: it covers these segments and has to be built anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotten {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// Hash of a stream's or tag's name. Unseeded, because it stands on disk.
pub(crate) fn hash_name(name: &str) -> u64 {
    hash(name.as_bytes())
}

/// Hash of a command's id.
pub(crate) fn hash_command(id: &CommandId) -> u64 {
    hash(id.as_bytes())
}

#[cfg(not(test))]
fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

#[cfg(test)]
fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes) & collisions::mask()
}

/// Collisions at will: tests leave only a few bits of every hash.
#[cfg(test)]
pub(crate) mod collisions {
    use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    static MASK: AtomicU64 = AtomicU64::new(u64::MAX);
    static IN_USE: RwLock<()> = RwLock::new(());

    pub(super) fn mask() -> u64 {
        MASK.load(Relaxed)
    }

    /// Leaves only the bits of `mask` until it is dropped.
    pub(crate) struct Colliding(#[allow(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>);

    pub(crate) fn with_mask(mask: u64) -> Colliding {
        let guard = IN_USE.write();
        MASK.store(mask, Relaxed);
        Colliding(guard)
    }

    /// Keeps collisions away until it is dropped.
    pub(crate) fn none() -> RwLockReadGuard<'static, ()> {
        IN_USE.read()
    }

    impl Drop for Colliding {
        fn drop(&mut self) {
            MASK.store(u64::MAX, Relaxed);
        }
    }
}
