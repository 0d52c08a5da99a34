//! What a command answers: `{"id","version","position","status"}`, `ETag`, `Sunday-Position`, `Location`.
//!
//! Invariant: an answer is built from what the log holds of the command, its key and its request, and from nothing else: a
//! repeated command gets the first one again byte for byte, status and headers included, and cannot tell that it is one.

use crate::request::Call;
use crate::service::{Done, Intent, Kind, part_id};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{AttachmentId, ColumnId, board, item};
use eventstore::{CommandId, Outcome};
use http_kit::SUNDAY_POSITION;
use http_kit::json::Json;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What an answer says besides what became of the command.
#[derive(Debug)]
pub(crate) struct Shape {
    creates: bool,
    part: Option<(Part, Option<Uuid>)>,
    command: CommandId,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Column,
    Attachment,
}

impl Shape {
    pub(crate) fn of(intent: &Intent, call: &Call) -> Self {
        let part = match intent {
            Intent::Board(board::Command::AddColumn(add)) => Some((Part::Column, add.id.map(ColumnId::uuid))),
            Intent::Item(item::Command::AddAttachment(add)) => {
                Some((Part::Attachment, add.id.map(AttachmentId::uuid)))
            }
            _ => None,
        };
        Self { creates: part.is_some() || intent.creates(), part, command: call.command }
    }
}

/// The body of an answer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    id: Uuid,
    version: Option<u64>,
    position: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    column_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment_id: Option<Uuid>,
}

/// The word for an outcome.
pub(crate) fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::Unchanged => "unchanged",
    }
}

pub(crate) fn done(done: &Done, shape: &Shape) -> Response {
    let part =
        shape.part.map(|(part, id)| (part, id.unwrap_or_else(|| part_id(done.key.id, &shape.command))));
    let answer = Answer {
        id: done.key.id,
        version: done.version.map(eventstore::Version::get),
        position: done.position.get(),
        status: status(done.outcome),
        column_id: part.and_then(|(part, id)| matches!(part, Part::Column).then_some(id)),
        attachment_id: part.and_then(|(part, id)| matches!(part, Part::Attachment).then_some(id)),
    };
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(SUNDAY_POSITION, HeaderValue::from(done.position.get()));
    if let Some(version) = done.version {
        insert(&mut headers, header::ETAG, &format!("\"{version}\""));
    }
    let created = shape.creates && done.outcome == Outcome::Applied;
    if created {
        insert(&mut headers, header::LOCATION, &location(done, part));
    }
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    (status, headers, Json(answer)).into_response()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Numbers, UUIDs and slashes are always a header's value.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

fn location(done: &Done, part: Option<(Part, Uuid)>) -> String {
    let id = done.key.id;
    let collection = match done.key.kind {
        Kind::Workspace => "workspaces",
        Kind::Project => "projects",
        Kind::Board => "boards",
        Kind::Item => "items",
        Kind::Comment => "comments",
    };
    match part {
        Some((Part::Column, column)) => format!("/api/v1/{collection}/{id}/columns/{column}"),
        Some((Part::Attachment, attachment)) => format!("/api/v1/{collection}/{id}/attachments/{attachment}"),
        None => format!("/api/v1/{collection}/{id}"),
    }
}
