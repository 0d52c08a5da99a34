//! The segment files of a log: listing them, opening them in order, preparing the next one in the background.

use crate::error::OpenError;
use crate::format::bytes::first_nonzero;
use crate::segment::{self, Segment, SegmentFile};
use crate::storage::{Access, Storage, StorageFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

/// Bytes that are zero-filled or looked at in one go: few enough to stay in the processor's cache, where copying them takes
/// a third of the time that a MiB at once takes.
const PIECE: usize = 128 << 10;

/// Numbers of the segment files in the directory, in order.
///
/// # Errors
/// When the directory cannot be read, or a number is missing between two others.
pub(crate) fn list(storage: &dyn Storage, log_dir: &Path) -> Result<Vec<u32>, OpenError> {
    let names = match storage.list(log_dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(OpenError::Io { action: "cannot list", path: log_dir.to_owned(), source });
        }
    };
    let mut sequences: Vec<u32> = names
        .iter()
        .filter_map(|name| name.to_str()?.strip_suffix(".seg"))
        .filter(|digits| digits.len() == 10)
        .filter_map(|digits| digits.parse().ok())
        .collect();
    sequences.sort_unstable();
    for (expected, found) in (0..).zip(&sequences) {
        if expected != *found {
            return Err(OpenError::BadSegment {
                segment: expected,
                reason: "its file is missing".to_owned(),
            });
        }
    }
    Ok(sequences)
}

/// The segments that have been begun, in order, up to `last` if that is known.
pub(crate) fn used_segments(
    storage: &dyn Storage,
    log_dir: &Path,
    last: Option<u32>,
) -> Result<Vec<Arc<Segment>>, OpenError> {
    let mut used: Vec<Arc<Segment>> = Vec::new();
    for sequence in list(storage, log_dir)? {
        if last.is_some_and(|last| sequence > last) {
            break;
        }
        match Segment::open(storage, log_dir, sequence)? {
            SegmentFile::Used(segment) => {
                // It is named itself, not the one before it that it does not continue.
                if let Some(first) = used.first().filter(|first| first.header.store != segment.header.store) {
                    let (store, ours) = (segment.header.store, first.header.store);
                    let reason = format!("it belongs to store {store}, the log to store {ours}");
                    return Err(OpenError::BadSegment { segment: sequence, reason });
                }
                used.push(segment);
            }
            SegmentFile::Prepared => break,
            SegmentFile::Broken(error) => {
                return Err(OpenError::BadSegment { segment: sequence, reason: error.to_string() });
            }
        }
    }
    Ok(used)
}

/// Makes sure that the segment's file is there with its full length, all zero, synced under its final name.
/// Zeros are written rather than allocated: a later write into them changes no metadata, which halves its fdatasync.
///
/// A file that is already there is looked at whole before it is trusted: one whose header has been wiped may hold
/// frames, and those are not ours to erase. It is made under another name and renamed, so that a reader who has the
/// old one mapped keeps it.
fn prepare(
    storage: &dyn Storage,
    log_dir: &Path,
    sequence: u32,
    capacity: u64,
) -> io::Result<Arc<dyn StorageFile>> {
    let path = segment::path(log_dir, sequence);
    match storage.open(&path, Access::Write) {
        Ok(file) => {
            if let Some(at) = first_nonzero_in(&*file)? {
                let reason = format!("{} should be unused, but has bytes at {at}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            if file.len()? == capacity {
                file.sync()?;
                storage.sync_dir(log_dir)?;
                return Ok(file);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let unfinished = path.with_extension("seg.preparing");
    let made = make(storage, &unfinished, capacity);
    if made.is_err() {
        // A half-made file would hold on to the room that ran out. If it cannot be removed, the next try empties it.
        let _ = storage.remove(&unfinished);
    }
    let file = made?;
    storage.rename(&unfinished, &path)?;
    storage.sync_dir(log_dir)?;
    Ok(file)
}

fn make(storage: &dyn Storage, path: &Path, capacity: u64) -> io::Result<Arc<dyn StorageFile>> {
    let file = storage.open(path, Access::Create)?;
    let zeros = vec![0; PIECE];
    let mut at = 0;
    while at < capacity {
        let piece = usize::try_from(capacity - at).map_or(PIECE, |left| left.min(PIECE));
        file.write_all_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    file.sync()?;
    Ok(file)
}

/// Offset of the first byte other than zero of a segment's file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn first_nonzero_of(
    storage: &dyn Storage,
    log_dir: &Path,
    sequence: u32,
) -> io::Result<Option<u64>> {
    first_nonzero_in(&*storage.open(&segment::path(log_dir, sequence), Access::Read)?)
}

fn first_nonzero_in(file: &dyn StorageFile) -> io::Result<Option<u64>> {
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
    loop {
        let read = file.read_full_at(&mut piece, offset)?;
        if read == 0 {
            return Ok(None);
        }
        if let Some(at) = first_nonzero(&piece[..read]) {
            return Ok(Some(offset + at as u64));
        }
        offset += read as u64;
    }
}

type Prepared = io::Result<Arc<dyn StorageFile>>;

/// Prepares one segment ahead.
#[derive(Debug)]
pub(crate) struct Preparer {
    storage: Arc<dyn Storage>,
    log_dir: PathBuf,
    capacity: u64,
    /// Whether there is a thread for it; without one a segment is prepared when it is needed.
    ahead: bool,
    pending: Option<(u32, mpsc::Receiver<Prepared>)>,
}

impl Preparer {
    pub(crate) fn new(storage: Arc<dyn Storage>, log_dir: PathBuf, capacity: u64, ahead: bool) -> Self {
        Self { storage, log_dir, capacity, ahead, pending: None }
    }

    /// Begins to prepare a segment, unless one is under way.
    pub(crate) fn begin(&mut self, sequence: u32) {
        if self.pending.is_some() || !self.ahead {
            return;
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let (storage, log_dir, capacity) = (Arc::clone(&self.storage), self.log_dir.clone(), self.capacity);
        let spawned = std::thread::Builder::new().name("log-prepare".to_owned()).spawn(move || {
            // Nobody listens when the store has been closed meanwhile; the file waits for the next opening.
            let _ = sender.send(prepare(&*storage, &log_dir, sequence, capacity));
        });
        if spawned.is_ok() {
            self.pending = Some((sequence, receiver));
        }
    }

    /// The prepared segment; waits for it.
    pub(crate) fn take(&mut self, sequence: u32) -> Prepared {
        let now = |this: &Self| prepare(&*this.storage, &this.log_dir, sequence, this.capacity);
        match self.pending.take() {
            Some((prepared, receiver)) if prepared == sequence => {
                receiver.recv().unwrap_or_else(|_| now(self))
            }
            _ => now(self),
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        // Wait for the thread, so that nothing happens in the directory after the lock is released.
        if let Some((_, receiver)) = self.pending.take() {
            let _ = receiver.recv();
        }
    }
}
