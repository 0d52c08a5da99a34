//! Control of the projections: what operators ask for and what the projector decides, as events of `sys-projection-<name>`.
//!
//! ```text
//! POST /projections/… ─▶ routes ─▶ admit (does it make sense now) ─▶ sys-projection-<name> ─▶ whoever follows it
//! ```
//!
//! Invariant: this is the only writer of these streams, so that the order of what was asked and decided is one order, and a
//! rebuild that was cancelled cannot be finished afterwards.
//! Invariant: the streams are the only truth; what is in memory is folded from them.

pub(crate) mod routes;

use crate::problems::problem;
use crate::service::{Origin, Refusal, command_id, uuid_v7};
use axum::http::StatusCode;
use domain::Extras;
use domain::system::projections::{
    ControlEvent, PROJECTIONS, ProjectionState, Refused, SCHEMA_VERSION, stream_of,
};
use eventstore::{
    Command, CommandId, CommitBuilder, ContentType, Direction, EventType, ExpectedVersion, Fingerprint,
    Metadata, NewEvent, Outcome, Position, Store, StreamId, Timestamp, Version,
};
use http_kit::auth::LOCAL_SUBJECT;
use http_kit::problem::Problem;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Control of a store's projections. Cheap to clone; all clones share what is in memory.
#[derive(Debug, Clone)]
pub struct ProjectionControl(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Of each projection what its stream says. Locked while something is appended: one after the other.
    known: Mutex<BTreeMap<&'static str, Known>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    last: Option<Version>,
    state: ProjectionState,
}

/// What is to be appended, and for whom.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) projection: &'static str,
    pub(crate) event: ControlEvent,
    pub(crate) command: CommandId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) origin: Option<Origin>,
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) outcome: Outcome,
    pub(crate) position: Position,
}

impl ProjectionControl {
    /// Control of the projections of a store. It must be the only one that writes to their streams.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner { store, known: Mutex::default() }))
    }

    /// Appends what this process itself asks or decides, and answers with the position after it. What is so already is not
    /// said twice. Blocks.
    ///
    /// # Errors
    /// When it makes no sense now (a 4xx), or the log takes nothing (a 5xx).
    pub fn append(&self, projection: &str, event: ControlEvent) -> Result<Position, Problem> {
        let ask = Ask {
            projection: named(projection)?,
            event,
            command: command_id(),
            // Nobody can ask for it again, so it need not be told from another.
            fingerprint: Fingerprint::of(&[]),
            origin: None,
        };
        self.take(&ask).map(|taken| taken.position)
    }

    /// What holds of a projection now. Blocks.
    ///
    /// # Errors
    /// When there is no such projection, or the log cannot be read.
    pub fn state(&self, projection: &str) -> Result<ProjectionState, Problem> {
        let name = named(projection)?;
        let mut known = self.0.known.lock();
        Ok(self.known(&mut known, name)?.state.clone())
    }

    /// Appends what is asked for. Blocks.
    pub(crate) fn take(&self, ask: &Ask) -> Result<Taken, Problem> {
        let refused = |refusal: Refusal| problem(&refusal);
        let mut known = self.0.known.lock();
        let store = &self.0.store;
        if let Some(found) = store.find_command(&ask.command).map_err(|error| refused(error.into()))? {
            if found.fingerprint != ask.fingerprint {
                return Err(refused(Refusal::KeyReused));
            }
            return Ok(Taken { outcome: found.outcome, position: found.receipt.next });
        }
        let state = self.known(&mut known, ask.projection)?;
        state.state.admit(&ask.event).map_err(|refused| inadmissible(&refused))?;
        if let ControlEvent::DeadLetterAdded(added) = &ask.event {
            let event = store.event(Position::new(added.position)).map_err(|error| refused(error.into()))?;
            let view = event.as_ref().and_then(eventstore::RecordedEvent::get);
            let is_there = view.is_some_and(|view| {
                view.id() == added.event_id
                    && view.stream() == added.stream_id
                    && view.version().get() == added.version
            });
            if !is_there {
                let detail = format!("the event at position {} is another one, or none", added.position);
                return Err(Problem::new(StatusCode::CONFLICT, "no_such_event", detail));
            }
        }
        let outcome = if state.state.changes(&ask.event) { Outcome::Applied } else { Outcome::Unchanged };
        let commit = commit(ask, outcome, state.last).map_err(refused)?;
        let receipt = match store.append(commit.prepare().map_err(|error| refused(error.into()))?) {
            Ok(receipt) => receipt,
            Err(error) => {
                // Whatever it was, the log says what holds.
                known.remove(ask.projection);
                return Err(refused(error.into()));
            }
        };
        if outcome == Outcome::Applied {
            let state = self.known(&mut known, ask.projection)?;
            state.state.apply(&ask.event, receipt.first.get());
            state.last = receipt.versions.first().map(|(_, version)| *version).or(state.last);
        }
        Ok(Taken { outcome, position: receipt.next })
    }

    /// What a projection's stream says, read the first time it is asked for.
    fn known<'k>(
        &self,
        known: &'k mut BTreeMap<&'static str, Known>,
        projection: &'static str,
    ) -> Result<&'k mut Known, Problem> {
        let refused = |refusal: Refusal| problem(&refusal);
        if !known.contains_key(projection) {
            let read = read(&self.0.store, projection).map_err(refused)?;
            known.insert(projection, read);
        }
        known.get_mut(projection).ok_or_else(Problem::internal)
    }
}

