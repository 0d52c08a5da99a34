//! Merging the entries of adjacent runs into one sorted sequence.

use super::run::{Reader, Run};
use super::{Entry, Part, Rotten};
use std::sync::Arc;

/// Entries of one part of several runs, in order. They are few runs, so the smallest head is found by looking at all.
pub(super) struct Merge<'a> {
    heads: Vec<Head<'a>>,
}

struct Head<'a> {
    reader: Reader<'a>,
    entry: Option<Entry>,
    next: u64,
    end: u64,
}

impl Head<'_> {
    fn step(&mut self) -> Result<(), Rotten> {
        self.entry = if self.next < self.end { Some(self.reader.entry(self.next)?) } else { None };
        self.next += 1;
        Ok(())
    }
}

impl<'a> Merge<'a> {
    pub(super) fn new(runs: &'a [Arc<Run>], part: Part) -> Self {
        let head = |run: &'a Arc<Run>| Head {
            reader: run.reader(part),
            entry: None,
            next: 0,
            end: run.part(part).entries,
        };
        Self { heads: runs.iter().map(head).collect() }
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Entry, Rotten>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut smallest: Option<usize> = None;
        for at in 0..self.heads.len() {
            let head = &mut self.heads[at];
            if head.entry.is_none()
                && head.next < head.end
                && let Err(rotten) = head.step()
            {
                return Some(Err(rotten));
            }
            let entry = self.heads[at].entry;
            if entry.is_some() && smallest.is_none_or(|best| entry < self.heads[best].entry) {
                smallest = Some(at);
            }
        }
        let head = &mut self.heads[smallest?];
        let entry = head.entry.take();
        entry.map(Ok)
    }
}
