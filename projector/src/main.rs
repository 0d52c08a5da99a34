//! The projector as a process of its own, beside `command-api` and any number of `query-api`s on one data directory.

mod settings;

use clap::Parser;
use eventstore::{Log, OpenError};
use projector::checker::CheckSettings;
use projector::control::HttpDecisions;
use projector::notary::AuditArguments;
use projector::{Connections, Projector};
use settings::{LogFormat, Settings};
use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What request threads allocate, the writer frees; ARCHITECTURE.md says why that asks for this allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DATA_DIR: &str = "./data";
/// How often it looks whether a log is there.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Keeps read models, their images and the search index up to date with the log.
#[derive(Debug, Parser)]
#[command(name = "projector", version)]
struct Arguments {
    /// Directory of the log and everything derived from it [default: ./data]
    #[arg(long, env = "SUNDAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Seconds between two checks of a sample of the projections; 0 checks none [default: 3600]
    #[arg(long, env = "SUNDAY_CHECK_EVERY", value_name = "SECONDS")]
    check_every: Option<u64>,
    /// Such a sample is of one item in so many [default: 100]
    #[arg(long, env = "SUNDAY_CHECK_SAMPLE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    check_sample: Option<u32>,
    /// Shape of the log lines [default: text]
    #[arg(long, env = "SUNDAY_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    #[command(flatten)]
    audit: AuditArguments,
    /// TOML file with settings that neither flags nor variables give
    #[arg(long, env = "SUNDAY_CONFIG")]
    config: Option<PathBuf>,
    /// Where the command API is, which writes this projector's decisions into the log, such as http://127.0.0.1:7400;
    /// without, nothing is decided: rebuilds and events that cannot be taken in wait
    #[arg(long, env = "SUNDAY_COMMAND_URL")]
    command_url: Option<String>,
    /// File with a token for that, with the scope projections:decide; otherwise it stands in the variable SUNDAY_TOKEN, or it is
    /// the development token of the data directory
    #[arg(long, value_name = "FILE", env = "SUNDAY_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    archive_s3::install();
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot go on");
            ExitCode::FAILURE
        }
    }
}

/// One line per event on stderr; the filter is `SUNDAY_LOG`, else `RUST_LOG`, else `info`.
fn tell(format: LogFormat) {
    let filter = ["SUNDAY_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .and_then(|text| text.parse::<EnvFilter>().ok())
        // tantivy tells about every commit and merge at `info`.
        .unwrap_or_else(|| EnvFilter::new("info,tantivy=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let settings = Settings::load(arguments.config.as_deref());
    let format = arguments.log_format.or(settings.as_ref().ok().and_then(|settings| settings.log_format));
    tell(format.unwrap_or_default());
    let settings = settings?;
    let data_dir = arguments.data_dir.or(settings.data_dir).unwrap_or_else(|| DATA_DIR.into());
    let checks = CheckSettings::new(
        arguments.check_every.or(settings.check_every),
        arguments.check_sample.or(settings.check_sample),
    );
    let mut connections = Connections { notary: arguments.audit.options()?, ..Connections::default() };
    match &arguments.command_url {
        Some(url) => {
            connections.decisions = Some(Arc::new(HttpDecisions::new(url, arguments.token_file, &data_dir)?));
        }
        None => tracing::warn!("no command API is named (--command-url): what needs a decision waits"),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut projector = tokio::select! {
            projector = start(&data_dir, connections) => projector?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        projector.check_in_background(checks)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("the projector saves and ends");
        projector.stop()?;
        Ok(())
    })
}

/// Waits for a writer to make a log, then starts.
async fn start(data_dir: &Path, connections: Connections) -> Result<Projector, Box<dyn Error>> {
    let mut said = false;
    let log = loop {
        match Log::open(data_dir) {
            Ok(log) => break log,
            Err(OpenError::NoLog { path }) => {
                if !said {
                    tracing::info!(path = %path.display(), "waiting for a log");
                    said = true;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Projector::start_with(data_dir, log, connections)?)
}
