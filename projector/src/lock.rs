//! The lock of whoever writes derived data: one projector, or one rebuild, at a time.
//!
//! The operating system releases it whatever happens to its holder; the file stays.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Why derived data cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another projector or rebuild is at work.
    #[error("another projector has {path} locked ({holder})")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote into it.
        holder: String,
    },
    /// The operating system refused.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Held as long as derived data is written.
#[derive(Debug)]
pub(crate) struct ProjectorLock {
    _file: File,
}

impl ProjectorLock {
    pub(crate) fn acquire(data_dir: &Path) -> Result<Self, LockError> {
        let dir = data_dir.join("control");
        let path = dir.join("projector.lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(&dir).map_err(io)?;
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is only helps the reader of the message.
                let _ = file.take(200).read_to_string(&mut holder);
                return Err(LockError::Locked { path, holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "process {}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let lock = ProjectorLock::acquire(dir.path()).unwrap();
        let Err(LockError::Locked { holder, .. }) = ProjectorLock::acquire(dir.path()) else {
            panic!("two holders");
        };
        assert_eq!(holder, format!("process {}", std::process::id()));
        drop(lock);
        ProjectorLock::acquire(dir.path()).unwrap();
    }
}
