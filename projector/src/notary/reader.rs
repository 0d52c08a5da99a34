//! The tree as others read it, in any process: what is published, its tiles, its keys.
//!
//! Invariant: what is handed out is never ahead of the published checkpoint, whose tiles were on disk before it was signed.

use super::files::{self, TREE_DIR};
use super::keys::{KeysError, PublicKeys};
use crate::generation::{Generations, Identity};
use eventstore::storage::Environment;
use eventstore::transparency::{Checkpoint, CheckpointError, NoteError, SignedNote, TreeFiles};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the tree of a data directory. What was read is kept as long as the files are the same.
#[derive(Debug)]
pub struct TreeReader {
    data_dir: PathBuf,
    generations: Generations,
    published: Mutex<Option<(Identity, Arc<Published>)>>,
    tree: Mutex<Option<(Identity, Arc<TreeFiles>)>>,
}

/// The published checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The note, as it stands in the file.
    pub note: SignedNote,
    /// What it says.
    pub checkpoint: Checkpoint,
}

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReaderError {
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The published checkpoint is no note.
    #[error("the published checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The published note is no checkpoint.
    #[error("the published checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
}

impl TreeReader {
    /// Of a data directory, whether there is a tree in it or not yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            generations: Generations::new(data_dir, TREE_DIR),
            published: Mutex::default(),
            tree: Mutex::default(),
        }
    }

    /// The published checkpoint; nothing before the first.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a checkpoint.
    pub fn published(&self) -> Result<Option<Arc<Published>>, ReaderError> {
        let path = files::published(&self.data_dir);
        let Some(identity) = Identity::of(&path) else { return Ok(None) };
        let mut kept = self.published.lock();
        if let Some((of, published)) = &*kept
            && *of == identity
        {
            return Ok(Some(Arc::clone(published)));
        }
        let text = files::read(&path).map_err(|source| ReaderError::Io { path, source })?;
        let Some(text) = text else { return Ok(None) };
        let note = SignedNote::parse(text.as_bytes())?;
        let checkpoint = Checkpoint::parse(note.text())?;
        let published = Arc::new(Published { note, checkpoint });
        *kept = Some((identity, Arc::clone(&published)));
        Ok(Some(published))
    }

    /// The tiles in use; nothing before the first checkpoint.
    #[must_use]
    pub fn tree(&self) -> Option<Arc<TreeFiles>> {
        let identity = self.generations.current_identity()?;
        let mut kept = self.tree.lock();
        if let Some((of, tree)) = &*kept
            && *of == identity
        {
            return Some(Arc::clone(tree));
        }
        let dir = self.generations.current()?;
        let tree = Arc::new(TreeFiles::new(Environment::default().storage, &dir));
        *kept = Some((identity, Arc::clone(&tree)));
        Some(tree)
    }

    /// The log's keys.
    ///
    /// # Errors
    /// When they are not there yet, or not what they should be.
    pub fn keys(&self) -> Result<PublicKeys, KeysError> {
        PublicKeys::read(&self.data_dir)
    }

    /// Why nothing is signed at the moment, when that is so.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let path = files::refused(&self.data_dir);
        match files::read(&path) {
            Ok(refusal) => refusal.map(|refusal| refusal.trim_end().to_owned()),
            Err(error) => Some(format!("{} cannot be read: {error}", path.display())),
        }
    }
}
