//! The writer as a state machine without I/O: it decides what a commit becomes, and stamps what the writer assigns.
//!
//! Expectations, guards and command ids are checked against *pending* heads: what is published, plus what groups on
//! their way to the disk have taken in. Nothing is answered from here; the engine answers once the group is durable, so
//! no answer ever rests on something that might still be lost.

use crate::commit::{ExpectedVersion, Guard, Outcome, PreparedCommit};
use crate::digest::{self, Link};
use crate::error::{AppendError, ReadError};
use crate::format::frame::{FrameHeader, FrameKind};
use crate::names::{CommandId, Fingerprint, StreamId, Tag};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::receipt::{Durability, Receipt};
use crate::recorded::FoundCommand;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use uuid::Uuid;

/// What is published, as far as decisions need to know it.
pub(crate) trait Published {
    fn stream_version(&self, stream: &StreamId) -> Result<Option<Version>, ReadError>;
    fn newest_with_tag(&self, tag: &Tag) -> Result<Option<Position>, ReadError>;
    fn find_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError>;
}

/// A commit with everything that the writer assigns but what is durable when it is written: that is stamped last.
#[derive(Debug)]
pub(crate) struct Stamped {
    pub(crate) header: FrameHeader,
    pub(crate) base_versions: Vec<Version>,
    pub(crate) receipt: Receipt,
}

/// What a commit becomes.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A frame to be written.
    Append(Box<Stamped>),
    /// Its commands were carried out before.
    Duplicate(Receipt),
    /// It is refused.
    Refuse(AppendError),
}

/// The state between commits.
#[derive(Debug)]
pub(crate) struct Sequencer {
    store: Uuid,
    epoch: u32,
    next: Position,
    chain: Digest,
    recorded_at: Timestamp,
    durability: Durability,
    /// Of the groups on their way to the disk, oldest first.
    closed: VecDeque<Pending>,
    /// Of the group that is being collected.
    open: Pending,
    /// Empty tables of groups that were published, to be used again.
    spare: Vec<Pending>,
}

/// A command that was carried out.
#[derive(Debug, Clone)]
struct Known {
    fingerprint: Fingerprint,
    /// Chain head after its commit, which names that commit among all others.
    chain: Digest,
    /// Shared by all commands of a commit: it names every stream of the commit, and there may be as many of these as of
    /// those.
    receipt: Arc<Receipt>,
}

/// What a group that is not published yet has changed.
#[derive(Debug, Default)]
struct Pending {
    heads: FxHashMap<StreamId, Version>,
    newest_with_tag: FxHashMap<Tag, Position>,
    commands: FxHashMap<CommandId, Known>,
}

/// Entries of a group whose tables are used again: emptying long ones takes longer than making short ones.
const SPARE_ENTRIES_MAX: usize = 32_768;
/// Tables that are kept: of one group more than are mostly on their way.
const SPARE_MAX: usize = 3;

impl Pending {
    /// Entries that its tables have room for.
    fn room(&self) -> usize {
        self.heads.capacity() + self.newest_with_tag.capacity() + self.commands.capacity()
    }

    fn clear(&mut self) {
        let Self { heads, newest_with_tag, commands } = self;
        heads.clear();
        newest_with_tag.clear();
        commands.clear();
    }
}

