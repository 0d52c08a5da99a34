//! The query API as a process of its own: `query-api --data-dir ./data --query-addr 127.0.0.1:7401`.
//!
//! It waits for the log to appear, so it may be started before the command API.

use clap::Parser;
use eventstore::{Log, OpenError};
use http_kit::auth::AuthSettings;
use http_kit::config::{self, Settings};
use http_kit::limits::Limits;
use http_kit::server;
use http_kit::shutdown::Shutdown;
use http_kit::telemetry::{self, LogFormat};
use projector::checker::CheckSettings;
use query_api::{BEHIND_SECONDS_MAX, QueryService};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What request threads allocate, the writer frees; ARCHITECTURE.md says why that asks for this allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DATA_DIR: &str = "./data";
const QUERY_PORT: u16 = 7401;
/// How often it looks whether there is a log.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Answers queries from read models that follow the log of a data directory.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Directory of the log and everything derived from it [default: ./data]
    #[arg(long, env = "SUNDAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Address to listen on; without authentication a loopback address [default: 127.0.0.1:7401]
    #[arg(long, env = "SUNDAY_QUERY_ADDR")]
    query_addr: Option<SocketAddr>,
    /// Seconds between two checks of a sample of the read models; 0 checks none [default: 3600]
    #[arg(long, env = "SUNDAY_CHECK_EVERY", value_name = "SECONDS")]
    check_every: Option<u64>,
    /// Such a sample is of one item in so many [default: 100]
    #[arg(long, env = "SUNDAY_CHECK_SAMPLE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    check_sample: Option<u32>,
    /// Shape of the log lines [default: text]
    #[arg(long, env = "SUNDAY_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// Base URL of a collector of traces (OTLP over HTTP), such as http://127.0.0.1:4318
    #[arg(long, env = "SUNDAY_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// TOML file with settings that neither flags nor variables give
    #[arg(long, env = "SUNDAY_CONFIG")]
    config: Option<PathBuf>,
    /// Not ready while a projection is this many seconds behind; 0 for never [default: 60]
    #[arg(long, env = "SUNDAY_BEHIND_SECONDS_MAX")]
    behind_seconds_max: Option<u64>,
    #[command(flatten)]
    auth: AuthSettings,
}

#[tokio::main]
async fn main() -> ExitCode {
    archive_s3::install();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let settings = config::load::<Settings>(arguments.config.as_deref());
    let format = arguments.log_format.or(settings.as_ref().ok().and_then(|settings| settings.log_format));
    telemetry::init(format.unwrap_or_default());
    let settings = settings?;
    let otlp_endpoint = arguments.otlp_endpoint.or(settings.otlp_endpoint);
    let _traces = telemetry::send_traces(otlp_endpoint.as_deref(), "query-api")?;
    let data_dir = arguments.data_dir.or(settings.data_dir).unwrap_or_else(|| DATA_DIR.into());
    let limits = Limits::new(settings.limits.with_environment()?);
    let plan = arguments.auth.or(&settings.auth).plan()?;
    let addr = arguments.query_addr.or(settings.query_addr);
    let addr = addr.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, QUERY_PORT)));

    let shutdown = Shutdown::on_signals()?;
    // Bound first: whoever has the port wrong hears it at once, not after the log has appeared.
    let listener = server::bind(addr, plan.protection()).await?;
    let authentication = plan.open_for_readers(&data_dir, listener.local_addr()?).await?;
    let Some(log) = wait_for_log(&data_dir, &shutdown).await? else { return Ok(()) };
    let service = tokio::task::spawn_blocking(move || QueryService::start(&data_dir, log)).await??;
    tracing::info!(
        url = %format_args!("http://{}", listener.local_addr()?),
        position = service.models().checkpoint().get(),
        "the query API answers"
    );
    service.check_in_background(CheckSettings::new(
        arguments.check_every.or(settings.check_every),
        arguments.check_sample.or(settings.check_sample),
    ))?;
    service.tolerate_behind(arguments.behind_seconds_max.unwrap_or(BEHIND_SECONDS_MAX));
    service.end_live_streams_at(shutdown.clone());
    let router = query_api::router(service, authentication, limits.clone());
    server::serve_within(listener, router, shutdown, &limits).await;
    Ok(())
}

/// The log of a data directory, as soon as a writer has begun one; `None` when it is to stop before.
async fn wait_for_log(data_dir: &Path, shutdown: &Shutdown) -> Result<Option<Log>, Box<dyn Error>> {
    let mut is_told = false;
    while !shutdown.is_triggered() {
        let dir = data_dir.to_owned();
        match tokio::task::spawn_blocking(move || Log::open(&dir)).await? {
            Ok(log) => return Ok(Some(log)),
            Err(OpenError::NoLog { path }) => {
                if !is_told {
                    tracing::info!(path = %path.display(), "there is no log yet: waiting for a command API to begin one");
                    is_told = true;
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = shutdown.wait() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
    Ok(None)
}
