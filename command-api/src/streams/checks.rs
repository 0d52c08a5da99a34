//! The data of an append's events against the schemas that bind them.

use super::append::Stop;
use super::body::Event;
use super::owners::Owner;
use super::refusals::invalid;
use crate::registry::{Checked, Schemas, VIOLATIONS_MAX};
use axum::http::StatusCode;
use http_kit::problem::Problem;
use serde_json::{Value, json};
use std::sync::Arc;

/// Goes through the events of one append.
pub(super) struct Checks {
    /// `None` where nothing can be bound.
    schemas: Option<Arc<Schemas>>,
    owner: Owner,
    /// What the event before was checked by: the next one is often of the same type.
    last: Option<(Box<str>, u16, Checked)>,
    /// Bytes of data that have been checked.
    bytes: usize,
    violations: Vec<Value>,
    /// The first event of a version that is not registered.
    unknown: Option<Problem>,
}

impl Checks {
    pub(super) fn new(schemas: Arc<Schemas>, owner: Owner) -> Self {
        let schemas = (!schemas.bind_nothing()).then_some(schemas);
        Self { schemas, owner, last: None, bytes: 0, violations: Vec::new(), unknown: None }
    }

    /// Checks an event; what is wrong is told at the end.
    pub(super) fn event(&mut self, index: usize, event: &Event<'_>, may_block: bool) -> Result<(), Stop> {
        let Some(schemas) = &self.schemas else { return Ok(()) };
        let (event_type, version) = (&*event.event_type.0, event.schema_version);
        if !self.last.as_ref().is_some_and(|(name, of, _)| **name == *event_type && *of == version) {
            let checked = schemas.check(self.owner, event_type, version);
            self.last = Some((event_type.into(), version, checked));
        }
        let entry = match &self.last {
            Some((_, _, Checked::By(entry))) => entry,
            Some((_, _, Checked::NoSuchVersion(newest))) => {
                self.unknown.get_or_insert_with(|| no_such_version(index, event_type, version, *newest));
                return Ok(());
            }
            _ => return Ok(()),
        };
        let data = event.data.get();
        self.bytes += data.len();
        if !may_block && entry.is_slow(self.bytes) {
            return Err(Stop::WouldBlock);
        }
        let data: Value =
            serde_json::from_str(data).map_err(|error| invalid(&format!("events[{index}].data"), &error))?;
        let max = VIOLATIONS_MAX.saturating_sub(self.violations.len());
        if max == 0 {
            return Ok(());
        }
        let found = entry.violations(&data, max).ok_or_else(Problem::internal)?;
        self.violations.extend(found.into_iter().map(|(path, schema_path, detail)| {
            json!({"event": index, "instancePath": path, "schemaPath": schema_path, "detail": detail})
        }));
        Ok(())
    }

    /// What was wrong, if anything was.
    pub(super) fn refusal(self) -> Option<Problem> {
        if self.unknown.is_some() {
            return self.unknown;
        }
        let index = self.violations.first()?.get("event")?.as_u64()?;
        let field = format!("events[{index}].data");
        let detail = format!("{field} breaks the schema that is registered for its type and version");
        Some(
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "schema_violation", detail)
                .with("field", field)
                .with("violations", self.violations),
        )
    }
}

fn no_such_version(index: usize, event_type: &str, version: u16, newest: u16) -> Problem {
    let field = format!("events[{index}].schemaVersion");
    let detail =
        format!("{field}: version {version} of {event_type} is not registered; the newest is {newest}");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_schema_version", detail)
        .with("field", field)
        .with("currentVersion", newest)
}
