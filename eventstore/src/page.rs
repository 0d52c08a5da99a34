//! What stands in the control page, in which order it is written and read: the protocol between the one writer and
//! readers in other processes. `tests/interleavings` goes through its interleavings.
//!
//! Invariant: the page is written after the sync whose result it tells, ends before the ticket, so what it says is never
//! ahead of the disk, and whoever read the ticket before the end is woken for what it did not see.

use crate::format::control_page::{
    CONTROL_MAGIC, CONTROL_VERSION, DURABLE_AT, DURABLE_END_AT, EPOCH_AT, FUTEX_AT, HEARTBEAT_AT, OPEN_AT,
    PUBLISHED_AT, PUBLISHED_END_AT, STORE_AT, VERSION_AT,
};
use crate::mapped::SharedPage;
use crate::numbers::{LogOffset, Position, Timestamp};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;
use uuid::Uuid;

/// How far the log is, as the page tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) store: Uuid,
    pub(crate) epoch: u32,
    /// Log offset below which readers may form slices.
    pub(crate) end: LogOffset,
    /// Log offset below which everything is on disk. Never above `end`; below it only without fsync.
    pub(crate) durable_end: LogOffset,
}

/// The page as readers have it.
#[derive(Debug)]
pub(crate) struct ControlPage(SharedPage);

impl ControlPage {
    /// The page behind a map; `None` when it is not one (yet).
    pub(crate) fn new(page: SharedPage) -> Option<Self> {
        (page.long(0).load(Acquire) == u64::from_le_bytes(CONTROL_MAGIC)).then_some(Self(page))
    }

    /// How far the log is; `None` until a writer has published for the first time.
    pub(crate) fn published(&self) -> Option<Published> {
        let mut end = self.0.long(PUBLISHED_END_AT).load(Acquire);
        loop {
            let [low, high] = [STORE_AT, STORE_AT + 8].map(|at| self.0.long(at).load(Acquire));
            let durable_end = self.0.long(DURABLE_END_AT).load(Acquire);
            let epoch = self.0.word(EPOCH_AT).load(Acquire);
            let version = self.0.word(VERSION_AT).load(Relaxed);
            // While another store takes the page over, its name must not be read with the end of the one before.
            let again = self.0.long(PUBLISHED_END_AT).load(Acquire);
            if again != end {
                end = again;
                continue;
            }
            let end = LogOffset::from_bits(end);
            if version != CONTROL_VERSION || end == LogOffset::default() {
                return None;
            }
            let durable_end = LogOffset::from_bits(durable_end).min(end);
            return Some(Published { store: whole(low, high), epoch, end, durable_end });
        }
    }

    /// The ticket to [`ControlPage::wait`] with, and how far the log is.
    pub(crate) fn look(&self) -> (u32, Option<Published>) {
        // The ticket is read before the end: whatever is published in between makes the wait return at once.
        let ticket = self.0.word(FUTEX_AT).load(Acquire);
        (ticket, self.published())
    }

    /// Sleeps until something is published after `ticket` was read, or `timeout` has passed.
    pub(crate) fn wait(&self, ticket: u32, timeout: Duration) {
        self.0.wait(FUTEX_AT, ticket, timeout);
    }
}

/// The page as the one writer has it: the only type that stores into it.
#[derive(Debug)]
pub(crate) struct ControlWriter(SharedPage);

impl ControlWriter {
    /// Takes over a page whatever is in it. What is published of the same store stays published.
    pub(crate) fn take_over(page: SharedPage, store: Uuid, epoch: u32) -> Self {
        let [low, high] = halves(store);
        if [page.long(STORE_AT).load(Relaxed), page.long(STORE_AT + 8).load(Relaxed)] != [low, high] {
            // Another store's page: its ends must never be read as ours.
            page.long(PUBLISHED_END_AT).store(0, Release);
            page.long(DURABLE_END_AT).store(0, Release);
        }
        page.word(VERSION_AT).store(CONTROL_VERSION, Relaxed);
        page.long(STORE_AT).store(low, Release);
        page.long(STORE_AT + 8).store(high, Release);
        page.word(EPOCH_AT).store(epoch, Release);
        page.word(OPEN_AT).store(1, Release);
        page.long(0).store(u64::from_le_bytes(CONTROL_MAGIC), Release);
        Self(page)
    }

    /// Tells everybody how far the log is durable and may be read, and wakes who waits.
    pub(crate) fn publish(
        &self,
        durable: (Position, LogOffset),
        published: (Position, LogOffset),
        now: Timestamp,
    ) {
        self.0.long(DURABLE_AT).store(durable.0.get(), Relaxed);
        self.0.long(PUBLISHED_AT).store(published.0.get(), Relaxed);
        self.0.long(DURABLE_END_AT).store(durable.1.bits(), Release);
        self.0.long(PUBLISHED_END_AT).store(published.1.bits(), Release);
        self.beat(now);
        self.wake();
    }

    /// Shows that the writer lives.
    pub(crate) fn beat(&self, now: Timestamp) {
        self.0.long(HEARTBEAT_AT).store(now.get().unsigned_abs(), Relaxed);
    }

    /// Shows that the writer has left in good order.
    pub(crate) fn close(&self) {
        self.0.word(OPEN_AT).store(0, Release);
        self.wake();
    }

    fn wake(&self) {
        self.0.word(FUTEX_AT).fetch_add(1, Release);
        self.0.wake(FUTEX_AT);
    }
}

fn halves(store: Uuid) -> [u64; 2] {
    let (high, low) = store.as_bytes().split_at(8);
    [high, low].map(|half| u64::from_le_bytes(half.try_into().unwrap_or_default()))
}

fn whole(low: u64, high: u64) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&low.to_le_bytes());
    bytes[8..].copy_from_slice(&high.to_le_bytes());
    Uuid::from_bytes(bytes)
}
