//! The index of one segment while it is written, and until its run is on disk. It holds no names: per entry 24 bytes
//! and a share of a hash map.
//!
//! Entries of one hash form a chain from the newest to the oldest. Beside its predecessor every link knows one further
//! back (a *jump*, by Myers' rule: as far as the skew-binary digits of its depth allow), so that any link of a chain is
//! found in a logarithmic number of steps; a stream that fills a whole segment would be quadratic to page through
//! otherwise.

use super::{COMMITS_PER_NOTE, Candidate, CommitSummary, Entry, Part};
use crate::numbers::{LogOffset, Position, Timestamp, Version};
use parking_lot::{RwLock, RwLockWriteGuard};
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::{Index, Range};

const NONE: u32 = u32::MAX;

/// The index of one segment, in memory.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: u32,
    /// Of the segment: no commit in it begins before.
    pub(crate) first: Position,
    tables: RwLock<Tables>,
}

/// What the writer has assigned to a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) place: LogOffset,
    pub(crate) first: Position,
}

/// The tables, to be added to.
pub(crate) struct Adding<'a> {
    tables: RwLockWriteGuard<'a, Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    chains: [Chains; 3],
    /// Hashes of streams under which versions do not rise: two streams share it.
    mixed: FxHashSet<u64>,
    /// First position and place of every so many commits.
    positions: Vec<(Position, u32)>,
    commits: u64,
    /// Of the last frame of any kind.
    recorded_at: Timestamp,
}

/// Chains by their hash, and their links.
///
/// A segment has hundreds of thousands of entries, and everybody waits for the writer while it adds one. So neither table
/// ever grows as a whole: links lie in chunks that stay where they are, and the map is many small ones.
#[derive(Debug, Default)]
struct Chains {
    newest: Newest,
    links: Links,
}

/// The newest link of every chain, by its hash.
#[derive(Debug)]
struct Newest(Vec<FxHashMap<u64, u32>>);

/// Small maps that a map is made of.
const MAPS: usize = 256;

impl Default for Newest {
    fn default() -> Self {
        Self(vec![FxHashMap::default(); MAPS])
    }
}

impl Newest {
    /// Bits of a hash that say which map it is in; a map itself looks at the lowest ones and the highest ones.
    fn map(hash: u64) -> usize {
        (hash >> 40) as usize % MAPS
    }

    fn get(&self, hash: u64) -> Option<u32> {
        self.0[Self::map(hash)].get(&hash).copied()
    }

    fn insert(&mut self, hash: u64, newest: u32) -> Option<u32> {
        self.0[Self::map(hash)].insert(hash, newest)
    }

    fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.0.iter().flatten().map(|(hash, newest)| (*hash, *newest))
    }
}

/// Links by their number.
#[derive(Debug, Default)]
struct Links(Vec<Vec<Link>>);

/// Links of a chunk: 96 KiB.
const CHUNK: usize = 4096;

impl Links {
    fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    fn push(&mut self, link: Link) {
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(link),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(link);
                self.0.push(chunk);
            }
        }
    }

    fn get(&self, at: u32) -> Option<&Link> {
        self.0.get(at as usize / CHUNK)?.get(at as usize % CHUNK)
    }
}

impl Index<u32> for Links {
    type Output = Link;

    fn index(&self, at: u32) -> &Link {
        &self.0[at as usize / CHUNK][at as usize % CHUNK]
    }
}

#[derive(Debug, Clone, Copy)]
struct Link {
    number: u64,
    /// Offset / 8 in the segment.
    place: u32,
    previous: u32,
    jump: u32,
    /// Number of links before it in its chain.
    depth: u32,
}

impl Chains {
    /// Adds an entry; false when its number is below its predecessor's.
    fn push(&mut self, hash: u64, number: u64, place: u32) -> bool {
        // Every entry takes more than two bytes of a segment of at most 4 GiB, so u32 counts them.
        let at = u32::try_from(self.links.len()).unwrap_or(NONE);
        let Some(previous) = self.newest.insert(hash, at) else {
            self.links.push(Link { number, place, previous: NONE, jump: at, depth: 0 });
            return true;
        };
        let before = self.links[previous];
        let further = self.links[before.jump];
        let furthest = self.links[further.jump];
        let even = before.depth - further.depth == further.depth - furthest.depth;
        let jump = if even { further.jump } else { previous };
        self.links.push(Link { number, place, previous, jump, depth: before.depth + 1 });
        number >= before.number
    }

    /// Depth of the first link of the chain whose number is at least `number`; one past the newest if there is none.
    fn lower_bound(&self, newest: u32, number: u64) -> u32 {
        let mut link = self.links[newest];
        if link.number < number {
            return link.depth + 1;
        }
        while link.depth > 0 {
            let jump = self.links[link.jump];
            let previous = self.links[link.previous];
            link = match () {
                () if jump.number >= number => jump,
                () if previous.number >= number => previous,
                () => break,
            };
        }
        link.depth
    }

    fn at_depth(&self, newest: u32, depth: u32) -> Link {
        let mut link = self.links[newest];
        while link.depth > depth {
            let jump = self.links[link.jump];
            link = if jump.depth >= depth { jump } else { self.links[link.previous] };
        }
        link
    }

