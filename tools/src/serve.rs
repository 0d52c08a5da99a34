//! `sunday serve`: all three roles in one process, through the same code as the three binaries.
//!
//! ```text
//!  bind both ports ─▶ keys or token ─▶ open the log ─▶ projector ─▶ query service ─▶ serve ─▶ (import) ─▶ Ctrl-C
//!  stop: no new requests ─▶ projector saves ─▶ the log closes with its mark
//! ```
//!
//! Invariant: parts stop in the reverse of the order they started in, also when one of them did not start.

use crate::decisions::OwnDecisions;
use crate::failure::Failure;
use crate::import::{ImportError, Summary, Token, import};
use crate::summary;
use command_api::service::SNAPSHOT_EVERY_DEFAULT;
use command_api::{AppState, ArchiveLedger, CommandService};
use eventstore::{Position, Store, StoreOptions};
use http_kit::auth::{AuthError, DevelopmentToken, Door, Plan, Protection};
use http_kit::limits::{LimitSettings, Limits};
use http_kit::server;
use http_kit::shutdown::Shutdown;
use projector::checker::CheckSettings;
use projector::control::Decisions;
use projector::notary::NotaryOptions;
use projector::{Connections, Projector};
use query_api::{Exhausted, QueryService};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long the examples after an import wait for the search index.
const INDEX_TIME_MAX: Duration = Duration::from_secs(60);

/// Servers that share the process's file descriptors.
const SERVERS: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of the log and everything derived from it.
    pub data_dir: PathBuf,
    /// Address of the command API.
    pub command_addr: SocketAddr,
    /// Address of the query API.
    pub query_addr: SocketAddr,
    /// What clients may take.
    pub limits: LimitSettings,
    /// How checkpoints are signed.
    pub notary: NotaryOptions,
    /// A history to import at the start.
    pub import: Option<PathBuf>,
    /// Where the import's token is, unless it is the development token.
    pub token_file: Option<PathBuf>,
    /// How callers are known.
    pub plan: Plan,
    /// When the projections are compared with the log, and how much of them.
    pub checks: CheckSettings,
    /// Not ready while a projection is this many seconds behind; 0 for never.
    pub behind_seconds_max: u64,
}

