//! Repairs: nothing without a yes, nothing lost without a word, and everything that is taken away is kept.

use crate::command::{contents, flip, json, lines, path, quiet, segment, text, used};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tests::{Sunday, copy, verify};

fn repair(data: &Path, more: &[&str]) -> (i32, Value) {
    json(&[&["repair", "--data-dir", path(data)], more].concat())
}

fn doctor(data: &Path) -> i32 {
    json(&["doctor", "--data-dir", path(data)]).0
}

/// Where a repair has put what it took away.
fn aside(data: &Path) -> PathBuf {
    fs::read_dir(data.join("set-aside")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap()
}

#[test]
fn without_a_yes_nothing_changes() {
    let data = quiet();
    let (exit, said) = repair(data.path(), &["--yes"]);
    assert_eq!((exit, said["steps"].as_array().unwrap().len()), (0, 0), "{said}");
    fs::write(data.path().join("log/0000000009.seg.preparing"), "x").unwrap();
    let before = contents(data.path());
    let (exit, said) = repair(data.path(), &[]);
    assert_eq!((exit, &said["steps"][0]["done"]), (1, &Value::Bool(false)), "{said}");
    let (exit, said) = text(&["repair", "--data-dir", path(data.path())]);
    assert!(exit == 1 && said.contains("--yes"), "{said}");
    assert!(contents(data.path()) == before);
    let (exit, said) = repair(data.path(), &["--yes"]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(fs::read(aside(data.path()).join("log/0000000009.seg.preparing")).unwrap(), b"x");
    assert_eq!(doctor(data.path()), 0);
}

#[test]
fn what_is_derived_is_moved_away_and_made_again() {
    let data = quiet();
    let images = data.path().join("images");
    let generation =
        fs::read_dir(&images).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let image = fs::read_dir(generation).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    flip(&image, 200);
    let (exit, said) = repair(data.path(), &["--yes"]);
    assert_eq!(exit, 0, "{said}");
    assert!(!images.exists() && aside(data.path()).join("images").is_dir());
    assert_eq!(doctor(data.path()), 0);
    let sunday = Sunday::serve(data.path());
    sunday.query.wait_for_item("tidev/MOD-2426");
    sunday.stop();
}

#[test]
fn a_torn_tail_is_set_aside_by_the_log_itself() {
    let data = quiet();
    let before = lines(data.path());
    let log = segment(data.path());
    let (mut bytes, end) = (fs::read(&log).unwrap(), used(&log));
    bytes[end + 16] = 1;
    fs::write(&log, &bytes).unwrap();
    assert_eq!(doctor(data.path()), 1);
    let (exit, said) = repair(data.path(), &["--yes"]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(fs::read(&log).unwrap(), bytes, "it stays where it was");
    assert!(lines(data.path()) == before);
    assert_eq!(doctor(data.path()), 0);
    assert_eq!(verify(data.path()).0, 0);
}

#[test]
fn acknowledged_events_are_given_up_only_with_a_word_and_are_named() {
    let data = quiet();
    let before = lines(data.path());
    let log = segment(data.path());
    let at = used(&log) / 2;
    flip(&log, at);
    let damaged = fs::read(&log).unwrap();
    assert_eq!(doctor(data.path()), 4);
    let (exit, said) = repair(data.path(), &["--yes"]);
    assert_eq!((exit, &said["steps"][0]["done"]), (1, &Value::Bool(false)), "{said}");
    assert!(said["steps"][0]["why"].as_str().unwrap().contains("--accept-loss"), "{said}");
    assert!(
        said["steps"][0]["action"].as_str().unwrap().contains("acknowledged events or more are lost"),
        "{said}"
    );
    assert_eq!(fs::read(&log).unwrap(), damaged);
    let (exit, said) = repair(data.path(), &["--yes", "--accept-loss"]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(verify(data.path()).0, 0);
    let after = lines(data.path());
    let (kept, own) = after.split_at(after.len() - 1);
    assert!(!kept.is_empty() && kept.len() < before.len());
    assert!(kept == &before[..kept.len()], "what was sound is as it was");
    assert!(own[0].contains("sys.store_restored"), "more was signed, so it is a new store: {}", own[0]);
    // The evidence is kept.
    assert_eq!(fs::read(aside(data.path()).join("old/log/0000000000.seg")).unwrap(), damaged);
    assert_eq!(doctor(data.path()), 0);
    let sunday = Sunday::serve(data.path());
    let _ = sunday.settled_position();
    sunday.stop();
    assert!(!data.path().join("tree/REFUSED").exists());
}

#[test]
fn a_repair_that_was_cut_short_between_any_two_moves_is_brought_to_its_end() {
    // What `--accept-loss` has made, beside what was there.
    let data = quiet();
    flip(&segment(data.path()), used(&segment(data.path())) / 2);
    let (exit, said) = repair(data.path(), &["--yes", "--accept-loss"]);
    assert_eq!(exit, 0, "{said}");
    let expected = lines(data.path());
    let made = aside(data.path());
    let name = made.file_name().unwrap().to_owned();
    let old: Vec<String> = fs::read_dir(made.join("old"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(old.contains(&"log".to_owned()), "{old:?}");
    for moved in 0..=4 {
        let again = tempfile::tempdir().unwrap();
        copy(data.path(), again.path());
        let aside = again.path().join("set-aside").join(&name);
        // Back to before the moves, and then some of them again: the old log away first, the new log here last.
        fs::create_dir_all(aside.join("new")).unwrap();
        for part in ["log", "tree", "keys"] {
            if again.path().join(part).exists() {
                fs::rename(again.path().join(part), aside.join("new").join(part)).unwrap();
            }
        }
        for part in old.iter().filter(|part| *part != "log").skip(moved) {
            let _ = fs::remove_dir_all(again.path().join(part));
            fs::rename(aside.join("old").join(part), again.path().join(part)).unwrap();
        }
        let (exit, found) = json(&["doctor", "--data-dir", path(again.path())]);
        assert!(exit == 4 && found.to_string().contains("repair_unfinished"), "{moved}: {found}");
        let (exit, said) = repair(again.path(), &["--yes"]);
        assert_eq!(exit, 0, "{moved}: {said}");
        assert!(lines(again.path()) == expected, "{moved}");
        assert_eq!(verify(again.path()).0, 0);
    }
}
