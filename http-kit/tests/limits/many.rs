//! Ten thousand connections: the server in this process, the clients in another one, since each side of a connection
//! is a descriptor and many systems allow fewer than twice as many to a process.

use super::{AT_LAST, PING, Server, read_one};
use http_kit::limits::LimitSettings;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;

const CONNECTIONS: usize = 10_000;
const ADDR: &str = "SUNDAY_TEST_MANY_ADDR";

/// Descriptors of a process that are none of these connections.
const OTHERS: u64 = 1_100;

/// False where the machine does not allow it, and says so.
fn are_allowed() -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let needed = CONNECTIONS as u64 + OTHERS;
    if maximum.is_some_and(|maximum| maximum < needed) {
        eprintln!(
            "\n!!! SKIPPED: {CONNECTIONS} connections need {needed} open files and this machine allows {maximum:?} \
             (ulimit -Hn)\n"
        );
        return false;
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    true
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Nothing started here outlives a test that fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_are_served() {
    if !are_allowed() {
        return;
    }
    let server = Server::start(LimitSettings::default()).await;
    let before = resident_kib();
    let mut clients = Ended(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "many::clients", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ADDR, server.addr.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = BufReader::new(clients.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let all_are_open = spawn_blocking(move || {
        let all_are_open = said.any(|line| line.ends_with("all are open"));
        // Whoever still writes must not find the pipe closed.
        (all_are_open, said)
    });
    let (all_are_open, said) = tokio::time::timeout(AT_LAST, all_are_open).await.unwrap().unwrap();
    assert!(all_are_open, "the clients ended early");
    let each = resident_kib().saturating_sub(before) * 1024 / CONNECTIONS as u64;
    println!("{each} bytes of memory for each of {CONNECTIONS} idle connections that were used once");
    // Somebody new is served all the same.
    let mut stream = server.connect().await;
    stream.write_all(PING).await.unwrap();
    assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
    clients.0.stdin.take().unwrap().write_all(b"again\n").unwrap();
    let ended = spawn_blocking(move || {
        said.for_each(drop);
        clients.0.wait().unwrap()
    });
    assert!(tokio::time::timeout(AT_LAST, ended).await.unwrap().unwrap().success());
    server.stop().await;
}

/// The other process of the test above: opens all connections, uses each, and once more when it is told to.
#[ignore = "started by ten_thousand_connections_are_served"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients() {
    let Ok(addr) = std::env::var(ADDR) else { return };
    let addr: SocketAddr = addr.parse().unwrap();
    assert!(are_allowed());
    let mut tasks = Vec::new();
    for _ in 0..16 {
        tasks.push(tokio::spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..CONNECTIONS / 16 {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(PING).await.unwrap();
                assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
                streams.push(stream);
            }
            streams
        }));
    }
    let mut streams = Vec::new();
    for task in tasks {
        streams.extend(task.await.unwrap());
    }
    assert_eq!(streams.len(), CONNECTIONS);
    println!("\nall are open");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line, "again\n");
    for stream in &mut streams {
        stream.write_all(PING).await.unwrap();
    }
    for stream in &mut streams {
        assert!(read_one(stream).await.starts_with("HTTP/1.1 200"));
    }
}
