//! Promise: a client that is slow, silent, greedy or makes no sense takes no more than its share, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects by panicking, and says loudly what it could not do"
)]

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use http_kit::app::App;
use http_kit::auth::{Authentication, Protection};
use http_kit::json::Json;
use http_kit::limits::{LimitSettings, Limits, Seconds};
use http_kit::server;
use http_kit::shutdown::Shutdown;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Long enough for anything that happens at all; nothing is timed against it.
const AT_LAST: Duration = Duration::from_secs(60);

struct Server {
    addr: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<()>,
    entered: Arc<Notify>,
    finished: Arc<AtomicUsize>,
}

impl Server {
    async fn start(settings: LimitSettings) -> Self {
        let limits = Limits::new(settings);
        let listener = server::bind("127.0.0.1:0".parse().unwrap(), Protection::Development).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (entered, finished) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (enters, finishes) = (Arc::clone(&entered), Arc::clone(&finished));
        let slow = async move || {
            enters.notify_one();
            // What was handed over is finished whether somebody waits for it or not.
            let handed_over = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                finishes.fetch_add(1, Ordering::SeqCst);
            });
            handed_over.await.unwrap();
            "done"
        };
        let routes = Router::new()
            .route("/echo", post(async |Json(value): Json<Value>| Json(value)))
            .route("/slow", get(slow.clone()).post(slow))
            .route("/large", get(async || "x".repeat(32 << 20)))
            .layer(from_fn(bad_tokens_are_refused));
        let router = App::new(Authentication::SameMachineOnly).within(limits.clone()).frame(routes);
        let shutdown = Shutdown::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { server::serve_within(listener, router, shutdown, &limits).await }
        });
        Self { addr, shutdown, task, entered, finished }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.trigger();
        tokio::time::timeout(AT_LAST, self.task).await.unwrap().unwrap();
    }
}

async fn bad_tokens_are_refused(request: Request, next: Next) -> axum::response::Response {
    if request.headers().get("authorization").is_some_and(|token| token == "Bearer bad") {
        return axum::response::IntoResponse::into_response(axum::http::StatusCode::UNAUTHORIZED);
    }
    next.run(request).await
}

/// Everything until the other end closes, however it does that.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(AT_LAST, stream.read_to_end(&mut bytes)).await;
    let _ = read.expect("the connection was never closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer with a body of known length.
async fn read_one(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text.into_owned();
            }
        }
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(AT_LAST, stream.read(&mut buffer)).await.expect("no answer");
        let read = read.expect("the connection broke");
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&buffer[..read]);
    }
}

const PING: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn seconds(millis: u64) -> Seconds {
    Duration::from_millis(millis).into()
}

