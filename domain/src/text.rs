//! Texts: their limits, and the digest by which a state knows a long text without keeping it.
//!
//! Invariant: equal digests mean equal texts for every practical purpose (length and 122 bits of SHA-1);
//! they only ever decide whether an edit changes anything, never who may do what.

use crate::{
    error::DomainError,
    limits::{NAME_CHARS_MAX, TEXT_BYTES_MAX},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Stands for a text that is too long to keep in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TextDigest {
    bytes: u64,
    digest: [u8; 16],
}

impl TextDigest {
    /// The digest of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        // A name-based UUID is the hash that is at hand without another dependency.
        let digest = Uuid::new_v5(&Uuid::nil(), text.as_bytes()).into_bytes();
        Self { bytes: u64::try_from(text.len()).unwrap_or(u64::MAX), digest }
    }

    /// Whether this is the digest of `text`; different lengths are told apart without hashing.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        usize::try_from(self.bytes).is_ok_and(|bytes| bytes == text.len()) && *self == Self::of(text)
    }

    /// The text's length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// At most `max` characters.
pub(crate) fn check_chars(field: &'static str, text: &str, max: usize) -> Result<(), DomainError> {
    // A character is at least one byte, so most texts need no count.
    if text.len() <= max {
        return Ok(());
    }
    let actual = text.chars().count();
    if actual <= max { Ok(()) } else { Err(DomainError::TooLong { field, actual, max, unit: "characters" }) }
}

/// Says something, within the limit of names.
pub(crate) fn check_name(field: &'static str, text: &str) -> Result<(), DomainError> {
    check_says_something(field, text)?;
    check_chars(field, text, NAME_CHARS_MAX)
}

/// More than white space.
pub(crate) fn check_says_something(field: &'static str, text: &str) -> Result<(), DomainError> {
    if text.trim().is_empty() { Err(DomainError::Empty { field }) } else { Ok(()) }
}

/// Within the limit of long texts.
pub(crate) fn check_text(field: &'static str, text: &str) -> Result<(), DomainError> {
    let actual = text.len();
    if actual <= TEXT_BYTES_MAX {
        Ok(())
    } else {
        Err(DomainError::TooLong { field, actual, max: TEXT_BYTES_MAX, unit: "bytes" })
    }
}

/// No more than `max` of something.
pub(crate) fn check_count(field: &'static str, actual: usize, max: usize) -> Result<(), DomainError> {
    if actual <= max { Ok(()) } else { Err(DomainError::TooMany { field, actual, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_matches_its_text_only() {
        let digest = TextDigest::of("one\0two");
        assert!(digest.matches("one\0two"));
        assert!(!digest.matches("one\0twO"));
        assert!(!digest.matches("one"));
        assert_eq!(digest.bytes(), 7);
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(check_chars("title", &"ä".repeat(10), 10).is_ok());
        assert_eq!(
            check_chars("title", &"ä".repeat(11), 10),
            Err(DomainError::TooLong { field: "title", actual: 11, max: 10, unit: "characters" })
        );
    }
}
