//! The schema registry: a JSON Schema per event type and version, kept in the log itself.
//!
//! ```text
//! POST /schemas ─▶ schema (is it one, what does it cost) ─▶ compat (what was promised) ─▶ sys-schemas ─▶ Schemas
//! append ─▶ Schemas::of ─▶ Entry::check (the data of each event)
//! ```
//!
//! Invariant: the stream `sys-schemas` is the only truth; what is in memory is folded from it, in the same order. One
//! stream rather than one per type: a registration is rare, and one order makes "the newest" mean one thing.
//! Invariant: a tenant's schema binds that tenant's streams and nobody else's; one that was registered for no tenant in
//! particular binds every stream whose tenant has none of its own for the type.
//! Invariant: an event whose type has a schema is checked by the schema of its version, or refused if there is none;
//! types without a schema pass.

mod check;
mod compat;
mod entry;
mod record;
mod register;
pub(crate) mod routes;
mod schema;

pub use compat::{Compatibility, Difference};

pub(crate) use check::{Checked, VIOLATIONS_MAX};
pub(crate) use entry::Schemas;

use crate::service::Refusal;
use entry::Entry;
use eventstore::{Direction, Store, StreamId, Version};
use parking_lot::{Mutex, RwLock};
use record::{Record, SCHEMA_REGISTERED};
use std::sync::Arc;

/// The stream of all schemas.
pub(crate) const STREAM: &str = "sys-schemas";

/// The registry of a store. Cheap to clone; all clones share what is in memory.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// `None` until it is asked for: reading the log takes its time.
    current: RwLock<Option<Arc<Schemas>>>,
    /// Held while schemas are registered: one after the other.
    registering: Mutex<()>,
}

impl Registry {
    /// The registry of a store. It must be the only one that writes to it.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let inner = Inner { store, current: RwLock::new(None), registering: Mutex::new(()) };
        Self(Arc::new(inner))
    }

    /// What is registered, if it has been read from the log before.
    pub(crate) fn ready(&self) -> Option<Arc<Schemas>> {
        self.0.current.read().clone()
    }

    /// What is registered. Blocks the first time.
    pub(crate) fn schemas(&self) -> Result<Arc<Schemas>, Refusal> {
        if let Some(schemas) = self.ready() {
            return Ok(schemas);
        }
        let mut current = self.0.current.write();
        if let Some(schemas) = &*current {
            return Ok(Arc::clone(schemas));
        }
        let schemas = Arc::new(self.0.read()?);
        *current = Some(Arc::clone(&schemas));
        Ok(schemas)
    }
}

impl Inner {
    fn read(&self) -> Result<Schemas, Refusal> {
        let stream = stream()?;
        let mut schemas = Schemas::of_domain();
        for event in self.store.read_stream(&stream, Version::ZERO, Direction::Forward, usize::MAX)? {
            let Some(view) = event.get() else { continue };
            schemas.last = Some(view.version());
            if view.event_type() != SCHEMA_REGISTERED {
                continue;
            }
            match Record::read(view.payload()) {
                Ok(record) => schemas.add(Entry::recorded(record, view.position())),
                // A newer build may have written what this one cannot read.
                Err(error) => {
                    tracing::warn!(position = %view.position(), %error, "a schema cannot be read and is passed over");
                }
            }
        }
        Ok(schemas)
    }
}

fn stream() -> Result<StreamId, Refusal> {
    StreamId::new(STREAM).map_err(|error| Refusal::Fault(error.to_string()))
}
