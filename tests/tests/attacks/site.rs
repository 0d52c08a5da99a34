//! A store as Sunday left it, of several segments, with everything derived from it; and copies of it to be attacked.

use crate::forge::{Log, segments};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;
use tests::{Sunday, copy, history, import, run};

/// Segments of the store.
pub(crate) const SEGMENTS: usize = 4;
/// Changes of one thing: enough for a snapshot of it.
const CHANGES: usize = 130;
/// A name that stands nowhere else.
pub(crate) const NAME: &str = "Quartzite Works";

/// The store, and what somebody has kept of it elsewhere.
pub(crate) struct Base {
    dir: TempDir,
    /// A checkpoint of last month.
    pub(crate) kept: PathBuf,
    /// The newest one.
    pub(crate) newest: PathBuf,
    /// The verifier key.
    pub(crate) key: String,
    /// The search index as it was before the last changes.
    pub(crate) old_search: PathBuf,
    /// The log.
    pub(crate) log: Log,
    /// What `verify` said of it.
    pub(crate) report: Value,
}

pub(crate) static BASE: LazyLock<Base> = LazyLock::new(build);

fn build() -> Base {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let sunday = Sunday::serve(&data);
    let _ = import(&history("issues-small.jsonl.gz"), &sunday.command_url());
    let _ = sunday.settled_position();
    sunday.stop();
    let kept = dir.path().join("kept.note");
    fs::copy(data.join("tree/checkpoint"), &kept).unwrap();

    // Several segments, by the forger's own tools: what they make of an honest log is an honest log.
    Log::read(&data).write(&data, SEGMENTS);
    let sunday = Sunday::serve(&data);
    let _ = sunday.settled_position();
    sunday.stop();
    let old_search = dir.path().join("old-search");
    copy(&data.join("search"), &old_search);

    let sunday = Sunday::serve(&data);
    changes(&sunday);
    let _ = sunday.settled_position();
    sunday.stop();
    let newest = dir.path().join("newest.note");
    fs::copy(data.join("tree/checkpoint"), &newest).unwrap();
    // Prepared and unused: it would be copied with every attack.
    for path in segments(&data) {
        if fs::read(&path).unwrap().iter().all(|byte| *byte == 0) {
            fs::remove_file(path).unwrap();
        }
    }
    let key = fs::read_to_string(data.join("keys/audit.pub")).unwrap().trim().to_owned();
    let log = Log::read(&data);
    let (exit, report) = verify(&data, &[]);
    assert_eq!(exit, 0, "what was forged from an honest log is honest: {report:#}");
    for (what, count) in [
        ("checkpoints", &report["checkpoints"]["proven"]),
        ("index runs", &report["index"]["compared"]),
        ("snapshots", &report["snapshots"]["compared"]),
        ("leaves", &report["tree"]["leaves"]),
    ] {
        assert!(count.as_u64().unwrap() > 0, "there are {what} to be attacked: {report:#}");
    }
    assert_eq!(report["projections"].as_array().unwrap().len(), 4, "{report:#}");
    Base { dir, kept, newest, key, old_search, log, report }
}

fn changes(sunday: &Sunday) {
    let post = |path: &str, body: Value| {
        let answer = sunday.command.post(path, &body).unwrap();
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let workspace = post("/api/v1/workspaces", json!({ "name": NAME }));
    let project = post("/api/v1/projects", json!({ "workspaceId": workspace, "name": "Website" }));
    let board = post(
        "/api/v1/boards",
        json!({ "projectId": project, "name": "Sprint", "columns": [{ "name": "To do" }] }),
    );
    let item = post("/api/v1/items", json!({ "boardId": board, "title": "Header" }));
    for number in 0..CHANGES {
        let path = format!("/api/v1/items/{item}");
        let answer =
            sunday.command.send_json("PATCH", &path, &json!({ "title": format!("Header {number}") }));
        assert_eq!(answer.unwrap().status, 200);
    }
}

/// `sunday verify --json` with further arguments: the exit code and the report.
pub(crate) fn verify(data: &Path, arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["verify", "--data-dir", data.to_str().unwrap(), "--json"];
    all.extend(arguments);
    let output = run(&all);
    let told = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    (output.status.code().unwrap(), report)
}

/// A copy of the store, to be attacked.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&BASE.dir.path().join("data"), dir.path());
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file below it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The file of a directory that has exactly one with this ending.
    pub(crate) fn only(&self, dir: &str, ending: &str) -> PathBuf {
        let entries = fs::read_dir(self.file(dir)).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
        found.sort();
        assert!(!found.is_empty(), "{dir} has a file …{ending}");
        found.remove(0)
    }

    /// The generation of derived data that is in use.
    pub(crate) fn current(&self, kind: &str) -> String {
        let name = fs::read_to_string(self.file(kind).join("CURRENT")).unwrap();
        format!("{kind}/{}", name.trim())
    }

    /// Changes the bytes of a file.
    pub(crate) fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    /// Puts a log in place of the one that is there, as a careful forger does.
    pub(crate) fn forge(&self, change: impl FnOnce(&mut Log)) -> (Log, [u8; 32]) {
        let mut log = BASE.log.clone();
        change(&mut log);
        let chain = log.write(self.path(), SEGMENTS);
        (log, chain)
    }

    /// What `verify` makes of it: the exit code and this class among what it found.
    #[track_caller]
    pub(crate) fn expect(&self, arguments: &[&str], exit: i32, class: &str) -> Value {
        let (found, report) = verify(self.path(), arguments);
        let told = brief(&report);
        assert!(classes(&report).contains(class), "{class} was expected: {told}");
        assert_eq!((found, &report["exit"]), (exit, &exit.into()), "{told}");
        report
    }

    /// That nothing but warnings is found, these among them: this cannot be told from what the directory holds.
    #[track_caller]
    pub(crate) fn expect_untold(&self, arguments: &[&str]) -> Value {
        let (exit, report) = verify(self.path(), arguments);
        assert_eq!(exit, 0, "{}", brief(&report));
        report
    }
}

/// The classes of what was found.
pub(crate) fn classes(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["class"].as_str().unwrap().to_owned()).collect()
}

/// The first findings, for messages.
fn brief(report: &Value) -> String {
    let findings = report["findings"].as_array().unwrap();
    let first: Vec<_> = findings.iter().take(8).map(Value::to_string).collect();
    format!("{} findings:\n{}", findings.len(), first.join("\n"))
}
