//! Whether an event is one of a consumer's: the same filter by which the read side delivers.

use domain::system::{self, consumers::State};
use domain::tags;
use eventstore::{Filter, Position, ReadError, Store};

/// Whether a consumer gets the event at a position.
pub(super) fn gets(store: &Store, state: &State, position: u64) -> Result<bool, ReadError> {
    let wanted = &state.settings.filter;
    let tenant = state.workspace_id.map(|tenant| format!("{}{tenant}", tags::WORKSPACE));
    let tags = wanted.tag.as_deref().into_iter().chain(tenant.as_deref());
    let filter = Filter::of_names(wanted.stream.as_deref(), wanted.category.as_deref(), &wanted.types, tags);
    // A filter that the log cannot have wants nothing of it.
    let Ok(filter) = filter else { return Ok(false) };
    let event = store.event(Position::new(position))?;
    Ok(event
        .as_ref()
        .and_then(eventstore::RecordedEvent::get)
        .is_some_and(|event| !event.stream().starts_with(system::STREAM_PREFIX) && filter.matches(&event)))
}
