//! What a service has done so far, for whoever watches it.
//!
//! Invariant: counting is a few relaxed additions per order; nothing is decided by a counter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of append latencies, µs; what is above the last one has a bucket of its own.
pub const APPEND_BOUNDS_US: [u64; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// How long appends took, from the hand-over to the log until they were durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppendLatency {
    /// Appends within each bound of [`APPEND_BOUNDS_US`] and above the one before; the last are above all bounds.
    pub buckets: [u64; APPEND_BOUNDS_US.len() + 1],
    /// All of them together.
    pub total: Duration,
}

/// What a service has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// How long single orders and atomic batches waited for the log.
    pub append: AppendLatency,
    /// Orders that were decided where their request was.
    pub at_once: u64,
    /// Orders that were carried out on a thread that may block, the ones in batches left out.
    pub blocking: u64,
    /// Decisions that were taken anew, because what they rested on had changed.
    pub retries: u64,
    /// Orders refused because the version was not the one demanded.
    pub conflicts: u64,
    /// States found in memory.
    pub cache_hits: u64,
    /// States read from the log.
    pub cache_misses: u64,
    /// States kept in memory.
    pub cached: usize,
    /// States that began with a snapshot.
    pub snapshots_loaded: u64,
    /// Snapshots written.
    pub snapshots_kept: u64,
    /// Events folded to read states.
    pub events_read: u64,
    /// The store's own figures: groups, queue, time spent on the disk.
    pub store: eventstore::Figures,
}

/// The counters behind the figures.
#[derive(Debug, Default)]
pub(super) struct Counters {
    append: [AtomicU64; APPEND_BOUNDS_US.len() + 1],
    append_ns: AtomicU64,
    pub(super) at_once: Counter,
    pub(super) blocking: Counter,
    pub(super) retries: Counter,
    pub(super) conflicts: Counter,
    pub(super) cache_hits: Counter,
    pub(super) cache_misses: Counter,
    pub(super) snapshots_loaded: Counter,
    pub(super) snapshots_kept: Counter,
    pub(super) events_read: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// An append was answered.
    pub(super) fn appended(&self, took: Duration) {
        let took_us = took.as_micros();
        let bucket = APPEND_BOUNDS_US.iter().position(|bound| took_us <= u128::from(*bound));
        self.append[bucket.unwrap_or(APPEND_BOUNDS_US.len())].fetch_add(1, Ordering::Relaxed);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.append_ns.fetch_add(took_ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self, cached: usize, store: eventstore::Figures) -> Figures {
        Figures {
            append: AppendLatency {
                buckets: std::array::from_fn(|at| self.append[at].load(Ordering::Relaxed)),
                total: Duration::from_nanos(self.append_ns.load(Ordering::Relaxed)),
            },
            at_once: self.at_once.get(),
            blocking: self.blocking.get(),
            retries: self.retries.get(),
            conflicts: self.conflicts.get(),
            cache_hits: self.cache_hits.get(),
            cache_misses: self.cache_misses.get(),
            cached,
            snapshots_loaded: self.snapshots_loaded.get(),
            snapshots_kept: self.snapshots_kept.get(),
            events_read: self.events_read.get(),
            store,
        }
    }
}
