//! An archive that is a directory: a mounted disk, a network share.

use super::Archive;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Names are made by us of a UUID and digits; anything else would be a way out of the directory.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let is_plain =
            |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
        if name.split('/').all(is_plain) {
            Ok(self.root.join(name))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name of an object")))
        }
    }

    /// Makes the directory and its names durable. The archive itself has to be there: one that is made by chance on an
    /// unmounted mount point would vanish when the right one is mounted.
    fn make(&self, dir: &Path) -> io::Result<()> {
        if !self.root.is_dir() {
            let reason = format!("{} is not there; make it, or mount it", self.root.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        fs::create_dir_all(dir)?;
        File::open(&self.root)?.sync_all()
    }
}

impl Archive for Directory {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name)?;
        let dir = path.parent().unwrap_or(&self.root);
        self.make(dir)?;
        if path.exists() {
            return if holds(&path, bytes)? {
                // Whoever put it may not have come to syncing it.
                File::open(&path)?.sync_all()?;
                File::open(dir)?.sync_all()
            } else {
                let reason = format!("{} holds something else", path.display());
                Err(io::Error::new(io::ErrorKind::AlreadyExists, reason))
            };
        }
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    }

    fn get(&self, name: &str, piece: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<()> {
        let path = self.path(name)?;
        let mut file = File::open(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => piece(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut buffer = vec![0; PIECE];
    let mut rest = bytes;
    while !rest.is_empty() {
        let read = file.read(&mut buffer)?;
        let Some((these, others)) = rest.split_at_checked(read) else { return Ok(false) };
        if read == 0 || these != &buffer[..read] {
            return Ok(false);
        }
        rest = others;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(archive: &Directory, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        archive.get(name, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    #[test]
    fn what_is_put_is_got_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Directory::new(dir.path().to_owned());
        let bytes = vec![7; 3 * PIECE + 5];
        archive.put("a/1.seg", &bytes).unwrap();
        archive.put("a/1.seg", &bytes).unwrap();
        assert_eq!(got(&archive, "a/1.seg").unwrap(), bytes);
        let error = archive.put("a/1.seg", &bytes[1..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(got(&archive, "a/1.seg").unwrap(), bytes, "it is what it was");
        assert_eq!(got(&archive, "a/2.seg").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn there_is_no_way_out_and_no_archive_by_chance() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Directory::new(dir.path().join("not mounted"));
        assert_eq!(archive.put("a/1.seg", b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
        let archive = Directory::new(dir.path().to_owned());
        for name in ["../x", "a/../../x", "/x", "a//x", ".x", ""] {
            assert_eq!(archive.put(name, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
