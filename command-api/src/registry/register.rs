//! Registering a schema: one commit on `sys-schemas`, remembered under its command id like every command.

use super::compat::differences;
use super::entry::{Entry, Schemas, text_len};
use super::record::{RECORD_VERSION, Record, SCHEMA_REGISTERED};
use super::schema::{SCHEMA_BYTES_MAX, compile};
use super::{Compatibility, Registry, stream};
use crate::problems::problem;
use crate::service::{Origin, Refusal, command_id, uuid_v7};
use crate::streams::is_reserved_type;
use axum::http::StatusCode;
use domain::{Extras, tags};
use eventstore::{
    Command, CommandId, CommitBuilder, ContentType, EventType, ExpectedVersion, Fingerprint, Metadata,
    NewEvent, Outcome, Position, Receipt, Tag, Timestamp,
};
use http_kit::auth::LOCAL_SUBJECT;
use http_kit::problem::Problem;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// Most schemas of one tenant, versions counted.
const SCHEMAS_MAX: usize = 10_000;

/// Most bytes of all of them together: they stay in memory, where JSON takes several times as much as it does as text.
const SCHEMAS_BYTES_MAX: usize = 4 << 20;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Register {
    pub(super) event_type: String,
    pub(super) schema: Value,
    pub(super) compatibility: Compatibility,
    /// The version that it is expected to become.
    pub(super) version: Option<u16>,
    pub(super) tenant: Option<Uuid>,
    pub(super) command: CommandId,
    pub(super) fingerprint: Fingerprint,
    pub(super) origin: Origin,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) entry: Arc<Entry>,
    pub(super) outcome: Outcome,
    pub(super) position: Position,
}

impl Registry {
    /// Registers the domain's own schemas: writes those into the log that do not stand there yet, in one commit. Answers
    /// with how many there were. Blocks.
    ///
    /// # Errors
    /// When the log cannot be read or takes nothing.
    pub fn register_domain(&self) -> Result<usize, Refusal> {
        let _one_by_one = self.0.registering.lock();
        let schemas = self.schemas()?;
        let records: Vec<Record> = schemas.domain_unrecorded().map(|entry| record(entry)).collect();
        if records.is_empty() {
            return Ok(0);
        }
        let extras = Extras::new(LOCAL_SUBJECT, None, None).encode();
        let command =
            Command { id: command_id(), fingerprint: Fingerprint::of(&[]), outcome: Outcome::Applied };
        let metadata = Metadata { command_id: Some(command.id), extras, ..Metadata::default() };
        self.record(&schemas, &records, command, &metadata)?;
        Ok(records.len())
    }

    /// Registers a schema. Blocks.
    pub(super) fn register(&self, ask: Register) -> Result<Registered, Problem> {
        let refused = |refusal: Refusal| problem(&refusal);
        let _one_by_one = self.0.registering.lock();
        let schemas = self.schemas().map_err(refused)?;
        if let Some(found) = self.0.store.find_command(&ask.command).map_err(|error| refused(error.into()))? {
            if found.fingerprint != ask.fingerprint {
                return Err(refused(Refusal::KeyReused));
            }
            return again(&schemas, &ask, found.outcome, &found.receipt);
        }
        check_type(&ask)?;
        let known = schemas.exactly(ask.tenant, &ask.event_type);
        let newest = known.last();
        let next = newest.map_or(Some(1), |newest| newest.version.checked_add(1));
        let is_same = newest.is_some_and(|newest| newest.schema == ask.schema);
        let taken = if is_same { newest.map(|newest| newest.version) } else { next };
        if ask.version.is_some_and(|said| Some(said) != taken && Some(said) != next) {
            let detail = "another version comes next; look at what was registered meanwhile";
            return Err(Problem::new(StatusCode::CONFLICT, "version_conflict", detail)
                .with("expectedVersion", ask.version)
                .with("currentVersion", newest.map(|newest| newest.version)));
        }
        let extras = Extras::new(ask.origin.principal.subject(), None, None).encode();
        let metadata = Metadata {
            correlation_id: ask.origin.correlation_id,
            command_id: Some(ask.command),
            traceparent: ask.origin.traceparent,
            extras,
            ..Metadata::default()
        };
        let command = |outcome| Command { id: ask.command, fingerprint: ask.fingerprint, outcome };
        if let (true, Some(newest)) = (is_same, newest) {
            let receipt =
                self.record(&schemas, &[], command(Outcome::Unchanged), &metadata).map_err(refused)?;
            let entry = Arc::clone(newest);
            return Ok(Registered { entry, outcome: Outcome::Unchanged, position: receipt.next });
        }
        let (count, bytes) = schemas.size(ask.tenant);
        let has_room = count < SCHEMAS_MAX && bytes + text_len(&ask.schema) <= SCHEMAS_BYTES_MAX;
        let Some(next) = next.filter(|_| has_room) else {
            let detail = format!(
                "{count} schemas of {bytes} bytes are registered; more than {SCHEMAS_MAX}, or {SCHEMAS_BYTES_MAX} bytes, are \
                 not taken"
            );
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_schemas", detail));
        };
        check_schema(&ask, newest)?;
        let record = Record {
            event_type: ask.event_type,
            version: next,
            schema: ask.schema,
            compatibility: ask.compatibility,
            workspace_id: ask.tenant,
        };
        let receipt = self
            .record(&schemas, std::slice::from_ref(&record), command(Outcome::Applied), &metadata)
            .map_err(refused)?;
        let schemas = self.schemas().map_err(refused)?;
        let entry = schemas.exactly(ask.tenant, &record.event_type).last().cloned();
        let entry = entry
            .ok_or_else(|| refused(Refusal::Fault("a schema that was recorded is not there".to_owned())))?;
        Ok(Registered { entry, outcome: Outcome::Applied, position: receipt.next })
    }

