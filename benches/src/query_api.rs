//! The servers: `query-api` as a user runs it, and the same stack with a handler that gives the same bytes.

use crate::machine;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use http_kit::app::App;
use http_kit::auth::{Authentication, Protection};
use http_kit::shutdown::Shutdown;
use http_kit::{SUNDAY_POSITION, server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Builds binaries as they are released; the path of the first one.
pub fn build(root: &Path, binaries: &[&str]) -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--workspace"])
        .args(binaries.iter().flat_map(|binary| ["--bin", binary]))
        .current_dir(root)
        .status()
        .unwrap();
    assert!(built.success(), "the release build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("release").join(binaries[0])
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// From its start until it said that it is ready.
    pub ready_after: Duration,
}

impl Server {
    pub fn query_api(binary: &Path, data_dir: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(binary);
        command.args(["--query-addr", &address.to_string()]).arg("--data-dir").arg(data_dir);
        Self::start(command, address)
    }

    /// This very program once more, as a server whose handler gives the bytes of a file.
    pub fn empty(bytes: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--child-empty", &address.to_string()]).arg(bytes);
        Self::start(command, address)
    }

    fn start(mut command: Command, address: SocketAddr) -> Self {
        command.env("SUNDAY_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        while TcpStream::connect(address).is_err() || ask(address, "/readyz").0 != 200 {
            assert!(began.elapsed() < Duration::from_secs(300), "the server did not come up");
            assert!(child.try_wait().unwrap().is_none(), "the server has ended");
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { child, address, ready_after: began.elapsed() }
    }

    /// Processor time that it has used, µs.
    pub fn cpu_us(&self) -> f64 {
        machine::cpu_us_of(self.child.id())
    }

    /// Memory of its own, files that are mapped apart; bytes.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// One request on a connection of its own: status and body.
pub fn ask(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, Vec::new()) };
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return (0, Vec::new());
    }
    let mut reader = BufReader::new(stream);
    let (mut line, mut status) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        line.clear();
    }
    let mut body = Vec::new();
    let _ = reader.read_to_end(&mut body);
    (status, body)
}

/// Lines of an answer, counted as they come, chunk by chunk.
pub fn count_lines(address: SocketAddr, path: &str) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let (mut buffer, mut lines) = (vec![0; 256 << 10], 0);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return lines,
            // Every line is an object, and its end is the only place with both bytes: chunks have other line ends.
            read => lines += memchr::memchr_iter(b'\n', &buffer[..read]).count(),
        }
    }
}

/// The ceiling: the frame and the server of every service of ours around a handler that gives bytes that it has.
pub fn serve_empty(address: &str, file: &Path) {
    let bytes = Bytes::from(std::fs::read(file).unwrap());
    let handler = get(async move || {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::ETAG, HeaderValue::from_static("\"0\"")),
            (SUNDAY_POSITION, HeaderValue::from(1_u64)),
        ];
        (headers, bytes)
    });
    let routes = ["/api/v1/items/{id}", "/api/v1/boards/{id}/view", "/api/v1/streams/{id}/events"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, handler.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().unwrap();
        let listener = server::bind(address.parse().unwrap(), Protection::Development).await.unwrap();
        let app = App::new(Authentication::SameMachineOnly).frame(routes);
        server::serve(listener, app, shutdown).await;
    });
}
