//! A file of snapshots: appended to, read at known places, written anew under another generation.

use super::record::{FILE_HEADER_BYTES, RECORD_HEADER_BYTES_MAX, Record, file_header, generation};
use crate::storage::{Access, Storage, StorageFile};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// An open file of snapshots. Cheap to clone; who has it open keeps it when it is replaced.
#[derive(Debug, Clone)]
pub(super) struct SnapshotFile {
    file: Arc<dyn StorageFile>,
    pub(super) generation: u64,
}

impl SnapshotFile {
    /// Opens a file; `InvalidData` when it is not one of snapshots.
    pub(super) fn open(storage: &dyn Storage, path: &Path, access: Access) -> io::Result<Self> {
        let file = storage.open(path, access)?;
        let mut header = [0; FILE_HEADER_BYTES];
        let read = file.read_full_at(&mut header, 0)?;
        let generation = generation(&header[..read])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))?;
        Ok(Self { file, generation })
    }

    /// Makes an empty file.
    pub(super) fn create(storage: &dyn Storage, path: &Path, generation: u64) -> io::Result<Self> {
        let file = storage.open(path, Access::Create)?;
        file.write_all_at(&file_header(generation), 0)?;
        Ok(Self { file, generation })
    }

    /// Passes all records up to the first that is not sound; where that is, and whether it is the end of the file.
    pub(super) fn scan(&self, mut visit: impl FnMut(Record, u64)) -> io::Result<(u64, bool)> {
        let len = self.file.len()?;
        let mut offset = FILE_HEADER_BYTES as u64;
        let mut header = [0; RECORD_HEADER_BYTES_MAX];
        while offset < len {
            let read = self.file.read_full_at(&mut header, offset)?;
            // Only headers are looked at: a state is checked when somebody wants it.
            let Ok(record) = Record::decode(&header[..read], self.generation, offset) else { break };
            let next = offset.saturating_add(record.len() as u64);
            if next > len {
                break;
            }
            visit(record, offset);
            offset = next;
        }
        Ok((offset, offset == len))
    }

    /// Takes away everything from `offset` on.
    pub(super) fn cut(&self, offset: u64) -> io::Result<()> {
        self.file.set_len(offset)
    }

    pub(super) fn write(&self, record: &Record, payload: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(&record.encode(payload, self.generation, offset), offset)
    }

    /// The bytes of a record, whose payload is sound. The error says what is wrong with them.
    pub(super) fn read(&self, record: &Record, offset: u64) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; record.len()];
        let read = self.file.read_full_at(&mut bytes, offset).map_err(|error| error.to_string())?;
        bytes.truncate(read);
        // Not only sound, but still the one that was indexed: another process may have cut the file and gone on.
        match Record::decode(&bytes, self.generation, offset) {
            Ok(found) if found == *record => {}
            Ok(_) => return Err("another snapshot has taken its place".to_owned()),
            Err(error) => return Err(error.0.to_owned()),
        }
        record.payload(&bytes).map_err(|error| error.0.to_owned())?;
        Ok(bytes)
    }
}
