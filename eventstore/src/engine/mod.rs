//! The writer without threads: the caller turns the crank. [`crate::Store`] is this and its threads; a simulation
//! turns it by hand.
//!
//! ```text
//!  submit ─▶ queue ─▶ collect: sequence, encode ─▶ open group
//!                                                      │ begin_flush: stamp what is durable, CRC
//!                                                      ▼ (one flush at a time)
//!                                         Flush::run: write, sync
//!                                                      ▼
//!                         settle: it is durable ─▶ publish: index, watermark, control page, answers
//! ```
//!
//! Invariant: a frame is stamped only when the flush before it has been synced, so every whole frame on disk proves that
//! all groups before its own are there; and nobody is answered, shown or told anything before its group is.

mod collecting;
mod flushing;
mod opening;

pub(crate) use opening::lock;
pub use opening::recover;

use crate::commit::PreparedCommit;
use crate::digest::SegmentDigest;
use crate::error::{AppendError, IndexError};
use crate::figures::Counters;
use crate::flush::{Group, Reach};
use crate::format::frame::{CrcSeed, FRAME_HEADER_BYTES, FrameKind};
use crate::format::segment_header::Previous;
use crate::log::Log;
use crate::numbers::Timestamp;
use crate::page::ControlWriter;
use crate::pending::Pending;
use crate::preparer::Preparer;
use crate::queue::{Job, Queue};
use crate::receipt::Receipt;
use crate::sequencer::Sequencer;
use crate::storage::{Environment, StorageFile};
use crate::store::StoreOptions;
use crate::tail::Shared;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The segment that commits are sequenced into.
#[derive(Debug)]
struct Active {
    file: Arc<dyn StorageFile>,
    sequence: u32,
    capacity: u64,
}

/// The segment whose frames are stamped. It follows the active one when that is not begun on disk yet.
#[derive(Debug)]
struct Stamping {
    seed: CrcSeed,
    digest: SegmentDigest,
}

/// The one writer of a log, without threads.
#[derive(Debug)]
pub struct Engine {
    environment: Environment,
    options: StoreOptions,
    shared: Arc<Shared>,
    control: ControlWriter,
    queue: Arc<Queue>,
    sequencer: Sequencer,
    active: Active,
    stamping: Stamping,
    /// Set until the first group after a recovery that must not go on in the same segment.
    successor_of: Option<Previous>,
    preparer: Preparer,
    /// Everything below is on disk.
    durable: Reach,
    /// Everything below is written, in the order of flushes that have been settled.
    written: Reach,
    synced_at: Timestamp,
    /// Whether anything has been written since the last mark.
    unmarked: bool,
    /// Taken from the queue, not yet sequenced.
    backlog: VecDeque<Job>,
    open: Group,
    in_flight: bool,
    flushes: u64,
    counters: Arc<Counters>,
    /// Why nothing is written any more.
    poisoned: Option<String>,
    /// Buffers of groups that have been published, to be used again.
    buffers: Vec<Vec<u8>>,
    /// Held as long as the engine lives; the operating system releases it whatever happens to us.
    _lock: Box<dyn Any + Send + Sync>,
}

