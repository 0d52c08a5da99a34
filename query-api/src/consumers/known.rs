//! Which consumers there are, and where each of them is: read from the log whenever it is asked.

use domain::system::consumers::{self, Change, ConsumerName, LoadError, Owner, State, Stored, directory_tag};
use eventstore::{Direction, Log, Position, ReadError, RecordedEvent, StreamId, Tag, Version};
use http_kit::problem::Problem;

use crate::problems::unreadable;

/// A consumer.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    pub(crate) stream: StreamId,
    pub(crate) state: State,
}

/// The consumer of a name, if there is one.
pub(crate) fn find(log: &Log, owner: Owner, name: &ConsumerName) -> Result<Option<Consumer>, Problem> {
    let stream = StreamId::new(consumers::stream(owner, name)).map_err(|error| strange(&error))?;
    let state = state(log, &stream)?;
    Ok(state.map(|state| Consumer { stream, state }))
}

/// All consumers of an owner, by name.
pub(crate) fn list(log: &Log, owner: Owner) -> Result<Vec<State>, Problem> {
    let tag = Tag::new(directory_tag(owner)).map_err(|error| strange(&error))?;
    let newest = log.read_tag(&tag, Position::new(u64::MAX), Direction::Backward, 1);
    let newest = newest.map_err(|error| unreadable(&error))?;
    let Some(event) = newest.first().and_then(RecordedEvent::get) else { return Ok(Vec::new()) };
    let change: Change = serde_json::from_slice(event.payload()).map_err(|error| strange(&error))?;
    let mut states = Vec::new();
    for name in change.names.unwrap_or_default() {
        // One that was deleted meanwhile is passed over.
        states.extend(find(log, owner, &name)?.map(|consumer| consumer.state));
    }
    Ok(states)
}

/// The state of the consumer whose stream this is.
pub(super) fn state(log: &Log, stream: &StreamId) -> Result<Option<State>, Problem> {
    let read = |version: Option<u64>| -> Result<Option<Stored>, ReadError> {
        let (from, direction) = match version {
            Some(version) => (version, Direction::Forward),
            None => (u64::MAX, Direction::Backward),
        };
        let events = log.read_stream(stream, Version::new(from), direction, 1)?;
        Ok(events.first().and_then(RecordedEvent::get).map(|event| Stored {
            version: event.version().get(),
            event_type: event.event_type().to_owned(),
            payload: event.payload().to_vec(),
        }))
    };
    let known = consumers::load(read).map_err(|error| match error {
        LoadError::Read(error) => unreadable(&error),
        error @ LoadError::Unreadable { .. } => strange(&error),
    })?;
    Ok(known.and_then(|known| known.state))
}

fn strange(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a consumer cannot be understood");
    Problem::internal()
}
