//! All indexes of a log as one: runs, then frozen segments, then the one that is being written, oldest first and
//! without a gap. A view never changes; whoever changes something puts another in its place.

use super::active::Chain;
use super::run::Reader;
use super::{Active, Candidate, Part, Rotten, Run};
use crate::numbers::{LogOffset, Position};
use std::ops::Range;
use std::sync::Arc;

/// What there is at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Of the oldest segments.
    pub(crate) runs: Vec<Arc<Run>>,
    /// Of the segments after those; the last one is being written, the others are *frozen*.
    pub(crate) actives: Vec<Arc<Active>>,
}

/// One index of a view.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layer<'a> {
    Run(&'a Run),
    Active(&'a Active),
}

impl View {
    /// The layers, oldest first.
    pub(crate) fn layers(&self) -> impl DoubleEndedIterator<Item = Layer<'_>> {
        let runs = self.runs.iter().map(|run| Layer::Run(run));
        runs.chain(self.actives.iter().map(|active| Layer::Active(active)))
    }

    /// The last noted commit that begins before `position`.
    pub(crate) fn before(&self, position: Position) -> Result<Option<(Position, LogOffset)>, Rotten> {
        for layer in self.layers().rev() {
            let found = match layer {
                Layer::Run(run) if run.info.first < position => run.before(position)?,
                Layer::Active(active) if active.first < position => active.before(position),
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Number of the newest entry under a hash, whatever its name.
    pub(crate) fn newest_number(&self, part: Part, hash: u64) -> Result<Option<u64>, Rotten> {
        for layer in self.layers().rev() {
            let newest = match layer {
                Layer::Active(active) => active.newest_number(part, hash),
                Layer::Run(run) => match Found::in_run(run, part, hash)? {
                    Some(mut found) => Some(found.get(found.len() - 1)?.number),
                    None => None,
                },
            };
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }
}

impl<'a> Layer<'a> {
    /// The entries under a hash.
    pub(crate) fn find(self, part: Part, hash: u64) -> Result<Option<Found<'a>>, Rotten> {
        match self {
            Self::Run(run) => Found::in_run(run, part, hash),
            Self::Active(active) => Ok(active.find(part, hash).map(|chain| match chain {
                Chain::Linked { newest, len } => Found::Chain { active, part, newest, len },
                Chain::Sorted(sorted) => Found::Sorted(sorted),
            })),
        }
    }
}

/// The entries under one hash in one layer: sorted by number, addressed from 0.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Chain { active: &'a Active, part: Part, newest: u32, len: u32 },
    Sorted(Vec<Candidate>),
    Run { reader: Reader<'a>, range: Range<u64> },
}

impl<'a> Found<'a> {
    pub(super) fn in_run(run: &'a Run, part: Part, hash: u64) -> Result<Option<Self>, Rotten> {
        if !run.may_hold(part, hash)? {
            return Ok(None);
        }
        let mut reader = run.reader(part);
        let range = reader.equal_range(hash)?;
        Ok((!range.is_empty()).then_some(Self::Run { reader, range }))
    }

    /// How many; never 0.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Chain { len, .. } => u64::from(*len),
            Self::Sorted(sorted) => sorted.len() as u64,
            Self::Run { range, .. } => range.end - range.start,
        }
    }

    /// The first one whose number is at least `number`; `len` if there is none.
    pub(crate) fn lower_bound(&mut self, number: u64) -> Result<u64, Rotten> {
        match self {
            Self::Chain { active, part, newest, .. } => Ok(active.lower_bound(*part, *newest, number).into()),
            Self::Sorted(sorted) => Ok(sorted.partition_point(|found| found.number < number) as u64),
            Self::Run { reader, range } => Ok(reader.lower_bound(range.clone(), number)? - range.start),
        }
    }

    /// Appends those in `range` to `out`.
    pub(crate) fn read(&mut self, wanted: Range<u64>, out: &mut Vec<Candidate>) -> Result<(), Rotten> {
        // A chain and what is sorted are of one segment: they have fewer than 2^32 entries.
        let narrow = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        match self {
            Self::Chain { active, part, newest, .. } => {
                active.read(*part, *newest, narrow(wanted.start)..narrow(wanted.end), out);
                Ok(())
            }
            Self::Sorted(sorted) => {
                let (from, to) = (narrow(wanted.start) as usize, narrow(wanted.end) as usize);
                out.extend_from_slice(sorted.get(from..to).unwrap_or_default());
                Ok(())
            }
            Self::Run { reader, range } => {
                reader.read(range.start + wanted.start..range.start + wanted.end, out)
            }
        }
    }

    /// One of them.
    pub(crate) fn get(&mut self, at: u64) -> Result<Candidate, Rotten> {
        let mut out = Vec::with_capacity(1);
        self.read(at..at + 1, &mut out)?;
        // Callers stay below `len`.
        Ok(out.first().copied().unwrap_or(Candidate { number: 0, place: LogOffset::default() }))
    }
}
