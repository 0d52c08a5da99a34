//! The servers: `command-api` as a user runs it, and the same stack with a handler that does nothing.

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::post;
use benches::machine;
use http_kit::app::App;
use http_kit::auth::AuthSettings;
use http_kit::json::JsonBytes;
use http_kit::shutdown::Shutdown;
use http_kit::{SUNDAY_POSITION, server};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Builds `command-api` as it is released; the path of the binary.
pub(crate) fn build(root: &Path) -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--workspace", "--bin", "command-api"])
        .current_dir(root)
        .status()
        .unwrap();
    assert!(built.success(), "the release build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("release/command-api")
}

/// A running server. Killed when dropped, stopped in good order by `stop`.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
}

impl Server {
    pub(crate) fn command_api(binary: &Path, data_dir: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(binary);
        command.args(["--command-addr", &address.to_string()]).arg("--data-dir").arg(data_dir);
        Self::start(command, address, data_dir)
    }

    /// This very program once more, as a server whose handler does nothing.
    pub(crate) fn empty(dir: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--child-empty", &address.to_string()]).arg(dir);
        Self::start(command, address, dir)
    }

    fn start(mut command: Command, address: SocketAddr, data_dir: &Path) -> Self {
        command.env("SUNDAY_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // The copies of development tokens for programs of the same user are none of a bench's business.
        command.env("XDG_STATE_HOME", data_dir.join("state"));
        let mut server = Self { child: command.spawn().unwrap(), address, token: None };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() || ask(address, None, "GET", "/readyz", "").0 != 200 {
            assert!(Instant::now() < deadline, "the server did not come up");
            assert!(server.child.try_wait().unwrap().is_none(), "the server has ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        let token = std::fs::read_to_string(data_dir.join("keys/development.token")).unwrap();
        server.token = Some(token.trim().to_owned());
        server
    }

    /// Posts a body and returns the answer's.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = ask(self.address, self.token.as_deref(), "POST", path, &body.to_string());
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Processor time that it has used, µs.
    pub(crate) fn cpu_us(&self) -> f64 {
        machine::cpu_us_of(self.child.id())
    }

    pub(crate) fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "the server did not stop in good order");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// One request on a connection of its own: status and JSON body.
fn ask(address: SocketAddr, token: Option<&str>, method: &str, path: &str, body: &str) -> (u16, Value) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, Value::Null) };
    let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {token}content-length: {length}\r\n\r\n{body}"
    );
    if stream.write_all(request.as_bytes()).is_err() {
        return (0, Value::Null);
    }
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut status = 0;
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        line.clear();
    }
    let mut body = String::new();
    let _ = reader.read_to_string(&mut body);
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// The ceiling: the frame and the server of every service of ours around a handler that takes in the body and answers
/// as a command is answered. Runs until it is told to stop.
pub(crate) fn serve_empty(address: &str, data_dir: &Path) {
    const ANSWER: &str =
        r#"{"id":"0197a3c0-0000-7000-8000-000000000000","version":0,"position":1,"status":"applied"}"#;
    let handler = post(async |JsonBytes(body): JsonBytes| {
        std::hint::black_box(&body);
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::ETAG, HeaderValue::from_static("\"0\"")),
            (
                header::LOCATION,
                HeaderValue::from_static("/api/v1/items/0197a3c0-0000-7000-8000-000000000000"),
            ),
            (SUNDAY_POSITION, HeaderValue::from(1_u64)),
        ];
        (StatusCode::CREATED, headers, ANSWER)
    });
    let routes = ["/api/v1/items", "/api/v1/batch", "/api/v1/streams/{stream}/events"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, handler.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().unwrap();
        // It looks at the development token, as the real one does.
        let plan = AuthSettings::default().plan().unwrap();
        let address = address.parse().unwrap();
        let listener = server::bind(address, plan.protection()).await.unwrap();
        let door = plan.open(data_dir, address).await.unwrap();
        server::serve(listener, App::new(door.authentication()).frame(routes), shutdown).await;
    });
}
