//! Sockets: binding, serving, and stopping without losing what was accepted.
//!
//! Invariant: nothing but a loopback address is bound, unless callers need tokens of a configured issuer.
//! What a request means is not known here.

use crate::auth::Protection;
use crate::shutdown::Shutdown;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How long a client may take to send the head of a request, counted from the end of the last one: it is
/// also how long an idle connection is kept.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(75);

/// How long a stop waits for the requests that were accepted.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections at one time; the next ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 4096;

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address can be reached from outside this machine, and no issuer is configured.
    #[error(
        "{addr} is not a loopback address, and no authentication is configured, so everybody who reaches the port could \
         write: set issuer, audience and jwks (--auth-…, SUNDAY_AUTH_…, or the table [auth]), or bind 127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// The address.
        addr: SocketAddr,
    },
    /// The address can be reached from outside this machine, and this service knows no callers.
    #[error(
        "{addr} is not a loopback address, and this API takes no tokens yet, so everybody who reaches the port could read \
         every workspace, whatever is configured: bind 127.0.0.1 or [::1]"
    )]
    SameMachineOnly {
        /// The address.
        addr: SocketAddr,
    },
    /// The operating system refused.
    #[error("cannot listen on {addr}: {source}")]
    Io {
        /// The address.
        addr: SocketAddr,
        /// What it said.
        source: io::Error,
    },
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
        Protection::SameMachineOnly => return Err(BindError::SameMachineOnly { addr }),
    }
    TcpListener::bind(addr).await.map_err(|source| BindError::Io { addr, source })
}

/// Serves until the shutdown goes off, then finishes what was accepted, for at most [`DRAIN_TIME_MAX`].
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.wait() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly: out of file descriptors. A pause keeps this loop from spinning until some are free.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are written whole; waiting for more to send (Nagle) would only add 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            seconds = DRAIN_TIME_MAX.as_secs(),
            "some requests did not end in time and were cut off"
        );
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
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
        let refused = bind(everywhere, Protection::SameMachineOnly).await.unwrap_err();
        assert!(matches!(refused, BindError::SameMachineOnly { .. }), "{refused}");
        assert!(bind(everywhere, Protection::Tokens).await.is_ok());
        assert!(bind("127.0.0.1:0".parse().unwrap(), Protection::SameMachineOnly).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_before_the_stop() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), Protection::SameMachineOnly).await.unwrap();
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
        let mut client = tokio::net::TcpStream::connect(addr).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        entered.notified().await;
        shutdown.trigger();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        server.await.unwrap();
        assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "the port is closed after the stop");
    }
}
