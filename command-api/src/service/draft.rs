//! What an order would append: the domain decides, its events are taken in and made ready for the log.
//!
//! Invariant: a draft that changes nothing guards the version at which there was nothing to change.

use super::desk::{Desk, Parts};
use super::entropy;
use super::key::{Held, Key};
use super::order::Origin;
use super::refusal::Refusal;
use super::{Inner, census};
use domain::access::Permit;
use domain::{Context, DomainEvent, Extras, codec, tags};
use eventstore::{
    Command, CommandId, CommitBuilder, ContentType, ExpectedVersion, Fingerprint, Guard, Metadata, NewEvent,
    Outcome, StreamId, Timestamp, Version,
};
use http_kit::auth::Scope;
use uuid::Uuid;

/// What an order would append.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) key: Key,
    pub(super) stream: StreamId,
    /// The target's version before.
    pub(super) base: Option<Version>,
    /// The target's version after.
    pub(super) version: Option<Version>,
    pub(super) events: Vec<NewEvent>,
    pub(super) guards: Vec<Guard>,
    pub(super) command: CommandId,
    pub(super) fingerprint: Fingerprint,
}

impl Draft {
    pub(super) fn outcome(&self) -> Outcome {
        if self.events.is_empty() { Outcome::Unchanged } else { Outcome::Applied }
    }

    /// Adds everything to a commit; the expectation only where the commit writes the stream for the first time.
    pub(super) fn add_to(self, commit: &mut CommitBuilder, is_first_of_stream: bool) {
        let outcome = self.outcome();
        if outcome == Outcome::Applied && is_first_of_stream {
            commit.expect(self.stream, self.base.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact));
        }
        for guard in self.guards {
            commit.guard(guard);
        }
        for event in self.events {
            commit.event(event);
        }
        commit.command(Command { id: self.command, fingerprint: self.fingerprint, outcome });
    }
}

/// What stands on every event of an order, and what its decision may know.
pub(super) struct Pen<'s> {
    inner: &'s Inner,
    metadata: Metadata,
    context: Context,
    pub(super) command: CommandId,
    fingerprint: Fingerprint,
}

impl<'s> Pen<'s> {
    pub(super) fn new(
        inner: &'s Inner,
        command: CommandId,
        fingerprint: Fingerprint,
        origin: Origin,
    ) -> Self {
        let imported = origin.is_import();
        let principal = &origin.principal;
        let extras =
            Extras::new(principal.subject(), origin.on_behalf_of.as_deref(), origin.source.as_deref());
        let metadata = Metadata {
            correlation_id: origin.correlation_id,
            causation_id: None,
            command_id: Some(command),
            traceparent: origin.traceparent,
            occurred_at: origin.occurred_at,
            extras: extras.encode(),
        };
        let context = Context {
            actor: principal.subject().to_string(),
            on_behalf_of: origin.on_behalf_of,
            now_ns: Timestamp::now().get(),
            occurred_at_ns: origin.occurred_at.map(Timestamp::get),
            imported,
            is_privileged: principal.may(Scope::Admin),
            entropy: entropy::next(),
        };
        Self { inner, metadata, context, command, fingerprint }
    }
}

impl<'s> Desk<'s> {
    /// Lets the domain decide, takes the events in, and makes them ready for the log. Whoever comes here was permitted.
    pub(super) fn write<A: Held>(
        &mut self,
        key: Key,
        id: A::Id,
        command: A::Command,
        pen: Pen<'s>,
        _permit: Permit,
        mut guards: Vec<Guard>,
    ) -> Result<Draft, Refusal> {
        let is_atomic = self.is_atomic;
        let Parts { entry, tags, mut delta } = self.parts(key).ok_or_else(other_kind)?;
        let decided = A::of(&entry.state).ok_or_else(other_kind)?.decide(&pen.context, command)?;
        let base = entry.version;
        let mut events = Vec::with_capacity(decided.len());
        if decided.is_empty() {
            // "Nothing to change" holds only as long as nobody else changes it.
            if !(is_atomic && entry.is_dirty) {
                guards.push(Guard::StreamAt(entry.stream.clone(), base));
            }
        } else {
            let state = A::of_mut(&mut entry.state).ok_or_else(other_kind)?;
            let mut metadata = Some(pen.metadata);
            let last = decided.len() - 1;
            for (index, event) in decided.into_iter().enumerate() {
                state.apply(&event);
                let scope = state
                    .scope(id)
                    .ok_or_else(|| Refusal::Fault("an aggregate without a scope".to_owned()))?;
                let event: DomainEvent = event.into();
                if let (Some(delta), Some(board)) = (&mut delta, scope.board) {
                    census::for_each_change(&event, |column, change| {
                        *delta.entry(census::Place { board, column }).or_default() += change;
                    });
                }
                let mut event_tags = Vec::with_capacity(5);
                tags::for_each_tag(&event, &scope, |tag| event_tags.extend(Self::tag(tags, tag)));
                let encoded = codec::encode(&event);
                let metadata = if index == last { metadata.take() } else { metadata.clone() };
                entry.weight += encoded.payload.len();
                events.push(NewEvent {
                    id: entropy::uuid_v7(pen.context.now_ns),
                    stream: entry.stream.clone(),
                    event_type: pen.inner.event_type(encoded.event_type)?,
                    content_type: ContentType::Json,
                    schema_version: encoded.schema_version,
                    tags: event_tags,
                    metadata: metadata.unwrap_or_default(),
                    payload: encoded.payload,
                });
            }
            let count = u64::try_from(events.len()).unwrap_or(0);
            entry.version = Some(base.map_or(Version::new(count - 1), |version| version.plus(count)));
            entry.as_of = None;
            entry.is_dirty = true;
        }
        Ok(Draft {
            key,
            stream: entry.stream.clone(),
            base,
            version: entry.version,
            events,
            guards,
            command: pen.command,
            fingerprint: pen.fingerprint,
        })
    }
}

/// The id of a part (a column, an attachment) whose caller chose none: the same again when the command is repeated.
pub(crate) fn part_id(whole: Uuid, command: &CommandId) -> Uuid {
    Uuid::new_v5(&whole, command.as_bytes())
}

pub(super) fn other_kind() -> Refusal {
    Refusal::Fault("a state of another kind than its key".to_owned())
}
