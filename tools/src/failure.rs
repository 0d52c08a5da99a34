//! Why a command could not do its work, and the exit code that says so.
//!
//! Invariant: 0 done, 1 failed (`verify`: tampering), 2 usage, 3 input or output, 4 damaged data.

use crate::import::ImportError;
use eventstore::backup::BackupError;
use eventstore::{Damage, OpenError, ReadError, ReplicaError};
use std::io;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log can only be read in part.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The import ended early.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The standby does not take what the source gives, or cannot be promoted.
    #[error(transparent)]
    Replica(ReplicaError),
    /// A backup was not taken, or not restored.
    #[error(transparent)]
    Backup(BackupError),
    /// The results cannot be written.
    #[error("cannot write the results: {0}")]
    Output(io::Error),
    /// A setting cannot be used.
    #[error("{0}")]
    Usage(String),
    /// Anything else that the operating system would not do.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// What it said.
        source: io::Error,
    },
    /// Whoever was asked is not as far yet. It is asked again, and never told.
    #[error("not as far yet")]
    NotYet,
    /// A part of the system would not start or stop.
    #[error("{0}")]
    Part(String),
}

impl From<ReplicaError> for Failure {
    /// What is wrong with a directory is told as for every other command.
    fn from(error: ReplicaError) -> Self {
        match error {
            ReplicaError::Open(error) => Self::Open(error),
            ReplicaError::Read(error) => Self::Read(error),
            error => Self::Replica(error),
        }
    }
}

impl From<BackupError> for Failure {
    /// What is wrong with a log is told as for every other command.
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Open(error) => Self::Open(error),
            error => Self::Backup(error),
        }
    }
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Open(
                OpenError::Damaged { .. }
                | OpenError::BadSegment { .. }
                | OpenError::ShorterThanCheckpoint { .. },
            )
            | Self::Read(ReadError::Damaged { .. })
            | Self::Damage(_) => 4,
            Self::Open(_) | Self::Read(_) | Self::Output(_) | Self::Io { .. } => 3,
            Self::Import(ImportError::File { .. }) => 3,
            Self::Import(ImportError::Token { .. }) => 2,
            Self::Replica(ReplicaError::Damaged { .. } | ReplicaError::Unsound { .. }) => 4,
            Self::Replica(ReplicaError::NoRoom { .. } | ReplicaError::Failed { .. }) => 3,
            Self::Backup(
                BackupError::Unsound { .. }
                | BackupError::Damaged { .. }
                | BackupError::Manifest { .. }
                | BackupError::Checkpoint { .. }
                | BackupError::Journal(_)
                | BackupError::Unverified { .. },
            ) => 4,
            Self::Backup(
                BackupError::NotEmpty { .. }
                | BackupError::BeyondEnd { .. }
                | BackupError::BeforeBeginning { .. },
            ) => 2,
            Self::Backup(BackupError::OtherStore { .. } | BackupError::Diverged { .. }) => 1,
            Self::Backup(_) => 3,
            Self::Import(_) | Self::NotYet | Self::Part(_) | Self::Replica(_) => 1,
        }
    }
}
