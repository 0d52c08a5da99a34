//! Promise: `sunday follow` keeps a copy of another Sunday's log that is the same byte for byte, whatever happens to
//! either process; the copy answers queries while it follows, and can be promoted to go on by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use serde_json::json;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::{Client, Process, Sunday, command, history, import, oracle, run, verify};

/// How long something may take on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(90);

fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn url(client: Client) -> String {
    format!("http://{}", client.addr)
}

fn follow(source: &str, data: &Path) -> Process {
    let mut process = command("sunday");
    process.args(["follow", source, "--data-dir"]).arg(data);
    Process::start("sunday follow", &mut process, data.join("follow.stderr"))
}

/// The bytes of the segments that are in use, up to the last byte that is not zero.
fn used(data: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(data.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    let files = paths.iter().map(|path| fs::read(path).unwrap());
    files
        .map(|mut bytes| {
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            bytes
        })
        .filter(|bytes| !bytes.is_empty())
        .collect()
}

/// A quiet source still writes a mark; then both are the same.
fn wait_until_identical(source: &Path, standby: &Path) {
    let started = Instant::now();
    while used(source) != used(standby) {
        assert!(started.elapsed() < TIME_MAX, "the standby does not get to where its source is");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn position(query: Client) -> u64 {
    query.try_get("/api/v1/events?limit=1").map_or(0, |answer| answer.position())
}

fn wait_for_position(query: Client, wanted: u64) {
    let started = Instant::now();
    while position(query) < wanted {
        assert!(started.elapsed() < TIME_MAX, "position {wanted} is not reached");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_standby_follows_through_a_kill_and_goes_on_by_itself() {
    let history = history("issues-small.jsonl.gz");
    let expected = oracle::read(&history);
    let [first, second, third] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let source = Sunday::serve(first.path());
    let follower = follow(&url(source.query), second.path());

    // A query API on the standby, as on any data directory: it waits for the log to appear.
    let local = Client { addr: free_addr(), token: None };
    let mut process = command("query-api");
    process.arg("--data-dir").arg(second.path()).args(["--query-addr", &local.addr.to_string()]);
    let reader = Process::start("query-api", &mut process, second.path().join("query-api.stderr"));

    let mut running = command("sunday")
        .arg("import")
        .arg(&history)
        .args(["--command-url", &source.command_url()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_position(local, 1_000);
    follower.kill();
    assert!(running.wait().unwrap().success());
    let imported = source.settled_position();
    let follower = follow(&url(source.query), second.path());
    wait_for_position(local, imported);
    wait_until_identical(first.path(), second.path());
    expected.compare(local);
    assert_eq!(verify(second.path()).0, 0, "while it follows");

    // A projector makes an index there, and no key: the log is its source's.
    let mut process = command("projector");
    process.arg("--data-dir").arg(second.path());
    let projector = Process::start("projector", &mut process, second.path().join("projector.stderr"));
    let search = format!("/api/v1/search?q=x&minPosition={imported}&timeoutMs=30000");
    let started = Instant::now();
    while local.try_get(&search).unwrap().status != 200 {
        assert!(started.elapsed() < TIME_MAX, "{}", projector.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    projector.stop();
    assert!(first.path().join("keys/audit.key").exists() && !second.path().join("keys/audit.key").exists());

    // Nobody else writes there.
    let refused = run(&["promote", "--data-dir", second.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    let mut writer = command("command-api");
    let refused = writer.arg("--data-dir").arg(second.path()).args(["--command-addr", "127.0.0.1:0"]);
    let refused = refused.output().unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("standby") && said.contains("sunday promote"), "{said}");

    // The source is gone; the standby waits, until somebody decides.
    source.kill();
    follower.stop();
    let (exit, report) = verify(second.path());
    assert_eq!((exit, &report["events"]), (0, &imported.into()), "{report}");
    let promoted = run(&["promote", "--data-dir", second.path().to_str().unwrap(), "--json"]);
    assert!(promoted.status.success(), "{}", String::from_utf8_lossy(&promoted.stderr));
    let promoted: serde_json::Value = serde_json::from_slice(&promoted.stdout).unwrap();
    assert_eq!(promoted["position"], imported);

    let leader = Sunday::serve(second.path());
    // It remembers every command of its source.
    expected.check_second_import(&import(&history, &leader.command_url()));
    let body = json!({ "name": "after the promotion" });
    let answer = leader.command.post("/api/v1/workspaces", &body).unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    // Without its source's key it signs in a name of its own.
    let started = Instant::now();
    let signed = loop {
        if let Some(answer) = leader.query.try_get("/checkpoint").ok().filter(|answer| answer.status == 200) {
            break String::from_utf8(answer.body).unwrap();
        }
        assert!(started.elapsed() < TIME_MAX, "nothing is signed");
        std::thread::sleep(Duration::from_millis(50));
    };
    let store = promoted["store"].as_str().unwrap();
    let name = format!("sunday/{store}/promoted-at-{imported}-");
    assert!(signed.starts_with(&name), "{signed}");
    // And the query API that was there all the time reads it.
    let read = |query: Client| {
        let path = format!("/api/v1/workspaces?minPosition={}&timeoutMs=30000", answer.position());
        String::from_utf8(query.get(&path).body).unwrap()
    };
    assert!(read(leader.query).contains("after the promotion"));
    assert!(read(local).contains("after the promotion"));
    reader.stop();

    // Another standby follows the new leader, and does not take the old one for it.
    let follower = follow(&url(leader.query), third.path());
    let started = Instant::now();
    while !follower.said().contains("caught up") {
        assert!(started.elapsed() < TIME_MAX, "{}", follower.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_until_identical(second.path(), third.path());
    follower.stop();
    let old = Sunday::serve(first.path());
    let answer = old.command.post("/api/v1/workspaces", &json!({ "name": "too late" })).unwrap();
    assert_eq!(answer.status, 201);
    let strayed = run(&["follow", &url(old.query), "--data-dir", third.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&strayed.stderr).into_owned();
    assert_eq!(strayed.status.code(), Some(1), "{said}");
    assert!(said.contains("histories part at position"), "{said}");
    let other = tempfile::tempdir().unwrap();
    let stranger = Sunday::serve(other.path());
    let strayed = run(&["follow", &url(stranger.query), "--data-dir", third.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&strayed.stderr).into_owned();
    assert!(strayed.status.code() == Some(1) && said.contains("store"), "{said}");
    for sunday in [leader, old, stranger] {
        sunday.stop();
    }
    for data in [first.path(), second.path(), third.path()] {
        let (exit, report) = verify(data);
        assert_eq!(exit, 0, "{report}");
    }
}

#[test]
fn where_nobody_can_be_followed_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("standby");
    let follow = |url: &str| {
        let refused = run(&["follow", url, "--data-dir", data.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(!data.exists());
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    let said = follow(&format!("http://{}", free_addr()));
    assert!(said.contains("nobody to follow") && said.contains("refused"), "{said}");
    let source = tempfile::tempdir().unwrap();
    let source = Sunday::serve(source.path());
    let said = follow(&source.command_url());
    assert!(said.contains("is this the address of a query API?"), "{said}");
    source.stop();
}
