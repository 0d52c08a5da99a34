//! The binaries, run as a user would run them.

use crate::http::Client;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Sunday {
    binaries: PathBuf,
    target: PathBuf,
}

impl Sunday {
    pub(crate) fn build(root: &Path) -> Self {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--workspace", "--bins"])
            .current_dir(root)
            .status()
            .unwrap();
        assert!(built.success(), "the release build failed");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Self { binaries: target.join("release"), target }
    }

    pub(crate) fn scratch(&self) -> tempfile::TempDir {
        tempfile::Builder::new().prefix("bench-").tempdir_in(&self.target).unwrap()
    }

    fn command(&self, binary: &str) -> Command {
        let mut command = Command::new(self.binaries.join(binary));
        command.env("SUNDAY_LOG", "warn").stdin(Stdio::null());
        command
    }

    /// Imports a file; the importer's report, with its peak memory.
    pub(crate) fn import(&self, file: &Path, server: &Server) -> Value {
        let mut child = self
            .command("sunday")
            .args(["import", "--json", "--command-url", &format!("http://{}", server.command)])
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut peak = 0.0_f64;
        while child.try_wait().unwrap().is_none() {
            peak = peak.max(peak_mib(child.id()));
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        let mut report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object from import");
        report["peakMib"] = json!(peak);
        report
    }

    /// Number of events and seconds from start to exit.
    pub(crate) fn replay(&self, data: &Path) -> (f64, f64) {
        use std::io::Read;
        let began = Instant::now();
        let mut child = self
            .command("sunday")
            .arg("replay")
            .arg("--data-dir")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut events = 0;
        loop {
            match out.read(&mut buffer).unwrap() {
                0 => break,
                read => events += buffer[..read].iter().filter(|byte| **byte == b'\n').count(),
            }
        }
        assert!(child.wait().unwrap().success());
        (events as f64, began.elapsed().as_secs_f64())
    }

    /// The JSON that a command prints about a data directory, and seconds from start to exit.
    pub(crate) fn timed_json(&self, arguments: &[&str], data: &Path) -> (Value, f64) {
        let began = Instant::now();
        let output = self.command("sunday").args(arguments).arg(data).output().unwrap();
        let seconds = began.elapsed().as_secs_f64();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        (serde_json::from_slice(&output.stdout).unwrap(), seconds)
    }
}

fn peak_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).unwrap_or(0.0)
        / 1024.0
}

/// A running server, stopped in good order by `stop`, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) command: String,
    query: String,
}

impl Server {
    pub(crate) fn serve(sunday: &Sunday, data: &Path) -> Self {
        let (command, query) = (free_address(), free_address());
        let mut process = sunday.command("sunday");
        process
            .arg("serve")
            .args(["--command-addr", &command, "--query-addr", &query])
            .arg("--data-dir")
            .arg(data);
        Self::start(process, command, query)
    }

    pub(crate) fn command_api(sunday: &Sunday, data: &Path) -> Self {
        let command = free_address();
        let mut process = sunday.command("command-api");
        process.args(["--command-addr", &command]).arg("--data-dir").arg(data);
        Self::start(process, command.clone(), command)
    }

    fn start(mut process: Command, command: String, query: String) -> Self {
        let child = process.stdout(Stdio::null()).spawn().unwrap();
        let server = Self { child, command, query };
        let deadline = Instant::now() + Duration::from_secs(30);
        for address in [&server.command, &server.query] {
            while std::net::TcpStream::connect(address.as_str()).is_err()
                || Client::connect(address).get("/readyz").0 != 200
            {
                assert!(Instant::now() < deadline, "the server did not come up");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        server
    }

    pub(crate) fn query_addr(&self) -> &str {
        &self.query
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        peak_mib(self.child.id())
    }

    /// Waits until models and search show everything that the log has.
    pub(crate) fn wait_until_caught_up(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut client = Client::connect(&self.query);
        loop {
            let (_, body) = client.get("/api/v1/projections");
            let answer: Value = serde_json::from_slice(&body).unwrap();
            let projections = answer["projections"].as_array().expect("a list of projections");
            if projections.iter().all(|projection| projection["lag"].as_u64() == Some(0)) {
                return;
            }
            assert!(Instant::now() < deadline, "not caught up: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
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

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
