//! A process under test, killed when the test is done with it, however that ends.

use crate::binaries::{binary, state_home};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to get ready, or to stop. Generous, because the machine may be busy with other tests.
const TIME_MAX: Duration = Duration::from_secs(90);

/// A running process. What it says on stderr is kept and shown when a test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; its stderr goes to the file `log`.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, log: PathBuf) -> Self {
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let child = command
            .env("SUNDAY_LOG", "info,tantivy=warn")
            .stdin(Stdio::null())
            .stdout(stderr.try_clone().expect("a second handle"))
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Waits until `ready` says so.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        let started = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("{} ended with {status} before {what}:\n{}", self.name, self.said());
            }
            assert!(started.elapsed() < TIME_MAX, "{}: {what} takes too long:\n{}", self.name, self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a person would, and expects a clean end.
    pub fn stop(mut self) {
        self.signal("-TERM");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                assert!(status.success(), "{} stopped with {status}:\n{}", self.name, self.said());
                return;
            }
            assert!(started.elapsed() < TIME_MAX, "{} does not stop:\n{}", self.name, self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as a power cut would (SIGKILL), as far as the process can tell.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill starts");
        assert!(status.success(), "kill {signal} {pid}: {status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.said());
        }
    }
}

/// A binary of the workspace, with a directory for its state beside the binaries, and none of the settings of whoever runs
/// the tests.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SUNDAY_")) {
            command.env_remove(name);
        }
    }
    command.env("XDG_STATE_HOME", state_home());
    command
}

/// A loopback address that was free a moment ago.
#[must_use]
pub fn free_addr() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address")
}
