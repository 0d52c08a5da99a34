//! How live streams end: with the service, with the server, and with the token.

use super::{Client, DEADLINE, request};
use crate::fixture::Fixture;
use crate::history::append_many;
use eventstore::Store;
use http_kit::auth::{Principal, Scopes, Tenants};
use http_kit::server;
use http_kit::shutdown::Shutdown;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_they_are_closed() {
    let fixture = Fixture::new();
    append_many(&fixture.store, "raw-1", 3);
    let mut waits = Client::open(&fixture, "").await;
    let mut lags = Client::open(&fixture, "from=0").await;
    let waiting =
        tokio::spawn(async move { (waits.message().await, waits.message().await, waits.message().await) });
    fixture.service.end_live_streams();
    let (news, bye, end) = waiting.await.unwrap();
    assert_eq!(news.unwrap().comments, ["at 3"]);
    assert_eq!((bye.unwrap().comments, end), (vec!["bye".to_owned()], None));
    while let Some(message) = lags.message().await {
        assert!(message.data.is_none());
    }
    let mut late = Client::open(&fixture, "from=0").await;
    while let Some(message) = late.message().await {
        assert!(message.data.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_token_has_to_be_looked_at_again() {
    let fixture = Fixture::new();
    append_many(&fixture.store, "raw-1", 3);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for until_s in [now_s, now_s + 2] {
        let mut request = request("from=3");
        let principal = Principal::new("ann", Tenants::All, Scopes::default()).until(until_s);
        request.extensions_mut().insert(principal);
        let mut client = Client::send(&fixture, request).await;
        let news = client.message().await.unwrap();
        assert_eq!(news.comments, ["at 3"]);
        let bye = client.message().await.unwrap();
        assert_eq!((bye.comments, client.message().await), (vec!["bye".to_owned()], None));
    }
}

async fn begin(addr: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads on until `text` has come.
async fn read_until(stream: &mut TcpStream, seen: &mut String, text: &str) {
    let mut bytes = [0; 4096];
    while !seen.contains(text) {
        let read =
            tokio::time::timeout(DEADLINE, stream.read(&mut bytes)).await.expect("something comes").unwrap();
        assert_ne!(read, 0, "it ended before {text:?}: {seen}");
        seen.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_socket_events_come_at_once_and_a_stop_ends_them() {
    let fixture = Fixture::new();
    let shutdown = Shutdown::new();
    let listener =
        server::bind("127.0.0.1:0".parse().unwrap(), http_kit::auth::Protection::Development).await.unwrap();
    let addr = listener.local_addr().unwrap();
    fixture.service.end_live_streams_at(shutdown.clone());
    let router = crate::fixture::router(fixture.service.clone());
    let served = tokio::spawn(server::serve(listener, router, shutdown.clone()));

    let (mut stream, mut seen) = (begin(addr, "/api/v1/events/live").await, String::new());
    read_until(&mut stream, &mut seen, ": at 0\n\n").await;
    append(&fixture.store);
    read_until(&mut stream, &mut seen, "\"position\":0").await;
    append(&fixture.store);
    read_until(&mut stream, &mut seen, "\"position\":1").await;
    shutdown.trigger();
    // A stream that was cut off would have no last chunk.
    read_until(&mut stream, &mut seen, ": bye\n\n\r\n0\r\n\r\n").await;
    tokio::time::timeout(DEADLINE, served).await.expect("the server stops").unwrap();
}

fn append(store: &Store) {
    append_many(store, "raw-1", 1);
}
