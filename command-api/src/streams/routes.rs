//! `POST /streams/{streamId}/events`.

use super::append::Append;
use crate::request::{if_match, if_none_match, key, origin};
use crate::state::AppState;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use eventstore::StreamId;
use http_kit::auth::{Principal, Scope};
use http_kit::json::JsonBytes;
use http_kit::params::Path;
use http_kit::problem::Problem;

pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/streams/{streamId}/events", post(append))
}

async fn append(
    State(app): State<AppState>,
    principal: Principal,
    Path(stream): Path<String>,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    principal.require(Scope::StreamsWrite)?;
    let stream = StreamId::new(stream)
        .map_err(|error| Problem::invalid_parameter("streamId", format!("streamId: {error}")))?;
    super::reserved::check_stream(&stream)?;
    let append = Append {
        stream,
        body,
        if_match: if_match(&headers)?,
        if_none_match: if_none_match(&headers)?,
        key: key(&headers)?.map(str::to_owned),
        origin: origin(&headers, principal.clone()),
        principal,
    };
    append.run(&app).await
}
