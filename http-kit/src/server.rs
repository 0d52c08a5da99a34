//! Sockets: binding, serving, and stopping without losing what was accepted.
//!
//! Invariant: nothing but a loopback address is bound, unless callers need tokens of a configured issuer.
//! What a request means is not known here. How long a connection may take for what stands in `registry`.

mod registry;
mod wire;

pub(crate) use wire::{TooMuch, TooSlow};

use crate::auth::Protection;
use crate::limits::Limits;
use crate::shutdown::Shutdown;
use axum::Router;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper_util::rt::{TokioIo, TokioTimer};
use registry::{Connection, Registry, Ticket};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use wire::{Answers, Pace, Wire};

/// How long a stop waits for the requests that were accepted.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// What is buffered of one connection, bytes each way: also what a client can send ahead of the answers it waits for.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// How long a connection is silent before the other end is asked whether it is still there, and how often then.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address can be reached from outside this machine, and no issuer is configured.
    #[error(
        "{addr} is not a loopback address, and no authentication is configured, so everybody who reaches the port would \
         be let in: set issuer, audience and jwks (--auth-…, SUNDAY_AUTH_…, or the table [auth]), or bind 127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// The address.
        addr: SocketAddr,
    },
    /// The operating system refused.
    #[error("cannot listen on {addr}: {source}{}", other_address(source))]
    Io {
        /// The address.
        addr: SocketAddr,
        /// What it said.
        source: io::Error,
    },
}

/// What to do when somebody else has the address.
fn other_address(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrInUse {
        ". Another process listens there: stop it, or choose another address (--command-addr, --query-addr)"
    } else {
        ""
    }
}

/// Binds an address; port 0 takes any free port. Only what [`Protection::Tokens`] protects may be reached from elsewhere.
///
/// # Errors
/// When the address is too open for its protection, or cannot be bound.
pub async fn bind(addr: SocketAddr, protection: Protection) -> Result<TcpListener, BindError> {
    match protection {
        _ if addr.ip().is_loopback() => {}
        Protection::Tokens => {}
        Protection::Development => return Err(BindError::NotLoopback { addr }),
    }
    TcpListener::bind(addr).await.map_err(|source| BindError::Io { addr, source })
}

/// Serves with the limits' defaults: [`serve_within`].
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    serve_within(listener, router, shutdown, &Limits::default()).await;
}

/// Serves until the shutdown goes off, then finishes what was accepted, for at most [`DRAIN_TIME_MAX`].
///
/// What a connection may be and take is said by the limits; an oversized or unreadable head is answered by hyper
/// (431, 400) with no body, everything else by the router.
pub async fn serve_within(listener: TcpListener, router: Router, shutdown: Shutdown, limits: &Limits) {
    // Every connection holds receivers: its task hears of the stop, and the end of its bytes is heard.
    let drain = watch::Sender::new(false);
    let settings = limits.settings();
    let mut http = http1::Builder::new();
    // The registry keeps the times of heads and idle connections; hyper's one time would be both at once.
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(bounded(settings.head_bytes))
        .max_headers(bounded(settings.headers))
        .max_buf_size(BUFFER_BYTES_MAX.max(bounded(settings.head_bytes)));
    let pace = Pace::of(settings);
    let registry = Registry::new(limits.clone());
    let watchman = tokio::spawn(Arc::clone(&registry).watch());
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.wait() => break,
            accepted = accept(&listener, &registry) => accepted,
        };
        let (stream, connection, ticket) = match accepted {
            Ok(Some(accepted)) => accepted,
            // One address has enough; closing it here keeps the others' way free.
            Ok(None) => continue,
            Err(error) => {
                // Mostly: out of file descriptors. A pause keeps this loop from spinning until some are free.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "a connection without TCP_NODELAY or keep-alive");
        }
        let answers = Answers::new(router.clone(), Arc::clone(&connection), pace);
        let wire = TokioIo::new(Wire::new(stream, Arc::clone(&connection), (ticket, drain.subscribe())));
        let served = http.serve_connection(wire, answers).with_upgrades();
        let task = tokio::spawn(run(served, drain.subscribe()));
        connection.is_run_by(task.abort_handle());
    }
    drop(listener);
    drain.send_replace(true);
    if tokio::time::timeout(DRAIN_TIME_MAX, drain.closed()).await.is_err() {
        tracing::warn!(
            seconds = DRAIN_TIME_MAX.as_secs(),
            "some requests did not end in time and were cut off"
        );
    }
    watchman.abort();
}

/// Serves one connection; from the stop on only the request that it is at.
async fn run(served: UpgradeableConnection<TokioIo<Wire>, Answers>, mut drain: watch::Receiver<bool>) {
    let mut served = pin!(served);
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => Some(ended),
        // It changes once.
        _ = drain.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn accept(
    listener: &TcpListener,
    registry: &Arc<Registry>,
) -> io::Result<Option<(TcpStream, Arc<Connection>, Ticket)>> {
    let (stream, peer) = listener.accept().await?;
    let admitted = registry.admit(peer).await;
    if admitted.is_none() {
        tracing::debug!(%peer, "closed: its address has too many connections");
    }
    Ok(admitted.map(|(connection, ticket)| (stream, connection, ticket)))
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Answers are written whole; waiting for more to send (Nagle) would only add 40 ms.
    stream.set_nodelay(true)?;
    // A client whose machine or network has died says nothing: asked four times, it is given up after two minutes.
    let alive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY).with_retries(4);
    SockRef::from(stream).set_tcp_keepalive(&alive)
}

fn bounded(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn without_an_issuer_only_loopback_is_bound() {
        let everywhere = "0.0.0.0:0".parse().unwrap();
        let refused = bind(everywhere, Protection::Development).await.unwrap_err();
        assert!(matches!(refused, BindError::NotLoopback { .. }), "{refused}");
        assert!(bind(everywhere, Protection::Tokens).await.is_ok());
        assert!(bind("127.0.0.1:0".parse().unwrap(), Protection::Development).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_before_the_stop() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), Protection::Development).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let entered = Arc::new(tokio::sync::Notify::new());
        let slow = {
            let entered = Arc::clone(&entered);
            get(move || async move {
                entered.notify_one();
                tokio::time::sleep(Duration::from_millis(200)).await;
                "done"
            })
        };
        let shutdown = Shutdown::new();
        let server = tokio::spawn(serve(listener, Router::new().route("/", slow), shutdown.clone()));
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        entered.notified().await;
        shutdown.trigger();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        server.await.unwrap();
        assert!(TcpStream::connect(addr).await.is_err(), "the port is closed after the stop");
    }
}