    /// The links of these depths, oldest first.
    fn read(&self, newest: u32, depths: Range<u32>, mut visit: impl FnMut(&Link)) {
        let Some(last) = depths.end.checked_sub(1).filter(|last| *last >= depths.start) else {
            return;
        };
        let mut backward = Vec::with_capacity(depths.len());
        let mut link = self.at_depth(newest, last);
        while link.depth > depths.start {
            backward.push(link);
            link = self.links[link.previous];
        }
        backward.push(link);
        backward.iter().rev().for_each(&mut visit);
    }
}

impl Active {
    pub(crate) fn new(segment: u32, first: Position) -> Self {
        Self { segment, first, tables: RwLock::default() }
    }

    pub(crate) fn add(&self) -> Adding<'_> {
        Adding { tables: self.tables.write() }
    }

    pub(crate) fn recorded_at(&self) -> Timestamp {
        self.tables.read().recorded_at
    }

    /// Number of the newest entry under a hash.
    pub(crate) fn newest_number(&self, part: Part, hash: u64) -> Option<u64> {
        let tables = self.tables.read();
        let chains = &tables.chains[part as usize];
        chains.newest.get(hash).map(|newest| chains.links[newest].number)
    }

    /// The newest entry under a hash and the number of entries there; those in disorder come sorted.
    pub(super) fn find(&self, part: Part, hash: u64) -> Option<Chain> {
        let tables = self.tables.read();
        let chains = &tables.chains[part as usize];
        let newest = chains.newest.get(hash)?;
        let len = chains.links[newest].depth + 1;
        if part == Part::Streams && tables.mixed.contains(&hash) {
            let mut sorted = Vec::with_capacity(len as usize);
            chains.read(newest, 0..len, |link| sorted.push(self.candidate(link)));
            sorted.sort_unstable();
            return Some(Chain::Sorted(sorted));
        }
        Some(Chain::Linked { newest, len })
    }

    pub(super) fn lower_bound(&self, part: Part, newest: u32, number: u64) -> u32 {
        self.tables.read().chains[part as usize].lower_bound(newest, number)
    }

    pub(super) fn read(&self, part: Part, newest: u32, depths: Range<u32>, out: &mut Vec<Candidate>) {
        let tables = self.tables.read();
        tables.chains[part as usize].read(newest, depths, |link| out.push(self.candidate(link)));
    }

    fn candidate(&self, link: &Link) -> Candidate {
        Candidate { number: link.number, place: self.place(link.place) }
    }

    fn place(&self, place: u32) -> LogOffset {
        LogOffset::new(self.segment, u64::from(place) << 3)
    }

    /// The last noted commit that begins before `position`.
    pub(crate) fn before(&self, position: Position) -> Option<(Position, LogOffset)> {
        let tables = self.tables.read();
        let after = tables.positions.partition_point(|(first, _)| *first < position);
        let (first, place) = *tables.positions.get(after.checked_sub(1)?)?;
        Some((first, self.place(place)))
    }

    /// All entries of a part, sorted as a run has them.
    pub(super) fn sorted(&self, part: Part) -> Vec<Entry> {
        let tables = self.tables.read();
        if part == Part::Positions {
            let entry = |(first, place): &(Position, u32)| Entry {
                hash: first.get(),
                number: 0,
                place: self.place(*place),
            };
            return tables.positions.iter().map(entry).collect();
        }
        let chains = &tables.chains[part as usize];
        let mut entries = Vec::with_capacity(chains.links.len());
        for (hash, newest) in chains.newest.iter() {
            let mut at = newest;
            while let Some(link) = chains.links.get(at) {
                entries.push(Entry { hash, number: link.number, place: self.place(link.place) });
                at = link.previous;
            }
        }
        entries.sort_unstable();
        entries
    }
}

/// The entries under one hash.
#[derive(Debug)]
pub(super) enum Chain {
    Linked { newest: u32, len: u32 },
    Sorted(Vec<Candidate>),
}

impl Adding<'_> {
    /// Takes in a commit. `bases` are the base versions of its streams, in the order of the table.
    pub(crate) fn commit(
        &mut self,
        stamp: Stamp,
        bases: impl Iterator<Item = Version>,
        summary: &CommitSummary,
    ) {
        let tables = &mut *self.tables;
        // An offset / 8 of a place is 32 bits wide.
        let place = u32::try_from(stamp.place.offset() >> 3).unwrap_or(u32::MAX);
        for ((hash, above), base) in summary.streams().iter().zip(bases) {
            let number = base.plus(u64::from(*above)).get();
            if !tables.chains[Part::Streams as usize].push(*hash, number, place) {
                tables.mixed.insert(*hash);
            }
        }
        for (hash, index) in summary.tags() {
            let position = stamp.first.plus(u64::from(*index));
            tables.chains[Part::Tags as usize].push(*hash, position.get(), place);
        }
        for (hash, _) in summary.commands() {
            tables.chains[Part::Commands as usize].push(*hash, 0, place);
        }
        if tables.commits.is_multiple_of(COMMITS_PER_NOTE) {
            tables.positions.push((stamp.first, place));
        }
        tables.commits += 1;
    }

    /// Takes in when a frame of any kind was recorded.
    pub(crate) fn recorded(&mut self, at: Timestamp) {
        self.tables.recorded_at = self.tables.recorded_at.max(at);
    }
}
