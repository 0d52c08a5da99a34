//! What hyper sees of a connection: its bytes, its service, its bodies, each telling the registry what goes on.
//!
//! Invariant: nothing here has a timer of its own, save a body that its client has made somebody wait for.

use super::registry::{Connection, Ticket};
use crate::limits::{LimitSettings, Peer};
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use hyper::Request;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::service::Service;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};
use tower::Service as _;

/// The bytes of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    connection: Arc<Connection>,
    is_stuck: bool,
    /// Its place, and what a stop waits for: kept where the bytes are, which outlive HTTP where a connection goes on as a
    /// WebSocket.
    _held: (Ticket, watch::Receiver<bool>),
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        connection: Arc<Connection>,
        held: (Ticket, watch::Receiver<bool>),
    ) -> Self {
        Self { stream, connection, is_stuck: false, _held: held }
    }

    fn wrote<T>(&mut self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() != self.is_stuck {
            self.is_stuck = written.is_pending();
            self.connection.is_stuck(self.is_stuck);
        }
        written
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.connection.has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Answers the requests of one connection.
#[derive(Debug)]
pub(super) struct Answers {
    router: Router,
    connection: Arc<Connection>,
    pace: Pace,
}

impl Answers {
    pub(super) fn new(router: Router, connection: Arc<Connection>, pace: Pace) -> Self {
        Self { router, connection, pace }
    }
}

impl Service<Request<Incoming>> for Answers {
    type Response = hyper::Response<Answer>;
    type Error = io::Error;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        if !self.connection.begins() {
            return Answering { routed: None, connection: None };
        }
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Peer(self.connection.peer));
        let body = if body.is_end_stream() {
            Body::empty()
        } else {
            Body::new(Paced::new(body, self.pace, Arc::clone(&self.connection)))
        };
        // A router is always ready, and cloning one is counting one up.
        let routed = self.router.clone().call(Request::from_parts(parts, body));
        Answering { routed: Some(routed), connection: Some(Arc::clone(&self.connection)) }
    }
}

/// An answer that is being found.
pub(super) struct Answering {
    routed: Option<RouteFuture<Infallible>>,
    connection: Option<Arc<Connection>>,
}

impl Future for Answering {
    type Output = io::Result<hyper::Response<Answer>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(routed) = &mut self.routed else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the connection is being closed",
            )));
        };
        let response: Response = match ready!(Pin::new(routed).poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let connection = self.connection.take();
        // What follows is no HTTP any more: such a connection never becomes idle, and ends by itself.
        let connection = connection.filter(|_| response.status() != StatusCode::SWITCHING_PROTOCOLS);
        Poll::Ready(Ok(response.map(|body| Answer { body, connection })))
    }
}

/// The body of an answer; when it is dropped, the request is over.
pub(super) struct Answer {
    body: Body,
    connection: Option<Arc<Connection>>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.ends();
        }
    }
}

/// How fast bodies have to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    grace: Duration,
    in_all: Duration,
    bytes_per_second: u32,
}

impl Pace {
    pub(super) fn of(settings: &LimitSettings) -> Self {
        Self {
            grace: settings.body_grace_seconds.get(),
            in_all: settings.body_seconds.get(),
            bytes_per_second: settings.body_rate,
        }
    }

    /// How long a body may take of which so much has come.
    fn allows(&self, received: usize) -> Duration {
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        match received.checked_mul(1000).and_then(|bytes| bytes.checked_div(self.bytes_per_second.into())) {
            Some(millis) => (self.grace + Duration::from_millis(millis)).min(self.in_all),
            None => self.in_all,
        }
    }
}

/// The body of a request came too slowly.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body came too slowly")]
pub(crate) struct TooSlow;

/// The bodies of all requests under way are too much together.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the bodies of all requests under way take too much memory")]
pub(crate) struct TooMuch;

/// The body of a request, which has to come at a pace.
struct Paced {
    body: Incoming,
    connection: Arc<Connection>,
    pace: Pace,
    received: usize,
    /// Since somebody had to wait for it: when that was, what had come by the time the timer was set, the timer.
    waiting: Option<(Instant, usize, Pin<Box<Sleep>>)>,
}

impl Paced {
    fn new(body: Incoming, pace: Pace, connection: Arc<Connection>) -> Self {
        Self { body, connection, pace, received: 0, waiting: None }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                let before = this.received;
                this.received += frame.data_ref().map_or(0, Bytes::len);
                if !this.connection.body_grows(before, this.received) {
                    return Poll::Ready(Some(Err(Box::new(TooMuch))));
                }
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let allowed = this.pace.allows(this.received);
        let (began, at, timer) = this.waiting.get_or_insert_with(|| {
            let began = Instant::now();
            (began, 0, Box::pin(tokio::time::sleep_until(began + allowed)))
        });
        if *at != this.received {
            *at = this.received;
            timer.as_mut().reset(*began + allowed);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Box::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_earns_its_time_by_coming() {
        let pace =
            Pace { grace: Duration::from_secs(10), in_all: Duration::from_secs(60), bytes_per_second: 1000 };
        assert_eq!(pace.allows(0).as_secs(), 10);
        assert_eq!(pace.allows(5_000).as_secs(), 15);
        assert_eq!(pace.allows(usize::MAX).as_secs(), 60);
        assert_eq!(pace.allows(1 << 40).as_secs(), 60);
        assert_eq!(Pace { bytes_per_second: 0, ..pace }.allows(1).as_secs(), 60);
    }
}
