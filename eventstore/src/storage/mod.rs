//! What the log needs of the world: files, a clock, randomness. Handed in, so that a simulation can hand in another
//! world: one whose disk loses what was not synced, and whose every run can be repeated byte for byte.
//!
//! The contract is that of a disk behind a page cache, no more: what was written is visible at once to everybody and
//! survives only what has been synced since; a name survives only what has synced its directory since.

mod files;
mod write_back;

use crate::archive::{self, Archive, Archives};
use crate::mapped::{Map, SharedPage};
use crate::numbers::Timestamp;
use std::any::Any;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading; it must be there.
    Read,
    /// For reading and writing; it must be there.
    Write,
    /// For reading and writing; made when it is not there, kept as it is when it is.
    Open,
    /// For reading and writing; made, or emptied when it is there.
    Create,
}

/// Files and directories.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Makes a directory and those above it; fine if it is there.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Names in a directory, in no particular order.
    ///
    /// # Errors
    /// What the operating system says; `NotFound` when there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Opens a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>>;

    /// Gives a file another name in the same directory, in place of whatever has it. Durable once the directory is synced.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, on the same file system.
    ///
    /// # Errors
    /// What the operating system says; `Unsupported` where there is no such thing.
    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes a file's name away. Who has it open or mapped keeps it.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock of a file, making the file if need be; the lock is held until the answer is dropped or its
    /// holder dies. `note` is left in the file for people.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else has it; otherwise what the operating system says.
    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// Whether somebody has the lock of a file right now.
    fn is_locked(&self, path: &Path) -> bool;

    /// The archive at a URL.
    ///
    /// # Errors
    /// `Unsupported` when nobody here knows archives of the kind; `InvalidInput` when it is no URL of its kind.
    fn archive(&self, url: &str) -> io::Result<Arc<dyn Archive>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{url}: there are no archives here")))
    }
}

impl dyn Storage + '_ {
    /// Puts a small file in the place of another: whole or not at all, and durable when this returns. It grows under its name
    /// with `.writing` for an extension, and whoever puts it there does so alone.
    ///
    /// # Errors
    /// What the operating system says; the file that was there before is as it was, unless only syncing its name failed.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = path.with_extension("writing");
        let file = self.open(&unfinished, Access::Create)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        self.rename(&unfinished, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

/// An open file. Writing and reading go through one page cache: what is written is read (and mapped) at once.
pub trait StorageFile: fmt::Debug + Send + Sync {
    /// Length, bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether there is nothing in it.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends (with zeros). Never done to a segment.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reads some bytes; fewer than asked for only at the end or by chance, none only at the end.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some bytes, perhaps not all.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes everything written so far durable (`fdatasync`).
    ///
    /// # Errors
    /// What the operating system says. After an error nothing is known of what was written since the last success.
    fn sync(&self) -> io::Result<()>;

    /// Hands a part of what was written to the disk and waits until the disk has taken it: without a flush, so without any
    /// promise, but a later [`StorageFile::sync`] finds nothing left of it that would stand before others' writes. A storage
    /// that has no such thing does nothing.
    ///
    /// # Errors
    /// What the operating system says; nothing is known of the part then, as after a failed sync.
    fn write_back(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    /// Maps the file as it is now, for reading.
    ///
    /// # Errors
    /// What the operating system says.
    fn map(&self) -> io::Result<Map>;

    /// Maps the first `len` bytes as a page shared between processes.
    ///
    /// # Errors
    /// What the operating system says, or `InvalidData` when the file is shorter.
    fn shared_page(&self, len: usize, writable: bool) -> io::Result<SharedPage>;
}

impl dyn StorageFile + '_ {
    /// Writes all of `bytes`, however many steps it takes.
    ///
    /// # Errors
    /// As [`StorageFile::write_at`]; `WriteZero` when nothing more can be written.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until `buffer` is full or the file ends; the number of bytes read.
    ///
    /// # Errors
    /// As [`StorageFile::read_at`].
    pub fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

/// The time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now. It may jump back; the log does not follow it there.
    fn now(&self) -> Timestamp;
}

/// Randomness, for salts and the ids of stores.
pub trait Random: fmt::Debug + Send + Sync {
    /// Sixteen random bytes.
    fn bytes(&self) -> [u8; 16];
}

/// The world that a log lives in.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Where its files are.
    pub storage: Arc<dyn Storage>,
    /// What tells it the time.
    pub clock: Arc<dyn Clock>,
    /// Where its salts come from.
    pub random: Arc<dyn Random>,
}

impl Default for Environment {
    /// This machine, with the archives that were [installed](crate::archive::install).
    fn default() -> Self {
        Self::with_archives(archive::installed())
    }
}

impl Environment {
    /// This machine, with archives of other kinds.
    #[must_use]
    pub fn with_archives(archives: Arc<dyn Archives>) -> Self {
        Self {
            storage: Arc::new(files::Files { archives }),
            clock: Arc::new(files::SystemClock),
            random: Arc::new(files::SystemRandom),
        }
    }
}
