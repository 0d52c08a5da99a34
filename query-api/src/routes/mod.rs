//! The endpoints: one router per resource, thin handlers.
//!
//! Invariant: a handler first takes its parameters (and refuses what it does not know), then waits until its model
//! is as fresh as was asked, then reads, then stamps the answer with the position that it covers.

mod activity;
mod analytics;
mod board_socket;
mod boards;
mod events;
mod export;
mod history;
mod items;
mod list;
mod live;
mod log;
mod people;
mod projections;
mod projects;
mod search;
mod streams;
mod suggest;
mod workspaces;

use crate::service::QueryService;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use eventstore::Position;
use http_kit::json::{APPLICATION_JSON, Json};
use list::List;
use serde::Serialize;

/// Entries of a list at most.
const LISTED_MAX: usize = 500;
/// How far paging through a list or a column reaches: it is counted off under the models' lock.
const OFFSET_MAX: usize = 1_000_000;

/// All resources under `/api/v1`.
pub(crate) fn router() -> Router<QueryService> {
    let resources = Router::new()
        .merge(items::router())
        .merge(boards::router())
        .merge(board_socket::router())
        .merge(projects::router())
        .merge(workspaces::router())
        .merge(search::router())
        .merge(suggest::router())
        .merge(events::router())
        .merge(export::router())
        .merge(live::router())
        .merge(log::router())
        .merge(streams::router())
        .merge(projections::router())
        .merge(people::router())
        .merge(activity::router())
        .merge(history::router())
        .merge(analytics::router());
    Router::new().nest("/api/v1", resources)
}

/// An answer whose JSON was written already.
fn json_bytes(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON));
    response
}

fn json(answer: &impl Serialize) -> Response {
    Json(answer).into_response()
}

/// One aggregate: its ETag is the version that an `If-Match` takes.
fn tagged(version: u64, answer: &impl Serialize) -> Response {
    with_etag(json(answer), &format!("\"{version}\""))
}

/// What is composed of several aggregates: its ETag only says whether anything at all has happened since.
fn weakly_tagged(position: Position, answer: &impl Serialize) -> Response {
    with_etag(json(answer), &format!("W/\"{position}\""))
}

fn with_etag(mut response: Response, etag: &str) -> Response {
    // Digits and quotes are always a header's value.
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
