//! Why a backup was not taken or not restored. What was there before is as it was.

use crate::error::{AppendError, OpenError};
use crate::numbers::{LogOffset, Position, Timestamp, TreeSize};
use crate::replica::ReplicaError;
use crate::transparency::journal::JournalError;
use crate::verify::Report;
use std::io;
use std::path::PathBuf;
use uuid::Uuid;

/// Why a backup was not taken, or not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What should be copied does not verify.
    #[error(
        "{path} does not verify: {at}: {reason}. Nothing of it was taken; `sunday verify` has the whole picture"
    )]
    Unsound {
        /// The log or the backup.
        path: PathBuf,
        /// Where.
        at: LogOffset,
        /// What is wrong.
        reason: String,
    },
    /// The backup is of another store than the log.
    #[error(
        "{path} is a backup of store {expected}, the log is of store {found}: take its backup into a directory of its own"
    )]
    OtherStore {
        /// The backup.
        path: PathBuf,
        /// The backup's store.
        expected: Uuid,
        /// The log's.
        found: Uuid,
    },
    /// The log has another past than the one that was filed, or has become shorter.
    #[error(
        "the log does not continue what {path} holds: {at}: {reason}. The backup is as it was: keep it, and take another \
         one elsewhere"
    )]
    Diverged {
        /// The backup.
        path: PathBuf,
        /// Where they part.
        at: LogOffset,
        /// How.
        reason: String,
    },
    /// A file of the backup is not what its manifest says.
    #[error("the backup is damaged: {path} at byte {offset}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte that is known to be wrong, or the beginning of what holds it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// There is no backup.
    #[error("no backup in {path}: there is no MANIFEST")]
    NoBackup {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest cannot be used.
    #[error("{path} line {line}: {reason}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is something else where the backup should go, or where the log should go.
    #[error("{path} is not empty: {found} is there. {wanted}")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One of the things in it.
        found: String,
        /// What is wanted.
        wanted: &'static str,
    },
    /// Somebody else is at it.
    #[error("another process has {path} locked: it takes or restores this backup")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The backup does not reach that far.
    #[error("the backup ends at position {next}, it cannot be restored to position {wanted}")]
    BeyondEnd {
        /// Its next position.
        next: Position,
        /// What was asked for.
        wanted: Position,
    },
    /// Nothing had been recorded by then.
    #[error(
        "nothing had been recorded by then: the log's first commit is of {first} (nanoseconds since 1970)"
    )]
    BeforeBeginning {
        /// When the first commit was recorded.
        first: Timestamp,
    },
    /// The log ends before what was signed of it, or is another one there.
    #[error(
        "the log contradicts the checkpoint of {size} events that was signed: {reason}. Nothing of it was taken"
    )]
    Checkpoint {
        /// Of how many events.
        size: TreeSize,
        /// How.
        reason: &'static str,
    },
    /// The journal of checkpoints cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What was restored does not verify as a whole. It has been left under the name `.restoring`.
    #[error("what was restored into {path} does not verify: {}", first_of(report))]
    Unverified {
        /// Where it is.
        path: PathBuf,
        /// All that was found.
        report: Box<Report>,
    },
    /// The first commit of a new store could not be written.
    #[error("the new store's first commit: {0}")]
    Append(#[from] AppendError),
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

fn first_of(report: &Report) -> String {
    let count = report.findings.len();
    report.findings.first().map_or_else(String::new, |finding| {
        format!(
            "{}: segment {} offset {}: {} ({count} findings)",
            finding.class.name(),
            finding.segment,
            finding.offset,
            finding.message
        )
    })
}

impl BackupError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// What a check of frames found, said of the directory that they are in.
    pub(super) fn unsound(path: impl Into<PathBuf>, place: LogOffset, error: &ReplicaError) -> Self {
        let (at, reason) = match error {
            ReplicaError::Damaged { at, reason } => (*at, (*reason).to_owned()),
            ReplicaError::Unsound { at, reason } => (*at, format!("the CRC is good, but {reason}")),
            ReplicaError::Gap { at, what, expected, found } => {
                (*at, format!("{what} {found} stands where {expected} belongs"))
            }
            ReplicaError::Diverged { position, ours, theirs } => {
                (place, format!("the chain at position {position} should be {ours}, and is {theirs}"))
            }
            ReplicaError::OlderEpoch { at, epoch, newest } => {
                (*at, format!("written in epoch {epoch}, after epoch {newest} had begun"))
            }
            error => (place, error.to_string()),
        };
        Self::Unsound { path: path.into(), at, reason }
    }
}
