//! A read model that one thread keeps up to date and many read.
//!
//! The lock is a reader-writer lock because reads are short and many; it is fair, and the writer lets waiting readers in after
//! every commit, so neither side starves the other. Decoding happens outside of it. Each model has a
//! lock of its own, so whoever reads one never waits for another.

use crate::decode::DecodedCommit;
use crate::image;
use crate::models::Models;
use crate::pace::Pace;
use crate::projection::{Projection, ProjectionError};
use crate::read_model::ReadModel;
use crate::read_models::Following;
use eventstore::{Lineage, Log, Position};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The items, boards, projects, workspaces and comments that are kept up to date.
pub type SharedModels = Shared<Models>;

/// A handle to a read model that is kept up to date. Cheap to clone.
#[derive(Debug)]
pub struct Shared<M> {
    inner: Arc<Inner<M>>,
}

#[derive(Debug)]
struct Inner<M> {
    model: RwLock<M>,
    /// Moves after the model has, never before.
    checkpoint: watch::Sender<Position>,
    pace: Pace,
}

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: ReadModel> Shared<M> {
    /// Shares a model.
    #[must_use]
    pub fn new(model: M) -> Self {
        let checkpoint = watch::Sender::new(model.checkpoint().next);
        Self { inner: Arc::new(Inner { model: RwLock::new(model), checkpoint, pace: Pace::new() }) }
    }

    /// The model of the newest image that this log confirms, or else one that has everything to come. Reads files:
    /// call it from a thread that may block.
    #[must_use]
    pub fn open(data_dir: &Path, log: &Log) -> Self {
        Self::new(image::load_or_new(data_dir, log))
    }

    /// The model, to be read: the guard keeps the writer out, so hold it for as long as an answer takes to copy out.
    pub fn read(&self) -> RwLockReadGuard<'_, M> {
        self.inner.model.read()
    }

    /// The model, to be repaired.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, M> {
        self.inner.model.write()
    }

    /// The digest of the model with the checkpoint that it stands for. What a digest works off is work under the lock,
    /// which keeps readers out.
    #[must_use]
    pub fn digest(&self) -> (Lineage, eventstore::Digest) {
        let mut model = self.inner.model.write();
        let digest = model.digest();
        (model.checkpoint(), digest)
    }

    /// The next position that the model will take in.
    #[must_use]
    pub fn checkpoint(&self) -> Position {
        *self.inner.checkpoint.borrow()
    }

    /// Events that it has taken in per second, over the last few seconds.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        self.inner.pace.per_second()
    }

    /// Changes whenever the checkpoint moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.inner.checkpoint.subscribe()
    }

    /// Waits until everything before `position` is in the model; false when `timeout` passes first.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        let mut watch = self.watch();
        // The sender lives as long as `self`.
        tokio::time::timeout(timeout, watch.wait_for(|checkpoint| *checkpoint >= position))
            .await
            .is_ok_and(|reached| reached.is_ok())
    }

    /// Keeps this model alone up to date with a log, in a thread that ends when the returned handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn follow(&self, log: Log) -> io::Result<Following> {
        let mut model = self.clone();
        Following::start(log, Default::default(), move |tail| tail(&mut [&mut model]))
    }
}

impl<M: ReadModel> Projection for Shared<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn version(&self) -> u32 {
        M::VERSION
    }

    fn checkpoint(&self) -> Lineage {
        self.inner.model.read().checkpoint()
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        let mut model = self.inner.model.write();
        let before = model.checkpoint().next;
        let applied = commits.iter().try_for_each(|commit| {
            // Whoever waits to read comes in between two commits, and waits for no more than one.
            RwLockWriteGuard::bump(&mut model);
            model.apply(commit)
        });
        let reached = model.checkpoint().next;
        drop(model);
        self.inner.pace.note(reached.get() - before.get());
        self.inner
            .checkpoint
            .send_if_modified(|checkpoint| std::mem::replace(checkpoint, reached) != reached);
        applied
    }
}
