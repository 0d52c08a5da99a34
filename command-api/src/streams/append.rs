//! One append: from the request's bytes to a commit on its way.
//!
//! Invariant: what a refusal rests on either never changes (a stream's owner) or is checked by the log itself; and whoever
//! sends an append again that was recorded gets the first answer, whatever has changed since.

use super::body::{Body, Event, GuardBody, MetadataBody};
use super::checks::Checks;
use super::conditions::{Demand, Demanded};
use super::ids::{Chosen, ids};
use super::names::Names;
use super::owners::Owner;
use super::refusals::{guard_failed, id_taken, invalid, reserved_tag, too_large};
use super::reserved::is_reserved_tag;
use super::tenant::{mismatch, tenant_of};
use super::{Appended, BODY_BYTES_INLINE, Inner};
use crate::envelope::timestamp;
use crate::problems::problem;
use crate::registry::Schemas;
use crate::request::command_of_key;
use crate::service::{EntityTags, Origin, Refusal};
use axum::body::Bytes;
use axum::http::StatusCode;
use domain::{Extras, tags};
use eventstore::limits::COMMIT_EVENTS_MAX;
use eventstore::{
    AppendError, Command, CommandId, CommitBuilder, ContentType, EventRef, ExpectedVersion, Fingerprint,
    Guard, Metadata, Outcome, Pending, Position, ReadError, Receipt, StreamId, Tag, Timestamp, Version,
};
use http_kit::auth::{Scope, Tenants};
use http_kit::json::{DEPTH_MAX, check_depth, parse_outer};
use http_kit::limits::Meter;
use http_kit::problem::Problem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) stream: StreamId,
    pub(super) body: Bytes,
    pub(super) if_match: Option<EntityTags>,
    pub(super) if_none_match: bool,
    pub(super) key: Option<String>,
    pub(super) origin: Origin,
    pub(super) meter: Meter,
    /// Whether its events were charged: that happens once, however often it is begun.
    pub(super) is_charged: AtomicBool,
}

/// Why no commit is on its way.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something has to be read or takes long: again, where one may block.
    WouldBlock,
    /// It was recorded before.
    Known(Appended),
    /// It is refused.
    Refused(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Refused(problem(&error.into()))
    }
}

/// What is needed to answer once the commit is durable or refused.
#[derive(Debug)]
pub(super) struct Ready {
    named: Named,
    chosen: Chosen,
    pub(super) stream: StreamId,
    /// Whose stream it is, or will be.
    pub(super) owner: Owner,
    /// Whether the stream did not exist when it was looked at.
    pub(super) begins: bool,
    demanded: Demanded,
    /// With their numbers in the body.
    guards: Vec<(usize, Guard)>,
    /// Whether the caller may know where things outside its tenants are.
    sees_all: bool,
    ids: Vec<Uuid>,
}

/// The append's permanent name, and what it said.
#[derive(Debug, Clone, Copy)]
struct Named {
    command: CommandId,
    fingerprint: Fingerprint,
    /// Whether the caller can send the same name again.
    by_caller: bool,
}

/// An attempt to put a commit on its way.
struct Attempt<'a> {
    append: &'a Append,
    inner: &'a Inner,
    may_block: bool,
    named: Named,
}

impl Append {
    /// Checks everything that the log does not check, and hands the commit to the log.
    pub(super) fn begin(&self, inner: &Inner, may_block: bool) -> Result<(Ready, Pending), Stop> {
        if !may_block && self.body.len() > BODY_BYTES_INLINE {
            return Err(Stop::WouldBlock);
        }
        let body: Body<'_> = parse_outer(&self.body)?;
        check_counts(&body)?;
        if !self.is_charged.swap(true, Ordering::Relaxed) {
            // The request itself has been one of them.
            self.meter.charge(body.events.list.len().saturating_sub(1))?;
        }
        let tenant = tenant_of(&self.origin.principal, body.workspace_id)?;
        let now = Timestamp::now();
        let ids = ids(&body.events.list, now)?;
        let named = self.name(&body, &ids, tenant);
        Attempt { append: self, inner, may_block, named }.begin(&body, ids, tenant)
    }

