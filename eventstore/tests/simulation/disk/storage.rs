//! The disk as one process sees it: `Storage` and `StorageFile`, with the faults in between.

use super::directory::{Directory, Node};
use super::{Disk, Fate, State, gone};
use crate::trace::content_hash;
use eventstore::storage::{Access, Storage, StorageFile};
use eventstore::{Map, SharedPage};
use std::any::Any;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an operating system says of a broken disk.
fn broken() -> io::Error {
    io::Error::other("injected: input/output error")
}

fn no_room() -> io::Error {
    io::Error::new(ErrorKind::StorageFull, "injected: no space left on device")
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) disk: Disk,
    pub(super) boot: u64,
}

/// An open file of a process. Keeps the page cache that it was opened on, whatever becomes of the disk.
#[derive(Debug)]
struct Open {
    disk: Disk,
    boot: u64,
    number: u64,
    cache: Arc<File>,
    name: String,
}

#[derive(Debug)]
struct Locked {
    disk: Disk,
    boot: u64,
    path: PathBuf,
}

impl Drop for Locked {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

fn split(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a path with a name");
    (path.parent().expect("a path with a directory").to_owned(), name.to_owned())
}

/// Does what was begun, or has been done as the last thing of a process.
fn answer<T>(fate: Fate, done: T) -> io::Result<T> {
    if fate == Fate::Done { Ok(done) } else { Err(gone()) }
}

impl State {
    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories.get_mut(path).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn find(&mut self, path: &Path) -> io::Result<Option<Node>> {
        let (dir, name) = split(path);
        Ok(self.directory(&dir)?.names().get(&name).copied())
    }

    fn find_or_make(&mut self, path: &Path) -> io::Result<u64> {
        match self.find(path)? {
            Some(Node::File(number)) => Ok(number),
            Some(Node::Directory) => Err(ErrorKind::IsADirectory.into()),
            None if self.full => {
                self.hit("fault no room");
                Err(no_room())
            }
            None => {
                let number = self.make_inode();
                let (dir, name) = split(path);
                self.directory(&dir)?.make(&name, Node::File(number));
                Ok(number)
            }
        }
    }

    /// Writes a beginning of the bytes, as far as a process came that died over it, or a disk that failed.
    fn write_some(&mut self, number: u64, bytes: &[u8], offset: u64) {
        let len = self.dice.below(bytes.len() as u64 + 1) as usize;
        let room = self.inode(number).len().saturating_sub(offset) as usize;
        let len = if self.full { len.min(room) } else { len };
        self.inode(number).write(&bytes[..len], offset);
        self.trace.note(format!("  {len} bytes of it are written"));
    }

    fn name_error(&mut self) -> io::Result<()> {
        if self.strikes("fault name error", |odds| odds.name_error) { Err(broken()) } else { Ok(()) }
    }
}

impl Storage for Process {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("create_dir {}", dir.display()))?;
        let mut missing = Vec::new();
        let mut at = dir;
        while !state.directories.contains_key(at) {
            missing.push(at.to_owned());
            at = at.parent().ok_or(ErrorKind::NotFound)?;
        }
        for path in missing.iter().rev() {
            if state.full {
                state.hit("fault no room");
                return Err(no_room());
            }
            let (parent, name) = split(path);
            state.directory(&parent)?.make(&name, Node::Directory);
            state.directories.insert(path.clone(), Directory::default());
        }
        answer(fate, ())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("list {}", dir.display()))?;
        let names: Vec<_> = state.directory(dir)?.names().keys().map(OsString::from).collect();
        answer(fate, names)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("open {} {access:?}", path.display()))?;
        state.name_error()?;
        let number = match access {
            Access::Read | Access::Write => match state.find(path)? {
                Some(Node::File(number)) => number,
                Some(Node::Directory) => return Err(ErrorKind::IsADirectory.into()),
                None => return Err(ErrorKind::NotFound.into()),
            },
            Access::Open | Access::Create => state.find_or_make(path)?,
        };
        if access == Access::Create && state.inode(number).len() > 0 {
            state.inode(number).set_len(0);
        }
        let cache = Arc::clone(state.inode(number).cache());
        let name = split(path).1;
        answer(fate, Arc::new(Open { disk: self.disk.clone(), boot: self.boot, number, cache, name }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("rename {} to {}", from.display(), to.display()))?;
        state.name_error()?;
        let node = state.find(from)?.ok_or(ErrorKind::NotFound)?;
        let ((dir, from), (to_dir, to)) = (split(from), split(to));
        assert_eq!(dir, to_dir, "the log never moves files between directories");
        state.directory(&dir)?.rename(&from, &to, node);
        answer(fate, ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("remove {}", path.display()))?;
        state.name_error()?;
        if !matches!(state.find(path)?, Some(Node::File(_))) {
            return Err(ErrorKind::NotFound.into());
        }
        let (dir, name) = split(path);
        state.directory(&dir)?.remove(&name);
        answer(fate, ())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("sync_dir {}", dir.display()))?;
        state.name_error()?;
        state.directory(dir)?.sync();
        answer(fate, ())
    }

    fn lock(&self, path: &Path, _note: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("lock {}", path.display()))?;
        if state.locks.contains(path) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let number = state.find_or_make(path)?;
        // Not the note itself: it names a process, and would make every run another one.
        state.inode(number).set_len(0);
        state.inode(number).write(b"somebody", 0);
        state.locks.insert(path.to_owned());
        // The guard takes the state's lock when it is dropped.
        drop(state);
        answer(fate, Box::new(Locked { disk: self.disk.clone(), boot: self.boot, path: path.to_owned() }))
    }

    fn is_locked(&self, path: &Path) -> bool {
        self.disk.state().locks.contains(path)
    }
}

