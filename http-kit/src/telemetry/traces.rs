//! One span per request, as OpenTelemetry's conventions for HTTP servers name things.
//!
//! Invariant: the span that the collector sees is the one whose id the request's events keep: whoever has an
//! event finds its request, and the other way round.

use super::trace_context::{self, TRACEPARENT, TraceParent};
use axum::http::{HeaderValue, Method, Request};
use opentelemetry::trace::{
    Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::sync::OnceLock;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From now on requests have spans. A second call changes nothing.
pub(super) fn begin(provider: &SdkTracerProvider) {
    let _ = TRACER.set(provider.tracer("sunday"));
}

/// The span of a request under way.
pub(crate) struct ServerSpan(opentelemetry_sdk::trace::Span);

impl ServerSpan {
    /// Begins the span of a request and puts it in the place of the request's parent, so that what the request
    /// causes names this span; nothing where no traces are sent.
    pub(crate) fn begin<B>(request: &mut Request<B>, route: &str) -> Option<Self> {
        TRACER.get().map(|tracer| Self::of(tracer, request, route))
    }

    fn of<B>(tracer: &SdkTracer, request: &mut Request<B>, route: &str) -> Self {
        let parent = trace_context::of(request.headers()).map_or_else(Context::new, |parent| remote(&parent));
        let method = request.method().clone();
        let span = tracer
            .span_builder(format!("{} {route}", name(&method)))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", name(&method)),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("url.path", request.uri().path().to_owned()),
            ])
            .start_with_context(tracer, &parent);
        let context = span.span_context();
        let mut bytes: TraceParent = [0; 25];
        bytes[..16].copy_from_slice(&context.trace_id().to_bytes());
        bytes[16..24].copy_from_slice(&context.span_id().to_bytes());
        bytes[24] = context.trace_flags().to_u8();
        if let Ok(value) = HeaderValue::from_str(&trace_context::write(&bytes)) {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        Self(span)
    }

    /// Ends it with the answer's status.
    pub(crate) fn end(mut self, status: u16) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        // Only our own faults are errors of a server's span.
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

fn remote(parent: &TraceParent) -> Context {
    let mut trace = [0; 16];
    trace.copy_from_slice(&parent[..16]);
    let mut span = [0; 8];
    span.copy_from_slice(&parent[16..24]);
    let context = SpanContext::new(
        TraceId::from_bytes(trace),
        SpanId::from_bytes(span),
        TraceFlags::new(parent[24]),
        true,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(context)
}

/// The conventions have one word for methods that nobody knows.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_causes_names_its_span_within_the_callers_trace() {
        let provider = SdkTracerProvider::builder().build();
        let tracer = provider.tracer("test");
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut request = Request::post("/x").header("traceparent", header).body(()).unwrap();
        let span = ServerSpan::of(&tracer, &mut request, "/x");
        let inner = trace_context::of(request.headers()).unwrap();
        let outer = trace_context::read(header).unwrap();
        assert_eq!(inner[..16], outer[..16], "the same trace");
        assert_ne!(inner[16..24], outer[16..24], "another span");
        assert_eq!(inner[24], 1, "sampled, as its caller wishes");
        span.end(200);
    }

    #[test]
    fn a_request_without_a_trace_begins_one() {
        let provider = SdkTracerProvider::builder().build();
        let mut request = Request::post("/x").body(()).unwrap();
        let span = ServerSpan::of(&provider.tracer("test"), &mut request, "/x");
        assert!(trace_context::of(request.headers()).is_some());
        span.end(500);
    }
}
