//! The segment files of a log: listing them, opening them in order, preparing the next one in the background.

use crate::error::OpenError;
use crate::format::bytes::all_zero;
use crate::segment;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

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

/// Syncs a directory, so that the names in it survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes sure that the segment's file is there with its full length, all zero, synced under its final name.
/// Zeros are written rather than allocated: a later write into them changes no metadata, which halves its fdatasync.
fn prepare(log_dir: &Path, sequence: u32, capacity: u64) -> io::Result<File> {
    let path = segment::path(log_dir, sequence);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    if !is_prepared(&mut file, capacity)? {
        // A file that a crash or a full disk left half made: it never held anything.
        file.set_len(0)?;
        let zeros = vec![0; ZEROS];
        let mut left = capacity;
        while left > 0 {
            let chunk = usize::try_from(left).map_or(ZEROS, |left| left.min(ZEROS));
            file.write_all(&zeros[..chunk])?;
            left -= chunk as u64;
        }
    }
    file.sync_all()?;
    sync_dir(log_dir)?;
    Ok(file)
}

fn is_prepared(file: &mut File, capacity: u64) -> io::Result<bool> {
    if file.metadata()?.len() != capacity {
        return Ok(false);
    }
    let mut buffer = vec![0; ZEROS];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            read if all_zero(&buffer[..read]) => {}
            _ => return Ok(false),
        }
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
