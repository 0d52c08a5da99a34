//! The first 4 KiB of a segment: whose it is, where it stands, and how the segment before it ended.

use super::FormatError;
use super::bytes::{all_zero, array, put, u32_at, u64_at};
use crate::numbers::{Digest, LogOffset, Position};
use uuid::Uuid;

/// Length of the header, bytes.
pub const SEGMENT_HEADER_BYTES: usize = 4096;
/// The format this code writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 2;
/// What a segment of the first format is called: it was never released.
pub(crate) const VERSION_1: FormatError = FormatError(
    "the log is of format version 1, which this version of Sunday cannot read: it reads version 2",
);
/// What a segment of a later format is called.
pub(crate) const NEWER_VERSION: FormatError =
    FormatError("the log is of a format newer than version 2, the newest that this version of Sunday reads");
/// What a torn or rotten header is called.
pub(crate) const HEADER_CRC_FAILS: FormatError = FormatError("the segment header fails its CRC");
const MAGIC: [u8; 8] = *b"SUNDAYLG";
const HASH_SHA256: u8 = 1;
const CRC_AT: usize = SEGMENT_HEADER_BYTES - 4;
const REST_AT: usize = 192;
const _: () = assert!(REST_AT < CRC_AT && CRC_AT + 4 == SEGMENT_HEADER_BYTES);

/// How the segment before this one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousEnd {
    /// This is the first segment.
    None,
    /// With a seal.
    Sealed,
    /// With a torn group; the bytes after the valid length have this digest.
    Abandoned(Digest),
}

/// What the segment before this one was, for the next header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// How it ended.
    pub end: PreviousEnd,
    /// Bytes that count.
    pub valid_len: u64,
    /// Chain head at its end.
    pub chain: Digest,
    /// The segment digest of what counts.
    pub digest: Digest,
}

impl Previous {
    /// What the first segment has before it.
    pub const NONE: Self =
        Self { end: PreviousEnd::None, valid_len: 0, chain: Digest([0; 32]), digest: Digest([0; 32]) };
}

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store that the segment belongs to.
    pub store: Uuid,
    /// Number of the segment.
    pub sequence: u32,
    /// Position of its first event.
    pub first_position: Position,
    /// Seed of its frames' CRCs.
    pub salt: [u8; 16],
    /// Epoch of the writer that began it.
    pub epoch: u32,
    /// Length of the file.
    pub capacity: u64,
    /// The segment before it.
    pub previous: Previous,
    /// How far the log was known durable when it was begun.
    pub durable_end: LogOffset,
}

impl SegmentHeader {
    /// The 4 KiB.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, 12, &FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, 16, self.store.as_bytes());
        put(&mut bytes, 32, &u64::from(self.sequence).to_le_bytes());
        put(&mut bytes, 40, &self.first_position.get().to_le_bytes());
        put(&mut bytes, 48, &self.salt);
        put(&mut bytes, 64, &self.epoch.to_le_bytes());
        bytes[68] = HASH_SHA256;
        let (end, tail) = match self.previous.end {
            PreviousEnd::None => (0, Digest::default()),
            PreviousEnd::Sealed => (1, Digest::default()),
            PreviousEnd::Abandoned(tail) => (2, tail),
        };
        bytes[69] = end;
        put(&mut bytes, 72, &self.previous.valid_len.to_le_bytes());
        put(&mut bytes, 80, &self.capacity.to_le_bytes());
        put(&mut bytes, 88, &self.previous.chain.0);
        put(&mut bytes, 120, &self.previous.digest.0);
        put(&mut bytes, 152, &tail.0);
        put(&mut bytes, 184, &self.durable_end.bits().to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        put(&mut bytes, CRC_AT, &crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `Ok(None)` when it is all zero (prepared, unused).
    ///
    /// # Errors
    /// When it is neither zero nor a sound header that this code understands.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
        let Some(bytes) = bytes.get(..SEGMENT_HEADER_BYTES) else {
            return Err(FormatError("the file is shorter than a segment header"));
        };
        if all_zero(bytes) {
            return Ok(None);
        }
        if crc32fast::hash(&bytes[..CRC_AT]) != u32_at(bytes, CRC_AT)? {
            return Err(HEADER_CRC_FAILS);
        }
        if array::<8>(bytes, 0)? != MAGIC {
            return Err(FormatError("this is not a segment of Sunday"));
        }
        let (version, minimum) = (u32_at(bytes, 8)?, u32_at(bytes, 12)?);
        if version == 1 && minimum == 1 {
            return Err(VERSION_1);
        }
        if minimum > FORMAT_VERSION {
            return Err(NEWER_VERSION);
        }
        if version < FORMAT_VERSION || minimum != FORMAT_VERSION {
            return Err(FormatError("the segment header names a format version that there never was"));
        }
        if bytes[68] != HASH_SHA256 {
            return Err(FormatError("the segment uses an unknown hash algorithm"));
        }
        if !all_zero(&bytes[70..72]) || !all_zero(&bytes[REST_AT..CRC_AT]) {
            return Err(FormatError("the segment header has bytes where zeros belong"));
        }
        let tail = Digest(array(bytes, 152)?);
        let end = match (bytes[69], tail == Digest::default()) {
            (0, true) => PreviousEnd::None,
            (1, true) => PreviousEnd::Sealed,
            (2, _) => PreviousEnd::Abandoned(tail),
            _ => return Err(FormatError("the segment header names an unknown end of the previous segment")),
        };
        let sequence =
            u32::try_from(u64_at(bytes, 32)?).map_err(|_| FormatError("the segment number is too large"))?;
        Ok(Some(Self {
            store: Uuid::from_bytes(array(bytes, 16)?),
            sequence,
            first_position: Position::new(u64_at(bytes, 40)?),
            salt: array(bytes, 48)?,
            epoch: u32_at(bytes, 64)?,
            capacity: u64_at(bytes, 80)?,
            previous: Previous {
                end,
                valid_len: u64_at(bytes, 72)?,
                chain: Digest(array(bytes, 88)?),
                digest: Digest(array(bytes, 120)?),
            },
            durable_end: LogOffset::from_bits(u64_at(bytes, 184)?),
        }))
    }
}
