//! One segment, mapped for reading: its file, or what was fetched of it from the archive.
//!
//! Invariant: a file's length is fixed at birth, so a map never goes stale; what changes is how much of it counts.
//! Before bytes are looked at for the first time they are faulted in by a call that can fail: a bad sector is an error
//! then, where touching the map would have ended the process.

use crate::archive::{self, Elsewhere, NOT_FETCHED, OTHER_BYTES, Reference};
use crate::error::OpenError;
use crate::format::FormatError;
use crate::format::bytes::all_zero;
use crate::format::frame::{self, CrcSeed, Frame, Unchecked};
use crate::format::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::mapped::Map;
use crate::storage::{Access, Storage};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are faulted in at a time: little enough for a look-up to be cheap on a cold log.
const CHUNK: u64 = 32 << 10;
/// Bytes that are asked of the disk beyond what is needed, when the reading goes forward.
const READ_AHEAD: u64 = 2 << 20;
const CANNOT_BE_READ: FormatError = FormatError("the disk cannot read it");

/// Where a segment's file is.
pub(crate) fn path(log_dir: &Path, sequence: u32) -> PathBuf {
    log_dir.join(format!("{sequence:010}.seg"))
}

/// A used segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    seed: CrcSeed,
    bytes: Bytes,
    /// One bit per chunk that has been faulted in.
    faulted: Box<[AtomicU64]>,
}

/// Where a segment's bytes are.
#[derive(Debug)]
enum Bytes {
    Here(Map),
    /// In the archive, from which they are fetched when somebody wants them.
    Elsewhere(Box<Elsewhere>),
}

/// What a segment file turned out to be.
#[derive(Debug)]
pub(crate) enum SegmentFile {
    /// It has a sound header.
    Used(Arc<Segment>),
    /// Its header is all zero, or it is too short to have one.
    Prepared,
    /// There is something in the place of its header.
    Broken(FormatError),
}

