//! A segment that is in the archive, as a file: fetched into memory when it is looked at, and forgotten afterwards. Nothing is written,
//! so a copy that cannot be written is verified with its archive as well.

use crate::archive::{Reference, fetch};
use crate::mapped::{Map, SharedPage};
use crate::storage::{Storage, StorageFile};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was fetched, or why it was not: that is not tried again for every page.
type Fetched = Result<Arc<Vec<u8>>, (io::ErrorKind, String)>;

/// The bytes of a segment whose reference is here.
#[derive(Debug)]
pub(super) struct ArchivedFile {
    storage: Arc<dyn Storage>,
    log_dir: PathBuf,
    reference: Reference,
    fetched: Mutex<Option<Fetched>>,
}

impl ArchivedFile {
    pub(super) fn new(storage: &Arc<dyn Storage>, log_dir: &Path, reference: Reference) -> Self {
        let (storage, log_dir) = (Arc::clone(storage), log_dir.to_owned());
        Self { storage, log_dir, reference, fetched: Mutex::default() }
    }

    /// Forgets the bytes; who looks again has them fetched again.
    pub(super) fn forget(&self) {
        *self.fetched.lock() = None;
    }

    fn bytes(&self) -> io::Result<Arc<Vec<u8>>> {
        let mut fetched = self.fetched.lock();
        let fetched =
            fetched.get_or_insert_with(|| self.fetch().map_err(|error| (error.kind(), error.to_string())));
        fetched.clone().map_err(|(kind, reason)| io::Error::new(kind, reason))
    }

    fn fetch(&self) -> io::Result<Arc<Vec<u8>>> {
        let mut bytes = Vec::new();
        fetch(&*self.storage, &self.log_dir, &self.reference, |piece, _| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Arc::new(bytes))
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "what is in the archive is only read")
}

impl StorageFile for ArchivedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.reference.header.capacity)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(unsupported())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.reference.header.capacity.saturating_sub(offset);
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = self.bytes()?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = bytes.get(from..).unwrap_or_default();
        let (filled, zeros) = buffer[..len].split_at_mut(len.min(there.len()));
        filled.copy_from_slice(&there[..filled.len()]);
        // An object lacks the zeros behind its end.
        zeros.fill(0);
        Ok(len)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(unsupported())
    }

    fn sync(&self) -> io::Result<()> {
        Err(unsupported())
    }

    fn map(&self) -> io::Result<Map> {
        Err(unsupported())
    }

    fn shared_page(&self, _: usize, _: bool) -> io::Result<SharedPage> {
        Err(unsupported())
    }
}