impl Engine {
    /// A reader of the same log.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::of_writer(Arc::clone(&self.shared))
    }

    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Puts a commit into the queue.
    ///
    /// # Errors
    /// When the queue is full or the store takes no more; nothing was written then.
    pub fn submit(&self, commit: PreparedCommit) -> Result<Pending, AppendError> {
        self.queue.push(commit)
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// What its frames are stamped with.
    pub(crate) fn epoch(&self) -> u32 {
        self.sequencer.epoch()
    }

    /// Flushes begun so far.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes
    }

    /// Appends a commit on the calling thread. The engine is idle.
    pub(crate) fn append(&mut self, commit: PreparedCommit) -> Result<Receipt, AppendError> {
        let (answer, receiver) = oneshot::channel();
        let mut pending = Pending::new(receiver);
        self.backlog.push_back(Job { commit, answer });
        loop {
            // What others submit stays in the queue: the writer's thread has been woken for it.
            self.sequence_backlog(false);
            if let Some(mut flush) = self.begin_flush() {
                let done = flush.run();
                self.finish_flush(flush, done);
            }
            if let Some(answer) = pending.try_answer() {
                return answer;
            }
        }
    }

    /// Groups that have been begun and are not published yet.
    pub(crate) fn unpublished(&self) -> usize {
        self.sequencer.unpublished()
    }

    /// After a publication on another thread than the writer's: what rested on it is answered; and if the disk is at
    /// work, what has come meanwhile is sequenced, which the writer need not do then.
    pub(crate) fn use_the_wait(&mut self) {
        if self.in_flight {
            self.collect();
        } else if !self.open.needs_io() && self.sequencer.unpublished() == 0 {
            self.answer_open();
        }
    }

    /// Whether nothing is being collected, flushed or published.
    pub(crate) fn is_idle(&self) -> bool {
        !self.in_flight
            && self.sequencer.unpublished() == 0
            && self.poisoned.is_none()
            && self.open.answers.is_empty()
            && self.backlog.is_empty()
    }

    /// One unit of work on the index of segments that have ended: a file written, or files merged. True when something
    /// was done, so that there may be more. Best done while nobody waits for the engine.
    ///
    /// # Errors
    /// When a file cannot be written, or a segment cannot be read. Nothing is lost by it, and it may be tried again.
    pub fn housekeep(&mut self) -> Result<bool, IndexError> {
        self.shared.housekeep()
    }

    /// What `housekeep` works on, for a thread that does it without holding the engine.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    fn answer_open(&mut self) {
        for (waiter, answer) in self.open.answers.drain(..) {
            let _ = waiter.send(answer);
        }
    }

    pub(crate) fn poison(&mut self, reason: &str) {
        tracing::error!(%reason, "the log takes no more writes");
        // None of these has been written.
        let jobs = self.backlog.drain(..).map(|job| job.answer);
        for waiter in self.open.answers.drain(..).map(|(waiter, _)| waiter).chain(jobs) {
            let _ = waiter.send(Err(AppendError::ReadOnly { reason: reason.to_owned() }));
        }
        self.queue.fail(reason);
        self.poisoned = Some(reason.to_owned());
    }

    /// Why the writer has ended for good, if it has.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// To be called after some quiet: what is written is synced, then vouched for by a mark, so that a quiet log vouches
    /// for all of itself. The next [`Engine::begin_flush`] does it. False when there is nothing left to do.
    pub fn quiet(&mut self) -> bool {
        let now = self.environment.clock.now();
        self.control.beat(now);
        if !self.is_idle() || self.open.needs_io() {
            return false;
        }
        if self.durable.end < self.written.end {
            self.open.sync = true;
            return true;
        }
        if !self.unmarked {
            return false;
        }
        if self.fits(FRAME_HEADER_BYTES as u64) {
            let mark = self.sequencer.vouch(FrameKind::Mark, now);
            self.open.push(&mark);
            self.open.sync = true;
        } else if let Err(error) = self.end_segment(now) {
            // No room for a mark: the seal and the next header vouch instead. Without room for those, the next quiet
            // moment tries again.
            tracing::debug!(%error, "the last segment is full and the next one cannot be begun");
            return false;
        }
        self.unmarked = false;
        true
    }

    /// Flushes what was submitted, and leaves a mark that vouches for all of it.
    pub fn close(mut self) {
        self.finish();
    }

    pub(crate) fn finish(&mut self) {
        self.queue.close();
        loop {
            self.collect();
            if let Some(mut flush) = self.begin_flush() {
                let done = flush.run();
                self.finish_flush(flush, done);
            } else if self.poisoned.is_some() || (self.queue.is_empty() && !self.quiet()) {
                break;
            }
        }
        if self.poisoned.is_none() {
            self.control.close();
        }
    }
}
