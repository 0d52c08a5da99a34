//! `/…/{id}/history`: who changed what of one thing from what to what, read from its stream.
//!
//! Invariant: what was deleted keeps its history: this is what happened, not what is there.

use super::events::LIMIT_MAX;
use super::json_bytes;
use super::streams::DIRECTIONS;
use crate::answers::deed::{self, Deed};
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::pages::PAGE_BYTES_MAX;
use crate::parameters::{Parameters, path_id};
use crate::problems::{bad_parameter, not_found, unreadable};
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, CommentId, FieldChange, ItemId, ProjectId, WorkspaceId};
use eventstore::{Direction, Log, ReadError, RecordedEvent, StreamId, Version};
use http_kit::params::Path;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;

pub(super) const LIMIT_DEFAULT: usize = 100;

/// An id of what has a stream of its own.
pub(super) trait Streamed: FromStr<Err: Display> + Display + Copy + Send + 'static {
    const THING: &'static str;

    fn stream(self) -> String;
}

macro_rules! streamed {
    ($($id:ident: $thing:literal),+) => {
        $(impl Streamed for $id {
            const THING: &'static str = $thing;

            fn stream(self) -> String {
                self.stream_id()
            }
        })+
    };
}

streamed!(WorkspaceId: "workspace", ProjectId: "project", BoardId: "board", ItemId: "item", CommentId: "comment");

/// What is written of a thing: a part of its history.
pub(super) struct HistoryPage;

impl JsonSchema for HistoryPage {
    fn schema_name() -> Cow<'static, str> {
        "HistoryPage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["id", "version", "entries", "next"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "version": {"type": "integer", "minimum": 0, "description": "The newest one of the thing."},
                "entries": {"type": "array", "items": generator.subschema_for::<Entry>()},
                "next": {"type": ["integer", "null"], "minimum": 0, "description": "The version to go on from."},
            },
        })
    }
}

/// An entry: the deed and what it changed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HistoryEntry")]
struct Entry {
    #[serde(flatten)]
    deed: Deed,
    changes: Vec<FieldChange>,
}

pub(super) async fn list<I: Streamed>(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let id: I = path_id(&id)?;
    let from = parameters.number("from", 0..=u64::MAX)?.map(Version::new);
    let direction = parameters.choice("direction", &DIRECTIONS)?.unwrap_or(Direction::Forward);
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let freshness = parameters.finish()?;
    let stream = StreamId::new(id.stream()).map_err(|error| bad_parameter("id", error))?;
    service.log_reaches(&freshness).await?;
    let log = service.log().clone();
    let answer = service.blocking(move || {
        let position = log.watermark();
        let page = page(&log, &audience, &stream, from, direction, limit);
        match page.map_err(|error| Refusal::at(position, unreadable(&error)))? {
            Some(Page { version, entries, next }) => {
                let next = next.map_or_else(|| "null".to_owned(), |next| next.to_string());
                let mut body = Vec::with_capacity(entries.len() + 128);
                // A vector takes all bytes.
                let _ = write!(body, "{{\"id\":\"{id}\",\"version\":{version},\"entries\":[");
                body.extend_from_slice(&entries);
                let _ = write!(body, "],\"next\":{next}}}");
                Ok(stamp(json_bytes(body), position))
            }
            None => Err(Refusal::at(position, not_found(I::THING))),
        }
    });
    answer.await?
}

/// A part of a history.
struct Page {
    /// Of the newest event.
    version: Version,
    /// Entries as JSON, with commas between them.
    entries: Vec<u8>,
    /// Where to go on, where there is more.
    next: Option<Version>,
}

/// Nothing where there is no such stream for the audience.
fn page(
    log: &Log,
    audience: &Audience,
    stream: &StreamId,
    from: Option<Version>,
    direction: Direction,
    limit: usize,
) -> Result<Option<Page>, ReadError> {
    let head = if audience.sees_stream(log, stream)? { log.stream_version(stream)? } else { None };
    let Some(version) = head else { return Ok(None) };
    let mut page = Page { version, entries: Vec::new(), next: None };
    let from = match direction {
        Direction::Forward => from.unwrap_or(Version::ZERO),
        Direction::Backward => from.unwrap_or(version).min(version),
    };
    // One more than is given, which says where to go on.
    let found = log.read_stream(stream, from, direction, limit + 1)?;
    for (place, event) in found.iter().filter_map(RecordedEvent::get).enumerate() {
        if place == limit || page.entries.len() >= PAGE_BYTES_MAX {
            page.next = Some(event.version());
            break;
        }
        if !audience.sees_event(&event) {
            continue;
        }
        if !page.entries.is_empty() {
            page.entries.push(b',');
        }
        let entry = Entry { deed: Deed::of(&event), changes: deed::changes(&event) };
        // A vector takes all bytes, and entries are plain data.
        let _ = serde_json::to_writer(&mut page.entries, &entry);
    }
    Ok(Some(page))
}