/// Serves until Ctrl-C or SIGTERM.
///
/// # Errors
/// When a port is taken or open to strangers, callers cannot be known, the log cannot be opened, a part does not start or stop, or the import fails.
pub async fn serve(options: Options) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals().map_err(io_failure("cannot listen for signals"))?;
    // Ports first: whoever has started Sunday twice hears it before anything is touched.
    let commands = bind(options.command_addr, options.plan.protection(), "command API").await?;
    let queries = bind(options.query_addr, options.plan.protection(), "query API").await?;
    let address = |listener: &tokio::net::TcpListener| {
        listener.local_addr().map_err(io_failure("a socket does not know its address"))
    };
    let (command_addr, query_addr) = (address(&commands)?, address(&queries)?);
    let (command_url, query_url) = (url(command_addr), url(query_addr));
    if let Some(file) = &options.import {
        std::fs::File::open(file)
            .map_err(|source| Failure::Import(ImportError::File { path: file.clone(), source }))?;
    }

    let door = options.plan.open(&options.data_dir, command_addr).await.map_err(|error| no_door(&error))?;
    let token = match &options.import {
        Some(_) => import_token(&door, options.token_file.as_deref(), &command_url)?,
        None => None,
    };

    let parts = Parts::start(options.data_dir.clone(), options.notary, options.checks).await?;
    parts.query.tolerate_behind(options.behind_seconds_max);
    let token_file = door.development_token().map(DevelopmentToken::path);
    if let Some(token) = door.development_token() {
        // Nobody may read it: that is no reason not to serve.
        let _ = io::stderr().write_all(token.announcement().as_bytes());
    }
    // Each has its own: who asks too much of one service still reaches the other.
    let limits = || Limits::of_many(options.limits.clone(), SERVERS);
    let servers = (
        tokio::spawn({
            let (limits, state, shutdown) = (limits(), parts.state.clone(), shutdown.clone());
            let router = command_api::router(state.within(limits.clone()), door.authentication());
            async move { server::serve_within(commands, router, shutdown, &limits).await }
        }),
        tokio::spawn({
            let (limits, query, shutdown) = (limits(), parts.query.clone(), shutdown.clone());
            query.end_live_streams_at(shutdown.clone());
            let router = query_api::router(query, door.authentication_of_readers(), limits.clone());
            async move { server::serve_within(queries, router, shutdown, &limits).await }
        }),
    );
    let mut failed = say(&summary::ready(&command_url, &query_url, token_file)).err();
    if let Some(file) = options.import.filter(|_| failed.is_none()) {
        let imported = tokio::select! {
            imported = run_import(file.clone(), command_url, token) => Some(imported),
            // Whoever stops during the import wants to stop; starting again goes on where it was.
            () = shutdown.wait() => None,
        };
        let told = match imported {
            Some(Ok(imported)) => {
                parts.wait_for_index(Position::new(imported.tally.position)).await;
                say(&summary::imported(&file, &imported, &query_url))
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        failed = told.err();
    }
    if failed.is_none() {
        shutdown.wait().await;
    }
    shutdown.trigger();
    for server in [servers.0, servers.1] {
        if let Err(error) = server.await {
            failed.get_or_insert(Failure::Part(format!("a server ended unexpectedly: {error}")));
        }
    }
    let stopped = parts.stop().await;
    failed.map_or(stopped, Err)
}

/// What runs behind the two servers.
struct Parts {
    state: AppState,
    query: QueryService,
    projector: Projector,
    ledger: ArchiveLedger,
    store: Store,
}

impl Parts {
    async fn start(data_dir: PathBuf, notary: NotaryOptions, checks: CheckSettings) -> Result<Self, Failure> {
        blocking(move || {
            let store = Store::open(&data_dir, &StoreOptions::default())?;
            let log = (*store).clone();
            let state =
                AppState::new(CommandService::open_in(store.clone(), &data_dir, SNAPSHOT_EVERY_DEFAULT));
            let decisions: Arc<dyn Decisions> = Arc::new(OwnDecisions::new(state.projections().clone()));
            let connections = Connections { decisions: Some(decisions), notary, ..Connections::default() };
            let part = |error: &dyn std::fmt::Display| Failure::Part(error.to_string());
            let mut projector =
                Projector::start_with(&data_dir, log.clone(), connections).map_err(|error| part(&error))?;
            let figures = projector.check_in_background(checks).map_err(|error| part(&error))?;
            let query = {
                let health = projector.health();
                let failure = move || health.failure();
                QueryService::over(&data_dir, log, projector.read_models().clone(), failure)
            };
            query.tell_checks(figures);
            // A log that takes nothing for the moment is served all the same, and gets them at the next start.
            if let Err(error) = state.registry().register_domain() {
                tracing::warn!(%error, "the domain's schemas could not be registered");
            }
            park_exhausted(&query, &state);
            let ledger = ArchiveLedger::start(store.clone(), &data_dir).map_err(|error| part(&error))?;
            Ok(Self { state, query, projector, ledger, store })
        })
        .await
    }

    async fn wait_for_index(&self, position: Position) {
        let searcher = self.query.searcher().clone();
        let wait = blocking(move || {
            let started = Instant::now();
            while searcher.checkpoint() < position && started.elapsed() < INDEX_TIME_MAX {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        });
        // It only sleeps and looks; if it could not be run, the examples are shown a little early.
        let _ = wait.await;
    }

    async fn stop(self) -> Result<(), Failure> {
        let Self { state, query, projector, ledger, store } = self;
        drop((state, query));
        blocking(move || {
            let stopped = projector.stop().map_err(|error| Failure::Part(error.to_string()));
            drop(ledger);
            // The log closes whatever the projector says: its mark vouches for everything.
            store.close();
            stopped
        })
        .await
    }
}

/// What a consumer has been given too often is parked by the command side, as long as both sides are one process.
fn park_exhausted(query: &QueryService, state: &AppState) {
    let consumers = state.consumers().clone();
    query.on_exhausted(move |exhausted| {
        let consumers = consumers.clone();
        tokio::task::spawn_blocking(move || {
            let Exhausted { workspace, name, position, attempts } = exhausted;
            // It is told again as long as it is not parked.
            if let Err(error) = consumers.park_exhausted(workspace, &name, position, attempts) {
                tracing::warn!(%name, position, error, "an event that is never acknowledged could not be parked");
            }
        });
    });
}

async fn bind(
    addr: SocketAddr,
    protection: Protection,
    what: &str,
) -> Result<tokio::net::TcpListener, Failure> {
    let bound = server::bind(addr, protection).await;
    bound.map_err(|error| Failure::Part(format!("the {what} does not start: {error}")))
}

fn no_door(error: &AuthError) -> Failure {
    Failure::Part(format!("the command API does not start: {error}"))
}

/// Our own server takes its own development token, whatever the environment holds for another one.
fn import_token(door: &Door, file: Option<&Path>, command_url: &str) -> Result<Option<Token>, Failure> {
    let token = match door.development_token() {
        Some(token) => Some(Token::new(token.text(), "the development token")?),
        None => Token::find(file, command_url)?,
    };
    if token.is_none() {
        let detail = "the import needs a token of the configured issuer, with the scope import: name a file that has one with \
                      --token-file, or set SUNDAY_TOKEN";
        return Err(Failure::Usage(detail.to_owned()));
    }
    Ok(token)
}

/// Where this machine reaches a server that listens on this address.
fn url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

/// On a thread of its own, because it has a runtime of its own, and nobody waits for it at a stop.
async fn run_import(file: PathBuf, command_url: String, token: Option<Token>) -> Result<Summary, Failure> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        // Nobody listens any more after a stop.
        let _ = sender.send(import(&file, &command_url, token));
    };
    let thread = std::thread::Builder::new().name("import".to_owned()).spawn(run);
    thread.map_err(io_failure("cannot start the import"))?;
    let imported = receiver.await.map_err(|_| Failure::Part("the import stopped unexpectedly".to_owned()))?;
    Ok(imported?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::Part(format!("a part ended unexpectedly: {error}")))?
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Nobody reads what a server has to say: that is no reason not to serve.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Output),
    }
}

fn io_failure(action: &str) -> impl FnOnce(io::Error) -> Failure + '_ {
    move |source| Failure::Io { action: action.to_owned(), source }
}
