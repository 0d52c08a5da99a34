//! `sunday witness`: cosigns the checkpoints of logs that only grow, so that nobody can be shown another history than
//! everybody else (C2SP `tlog-witness`).
//!
//! ```text
//! POST /add-checkpoint ─▶ judge (signature, size, consistency) ─▶ cosign ─▶ state on disk ─▶ the cosignature
//! GET  /<SHA-256 of the origin>/checkpoint ─▶ what was cosigned last
//! ```
//!
//! Invariant: it answers with a cosignature only after the checkpoint is on disk, one request at a time; so it never cosigns what
//! contradicts an earlier cosignature of its own, whatever crashes.
//!
//! Whoever asks is known by the log's signature; no token is needed, and any address may be bound.

mod state;

pub use state::{State, StateError};

use crate::failure::Failure;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use eventstore::transparency::{AddCheckpoint, KeyName, VerifierKey, WitnessError};
use http_kit::limits::{LimitSettings, Limits};
use http_kit::server;
use http_kit::shutdown::Shutdown;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Longest request that is read, bytes: a proof of 63 hashes and a note of some signatures.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// What a witness needs to know.
#[derive(Debug)]
pub struct Options {
    /// Where its key and what it has cosigned are kept.
    pub state_dir: PathBuf,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its name, when its key is made.
    pub name: Option<KeyName>,
    /// The keys of the logs that it cosigns; several of one name are keys of one log.
    pub logs: Vec<VerifierKey>,
}

/// Serves until Ctrl-C or SIGTERM. Says its key and its address on stdout.
///
/// # Errors
/// When the state cannot be used or the address not be bound.
pub async fn witness(options: Options) -> Result<(), Failure> {
    let io = |action: &str| {
        let action = action.to_owned();
        move |source| Failure::Io { action, source }
    };
    let shutdown = Shutdown::on_signals().map_err(io("cannot listen for signals"))?;
    if options.logs.is_empty() {
        return Err(Failure::Usage(
            "a witness needs the key of at least one log: --log NAME+ID+KEY".to_owned(),
        ));
    }
    let state = State::open(&options.state_dir, options.name.as_ref(), options.logs);
    let state = Arc::new(state.map_err(|error| Failure::Part(error.to_string()))?);
    let listener = TcpListener::bind(options.addr).await.map_err(io("the witness cannot listen there"))?;
    let addr = listener.local_addr().map_err(io("a socket does not know its address"))?;
    let mut out = io::stdout().lock();
    writeln!(out, "witness {}\nhttp://{addr}", state.key())
        .and_then(|()| out.flush())
        .map_err(Failure::Output)?;
    drop(out);
    server::serve_within(listener, router(state), shutdown, &Limits::new(LimitSettings::default())).await;
    Ok(())
}

/// The routes of a witness.
pub fn router(state: Arc<State>) -> Router {
    let shown = Arc::clone(&state);
    Router::new()
        .route("/add-checkpoint", post(move |body: Bytes| add(Arc::clone(&state), body)))
        .route(
            "/{origin}/checkpoint",
            get(move |Path(origin): Path<String>| show(Arc::clone(&shown), origin)),
        )
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
}

async fn add(state: Arc<State>, body: Bytes) -> Response {
    let judged = tokio::task::spawn_blocking(move || {
        let request = AddCheckpoint::parse(&body)?;
        state.add(&request)
    });
    match judged.await {
        Ok(Ok(line)) => text(StatusCode::OK, "text/plain; charset=utf-8", format!("{line}\n")),
        Ok(Err(StateError::Refused(WitnessError::Conflict { latest }))) => {
            text(StatusCode::CONFLICT, "text/x.tlog.size", format!("{latest}\n"))
        }
        Ok(Err(StateError::Refused(error))) => {
            tracing::info!(%error, "a checkpoint was not cosigned");
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            text(status, "text/plain; charset=utf-8", format!("{error}\n"))
        }
        Ok(Err(error)) => fault(&error),
        Err(error) => fault(&error),
    }
}

async fn show(state: Arc<State>, origin: String) -> Response {
    match state.latest(&origin) {
        Some(note) => text(StatusCode::OK, "text/plain; charset=utf-8", note),
        None => text(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            "nothing was cosigned for it\n".to_owned(),
        ),
    }
}

fn fault(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a checkpoint could not be cosigned");
    let said = "a fault of the witness, which has been logged\n".to_owned();
    text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", said)
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers: [(HeaderName, HeaderValue); 1] =
        [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (status, headers, body).into_response()
}
