//! `POST /streams/{streamId}/events`.

use super::answer::AppendAnswer;
use super::append::Append;
use crate::caller::Caller;
use crate::entity_tags::{if_match, if_none_match};
use crate::request::key;
use crate::routes::operation::Success;
use crate::service::EntityTags;
use crate::state::AppState;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use eventstore::StreamId;
use eventstore::limits::STREAM_ID_BYTES_MAX;
use http_kit::auth::Scope;
use http_kit::json::JsonBytes;
use http_kit::limits::Meter;
use http_kit::openapi::NAME;
use http_kit::params::Path;
use http_kit::problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::sync::atomic::AtomicBool;

/// What an append answers when all is well.
pub(crate) const APPENDED: Success = Success {
    status: 201,
    what: "The events are recorded.",
    name: "AppendedEvents",
    schema: AppendAnswer::json_schema,
    headers: &["ETag", "Sunday-Position"],
};

/// The name of a stream: any text without control characters, up to 255 bytes.
pub(crate) fn stream_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": STREAM_ID_BYTES_MAX,
        "pattern": NAME,
    })
}

pub(crate) async fn append(
    State(app): State<AppState>,
    caller: Caller,
    Path(stream): Path<String>,
    headers: HeaderMap,
    meter: Meter,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let origin = caller.with(Scope::StreamsWrite)?;
    let stream = StreamId::new(stream)
        .map_err(|error| Problem::invalid_parameter("streamId", format!("streamId: {error}")))?;
    super::reserved::check_stream(&stream)?;
    let append = Append {
        stream,
        body,
        if_match: if_match(&headers)?,
        if_none_match: is_none(if_none_match(&headers)?.as_ref())?,
        key: key(&headers)?.map(str::to_owned),
        origin,
        meter,
        is_charged: AtomicBool::new(false),
    };
    append.run(&app).await
}

/// Whether the stream must not be there. The log has no way to demand that a version is not the newest one.
fn is_none(tags: Option<&EntityTags>) -> Result<bool, Problem> {
    match tags {
        None => Ok(false),
        Some(EntityTags::Any) => Ok(true),
        Some(EntityTags::Versions(_)) => {
            Err(Problem::invalid_header("if-none-match", "if-none-match: only * is understood by appends"))
        }
    }
}
