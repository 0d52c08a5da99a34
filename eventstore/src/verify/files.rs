//! The segment files of a log as they are found, headers decoded or not.

use super::archived::ArchivedFile;
use super::reader::{Blocks, Hole, Reader};
use super::walk::first_nonzero_of;
use crate::archive::{Reference, reference};
use crate::error::OpenError;
use crate::format::FormatError;
use crate::format::bytes::all_zero;
use crate::format::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::mapped::{Map, SharedPage};
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
    /// The file, when it is in the archive.
    archived: Option<Arc<ArchivedFile>>,
}

impl SegmentFile {
    fn open(storage: &Arc<dyn Storage>, log_dir: &Path, sequence: u32) -> Result<Self, OpenError> {
        let path = segment::path(log_dir, sequence);
        let io = |source| OpenError::Io { action: "cannot read", path: path.clone(), source };
        let file = match storage.open(&path, Access::Read) {
            Ok(file) => file,
            // Moved into the archive: what stands here says what it is.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reference = Reference::read(&**storage, log_dir, sequence).map_err(io)?;
                let reference = reference.ok_or_else(|| io(error))?;
                return Ok(Self::referred_to(storage, log_dir, sequence, reference));
            }
            Err(error) => return Err(io(error)),
        };
        let len = file.len().map_err(io)?;
        let mut header_bytes = vec![0; SEGMENT_HEADER_BYTES];
        let (mut hole, archived) = (None, None);
        match file.read_full_at(&mut header_bytes, 0) {
            Ok(read) => header_bytes.truncate(read),
            Err(error) => {
                header_bytes.clear();
                hole = Some(Hole::new(0..len.min(SEGMENT_HEADER_BYTES as u64), &error));
            }
        }
        let (header, header_error) = match SegmentHeader::decode(&header_bytes) {
            Ok(header) => (header, None),
            Err(error) => (None, Some(error)),
        };
        Ok(Self { sequence, path, file, len, header_bytes, header, header_error, hole, archived })
    }

    fn referred_to(
        storage: &Arc<dyn Storage>,
        log_dir: &Path,
        sequence: u32,
        reference: Result<Reference, FormatError>,
    ) -> Self {
        let path = reference::path(log_dir, sequence);
        match reference {
            Ok(reference) => {
                let archived = Arc::new(ArchivedFile::new(storage, log_dir, reference));
                let (len, header) = (reference.header.capacity, Some(reference.header));
                let (file, header_bytes) =
                    (Arc::clone(&archived) as Arc<dyn StorageFile>, reference.header.encode());
                let (header_error, hole, archived) = (None, None, Some(archived));
                Self { sequence, path, file, len, header_bytes, header, header_error, hole, archived }
            }
            Err(error) => {
                // Nothing of the segment can be found by it.
                let file: Arc<dyn StorageFile> = Arc::new(Nothing);
                let (header_bytes, header, header_error) = (vec![UNUSABLE], None, Some(error));
                Self {
                    sequence,
                    path,
                    file,
                    len: 0,
                    header_bytes,
                    header,
                    header_error,
                    hole: None,
                    archived: None,
                }
            }
        }
    }

    /// Whether its bytes are in the archive.
    pub(super) fn is_archived(&self) -> bool {
        self.archived.is_some()
    }

    /// Forgets what was fetched of it from the archive.
    pub(super) fn forget(&self) {
        if let Some(archived) = &self.archived {
            archived.forget();
        }
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
pub(super) fn list(storage: &Arc<dyn Storage>, log_dir: &Path) -> Result<Vec<SegmentFile>, OpenError> {
    let names = match storage.list(log_dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(OpenError::Io { action: "cannot list", path: log_dir.into(), source }),
    };
    let mut segments = Vec::new();
    let number = |name: &std::ffi::OsString| -> Option<u32> {
        let name = name.to_str()?;
        let digits = name.strip_suffix(".seg").or_else(|| name.strip_suffix(".ref"))?;
        if digits.len() == 10 { digits.parse().ok() } else { None }
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    // A crash may have left a segment both here and in the archive; the one that is here counts.
    numbers.dedup();
    for sequence in numbers {
        segments.push(SegmentFile::open(storage, log_dir, sequence)?);
    }
    Ok(segments)
}

/// In the place of a header that is not there: no header begins so, and it is not zero.
const UNUSABLE: u8 = 0xa5;

/// A file without bytes.
#[derive(Debug)]
struct Nothing;

fn refused() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

impl StorageFile for Nothing {
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(refused())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(refused())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self) -> io::Result<Map> {
        Err(refused())
    }

    fn shared_page(&self, _: usize, _: bool) -> io::Result<SharedPage> {
        Err(refused())
    }
}
