//! The threads around the engine: one that sequences, stamps, publishes and answers, one that waits for the
//! disk, and one that indexes what has ended.
//!
//! Group commit without a timer: while one group is being synced, the next one collects. A small group with nothing
//! behind it is flushed by the writer itself, which saves two changes of thread; a caller that may block and finds the
//! engine idle does even that itself (`store.rs`).

use crate::engine::Engine;
use crate::flush::Flush;
use crate::limits::MARK_AFTER_MS;
use crate::queue::{Queue, Woken};
use crate::tail::Shared;
use parking_lot::Mutex;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, mem};

/// A flush of more bytes is given to the flusher, so that the next group is sequenced meanwhile.
const FLUSH_ASIDE_BYTES: usize = 32 << 10;
/// While the disk is busy the writer is not woken for fewer commits.
const WORTH_WAKING: usize = 16;

/// How often it is looked whether a segment has ended.
const INDEX_AFTER: Duration = Duration::from_millis(200);
/// When an index that could not be written is tried again.
const INDEX_AGAIN: Duration = Duration::from_secs(10);

/// The threads of a store.
#[derive(Debug)]
pub(crate) struct Threads {
    writer: JoinHandle<()>,
    flusher: JoinHandle<()>,
    indexer: JoinHandle<()>,
    /// Dropped to end the indexer.
    indexing: mpsc::Sender<()>,
}

impl Threads {
    pub(crate) fn start(engine: &Arc<Mutex<Engine>>) -> io::Result<Self> {
        let queue = engine.lock().queue();
        let (to_flusher, flushes) = mpsc::channel::<Flush>();
        let flusher = std::thread::Builder::new().name("log-flush".to_owned()).spawn({
            let queue = Arc::clone(&queue);
            move || {
                for mut flush in flushes {
                    let done = flush.run();
                    queue.flushed(flush, done);
                }
            }
        })?;
        let writer = std::thread::Builder::new().name("log-writer".to_owned()).spawn({
            let engine = Arc::clone(engine);
            move || {
                let _answers = AnswerOnPanic(Arc::clone(&queue));
                Writer { engine, queue, to_flusher, flying: false, seen: 0 }.run();
            }
        })?;
        let (indexing, ended) = mpsc::channel();
        let shared = engine.lock().shared();
        let indexer = std::thread::Builder::new()
            .name("log-index".to_owned())
            .spawn(move || keep_house(&shared, &ended))?;
        Ok(Self { writer, flusher, indexer, indexing })
    }

    /// Waits until everything submitted is durable and vouched for. The queue has been closed.
    pub(crate) fn join(self) {
        // A panic of a thread was reported when it happened; its callers hear `OutcomeUnknown`.
        let _ = self.writer.join();
        let _ = self.flusher.join();
        drop(self.indexing);
        let _ = self.indexer.join();
    }
}

/// Indexes segments that have ended and merges indexes, until the store is closed. Nobody waits for it.
fn keep_house(shared: &Shared, ended: &mpsc::Receiver<()>) {
    let mut pause = INDEX_AFTER;
    while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = match shared.housekeep() {
            Ok(true) => Duration::ZERO,
            Ok(false) => INDEX_AFTER,
            Err(error) => {
                tracing::warn!(%error, "an index stays in memory for now");
                INDEX_AGAIN
            }
        };
    }
}

struct Writer {
    engine: Arc<Mutex<Engine>>,
    queue: Arc<Queue>,
    to_flusher: mpsc::Sender<Flush>,
    /// Whether the flusher has a flush.
    flying: bool,
    /// Flushes when it was last quiet: callers may have been at work without this thread.
    seen: u64,
}

impl Writer {
    fn run(mut self) {
        let quiet = Duration::from_millis(MARK_AFTER_MS);
        let mut closing = false;
        loop {
            let wanted = if self.flying { WORTH_WAKING } else { 1 };
            match self.queue.wait((!closing).then_some(wanted), quiet) {
                Woken::Flushed(flushed) => {
                    let (flush, done) = *flushed;
                    self.flushed(flush, done);
                }
                Woken::Queue => {
                    closing = self.queue.is_closed();
                    self.work();
                }
                Woken::Quiet => {
                    let mut engine = self.engine.lock();
                    let is_quiet = mem::replace(&mut self.seen, engine.flushes()) == self.seen;
                    let moved = is_quiet && engine.quiet();
                    drop(engine);
                    if moved {
                        self.work();
                    }
                }
            }
            if closing && !self.flying {
                // What is left is flushed here, then the log is vouched for.
                self.engine.lock().finish();
                return;
            }
        }
    }

    /// Sequences what waits, and sees to it that the disk has work.
    fn work(&mut self) {
        let mut engine = self.engine.lock();
        engine.collect();
        while !self.flying
            && let Some(mut flush) = engine.begin_flush()
        {
            if flush.len() > FLUSH_ASIDE_BYTES || !self.queue.is_empty() {
                match self.to_flusher.send(flush) {
                    Ok(()) => {
                        self.flying = true;
                        // What came meanwhile is sequenced while the disk works.
                        engine.collect();
                        return;
                    }
                    // The flusher is gone, by a bug: then it is done here.
                    Err(mpsc::SendError(returned)) => flush = returned,
                }
            }
            let done = flush.run();
            engine.finish_flush(flush, done);
            engine.collect();
        }
    }

    /// The next flush begins before this one is published: the disk never waits for the index or for the waiters.
    fn flushed(&mut self, flush: Flush, done: io::Result<()>) {
        let mut engine = self.engine.lock();
        self.flying = false;
        engine.settle(&flush, done);
        engine.collect();
        if let Some(next) = engine.begin_flush() {
            match self.to_flusher.send(next) {
                Ok(()) => self.flying = true,
                Err(mpsc::SendError(mut next)) => {
                    engine.publish(flush);
                    let done = next.run();
                    engine.finish_flush(next, done);
                    return;
                }
            }
        }
        engine.publish(flush);
        drop(engine);
        self.work();
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
