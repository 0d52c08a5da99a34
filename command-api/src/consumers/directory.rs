//! Which consumers an owner has: the newest event that changed it says so.

use crate::service::Refusal;
use domain::system::consumers::{Change, ConsumerName, Owner, directory_tag};
use eventstore::{Direction, Position, RecordedEvent, Store, Tag};

/// The names of an owner's consumers, in order.
pub(super) fn names(store: &Store, owner: Owner) -> Result<Vec<ConsumerName>, Refusal> {
    let fault = |error: &dyn std::fmt::Display| Refusal::Fault(error.to_string());
    let tag = Tag::new(directory_tag(owner)).map_err(|error| fault(&error))?;
    let newest = store.read_tag(&tag, Position::new(u64::MAX), Direction::Backward, 1)?;
    let Some(event) = newest.first().and_then(RecordedEvent::get) else { return Ok(Vec::new()) };
    let change: Change = serde_json::from_slice(event.payload()).map_err(|error| fault(&error))?;
    change.names.ok_or_else(|| Refusal::Fault(format!("event {} lists no consumers", event.position())))
}