impl Open {
    fn begin(&self, what: &str) -> io::Result<(parking_lot::MutexGuard<'_, State>, Fate)> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, &format!("{what} in {}", self.name))?;
        Ok((state, fate))
    }
}

impl StorageFile for Open {
    fn len(&self) -> io::Result<u64> {
        let (mut state, fate) = self.begin("len")?;
        answer(fate, state.inode(self.number).len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut state, fate) = self.begin(&format!("set_len {len}"))?;
        if state.full && len > state.inode(self.number).len() {
            state.hit("fault no room");
            return Err(no_room());
        }
        state.inode(self.number).set_len(len);
        answer(fate, ())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, fate) = self.begin(&format!("read {} at {offset}", buffer.len()))?;
        if state.strikes("fault interrupted", |odds| odds.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        }
        let mut len = buffer.len();
        if len > 1 && state.strikes("fault short read", |odds| odds.short_read) {
            len = state.dice.between(1, len as u64 - 1) as usize;
        }
        let read = FileExt::read_at(&*self.cache, &mut buffer[..len], offset)?;
        answer(fate, read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let what =
            format!("write {} at {offset} ({:016x}) in {}", bytes.len(), content_hash(bytes), self.name);
        let mut state = self.disk.state();
        let fate = state.fate(self.boot, &what)?;
        if fate == Fate::LastNot {
            state.write_some(self.number, bytes, offset);
            return Err(gone());
        }
        if state.strikes("fault interrupted", |odds| odds.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        }
        if state.strikes("fault write error", |odds| odds.write_error) {
            state.write_some(self.number, bytes, offset);
            return Err(broken());
        }
        let mut len = bytes.len();
        if len > 1 && state.strikes("fault short write", |odds| odds.short_write) {
            len = state.dice.between(1, len as u64 - 1) as usize;
        }
        let room = state.inode(self.number).len().saturating_sub(offset);
        if state.full && len as u64 > room {
            state.hit("fault no room");
            if room == 0 {
                return Err(no_room());
            }
            len = room as usize;
        }
        state.inode(self.number).write(&bytes[..len], offset);
        answer(fate, len)
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fate) = self.begin("sync")?;
        if state.inode(self.number).is_dirty() && state.strikes("fault sync error", |odds| odds.sync_error) {
            state.inode(self.number).fail_sync();
            return Err(broken());
        }
        state.inode(self.number).sync();
        answer(fate, ())
    }

    fn map(&self) -> io::Result<Map> {
        let (state, fate) = self.begin("map")?;
        drop(state);
        answer(fate, Map::new(&self.cache)?)
    }

    fn shared_page(&self, len: usize, writable: bool) -> io::Result<SharedPage> {
        let (mut state, fate) = self.begin("share")?;
        if writable {
            state.inode(self.number).share();
        }
        drop(state);
        answer(fate, SharedPage::new(&self.cache, len, writable)?)
    }
}
