//! Thousands who wait cost next to nothing, and nobody is woken by what is none of theirs. Ten thousand of them take a slow machine a
//! minute: `SUNDAY_TEST_CROWD=10000 cargo test --workspace --test api -- --nocapture crowd`.

use crate::history::{NOW, World, append_raw};
use crate::process::{Running, get, line_with};
use eventstore::{ContentType, Store, StoreOptions};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Subscribers that wait, where there are descriptors enough for them.
fn crowd() -> usize {
    std::env::var("SUNDAY_TEST_CROWD").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

fn open(addr: &str, query: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET /api/v1/events/live?{query} HTTP/1.1\r\nhost: {addr}\r\n\r\n")?;
    Ok(stream)
}

/// Reads until some text has come.
fn read_until(stream: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..read]);
    }
}

fn figure(addr: &str, name: &str) -> u64 {
    let metrics = get(addr, "/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

/// How many the descriptors of this process and of the server are enough for: the server raises its own limit, and keeps
/// some back.
fn as_many_as_may_be() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or("1024 4096");
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
    let (own, servers) = (numbers.next().unwrap_or(1_024), numbers.next().unwrap_or(1_024));
    crowd().min(own.saturating_sub(256)).min(servers.saturating_sub(1_024 + 16).max(32))
}

/// What a process has in memory, KiB.
fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wait_and_nobody_is_woken_by_what_is_none_of_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() };
    let store = Store::open(dir.path(), &options).unwrap();
    let world = World::create(&store, "acme");
    let child = Command::new(env!("CARGO_BIN_EXE_query-api"))
        .args(["--query-addr", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .env_remove("SUNDAY_CONFIG")
        .env("SUNDAY_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut lines = BufReader::new(running.0.stderr.take().unwrap());
    let url = line_with(&mut lines, "url=http://");
    let addr = url.split_whitespace().next().unwrap().to_owned();
    // What it says goes on being read, or it would wait for that.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let process = running.0.id();

    let before = resident_kib(process);
    let (wanted, all) = (as_many_as_may_be(), crowd());
    if wanted < all {
        eprintln!("ONLY {wanted} OF {all} SUBSCRIBERS: the limit of open files allows no more (ulimit -n)");
    }
    // None of them by a board or an item: by what is done, and by who does it.
    let query = |number: usize| match number % 2 {
        0 => format!("type=thing.made_{number}"),
        _ => format!("person=p{number}"),
    };
    let mut crowd: Vec<TcpStream> = (0..wanted).map(|number| open(&addr, &query(number)).unwrap()).collect();
    for stream in &mut crowd {
        read_until(stream, "retry: 1000");
    }
    let seated = figure(&addr, "sunday_live_subscribers ");
    assert_eq!(seated, wanted as u64);
    if let (Some(before), Some(after)) = (before, resident_kib(process)) {
        let bytes = (after.saturating_sub(before) << 10) / seated;
        eprintln!("{seated} subscribers that wait: {bytes} bytes of the server's memory each");
    }

    let wakes = figure(&addr, "sunday_live_wakes_total ");
    let mut witness = open(&addr, "tag=raw:1").unwrap();
    read_until(&mut witness, "retry: 1000");
    let rounds = 20;
    for number in 0..rounds {
        world.item(&store, &format!("A-{number}"), "i", "x", NOW);
        append_raw(&store, "raw-1", ContentType::Json, b"", format!("\"round {number}.\"").as_bytes());
        // Commits are looked at in their order, so that of the item has been looked at as well.
        read_until(&mut witness, &format!("round {number}."));
    }
    let woken = figure(&addr, "sunday_live_wakes_total ") - wakes;
    assert!(
        (1..=rounds).contains(&woken),
        "{woken} wakes by {rounds} commits for one and {rounds} for nobody"
    );
    assert_eq!(figure(&addr, "sunday_live_subscribers "), seated + 1, "they are all still there");
}