    /// Appends records to the log, and adds them to what is in memory once they are durable.
    fn record(
        &self,
        schemas: &Schemas,
        records: &[Record],
        command: Command,
        metadata: &Metadata,
    ) -> Result<Receipt, Refusal> {
        let fault = |error: &dyn std::fmt::Display| Refusal::Fault(error.to_string());
        let stream = stream()?;
        let mut commit = CommitBuilder::new();
        let now = Timestamp::now().get();
        for record in records {
            let workspace =
                record.workspace_id.map(|workspace| Tag::new(format!("{}{workspace}", tags::WORKSPACE)));
            commit.event(NewEvent {
                id: uuid_v7(now),
                stream: stream.clone(),
                event_type: EventType::new(SCHEMA_REGISTERED).map_err(|error| fault(&error))?,
                content_type: ContentType::Json,
                schema_version: RECORD_VERSION,
                tags: workspace.transpose().map_err(|error| fault(&error))?.into_iter().collect(),
                metadata: metadata.clone(),
                payload: serde_json::to_vec(record).map_err(|error| fault(&error))?,
            });
        }
        if !records.is_empty() {
            let expected = schemas.last.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact);
            commit.expect(stream, expected);
        }
        commit.command(command);
        let receipt = self.0.store.append(commit.prepare()?)?;
        if !records.is_empty() {
            let mut schemas = schemas.clone();
            for (position, record) in (receipt.first.get()..).zip(records) {
                schemas.add(Entry::recorded(record.clone(), Position::new(position)));
            }
            schemas.last = receipt.versions.first().map(|(_, version)| *version);
            *self.0.current.write() = Some(Arc::new(schemas));
        }
        Ok(receipt)
    }
}

fn record(entry: &Entry) -> Record {
    Record {
        event_type: entry.event_type.to_string(),
        version: entry.version,
        schema: entry.schema.clone(),
        compatibility: entry.compatibility,
        workspace_id: entry.tenant,
    }
}

/// The first answer again.
fn again(
    schemas: &Schemas,
    ask: &Register,
    outcome: Outcome,
    receipt: &Receipt,
) -> Result<Registered, Problem> {
    // What the commit recorded, or what was newest when it changed nothing, is the newest before its end.
    let known = schemas.exactly(ask.tenant, &ask.event_type).iter().rev();
    let entry = known.clone().find(|entry| entry.position.is_some_and(|position| position < receipt.next));
    match entry {
        Some(entry) => Ok(Registered { entry: Arc::clone(entry), outcome, position: receipt.next }),
        None => Err(problem(&Refusal::Fault("a registration that is remembered cannot be found".to_owned()))),
    }
}

fn check_type(ask: &Register) -> Result<(), Problem> {
    let field = |problem: Problem| Err(problem.with("field", "type"));
    if is_reserved_type(&ask.event_type) {
        let detail = format!("type: {} belongs to the domain or to the system", ask.event_type);
        return field(Problem::new(StatusCode::FORBIDDEN, "reserved_type", detail));
    }
    match EventType::new(&ask.event_type) {
        Ok(_) => Ok(()),
        Err(error) => field(Problem::invalid_body("type", format!("type: {error}"))),
    }
}

fn check_schema(ask: &Register, newest: Option<&Arc<Entry>>) -> Result<(), Problem> {
    let bytes = ask.schema.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        let detail = format!("schema: {bytes} bytes, at most {SCHEMA_BYTES_MAX} are allowed");
        return Err(
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "schema_too_large", detail).with("field", "schema")
        );
    }
    let usable = compile(&ask.schema).map_err(|unusable| {
        let detail = format!("schema{}: {}", unusable.pointer, unusable.reason);
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_schema", detail)
            .with("field", "schema")
            .with("pointer", unusable.pointer)
    })?;
    if ask.compatibility == Compatibility::None {
        return Ok(());
    }
    let Some(newest) = newest else { return Ok(()) };
    let Some(old) = newest.usable() else {
        return Err(problem(&Refusal::Fault("a schema cannot be used".to_owned())));
    };
    let differences = differences(&old.plain, &usable.plain, ask.compatibility);
    if differences.is_empty() {
        return Ok(());
    }
    let detail = format!("the schema does not keep its promise about version {}", newest.version);
    Err(Problem::new(StatusCode::CONFLICT, "schema_incompatible", detail)
        .with("field", "schema")
        .with("currentVersion", newest.version)
        .with("differences", serde_json::to_value(differences).unwrap_or_default()))
}
