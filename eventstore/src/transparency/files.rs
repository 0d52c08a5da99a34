//! The tree on disk: a file of hashes per level and one of leaves, all of them append-only. `FORMAT.md` has the layout.
//!
//! Invariant: nothing in a file changes once it is there, so a tile, full or partial, is a slice of one. One process writes;
//! any number read, up to the size of a checkpoint that they have seen, which was on disk before it was signed.

use super::edge::Edge;
use super::leaf::Leaf;
use super::proof::ProofError;
use super::prove::TileSource;
use super::tile::{BUNDLE_ENTRY_BYTES, TILE_LEVELS_MAX, TILE_WIDTH, TileId, bundle_entry};
use crate::numbers::{Digest, TreeSize};
use crate::storage::{Access, Storage, StorageFile};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a hash in a file.
const HASH_BYTES: u64 = 32;
const ENTRIES: &str = "entries";

/// Why tiles cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is shorter than the tree that it is asked about.
    #[error("{path} ends before what was asked for: it has {bytes} bytes of {wanted}")]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The length that it would need.
        wanted: u64,
    },
    /// What was asked cannot be proven, or the hashes are not what they were.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Reads the tiles of a generation. Cheap to make; files are opened when they are first needed.
#[derive(Debug)]
pub struct TreeFiles {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    open: Mutex<Vec<Option<Arc<dyn StorageFile>>>>,
}

impl TreeFiles {
    /// Of a generation's directory.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, dir: &Path) -> Self {
        Self { storage, dir: dir.to_owned(), open: Mutex::default() }
    }

    /// A tile's bytes: 32 for each of its hashes.
    ///
    /// # Errors
    /// When the file cannot be read, or does not reach so far.
    pub fn tile_bytes(&self, id: TileId) -> Result<Vec<u8>, TreeError> {
        self.read(usize::from(id.level), &format!("{}.hashes", id.level), id.index, id.width, HASH_BYTES)
    }

    /// A bundle's bytes: so many leaves, each with its length in front.
    ///
    /// # Errors
    /// As [`TreeFiles::tile_bytes`].
    pub fn bundle_bytes(&self, index: u64, width: u16) -> Result<Vec<u8>, TreeError> {
        self.read(usize::from(TILE_LEVELS_MAX), ENTRIES, index, width, BUNDLE_ENTRY_BYTES as u64)
    }

    /// `slot` is where the open file is kept.
    fn read(&self, slot: usize, name: &str, index: u64, width: u16, each: u64) -> Result<Vec<u8>, TreeError> {
        let path = self.dir.join(name);
        let short = |bytes: u64, wanted: u64| TreeError::Short { path: path.clone(), bytes, wanted };
        let from = index.checked_mul(u64::from(TILE_WIDTH) * each).ok_or_else(|| short(0, u64::MAX))?;
        let len = u64::from(width) * each;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = self
            .file(slot, &path)
            .and_then(|file| file.read_full_at(&mut bytes, from))
            .map_err(|source| TreeError::Io { path: path.clone(), source })?;
        if read < bytes.len() {
            return Err(short(from.saturating_add(read as u64), from.saturating_add(len)));
        }
        Ok(bytes)
    }

    fn file(&self, slot: usize, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        let mut open = self.open.lock();
        if open.len() <= slot {
            open.resize(slot + 1, None);
        }
        if let Some(file) = &open[slot] {
            return Ok(Arc::clone(file));
        }
        let file = self.storage.open(path, Access::Read)?;
        open[slot] = Some(Arc::clone(&file));
        Ok(file)
    }
}

impl TileSource for TreeFiles {
    type Error = TreeError;

    fn tile(&self, id: TileId) -> Result<Vec<Digest>, TreeError> {
        let bytes = self.tile_bytes(id)?;
        let hash = |bytes: &[u8]| {
            let mut hash = [0; 32];
            hash.copy_from_slice(bytes);
            Digest(hash)
        };
        Ok(bytes.chunks_exact(32).map(hash).collect())
    }
}

/// Writes the tiles of a generation: leaf after leaf, made durable when asked.
#[derive(Debug)]
pub struct TreeWriter {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    edge: Edge,
    levels: Vec<Growing>,
    entries: Growing,
}

