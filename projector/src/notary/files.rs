//! Where the notary's files are, and how small ones are written.

use crate::generation::replace;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Secret and public keys, below the data directory.
pub const KEYS_DIR: &str = "keys";
/// The tree's generations, below the data directory.
pub(crate) const TREE_DIR: &str = "tree";
/// Only the owner may read a secret.
const SECRET_MODE: u32 = 0o600;

/// The published checkpoint.
pub(crate) fn published(data_dir: &Path) -> PathBuf {
    data_dir.join(TREE_DIR).join("checkpoint")
}

/// Says why nothing is signed, as long as that is so.
pub(super) fn refused(data_dir: &Path) -> PathBuf {
    data_dir.join(TREE_DIR).join("REFUSED")
}

/// Writes a small file as a whole.
///
/// # Errors
/// What the operating system says.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    replace(path, |file| file.write_all(text.as_bytes()))
}

/// Writes a file that only its owner may read, in a directory that only its owner may enter. It is on disk when this returns.
///
/// # Errors
/// What the operating system says.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let temporary = path.with_extension("tmp");
    // One that a crash has left could have other permissions.
    remove(&temporary)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(SECRET_MODE).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_dir(dir)
}

/// Removes a file; fine if it is not there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file's text; nothing when it is not there.
///
/// # Errors
/// What the operating system says.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
