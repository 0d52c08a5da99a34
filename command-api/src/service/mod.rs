//! From orders to durable events: the write side without HTTP.
//!
//! ```text
//! Order ─ target ─ claim ─ known before? ─ load (cache, log) ─ decide ─▶ Draft ─ prepare ─ submit ─▶ Done
//!                                    ▲                                              │ moved on
//!                                    └──────────────── evict, again ◀───────────────┘
//! ```
//!
//! Invariant: no answer rests on what is not durable. All calls block, save for those of `direct`; keep them off async
//! workers.

mod access;
mod atomic;
mod batch;
mod cache;
mod census;
mod claims;
mod conditions;
mod decide;
mod desk;
mod direct;
mod draft;
mod entropy;
mod execute;
mod figures;
mod keeper;
mod key;
mod order;
mod refusal;

pub use access::scope_of;
pub use atomic::AtomicOutcome;
pub use batch::Name;
pub use figures::{APPEND_BOUNDS_US, AppendLatency, Figures};
pub use key::{Key, Kind};
pub use order::{
    AddComment, Conditions, CreateBoard, CreateItem, CreateProject, CreateWorkspace, Done, EntityTags,
    Intent, OnConflict, Order, Origin,
};
pub use refusal::{Demand, Refusal, Since};

pub(crate) use draft::part_id;
pub(crate) use entropy::{command_id, may_be_made_here, uuid_v7};

use cache::Cache;
use census::{Census, Turns};
use claims::Claims;
use domain::DomainEvent;
use eventstore::{
    Direction, EventType, FoundCommand, Position, PreparedCommit, Receipt, RecordedEvent, SnapshotOptions,
    Snapshots, Store, StreamId, Version,
};
use figures::Counters;
use keeper::Keeper;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of events whose states are kept ready.
const CACHE_BYTES_MAX: usize = 128 << 20;

/// Events after which a state is kept in a snapshot, unless configured otherwise.
pub const SNAPSHOT_EVERY_DEFAULT: u64 = 100;

/// Times that a decision is taken anew because what it rested on has changed.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// Carries out orders. Cheap to clone; all clones share one cache and one store.
#[derive(Debug, Clone)]
pub struct CommandService(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    store: Store,
    cache: Cache,
    keeper: Option<Keeper>,
    counters: Arc<Counters>,
    claims: Claims,
    /// Locked only to count.
    census: Mutex<Census>,
    /// Decisions that change how many items a limited column holds go one by one.
    turns: Turns,
    event_types: FxHashMap<&'static str, EventType>,
}

impl CommandService {
    /// A service that writes to this store. It must be the only one that writes to the domain's streams.
    #[must_use]
    pub fn open(store: Store) -> Self {
        Self::with(store, |_, _| None)
    }

    /// As [`CommandService::open`]; states are kept in snapshots every so many events, so that long histories need not
    /// be folded from their beginning.
    #[must_use]
    pub fn open_with_snapshots(store: Store, snapshots: Snapshots, every: u64) -> Self {
        Self::with(store, |store, counters| {
            let keeper = Keeper::start(snapshots, every, store.log(), counters);
            keeper
                .inspect_err(|error| tracing::warn!(%error, "no snapshots: their thread cannot be started"))
                .ok()
        })
    }

    /// As [`CommandService::open_with_snapshots`], with the snapshots of the store's directory; without any where they
    /// cannot be used, or where `every` is 0.
    #[must_use]
    pub fn open_in(store: Store, data_dir: &Path, every: u64) -> Self {
        let snapshots = (every > 0).then(|| Snapshots::open(data_dir, &SnapshotOptions::default()));
        match snapshots {
            None => Self::open(store),
            Some(Ok(snapshots)) => Self::open_with_snapshots(store, snapshots, every),
            Some(Err(error)) => {
                tracing::warn!(%error, "no snapshots: long histories are folded from their beginning");
                Self::open(store)
            }
        }
    }

