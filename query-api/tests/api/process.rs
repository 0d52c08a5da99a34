//! The binary beside a writer of another process: it waits for the log, follows it, and ends when it is asked to.

use crate::history::{NOW, World};
use eventstore::{Store, StoreOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

/// Ends the process whatever becomes of the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads log lines up to the one that has `text`, and gives what stands behind it there.
pub(crate) fn line_with(lines: &mut BufReader<ChildStderr>, text: &str) -> String {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "the process ended before it said {text:?}: {seen}"
        );
        if let Some((_, rest)) = line.split_once(text) {
            return rest.trim().to_owned();
        }
        seen.push_str(&line);
    }
}

pub(crate) fn get(addr: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_waits_for_the_log_and_follows_it() {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_query-api"))
        .args(["--query-addr", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("data"))
        .env_remove("SUNDAY_CONFIG")
        .env("SUNDAY_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut lines = BufReader::new(running.0.stderr.take().unwrap());
    line_with(&mut lines, "there is no log yet");

    let options = StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() };
    let store = Store::open(&dir.path().join("data"), &options).unwrap();
    let world = World::create(&store, "acme");
    let url = line_with(&mut lines, "url=http://");
    let addr = url.split_whitespace().next().unwrap();

    let item = world.item(&store, "A-1", "i", "from another process", NOW);
    let answer =
        get(addr, &format!("/api/v1/items/{item}?minPosition={}&timeoutMs=30000", store.watermark()));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("from another process"), "{answer}");
    let answer = get(addr, &format!("/api/v1/events?from=3&minPosition={}", store.watermark()));
    assert!(answer.contains("sunday-position: 4") && answer.contains("item.created"), "{answer}");
    assert!(get(addr, "/readyz").starts_with("HTTP/1.1 200"));

    let mut live = TcpStream::connect(addr).unwrap();
    live.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    write!(live, "GET /api/v1/events/live?from=0 HTTP/1.1\r\nhost: {addr}\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("item.created") {
        let mut bytes = [0; 4096];
        let read = live.read(&mut bytes).unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..read]);
    }

    let ended = Command::new("kill").arg("-TERM").arg(running.0.id().to_string()).status().unwrap();
    assert!(ended.success());
    live.read_to_end(&mut seen).unwrap();
    assert!(seen.ends_with(b": bye\n\n\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&seen));
    assert!(running.0.wait().unwrap().success(), "a stop that was asked for is no failure");
}

#[test]
fn an_address_for_everybody_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_query-api"))
        .args(["--query-addr", "0.0.0.0:0", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("not a loopback address"), "{said}");
}
