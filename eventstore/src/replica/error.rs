//! Why a standby does not take something. Nothing of it was written then.

use crate::error::{OpenError, ReadError};
use crate::numbers::{Digest, LogOffset, Position};
use std::io;
use std::path::PathBuf;
use uuid::Uuid;

/// Why a standby could not be opened, or does not take what it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The directory holds a log that was written there: it cannot become a copy of another one.
    #[error(
        "the log in {path} is no standby: it takes commits of its own. A standby begins in an empty directory"
    )]
    NotAStandby {
        /// The directory of the log.
        path: PathBuf,
    },
    /// It is of another store.
    #[error("this is of store {found}, the standby of store {expected}")]
    OtherStore {
        /// The standby's store.
        expected: Uuid,
        /// What came.
        found: Uuid,
    },
    /// It is not what comes next.
    #[error("{at}: {what} {found} came, {expected} is next")]
    Gap {
        /// Where the standby is.
        at: LogOffset,
        /// What is counted.
        what: &'static str,
        /// What should come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The two logs have gone different ways.
    #[error(
        "the histories part at position {position}: the chain here is {ours}, there {theirs}. One of the two logs went \
         on without the other; nothing was written"
    )]
    Diverged {
        /// From here on, or before, they differ.
        position: Position,
        /// The chain head that the standby expects there.
        ours: Digest,
        /// The one that came.
        theirs: Digest,
    },
    /// It was written by a leader that another one has followed.
    #[error("{at}: written in epoch {epoch}, but epoch {newest} has begun: an old leader goes on writing")]
    OlderEpoch {
        /// Where the standby is.
        at: LogOffset,
        /// What came.
        epoch: u32,
        /// The newest that the standby has.
        newest: u32,
    },
    /// Bytes were changed on the way; fetching them again may help.
    #[error("damaged on the way: {at}: {reason}")]
    Damaged {
        /// Where it should have stood.
        at: LogOffset,
        /// What is wrong.
        reason: &'static str,
    },
    /// The CRCs are good, but no writer writes such a thing.
    #[error("not to be trusted: {at}: the CRC is good, but {reason}")]
    Unsound {
        /// Where it should have stood.
        at: LogOffset,
        /// What is wrong.
        reason: String,
    },
    /// It is of a format that this version of Sunday does not read.
    #[error("segment {segment} is of format {version}, which this version of Sunday does not read")]
    UnsupportedFormat {
        /// Number of the segment.
        segment: u32,
        /// The version that it takes.
        version: u32,
    },
    /// The directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What has been taken in cannot be read back.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no room for a segment; nothing was written, and it may be tried again.
    #[error("segment {segment} cannot be prepared: {source}")]
    NoRoom {
        /// Number of the segment.
        segment: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// Writing failed. The standby takes nothing more until it is opened again.
    #[error("the standby takes nothing more: {reason}")]
    Failed {
        /// What failed.
        reason: String,
    },
}
