//! Why a subscription cannot be had.

use crate::error::ReadError;
use crate::numbers::{Digest, Position};
use uuid::Uuid;

/// Why a subscription cannot resume from a checkpoint.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The checkpoint is of another store.
    #[error("the checkpoint is of store {expected}, this log is store {found}; begin again from position 0")]
    OtherStore {
        /// The checkpoint's.
        expected: Uuid,
        /// The log's.
        found: Uuid,
    },
    /// The log does not reach to the checkpoint: it was rewound, or this reader is behind the one that kept it.
    #[error(
        "the checkpoint is at position {next}, the log ends at {watermark}; if it was restored from a copy, begin \
         again from position 0"
    )]
    Ahead {
        /// The checkpoint's.
        next: Position,
        /// The log's.
        watermark: Position,
    },
    /// The log has another chain head at the checkpoint: it was rewound and has gone another way since.
    #[error(
        "the log does not have chain head {chain} at position {next}: it is another history; begin again from position 0"
    )]
    Rewritten {
        /// The checkpoint's position.
        next: Position,
        /// The checkpoint's chain head.
        chain: Digest,
    },
    /// The log could not be read at the checkpoint.
    #[error(transparent)]
    Read(#[from] ReadError),
}
