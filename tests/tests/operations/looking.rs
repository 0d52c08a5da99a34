//! Inspect, completions and manual pages.

use crate::command::{flip, json, lines, path, quiet, segment, text, used};
use serde_json::Value;
use std::fs;
use tests::run;

#[test]
fn segments_streams_events_and_frames_are_shown() {
    let data = quiet();
    let of = |what: &[&str]| json(&[&["inspect", "--data-dir", path(data.path())], what].concat());
    let lines = lines(data.path());
    let (code, found) = of(&["segments"]);
    assert_eq!((code, &found["segments"][0]["state"]), (0, &Value::from("open")), "{found}");
    assert_eq!(found["segments"][0]["next"], lines.len());
    let (code, found) = of(&["streams", "--prefix", "item-", "--limit", "3"]);
    assert_eq!((code, found["streams"].as_object().unwrap().len()), (0, 3), "{found}");
    assert!(found["total"].as_u64().unwrap() > 100, "{found}");
    let expected: Value = serde_json::from_str(&lines[17]).unwrap();
    let (code, by_position) = of(&["event", "17"]);
    assert_eq!((code, &by_position["event"]), (0, &expected));
    let (code, by_id) = of(&["event", expected["eventId"].as_str().unwrap()]);
    assert_eq!((code, &by_id), (0, &by_position));
    let place = format!("{}:{}", by_id["segment"], by_id["offset"]);
    let (code, frame) = of(&["frame", &place]);
    assert_eq!((code, &frame), (0, &of(&["frame", "17"]).1));
    let text_of = |name: &str| {
        let fields = frame["fields"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("{name}: {frame}"))["value"].clone()
    };
    assert_eq!(text_of("kind"), "commit");
    assert_eq!(text_of("event 17: id"), expected["eventId"]);
    for bad in [&["event", "999999999"][..], &["event", "x"], &["frame", "0:4097"], &["frame", "9:4096"]] {
        let (code, said) = of(bad);
        assert!([2, 3, 4].contains(&code), "{bad:?}: {code}: {said}");
    }
    for what in [&["segments"][..], &["streams"], &["event", "17"], &["frame", "17"]] {
        let (code, said) = text(&[&["inspect", "--data-dir", path(data.path())], what].concat());
        assert!(code == 0 && !said.is_empty(), "{what:?}: {said}");
    }
    // A frame that is not sound is shown, and said not to be.
    flip(&segment(data.path()), 4_096 + 300);
    let (code, frame) = of(&["frame", "0:4096"]);
    assert!(code == 0 && frame["problem"].is_string(), "{frame}");
    assert!(used(&segment(data.path())) > 4_096);
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, said) = text(&["completions", shell]);
        assert_eq!(code, 0, "{shell}");
        for command in ["backup", "restore", "inspect", "doctor", "repair", "verify", "serve"] {
            assert!(said.contains(command), "{shell} knows no {command}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = text(&["man", path(dir.path())]);
    assert_eq!(code, 0, "{said}");
    let page = fs::read_to_string(dir.path().join("sunday-restore.1")).unwrap();
    assert!(page.contains("to\\-position") || page.contains("to-position"), "{page}");
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    for command in commands.filter(|command| *command != "help") {
        if help.contains(&format!("\n  {command} ")) {
            assert!(dir.path().join(format!("sunday-{command}.1")).exists(), "{command}");
        }
    }
}
