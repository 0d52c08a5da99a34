//! Fetching an object: what is handed over is held against the reference before anybody believes it.

use super::{ARCHIVE_FILE, Archive, Reference, object, url};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::numbers::Digest;
use crate::storage::Storage;
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Hands over the object of a segment, piece by piece with the offset of each; what came counts only once this returns.
///
/// # Errors
/// When nothing says where the archive is, it does not give the object, `piece` refuses, or other bytes come than were
/// put there (`InvalidData`).
pub(crate) fn fetch(
    storage: &dyn Storage,
    log_dir: &Path,
    reference: &Reference,
    mut piece: impl FnMut(&[u8], u64) -> io::Result<()> + Send,
) -> io::Result<()> {
    let Reference { header, len, digest } = reference;
    let other = || other_bytes(header.sequence);
    let stated = header.encode();
    let mut seen: Vec<u8> = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    let mut sum = Sum::default();
    archive_of(storage, log_dir)?.get(&object(header.store, header.sequence), &mut |bytes| {
        if sum.len + bytes.len() as u64 > *len {
            return Err(other());
        }
        seen.extend(bytes.iter().take(SEGMENT_HEADER_BYTES - seen.len()));
        piece(bytes, sum.len)?;
        sum.take(bytes);
        Ok(())
    })?;
    if sum.len == *len && sum.finish() == *digest && seen == stated { Ok(()) } else { Err(other()) }
}

/// Whether the archive gives an object, as far as its beginning tells.
///
/// # Errors
/// Why it does not; `InvalidData` when something else stands there.
pub(super) fn answers(storage: &dyn Storage, log_dir: &Path, reference: &Reference) -> io::Result<()> {
    let Reference { header, .. } = reference;
    let mut seen: Vec<u8> = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    let got = archive_of(storage, log_dir)?.get(&object(header.store, header.sequence), &mut |bytes| {
        seen.extend(bytes.iter().take(SEGMENT_HEADER_BYTES - seen.len()));
        // No more of it is wanted.
        if seen.len() < SEGMENT_HEADER_BYTES { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
    });
    if seen.len() < SEGMENT_HEADER_BYTES {
        got?;
    }
    if seen == header.encode() { Ok(()) } else { Err(other_bytes(header.sequence)) }
}

fn archive_of(storage: &dyn Storage, log_dir: &Path) -> io::Result<Arc<dyn Archive>> {
    let none = || {
        let reason = format!("{ARCHIVE_FILE} is not there to say where the archive is");
        io::Error::new(io::ErrorKind::NotFound, reason)
    };
    storage.archive(&url(storage, log_dir)?.ok_or_else(none)?)
}

fn other_bytes(sequence: u32) -> io::Error {
    let reason = format!("the archive's segment {sequence} is not the one that was put there");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Length and SHA-256 of what comes in pieces.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) len: u64,
    hash: Sha256,
}

impl Sum {
    pub(super) fn take(&mut self, piece: &[u8]) {
        self.len += piece.len() as u64;
        self.hash.update(piece);
    }

    pub(super) fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}
