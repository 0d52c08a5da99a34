//! `command-api`: the one process that writes a log.

use clap::Parser;
use command_api::service::SNAPSHOT_EVERY_DEFAULT;
use command_api::{AppState, ArchiveLedger, CommandService};
use eventstore::{OpenError, Store, StoreOptions};
use http_kit::auth::AuthSettings;
use http_kit::config::{self, Settings};
use http_kit::limits::Limits;
use http_kit::telemetry::{self, LogFormat};
use http_kit::{server, shutdown::Shutdown};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What request threads allocate, the writer frees; ARCHITECTURE.md says why that asks for this allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ADDR_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7400);
const DATA_DIR_DEFAULT: &str = "./data";

/// The write side of Sunday: takes commands over HTTP and appends events to the log.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Directory of the log and everything derived from it [default: ./data]
    #[arg(long, env = "SUNDAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Address to serve on; without authentication a loopback address [default: 127.0.0.1:7400]
    #[arg(long, env = "SUNDAY_COMMAND_ADDR")]
    command_addr: Option<SocketAddr>,
    /// Events after which a state is kept in a snapshot; 0 keeps none [default: 100]
    #[arg(long, env = "SUNDAY_SNAPSHOT_EVERY")]
    snapshot_every: Option<u64>,
    /// Shape of the log lines [default: text]
    #[arg(long, env = "SUNDAY_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Base URL of a collector of traces (OTLP over HTTP), such as http://127.0.0.1:4318
    #[arg(long, env = "SUNDAY_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// A TOML file with settings; flags and variables come before it
    #[arg(long, env = "SUNDAY_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    auth: AuthSettings,
}

fn main() -> ExitCode {
    archive_s3::install();
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("command-api: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let file: Settings = config::load(options.config.as_deref())?;
    telemetry::init(options.log_format.or(file.log_format).unwrap_or_default());
    let otlp_endpoint = options.otlp_endpoint.or(file.otlp_endpoint);
    let _traces = telemetry::send_traces(otlp_endpoint.as_deref(), "command-api")?;
    let data_dir = options.data_dir.or(file.data_dir).unwrap_or_else(|| DATA_DIR_DEFAULT.into());
    let limits = Limits::new(file.limits.with_environment()?);
    let addr = options.command_addr.or(file.command_addr).unwrap_or(ADDR_DEFAULT);

    let snapshot_every = options.snapshot_every.or(file.snapshot_every).unwrap_or(SNAPSHOT_EVERY_DEFAULT);
    let plan = options.auth.or(&file.auth).plan()?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        // Before the store is opened, so that a taken address costs nothing.
        let listener = server::bind(addr, plan.protection()).await?;
        let addr = listener.local_addr()?;
        let door = plan.open(&data_dir, addr).await?;
        let (store, service) = {
            let data_dir = data_dir.clone();
            tokio::task::spawn_blocking(move || open(&data_dir, snapshot_every)).await??
        };
        tracing::info!(
            data_dir = %data_dir.display(), store = %store.store_id(), position = %store.watermark(),
            url = %format_args!("http://{addr}"), "command-api is ready"
        );
        if let Some(token) = door.development_token() {
            let _ = io::stderr().write_all(token.announcement().as_bytes());
        }
        let state = AppState::new(service).within(limits.clone());
        let registry = state.registry().clone();
        // A log that takes nothing for the moment is served all the same, and gets them at the next start.
        if let Err(error) = tokio::task::spawn_blocking(move || registry.register_domain()).await? {
            tracing::warn!(%error, "the domain's schemas could not be registered");
        }
        let ledger = ArchiveLedger::start(store.clone(), &data_dir)?;
        let router = command_api::router(state, door.authentication());
        server::serve_within(listener, router, shutdown, &limits).await;
        tokio::task::spawn_blocking(move || {
            drop(ledger);
            store.close();
        })
        .await?;
        tracing::info!("command-api has stopped");
        Ok(())
    })
}

fn open(data_dir: &Path, snapshot_every: u64) -> Result<(Store, CommandService), OpenError> {
    let store = Store::open(data_dir, &StoreOptions::default())?;
    let service = CommandService::open_in(store.clone(), data_dir, snapshot_every);
    Ok((store, service))
}
