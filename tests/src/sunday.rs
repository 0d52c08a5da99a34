//! Sunday as a person runs it: one process or three, and the commands of the `sunday` binary.

use crate::client::Client;
use crate::process::{Process, command, free_addr};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The command and query APIs on one data directory, in one process or in three.
#[derive(Debug)]
pub struct Sunday {
    processes: Vec<Process>,
    /// Of each, where they are three.
    names: Vec<String>,
    data_dir: PathBuf,
    /// The command API.
    pub command: Client,
    /// The query API.
    pub query: Client,
}

impl Sunday {
    /// `sunday serve`, ready.
    #[must_use]
    pub fn serve(data_dir: &Path) -> Self {
        Self::serve_with(data_dir, &[])
    }

    /// `sunday serve` with further arguments, ready.
    #[must_use]
    pub fn serve_with(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::serve_at(data_dir, free_addr(), arguments)
    }

    fn serve_at(data_dir: &Path, command_addr: SocketAddr, arguments: &[&str]) -> Self {
        let query_addr = free_addr();
        let mut serve = command("sunday");
        serve.arg("serve").arg("--data-dir").arg(data_dir);
        serve.args(["--command-addr", &command_addr.to_string(), "--query-addr", &query_addr.to_string()]);
        serve.args(arguments);
        let process = Process::start("sunday serve", &mut serve, data_dir.join("serve.stderr"));
        Self::ready(data_dir, vec![process], command_addr, query_addr)
    }

    /// `sunday serve` with further arguments, its command API on every address of the machine; ready.
    #[must_use]
    pub fn serve_everywhere(data_dir: &Path, arguments: &[&str]) -> Self {
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, free_addr().port()));
        Self::serve_at(data_dir, everywhere, arguments)
    }

    /// The three processes, started in this order of `command-api`, `projector` and `query-api`; ready.
    #[must_use]
    pub fn three_processes(data_dir: &Path, order: [&str; 3]) -> Self {
        Self::processes(data_dir, &order)
    }

    /// A command API and a query API in processes of their own, ready; nobody keeps an index or images.
    #[must_use]
    pub fn without_projector(data_dir: &Path) -> Self {
        Self::processes(data_dir, &["command-api", "query-api"])
    }

    fn processes(data_dir: &Path, order: &[&str]) -> Self {
        let (command_addr, query_addr) = (free_addr(), free_addr());
        let start = |name: &str| {
            let mut process = one_of_three(name, data_dir, command_addr, query_addr);
            Process::start(name, &mut process, data_dir.join(format!("{name}.stderr")))
        };
        let processes = order.iter().map(|name| start(name)).collect();
        let mut sunday = Self::ready(data_dir, processes, command_addr, query_addr);
        sunday.names = order.iter().map(|name| (*name).to_owned()).collect();
        sunday
    }

    fn ready(data_dir: &Path, mut processes: Vec<Process>, command: SocketAddr, query: SocketAddr) -> Self {
        let mut command = Client { addr: command, token: None };
        let query = Client { addr: query, token: None };
        let is_ready = |client: Client| client.try_get("/readyz").is_ok_and(|answer| answer.status == 200);
        let Some(first) = processes.first_mut() else { panic!("no process") };
        first.wait_until("both APIs are ready", || is_ready(command) && is_ready(query));
        let token = std::fs::read_to_string(data_dir.join("keys/development.token"));
        // A test's process ends soon, and clients are copied about.
        command.token = token.ok().map(|token| &*token.trim().to_owned().leak());
        Self { processes, names: Vec::new(), data_dir: data_dir.to_owned(), command, query }
    }

    /// The command API's URL.
    #[must_use]
    pub fn command_url(&self) -> String {
        format!("http://{}", self.command.addr)
    }

    /// The query API's URL.
    #[must_use]
    pub fn query_url(&self) -> String {
        format!("http://{}", self.query.addr)
    }

    /// The number of events in the log, once the read models have them all. The writer is asked how many there are, by
    /// its control page (`eventstore/FORMAT.md`): a reader may be behind.
    #[must_use]
    pub fn settled_position(&self) -> u64 {
        let page = std::fs::read(self.data_dir.join("control/log")).expect("a control page");
        let published = page[56..64].try_into().expect("eight bytes");
        let position = u64::from_le_bytes(published);
        let path = format!("/api/v1/workspaces?minPosition={position}&timeoutMs=30000");
        assert!(self.query.get(&path).position() >= position);
        position
    }

    /// SIGKILL for one of them, which is started once more; what it has not saved is gone.
    pub fn kill_and_restart(&mut self, name: &str) {
        let at = self.names.iter().position(|known| known == name).expect("one of ours");
        let (process, started) = (self.processes.remove(at), self.names.remove(at));
        process.kill();
        self.processes.push(self.start_again(&started));
        self.names.push(started);
    }

    fn start_again(&self, name: &str) -> Process {
        let stderr = self.data_dir.join(format!("{name}-again.stderr"));
        let (command, query) = (self.command.addr, self.query.addr);
        Process::start(name, &mut one_of_three(name, &self.data_dir, command, query), stderr)
    }

    /// Stops everything cleanly.
    pub fn stop(self) {
        // The reverse of a sensible order of starting, though any has to do.
        for process in self.processes.into_iter().rev() {
            process.stop();
        }
    }

    /// SIGKILL for everything.
    pub fn kill(self) {
        for process in self.processes {
            process.kill();
        }
    }
}

fn one_of_three(name: &str, data_dir: &Path, command_addr: SocketAddr, query_addr: SocketAddr) -> Command {
    let mut process = command(name);
    process.arg("--data-dir").arg(data_dir);
    match name {
        "command-api" => process.args(["--command-addr", &command_addr.to_string()]),
        "query-api" => process.args(["--query-addr", &query_addr.to_string()]),
        "projector" => process.args(["--command-url", &format!("http://{command_addr}")]),
        _ => &mut process,
    };
    process
}

/// Runs the `sunday` binary to its end.
#[must_use]
pub fn run(arguments: &[&str]) -> Output {
    command("sunday").args(arguments).output().expect("sunday starts")
}

/// `sunday import FILE --json`, which must succeed; checks that the sums add up.
#[must_use]
pub fn import(file: &Path, command_url: &str) -> Value {
    let file = file.to_str().expect("a path in UTF-8");
    let output = run(&["import", file, "--command-url", command_url, "--json"]);
    assert!(output.status.success(), "import: {}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("one JSON object on stdout");
    let sum = |names: &[&str]| -> u64 { names.iter().map(|name| summary[name].as_u64().expect(name)).sum() };
    assert_eq!(sum(&["lines"]), sum(&["applied", "unchanged", "duplicate", "rejected"]), "{summary}");
    let rejections = summary["rejections"].as_array().expect("a list of rejections");
    assert_eq!(rejections.len() as u64, sum(&["rejected"]), "every rejection is explained");
    summary
}

/// `sunday verify --json`: the exit code and the report.
#[must_use]
pub fn verify(data_dir: &Path) -> (i32, Value) {
    let output = run(&["verify", "--data-dir", data_dir.to_str().expect("a path in UTF-8"), "--json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    });
    (output.status.code().expect("verify is not killed"), report)
}
