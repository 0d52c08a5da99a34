//! The segment files of a log as they are found, headers decoded or not.

use super::reader::{Blocks, Hole, Reader};
use super::walk::first_nonzero_of;
use crate::error::OpenError;
use crate::format::FormatError;
use crate::format::bytes::all_zero;
use crate::format::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::segment;
use crate::storage::{Access, Storage, StorageFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One segment's file.
pub(super) struct SegmentFile {
    pub(super) sequence: u32,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) len: u64,
    /// What stands in the place of its header.
    pub(super) header_bytes: Vec<u8>,
    /// `None` also when it cannot be read.
    pub(super) header: Option<SegmentHeader>,
    pub(super) header_error: Option<FormatError>,
    pub(super) hole: Option<Hole>,
}

impl SegmentFile {
    fn open(storage: &dyn Storage, log_dir: &Path, sequence: u32) -> Result<Self, OpenError> {
        let path = segment::path(log_dir, sequence);
        let io = |source| OpenError::Io { action: "cannot read", path: path.clone(), source };
        let file = storage.open(&path, Access::Read).map_err(io)?;
        let len = file.len().map_err(io)?;
        let mut header_bytes = vec![0; SEGMENT_HEADER_BYTES];
        let mut hole = None;
        match file.read_full_at(&mut header_bytes, 0) {
            Ok(read) => header_bytes.truncate(read),
            Err(error) => {
                header_bytes.clear();
                hole =
                    Some(Hole { bytes: 0..len.min(SEGMENT_HEADER_BYTES as u64), error: error.to_string() });
            }
        }
        let (header, header_error) = match SegmentHeader::decode(&header_bytes) {
            Ok(header) => (header, None),
            Err(error) => (None, Some(error)),
        };
        Ok(Self { sequence, path, file, len, header_bytes, header, header_error, hole })
    }

    /// Whether the place of its header is all zero, or too short to be a header and zero.
    pub(super) fn is_unused(&self) -> bool {
        self.hole.is_none() && all_zero(&self.header_bytes)
    }

    /// The first byte other than zero of all of it, and what could not be read.
    pub(super) fn first_nonzero(&self) -> (Option<u64>, Vec<Hole>) {
        let mut blocks = Blocks::default();
        let mut reader = Reader::new(&*self.file, self.len, &mut blocks);
        let first = first_nonzero_of(&mut reader, 0, self.len);
        let holes = reader.into_holes();
        // What stands for bytes that could not be read is not a finding of its own.
        let is_hole = |at: &u64| holes.iter().any(|hole| hole.bytes.contains(at));
        (first.filter(|at| !is_hole(at)), holes)
    }
}

/// All segment files of a log in order.
pub(super) fn list(storage: &dyn Storage, log_dir: &Path) -> Result<Vec<SegmentFile>, OpenError> {
    let names = match storage.list(log_dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(OpenError::Io { action: "cannot list", path: log_dir.into(), source }),
    };
    let mut segments = Vec::new();
    for name in names {
        let digits = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        let digits = digits.filter(|digits| digits.len() == 10);
        if let Some(sequence) = digits.and_then(|digits| digits.parse().ok()) {
            segments.push(SegmentFile::open(storage, log_dir, sequence)?);
        }
    }
    segments.sort_unstable_by_key(|segment| segment.sequence);
    Ok(segments)
}
