//! The bytes of `FORMAT.md`, "Snapshots": the file's header and the records behind it.
//!
//! A record's header CRC is seeded with the generation of the file and the offset, so that bytes of an earlier life of
//! the disk are not taken for a record, and one sound header vouches for where the next record begins.

use crate::format::FormatError;
use crate::format::bytes::{align8, array, put, slice, u32_at, u64_at};
use crate::limits::STREAM_ID_BYTES_MAX;
use crate::names::StreamId;
use crate::numbers::{Digest, Version};
use uuid::Uuid;

const FILE_MAGIC: [u8; 8] = *b"SUNDAYSN";
const FILE_VERSION: u32 = 1;
/// Length of the file's header, bytes.
pub(super) const FILE_HEADER_BYTES: usize = 24;

const RECORD_MAGIC: [u8; 4] = *b"SNAP";
/// Length of the fixed part of a record's header, bytes.
const FIXED_BYTES: usize = 96;
/// Length of the longest header of a record, bytes.
pub(super) const RECORD_HEADER_BYTES_MAX: usize = FIXED_BYTES + STREAM_ID_BYTES_MAX;

/// The header of a file.
pub(super) fn file_header(generation: u64) -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    put(&mut header, 0, &FILE_MAGIC);
    put(&mut header, 8, &FILE_VERSION.to_le_bytes());
    put(&mut header, 16, &generation.to_le_bytes());
    let crc = crc32fast::hash(&header);
    put(&mut header, 12, &crc.to_le_bytes());
    header
}

/// The generation of a file, by its header.
pub(super) fn generation(bytes: &[u8]) -> Result<u64, FormatError> {
    let generation = u64_at(bytes, 16)?;
    // Every byte of a header is fixed by its generation.
    if array::<FILE_HEADER_BYTES>(bytes, 0)? == file_header(generation) {
        Ok(generation)
    } else {
        Err(FormatError("not a file of snapshots, or of another version"))
    }
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) store: Uuid,
    pub(super) stream: StreamId,
    pub(super) version: Version,
    /// Of the event at that version.
    pub(super) event: Uuid,
    /// After that event's commit: it covers everything before, which the id of one event does not.
    pub(super) chain: Digest,
    /// Of the state.
    pub(super) schema_version: u32,
    pub(super) payload_len: u32,
    pub(super) payload_crc: u32,
}

impl Record {
    /// Length of the whole record with its padding, bytes.
    pub(super) fn len(&self) -> usize {
        align8(self.unpadded_len())
    }

    /// The same without its padding, bytes.
    pub(super) fn unpadded_len(&self) -> usize {
        self.header_len() + self.payload_len as usize
    }

    fn header_len(&self) -> usize {
        FIXED_BYTES + self.stream.as_str().len()
    }

    /// The record as it stands at `offset` of a file of `generation`.
    pub(super) fn encode(&self, payload: &[u8], generation: u64, offset: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        let stream = self.stream.as_str().as_bytes();
        put(&mut bytes, 0, &RECORD_MAGIC);
        put(&mut bytes, 8, &self.payload_crc.to_le_bytes());
        put(&mut bytes, 12, &self.payload_len.to_le_bytes());
        put(&mut bytes, 16, self.store.as_bytes());
        put(&mut bytes, 32, self.event.as_bytes());
        put(&mut bytes, 48, &self.version.get().to_le_bytes());
        put(&mut bytes, 56, &self.schema_version.to_le_bytes());
        // A stream id has 255 bytes at most.
        put(&mut bytes, 60, &[u8::try_from(stream.len()).unwrap_or(u8::MAX)]);
        put(&mut bytes, 64, &self.chain.0);
        put(&mut bytes, FIXED_BYTES, stream);
        let crc = header_crc(&bytes[8..self.header_len()], generation, offset);
        put(&mut bytes, 4, &crc.to_le_bytes());
        put(&mut bytes, self.header_len(), payload);
        bytes
    }

    /// The header at the start of `bytes`, which stand at `offset` of a file of `generation`.
    pub(super) fn decode(bytes: &[u8], generation: u64, offset: u64) -> Result<Self, FormatError> {
        if array::<4>(bytes, 0)? != RECORD_MAGIC {
            return Err(FormatError("no snapshot begins here"));
        }
        let stream_len = usize::from(array::<1>(bytes, 60)?[0]);
        let header = slice(bytes, 8, FIXED_BYTES - 8 + stream_len)?;
        if header_crc(header, generation, offset) != u32_at(bytes, 4)? {
            return Err(FormatError("the header of a snapshot has another sum"));
        }
        let stream = std::str::from_utf8(slice(bytes, FIXED_BYTES, stream_len)?);
        let stream = stream.ok().and_then(|stream| StreamId::new(stream).ok());
        Ok(Self {
            store: Uuid::from_bytes(array(bytes, 16)?),
            stream: stream.ok_or(FormatError("a snapshot of what is not a stream"))?,
            version: Version::new(u64_at(bytes, 48)?),
            event: Uuid::from_bytes(array(bytes, 32)?),
            chain: Digest(array(bytes, 64)?),
            schema_version: u32_at(bytes, 56)?,
            payload_len: u32_at(bytes, 12)?,
            payload_crc: u32_at(bytes, 8)?,
        })
    }

    /// The payload of the whole record in `bytes`, if its sum is right.
    pub(super) fn payload<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FormatError> {
        let payload = slice(bytes, self.header_len(), self.payload_len as usize)?;
        if crc32fast::hash(payload) == self.payload_crc {
            Ok(payload)
        } else {
            Err(FormatError("the state of a snapshot has another sum"))
        }
    }
}

fn header_crc(header: &[u8], generation: u64, offset: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&generation.to_le_bytes());
    crc.update(&offset.to_le_bytes());
    crc.update(header);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_only_where_it_was_written() {
        let record = Record {
            store: Uuid::from_u128(1),
            stream: StreamId::new("item-1").unwrap(),
            version: Version::new(7),
            event: Uuid::from_u128(2),
            chain: Digest([9; 32]),
            schema_version: 3,
            payload_len: 5,
            payload_crc: crc32fast::hash(b"state"),
        };
        let bytes = record.encode(b"state", 4, 24);
        assert_eq!(bytes.len(), record.len());
        assert_eq!(Record::decode(&bytes, 4, 24).unwrap(), record);
        assert_eq!(record.payload(&bytes).unwrap(), b"state");
        assert!(Record::decode(&bytes, 5, 24).is_err());
        assert!(Record::decode(&bytes, 4, 32).is_err());
        assert_eq!(generation(&file_header(9)).unwrap(), 9);
        assert!(generation(&file_header(9)[..23]).is_err());
    }
}
