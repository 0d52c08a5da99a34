//! What must hold before a decision is taken: demanded versions, ids and names that agree.
//!
//! Invariant: nothing is changed here; a broken condition is a refusal that names its member or header.
//!
//! Headers come before the body, and `If-Match` before `If-None-Match` (RFC 9110, 13.2.2). What is not there, or was
//! deleted, is 404 or 410 whatever was demanded of its version. `If-Unmodified-Since` and `If-Modified-Since` are not
//! looked at: the first may be ignored where there are entity tags, the second is for reading only.

use super::desk::Desk;
use super::key::{Key, State};
use super::order::{EntityTags, Intent, OnConflict, Order};
use super::refusal::{Demand, Refusal, Since};
use domain::conflict::{Wish, conflicts};
use domain::{Decoded, Life, codec};
use eventstore::{Direction, Store, StreamId, Version};
use uuid::Uuid;

/// Events since a base version that are looked at; whoever is further behind has to look for themselves.
const SINCE_MAX: u64 = 1_000;

/// An external key is unique because the id follows from it.
pub(super) fn check_derived(id: Uuid, derived: Option<Uuid>) -> Result<(), Refusal> {
    if derived.is_some_and(|derived| derived != id) {
        let detail = "the id does not follow from the external key; leave the id out, or derive it";
        return Err(Refusal::Contradiction { field: "id", detail });
    }
    Ok(())
}

pub(super) fn agrees<T: PartialEq + Copy>(
    field: &'static str,
    said: Option<T>,
    actual: T,
) -> Result<(), Refusal> {
    match said {
        Some(said) if said != actual => {
            Err(Refusal::Contradiction { field, detail: "what the order belongs to is in another one" })
        }
        _ => Ok(()),
    }
}

impl Desk<'_> {
    /// Whether what an order demands of its target's version holds.
    pub(super) fn check(&mut self, key: Key, order: &Order) -> Result<(), Refusal> {
        let conditions = &order.conditions;
        let creates = order.intent.creates();
        let inner = self.inner;
        let (is_atomic, is_at_hand) = (self.is_atomic, self.is_at_hand);
        let entry = self.load(key)?;
        let is_pending = entry.is_dirty && !is_atomic;
        // Whoever creates under the condition that it has a version does not want what would come of it.
        let life = entry.state.life();
        if life == Life::Deleted || (life == Life::Absent && !creates) {
            return Ok(());
        }
        let current = entry.version;
        let conflict = |expected, demand, since| {
            let stream = entry.stream.clone();
            Err(Refusal::VersionConflict { stream, expected, current, demand, since })
        };
        if let Some(tags) = &conditions.if_match
            && !tags.name(current)
        {
            let first = match tags {
                EntityTags::Versions(versions) => versions.first().copied(),
                EntityTags::Any => None,
            };
            return conflict(first, Demand::IfMatch, None);
        }
        if conditions.if_none_match.as_ref().is_some_and(|tags| tags.name(current)) {
            return conflict(None, Demand::IfNoneMatch, None);
        }
        let Some(base) = conditions.expected_version else { return Ok(()) };
        if current == Some(base) || conditions.on_conflict == OnConflict::LastWriterWins {
            return Ok(());
        }
        if is_pending {
            // What has no place in the log yet cannot be looked at, and others may have done it.
            return Err(Refusal::Moved { what: entry.stream.to_string(), current });
        }
        if is_at_hand {
            return Err(Refusal::NotAtHand);
        }
        let since = since(&inner.store, &entry.stream, base, current, wish(&order.intent, &entry.state))?;
        let is_behind = current.is_some_and(|current| current > base);
        let is_merged = conditions.on_conflict == OnConflict::Merge
            && is_behind
            && !since.truncated
            && since.conflicts.is_empty();
        if is_merged { Ok(()) } else { conflict(Some(base), Demand::ExpectedVersion, Some(Box::new(since))) }
    }
}

/// What happened after `base`, up to `current`. What the same commit is about to add is not in the log yet, and is nobody
/// else's doing.
fn since(
    store: &Store,
    stream: &StreamId,
    base: Version,
    current: Option<Version>,
    wish: Wish<'_>,
) -> Result<Since, Refusal> {
    let count = current.map_or(0, |current| current.get().saturating_sub(base.get()));
    let limit = usize::try_from(count.min(SINCE_MAX)).unwrap_or(usize::MAX);
    let events = match limit {
        0 => Vec::new(),
        limit => store.read_stream(stream, base.plus(1), Direction::Forward, limit)?,
    };
    let mut known = Vec::with_capacity(events.len());
    for event in &events {
        let view = event.get().ok_or_else(|| Refusal::Fault("an event cannot be read".to_owned()))?;
        let decoded = codec::decode(view.event_type(), view.schema_version(), view.payload())
            .map_err(|error| Refusal::Fault(format!("position {}: {error}", view.position())))?;
        // The state was made of the same events, which would not have been possible with unknown ones.
        if let Decoded::Known(event) = decoded {
            known.push(event);
        }
    }
    Ok(Since { conflicts: conflicts(wish, &known), truncated: count > SINCE_MAX, events })
}

/// An intent as far as conflicts need it.
fn wish<'a>(intent: &'a Intent, state: &State) -> Wish<'a> {
    match intent {
        Intent::CreateWorkspace(_)
        | Intent::CreateProject(_)
        | Intent::CreateBoard(_)
        | Intent::CreateItem(_)
        | Intent::AddComment(_) => Wish::Create,
        Intent::Workspace(command) => Wish::Workspace(command),
        Intent::Project(command) => Wish::Project(command),
        Intent::Board(command) => Wish::Board(command),
        Intent::MoveItem(to) => {
            let from = match state {
                State::Item(item) => item.column_id(),
                _ => None,
            };
            Wish::Move(to, from)
        }
        Intent::UpdateItem(update) => Wish::Update(update),
        Intent::Item(command) => Wish::Item(command),
        Intent::Comment(command) => Wish::Comment(command),
    }
}
