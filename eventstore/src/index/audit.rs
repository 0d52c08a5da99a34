//! Whether a run says of its segments what they come to: every entry, every filter, every byte.
//!
//! ```text
//!  segments ─▶ expected entries ─▶ keyed sums ──┐
//!                                               ├─ equal: the run has exactly these entries
//!  run ─▶ its entries, in order ─▶ keyed sums ──┘
//!   └──▶ written again from its own entries ═══ the same bytes: filters, fences, header, padding
//! ```
//!
//! Invariant: what is held is a few numbers a segment, however large the index. The key is drawn for each verification, so nobody
//! can choose entries whose sums come out alike.

use super::merge::Merge;
use super::run::{Run, encode_entry};
use super::write::{Sink, WriteError, of_runs, write};
use super::{CommitSummary, Entry, Part, Rotten};
use crate::numbers::{LogOffset, Position, Timestamp, Version};
use std::io;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Entries that were added up in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) entries: u64,
    sum: u128,
}

impl Sum {
    fn add(&mut self, entry: &Entry, key: u64) {
        self.entries += 1;
        self.sum = self.sum.wrapping_add(xxh3_128_with_seed(&encode_entry(entry), key));
    }

    fn join(&mut self, other: Self) {
        self.entries += other.entries;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// What a segment comes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    parts: [Sum; 4],
    commits: u64,
    recorded_at: Timestamp,
    key: u64,
}

impl Expected {
    /// Of no frames.
    pub(crate) fn new(key: u64) -> Self {
        Self { parts: [Sum::default(); 4], commits: 0, recorded_at: Timestamp::new(i64::MIN), key }
    }

    /// Takes in the next commit of the segment. `bases` are the base versions of its streams.
    pub(crate) fn commit(
        &mut self,
        place: LogOffset,
        first: Position,
        bases: impl Iterator<Item = Version>,
        summary: &CommitSummary,
    ) {
        let Self { parts, commits, key, .. } = self;
        let mut add = |part: Part, hash, number| {
            parts[part as usize].add(&Entry { hash, number, place }, *key);
        };
        for ((hash, above), base) in summary.streams().iter().zip(bases) {
            add(Part::Streams, *hash, base.plus(u64::from(*above)).get());
        }
        for (hash, index) in summary.tags() {
            add(Part::Tags, *hash, first.plus(u64::from(*index)).get());
        }
        for (hash, _) in summary.commands() {
            add(Part::Commands, *hash, 0);
        }
        if commits.is_multiple_of(super::COMMITS_PER_NOTE) {
            add(Part::Positions, first.get(), 0);
        }
        *commits += 1;
    }

    /// Takes in when a frame of any kind was recorded.
    pub(crate) fn recorded(&mut self, at: Timestamp) {
        self.recorded_at = self.recorded_at.max(at);
    }

    /// Of this segment and another one.
    pub(crate) fn join(&mut self, other: &Self) {
        for (sum, other) in self.parts.iter_mut().zip(other.parts) {
            sum.join(other);
        }
        self.recorded_at = self.recorded_at.max(other.recorded_at);
    }
}

/// What is wrong with a run.
#[derive(Debug)]
pub(crate) enum Flaw {
    /// A checksum fails.
    Rotten,
    /// Its checksums are right.
    Differs { what: String, expected: String, actual: String },
}

impl From<Rotten> for Flaw {
    fn from(_: Rotten) -> Self {
        Self::Rotten
    }
}

/// Compares a run with what its segments come to; answers with the number of entries.
pub(crate) fn compare(run: &Arc<Run>, expected: &Expected) -> Result<u64, Flaw> {
    let differs = |what: &str, expected: &dyn ToString, actual: &dyn ToString| Flaw::Differs {
        what: what.to_owned(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    };
    if run.info.recorded_at != expected.recorded_at {
        let (should, is) = (expected.recorded_at, run.info.recorded_at);
        return Err(differs("the time of the last frame in its header is another", &should, &is));
    }
    let runs = [Arc::clone(run)];
    let mut entries = 0;
    for part in Part::ALL {
        let (mut sum, mut last) = (Sum::default(), None);
        for entry in Merge::new(&runs, part) {
            let entry = entry?;
            if last.is_some_and(|last| last > entry) {
                return Err(differs(
                    &format!("the entries of its {} are out of order", name(part)),
                    &"order",
                    &"disorder",
                ));
            }
            last = Some(entry);
            sum.add(&entry, expected.key);
        }
        let should = expected.parts[part as usize];
        if sum.entries != should.entries {
            return Err(differs(
                &format!("the number of its {} is another", name(part)),
                &should.entries,
                &sum.entries,
            ));
        }
        if sum != should {
            let what = format!("its {} are not those of its segments", name(part));
            return Err(differs(&what, &format!("{:032x}", should.sum), &format!("{:032x}", sum.sum)));
        }
        entries += sum.entries;
    }
    let mut sink = Comparing { bytes: run.all(), at: 0, differs_at: None };
    match write(&mut sink, &run.info, &of_runs(&runs)) {
        Ok(()) => {}
        Err(WriteError::Rotten(rotten)) => return Err(rotten.into()),
        // This sink does not fail.
        Err(WriteError::Io(_)) => return Err(Flaw::Rotten),
    }
    let at = sink.differs_at.or_else(|| (sink.at != sink.bytes.len()).then_some(sink.at));
    match at {
        None => Ok(entries),
        Some(at) => {
            let what = format!(
                "its entries are right, but filters, fences or header are not what they come to, from byte {at} on"
            );
            let byte = |bytes: &[u8]| {
                bytes.get(at).map_or_else(|| "nothing".to_owned(), |byte| format!("{byte:#04x}"))
            };
            Err(differs(&what, &"what an encoder makes of the entries", &byte(sink.bytes)))
        }
    }
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Streams => "streams",
        Part::Tags => "tags",
        Part::Commands => "commands",
        Part::Positions => "positions",
    }
}

/// Compares with bytes instead of writing them.
struct Comparing<'a> {
    bytes: &'a [u8],
    at: usize,
    differs_at: Option<usize>,
}

impl Comparing<'_> {
    fn compare(&mut self, at: usize, bytes: &[u8]) {
        let there = self.bytes.get(at..).unwrap_or_default();
        if self.differs_at.is_none() && !there.starts_with(bytes) {
            let same = there.iter().zip(bytes).take_while(|(there, byte)| there == byte).count();
            self.differs_at = Some(at + same);
        }
    }
}

impl Sink for Comparing<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        // The header is filled in at the end.
        if self.at > 0 {
            self.compare(self.at, bytes);
        }
        self.at += bytes.len();
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.at as u64
    }

    fn finish(&mut self, header: &[u8]) -> io::Result<()> {
        self.compare(0, header);
        Ok(())
    }
}
