//! One error per operation. Each says what, where, and what is known; none of them is a panic.

use crate::archive::NOT_FETCHED;
use crate::commit::{ExpectedVersion, Guard};
use crate::format::FormatError;
use crate::names::{CommandId, StreamId};
use crate::numbers::{LogOffset, Position, TreeSize, Version};
use std::{io, path::PathBuf};
use uuid::Uuid;

/// Why a commit could not be prepared: it breaks a limit or is not well formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Neither events nor a command.
    #[error("a commit needs an event or a command")]
    Empty,
    /// More of something than a commit may hold.
    #[error("the commit has {count} {what}, at most {max} are allowed")]
    TooMany {
        /// Events, streams, commands or tags.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// An event's record is longer than allowed.
    #[error("event {index} takes {bytes} bytes, at most {max} are allowed")]
    EventTooLarge {
        /// 0-based, in the commit.
        index: usize,
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The body is longer than allowed.
    #[error("the commit takes {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// An expectation about a stream that the commit does not write: use a guard.
    #[error("stream {stream} is expected at a version but not written; use a guard")]
    ExpectationWithoutEvent {
        /// The stream.
        stream: StreamId,
    },
    /// A command without events cannot have been applied, one with events not unchanged.
    #[error("command {command} says {outcome} but has {events} events")]
    OutcomeMismatch {
        /// The command.
        command: CommandId,
        /// What it says.
        outcome: &'static str,
        /// How many events it has.
        events: u32,
    },
    /// The same event id twice in one commit.
    #[error("event {event} stands twice in one commit")]
    EventTwice {
        /// The event.
        event: Uuid,
    },
    /// The same command id twice in one commit.
    #[error("command {command} stands twice in one commit")]
    CommandTwice {
        /// The command.
        command: CommandId,
    },
}

/// Why a commit was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A stream is not where the caller believed it to be.
    #[error("stream {stream} was expected at {expected} but is at {}", at(*current))]
    WrongExpectedVersion {
        /// The stream.
        stream: StreamId,
        /// What the caller expected.
        expected: ExpectedVersion,
        /// Its last version; `None` when it does not exist.
        current: Option<Version>,
    },
    /// Something the decision rested on has changed.
    #[error("{guard} does not hold: it is at {}", current.map_or_else(|| "nothing".to_owned(), |at| at.to_string()))]
    GuardFailed {
        /// The guard.
        guard: Guard,
        /// The stream's version, or the newest position with the tag.
        current: Option<u64>,
    },
    /// The command id is known with another content.
    #[error("command {command} was used before with another content")]
    CommandReused {
        /// The command.
        command: CommandId,
    },
    /// An atomic commit names commands of which only some are known.
    #[error("command {command} was carried out before, but not together with the others of this commit")]
    CommandsSplit {
        /// A command that is known.
        command: CommandId,
    },
    /// The queue before the writer is full; try again later.
    #[error("overloaded: the queue before the writer is full")]
    Overloaded,
    /// The commit cannot fit into a segment of this store.
    #[error("the commit takes {bytes} bytes, a segment of this store holds {max}")]
    LargerThanSegment {
        /// Length of its frame.
        bytes: u64,
        /// The longest frame.
        max: u64,
    },
    /// Writing failed; whether the commit is on disk is not known, and this store takes no more.
    #[error("outcome unknown: {reason}")]
    OutcomeUnknown {
        /// What failed.
        reason: String,
    },
    /// There is no room for another segment; nothing was written.
    #[error("read-only: {reason}")]
    ReadOnly {
        /// Why.
        reason: String,
    },
    /// What the decision rested on is in the archive, which does not give it now; nothing was written. Trying again may help.
    #[error("segment {segment} is in the archive and cannot be fetched")]
    InArchive {
        /// Number of the segment.
        segment: u32,
    },
    /// What the decision rested on could not be read back.
    #[error("the log could not be read: {reason}")]
    Unreadable {
        /// What failed.
        reason: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

fn at(version: Option<Version>) -> String {
    version.map_or_else(|| "no version: it does not exist".to_owned(), |version| format!("version {version}"))
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no log in the directory (yet).
    #[error("no log in {path}")]
    NoLog {
        /// The directory.
        path: PathBuf,
    },
    /// The log is a standby: it holds what another log holds, and takes nothing else.
    #[error(
        "the log in {path} is a standby that follows {follows}; nothing can be appended to it. If that is gone for \
         good, `sunday promote` makes this log the one that is written"
    )]
    Standby {
        /// Its directory.
        path: PathBuf,
        /// What it follows.
        follows: String,
    },
    /// Another process writes this log.
    #[error("another writer has {path} locked{}", holder.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the other writer wrote into it.
        holder: Option<String>,
    },
    /// Acknowledged data is damaged. Nothing was touched.
    #[error(
        "acknowledged data is damaged at segment {segment} offset {offset} (position {position}): {reason}; \
         the log is known to have reached {durable_end}. Nothing was changed; run `sunday verify` for the whole picture"
    )]
    Damaged {
        /// Number of the segment.
        segment: u32,
        /// Offset of the first bad frame.
        offset: u64,
        /// Position of the event that should begin there.
        position: Position,
        /// How far the log is known to have been durable.
        durable_end: LogOffset,
        /// What is wrong there.
        reason: String,
    },
    /// The log ends before what a signed checkpoint says of it: acknowledged events are gone. Nothing was touched.
    #[error(
        "the log ends at position {next}, but a checkpoint of {signed} events was signed: events are missing. Nothing was changed; \
         put the missing segments back, or restore a backup as a new store"
    )]
    ShorterThanCheckpoint {
        /// Where the log ends.
        next: Position,
        /// Size of the newest signed checkpoint.
        signed: TreeSize,
    },
    /// A segment is missing, foreign, or does not continue the one before it.
    #[error("segment {segment} cannot be used: {reason}")]
    BadSegment {
        /// Number of the segment.
        segment: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that are needed are in the archive, which does not give them now: nothing is known to be wrong with them.
    #[error(
        "segment {segment} is in the archive and cannot be fetched: see that it can be reached, and that there is room in \
         cache/. The log of this process says what failed"
    )]
    InArchive {
        /// Number of the segment.
        segment: u32,
    },
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(String),
    /// The operating system refused.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl OpenError {
    /// What it means that the bytes of a segment cannot be had.
    pub(crate) fn no_bytes(segment: u32, error: FormatError) -> Self {
        if error == NOT_FETCHED {
            return Self::InArchive { segment };
        }
        Self::BadSegment { segment, reason: error.to_string() }
    }
}