    fn with(store: Store, keeper: impl FnOnce(&Store, &Arc<Counters>) -> Option<Keeper>) -> Self {
        let counters = Arc::default();
        let event_types = DomainEvent::types()
            .filter_map(|(name, _)| EventType::new(name).ok().map(|event_type| (name, event_type)))
            .collect();
        Self(Arc::new(Inner {
            keeper: keeper(&store, &counters),
            counters,
            store,
            cache: Cache::new(CACHE_BYTES_MAX),
            claims: Claims::default(),
            census: Mutex::default(),
            turns: Turns::default(),
            event_types,
        }))
    }

    /// The store that it writes to.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What it has done so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.0.counters.read(self.0.cache.len(), self.0.store.figures())
    }

    /// States that are kept ready.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.0.cache.len()
    }
}

impl Inner {
    /// Appends a commit on this thread. Blocks.
    fn append(&self, commit: PreparedCommit) -> Result<Receipt, Refusal> {
        let began = Instant::now();
        let answer = self.store.append(commit);
        self.counters.appended(began.elapsed());
        Ok(answer?)
    }

    fn event_type(&self, name: &'static str) -> Result<EventType, Refusal> {
        match self.event_types.get(name) {
            Some(event_type) => Ok(event_type.clone()),
            None => EventType::new(name).map_err(|error| Refusal::Fault(error.to_string())),
        }
    }

    /// What an order became when it was carried out before, if it was.
    fn known(&self, order: &Order) -> Result<Option<FoundCommand>, Refusal> {
        match self.store.find_command(&order.command)? {
            Some(found) if found.fingerprint != order.fingerprint => Err(Refusal::KeyReused),
            found => Ok(found),
        }
    }

    /// The first answer again: nothing but what the log says of the command. `target` is what the order says that it is
    /// about.
    fn repeat(&self, found: &FoundCommand, target: Key) -> Result<Done, Refusal> {
        let of_target = target.stream();
        let touched = found.versions.iter().find(|(stream, _)| *stream == of_target);
        let version = match touched {
            Some((_, version)) => Some(*version),
            // It was found as it should be, by an order whose commit may have changed other things.
            None => self.version_before(&of_target, found.next)?,
        };
        // Older logs hold ids that did not follow from the command; there the only stream that it touched knows.
        let (key, version) = match (version, &found.versions[..]) {
            (None, [(stream, version)]) => (Key::of_stream(stream).unwrap_or(target), Some(*version)),
            (version, _) => (target, version),
        };
        Ok(Done { key, version, position: found.receipt.next, outcome: found.outcome, duplicate: true })
    }

    /// The first answer to an order that the log has just said to know.
    fn repeat_known(&self, order: &Order, target: Key) -> Result<Done, Refusal> {
        let found = self.known(order)?;
        let found = found.ok_or_else(|| Refusal::Fault("a known command is not found".to_owned()))?;
        self.repeat(&found, target)
    }

    /// The version that a stream had at a position.
    fn version_before(&self, stream: &StreamId, position: Position) -> Result<Option<Version>, Refusal> {
        let Some(newest) = self.store.stream_version(stream)? else { return Ok(None) };
        let is_before = |version: u64| -> Result<bool, Refusal> {
            let events = self.store.read_stream(stream, Version::new(version), Direction::Forward, 1)?;
            Ok(events.first().and_then(RecordedEvent::get).is_some_and(|view| view.position() < position))
        };
        // Most commands are repeated soon, so the newest version is looked at first; then halves, as positions grow
        // with versions.
        if is_before(newest.get())? {
            return Ok(Some(newest));
        }
        let (mut low, mut high) = (0, newest.get());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle)? { low = middle + 1 } else { high = middle }
        }
        Ok(low.checked_sub(1).map(Version::new))
    }

    /// Items that a column holds, and the position that they were counted up to.
    fn count(&self, place: census::Place) -> Result<(i64, Position), Refusal> {
        let mut census = self.census.lock();
        census.advance(&self.store)?;
        Ok((census.count(place), census.upto()))
    }
}