/// A file that is appended to, with what has not been written yet.
#[derive(Debug)]
struct Growing {
    path: PathBuf,
    file: Arc<dyn StorageFile>,
    written: u64,
    waiting: Vec<u8>,
    is_synced: bool,
}

impl Growing {
    /// Opens a file, cut to `len` bytes. It is an error when there are fewer.
    fn open(storage: &dyn Storage, path: PathBuf, len: u64) -> Result<Self, TreeError> {
        let open = || {
            let file = storage.open(&path, Access::Open)?;
            let bytes = file.len()?;
            if bytes > len {
                file.set_len(len)?;
            }
            Ok((file, bytes))
        };
        match open() {
            Ok((_, bytes)) if bytes < len => Err(TreeError::Short { path, bytes, wanted: len }),
            Ok((file, _)) => Ok(Self { path, file, written: len, waiting: Vec::new(), is_synced: true }),
            Err(source) => Err(TreeError::Io { path, source }),
        }
    }

    fn write(&mut self) -> Result<(), TreeError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all_at(&self.waiting, self.written);
        written.map_err(|source| TreeError::Io { path: self.path.clone(), source })?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        self.is_synced = false;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TreeError> {
        self.write()?;
        if !self.is_synced {
            self.file.sync().map_err(|source| TreeError::Io { path: self.path.clone(), source })?;
            self.is_synced = true;
        }
        Ok(())
    }
}

impl TreeWriter {
    /// Goes on with the tree of this size in a generation's directory; what files have beyond it is cut off.
    ///
    /// # Errors
    /// When files cannot be read or written, or are shorter than the tree.
    pub fn open(storage: Arc<dyn Storage>, dir: &Path, size: TreeSize) -> Result<Self, TreeError> {
        let mut levels = Vec::new();
        for level in 0..TILE_LEVELS_MAX {
            let hashes = size.get().checked_shr(8 * u32::from(level)).unwrap_or(0);
            if hashes == 0 && level > 0 {
                break;
            }
            levels.push(Growing::open(&*storage, path_of(dir, level), hashes * HASH_BYTES)?);
        }
        let entries = size.get() * BUNDLE_ENTRY_BYTES as u64;
        let entries = Growing::open(&*storage, dir.join(ENTRIES), entries)?;
        let edge = Edge::load(&TreeFiles::new(Arc::clone(&storage), dir), size)?;
        let writer = Self { storage, dir: dir.to_owned(), edge, levels, entries };
        writer.sync_dir()?;
        Ok(writer)
    }

    /// Appends a leaf. Readers find it after [`TreeWriter::write`].
    ///
    /// # Errors
    /// When the file of a new level cannot be made.
    pub fn append(&mut self, leaf: &Leaf, hash: Digest) -> Result<(), TreeError> {
        self.entries.waiting.extend_from_slice(&bundle_entry(leaf));
        let Self { edge, levels, dir, storage, .. } = self;
        let mut begun = Ok(());
        edge.append(hash, |level, hash| {
            let index = usize::from(level);
            if levels.len() == index {
                match Growing::open(&**storage, path_of(dir, level), 0) {
                    Ok(file) => levels.push(file),
                    Err(error) => begun = Err(error),
                }
            }
            if let Some(file) = levels.get_mut(index) {
                file.waiting.extend_from_slice(&hash.0);
            }
        });
        begun
    }

    /// The tree as it is.
    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Hands what was appended to the operating system.
    ///
    /// # Errors
    /// When it could not be written. The writer is to be opened again then.
    pub fn write(&mut self) -> Result<(), TreeError> {
        self.levels.iter_mut().chain([&mut self.entries]).try_for_each(Growing::write)
    }

    /// Makes all of it durable: a checkpoint may be signed then.
    ///
    /// # Errors
    /// As [`TreeWriter::write`].
    pub fn sync(&mut self) -> Result<(), TreeError> {
        self.levels.iter_mut().chain([&mut self.entries]).try_for_each(Growing::sync)?;
        self.sync_dir()
    }

    fn sync_dir(&self) -> Result<(), TreeError> {
        let synced = self.storage.sync_dir(&self.dir);
        synced.map_err(|source| TreeError::Io { path: self.dir.clone(), source })
    }
}

fn path_of(dir: &Path, level: u8) -> PathBuf {
    dir.join(format!("{level}.hashes"))
}
