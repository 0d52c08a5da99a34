//! Whether an event is one of a consumer's: the same rule by which the read side delivers.

use domain::system::consumers::State;
use domain::tags;
use eventstore::{EventView, Position, ReadError, Store};
use uuid::Uuid;

/// What the system's own streams begin with.
const SYSTEM_PREFIX: &str = "sys-";

/// Whether a consumer gets the event at a position.
pub(super) fn gets(store: &Store, state: &State, position: u64) -> Result<bool, ReadError> {
    let event = store.event(Position::new(position))?;
    Ok(event.as_ref().and_then(eventstore::RecordedEvent::get).is_some_and(|event| takes(state, &event)))
}

fn takes(state: &State, event: &EventView<'_>) -> bool {
    let filter = &state.settings.filter;
    let is_of_tenant = |tenant: Uuid| {
        let mut tenants =
            event.tags().filter_map(|tag| Uuid::try_parse(tag.strip_prefix(tags::WORKSPACE)?).ok());
        tenants.any(|one| one == tenant)
    };
    !event.stream().starts_with(SYSTEM_PREFIX)
        && state.workspace_id.is_none_or(|tenant| is_of_tenant(tenant.uuid()))
        && filter.stream.as_ref().is_none_or(|stream| stream == event.stream())
        && filter
            .category
            .as_ref()
            .is_none_or(|category| event.stream().split('-').next() == Some(category.as_str()))
        && (filter.types.is_empty() || filter.types.iter().any(|wanted| wanted == event.event_type()))
        && filter.tag.as_ref().is_none_or(|tag| event.tags().any(|has| has == tag))
}