/// Heads are to be quick, idle connections may stay: the two must not be confused.
fn quick_heads() -> LimitSettings {
    LimitSettings { head_seconds: seconds(200), idle_seconds: seconds(600_000), ..LimitSettings::default() }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off_and_an_idle_connection_stays() {
    let server = Server::start(quick_heads()).await;
    let mut idle = server.connect().await;
    idle.write_all(PING).await.unwrap();
    assert!(read_one(&mut idle).await.starts_with("HTTP/1.1 200"));
    let silent = server.connect().await;
    let mut slow = server.connect().await;
    let mut rest = PING.iter().cycle();
    // Every byte in time, the head never: only the whole counts.
    let closed = tokio::time::timeout(AT_LAST, async {
        slow.write_all(b"GET /livez HTTP/1.1\r\nx-slow: ").await.unwrap();
        while slow.write_all(&[*rest.next().unwrap() | 0x20]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    closed.await.expect("a slow head was waited for");
    // Those who were idle meanwhile are served.
    for mut stream in [idle, silent] {
        stream.write_all(PING).await.unwrap();
        assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_stays_idle_is_closed_and_a_busy_one_is_not() {
    let settings = LimitSettings { idle_seconds: seconds(100), ..LimitSettings::default() };
    let server = Server::start(settings).await;
    let mut fresh = server.connect().await;
    assert_eq!(read_all(&mut fresh).await, "");
    let mut used = server.connect().await;
    used.write_all(PING).await.unwrap();
    assert!(read_all(&mut used).await.ends_with("ok\n"));
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(read_one(&mut busy).await.ends_with("done"), "three times the idle time, but not idle");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408() {
    let settings =
        LimitSettings { body_grace_seconds: seconds(100), body_rate: 1_000_000, ..LimitSettings::default() };
    let server = Server::start(settings).await;
    let head = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
    for start in [&b""[..], b"{\"a\":"] {
        let mut stream = server.connect().await;
        stream.write_all(head).await.unwrap();
        stream.write_all(start).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
    }
    // Byte by byte is no better than not at all.
    let mut stream = server.connect().await;
    stream.write_all(head).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    let mut answer = [0; 12];
    tokio::time::timeout(AT_LAST, reader.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(reader);
    dripping.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let settings = LimitSettings { write_seconds: seconds(200), ..LimitSettings::default() };
    let server = Server::start(settings).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // More than all buffers hold; whoever waits long enough before reading gets only what was in them.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let answer = read_all(&mut stream).await;
    assert!(answer.len() < 32 << 20, "{} bytes", answer.len());
    server.stop().await;
}

#[tokio::test]
async fn an_oversized_head_is_refused() {
    let server = Server::start(LimitSettings { headers: 20, ..LimitSettings::default() }).await;
    let long = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x-many: 1\r\n".repeat(21));
    let uri = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(70_000));
    for (head, statuses) in [(long, &["431"][..]), (many, &["431"]), (uri, &["431", "414"])] {
        let mut stream = server.connect().await;
        let (mut reader, mut writer) = stream.split();
        // The server may close before it has taken all of it.
        let (_, answer) = tokio::join!(writer.write_all(head.as_bytes()), async {
            let mut answer = vec![0; 12];
            let read = tokio::time::timeout(AT_LAST, reader.read_exact(&mut answer)).await.unwrap();
            read.map(|_| String::from_utf8(answer).unwrap())
        });
        // A reset may overtake the answer on the way.
        if let Ok(answer) = answer {
            assert!(statuses.iter().any(|status| answer.ends_with(status)), "{answer}");
        }
    }
    let mut stream = server.connect().await;
    let many = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x-many: 1\r\n".repeat(19));
    stream.write_all(many.as_bytes()).await.unwrap();
    assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_garbage_ends_the_connection() {
    let server = Server::start(LimitSettings::default()).await;
    let mut stream = server.connect().await;
    let mut requests = Vec::new();
    for number in 0..50 {
        let body = format!("{{\"n\":{number}}}");
        requests.extend_from_slice(
            format!(
                "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
    }
    requests.extend_from_slice(b"\x00\xff garbage \r\n\r\nGET /livez HTTP/1.1\r\n\r\n");
    stream.write_all(&requests).await.unwrap();
    let answers = read_all(&mut stream).await;
    let echoed: Vec<usize> = answers
        .split("{\"n\":")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(echoed, (0..50).collect::<Vec<_>>());
    assert_eq!(answers.matches("HTTP/1.1 400").count(), 1, "{answers}");
    assert!(!answers.contains("ok\n"), "nothing after the garbage is a request");
    let mut stream = server.connect().await;
    stream.write_all(PING).await.unwrap();
    assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_handed_over_is_finished_after_it_has_gone() {
    let server = Server::start(LimitSettings::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    server.entered.notified().await;
    drop(stream);
    while server.finished.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_change_that_took_too_long_is_not_said_to_have_failed() {
    let settings = LimitSettings { request_seconds: seconds(50), ..LimitSettings::default() };
    let server = Server::start(settings).await;
    for (method, code) in [("POST", "outcome_unknown"), ("GET", "request_timeout")] {
        let mut stream = server.connect().await;
        let request = format!("{method} /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_one(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(code), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn when_all_places_are_taken_the_idlest_connection_gives_way() {
    let settings = LimitSettings { connections: 3, head_seconds: seconds(80), ..LimitSettings::default() };
    let server = Server::start(settings).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(PING).await.unwrap();
        read_one(&mut stream).await;
        // Ticks apart, so that it is clear which one is the oldest.
        tokio::time::sleep(Duration::from_millis(50)).await;
        streams.push(stream);
    }
    let mut fourth = server.connect().await;
    fourth.write_all(PING).await.unwrap();
    assert!(read_one(&mut fourth).await.starts_with("HTTP/1.1 200"));
    assert_eq!(read_all(&mut streams[0]).await, "", "the oldest is closed");
    streams[2].write_all(PING).await.unwrap();
    assert!(read_one(&mut streams[2]).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn a_busy_connection_never_gives_way() {
    let server = Server::start(LimitSettings { connections: 1, ..LimitSettings::default() }).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    server.entered.notified().await;
    let mut second = server.connect().await;
    second.write_all(PING).await.unwrap();
    assert!(read_one(&mut busy).await.ends_with("done"));
    assert!(read_one(&mut second).await.starts_with("HTTP/1.1 200"), "it waited, and had its turn");
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_shows_bad_tokens_is_refused_before_they_are_looked_at() {
    let settings = LimitSettings { failure_rate: 1, failure_burst: 5, ..LimitSettings::default() };
    let server = Server::start(settings).await;
    let mut stream = server.connect().await;
    let bad = b"GET /slow HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer bad\r\n\r\n";
    let mut statuses = Vec::new();
    for _ in 0..40 {
        stream.write_all(bad).await.unwrap();
        let answer = read_one(&mut stream).await;
        if answer.starts_with("HTTP/1.1 429") {
            assert!(answer.contains("rate_limited") && answer.contains("retry-after: 1"), "{answer}");
            assert!(answer.contains("ratelimit: \"failures\";r=0;t=1"), "{answer}");
        }
        statuses.push(answer[9..12].to_owned());
    }
    assert_eq!(&statuses[..5], ["401"; 5]);
    assert!(statuses.iter().any(|status| status == "429"), "{statuses:?}");
    stream.write_all(PING).await.unwrap();
    assert!(
        read_one(&mut stream).await.starts_with("HTTP/1.1 200"),
        "without a token there is nothing to refuse"
    );
    server.stop().await;
}

/// The head of a JSON body of so many bytes, and the body.
fn posting(len: usize) -> (Vec<u8>, Vec<u8>) {
    let head = format!(
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n"
    );
    (head.into_bytes(), format!("\"{}\"", "x".repeat(len - 2)).into_bytes())
}

#[tokio::test]
async fn bodies_are_refused_when_all_of_them_together_are_too_long() {
    let server = Server::start(LimitSettings { body_memory: 1, ..LimitSettings::default() }).await;
    let mut holder = server.connect().await;
    let (head, body) = posting(1_000_000);
    holder.write_all(&head).await.unwrap();
    holder.write_all(&body[..900_000]).await.unwrap();
    let ask = async || {
        let mut client = server.connect().await;
        let (head, body) = posting(400_000);
        client.write_all(&head).await.unwrap();
        // It may be answered before all of it is sent.
        let _ = client.write_all(&body).await;
        read_one(&mut client).await
    };
    // As soon as the server has taken in what the first one sends.
    let refused = tokio::time::timeout(AT_LAST, async {
        loop {
            let answer = ask().await;
            if !answer.starts_with("HTTP/1.1 200") {
                return answer;
            }
        }
    });
    let refused = refused.await.expect("nobody was ever refused");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\"overloaded\""), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    // Whoever was first is served, and then there is room again.
    holder.write_all(&body[900_000..]).await.unwrap();
    assert!(read_one(&mut holder).await.starts_with("HTTP/1.1 200"));
    assert!(ask().await.starts_with("HTTP/1.1 200"));
    // What is given up half-way is given back.
    let mut leaver = server.connect().await;
    leaver.write_all(&head).await.unwrap();
    leaver.write_all(&body[..900_000]).await.unwrap();
    drop(leaver);
    let served = async { while !ask().await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(AT_LAST, served).await.expect("the memory of who has gone was not given back");
    server.stop().await;
}

mod many;
