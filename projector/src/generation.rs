//! Generations of derived data: `<kind>/<generation>/` behind a file `CURRENT` that names the one in use.
//!
//! Invariant: `CURRENT` is only ever replaced by rename, after what it names is on disk; so a reader finds the old
//! generation or the new one, whole. What `CURRENT` does not name can be deleted at any time.

use crate::failpoint::failpoint;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const CURRENT: &str = "CURRENT";

/// All generations of one kind of derived data.
#[derive(Debug, Clone)]
pub(crate) struct Generations {
    root: PathBuf,
}

/// Tells two files apart that had the same name at different times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    inode: u64,
    modified: (i64, i64),
    bytes: u64,
}

impl Identity {
    /// Of the file that is there now; `None` when there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: metadata.len(),
        })
    }
}

impl Generations {
    pub(crate) fn new(data_dir: &Path, kind: &str) -> Self {
        Self { root: data_dir.join(kind) }
    }

    /// The directory that is in use.
    pub(crate) fn current(&self) -> Option<PathBuf> {
        let name = fs::read_to_string(self.root.join(CURRENT)).ok()?;
        let name = name.trim();
        let dir = self.root.join(name);
        (number_of(OsStr::new(name)).is_some() && dir.is_dir()).then_some(dir)
    }

    pub(crate) fn current_identity(&self) -> Option<Identity> {
        Identity::of(&self.root.join(CURRENT))
    }

    /// A new, empty directory beside the others.
    pub(crate) fn begin(&self) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.root)?;
        let newest = fs::read_dir(&self.root)?
            .filter_map(|entry| number_of(&entry.ok()?.file_name()))
            .max()
            .unwrap_or(0);
        let dir = self.root.join(format!("{:08}", newest + 1));
        fs::create_dir(&dir)?;
        failpoint("a generation has begun", &dir)?;
        Ok(dir)
    }

    /// Puts a directory that [`Generations::begin`] made into use. What it holds must be on disk.
    ///
    /// # Errors
    /// When it is not in use: once `CURRENT` names it, it is, for everybody. Should the rename itself be lost with the machine, the
    /// one before it is in use again, or none.
    pub(crate) fn make_current(&self, dir: &Path) -> io::Result<()> {
        let name = dir.file_name().and_then(OsStr::to_str).ok_or(io::ErrorKind::InvalidInput)?;
        sync_dir(dir)?;
        failpoint("CURRENT is to change", dir)?;
        match replace(&self.root.join(CURRENT), |file| writeln!(file, "{name}")) {
            Err(error) if self.current().as_deref() == Some(dir) => {
                tracing::warn!(dir = %dir.display(), %error, "a generation is in use, and that may not be on disk");
                Ok(())
            }
            replaced => replaced,
        }
    }

    /// Gives a generation whatever files of another one it lacks; both then have the same bytes, on disk once.
    pub(crate) fn link_missing(&self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            let is_temporary = Path::new(&name).extension().is_some_and(|extension| extension == "tmp");
            if !is_temporary && !to.join(&name).exists() {
                fs::hard_link(from.join(&name), to.join(&name))?;
            }
        }
        Ok(())
    }

    /// Deletes what is not in use: older generations and what a crash left half made. Readers that have files of
    /// theirs mapped keep them.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let Some(current) = self.current() else { return Ok(()) };
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if number_of(&entry.file_name()).is_some() && entry.path() != current {
                fs::remove_dir_all(entry.path())?;
                failpoint("a generation is swept", &self.root)?;
            }
        }
        Ok(())
    }
}

fn number_of(name: &OsStr) -> Option<u64> {
    let name = name.to_str()?;
    if name.bytes().all(|byte| byte.is_ascii_digit()) { name.parse().ok() } else { None }
}

/// Writes a file so that there is the old one or the new one, whole, whatever happens.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    write(&mut file)?;
    file.sync_all()?;
    failpoint("a file is written", path)?;
    fs::rename(&temporary, path)?;
    failpoint("a file is renamed", path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Writes a file that nobody relies on so that there is the old one or the new one, as long as the machine runs.
pub(crate) fn replace_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_generation_changes_at_once_and_the_others_go() {
        let dir = tempfile::tempdir().unwrap();
        let generations = Generations::new(dir.path(), "images");
        assert_eq!(generations.current(), None);
        let one = generations.begin().unwrap();
        assert_eq!(generations.current(), None);
        generations.make_current(&one).unwrap();
        let before = generations.current_identity();
        let two = generations.begin().unwrap();
        assert_eq!(generations.current(), Some(one.clone()));
        generations.make_current(&two).unwrap();
        assert_ne!(generations.current_identity(), before);
        generations.sweep().unwrap();
        assert_eq!(generations.current(), Some(two));
        assert!(!one.exists());
    }

    #[test]
    fn a_name_that_is_no_generation_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let generations = Generations::new(dir.path(), "images");
        generations.begin().unwrap();
        fs::write(dir.path().join("images/CURRENT"), "../images\n").unwrap();
        assert_eq!(generations.current(), None);
    }
}