fn read(store: &Store, projection: &str) -> Result<Known, Refusal> {
    let stream = stream(projection)?;
    let mut known = Known::default();
    for event in store.read_stream(&stream, Version::ZERO, Direction::Forward, usize::MAX)? {
        let Some(view) = event.get() else { continue };
        known.last = Some(view.version());
        match ControlEvent::decode(view.event_type(), view.schema_version(), view.payload()) {
            Ok(Some(event)) => known.state.apply(&event, view.position().get()),
            // A newer build may have written what this one cannot read.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(position = %view.position(), %error, "a control event cannot be read and is passed over");
            }
        }
    }
    Ok(known)
}

fn commit(ask: &Ask, outcome: Outcome, last: Option<Version>) -> Result<CommitBuilder, Refusal> {
    let fault = |error: &dyn std::fmt::Display| Refusal::Fault(error.to_string());
    let mut commit = CommitBuilder::new();
    // It covers the events before it.
    let command = Command { id: ask.command, fingerprint: ask.fingerprint, outcome };
    if outcome == Outcome::Unchanged {
        commit.command(command);
        return Ok(commit);
    }
    let stream = stream(ask.projection)?;
    let subject = ask.origin.as_ref().map_or(LOCAL_SUBJECT, |origin| origin.principal.subject());
    let metadata = Metadata {
        correlation_id: ask.origin.as_ref().and_then(|origin| origin.correlation_id),
        command_id: Some(ask.command),
        traceparent: ask.origin.as_ref().and_then(|origin| origin.traceparent),
        extras: Extras::new(subject, None, None).encode(),
        ..Metadata::default()
    };
    commit.expect(stream.clone(), last.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact));
    commit.event(NewEvent {
        id: uuid_v7(Timestamp::now().get()),
        stream,
        event_type: EventType::new(ask.event.event_type()).map_err(|error| fault(&error))?,
        content_type: ContentType::Json,
        schema_version: SCHEMA_VERSION,
        tags: Vec::new(),
        metadata,
        payload: ask.event.payload().map_err(|error| fault(&error))?,
    });
    commit.command(command);
    Ok(commit)
}

fn stream(projection: &str) -> Result<StreamId, Refusal> {
    StreamId::new(stream_of(projection)).map_err(|error| Refusal::Fault(error.to_string()))
}

/// The projection of this name.
fn named(projection: &str) -> Result<&'static str, Problem> {
    PROJECTIONS.into_iter().find(|known| *known == projection).ok_or_else(|| {
        Problem::not_found(format!("there is no such projection; there are {}", PROJECTIONS.join(", ")))
    })
}

fn inadmissible(refused: &Refused) -> Problem {
    let text = refused.to_string();
    match refused {
        Refused::RebuildUnderWay(id) | Refused::AnotherRebuild(id) => {
            Problem::new(StatusCode::CONFLICT, "rebuild_under_way", text).with("rebuildId", id.to_string())
        }
        Refused::RebuildSwapping(id) => {
            Problem::new(StatusCode::CONFLICT, "rebuild_swapping", text).with("rebuildId", id.to_string())
        }
        Refused::NoRebuild => Problem::new(StatusCode::CONFLICT, "no_rebuild", text),
        Refused::NoDeadLetters => Problem::new(StatusCode::CONFLICT, "no_dead_letter", text),
        Refused::NoSuchDeadLetter(position) => {
            Problem::new(StatusCode::CONFLICT, "no_dead_letter", text).with("position", *position)
        }
        Refused::TooManyDeadLetters => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_dead_letters", text)
        }
        Refused::Invalid { field, .. } => Problem::invalid_body(field, text),
        _ => Problem::internal(),
    }
}
