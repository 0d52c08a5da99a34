//! What a witness is asked and what it answers (C2SP `tlog-witness`, `add-checkpoint`), without the HTTP around it and the file
//! behind it.
//!
//! Invariant: whoever uses [`judge`] holds one lock per origin from reading what was cosigned last until the next is on
//! disk; else two requests that overlap could take the witness back.

use super::checkpoint::{Checkpoint, CheckpointError, TreeHead};
use super::hash::EMPTY_ROOT;
use super::key::VerifierKey;
use super::note::{NoteError, SignedNote};
use super::proof::{ProofError, verify_consistency};
use super::text::{hash_from_base64, hash_to_base64};
use super::tile::decimal;
use crate::digest::sha256;
use crate::numbers::{Digest, TreeSize};
use std::fmt;

/// Hashes in a request at most.
const HASHES_MAX: usize = 63;

/// What a log's origin is called in the path under which a witness shows what it has cosigned last.
#[must_use]
pub fn origin_hash(origin: &str) -> Digest {
    sha256(origin.as_bytes())
}

/// A request to cosign a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the tree that the witness has cosigned last, as far as the asker knows; 0 when it has not.
    pub old: TreeSize,
    /// That the new tree continues that one.
    pub proof: Vec<Digest>,
    /// The checkpoint.
    pub note: SignedNote,
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// It is not a request.
    #[error("this is no request to add a checkpoint: {0}")]
    Form(&'static str),
    /// Its note is none.
    #[error(transparent)]
    Note(NoteError),
    /// Its note is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A log that this witness does not know.
    #[error("the log {0:?} is not known here")]
    UnknownOrigin(String),
    /// No good signature of the log.
    #[error("the log has not signed the checkpoint: {0}")]
    Unsigned(NoteError),
    /// The older tree is the larger one.
    #[error("a checkpoint of {size} leaves cannot continue {old}")]
    OldTooLarge {
        /// As the request has it.
        old: TreeSize,
        /// The checkpoint's.
        size: TreeSize,
    },
    /// The witness has cosigned another size than the request builds on.
    #[error("the checkpoint cosigned last has {latest} leaves")]
    Conflict {
        /// What it has cosigned last.
        latest: TreeSize,
    },
    /// The log contradicts itself.
    #[error("the checkpoint does not continue the one that was cosigned last: {0}")]
    Inconsistent(#[from] ProofError),
}

impl WitnessError {
    /// The status that the protocol has for it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Form(_) | Self::Note(_) | Self::Checkpoint(_) | Self::OldTooLarge { .. } => 400,
            Self::UnknownOrigin(_) => 404,
            Self::Unsigned(_) => 403,
            Self::Conflict { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it is not in the form of one.
    pub fn parse(body: &[u8]) -> Result<Self, WitnessError> {
        let form = WitnessError::Form;
        let border = body.windows(2).position(|two| two == b"\n\n").ok_or(form("there is no empty line"))?;
        let head = std::str::from_utf8(&body[..border]).map_err(|_| form("it is not UTF-8"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = TreeSize::new(old.ok_or(form("the first line is old and a number without leading zeros"))?);
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == HASHES_MAX {
                return Err(form("a proof has 63 hashes at most"));
            }
            proof.push(hash_from_base64(line).ok_or(form("a line of the proof is not 32 bytes in Base 64"))?);
        }
        let note = SignedNote::parse(&body[border + 2..]).map_err(WitnessError::Note)?;
        Ok(Self { old, proof, note })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash_to_base64(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

/// Whether a witness may cosign: `keys` are those of the request's log, by its origin; `latest` is what this witness
/// cosigned last for it. The checkpoint is to be on disk before its cosignature leaves.
///
/// # Errors
/// Why it may not.
pub fn judge<'k>(
    request: &AddCheckpoint,
    keys: impl FnOnce(&str) -> Vec<&'k VerifierKey>,
    latest: impl FnOnce(&str) -> Option<TreeHead>,
) -> Result<Checkpoint, WitnessError> {
    let checkpoint = Checkpoint::parse(request.note.text())?;
    let Checkpoint { origin, head } = &checkpoint;
    let keys = keys(origin);
    if keys.is_empty() {
        return Err(WitnessError::UnknownOrigin(origin.clone()));
    }
    request.note.verify(&keys).map_err(WitnessError::Unsigned)?;
    if request.old > head.size {
        return Err(WitnessError::OldTooLarge { old: request.old, size: head.size });
    }
    let latest = latest(origin).unwrap_or(TreeHead { size: TreeSize::ZERO, root: EMPTY_ROOT });
    if request.old != latest.size {
        return Err(WitnessError::Conflict { latest: latest.size });
    }
    verify_consistency(&latest, head, &request.proof)?;
    Ok(checkpoint)
}
