//! Models that one thread keeps up to date and many read.
//!
//! The lock is a reader-writer lock because reads are short and many; it is fair, and the writer takes in at most a
//! few hundred commits at a time, so neither side starves the other. Decoding happens outside of it.

use crate::decode::DecodedCommit;
use crate::image;
use crate::models::{MODELS_VERSION, Models};
use crate::projection::{Projection, ProjectionError};
use crate::tail::{self, Stop};
use eventstore::{Lineage, Log, Position};
use parking_lot::{RwLock, RwLockReadGuard};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// A handle to models that are kept up to date. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedModels {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    models: RwLock<Models>,
    /// Moves after the models have, never before.
    checkpoint: watch::Sender<Position>,
}

impl SharedModels {
    /// Shares models.
    #[must_use]
    pub fn new(models: Models) -> Self {
        let checkpoint = watch::Sender::new(models.checkpoint().next);
        Self { shared: Arc::new(Shared { models: RwLock::new(models), checkpoint }) }
    }

    /// The models of the newest image that this log confirms, or else models that have everything to come. Reads
    /// files: call it from a thread that may block.
    #[must_use]
    pub fn open(data_dir: &Path, log: &Log) -> Self {
        Self::new(image::load_or_new(data_dir, log))
    }

    /// The models, to be read: the guard keeps the writer out, so hold it for as long as an answer takes to copy out.
    pub fn read(&self) -> RwLockReadGuard<'_, Models> {
        self.shared.models.read()
    }

    /// The digest of the models with the checkpoint that it stands for.
    #[must_use]
    pub fn digest(&self) -> (Lineage, eventstore::Digest) {
        let mut models = self.shared.models.write();
        let digest = models.digest();
        (models.checkpoint(), digest)
    }

    /// The next position that the models will take in.
    #[must_use]
    pub fn checkpoint(&self) -> Position {
        *self.shared.checkpoint.borrow()
    }

    /// Changes whenever the checkpoint moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.shared.checkpoint.subscribe()
    }

    /// Waits until everything before `position` is in the models; false when `timeout` passes first.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        let mut watch = self.watch();
        // The sender lives as long as `self`.
        tokio::time::timeout(timeout, watch.wait_for(|checkpoint| *checkpoint >= position))
            .await
            .is_ok_and(|reached| reached.is_ok())
    }

    /// Keeps the models up to date with a log, in a thread that ends when the returned handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn follow(&self, log: Log) -> io::Result<Following> {
        let stop = Stop::new();
        let thread = {
            let (stop, mut models) = (stop.clone(), self.clone());
            std::thread::Builder::new().name("models-follow".to_owned()).spawn(move || {
                tail::run(&log, &mut [&mut models], &stop);
            })?
        };
        Ok(Following { stop, thread: Some(thread) })
    }
}

impl Projection for SharedModels {
    fn name(&self) -> &'static str {
        "models"
    }

    fn version(&self) -> u32 {
        MODELS_VERSION
    }

    fn checkpoint(&self) -> Lineage {
        self.shared.models.read().checkpoint()
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        let mut models = self.shared.models.write();
        let applied = commits.iter().try_for_each(|commit| models.apply(commit));
        let reached = models.checkpoint().next;
        drop(models);
        self.shared
            .checkpoint
            .send_if_modified(|checkpoint| std::mem::replace(checkpoint, reached) != reached);
        applied
    }
}

/// The thread that keeps models up to date. Dropping it ends the thread.
#[derive(Debug)]
pub struct Following {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// Why the models do not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.stop.failure()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // The thread ends by the flag, or by a panic that it has told as its failure.
            let _ = thread.join();
        }
    }
}
