//! The `sunday` binary, and the data directories that it is tried on.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;
use tests::{Sunday, copy, history, import, run};

/// Runs a command of which `--json` is asked: its exit code and its one object. Without an object there is a reason on stderr.
pub(crate) fn json(arguments: &[&str]) -> (i32, Value) {
    let output = run(&[arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let code = output.status.code().unwrap_or_else(|| panic!("{arguments:?} was killed: {stderr}"));
    if text.is_empty() {
        // What the command line itself refuses is said in the words of its parser.
        let is_said = stderr.starts_with("sunday: ") || code == 2 && stderr.starts_with("error: ");
        assert!(code != 0 && is_said, "{arguments:?}: {code}: {stderr}");
        return (code, Value::String(stderr));
    }
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(value.is_object(), "{value}");
    (code, value)
}

/// The same without `--json`: its exit code and what it says, on either stream.
pub(crate) fn text(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A history that a server has taken in and left in good order, with a checkpoint signed of all of it: each time a copy.
pub(crate) fn quiet() -> TempDir {
    static FIRST: OnceLock<TempDir> = OnceLock::new();
    let first = FIRST.get_or_init(|| {
        let data = tempfile::tempdir().unwrap();
        let sunday = Sunday::serve(data.path());
        let _ = import(&history("issues-small.jsonl.gz"), &sunday.command_url());
        let _ = sunday.settled_position();
        sunday.stop();
        data
    });
    let copied = tempfile::tempdir().unwrap();
    copy(first.path(), copied.path());
    copied
}

/// The events of a log, as lines.
pub(crate) fn lines(data: &Path) -> Vec<String> {
    let output = run(&["replay", "--data-dir", path(data)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn segment(data: &Path) -> PathBuf {
    data.join("log/0000000000.seg")
}

/// Where the frames of a segment end.
pub(crate) fn used(path: &Path) -> usize {
    fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// Changes one byte.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// What is in a directory: names below it with the lengths and beginnings of files, enough to see a change.
pub(crate) fn contents(dir: &Path) -> Vec<(PathBuf, u64, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push((path.clone(), 0, Vec::new()));
            all.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.push((path, bytes.len() as u64, bytes));
        }
    }
    all.sort();
    all
}