impl Segment {
    /// Opens the segment's file, whatever it is.
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        log_dir: &Path,
        sequence: u32,
    ) -> Result<SegmentFile, OpenError> {
        let path = path(log_dir, sequence);
        let io = |action| {
            let path = path.clone();
            move |source| OpenError::Io { action, path, source }
        };
        let file = match storage.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return match Self::referred_to(storage, log_dir, sequence)? {
                    Some(segment) => Ok(SegmentFile::Used(Arc::new(segment))),
                    None => Err(io("cannot open")(error)),
                };
            }
            Err(error) => return Err(io("cannot open")(error)),
        };
        let mut header = vec![0; SEGMENT_HEADER_BYTES];
        let read = file.read_full_at(&mut header, 0).map_err(io("cannot read"))?;
        if read < SEGMENT_HEADER_BYTES {
            return Ok(if all_zero(&header[..read]) {
                SegmentFile::Prepared
            } else {
                SegmentFile::Broken(FormatError("the file is shorter than a segment header"))
            });
        }
        let header = match SegmentHeader::decode(&header) {
            Ok(None) => return Ok(SegmentFile::Prepared),
            Ok(Some(header)) => header,
            Err(error) => return Ok(SegmentFile::Broken(error)),
        };
        if header.sequence != sequence {
            let error = FormatError("the header names another segment than the file's name");
            return Ok(SegmentFile::Broken(error));
        }
        let len = file.len().map_err(io("cannot look at"))?;
        if header.capacity != len {
            let error = FormatError("the file does not have the length that its header names");
            return Ok(SegmentFile::Broken(error));
        }
        let map = file.map().map_err(io("cannot map"))?;
        map.expect_random_reads();
        Ok(SegmentFile::Used(Arc::new(Self::new(header, Bytes::Here(map)))))
    }

    fn new(header: SegmentHeader, bytes: Bytes) -> Self {
        let chunks = usize::try_from(header.capacity.div_ceil(CHUNK)).unwrap_or(0);
        let faulted = (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { header, seed: CrcSeed::new(&header.salt), bytes, faulted }
    }

    /// A segment that is in the archive; `None` when it is not there either.
    fn referred_to(
        storage: &Arc<dyn Storage>,
        log_dir: &Path,
        sequence: u32,
    ) -> Result<Option<Self>, OpenError> {
        let reference = Reference::read(&**storage, log_dir, sequence).map_err(|source| OpenError::Io {
            action: "cannot read",
            path: archive::reference::path(log_dir, sequence),
            source,
        })?;
        let Some(reference) = reference else { return Ok(None) };
        let reference = reference
            .map_err(|error| OpenError::BadSegment { segment: sequence, reason: error.to_string() })?;
        let elsewhere = Elsewhere::new(Arc::clone(storage), log_dir, reference);
        Ok(Some(Self::new(reference.header, Bytes::Elsewhere(Box::new(elsewhere)))))
    }

    /// What stands here for a segment that is in the archive.
    pub(crate) fn reference(&self) -> Option<&Reference> {
        match &self.bytes {
            Bytes::Here(_) => None,
            Bytes::Elsewhere(elsewhere) => Some(&elsewhere.reference),
        }
    }

    /// The same segment without the bytes that were fetched: what has been borrowed from this one stays with it.
    pub(crate) fn afresh(&self) -> Option<Self> {
        match &self.bytes {
            Bytes::Here(_) => None,
            Bytes::Elsewhere(elsewhere) => {
                Some(Self::new(self.header, Bytes::Elsewhere(Box::new(elsewhere.afresh()))))
            }
        }
    }

    /// The frame at `offset`, checked; `None` where nothing has been written.
    pub(crate) fn frame(&self, offset: u64) -> Result<Option<Frame<'_>>, FormatError> {
        self.peek(offset)?.map(Unchecked::check).transpose()
    }

    /// The frame at `offset` with its header checked, its body not yet.
    pub(crate) fn peek(&self, offset: u64) -> Result<Option<Unchecked<'_>>, FormatError> {
        self.fault_in(offset, frame::FRAME_HEADER_BYTES as u64)?;
        self.fault_in(offset, frame::claimed_len(self.bytes(), offset))?;
        frame::peek(self.bytes(), &self.seed, offset)
    }

    /// The whole file; nothing while it is only in the archive. Whoever looks at more than frames calls `fault_in` before.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Here(map) => map.bytes(),
            Bytes::Elsewhere(elsewhere) => elsewhere.map().map(Map::bytes).unwrap_or_default(),
        }
    }

    /// Length of the file.
    pub(crate) fn len(&self) -> u64 {
        self.header.capacity
    }

    /// The mapped bytes, which may have to be fetched.
    fn map(&self) -> Result<&Map, FormatError> {
        match &self.bytes {
            Bytes::Here(map) => Ok(map),
            Bytes::Elsewhere(elsewhere) => elsewhere.fetched().map_err(|error| {
                let segment = self.header.sequence;
                tracing::error!(segment, %error, "a segment cannot be fetched from the archive");
                // An answer that is wrong does not become right by asking again.
                if error.kind() == ErrorKind::InvalidData { OTHER_BYTES } else { NOT_FETCHED }
            }),
        }
    }

    /// Makes sure that the disk can read `len` bytes from `from` on.
    pub(crate) fn fault_in(&self, from: u64, len: u64) -> Result<(), FormatError> {
        let end = from.saturating_add(len).min(self.len());
        let map = self.map()?;
        for chunk in from / CHUNK..end.div_ceil(CHUNK) {
            if self.is_faulted(chunk) {
                continue;
            }
            let at = chunk * CHUNK;
            // The kernel reads ahead by megabytes for every look-up, if it is left to guess; so it is told.
            let goes_forward = chunk > 0 && self.is_faulted(chunk - 1);
            let ahead = if goes_forward && at.is_multiple_of(READ_AHEAD) { READ_AHEAD } else { CHUNK };
            map.will_need(at, ahead.min(self.len() - at));
            map.fault_in(at, CHUNK.min(self.len() - at)).map_err(|error| {
                let segment = self.header.sequence;
                tracing::error!(segment, offset = at, %error, "the disk cannot read a segment");
                CANNOT_BE_READ
            })?;
            if let Some(word) = self.faulted.get(usize::try_from(chunk / 64).unwrap_or(usize::MAX)) {
                word.fetch_or(1 << (chunk % 64), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn is_faulted(&self, chunk: u64) -> bool {
        let word = self.faulted.get(usize::try_from(chunk / 64).unwrap_or(usize::MAX));
        word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (chunk % 64)) != 0)
    }
}
