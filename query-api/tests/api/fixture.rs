//! A store, a projector and a query service over one temporary data directory, and requests to its router.

use crate::document;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use eventstore::{Store, StoreOptions};
use http_body_util::BodyExt;
use http_kit::auth::Authentication;
use http_kit::entity_tags::EntityTags;
use http_kit::limits::Limits;
use projector::Projector;
use query_api::QueryService;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;
use tower::ServiceExt;

/// Everything that one test needs.
pub(crate) struct Fixture {
    pub(crate) service: QueryService,
    pub(crate) store: Store,
    router: Router,
    _projector: Option<Projector>,
    /// Removed last, when everything that writes there has stopped.
    dir: TempDir,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// As they came, which may be coded.
    pub(crate) bytes: Bytes,
}

impl Fixture {
    /// A service over an empty log, without a projector: so without an index.
    pub(crate) fn new() -> Self {
        Self::build(false)
    }

    /// A service over an empty log, with a projector beside it.
    pub(crate) fn projected() -> Self {
        Self::build(true)
    }

    fn build(is_projected: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let service = QueryService::start(dir.path(), store.log()).unwrap();
        let router = router(service.clone());
        let projector = is_projected.then(|| Projector::start(dir.path(), store.log()).unwrap());
        Self { service, store, router, _projector: projector, dir }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Asks, whatever comes.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    /// Asks, and leaves the body to be read.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Asks for something that is there, as fresh as the log is now.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = self.ask(&format!("{path}{separator}minPosition={}", self.store.watermark())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/json", "{path}");
        assert!(answer.position() >= self.store.watermark().get(), "{path}");
        answer
    }

    /// The JSON of something that is there.
    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).await.json()
    }

    /// The refusal of something, as fresh as the log is now: status and code.
    pub(crate) async fn refused(&self, path: &str) -> (u16, String) {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.ask(&format!("{path}{separator}minPosition={}", self.store.watermark())).await.problem()
    }
}

/// The routes of a service, for programs of this machine.
pub(crate) fn router(service: QueryService) -> Router {
    query_api::router(service, Authentication::SameMachineOnly, Limits::default())
}

/// Asks a router, whatever comes; the document has to say that it may.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    document::judge(&method, &path, &parts, &bytes);
    // Segments are no text; nobody looks at those here.
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: parts.status, headers: parts.headers, body, bytes }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    /// The version that its strong tag demands as an `If-Match`.
    pub(crate) fn version_in_tag(&self) -> u64 {
        match EntityTags::read(&self.headers, &header::ETAG) {
            Ok(Some(EntityTags::These(tags))) if !tags[0].is_weak => tags[0].version().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// What `Sunday-Position` says.
    pub(crate) fn position(&self) -> u64 {
        self.headers["sunday-position"].to_str().unwrap().parse().unwrap()
    }

    /// Status and code of a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        (self.status.as_u16(), json["code"].as_str().unwrap().to_owned())
    }
}
