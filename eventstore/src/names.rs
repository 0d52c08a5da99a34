//! The names that callers choose: streams, event types, tags, command ids. Checked once, when they are made.

use crate::limits::{NAME_BYTES_MAX, STREAM_ID_BYTES_MAX};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr, sync::Arc};

/// Why a name is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing there.
    #[error("{what} is empty")]
    Empty {
        /// Which name.
        what: &'static str,
    },
    /// Longer than its field on disk.
    #[error("{what} has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// Control characters would make logs and terminals lie.
    #[error("{what} contains a control character")]
    ControlCharacter {
        /// Which name.
        what: &'static str,
    },
    /// A command id is 32 hexadecimal digits.
    #[error("a command id is 32 hexadecimal digits")]
    NotHex,
}

fn check(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > max {
        return Err(NameError::TooLong { what, bytes: text.len(), max });
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter { what });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a name.
            ///
            /// # Errors
            /// When it is empty, too long for its field on disk, or holds control characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                check($what, text.as_ref(), $max)?;
                Ok(Self(Arc::from(text.as_ref())))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// Names one aggregate's history, as `<category>-<id>`; 1 to 255 bytes.
    StreamId, "stream id", STREAM_ID_BYTES_MAX
}
name! {
    /// What happened, dotted and in the past tense; 1 to 127 bytes.
    EventType, "event type", NAME_BYTES_MAX
}
name! {
    /// A short label that events are found and guarded by, as `board:0198…`; 1 to 127 bytes.
    Tag, "tag", NAME_BYTES_MAX
}

impl StreamId {
    /// What stands before the first `-`, or the whole id.
    #[must_use]
    pub fn category(&self) -> &str {
        Self::category_of(&self.0)
    }

    /// The category of a stream whose id is at hand as text: what stands before the first `-`, or the whole id.
    #[must_use]
    pub fn category_of(id: &str) -> &str {
        id.split_once('-').map_or(id, |(category, _)| category)
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        // Length prefixes keep ("a", "bc") and ("ab", "c") apart.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

macro_rules! hash_name {
    ($(#[$doc:meta])* $name:ident, $derive:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The first 128 bits of SHA-256 over the length-prefixed parts.
            #[must_use]
            pub fn $derive(parts: &[&[u8]]) -> Self {
                Self(hash(parts))
            }

            /// From its bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hash_name! {
    /// Names a command for ever: the same id is never carried out twice.
    CommandId, derive
}
hash_name! {
    /// What a command said, so that the same id with other content is refused.
    Fingerprint, of
}

impl FromStr for CommandId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return Err(NameError::NotHex);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or(NameError::NotHex)?;
            let low = char::from(pair[1]).to_digit(16).ok_or(NameError::NotHex)?;
            *byte = u8::try_from(high * 16 + low).map_err(|_| NameError::NotHex)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::StreamId;

    #[test]
    fn a_category_ends_before_the_first_dash() {
        for (id, category) in
            [("order-7-x", "order"), ("plain", "plain"), ("order-", "order"), ("-7", ""), ("ä-ö", "ä")]
        {
            assert_eq!(StreamId::category_of(id), category, "{id}");
            assert_eq!(StreamId::new(id).unwrap().category(), category, "{id}");
        }
    }
}
