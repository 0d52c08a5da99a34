//! The threads around the engine: one that keeps the disk busy, one that publishes, one that indexes what has ended.
//!
//! Group commit without a timer: while one group is being synced, the next one collects. The writer sequences, stamps,
//! writes and syncs; when there is more to write it leaves a synced group to the publisher and goes on at once, so
//! the disk never waits for the index or for the waiters. With nothing behind it a group is published by the writer
//! itself, which saves a change of thread; a caller that may block and finds the engine idle does even the rest itself
//! (`store.rs`).

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

/// A group of fewer bytes is published before the next one is begun: who is answered comes back in time for it, and a
/// fuller group is worth more to the disk than an early one.
const PUBLISH_FIRST_BYTES: usize = 64 << 10;
/// Groups that are on disk and not published yet: past it the disk does wait for the publisher.
const UNPUBLISHED_MAX: usize = 4;
/// How often it is looked whether a segment has ended.
const INDEX_AFTER: Duration = Duration::from_millis(200);
/// Niceness of the thread that indexes: it sorts a whole segment at a time, which nobody waits for, beside threads
/// for which somebody does. Not lower: what waits to be indexed is memory.
const INDEX_NICENESS: i32 = 5;
/// When an index that could not be written is tried again.
const INDEX_AGAIN: Duration = Duration::from_secs(10);

/// The threads of a store.
#[derive(Debug)]
pub(crate) struct Threads {
    writer: JoinHandle<()>,
    indexer: JoinHandle<()>,
    /// Dropped to end the indexer.
    indexing: mpsc::Sender<()>,
}

impl Threads {
    pub(crate) fn start(engine: &Arc<Mutex<Engine>>) -> io::Result<Self> {
        let queue = engine.lock().queue();
        let (to_publisher, flushes) = mpsc::sync_channel(UNPUBLISHED_MAX);
        let publisher = std::thread::Builder::new().name("log-publish".to_owned()).spawn({
            let engine = Arc::clone(engine);
            move || {
                let _answers = AnswerOnPanic(Arc::clone(&engine));
                publish(&engine, &flushes);
            }
        })?;
        let writer = std::thread::Builder::new().name("log-writer".to_owned()).spawn({
            let engine = Arc::clone(engine);
            move || {
                let _answers = AnswerOnPanic(Arc::clone(&engine));
                Writer { engine, queue, to_publisher, publisher, seen: 0 }.run();
            }
        })?;
        let (indexing, ended) = mpsc::channel();
        let shared = engine.lock().shared();
        let indexer = std::thread::Builder::new()
            .name("log-index".to_owned())
            .spawn(move || keep_house(&shared, &ended))?;
        Ok(Self { writer, indexer, indexing })
    }

    /// Waits until everything submitted is durable and vouched for. The queue has been closed.
    pub(crate) fn join(self) {
        // A panic of a thread was reported when it happened; its callers hear `OutcomeUnknown`.
        let _ = self.writer.join();
        drop(self.indexing);
        let _ = self.indexer.join();
    }
}

/// Indexes segments that have ended and merges indexes, until the store is closed. Nobody waits for it.
fn keep_house(shared: &Shared, ended: &mpsc::Receiver<()>) {
    // For the calling thread only.
    if let Err(error) = rustix::process::setpriority_process(None, INDEX_NICENESS) {
        tracing::debug!(%error, "indexes are written at the usual priority");
    }
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

/// Publishes what the writer hands over, in its order.
fn publish(engine: &Mutex<Engine>, flushes: &mpsc::Receiver<Flush>) {
    for flush in flushes {
        let mut engine = engine.lock();
        engine.publish(flush);
        engine.use_the_wait();
    }
}

struct Writer {
    engine: Arc<Mutex<Engine>>,
    queue: Arc<Queue>,
    to_publisher: mpsc::SyncSender<Flush>,
    publisher: JoinHandle<()>,
    /// Flushes when it was last quiet: callers may have been at work without this thread.
    seen: u64,
}

impl Writer {
    fn run(mut self) {
        let quiet = Duration::from_millis(MARK_AFTER_MS);
        while !self.queue.is_closed() {
            match self.queue.wait(quiet) {
                Woken::Queue => self.work(),
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
        }
        // What was handed over is published, then what is left is flushed here and the log vouched for.
        drop(self.to_publisher);
        // A panic was reported when it happened, and its waiters have been told.
        let _ = self.publisher.join();
        self.engine.lock().finish();
    }

    /// Sequences what waits and writes it, as long as there is anything.
    fn work(&self) {
        let mut engine = self.engine.lock();
        engine.collect();
        let mut next = engine.begin_flush();
        drop(engine);
        while let Some(mut flush) = next.take() {
            let done = flush.run();
            let mut engine = self.engine.lock();
            engine.settle(&flush, done);
            let publish_first = flush.len() <= PUBLISH_FIRST_BYTES;
            if !publish_first {
                engine.collect();
                next = engine.begin_flush();
            }
            if next.is_none() && engine.unpublished() == 1 {
                engine.publish(flush);
                engine.collect();
                next = engine.begin_flush();
                continue;
            }
            if publish_first {
                engine.collect();
                next = engine.begin_flush();
            }
            drop(engine);
            if let Err(mpsc::SendError(flush)) = self.to_publisher.send(flush) {
                // The publisher is gone, by a bug: then it is done here.
                self.engine.lock().publish(flush);
            }
        }
    }
}

/// Nobody who waits is left without an answer, not even by a bug of ours: neither in the queue nor in the engine. Who
/// waits for the flush that the thread had in hand hears it when that is dropped.
struct AnswerOnPanic(Arc<Mutex<Engine>>);

impl Drop for AnswerOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().poison("a thread of the writer has panicked; this is a bug");
        }
    }
}
