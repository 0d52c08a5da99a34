//! `POST /streams/{streamId}/events`.

use super::append::Append;
use crate::caller::Caller;
use crate::request::{if_match, if_none_match, key, origin};
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use axum::response::Response;
use axum::routing::post;
use eventstore::StreamId;
use http_kit::auth::Scope;
use http_kit::json::JsonBytes;
use http_kit::limits::Meter;
use http_kit::params::Path;
use http_kit::problem::Problem;
use std::sync::atomic::AtomicBool;

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/streams/{streamId}/events", post(append))
}

async fn append(
    State(app): State<AppState>,
    caller: Caller,
    Path(stream): Path<String>,
    headers: HeaderMap,
    extensions: Extensions,
    meter: Meter,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let principal = caller.with(Scope::StreamsWrite)?;
    let stream = StreamId::new(stream)
        .map_err(|error| Problem::invalid_parameter("streamId", format!("streamId: {error}")))?;
    super::reserved::check_stream(&stream)?;
    let _place = app.enter(&principal).await?;
    let append = Append {
        stream,
        body,
        if_match: if_match(&headers)?,
        if_none_match: if_none_match(&headers)?,
        key: key(&headers)?.map(str::to_owned),
        origin: origin(&headers, &extensions),
        principal,
        meter,
        is_charged: AtomicBool::new(false),
    };
    append.run(&app).await
}
