//! The writer's handle: open, submit, append, close.

use crate::commit::PreparedCommit;
use crate::control::ControlWriter;
use crate::error::{AppendError, OpenError};
use crate::limits::{SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::log::Log;
use crate::queue::Queue;
use crate::receipt::Receipt;
use crate::recovery;
use crate::storage::Environment;
use crate::tail::{Role, Shared};
use crate::writer::Writer;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io::{Read, Seek, Write};
use std::ops::Deref;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Settings of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Length of new segments, bytes; a multiple of 4096.
    pub segment_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES_DEFAULT }
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
    thread: parking_lot::Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the store is open; the operating system releases it whatever happens to us.
    _lock: File,
}

impl Store {
    /// Opens (or makes) the log of a data directory for writing, and recovers it by the rule of `FORMAT.md`.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another writer has it; [`OpenError::Damaged`] when acknowledged data is damaged;
    /// otherwise when settings or files are not usable.
    pub fn open(data_dir: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&options.segment_bytes)
            || !options.segment_bytes.is_multiple_of(4096)
        {
            return Err(OpenError::Setting(format!(
                "a segment of {} bytes: it must be a multiple of 4096 from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}",
                options.segment_bytes
            )));
        }
        let log_dir = data_dir.join("log");
        fs::create_dir_all(&log_dir).map_err(|source| OpenError::Io {
            action: "cannot create",
            path: log_dir.clone(),
            source,
        })?;
        let lock = lock(&log_dir)?;
        let recovered = recovery::recover(data_dir, options.segment_bytes)?;
        let shared = Arc::new(Shared::new(
            Environment::default().storage,
            data_dir,
            recovered.segments.clone(),
            Role::Writer,
        )?);
        recovered.index(&shared)?;
        // Only a log that is sound as a whole takes over the page.
        let control = ControlWriter::open_writer(data_dir, recovered.store, recovered.epoch)?;
        control.publish(recovered.next, recovered.end);

        let queue = Arc::new(Queue::default());
        let writer = Writer::new(&recovered, options, Arc::clone(&shared), control, Arc::clone(&queue))?;
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn({
                let queue = Arc::clone(&queue);
                move || {
                    let _answers = AnswerOnPanic(queue);
                    writer.run();
                }
            })
            .map_err(|source| OpenError::Io {
                action: "cannot start the writer of",
                path: data_dir.into(),
                source,
            })?;
        let inner = Inner { queue, thread: parking_lot::Mutex::new(Some(thread)), _lock: lock };
        Ok(Self { log: Log::of_writer(shared), inner: Arc::new(inner) })
    }

    /// Hands a commit to the writer. Commits from one thread keep their order.
    ///
    /// # Errors
    /// When the queue is full or the store takes no more; nothing was written then.
    pub fn submit(&self, commit: PreparedCommit) -> Result<Pending, AppendError> {
        self.inner.queue.push(commit).map(Pending)
    }

    /// Appends a commit: durable when this returns. Blocks; inside async code await [`Store::submit`] instead.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(&self, commit: PreparedCommit) -> Result<Receipt, AppendError> {
        self.submit(commit)?.wait()
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

/// Nobody who waits is left without an answer, not even by a bug of ours.
struct AnswerOnPanic(Arc<Queue>);

impl Drop for AnswerOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the writer has panicked; this is a bug");
        }
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
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the writer was reported by its own thread; its callers hear `OutcomeUnknown`.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock(log_dir: &Path) -> Result<File, OpenError> {
    let path = log_dir.join("LOCK");
    let io = |source| OpenError::Io { action: "cannot lock", path: path.clone(), source };
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(200).read_to_string(&mut holder);
            let holder = Some(holder.trim().to_owned()).filter(|holder| !holder.is_empty());
            return Err(OpenError::Locked { path, holder });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "process {}", std::process::id()).map_err(io)?;
    Ok(file)
}

/// A commit on its way. It is a future; [`Pending::wait`] blocks instead.
#[derive(Debug)]
pub struct Pending(pub(crate) oneshot::Receiver<Result<Receipt, AppendError>>);

const WRITER_GONE: &str = "the writer stopped before it answered";

impl Pending {
    /// Blocks until the commit is durable or refused. Not inside async code.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn wait(self) -> Result<Receipt, AppendError> {
        self.0
            .blocking_recv()
            .unwrap_or_else(|_| Err(AppendError::OutcomeUnknown { reason: WRITER_GONE.to_owned() }))
    }
}

impl Future for Pending {
    type Output = Result<Receipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| {
            answer.unwrap_or_else(|_| Err(AppendError::OutcomeUnknown { reason: WRITER_GONE.to_owned() }))
        })
    }
}

/// Whether a writer has this log open right now, as far as its lock tells.
pub(crate) fn is_locked(data_dir: &Path) -> bool {
    let path = data_dir.join("log").join("LOCK");
    File::open(path).is_ok_and(|file| match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    })
}
