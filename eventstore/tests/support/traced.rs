//! The file system with somebody who watches: every change is shown to a hook before it is made, which may note it,
//! hold it up, or make it fail.

use eventstore::storage::{Access, Environment, Storage, StorageFile};
use eventstore::{Map, SharedPage};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

/// A change of the disk. Files are named by their last component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Write { name: String, offset: u64, bytes: Vec<u8> },
    Resize { name: String, len: u64 },
    Sync { name: String },
    Rename { from: String, to: String },
    Remove { name: String },
    SyncDir { name: String },
}

type Hook = Arc<dyn Fn(&Change) -> io::Result<()> + Send + Sync>;
/// The present name of a file, shared by all that have it open: it may be renamed meanwhile.
type Name = Arc<Mutex<String>>;

struct Traced {
    real: Arc<dyn Storage>,
    hook: Hook,
    names: Mutex<HashMap<PathBuf, Name>>,
}

struct TracedFile {
    real: Arc<dyn StorageFile>,
    hook: Hook,
    name: Name,
}

impl TracedFile {
    fn name(&self) -> String {
        self.name.lock().clone()
    }
}

/// This machine, with a hook.
pub fn traced(hook: impl Fn(&Change) -> io::Result<()> + Send + Sync + 'static) -> Environment {
    let here = Environment::default();
    let storage = Traced { real: Arc::clone(&here.storage), hook: Arc::new(hook), names: Mutex::default() };
    Environment { storage: Arc::new(storage), ..here }
}

fn name(path: &Path) -> String {
    path.file_name().map(PathBuf::from).unwrap_or_default().to_string_lossy().into_owned()
}

impl fmt::Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traced")
    }
}

impl fmt::Debug for TracedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TracedFile({})", self.name())
    }
}

impl Storage for Traced {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.real.list(dir)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        let real = self.real.open(path, access)?;
        let mut names = self.names.lock();
        let name = names.entry(path.to_owned()).or_insert_with(|| Arc::new(Mutex::new(name(path))));
        Ok(Arc::new(TracedFile { real, hook: Arc::clone(&self.hook), name: Arc::clone(name) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)(&Change::Rename { from: name(from), to: name(to) })?;
        self.real.rename(from, to)?;
        let mut names = self.names.lock();
        if let Some(moved) = names.remove(from) {
            *moved.lock() = name(to);
            names.insert(to.to_owned(), moved);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)(&Change::Rename { from: name(from), to: name(to) })?;
        self.real.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        (self.hook)(&Change::Remove { name: name(path) })?;
        self.real.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        (self.hook)(&Change::SyncDir { name: name(dir) })?;
        self.real.sync_dir(dir)
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.real.lock(path, note)
    }

    fn is_locked(&self, path: &Path) -> bool {
        self.real.is_locked(path)
    }
}

impl StorageFile for TracedFile {
    fn len(&self) -> io::Result<u64> {
        self.real.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        (self.hook)(&Change::Resize { name: self.name(), len })?;
        self.real.set_len(len)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.real.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        (self.hook)(&Change::Write { name: self.name(), offset, bytes: bytes.to_vec() })?;
        self.real.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        (self.hook)(&Change::Sync { name: self.name() })?;
        self.real.sync()
    }

    fn map(&self) -> io::Result<Map> {
        self.real.map()
    }

    fn shared_page(&self, len: usize, writable: bool) -> io::Result<SharedPage> {
        self.real.shared_page(len, writable)
    }
}
