//! Everything that was committed, in order of position.

use crate::error::ReadError;
use crate::numbers::{LogOffset, Position};
use crate::recorded::RecordedCommit;
use crate::tail::Shared;
use std::sync::Arc;

/// Commits whose places are fetched from the index at a time.
const FETCH: usize = 256;

/// Iterates over whole commits. Blocks on cold page faults only.
#[derive(Debug)]
pub struct Commits {
    shared: Arc<Shared>,
    next_commit: usize,
    from: Position,
    fetched: Vec<LogOffset>,
    at: usize,
}

impl Commits {
    pub(crate) fn new(shared: Arc<Shared>, next_commit: usize, from: Position) -> Self {
        Self { shared, next_commit, from, fetched: Vec::new(), at: 0 }
    }
}

impl Iterator for Commits {
    type Item = Result<RecordedCommit, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.at == self.fetched.len() {
                let index = self.shared.index.read();
                self.fetched.clear();
                self.fetched.extend(index.commits(self.next_commit, FETCH).iter().map(|(_, place)| *place));
                self.at = 0;
                self.next_commit += self.fetched.len();
            }
            let place = *self.fetched.get(self.at)?;
            self.at += 1;
            match self.shared.commit_at(place) {
                // The commit before `from` when nothing stands at `from` yet.
                Ok(commit) if commit.next() <= self.from && commit.first() < self.from => {}
                other => return Some(other),
            }
        }
    }
}
