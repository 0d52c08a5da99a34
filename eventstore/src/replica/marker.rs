//! The file that makes a log a standby: `log/STANDBY`, a line of text for people that says what the log follows. And what a
//! promotion leaves in its place: `log/PROMOTED`, with the position from which the log is its own.
//!
//! Invariant: the first is made before the first segment and removed by a promotion only, so no writer ever opens a log that
//! has to stay identical to another one. The second is there before the first one goes, so no log forgets that another one
//! has its name.

use crate::archive;
use crate::control;
use crate::error::OpenError;
use crate::numbers::Position;
use crate::segment;
use crate::segments;
use crate::storage::{Access, Environment, Storage};
use std::io;
use std::path::{Path, PathBuf};

const NAME: &str = "STANDBY";
const PROMOTED: &str = "PROMOTED";
/// More of it is not shown to anybody.
const TEXT_BYTES_MAX: usize = 1024;

/// What the log of a directory follows; `None` when it is no standby.
pub(crate) fn read(storage: &dyn Storage, log_dir: &Path) -> Result<Option<String>, OpenError> {
    text(storage, log_dir.join(NAME))
}

/// The position from which the log of a directory is its own; `None` of one that was not promoted.
pub(crate) fn promoted_at(storage: &dyn Storage, log_dir: &Path) -> Result<Option<Position>, OpenError> {
    let path = log_dir.join(PROMOTED);
    let Some(text) = text(storage, path.clone())? else { return Ok(None) };
    let position = text.split_whitespace().next().and_then(|first| first.parse().ok());
    position.map(|position| Some(Position::new(position))).ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a position");
        failed("cannot read", path, source)
    })
}

/// What a file says, as far as anybody is shown of it.
fn text(storage: &dyn Storage, path: PathBuf) -> Result<Option<String>, OpenError> {
    let mut text = [0; TEXT_BYTES_MAX];
    let read = storage.open(&path, Access::Read).and_then(|file| file.read_full_at(&mut text, 0));
    match read {
        Ok(len) => Ok(Some(String::from_utf8_lossy(&text[..len]).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("cannot read", path, source)),
    }
}

/// Makes the log of a directory a standby, or says anew what it follows.
pub(crate) fn write(storage: &dyn Storage, log_dir: &Path, follows: &str) -> Result<(), OpenError> {
    let path = log_dir.join(NAME);
    let text = format!("{follows}\n");
    storage.replace(&path, text.as_bytes()).map_err(|source| failed("cannot write", path, source))
}

/// Makes a standby a writer's log, which is its own from `position` on.
pub(crate) fn promote(storage: &dyn Storage, log_dir: &Path, position: Position) -> Result<(), OpenError> {
    let path = log_dir.join(PROMOTED);
    let followed = read(storage, log_dir)?.unwrap_or_default();
    let text = format!("{position} is the first position of its own; before that it followed {followed}\n");
    storage.replace(&path, text.as_bytes()).map_err(|source| failed("cannot write", path, source))?;
    let path = log_dir.join(NAME);
    let removed = storage.remove(&path).and_then(|()| storage.sync_dir(log_dir));
    removed.map_err(|source| failed("cannot remove", path, source))
}

/// An error when the log is a standby.
pub(crate) fn refuse(storage: &dyn Storage, log_dir: &Path) -> Result<(), OpenError> {
    match read(storage, log_dir)? {
        None => Ok(()),
        Some(follows) => Err(OpenError::Standby { path: log_dir.to_owned(), follows }),
    }
}

fn failed(action: &'static str, path: PathBuf, source: io::Error) -> OpenError {
    OpenError::Io { action, path, source }
}

/// Whether something has been written in a directory that is no standby.
pub(super) fn has_log(environment: &Environment, data_dir: &Path, log_dir: &Path) -> Result<bool, OpenError> {
    let storage = &*environment.storage;
    if control::last_published(storage, data_dir)?.is_some() {
        return Ok(true);
    }
    for sequence in segments::list(storage, log_dir)? {
        if archive::is_referred_to(storage, log_dir, sequence) {
            return Ok(true);
        }
        let first = segments::first_nonzero_of(storage, log_dir, sequence);
        let first = first.map_err(|source| OpenError::Io {
            action: "cannot read",
            path: segment::path(log_dir, sequence),
            source,
        })?;
        if first.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
