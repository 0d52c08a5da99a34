//! What the process tells about itself while it runs: log lines on stderr, and traces where a collector is named.
//!
//! Invariant: stdout belongs to what a command prints as its result; nothing here writes to it.
//! Invariant: without a collector no request pays for traces.

mod export;
pub mod trace_context;
mod traces;

pub(crate) use traces::ServerSpan;

use clap::ValueEnum;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::Deserialize;
use std::io::IsTerminal;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How long a stop waits for the last traces to reach their collector.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);

/// The shape of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to {endpoint}: {reason}")]
pub struct ExportError {
    /// The URL that was named.
    endpoint: String,
    /// What is wrong with it.
    reason: String,
}

/// Held while the process runs; dropping it sends what is left.
#[derive(Debug)]
#[must_use = "traces end when this is dropped"]
pub struct Running(Option<SdkTracerProvider>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_TIME_MAX)
        {
            tracing::warn!(%error, "the last traces did not reach their collector");
        }
    }
}

/// Starts logging. The filter is `SUNDAY_LOG`, else `RUST_LOG`, else `info`, in the syntax of `tracing`'s
/// `EnvFilter`. A second call changes nothing.
pub fn init(format: LogFormat) {
    let filter = ["SUNDAY_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .and_then(|text| text.parse::<EnvFilter>().ok())
        // tantivy tells about every commit and merge at `info`, several times a second under load.
        .unwrap_or_else(|| EnvFilter::new("info,tantivy=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // It fails only where a subscriber is set already, which then stays.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Sends a span of every request to a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`;
/// without one, nothing. `service` is what the collector knows this process by. A second call changes nothing.
///
/// # Errors
/// When the collector's URL cannot be used. That the collector does not answer is no error: it is said in
/// the log, and the process goes on without.
pub fn send_traces(endpoint: Option<&str>, service: &'static str) -> Result<Running, ExportError> {
    let Some(endpoint) = endpoint else { return Ok(Running(None)) };
    let provider = export::provider(endpoint, service)?;
    traces::begin(&provider);
    tracing::info!(endpoint, "traces are sent");
    Ok(Running(Some(provider)))
}
