//! From the table of operations to routes; thin handlers, one file per resource.
//!
//! ```text
//! table (every operation once) ─▶ router
//!                              └▶ openapi: the document
//! ```
//!
//! Invariant: a handler first takes its parameters (and refuses what it does not know), then waits until its model
//! is as fresh as was asked, then reads, then stamps the answer with the position that it covers.

mod activity;
mod analytics;
mod audit;
mod board_socket;
mod boards;
mod checks;
mod consumers;
mod dead_letters;
mod events;
mod export;
mod history;
mod items;
mod jobs;
mod lines;
mod list;
mod live;
mod log;
pub(crate) mod operation;
pub(crate) mod parameter;
mod people;
mod projections;
mod projects;
mod search;
mod streams;
mod suggest;
pub(crate) mod table;
mod thing;
mod verification;
mod workspaces;

use crate::openapi;
use crate::service::QueryService;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_kit::entity_tags;
use http_kit::json::APPLICATION_JSON;
use http_kit::problem::Problem;
use list::List;
use serde::Serialize;
use table::OPERATIONS;

/// What stands before every path of the API.
pub(crate) const ROOT: &str = "/api/v1";

/// Entries of a list at most.
const LISTED_MAX: usize = 500;
/// How far paging through a list or a column reaches: it is counted off under the models' lock.
const OFFSET_MAX: usize = 1_000_000;

/// The whole API, and the document that says it.
pub(crate) fn router(service: QueryService) -> Router {
    // Not nested: that would be two more services around each route, which are cloned for every request.
    let api = OPERATIONS
        .iter()
        .fold(Router::new(), |router, operation| router.route(&operation.routed(), operation.route()));
    api.with_state(service).merge(openapi::route())
}

/// An answer whose JSON was written already; its tag says whether it is the same as another time.
fn json_bytes(body: Vec<u8>) -> Response {
    let tag = entity_tags::weak(&body);
    with_tag(body, tag)
}

fn json(answer: &impl Serialize) -> Response {
    written(answer).map_or_else(IntoResponse::into_response, json_bytes)
}

/// One aggregate: its tag names the version that an `If-Match` takes, and says whether the answer is the same, which depends
/// on other things, too (an item's comments, a board's items).
fn tagged(version: u64, answer: &impl Serialize) -> Response {
    match written(answer) {
        Ok(body) => {
            let tag = entity_tags::strong(version, &body);
            with_tag(body, tag)
        }
        Err(problem) => problem.into_response(),
    }
}

fn written(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer has no JSON form");
        Problem::internal()
    })
}

fn with_tag(body: impl Into<Body>, tag: HeaderValue) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON));
    headers.insert(header::ETAG, tag);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use eventstore::{Store, StoreOptions};
    use http_kit::auth::{Authentication, Authenticator, DevelopmentToken, OPEN};
    use http_kit::limits::Limits;
    use tower::ServiceExt;

    #[tokio::test]
    async fn without_a_token_only_what_is_listed_answers() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() };
        let store = Store::open(dir.path(), &options).unwrap();
        let token = DevelopmentToken::keep(dir.path()).unwrap();
        let bearer = format!("Bearer {}", token.text());
        let authentication = Authentication::Required(Authenticator::development(token));
        let service = QueryService::start(dir.path(), store.log()).unwrap();
        let router = crate::router(service, authentication, Limits::default());
        let status = async |method: &str, path: &str, token: Option<&str>| {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let request = request.body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap().status().as_u16()
        };
        for operation in OPERATIONS.iter() {
            let id = uuid::Uuid::nil().to_string();
            let path = operation.full_path();
            let path = path.split('/').map(|part| if part.starts_with('{') { &id } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            for method in ["GET", "HEAD"] {
                assert_eq!(status(method, &path, None).await, 401, "{method} {path}");
            }
            let known = status("GET", &path, Some(&bearer)).await;
            // There is no projector here, so no index.
            assert!(known != 401 && (known < 500 || operation.id.starts_with("search")), "{path}: {known}");
        }
        // What is no route, and what is none with this method, says no more.
        assert_eq!(status("GET", "/api/v1/nothing", None).await, 401);
        assert_eq!(status("PUT", "/api/v1/items", None).await, 401);
        for path in OPEN {
            assert_eq!(status("GET", path, None).await, 200, "{path}");
        }
        drop(router);
        store.close();
    }
}
