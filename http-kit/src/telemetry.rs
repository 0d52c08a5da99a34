//! What the process tells about itself while it runs: one line per event, on stderr.
//!
//! Invariant: stdout belongs to what a command prints as its result; nothing here writes to it.

use clap::ValueEnum;
use serde::Deserialize;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

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
