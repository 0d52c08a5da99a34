//! The segment files of a log: listing them, opening them in order, telling used from unused ones.

use crate::error::OpenError;
use crate::format::bytes::first_nonzero;
use crate::segment::{self, Segment, SegmentFile};
use crate::storage::{Access, Storage, StorageFile};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Bytes that are looked at in one go: few enough to stay in the processor's cache.
const PIECE: usize = 128 << 10;

/// Numbers of the segments in the directory, those in the archive included, in order.
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
        .filter_map(|name| {
            name.to_str()?.strip_suffix(".seg").or_else(|| name.to_str()?.strip_suffix(".ref"))
        })
        .filter(|digits| digits.len() == 10)
        .filter_map(|digits| digits.parse().ok())
        .collect();
    sequences.sort_unstable();
    // A crash may have left a segment both here and in the archive.
    sequences.dedup();
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
    storage: &Arc<dyn Storage>,
    log_dir: &Path,
    last: Option<u32>,
) -> Result<Vec<Arc<Segment>>, OpenError> {
    let mut used: Vec<Arc<Segment>> = Vec::new();
    for sequence in list(&**storage, log_dir)? {
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

/// The same of an open file.
pub(crate) fn first_nonzero_in(file: &dyn StorageFile) -> io::Result<Option<u64>> {
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
