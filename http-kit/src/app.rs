//! The frame around a service's routes: who asks, health, limits, and problems for everything that is not a route.
//!
//! Invariant: the frame is laid around the finished routes once, last, so that no route escapes it. It cannot be made
//! without saying how callers are known.

use crate::auth::{Authentication, authenticate, knows};
use crate::health::{self, Readiness};
use crate::json::BODY_BYTES_MAX;
use crate::limits::{Limits, metered};
use crate::metrics::Metrics;
use crate::observe::observe;
use crate::problem::Problem;
use crate::representation::Wishes;
use crate::same_machine::of_this_machine;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::sync::Arc;

/// Collects what goes around a service's routes.
#[derive(Clone)]
pub struct App {
    authentication: Authentication,
    metrics: Metrics,
    readiness: Readiness,
    limits: Limits,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// A frame whose service is always ready, and which lets in whom `authentication` knows.
    #[must_use]
    pub fn new(authentication: Authentication) -> Self {
        let metrics = Metrics::new();
        if let Authentication::Required(authenticator) = &authentication {
            authenticator.figures(&metrics);
        }
        Self { authentication, metrics, readiness: Arc::new(|| Ok(())), limits: Limits::default() }
    }

    /// Says when the service is ready, or why not.
    #[must_use]
    pub fn ready_when(mut self, ready: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.readiness = Arc::new(ready);
        self
    }

    /// Limits other than the defaults.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The registry, for the service's own figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Lays the frame around the routes: behind it every request has a [`crate::auth::Principal`], but for what is
    /// [`crate::auth::OPEN`]. Without an issuer's tokens, foreign web pages are refused. Bodies are limited to
    /// [`BODY_BYTES_MAX`] unless a route sets its own `DefaultBodyLimit`.
    pub fn frame(self, routes: Router) -> Router {
        if let Authentication::Required(authenticator) = &self.authentication {
            let authenticator = authenticator.clone();
            self.limits.recognise(move |headers| knows(&authenticator, headers));
        }
        let routes = routes
            .merge(health::routes(self.metrics.clone(), self.readiness))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
        let passage =
            Passage { authentication: self.authentication, metrics: self.metrics, limits: self.limits };
        routes.layer(from_fn_with_state(Arc::new(passage), pass))
    }
}

/// What every request goes through.
struct Passage {
    authentication: Authentication,
    metrics: Metrics,
    limits: Limits,
}

/// The way of a request through the frame. One layer and not one for each step: axum clones every layer, with all
/// inside of it, for every request, so five of them cost more than what they do.
async fn pass(State(passage): State<Arc<Passage>>, request: Request, next: Next) -> Response {
    let Passage { authentication, metrics, limits } = &*passage;
    observe(metrics, limits, request, async |mut request: Request| {
        if authentication.is_for_this_machine()
            && let Err(problem) = of_this_machine(&request)
        {
            return problem.into_response();
        }
        if let Err(problem) = authenticate(authentication, &mut request).await {
            return problem.into_response();
        }
        let wishes = Wishes::of(&request);
        // What a principal may send is counted only once it is known who that is.
        let response = metered(limits, request, next).await;
        match wishes {
            Some(wishes) => wishes.meet(response).await,
            None => response,
        }
    })
    .await
}

async fn no_route(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", format!("there is nothing at {}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} does not take {method}", uri.path()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::response::Response;
    use axum::routing::{get, post};
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    fn app() -> Router {
        let routes = Router::new()
            .route("/echo", post(async |Json(value): Json<Value>| Json(value)))
            .route("/panic", get(async || -> &'static str { panic!("on purpose") }));
        App::new(Authentication::SameMachineOnly).ready_when(|| Err("still loading".to_owned())).frame(routes)
    }

    async fn body(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    async fn get_it(path: &str) -> Response {
        app().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_no_route_is_a_problem() {
        let response = get_it("/nowhere").await;
        assert_eq!(response.status(), 404);
        assert!(body(response).await.contains("\"code\":\"no_such_route\""));
        let response = get_it("/echo").await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
        assert!(body(response).await.contains("\"code\":\"method_not_allowed\""));
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_and_the_service_goes_on() {
        let app = app();
        for _ in 0..2 {
            let request = Request::get("/panic").body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 500);
            let text = body(response).await;
            assert!(text.contains("\"code\":\"internal\"") && !text.contains("on purpose"), "{text}");
        }
    }

    #[tokio::test]
    async fn health_says_alive_ready_and_figures() {
        assert_eq!(get_it("/livez").await.status(), 200);
        let response = get_it("/readyz").await;
        assert_eq!(response.status(), 503);
        assert!(body(response).await.contains("still loading"));
        let app = app();
        let request = || Request::get("/livez").body(Body::empty()).unwrap();
        app.clone().oneshot(request()).await.unwrap();
        let response = app.oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
        let text = body(response).await;
        assert!(text.contains("route=\"/livez\",status=\"200\"} 1"), "{text}");
    }

    #[tokio::test]
    async fn a_request_id_is_kept_or_made() {
        let with = |id: &str| Request::get("/livez").header("x-request-id", id).body(Body::empty()).unwrap();
        let response = app().oneshot(with("abc-1")).await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "abc-1");
        let response = app().oneshot(with(&"x".repeat(500))).await.unwrap();
        assert_eq!(response.headers()["x-request-id"].len(), 36, "an unsound id is replaced");
        assert_eq!(get_it("/livez").await.headers()["x-request-id"].len(), 36);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413() {
        let request = Request::post("/echo")
            .header("content-type", "application/json")
            .body(Body::from(vec![b' '; BODY_BYTES_MAX + 1]))
            .unwrap();
        let response = app().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 413);
        assert!(body(response).await.contains("body_too_large"));
    }
}
