//! The writer's handle: open, submit, append, close.

use crate::commit::PreparedCommit;
use crate::engine::Engine;
use crate::error::{AppendError, OpenError};
use crate::figures::{Counters, Figures};
use crate::limits::{SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::log::Log;
use crate::pending::Pending;
use crate::queue::Queue;
use crate::receipt::{Durability, Receipt};
use crate::storage::{Environment, Storage};
use crate::writer::Threads;
use parking_lot::Mutex;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// Settings of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Length of new segments, bytes; a multiple of 4096.
    pub segment_bytes: u64,
    /// What an acknowledgement promises.
    pub durability: Durability,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES_DEFAULT, durability: Durability::Fsync }
    }
}

impl StoreOptions {
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let bytes = self.segment_bytes;
        if (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(4096) {
            return Ok(());
        }
        Err(OpenError::Setting(format!(
            "a segment of {bytes} bytes: it must be a multiple of 4096 from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
        )))
    }
}

/// The one writer of a log. Cheap to clone; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Store {
    log: Log,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    engine: Arc<Mutex<Engine>>,
    threads: Mutex<Option<Threads>>,
}

impl Store {
    /// Opens (or makes) the log of a data directory for writing, and recovers it by the rule of `FORMAT.md`.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another writer has it; [`OpenError::Damaged`] when acknowledged data is damaged;
    /// otherwise when settings or files are not usable.
    pub fn open(data_dir: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        Self::open_in(&Environment::default(), data_dir, options)
    }

    /// As [`Store::open`], in a given environment.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_in(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let engine = Engine::open_with(environment, data_dir, options, true)?;
        let (log, queue, counters) = (engine.log(), engine.queue(), engine.counters());
        let engine = Arc::new(Mutex::new(engine));
        let threads = Threads::start(&engine).map_err(|source| OpenError::Io {
            action: "cannot start the writer of",
            path: data_dir.into(),
            source,
        })?;
        let inner = Inner { queue, counters, engine, threads: Mutex::new(Some(threads)) };
        Ok(Self { log, inner: Arc::new(inner) })
    }

    /// Hands a commit to the writer. Commits from one thread keep their order.
    ///
    /// # Errors
    /// When the queue is full or the store takes no more; nothing was written then.
    pub fn submit(&self, commit: PreparedCommit) -> Result<Pending, AppendError> {
        self.inner.queue.push(commit)
    }

    /// Appends a commit: durable when this returns. Blocks; inside async code await [`Store::submit`] instead.
    ///
    /// When nothing else is under way the calling thread writes and syncs by itself: waking another one would cost
    /// more than it saves.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(&self, commit: PreparedCommit) -> Result<Receipt, AppendError> {
        if self.inner.queue.is_open_and_empty()
            && let Some(mut engine) = self.inner.engine.try_lock()
            && engine.is_idle()
            // Asked again under the lock: after the last mark nothing may come.
            && self.inner.queue.is_open_and_empty()
        {
            return engine.append(commit);
        }
        self.submit(commit)?.wait()
    }

    /// What it has done so far, and what waits.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.inner.counters.read(self.inner.queue.depth())
    }

    /// A reader of the same log.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Finishes what was submitted, leaves a mark that vouches for all of it, and stops. Blocks.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Deref for Store {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.log
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        if let Some(threads) = self.threads.lock().take() {
            threads.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether a writer has this log open right now, as far as its lock tells.
pub(crate) fn is_locked(storage: &dyn Storage, data_dir: &Path) -> bool {
    storage.is_locked(&data_dir.join("log").join("LOCK"))
}
