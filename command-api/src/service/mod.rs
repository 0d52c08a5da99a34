//! From orders to durable events: the write side without HTTP.
//!
//! ```text
//! Order ─ target ─ claim ─ known before? ─ load (cache, log) ─ decide ─▶ Draft ─ prepare ─ submit ─▶ Done
//!                                    ▲                                              │ moved on
//!                                    └──────────────── evict, again ◀───────────────┘
//! ```
//!
//! Invariant: no answer rests on what is not durable. All calls block; keep them off async workers.

mod access;
mod atomic;
mod batch;
mod cache;
mod census;
mod claims;
mod conditions;
mod decide;
mod desk;
mod draft;
mod entropy;
mod execute;
mod key;
mod order;
mod refusal;

pub use access::scope_of;
pub use atomic::AtomicOutcome;
pub use key::{Key, Kind};
pub use order::{
    AddComment, Conditions, CreateBoard, CreateItem, CreateProject, CreateWorkspace, Done, IfMatch, Intent,
    Order, Origin,
};
pub use refusal::{Demand, Refusal};

pub(crate) use draft::part_id;
pub(crate) use entropy::{command_id, uuid_v7};

use cache::Cache;
use census::Census;
use claims::Claims;
use domain::DomainEvent;
use eventstore::{Direction, EventType, Position, Receipt, Store, StreamId, Version};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Bytes of events whose states are kept ready.
const CACHE_BYTES_MAX: usize = 128 << 20;

/// Times that a decision is taken anew because what it rested on has changed.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// Carries out orders. Cheap to clone; all clones share one cache and one store.
#[derive(Debug, Clone)]
pub struct CommandService(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    store: Store,
    cache: Cache,
    claims: Claims,
    /// Locked from counting until the outcome is durable: decisions about full columns go one by one.
    census: Mutex<Census>,
    event_types: FxHashMap<&'static str, EventType>,
}

impl CommandService {
    /// A service that writes to this store. It must be the only one that writes to the domain's streams.
    #[must_use]
    pub fn open(store: Store) -> Self {
        let event_types = DomainEvent::types()
            .filter_map(|(name, _)| EventType::new(name).ok().map(|event_type| (name, event_type)))
            .collect();
        Self(Arc::new(Inner {
            store,
            cache: Cache::new(CACHE_BYTES_MAX),
            claims: Claims::default(),
            census: Mutex::default(),
            event_types,
        }))
    }

    /// The store that it writes to.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// States that are kept ready.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.0.cache.len()
    }
}

impl Inner {
    fn event_type(&self, name: &'static str) -> Result<EventType, Refusal> {
        match self.event_types.get(name) {
            Some(event_type) => Ok(event_type.clone()),
            None => EventType::new(name).map_err(|error| Refusal::Fault(error.to_string())),
        }
    }

    /// What an order became when it was carried out before, if it was.
    fn known(&self, order: &Order) -> Result<Option<Receipt>, Refusal> {
        match self.store.find_command(&order.command)? {
            None => Ok(None),
            Some(found) if found.fingerprint == order.fingerprint => {
                // The receipt speaks of the commit, which may hold other commands; this one is asked about.
                Ok(Some(Receipt { outcome: found.outcome, ..found.receipt }))
            }
            Some(_) => Err(Refusal::KeyReused),
        }
    }

    /// The first answer again, rebuilt from the receipt. `target` is what the order says that it is about.
    fn repeat(&self, receipt: &Receipt, target: Key) -> Result<Done, Refusal> {
        let of_target = target.stream();
        let touched = receipt.versions.iter().find(|(stream, _)| *stream == of_target);
        let version = match touched {
            Some((_, version)) => Some(*version),
            // It was found as it should be, by an order whose commit may have changed other things.
            None => self.version_before(&of_target, receipt.next)?,
        };
        // Older logs hold ids that did not follow from the command; there the only stream of the receipt knows.
        let (key, version) = match (version, &receipt.versions[..]) {
            (None, [(stream, version)]) => (Key::of_stream(stream).unwrap_or(target), Some(*version)),
            (version, _) => (target, version),
        };
        Ok(Done { key, version, position: receipt.next, outcome: receipt.outcome, duplicate: true })
    }

    /// The version that a stream had at a position.
    fn version_before(&self, stream: &StreamId, position: Position) -> Result<Option<Version>, Refusal> {
        const PAGE: usize = 64;
        let mut newest = self.store.stream_version(stream)?;
        while let Some(from) = newest {
            for event in self.store.read_stream(stream, from, Direction::Backward, PAGE)? {
                let Some(view) = event.get() else { continue };
                if view.position() < position {
                    return Ok(Some(view.version()));
                }
            }
            newest = from.get().checked_sub(PAGE as u64).map(Version::new);
        }
        Ok(None)
    }
}
