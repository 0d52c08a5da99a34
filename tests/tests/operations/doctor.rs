//! What doctor says of each state that a directory can be in.

use crate::command::{contents, flip, json, path, quiet, segment, text, used};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tests::Sunday;

/// The exit code and the codes of the findings; it must have changed nothing.
fn codes(data: &Path) -> (i32, Vec<String>) {
    let before = data.is_dir().then(|| contents(data));
    let (exit, found) = json(&["doctor", "--data-dir", path(data)]);
    let (same, said) = text(&["doctor", "--data-dir", path(data)]);
    assert_eq!(exit, same, "{said}");
    if let Some(before) = before {
        assert!(contents(data) == before, "doctor never writes");
    }
    let codes: Vec<String> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect();
    for code in &codes {
        assert!(said.contains(&format!("[{code}]")), "{code} is missing: {said}");
    }
    (exit, codes)
}

fn assert_says(data: &Path, exit: i32, code: &str) {
    let (found, codes) = codes(data);
    assert!(found == exit && codes.iter().any(|found| found == code), "{code}: exit {found}, {codes:?}");
}

#[test]
fn a_directory_in_good_order_needs_nothing() {
    let data = quiet();
    let (exit, found) = codes(data.path());
    assert_eq!((exit, found), (0, Vec::new()));
    let (_, facts) = json(&["doctor", "--data-dir", path(data.path())]);
    assert_eq!(facts["opens"], Value::Bool(true));
    assert!(facts["next"].as_u64().unwrap() > 1_000, "{facts}");
    let derived = facts["derived"].as_array().unwrap();
    assert_eq!(derived.len(), 5, "{facts}");
    assert!(facts["freeBytes"].as_u64().unwrap() > 0);
}

#[test]
fn beside_a_server_it_says_who_is_at_work() {
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    let (exit, facts) = json(&["doctor", "--data-dir", path(data.path())]);
    assert_eq!(exit, 0, "{facts}");
    assert!(facts["writer"].as_str().unwrap().contains("process"), "{facts}");
    assert_eq!(facts["projector"], Value::Bool(true));
    // Nobody repairs under a server's feet.
    let (exit, said) = json(&["repair", "--data-dir", path(data.path()), "--yes"]);
    assert_eq!(exit, 1, "{said}");
    sunday.kill();
    let (exit, codes) = codes(data.path());
    assert!(codes.contains(&"not_closed".to_owned()), "{codes:?}");
    assert!(exit <= 1, "what was killed starts again");
}

#[test]
fn each_bad_state_has_a_name() {
    let elsewhere = tempfile::tempdir().unwrap();
    assert_says(&elsewhere.path().join("nowhere"), 4, "no_directory");
    assert_says(elsewhere.path(), 1, "no_log");
    fs::create_dir(elsewhere.path().join(".restoring")).unwrap();
    assert_says(elsewhere.path(), 4, "restore_unfinished");

    let data = quiet();
    let log = segment(data.path());
    let whole = fs::read(&log).unwrap();
    let end = used(&log);

    let mut torn = whole.clone();
    torn[end + 16] = 1;
    fs::write(&log, &torn).unwrap();
    assert_says(data.path(), 1, "torn_tail");

    flip(&log, end / 2);
    assert_says(data.path(), 4, "damaged");
    fs::write(&log, &whole).unwrap();
    flip(&log, 100);
    assert_says(data.path(), 4, "bad_segment");

    // A tail that was taken away, with all that told of it but the journal.
    let mut short = whole.clone();
    short[end / 2..].fill(0);
    fs::write(&log, &short).unwrap();
    fs::remove_file(data.path().join("control/log")).unwrap();
    let (exit, codes) = codes(data.path());
    assert!(exit == 4 && !codes.is_empty(), "{exit} {codes:?}");
}

#[test]
fn what_is_derived_can_be_wrong_without_harm() {
    let data = quiet();
    let images = data.path().join("images");
    let generation =
        fs::read_dir(&images).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let image = fs::read_dir(generation).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    flip(&image, 200);
    assert_says(data.path(), 1, "derived_unusable");

    let data = quiet();
    fs::write(data.path().join("index/0000000000-0000000000.idx.tmp"), "x")
        .or_else(|_| {
            fs::create_dir(data.path().join("index"))?;
            fs::write(data.path().join("index/0000000000-0000000000.idx.tmp"), "x")
        })
        .unwrap();
    assert_says(data.path(), 1, "leftovers");

    let data = quiet();
    fs::remove_file(data.path().join("keys/audit.key")).unwrap();
    assert_says(data.path(), 1, "secret_key_gone");
}

#[test]
fn a_backup_is_known_as_one() {
    let data = quiet();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("backup");
    let (code, made) = json(&["backup", "--data-dir", path(data.path()), "--to", path(&to)]);
    assert_eq!(code, 0, "{made}");
    let (_, codes) = codes(&to);
    assert!(codes.contains(&"backup".to_owned()), "{codes:?}");
}
