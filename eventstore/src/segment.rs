//! One segment file, mapped for reading.
//!
//! Invariant: a file's length is fixed at birth, so a map never goes stale; what changes is how much of it counts.

use crate::error::OpenError;
use crate::format::FormatError;
use crate::format::bytes::all_zero;
use crate::format::frame::{self, CrcSeed, Frame, Unchecked};
use crate::format::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::mapped::Map;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Where a segment's file is.
pub(crate) fn path(log_dir: &Path, sequence: u32) -> PathBuf {
    log_dir.join(format!("{sequence:010}.seg"))
}

/// A used segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    seed: CrcSeed,
    map: Map,
}

/// What a segment file turned out to be.
#[derive(Debug)]
pub(crate) enum SegmentFile {
    /// It has a sound header.
    Used(Segment),
    /// Its header is all zero, or it is too short to have one.
    Prepared,
    /// There is something in the place of its header.
    Broken(FormatError),
}

impl Segment {
    /// Opens the segment's file, whatever it is.
    pub(crate) fn open(log_dir: &Path, sequence: u32) -> Result<SegmentFile, OpenError> {
        let path = path(log_dir, sequence);
        let io = |action| {
            let path = path.clone();
            move |source| OpenError::Io { action, path, source }
        };
        let file = File::open(&path).map_err(io("cannot open"))?;
        if file.metadata().map_err(io("cannot look at"))?.len() < SEGMENT_HEADER_BYTES as u64 {
            let bytes = std::fs::read(&path).map_err(io("cannot read"))?;
            return Ok(if all_zero(&bytes) {
                SegmentFile::Prepared
            } else {
                SegmentFile::Broken(FormatError("the file is shorter than a segment header"))
            });
        }
        let map = Map::new(&file).map_err(io("cannot map"))?;
        Ok(match SegmentHeader::decode(map.bytes()) {
            Ok(None) => SegmentFile::Prepared,
            Ok(Some(header)) if header.sequence != sequence => {
                SegmentFile::Broken(FormatError("the header names another segment than the file's name"))
            }
            Ok(Some(header)) if header.capacity != map.bytes().len() as u64 => {
                SegmentFile::Broken(FormatError("the file does not have the length that its header names"))
            }
            Ok(Some(header)) => SegmentFile::Used(Self { header, seed: CrcSeed::new(&header.salt), map }),
            Err(error) => SegmentFile::Broken(error),
        })
    }

    /// The frame at `offset`, checked; `None` where nothing has been written.
    pub(crate) fn frame(&self, offset: u64) -> Result<Option<Frame<'_>>, FormatError> {
        frame::decode(self.bytes(), &self.seed, offset)
    }

    /// The frame at `offset` with its header checked, its body not yet.
    pub(crate) fn peek(&self, offset: u64) -> Result<Option<Unchecked<'_>>, FormatError> {
        frame::peek(self.bytes(), &self.seed, offset)
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.bytes()
    }

    /// Length of the file.
    pub(crate) fn len(&self) -> u64 {
        self.bytes().len() as u64
    }
}
