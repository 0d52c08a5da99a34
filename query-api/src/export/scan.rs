//! The log from one position to another, as lines, chunk by chunk.
//!
//! Reading touches mapped pages, which may have to come from the disk: call it on blocking threads.

use crate::envelope::{Members, write_line};
use crate::selection::Wanted;
use eventstore::{Commits, Filter, Log, Position, ReadError, RecordedCommit, Subscription};
use std::time::Duration;

/// A chunk is closed once it has this many bytes …
const CHUNK_BYTES: usize = 256 << 10;
/// … after the commit that brought them, or before its end once there are this many more.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Commits that are looked at for one chunk, wanted or not: a place among the reads is not kept for longer.
const LOOKS_MAX: usize = 10_000;

/// Lines.
pub(super) type Chunk = Vec<u8>;

/// A place in the log on the way to the end.
#[derive(Debug)]
pub(crate) struct Scan {
    wanted: Wanted,
    members: Members,
    way: Way,
    /// A commit of which only what is before `at` has been looked at.
    open: Option<RecordedCommit>,
    at: Position,
    end: Position,
    /// Events that may still be taken.
    left: u64,
}

/// How commits are found.
#[derive(Debug)]
enum Way {
    /// One after the other.
    All(Box<Commits>),
    /// By the index.
    Indexed(Box<Subscription>),
}

impl Scan {
    /// What is wanted of everything from `at` to `end`, which must have been published, and no more events than `limit`.
    pub(crate) fn new(
        log: &Log,
        wanted: Wanted,
        members: Members,
        at: Position,
        end: Position,
        limit: u64,
    ) -> Self {
        let parts = match &wanted.filter {
            Filter::Every(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        // By the index where it knows; what a subscription finds without one, the commits give for less.
        let is_indexed = parts.iter().any(|part| matches!(part, Filter::Stream(_) | Filter::Tag(_)));
        let way = if is_indexed {
            Way::Indexed(Box::new(log.subscribe(wanted.filter.clone(), at)))
        } else {
            Way::All(Box::new(log.commits(at)))
        };
        Self { wanted, members, way, open: None, at, end, left: limit }
    }

    /// Whether the token of whoever asked has to be looked at again.
    pub(super) fn is_expired(&self) -> bool {
        self.wanted.audience.time_left().is_some_and(|left| left.is_zero())
    }

    pub(super) fn is_over(&self) -> bool {
        self.at >= self.end || self.left == 0
    }

    /// The next lines; none, where nothing of what was looked at is wanted.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub(super) fn chunk(&mut self) -> Result<Chunk, ReadError> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2));
        let mut looks = 0;
        while !self.is_over() && chunk.len() < CHUNK_BYTES && looks < LOOKS_MAX {
            looks += 1;
            let commit = match self.open.take() {
                Some(commit) => commit,
                None => match self.next_commit()? {
                    Some(commit) => commit,
                    None => continue,
                },
            };
            if self.write(&commit, &mut chunk)? {
                self.at = self.at.max(commit.next());
            } else {
                self.open = Some(commit);
            }
        }
        Ok(chunk)
    }

    /// The next commit that may hold something; nothing when only the place has moved.
    fn next_commit(&mut self) -> Result<Option<RecordedCommit>, ReadError> {
        let (commit, at) = match &mut self.way {
            Way::All(commits) => {
                let commit = commits.next().transpose()?;
                // There is always one before the end, which has been published.
                let at = commit.as_ref().map_or(self.end, RecordedCommit::first);
                (commit, at)
            }
            Way::Indexed(subscription) => match subscription.wait(Duration::ZERO)? {
                Some(delivery) => match delivery.commit() {
                    Some(commit) => (Some(commit.clone()), commit.first()),
                    None => (None, delivery.checkpoint().next),
                },
                None => (None, self.at),
            },
        };
        self.at = self.at.max(at);
        Ok(commit)
    }

    /// Writes what is wanted of a commit; false when the chunk was full before its end.
    fn write(&mut self, commit: &RecordedCommit, chunk: &mut Chunk) -> Result<bool, ReadError> {
        let (from, end) = (self.at, self.end);
        let mut seen = commit.first();
        for event in commit.events() {
            seen = event.position().plus(1);
            if seen <= from {
                continue;
            }
            if event.position() >= end || self.left == 0 {
                return Ok(true);
            }
            if chunk.len() >= CHUNK_BYTES_MAX {
                return Ok(false);
            }
            if self.wanted.filter.matches(&event) && self.wanted.takes(&event) {
                write_line(chunk, &event, self.members);
                self.left -= 1;
            }
            self.at = seen;
        }
        if seen == commit.next() {
            return Ok(true);
        }
        // Bytes that rot between the check of their sum and now would end the list of events early.
        let place = commit.place();
        let reason = "its events cannot be read to the end".to_owned();
        Err(ReadError::Damaged { segment: place.segment(), offset: place.offset(), reason })
    }
}
