//! Rotation of a log's key: a note in which the old key names the new one, and the new one agrees.
//!
//! Who knows a key follows such notes to the ones after it. Both have to sign: the old one, because else anybody could
//! name a key for the log; the new one, because else the log could be made to stand for a key that is somebody else's.

use super::key::{SigningKey, VerifierKey};
use super::note::{NoteError, SignedNote};

/// The first line of such a note. No checkpoint begins with it, because it is no origin that a key could have.
const TITLE: &str = "Sunday key rotation v1";

/// That one key of a log takes over from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key that is given up.
    pub old: VerifierKey,
    /// The key that takes over; it has the same name.
    pub new: VerifierKey,
}

/// Why a note is no rotation that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The note itself.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Its text.
    #[error("this is no rotation of keys: {0}")]
    Form(&'static str),
    /// It is not about the key that is known.
    #[error("the rotation is from {0}, which is not the key that was known")]
    OtherKey(String),
}

impl Rotation {
    /// The note, signed by both.
    ///
    /// # Errors
    /// When the two are not keys of one log, or cannot sign.
    pub fn signed(old: &SigningKey, new: &SigningKey) -> Result<SignedNote, RotationError> {
        let rotation = Self { old: old.verifier().clone(), new: new.verifier().clone() };
        rotation.check()?;
        let text = format!("{TITLE}\n{}\n{}\n", rotation.old, rotation.new);
        Ok(SignedNote::sign(&text, &[old, new])?)
    }

    /// Reads a note, and checks that the key that is known has signed it, and the one that it names.
    ///
    /// # Errors
    /// When it does not say that a key takes over from this one, with both signatures.
    pub fn verified(note: &SignedNote, known: &VerifierKey) -> Result<Self, RotationError> {
        let mut lines = note.text().lines();
        if lines.next() != Some(TITLE) {
            return Err(RotationError::Form("its first line is another"));
        }
        let mut key = || {
            let line = lines.next().ok_or(RotationError::Form("it names an old and a new key"))?;
            line.parse::<VerifierKey>().map_err(|error| RotationError::Note(error.into()))
        };
        let rotation = Self { old: key()?, new: key()? };
        if lines.next().is_some() {
            return Err(RotationError::Form("it has more lines than it should"));
        }
        rotation.check()?;
        if rotation.old != *known {
            return Err(RotationError::OtherKey(rotation.old.to_string()));
        }
        if note.verify(&[&rotation.old, &rotation.new])?.len() != 2 {
            return Err(RotationError::Form("only one of the two keys has signed it"));
        }
        Ok(rotation)
    }

    fn check(&self) -> Result<(), RotationError> {
        let (old, new) = (&self.old, &self.new);
        if old.name() != new.name() || old.kind() != new.kind() {
            return Err(RotationError::Form("the two keys are not of one log"));
        }
        if old.is_same_key(new) {
            return Err(RotationError::Form("it is the same key"));
        }
        Ok(())
    }
}
