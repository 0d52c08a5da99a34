//! Newtypes for every number of the log, so that a version can never be passed where a position is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The number zero.
            pub const ZERO: Self = Self(0);

            /// Wraps a plain number.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Global number of an event: 0-based and dense. As a bound it is exclusive: the next position.
    Position(u64)
}
number! {
    /// Number of an event within its stream: 0-based and gapless.
    Version(u64)
}
number! {
    /// Number of leaves of a Merkle tree: the tree over all events below a position has that position's size.
    TreeSize(u64)
}
number! {
    /// A point in time: nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64)
}

impl Position {
    /// The position `count` events later. Saturates: hostile bytes must not make us panic, and no log gets that far.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl Version {
    /// The version `count` events later. Saturates.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl Timestamp {
    /// The clock of this machine. It may go back; the log does not follow it there.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A place in the log in 64 bits: segment number in the high 32, offset / 8 in the low 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogOffset(u64);

impl LogOffset {
    /// The place at `offset` bytes in segment `segment`; the offset is a multiple of 8 below 32 GiB.
    #[must_use]
    pub fn new(segment: u32, offset: u64) -> Self {
        debug_assert!(offset.is_multiple_of(8) && offset >> 3 <= u64::from(u32::MAX));
        Self((u64::from(segment) << 32) | (offset >> 3))
    }

    /// From its 64 bits as stored.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its 64 bits as stored.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Number of the segment.
    #[must_use]
    pub const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Bytes from the start of the segment file.
    #[must_use]
    pub const fn offset(self) -> u64 {
        (self.0 & 0xffff_ffff) << 3
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {}", self.segment(), self.offset())
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotADigest);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotADigest)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

/// A text that is no SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("64 hexadecimal digits are expected")]
pub struct NotADigest;

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What everything that remembers a position remembers with it, so that a foreign or rewound log is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The store's UUID, 16 bytes.
    pub store: uuid::Uuid,
    /// The next position.
    pub next: Position,
    /// The chain head after the last commit taken in.
    pub chain: Digest,
}
