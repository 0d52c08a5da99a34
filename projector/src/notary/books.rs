//! The notary's books: key, journal and tree, opened together and held against each other and against the log.

use super::files::TREE_DIR;
use super::keys::{self, KeysError, PublicKeys};
use super::{NotaryOptions, Refusal};
use crate::generation::Generations;
use eventstore::storage::{Environment, Storage};
use eventstore::transparency::journal::{Entry, Journal, JournalError};
use eventstore::transparency::{
    Checkpoint, Leaves, NoteError, SigningKey, TILE_WIDTH, TileId, TileSource, TreeError, TreeFiles,
    TreeHead, TreeWriter, width_at,
};
use eventstore::{Digest, Lineage, Log, Position, ReadError, RecordedCommit, Timestamp, TreeSize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the books cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum BooksError {
    /// The log contradicts them.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("the directory of the tree: {0}")]
    Io(#[from] io::Error),
}

/// Key, journal and tree.
#[derive(Debug)]
pub(super) struct Books {
    key: SigningKey,
    journal: Journal,
    newest: Option<Entry>,
    generations: Generations,
    dir: PathBuf,
    tree: TreeWriter,
    /// Of a tree that is built anew: what it has to come by before it is used.
    awaited: Option<TreeHead>,
    /// Where the log is after what the tree holds.
    lineage: Lineage,
}

impl Books {
    /// Opens them. A tree that is not there, or not the one that was signed, is begun anew.
    pub(super) fn open(data_dir: &Path, log: &Log, options: &NotaryOptions) -> Result<Self, BooksError> {
        let storage = Environment::default().storage;
        let key = keys::load_or_make(data_dir, log.store_id(), options.origin.as_ref())?;
        let (journal, newest) = Journal::open(&storage, data_dir)?;
        if let Some(newest) = &newest {
            hold_against(newest, &PublicKeys::read(data_dir)?, log)?;
        }
        let generations = Generations::new(data_dir, TREE_DIR);
        let nothing = Lineage { store: log.store_id(), next: Position::ZERO, chain: Digest::default() };
        let lineage = newest.as_ref().map_or(nothing, |newest| newest.lineage);
        let head = newest.as_ref().map(|newest| newest.checkpoint.head);
        if let (Some(dir), Some(head)) = (generations.current(), head) {
            match reopened(&storage, &dir, head, log) {
                Ok(tree) => {
                    generations.sweep()?;
                    let awaited = None;
                    return Ok(Self { key, journal, newest, generations, dir, tree, awaited, lineage });
                }
                Err(BooksError::Tree(error)) => {
                    tracing::warn!(%error, "the tree is not the one that was signed: it is built anew from the log");
                }
                Err(error) => return Err(error),
            }
        }
        let dir = generations.begin()?;
        let tree = TreeWriter::open(Arc::clone(&storage), &dir, TreeSize::ZERO)?;
        let mut books = Self {
            key,
            journal,
            newest,
            generations,
            dir,
            tree,
            awaited: head.filter(|head| head.size > TreeSize::ZERO),
            lineage: nothing,
        };
        if books.awaited.is_none() {
            books.take_into_use()?;
        }
        Ok(books)
    }

    /// Leaves in the tree.
    pub(super) fn size(&self) -> TreeSize {
        self.tree.edge().size()
    }

    /// The newest checkpoint.
    pub(super) fn newest(&self) -> Option<&Entry> {
        self.newest.as_ref()
    }

    /// Takes in commits, which are durable and begin where the tree ends.
    pub(super) fn take_in(&mut self, commits: &[RecordedCommit]) -> Result<(), BooksError> {
        let mut leaves = Leaves::default();
        let mut expected = self.size().get();
        for commit in commits {
            if commit.first().get() != expected {
                let first = commit.first();
                let said =
                    format!("a commit begins at position {first} where the tree has {expected} leaves");
                return Err(Refusal(said).into());
            }
            commit.events().for_each(|view| leaves.push(&view));
            expected = commit.next().get();
            if leaves.len() as u64 != expected - self.size().get() {
                let (segment, offset) = (commit.place().segment(), commit.place().offset());
                let reason = "its events cannot be read to the end".to_owned();
                return Err(ReadError::Damaged { segment, offset, reason }.into());
            }
        }
        for (leaf, hash) in leaves.finish() {
            self.tree.append(&leaf, hash)?;
            if let Some(awaited) = self.awaited.filter(|awaited| awaited.size == self.size()) {
                self.came_by(awaited)?;
            }
        }
        if let Some(last) = commits.last() {
            self.lineage = last.lineage();
        }
        self.tree.write()?;
        Ok(())
    }

    /// The tree that is built anew has come to the size that was signed.
    fn came_by(&mut self, awaited: TreeHead) -> Result<(), BooksError> {
        let root = self.tree.edge().root();
        if root != awaited.root {
            let TreeHead { size, root: signed } = awaited;
            let said =
                format!("the first {size} events of the log have the root {root}, and {signed} was signed");
            return Err(Refusal(said).into());
        }
        self.awaited = None;
        self.take_into_use()
    }

    fn take_into_use(&mut self) -> Result<(), BooksError> {
        self.tree.sync()?;
        self.generations.make_current(&self.dir)?;
        self.generations.sweep()?;
        Ok(())
    }

    /// Whether there is something to sign.
    pub(super) fn has_news(&self) -> bool {
        let signed = self.newest.as_ref().map_or(TreeSize::ZERO, |newest| newest.checkpoint.head.size);
        self.awaited.is_none() && self.size() > signed
    }

    /// Signs the tree as it is, after it has been made durable; the entry is in the journal when this returns.
    pub(super) fn sign(&mut self) -> Result<&Entry, BooksError> {
        self.tree.sync()?;
        let note = Checkpoint::signed(self.tree.edge().head(), &self.key)?;
        self.keep(note, self.lineage)
    }

    /// Puts a checkpoint into the journal once more, with cosignatures.
    pub(super) fn keep_cosigned(&mut self, entry: &Entry) -> Result<(), BooksError> {
        Ok(self.journal.append(entry)?)
    }

    fn keep(
        &mut self,
        note: eventstore::transparency::SignedNote,
        lineage: Lineage,
    ) -> Result<&Entry, BooksError> {
        let checkpoint = Checkpoint {
            origin: self.key.verifier().name().as_str().to_owned(),
            head: self.tree.edge().head(),
        };
        let entry = Entry { made_at: Timestamp::now(), lineage, note, checkpoint };
        self.journal.append(&entry)?;
        Ok(self.newest.insert(entry))
    }
}

/// Refuses a log that is not the one of the newest checkpoint.
fn hold_against(newest: &Entry, keys: &PublicKeys, log: &Log) -> Result<(), BooksError> {
    let Entry { lineage, checkpoint, note, .. } = newest;
    let refused = |said: String| Err(BooksError::Refused(Refusal(said)));
    if let Err(error) = note.verify(&keys.all()) {
        return refused(format!(
            "the newest checkpoint in the journal is not signed by this log's key: {error}"
        ));
    }
    if checkpoint.origin != keys.current.name().as_str() {
        let (origin, name) = (&checkpoint.origin, keys.current.name());
        return refused(format!(
            "the newest checkpoint in the journal is of the log {origin}, the key of {name}"
        ));
    }
    if lineage.store != log.store_id() {
        let (was, is) = (lineage.store, log.store_id());
        return refused(format!(
            "checkpoints of store {was} were signed, and this is the log of store {is}: a new store needs a history of its own; \
             put tree/ and keys/ aside to begin one"
        ));
    }
    let (next, size) = (log.watermark(), checkpoint.head.size);
    if next < lineage.next {
        return refused(format!(
            "the log ends at position {next}, and a checkpoint of {size} events was signed: events are missing"
        ));
    }
    if !log.confirms(lineage)? {
        return refused(format!(
            "the log's chain at position {} is not the one that was signed: its past was changed",
            lineage.next
        ));
    }
    Ok(())
}

/// The tree on disk, when it is the one that was signed and its newest leaves are the log's.
fn reopened(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    head: TreeHead,
    log: &Log,
) -> Result<TreeWriter, BooksError> {
    let tree = TreeWriter::open(Arc::clone(storage), dir, head.size)?;
    let found = tree.edge().root();
    if found != head.root {
        let error = eventstore::transparency::ProofError::Root { expected: head.root, found };
        return Err(TreeError::Proof(error).into());
    }
    let Some(last) = head.size.get().checked_sub(1) else { return Ok(tree) };
    let index = last / u64::from(TILE_WIDTH);
    let Some(width) = width_at(0, index, head.size) else { return Ok(tree) };
    let signed = TreeFiles::new(Arc::clone(storage), dir).tile(TileId { level: 0, index, width })?;
    let first = Position::new(index * u64::from(TILE_WIDTH));
    let mut at = first.get();
    for commit in log.commits(first) {
        let commit = commit?;
        if commit.first().get() > last {
            break;
        }
        let mut leaves = Leaves::default();
        commit.events().for_each(|view| leaves.push(&view));
        for (leaf, hash) in leaves.finish() {
            let place =
                leaf.position.get().checked_sub(first.get()).and_then(|place| usize::try_from(place).ok());
            let Some(place) = place.filter(|_| leaf.position.get() <= last) else { continue };
            if signed.get(place) != Some(&hash) {
                let said = format!("the event at position {} is not the one that was signed", leaf.position);
                return Err(Refusal(said).into());
            }
            at += 1;
        }
    }
    if at != head.size.get() {
        return Err(Refusal(format!("the log has no event at position {at}, which was signed")).into());
    }
    Ok(tree)
}
