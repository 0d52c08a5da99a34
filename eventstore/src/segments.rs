//! The segment files of a log: listing them, opening them in order, preparing the next one in the background.

use crate::error::OpenError;
use crate::format::bytes::first_nonzero;
use crate::segment::{self, Segment, SegmentFile};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

const ZEROS: usize = 1 << 20;

/// Numbers of the segment files in the directory, in order.
///
/// # Errors
/// When the directory cannot be read, or a number is missing between two others.
pub(crate) fn list(log_dir: &Path) -> Result<Vec<u32>, OpenError> {
    let io = |source| OpenError::Io { action: "cannot list", path: log_dir.to_owned(), source };
    let mut sequences = Vec::new();
    let entries = match fs::read_dir(log_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(sequences),
        Err(error) => return Err(io(error)),
    };
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        if let Some(sequence) =
            digits.filter(|digits| digits.len() == 10).and_then(|digits| digits.parse().ok())
        {
            sequences.push(sequence);
        }
    }
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
pub(crate) fn used_segments(data_dir: &Path, last: Option<u32>) -> Result<Vec<Arc<Segment>>, OpenError> {
    let log_dir = data_dir.join("log");
    let mut used: Vec<Arc<Segment>> = Vec::new();
    for sequence in list(&log_dir)? {
        if last.is_some_and(|last| sequence > last) {
            break;
        }
        match Segment::open(&log_dir, sequence)? {
            SegmentFile::Used(segment) => used.push(Arc::new(segment)),
            SegmentFile::Prepared => break,
            SegmentFile::Broken(error) => {
                return Err(OpenError::BadSegment { segment: sequence, reason: error.to_string() });
            }
        }
    }
    Ok(used)
}

/// Syncs a directory, so that the names in it survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes sure that the segment's file is there with its full length, all zero, synced under its final name.
/// Zeros are written rather than allocated: a later write into them changes no metadata, which halves its fdatasync.
///
/// A file that is already there is looked at whole before it is trusted: one whose header has been wiped may hold
/// frames, and those are not ours to erase. It is made under another name and renamed, so that a reader who has the
/// old one mapped keeps it.
fn prepare(log_dir: &Path, sequence: u32, capacity: u64) -> io::Result<File> {
    let path = segment::path(log_dir, sequence);
    match File::options().read(true).write(true).open(&path) {
        Ok(mut file) => {
            if let Some(at) = first_nonzero_in(&mut file)? {
                let reason = format!("{} should be unused, but has bytes at {at}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            if file.metadata()?.len() == capacity {
                file.sync_all()?;
                sync_dir(log_dir)?;
                return Ok(file);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let unfinished = path.with_extension("seg.preparing");
    let made = make(&unfinished, capacity);
    if made.is_err() {
        // A half-made file would hold on to the room that ran out. If it cannot be removed, the next try truncates it.
        let _ = fs::remove_file(&unfinished);
    }
    let file = made?;
    fs::rename(&unfinished, &path)?;
    sync_dir(log_dir)?;
    Ok(file)
}

fn make(path: &Path, capacity: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; ZEROS];
    let mut left = capacity;
    while left > 0 {
        let chunk = usize::try_from(left).map_or(ZEROS, |left| left.min(ZEROS));
        file.write_all(&zeros[..chunk])?;
        left -= chunk as u64;
    }
    file.sync_all()?;
    Ok(file)
}

/// Offset of the first byte other than zero of a segment's file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn first_nonzero_of(log_dir: &Path, sequence: u32) -> io::Result<Option<u64>> {
    first_nonzero_in(&mut File::open(segment::path(log_dir, sequence))?)
}

fn first_nonzero_in(file: &mut File) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; ZEROS];
    let mut offset = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(None);
        }
        if let Some(at) = first_nonzero(&buffer[..read]) {
            return Ok(Some(offset + at as u64));
        }
        offset += read as u64;
    }
}

/// Prepares one segment ahead, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Preparer {
    log_dir: PathBuf,
    capacity: u64,
    pending: Option<(u32, mpsc::Receiver<io::Result<File>>)>,
}

impl Preparer {
    pub(crate) fn new(log_dir: PathBuf, capacity: u64) -> Self {
        Self { log_dir, capacity, pending: None }
    }

    /// Begins to prepare a segment, unless one is under way.
    pub(crate) fn begin(&mut self, sequence: u32) {
        if self.pending.is_some() {
            return;
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let (log_dir, capacity) = (self.log_dir.clone(), self.capacity);
        let spawned = std::thread::Builder::new().name("log-prepare".to_owned()).spawn(move || {
            // Nobody listens when the store has been closed meanwhile; the file waits for the next opening.
            let _ = sender.send(prepare(&log_dir, sequence, capacity));
        });
        if spawned.is_ok() {
            self.pending = Some((sequence, receiver));
        }
    }

    /// The prepared segment; waits for it.
    pub(crate) fn take(&mut self, sequence: u32) -> io::Result<File> {
        match self.pending.take() {
            Some((prepared, receiver)) if prepared == sequence => {
                receiver.recv().unwrap_or_else(|_| prepare(&self.log_dir, sequence, self.capacity))
            }
            _ => prepare(&self.log_dir, sequence, self.capacity),
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
