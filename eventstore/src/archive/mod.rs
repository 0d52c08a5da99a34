//! Old segments kept elsewhere: a sealed segment's bytes go to an archive, a small reference stays in its place.
//!
//! ```text
//!  log/0000000000.ref ─┐ header of the segment, length and SHA-256 of the object
//!  log/0000000001.ref ─┤
//!  log/ARCHIVE ────────┘ where the objects are: a URL, one line
//!  log/0000000002.seg   still here
//!  cache/0000000001.seg fetched because somebody read it; may be removed at any time
//! ```
//!
//! The log stays one log: positions, proofs and indexes do not change, and whoever reads what is in the archive waits for
//! it to be fetched, once. An object is the segment's file byte for byte without the zeros behind its end, so that somebody
//! else's tools can read an archive by `FORMAT.md` alone.
//!
//! Invariant: a segment's file is removed only after its object has been read back from the archive and found to be the
//! same, and its reference is on disk. A crash at any point leaves the segment here, there, or in both places.

mod directory;
mod elsewhere;
mod fetching;
mod moving;
pub(crate) mod reference;

pub(crate) use elsewhere::{Elsewhere, NOT_FETCHED, OTHER_BYTES};
pub(crate) use fetching::fetch;
pub use moving::{ArchiveError, ArchiveOptions, Archived, archive, archived};
pub(crate) use reference::Reference;

use crate::segments;
use crate::storage::{Access, Environment, Storage};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// The file that says where the objects are.
pub const ARCHIVE_FILE: &str = "ARCHIVE";
/// Longest URL of an archive, bytes.
pub const URL_BYTES_MAX: usize = 2_000;

/// A place that keeps objects under names, `/` between their parts.
pub trait Archive: fmt::Debug + Send + Sync {
    /// Keeps an object; it is there whole and for good when this returns. The same bytes may be put again.
    ///
    /// # Errors
    /// `AlreadyExists` when other bytes have the name; otherwise whatever keeps it from being kept.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Hands over an object's bytes in pieces, in order.
    ///
    /// # Errors
    /// `NotFound` when there is none of the name; whatever keeps it from being read; and what `piece` answers.
    fn get(&self, name: &str, piece: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<()>;
}

/// Finds archives by their URLs.
pub trait Archives: fmt::Debug + Send + Sync {
    /// The archive at a URL. Nothing is asked of it yet.
    ///
    /// # Errors
    /// `Unsupported` when nobody here knows archives of the kind; `InvalidInput` when it is no URL of its kind.
    fn open(&self, url: &str) -> io::Result<Arc<dyn Archive>>;
}

static INSTALLED: OnceLock<Arc<dyn Archives>> = OnceLock::new();

/// Lets every log that this process opens find its archive with `archives`; without it, archives are directories. Only
/// the first call counts, and only for what is opened after it.
pub fn install(archives: Arc<dyn Archives>) {
    let _ = INSTALLED.set(archives);
}

/// What was installed, or directories.
pub(crate) fn installed() -> Arc<dyn Archives> {
    INSTALLED.get().map_or_else(|| Arc::new(Directories) as Arc<dyn Archives>, Arc::clone)
}

/// Archives that are directories: `file:///var/archive/sunday`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Directories;

impl Archives for Directories {
    fn open(&self, url: &str) -> io::Result<Arc<dyn Archive>> {
        let Some(path) = url.strip_prefix("file://") else {
            let reason = format!("{url} is no archive that this program knows: a directory is file:///…");
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        };
        if !path.starts_with('/') {
            let reason = format!("{url} needs a whole path: file:///…");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        Ok(Arc::new(directory::Directory::new(PathBuf::from(path))))
    }
}

/// The name of a segment's object.
pub(crate) fn object(store: Uuid, sequence: u32) -> String {
    format!("{store}/{sequence:010}.seg")
}

/// Whether a segment has been moved into the archive, whatever its reference says.
pub(crate) fn is_referred_to(storage: &dyn Storage, log_dir: &Path, sequence: u32) -> bool {
    storage.open(&reference::path(log_dir, sequence), Access::Read).is_ok()
}

/// How many segments of a data directory are referred to: in the archive, or about to be.
///
/// # Errors
/// When the directory cannot be read.
pub fn references(environment: &Environment, data_dir: &Path) -> io::Result<usize> {
    match environment.storage.list(&data_dir.join("log")) {
        Ok(names) => {
            Ok(names.iter().filter(|name| Path::new(name).extension() == Some("ref".as_ref())).count())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Asks the archive of a data directory for the beginning of the newest segment that is there; false when none is.
///
/// # Errors
/// Why it does not answer; and when the log's directory cannot be read.
pub fn answers(environment: &Environment, data_dir: &Path) -> Result<bool, ArchiveError> {
    let (storage, log_dir) = (&*environment.storage, data_dir.join("log"));
    for sequence in segments::list(storage, &log_dir)?.into_iter().rev() {
        let failed = |source| ArchiveError::Io {
            action: "the archive does not give",
            what: format!("segment {sequence}"),
            source,
        };
        let reference = match Reference::read(storage, &log_dir, sequence).map_err(failed)? {
            None => continue,
            Some(Ok(reference)) => reference,
            Some(Err(error)) => return Err(failed(io::Error::new(io::ErrorKind::InvalidData, error))),
        };
        return fetching::answers(storage, &log_dir, &reference).map(|()| true).map_err(failed);
    }
    Ok(false)
}

/// Where the archive of a data directory is; `None` when it never had one.
///
/// # Errors
/// When `log/ARCHIVE` cannot be read or does not hold a URL.
pub fn url_of(environment: &Environment, data_dir: &Path) -> io::Result<Option<String>> {
    url(&*environment.storage, &data_dir.join("log"))
}

/// Where a log's archive is; `None` when it never had one.
pub(crate) fn url(storage: &dyn Storage, log_dir: &Path) -> io::Result<Option<String>> {
    let file = match storage.open(&log_dir.join(ARCHIVE_FILE), Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = vec![0; URL_BYTES_MAX + 1];
    let read = file.read_full_at(&mut text, 0)?;
    let text = std::str::from_utf8(&text[..read]).unwrap_or_default().trim();
    if text.is_empty() || read > URL_BYTES_MAX || text.contains('\n') {
        let reason = format!("{ARCHIVE_FILE} does not hold one URL on one line");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    Ok(Some(text.to_owned()))
}
