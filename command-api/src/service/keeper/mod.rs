//! Snapshots of states: written beside the work when a stream has got long enough, and where a state that is not in
//! memory begins.
//!
//! Invariant: only states that are durable are kept, and no request waits for one to be written. What a snapshot says
//! is what folding the history up to its version says; where there is any doubt, the history is folded.

use super::Inner;
use super::cache::Cached;
use super::figures::Counters;
use super::key::{Key, Kind, State};
use domain::Aggregate;
use domain::board::Board;
use domain::comment::Comment;
use domain::item::Item;
use domain::project::Project;
use domain::workspace::Workspace;
use eventstore::{Log, Snapshots, StreamId, Version};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Snapshots that wait to be written. When there are more, the next event of the stream is another occasion.
const DUE_MAX: usize = 64;

/// A state to be kept.
#[derive(Debug)]
struct Due {
    stream: StreamId,
    version: Version,
    weight: usize,
    state: State,
}

/// Writes snapshots on a thread of its own, which ends with it.
#[derive(Debug)]
pub(super) struct Keeper {
    snapshots: Arc<Snapshots>,
    /// A snapshot is due when so many events have come since the last one.
    every: u64,
    due: Option<SyncSender<Due>>,
    writer: Option<JoinHandle<()>>,
}

impl Keeper {
    /// One that keeps a state every so many events.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        snapshots: Snapshots,
        every: u64,
        log: Log,
        counters: &Arc<Counters>,
    ) -> std::io::Result<Self> {
        let snapshots = Arc::new(snapshots);
        let (due, waiting) = sync_channel(DUE_MAX);
        let writer = std::thread::Builder::new().name("snapshots".to_owned()).spawn({
            let (snapshots, counters) = (Arc::clone(&snapshots), Arc::clone(counters));
            move || write(&snapshots, &log, &counters, &waiting)
        })?;
        Ok(Self { snapshots, every: every.max(1), due: Some(due), writer: Some(writer) })
    }

    /// Has a durable state written, if it is time for that.
    pub(super) fn offer(&self, cached: &mut Cached) {
        let events = cached.version.get() + 1;
        if events.saturating_sub(cached.kept) < self.every {
            return;
        }
        let due = Due {
            stream: cached.stream.clone(),
            version: cached.version,
            weight: cached.weight,
            state: cached.state.clone(),
        };
        if self.due.as_ref().is_some_and(|queue| queue.try_send(due).is_ok()) {
            cached.kept = events;
        }
    }

    /// The newest state that is kept: its version, the bytes of the events that made it, and itself.
    pub(super) fn newest(&self, log: &Log, key: Key, stream: &StreamId) -> Option<(Version, usize, State)> {
        macro_rules! newest {
            ($($kind:ident),+) => {
                match key.kind {$(
                    Kind::$kind => {
                        let found = self.snapshots.get::<(u64, $kind)>(log, stream, $kind::STATE_VERSION)?;
                        let (weight, state) = found.state;
                        (found.version, weight, State::$kind(Arc::new(state)))
                    }
                )+}
            };
        }
        let (version, weight, state) = newest!(Workspace, Project, Board, Item, Comment);
        Some((version, usize::try_from(weight).unwrap_or(usize::MAX), state))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.due = None;
        if let Some(writer) = self.writer.take() {
            // A panic of it was reported when it happened, and costs snapshots only.
            let _ = writer.join();
        }
    }
}

fn write(snapshots: &Snapshots, log: &Log, counters: &Counters, waiting: &Receiver<Due>) {
    for Due { stream, version, weight, state } in waiting {
        let weight = weight as u64;
        macro_rules! put {
            ($($kind:ident),+) => {
                match &state {$(
                    State::$kind(state) => {
                        snapshots.put(log, &stream, version, $kind::STATE_VERSION, &(weight, &**state))
                    }
                )+}
            };
        }
        if put!(Workspace, Project, Board, Item, Comment) {
            counters.snapshots_kept.add(1);
        }
    }
}

impl Inner {
    /// Hands a durable state to the cache.
    pub(super) fn put(&self, key: Key, mut cached: Cached) {
        if let Some(keeper) = &self.keeper {
            keeper.offer(&mut cached);
        }
        self.cache.put(key, cached);
    }
}

#[cfg(test)]
mod tests;
