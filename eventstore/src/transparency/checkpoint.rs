//! Checkpoints: the head of a tree as the text of a note (C2SP `tlog-checkpoint`).

use super::key::{KeyName, SigningKey};
use super::note::{NoteError, SignedNote};
use super::text::{hash_from_base64, hash_to_base64};
use super::tile::decimal;
use crate::numbers::{Digest, TreeSize};
use std::fmt;

/// Size and root of a tree: all that there is to say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Number of leaves.
    pub size: TreeSize,
    /// Root over all of them.
    pub root: Digest,
}

/// The head of the tree of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: String,
    /// The head of its tree.
    pub head: TreeHead,
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no checkpoint: {0}")]
pub struct CheckpointError(&'static str);

impl Checkpoint {
    /// Reads the text of a note. Lines after the third are other people's extensions, which have to be there or not, and say
    /// nothing to us.
    ///
    /// # Errors
    /// When it is not in the form of a checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError("the last line has no end"))?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError("origin, size and root stand on a line each"));
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(CheckpointError("none of its lines is empty"));
        }
        let size = decimal(size).ok_or(CheckpointError("the size is a number without leading zeros"))?;
        let root = hash_from_base64(root).ok_or(CheckpointError("the root is 32 bytes in Base 64"))?;
        Ok(Self { origin: origin.to_owned(), head: TreeHead { size: TreeSize::new(size), root } })
    }

    /// Signed by the log's key, whose name is the origin.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn signed(head: TreeHead, key: &SigningKey) -> Result<SignedNote, NoteError> {
        let origin: &KeyName = key.verifier().name();
        let text = Self { origin: origin.as_str().to_owned(), head }.to_string();
        SignedNote::sign(&text, &[key])
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, hash_to_base64(&self.head.root))
    }
}
