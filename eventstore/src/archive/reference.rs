//! What stays of a segment that is in the archive: `log/<number>.ref`, byte tables in `FORMAT.md`.

use crate::format::FormatError;
use crate::format::bytes::{array, put, u32_at, u64_at};
use crate::format::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::numbers::Digest;
use crate::storage::{Access, Storage};
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"SUNDAYRF";
const VERSION: u32 = 1;
/// Length of the file.
pub(crate) const REFERENCE_BYTES: usize = SEGMENT_HEADER_BYTES + 56;
const REST_AT: usize = SEGMENT_HEADER_BYTES;
const CRC_AT: usize = REFERENCE_BYTES - 4;

/// A segment that is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The segment's own.
    pub(crate) header: SegmentHeader,
    /// Length of the object: the segment without the zeros behind its end.
    pub(crate) len: u64,
    /// SHA-256 of the object.
    pub(crate) digest: Digest,
}

/// Where a segment's reference is.
pub(crate) fn path(log_dir: &Path, sequence: u32) -> PathBuf {
    log_dir.join(format!("{sequence:010}.ref"))
}

impl Reference {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.encode();
        bytes.resize(REFERENCE_BYTES, 0);
        put(&mut bytes, REST_AT, &MAGIC);
        put(&mut bytes, REST_AT + 8, &VERSION.to_le_bytes());
        put(&mut bytes, REST_AT + 12, &self.len.to_le_bytes());
        put(&mut bytes, REST_AT + 20, &self.digest.0);
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        put(&mut bytes, CRC_AT, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() != REFERENCE_BYTES {
            return Err(FormatError("a reference to the archive does not have its length"));
        }
        if crc32fast::hash(&bytes[..CRC_AT]) != u32_at(bytes, CRC_AT)? {
            return Err(FormatError("a reference to the archive fails its CRC"));
        }
        if array::<8>(bytes, REST_AT)? != MAGIC {
            return Err(FormatError("this is not a reference to the archive"));
        }
        if u32_at(bytes, REST_AT + 8)? != VERSION {
            return Err(FormatError("a reference to the archive is of another format version"));
        }
        let empty = FormatError("a reference to the archive has no segment header");
        let header = SegmentHeader::decode(&bytes[..SEGMENT_HEADER_BYTES])?.ok_or(empty)?;
        let len = u64_at(bytes, REST_AT + 12)?;
        if len < SEGMENT_HEADER_BYTES as u64 || len > header.capacity {
            return Err(FormatError("a reference to the archive names an impossible length"));
        }
        Ok(Self { header, len, digest: Digest(array(bytes, REST_AT + 20)?) })
    }

    /// The reference to a segment; `None` when there is none.
    pub(crate) fn read(
        storage: &dyn Storage,
        log_dir: &Path,
        sequence: u32,
    ) -> io::Result<Option<Result<Self, FormatError>>> {
        let file = match storage.open(&path(log_dir, sequence), Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; REFERENCE_BYTES + 1];
        let read = file.read_full_at(&mut bytes, 0)?;
        let reference = Self::decode(&bytes[..read]).and_then(|reference| {
            let is_named = reference.header.sequence == sequence;
            is_named
                .then_some(reference)
                .ok_or(FormatError("the reference names another segment than its file"))
        });
        Ok(Some(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::segment_header::Previous;
    use crate::numbers::{LogOffset, Position};
    use uuid::Uuid;

    fn reference() -> Reference {
        let header = SegmentHeader {
            store: Uuid::from_u128(7),
            sequence: 3,
            first_position: Position::new(90),
            salt: [4; 16],
            epoch: 2,
            capacity: 1 << 20,
            previous: Previous::NONE,
            durable_end: LogOffset::default(),
        };
        Reference { header, len: 70_000, digest: Digest([9; 32]) }
    }

    #[test]
    fn what_is_written_is_read() {
        let reference = reference();
        assert_eq!(Reference::decode(&reference.encode()), Ok(reference));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_told() {
        let bytes = reference().encode();
        for at in 0..bytes.len() {
            for bit in [1, 0x80] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                assert!(Reference::decode(&flipped).is_err(), "byte {at}");
            }
            assert!(Reference::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_length_that_no_segment_has_is_told() {
        for len in [0, 4095, (1 << 20) + 1] {
            assert!(Reference::decode(&Reference { len, ..reference() }.encode()).is_err(), "{len}");
        }
    }
}