/// Why something could not be read from the log.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Bytes that were sound once are not any more.
    #[error("damaged at segment {segment} offset {offset}: {reason}")]
    Damaged {
        /// Number of the segment.
        segment: u32,
        /// Offset of the frame.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The bytes are in the archive, which does not give them now: asking again may help.
    #[error("segment {segment} is in the archive and cannot be fetched; the log of this process says why")]
    InArchive {
        /// Number of the segment.
        segment: u32,
    },
    /// A segment file could not be opened.
    #[error("segment {segment}: {reason}")]
    Segment {
        /// Number of the segment.
        segment: u32,
        /// What the operating system said.
        reason: String,
    },
    /// The directory holds another store than the one that was opened.
    #[error("the log was replaced: store {found} instead of {expected}")]
    OtherStore {
        /// The store that was opened.
        expected: Uuid,
        /// The store that is there now.
        found: Uuid,
    },
}

impl ReadError {
    /// What `error` at a place of the log means.
    pub(crate) fn at(place: LogOffset, error: FormatError) -> Self {
        let segment = place.segment();
        if error == NOT_FETCHED {
            return Self::InArchive { segment };
        }
        Self::Damaged { segment, offset: place.offset(), reason: error.0.to_owned() }
    }
}

/// Why an index of ended segments could not be written. The log itself lacks nothing: lookups go on without the file,
/// and it is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The operating system refused.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The segments that it is made of could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Where a log that was opened for reading only ends too early, because what follows cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log is damaged at segment {segment} offset {offset} (position {position}): {reason}; run `sunday verify` for \
     the whole picture"
)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the first bad frame; 0 if the segment as a whole cannot be used.
    pub offset: u64,
    /// Position of the event that should begin there.
    pub position: Position,
    /// What is wrong there.
    pub reason: String,
}
