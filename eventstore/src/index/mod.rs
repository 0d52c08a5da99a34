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
mod audit;
mod files;
mod filter;
mod layers;
mod merge;
mod run;
mod summary;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use active::{Active, Stamp};
pub(crate) use audit::{Expected, Flaw, compare};
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
    use std::cell::Cell;

    thread_local! {
        static MASK: Cell<u64> = const { Cell::new(u64::MAX) };
    }

    pub(super) fn mask() -> u64 {
        MASK.get()
    }

    /// Leaves only the bits of `mask`, on this thread.
    pub(crate) fn leave(mask: u64) {
        MASK.set(mask);
    }
}