    /// An append without a name is named by its first event; a made id is as good as none.
    fn name(&self, body: &Body<'_>, ids: &[Uuid], tenant: Option<Uuid>) -> Named {
        let said = body.events.list.first().and_then(|event| event.event_id);
        let tenant = tenant.map_or([0; 16], |tenant| *tenant.as_bytes());
        let command = match &self.key {
            Some(key) => command_of_key(&self.origin.principal, key),
            // Ids that callers choose are a space of their own: nobody can use up another's key with one.
            None => match ids.first().filter(|_| said.is_some()) {
                Some(id) => CommandId::derive(&[b"event", &tenant, id.as_bytes()]),
                None => CommandId::from_bytes(ids.first().map_or([0; 16], |id| *id.as_bytes())),
            },
        };
        let by_caller = self.key.is_some() || said.is_some();
        let fingerprint = if by_caller {
            // Other principals of the same tenant say the same; other tenants do not.
            Fingerprint::of(&[b"append", self.stream.as_str().as_bytes(), &tenant, &self.body])
        } else {
            // Nobody can ask for it again, so it need not be told from another.
            Fingerprint::from_bytes([0; 16])
        };
        Named { command, fingerprint, by_caller }
    }
}

impl Attempt<'_> {
    fn begin(&self, body: &Body<'_>, ids: Vec<Uuid>, tenant: Option<Uuid>) -> Result<(Ready, Pending), Stop> {
        let Append { stream, origin, .. } = self.append;
        let store = &self.inner.store;
        let found = match self.inner.owners.known(stream) {
            Some(owner) => Some(owner),
            None if self.may_block => self.inner.owners.find(store, stream)?,
            None => return Err(Stop::WouldBlock),
        };
        let owner = match found {
            None => tenant,
            // Whoever may touch all tenants and names none means whoever the stream belongs to.
            Some(owner) if tenant.is_none() || owner == tenant => owner,
            Some(_) => {
                let detail = format!("the stream {stream} belongs to another workspace; choose another name");
                return Err(mismatch(detail).with("streamId", stream.as_str()).into());
            }
        };
        let begins = found.is_none();
        let demanded =
            Demanded::of(self.append.if_match.as_ref(), self.append.if_none_match, body.expected_version)?;
        let expected = match &demanded.expected {
            // Two tenants cannot both begin it: the second one finds it there, and asks whose it is.
            Demand::Log(ExpectedVersion::Any | ExpectedVersion::NoStream) if begins => {
                ExpectedVersion::NoStream
            }
            // Nor may one come in behind another who begins it just now.
            _ if begins => return Err(self.refuse(demanded.conflict(stream, None))),
            Demand::Log(expected) => *expected,
            Demand::OneOf(_) if !self.may_block => return Err(Stop::WouldBlock),
            Demand::OneOf(versions) => match store.stream_version(stream)? {
                Some(current) if versions.contains(&current) => ExpectedVersion::Exact(current),
                current => return Err(self.refuse(demanded.conflict(stream, current))),
            },
        };
        let guards = self.guards(&body.guards.list)?;
        let chosen = Chosen::of(&body.events.list)?;
        if chosen.has_to_look() {
            if !self.may_block {
                return Err(Stop::WouldBlock);
            }
            if let Some(index) = chosen.taken(store)? {
                return Err(self.refuse(id_taken(index)));
            }
        }
        let mut commit = CommitBuilder::new();
        commit.expect(stream.clone(), expected);
        for (_, guard) in &guards {
            commit.guard(guard.clone());
        }
        self.events(&mut commit, &body.events.list, &ids, owner)?;
        let Named { command, fingerprint, .. } = self.named;
        commit.command(Command { id: command, fingerprint, outcome: Outcome::Applied });
        for id in chosen.commands() {
            // The events are the append's; these are names only.
            commit.command(Command { id, fingerprint, outcome: Outcome::Unchanged });
        }
        let commit = commit.prepare().map_err(|error| too_large(&error))?;
        let pending = store.submit(commit).map_err(|error| problem(&Refusal::from(error)))?;
        let sees_all = *origin.principal.tenants() == Tenants::All;
        let stream = stream.clone();
        let named = self.named;
        Ok((Ready { named, chosen, stream, owner, begins, demanded, guards, sees_all, ids }, pending))
    }

    /// A refusal that rests on what may have been otherwise when the same append was sent first.
    fn refuse(&self, refusal: Problem) -> Stop {
        if !self.named.by_caller {
            return Stop::Refused(refusal);
        }
        if !self.may_block {
            return Stop::WouldBlock;
        }
        match self.inner.store.find_command(&self.named.command) {
            Ok(None) => Stop::Refused(refusal),
            Ok(Some(found)) if found.fingerprint == self.named.fingerprint => {
                match self.inner.recorded(found.receipt.first, self.append.stream.clone()) {
                    Ok(appended) => Stop::Known(appended),
                    Err(problem) => Stop::Refused(problem),
                }
            }
            Ok(Some(_)) => Stop::Refused(problem(&Refusal::KeyReused)),
            Err(error) => error.into(),
        }
    }

    /// The guards that the log has to check.
    fn guards(&self, bodies: &[GuardBody<'_>]) -> Result<Vec<(usize, Guard)>, Stop> {
        let tenants = self.append.origin.principal.tenants();
        let sees_all = *tenants == Tenants::All;
        let mut guards = Vec::with_capacity(bodies.len());
        for (index, body) in bodies.iter().enumerate() {
            let guard = match body {
                GuardBody::Stream(body) => {
                    let stream = StreamId::new(&body.stream.0)
                        .map_err(|error| invalid(&format!("guards[{index}].stream"), &error))?;
                    let guard = Guard::StreamAt(stream, body.version.map(Version::new));
                    if !sees_all && let Guard::StreamAt(stream, version) = &guard {
                        if !self.may_block {
                            return Err(Stop::WouldBlock);
                        }
                        let owner = self.inner.owners.find(&self.inner.store, stream)?;
                        let is_foreign =
                            owner.is_some_and(|owner| !owner.is_some_and(|owner| tenants.contains(owner)));
                        // What belongs to others is as if it were not there.
                        match version {
                            None if is_foreign => continue,
                            Some(_) if is_foreign => {
                                return Err(self.refuse(guard_failed(index, &guard, None, false)));
                            }
                            _ => {}
                        }
                    }
                    guard
                }
                GuardBody::Tag(body) => {
                    let tag = &*body.tag.0;
                    let field = || format!("guards[{index}].tag");
                    if !sees_all && is_reserved_tag(tag) && !is_workspace_of(tag, tenants) {
                        let detail = "only whoever may touch every workspace can guard tags of the domain";
                        return Err(reserved_tag(field(), detail).into());
                    }
                    let tag = Tag::new(tag).map_err(|error| invalid(&field(), &error))?;
                    Guard::NoNewer(tag, Position::new(body.position))
                }
            };
            guards.push((index, guard));
        }
        Ok(guards)
    }

    fn events(
        &self,
        commit: &mut CommitBuilder,
        events: &[Event<'_>],
        ids: &[Uuid],
        owner: Owner,
    ) -> Result<(), Stop> {
        let Append { stream, origin, .. } = self.append;
        let mut names = Names::new(owner)?;
        let mut checks = Checks::new(self.schemas()?, owner);
        let mut tags = Vec::with_capacity(8);
        let shared = Metadata {
            correlation_id: origin.correlation_id,
            causation_id: None,
            command_id: Some(self.named.command),
            traceparent: origin.traceparent,
            occurred_at: None,
            extras: Extras::new(origin.principal.subject(), None, None).encode(),
        };
        for (index, (event, id)) in events.iter().zip(ids).enumerate() {
            let own = match &event.metadata {
                Some(body) => Some(self.metadata(index, body, &shared)?),
                None => None,
            };
            if event.schema_version == 0 {
                let field = format!("events[{index}].schemaVersion");
                return Err(invalid(&field, &"versions begin with 1").into());
            }
            names.tags(index, &event.tags, &mut tags)?;
            let data = event.data.get().as_bytes();
            if check_depth(".", data).is_err() {
                let reason = format!("nested deeper than {DEPTH_MAX} levels");
                return Err(invalid(&format!("events[{index}].data"), &reason).into());
            }
            let event_type = names.event_type(index, &event.event_type.0)?;
            checks.event(index, event, self.may_block)?;
            commit.event_ref(&EventRef {
                id: *id,
                stream,
                event_type,
                content_type: ContentType::Json,
                schema_version: event.schema_version,
                tags: &tags,
                metadata: own.as_ref().unwrap_or(&shared),
                payload: data,
            });
        }
        // What broke a schema may have been recorded before there was one.
        checks.refusal().map_or(Ok(()), |refusal| Err(self.refuse(refusal)))
    }

    fn schemas(&self) -> Result<Arc<Schemas>, Stop> {
        match self.inner.registry.ready() {
            Some(schemas) => Ok(schemas),
            None if self.may_block => {
                self.inner.registry.schemas().map_err(|refusal| Stop::Refused(problem(&refusal)))
            }
            None => Err(Stop::WouldBlock),
        }
    }

    fn metadata(
        &self,
        index: usize,
        body: &MetadataBody<'_>,
        shared: &Metadata,
    ) -> Result<Metadata, Problem> {
        let occurred_at = match &body.occurred_at {
            None => None,
            Some(text) => {
                let field = format!("events[{index}].metadata.occurredAt");
                let permitted = self.append.origin.principal.require(Scope::Import);
                permitted.map_err(|problem| problem.with("field", &*field))?;
                let reason = "a time as RFC 3339 says, between the years 1678 and 2262";
                Some(timestamp(&text.0).ok_or_else(|| invalid(&field, &reason))?)
            }
        };
        Ok(Metadata {
            correlation_id: body.correlation_id.or(shared.correlation_id),
            causation_id: body.causation_id,
            occurred_at,
            ..shared.clone()
        })
    }
}

impl Ready {
    pub(super) fn appended(self, receipt: &Receipt) -> Result<Appended, Problem> {
        let last = receipt.versions.iter().find(|(stream, _)| *stream == self.stream);
        let (Some((_, last)), Some(more)) = (last, self.ids.len().checked_sub(1)) else {
            tracing::error!(stream = %self.stream, "a receipt without the stream that was written");
            return Err(Problem::internal());
        };
        let first = Version::new(last.get().saturating_sub(more as u64));
        Ok(Appended { stream: self.stream, first, last: *last, position: receipt.next, ids: self.ids })
    }

    /// What it became when it was sent before, if the log remembers that but not the ids; otherwise an id is taken.
    pub(super) fn recorded_before(self, split: CommandId, inner: &Inner) -> Result<Appended, Problem> {
        let found = inner.store.find_command(&self.named.command);
        match found.map_err(|error| problem(&error.into()))? {
            Some(found) if found.fingerprint == self.named.fingerprint => {
                inner.recorded(found.receipt.first, self.stream)
            }
            _ => Err(self.problem(AppendError::CommandsSplit { command: split })),
        }
    }

    /// What the log's refusal means to the caller.
    pub(super) fn problem(&self, error: AppendError) -> Problem {
        match error {
            AppendError::WrongExpectedVersion { current, .. } => {
                self.demanded.conflict(&self.stream, current)
            }
            AppendError::CommandReused { command } | AppendError::CommandsSplit { command }
                if let Some(index) = self.chosen.index_of(command) =>
            {
                id_taken(index)
            }
            AppendError::GuardFailed { guard, current } => {
                let index =
                    self.guards.iter().find(|(_, said)| *said == guard).map_or(0, |(index, _)| *index);
                guard_failed(index, &guard, current, self.sees_all)
            }
            error => problem(&error.into()),
        }
    }
}

impl Inner {
    /// What the append became whose first event is at a position.
    pub(super) fn recorded(&self, first: Position, stream: StreamId) -> Result<Appended, Problem> {
        let mut commits = self.store.commits(first).skip_while(|commit| {
            // Commits without events share the position of the next one that has some.
            commit.as_ref().is_ok_and(eventstore::RecordedCommit::is_empty)
        });
        let commit = match commits.next() {
            Some(Ok(commit)) => commit,
            Some(Err(error)) => return Err(problem(&error.into())),
            None => return Err(Problem::internal()),
        };
        let mut versions = None;
        let mut ids = Vec::with_capacity(commit.len());
        for event in commit.events().filter(|event| event.stream() == stream.as_str()) {
            let (_, last) = versions.get_or_insert((event.version(), event.version()));
            *last = event.version();
            ids.push(event.id());
        }
        let Some((first, last)) = versions else {
            tracing::error!(%stream, "an append that was recorded cannot be found");
            return Err(Problem::internal());
        };
        Ok(Appended { stream, first, last, position: commit.next(), ids })
    }
}

fn check_counts(body: &Body<'_>) -> Result<(), Problem> {
    if body.events.list.is_empty() {
        return Err(Problem::invalid_body("events", "events: at least one event is needed"));
    }
    if body.events.beyond > 0 {
        let detail = format!("{} events, at most {COMMIT_EVENTS_MAX} are allowed", body.events.said());
        return Err(
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", detail).with("field", "events")
        );
    }
    if body.guards.beyond > 0 {
        let detail =
            format!("guards: {} of them, at most {} are allowed", body.guards.said(), body.guards.list.len());
        return Err(Problem::invalid_body("guards", detail));
    }
    Ok(())
}

fn is_workspace_of(tag: &str, tenants: &Tenants) -> bool {
    tag.strip_prefix(tags::WORKSPACE)
        .and_then(|workspace| Uuid::try_parse(workspace).ok())
        .is_some_and(|workspace| tenants.contains(workspace))
}
