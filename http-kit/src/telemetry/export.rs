//! How traces reach a collector: OTLP over HTTP, in batches, on a thread of their own.
//!
//! Invariant: a collector that is slow or gone costs traces and never a request: the queue is bounded and
//! what does not fit is dropped.

use super::ExportError;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long one batch of traces may take to be sent.
const SEND_TIME_MAX: Duration = Duration::from_secs(10);

/// The source of traces that end up at `endpoint`. A request without a sampling decision of its caller's is
/// sampled as `OTEL_TRACES_SAMPLER` says (all of them unless said otherwise).
pub(super) fn provider(endpoint: &str, service: &'static str) -> Result<SdkTracerProvider, ExportError> {
    let wrong =
        |reason: &dyn fmt::Display| ExportError { endpoint: endpoint.to_owned(), reason: reason.to_string() };
    if !(endpoint.starts_with("http://") || endpoint.starts_with("https://")) {
        return Err(wrong(&"it is no http:// or https:// URL"));
    }
    let client = Client::new().map_err(|error| wrong(&error))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(SEND_TIME_MAX)
        .build()
        .map_err(|error| wrong(&error))?;
    let resource = Resource::builder().with_service_name(service).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// A client that can be waited for without a runtime: batches are sent from a plain thread, hyper needs a runtime.
struct Client {
    runtime: Runtime,
    client: HyperClient<HttpsConnector<HttpConnector>>,
}

impl Client {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connector =
            HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        Ok(Self { runtime, client: HyperClient::new(connector, SEND_TIME_MAX, None) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

// Written out as `async_trait` would, which saves that macro for one function.
impl HttpClient for Client {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { self.runtime.block_on(self.client.send_bytes(request)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn a_span_reaches_its_collector() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let collector = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            let mut buffer = [0; 4096];
            // The span's name is the last thing that is looked for, so it is all there then.
            while !String::from_utf8_lossy(&received).contains("POST /boards") {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&received));
                received.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&received).into_owned()
        });
        let provider = provider(&endpoint, "command-api").unwrap();
        provider.tracer("test").start("POST /boards").end();
        provider.shutdown().unwrap();
        let received = collector.join().unwrap();
        assert!(received.starts_with("POST /v1/traces HTTP/1.1"), "{received}");
        assert!(received.contains("command-api"), "{received}");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(provider("collector:4318", "x").is_err());
    }
}
