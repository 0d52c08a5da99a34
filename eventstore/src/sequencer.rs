//! The writer as a state machine without I/O: it decides what a commit becomes, and stamps what the writer assigns.
//!
//! Expectations, guards and command ids are checked against *pending* heads: what is durable plus what this group has
//! already taken in. Nothing is answered from here; the shell answers once the group is durable, so no answer ever
//! rests on something that might still be lost.

use crate::commit::{ExpectedVersion, Guard, Outcome, PreparedCommit};
use crate::digest::{self, Link};
use crate::error::{AppendError, ReadError};
use crate::format::frame::{FrameHeader, FrameKind};
use crate::names::{CommandId, Fingerprint, StreamId, Tag};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::receipt::Receipt;
use crate::recorded::FoundCommand;
use rustc_hash::FxHashMap;
use uuid::Uuid;

/// What is durable, as far as decisions need to know it.
pub(crate) trait Durable {
    fn stream_version(&self, stream: &StreamId) -> Result<Option<Version>, ReadError>;
    fn newest_with_tag(&self, tag: &Tag) -> Result<Option<Position>, ReadError>;
    fn find_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError>;
}

/// What the sequencer knows to be durable while it stamps a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vouched {
    pub(crate) upto: Position,
    pub(crate) end: LogOffset,
}

/// A commit with everything that the writer assigns.
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
    pending: Pending,
}

/// A command that was carried out.
#[derive(Debug, Clone)]
struct Known {
    fingerprint: Fingerprint,
    /// Chain head after its commit, which names that commit among all others.
    chain: Digest,
    receipt: Receipt,
}

/// What the group under construction has changed.
#[derive(Debug, Default)]
struct Pending {
    heads: FxHashMap<StreamId, Version>,
    newest_with_tag: FxHashMap<Tag, Position>,
    commands: FxHashMap<CommandId, Known>,
}

impl Sequencer {
    pub(crate) fn new(
        store: Uuid,
        epoch: u32,
        next: Position,
        chain: Digest,
        recorded_at: Timestamp,
    ) -> Self {
        Self { store, epoch, next, chain, recorded_at, pending: Pending::default() }
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
        durable: &impl Durable,
        now: Timestamp,
        vouched: Vouched,
    ) -> Verdict {
        match self.known_commands(commit, durable) {
            Ok(None) => {}
            Ok(Some(receipt)) => return Verdict::Duplicate(receipt),
            Err(error) => return Verdict::Refuse(error),
        }
        let mut base_versions = Vec::with_capacity(commit.streams.len());
        for touched in &commit.streams {
            let current = match self.stream_version(&touched.id, durable) {
                Ok(current) => current,
                Err(error) => return Verdict::Refuse(error),
            };
            if !touched.expected.holds(current) {
                return Verdict::Refuse(wrong_version(&touched.id, touched.expected, current));
            }
            base_versions.push(current.map_or(Version::ZERO, |version| version.plus(1)));
        }
        for guard in &commit.guards {
            if let Err(error) = self.check(guard, durable) {
                return Verdict::Refuse(error);
            }
        }
        Verdict::Append(Box::new(self.stamp(commit, base_versions, now, vouched)))
    }

    /// A mark or a seal at the current place.
    pub(crate) fn vouch(&mut self, kind: FrameKind, now: Timestamp, vouched: Vouched) -> FrameHeader {
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
            durable_upto: vouched.upto,
            durable_end: vouched.end,
            chain: self.chain,
        }
    }

    /// The group is durable and indexed: from now on `Durable` knows it.
    pub(crate) fn group_is_durable(&mut self) {
        self.pending.heads.clear();
        self.pending.newest_with_tag.clear();
        self.pending.commands.clear();
    }

    fn known_commands(
        &self,
        commit: &PreparedCommit,
        durable: &impl Durable,
    ) -> Result<Option<Receipt>, AppendError> {
        let mut known: Option<Known> = None;
        for (index, record) in commit.commands.iter().enumerate() {
            let found = match self.pending.commands.get(&record.id) {
                Some(known) => Some(known.clone()),
                None => durable
                    .find_command(&record.id)
                    .map_err(unreadable)?
                    .map(|found| Known {
                        fingerprint: found.fingerprint,
                        chain: found.chain,
                        receipt: found.receipt,
                    }),
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
        Ok(known.map(|known| Receipt { duplicate: true, ..known.receipt }))
    }

    fn stream_version(
        &self,
        stream: &StreamId,
        durable: &impl Durable,
    ) -> Result<Option<Version>, AppendError> {
        match self.pending.heads.get(stream) {
            Some(pending) => Ok(Some(*pending)),
            None => durable.stream_version(stream).map_err(unreadable),
        }
    }

    fn check(&self, guard: &Guard, durable: &impl Durable) -> Result<(), AppendError> {
        let failed = |current| Err(AppendError::GuardFailed { guard: guard.clone(), current });
        match guard {
            Guard::StreamAt(stream, version) => {
                let current = self.stream_version(stream, durable)?;
                if current == *version { Ok(()) } else { failed(current.map(Version::get)) }
            }
            Guard::NoNewer(tag, position) => {
                let newest = match self.pending.newest_with_tag.get(tag) {
                    Some(pending) => Some(*pending),
                    None => durable.newest_with_tag(tag).map_err(unreadable)?,
                };
                if newest.is_none_or(|newest| newest < *position) {
                    Ok(())
                } else {
                    failed(newest.map(Position::get))
                }
            }
        }
    }

    fn stamp(
        &mut self,
        commit: &PreparedCommit,
        base_versions: Vec<Version>,
        now: Timestamp,
        vouched: Vouched,
    ) -> Stamped {
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
            durable_upto: vouched.upto,
            durable_end: vouched.end,
            chain: self.chain,
        };

        let mut versions = Vec::with_capacity(base_versions.len());
        for (touched, base) in commit.streams.iter().zip(&base_versions) {
            let version = base.plus(u64::from(touched.events) - 1);
            self.pending.heads.insert(touched.id.clone(), version);
            versions.push((touched.id.clone(), version));
        }
        for (tag, index) in &commit.tags {
            self.pending.newest_with_tag.insert(tag.clone(), first.plus(*index));
        }
        let receipt = Receipt {
            first,
            next: self.next,
            recorded_at: self.recorded_at,
            versions,
            outcome: if commit.events == 0 { Outcome::Unchanged } else { Outcome::Applied },
            duplicate: false,
        };
        for record in &commit.commands {
            let known =
                Known { fingerprint: record.fingerprint, chain: self.chain, receipt: receipt.clone() };
            self.pending.commands.insert(record.id, known);
        }
        Stamped { header, base_versions, receipt }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: ReadError) -> AppendError {
    AppendError::Unreadable { reason: error.to_string() }
}

fn wrong_version(stream: &StreamId, expected: ExpectedVersion, current: Option<Version>) -> AppendError {
    AppendError::WrongExpectedVersion { stream: stream.clone(), expected, current }
}
