//! What a store has done so far, for whoever watches it.
//!
//! Invariant: counting costs the writer a few relaxed additions per group, and reading costs the writer nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a store has done since it was opened, and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Groups written, those without commits (marks) included.
    pub groups: u64,
    /// Commits written.
    pub commits: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Time spent on writing and syncing groups.
    pub flushing: Duration,
    /// Commits that wait for the writer.
    pub queued_commits: usize,
    /// Bytes that wait for the writer.
    pub queued_bytes: usize,
}

/// The counters behind the figures.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    groups: AtomicU64,
    commits: AtomicU64,
    bytes: AtomicU64,
    flushing_ns: AtomicU64,
}

impl Counters {
    /// A group has been written and synced.
    pub(crate) fn flushed(&self, commits: usize, bytes: usize, took: Duration) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.commits.fetch_add(commits as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.flushing_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn read(&self, (queued_commits, queued_bytes): (usize, usize)) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            groups: read(&self.groups),
            commits: read(&self.commits),
            bytes: read(&self.bytes),
            flushing: Duration::from_nanos(read(&self.flushing_ns)),
            queued_commits,
            queued_bytes,
        }
    }
}