impl Sequencer {
    pub(crate) fn new(
        store: Uuid,
        epoch: u32,
        next: Position,
        chain: Digest,
        recorded_at: Timestamp,
        durability: Durability,
    ) -> Self {
        Self {
            store,
            epoch,
            next,
            chain,
            recorded_at,
            durability,
            closed: VecDeque::new(),
            open: Pending::default(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn next(&self) -> Position {
        self.next
    }

    pub(crate) fn chain(&self) -> Digest {
        self.chain
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Decides about a commit. What it takes in counts for the commits after it at once.
    pub(crate) fn sequence(
        &mut self,
        commit: &PreparedCommit,
        published: &impl Published,
        now: Timestamp,
    ) -> Verdict {
        match self.known_commands(commit, published) {
            Ok(None) => {}
            Ok(Some(receipt)) => return Verdict::Duplicate(receipt),
            Err(error) => return Verdict::Refuse(error),
        }
        let mut base_versions = Vec::with_capacity(commit.streams.len());
        for touched in &commit.streams {
            let current = match self.stream_version(&touched.id, published) {
                Ok(current) => current,
                Err(error) => return Verdict::Refuse(unreadable(&error)),
            };
            if !touched.expected.holds(current) {
                return Verdict::Refuse(wrong_version(&touched.id, touched.expected, current));
            }
            base_versions.push(current.map_or(Version::ZERO, |version| version.plus(1)));
        }
        for guard in &commit.guards {
            match self.current(guard, published) {
                Ok(current) if holds(guard, current) => {}
                Ok(current) => {
                    return Verdict::Refuse(AppendError::GuardFailed { guard: guard.clone(), current });
                }
                Err(error) => return Verdict::Refuse(unreadable(&error)),
            }
        }
        Verdict::Append(Box::new(self.take_in(commit, base_versions, now)))
    }

    /// A mark or a seal at the current place.
    pub(crate) fn vouch(&mut self, kind: FrameKind, now: Timestamp) -> FrameHeader {
        self.recorded_at = self.recorded_at.max(now);
        FrameHeader {
            kind,
            streams: 0,
            events: 0,
            body_len: 0,
            body_crc: crc32fast::hash(&[]),
            epoch: self.epoch,
            first: self.next,
            recorded_at: self.recorded_at,
            durable_upto: Position::ZERO,
            durable_end: LogOffset::default(),
            chain: self.chain,
        }
    }

    /// The open group is on its way to the disk; another one is begun.
    pub(crate) fn close_group(&mut self) {
        let open = self.spare.pop().unwrap_or_default();
        self.closed.push_back(std::mem::replace(&mut self.open, open));
    }

    /// The oldest group is indexed: from now on `Published` knows it.
    pub(crate) fn group_is_published(&mut self) {
        if let Some(mut published) = self.closed.pop_front()
            && self.spare.len() < SPARE_MAX
            && published.room() <= SPARE_ENTRIES_MAX
        {
            published.clear();
            self.spare.push(published);
        }
    }

    /// Groups on their way.
    pub(crate) fn unpublished(&self) -> usize {
        self.closed.len()
    }

    /// What the newest group says that says anything.
    fn pending<T>(&self, look: impl Fn(&Pending) -> Option<T>) -> Option<T> {
        std::iter::once(&self.open).chain(self.closed.iter().rev()).find_map(look)
    }

    fn known_commands(
        &self,
        commit: &PreparedCommit,
        published: &impl Published,
    ) -> Result<Option<Receipt>, AppendError> {
        let mut known: Option<Known> = None;
        for (index, record) in commit.commands.iter().enumerate() {
            let found = match self.pending(|group| group.commands.get(&record.id).cloned()) {
                Some(known) => Some(known),
                None => {
                    published.find_command(&record.id).map_err(|error| unreadable(&error))?.map(|found| {
                        let receipt = Arc::new(found.receipt);
                        Known { fingerprint: found.fingerprint, chain: found.chain, receipt }
                    })
                }
            };
            match (found, &known) {
                (Some(found), _) if found.fingerprint != record.fingerprint => {
                    return Err(AppendError::CommandReused { command: record.id });
                }
                (Some(found), None) if index == 0 => known = Some(found),
                (Some(found), Some(first)) if found.chain == first.chain => {}
                (None, None) => {}
                _ => return Err(AppendError::CommandsSplit { command: record.id }),
            }
        }
        Ok(known.map(|known| Receipt {
            duplicate: true,
            durability: self.durability,
            ..Arc::unwrap_or_clone(known.receipt)
        }))
    }

    fn stream_version(
        &self,
        stream: &StreamId,
        published: &impl Published,
    ) -> Result<Option<Version>, ReadError> {
        match self.pending(|group| group.heads.get(stream).copied()) {
            Some(version) => Ok(Some(version)),
            None => published.stream_version(stream),
        }
    }

    /// Where that is which the guard is about.
    fn current(&self, guard: &Guard, published: &impl Published) -> Result<Option<u64>, ReadError> {
        match guard {
            Guard::StreamAt(stream, _) => Ok(self.stream_version(stream, published)?.map(Version::get)),
            Guard::NoNewer(tag, _) => {
                let newest = match self.pending(|group| group.newest_with_tag.get(tag).copied()) {
                    Some(newest) => Some(newest),
                    None => published.newest_with_tag(tag)?,
                };
                Ok(newest.map(Position::get))
            }
        }
    }

    fn take_in(&mut self, commit: &PreparedCommit, base_versions: Vec<Version>, now: Timestamp) -> Stamped {
        // The clock may jump back; recorded-at never does.
        self.recorded_at = self.recorded_at.max(now);
        let first = self.next;
        // Counts were limited when the commit was prepared.
        let events = u32::try_from(commit.events).unwrap_or(u32::MAX);
        let streams = u16::try_from(commit.streams.len()).unwrap_or(u16::MAX);
        let version_bytes: Vec<u8> =
            base_versions.iter().flat_map(|version| version.get().to_le_bytes()).collect();
        self.chain = digest::chain(
            &self.chain,
            self.store,
            &Link {
                first,
                events,
                recorded_at: self.recorded_at,
                streams,
                base_versions: &version_bytes,
                body: commit.body_digest,
            },
        );
        self.next = first.plus(u64::from(events));
        let header = FrameHeader {
            kind: FrameKind::Commit,
            streams,
            events,
            body_len: u32::try_from(commit.body.len()).unwrap_or(u32::MAX),
            body_crc: commit.body_crc,
            epoch: self.epoch,
            first,
            recorded_at: self.recorded_at,
            durable_upto: Position::ZERO,
            durable_end: LogOffset::default(),
            chain: self.chain,
        };

        let pending = &mut self.open;
        let mut versions = Vec::with_capacity(base_versions.len());
        for (touched, base) in commit.streams.iter().zip(&base_versions) {
            let version = base.plus(u64::from(touched.events) - 1);
            pending.heads.insert(touched.id.clone(), version);
            versions.push((touched.id.clone(), version));
        }
        for (tag, index) in &commit.tags {
            pending.newest_with_tag.insert(tag.clone(), first.plus(*index));
        }
        let receipt = Receipt {
            first,
            next: self.next,
            recorded_at: self.recorded_at,
            versions,
            outcome: if commit.events == 0 { Outcome::Unchanged } else { Outcome::Applied },
            duplicate: false,
            durability: self.durability,
        };
        if !commit.commands.is_empty() {
            let shared = Arc::new(receipt.clone());
            for record in &commit.commands {
                let receipt = Arc::clone(&shared);
                let known = Known { fingerprint: record.fingerprint, chain: self.chain, receipt };
                pending.commands.insert(record.id, known);
            }
        }
        Stamped { header, base_versions, receipt }
    }
}

fn wrong_version(stream: &StreamId, expected: ExpectedVersion, current: Option<Version>) -> AppendError {
    AppendError::WrongExpectedVersion { stream: stream.clone(), expected, current }
}

fn holds(guard: &Guard, current: Option<u64>) -> bool {
    match guard {
        Guard::StreamAt(_, version) => current == version.map(Version::get),
        Guard::NoNewer(_, position) => current.is_none_or(|newest| newest < position.get()),
    }
}

fn unreadable(error: &ReadError) -> AppendError {
    match error {
        ReadError::InArchive { segment } => AppendError::InArchive { segment: *segment },
        error => AppendError::Unreadable { reason: error.to_string() },
    }
}
