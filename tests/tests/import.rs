//! Promise: whatever stands in a history, an import accounts for every line of it, and says clearly when it cannot
//! be done at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use tests::{Sunday, import, run};

fn line(key: &str, kind: &str, data: &str) -> String {
    format!(
        r#"{{"stream_key":"{key}","type":"{kind}","at":"2014-01-01T00:00:00Z","actor":"Ann","data":{data}}}"#
    ) + "\n"
}

fn file(dir: &tempfile::TempDir, lines: &[u8]) -> PathBuf {
    let path = dir.path().join("history.jsonl");
    std::fs::File::create(&path).unwrap().write_all(lines).unwrap();
    path
}

#[test]
fn dirt_is_rejected_line_by_line_and_the_rest_is_taken() {
    let created = r#"{"workspace":"w","project":"p","column":"Open","title":"T"}"#;
    let long = "x".repeat(1_001);
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let mut lines: Vec<Vec<u8>> = [
        line("w/1", "comment.added", r#"{"comment_id":"7","body":"before its item"}"#),
        line("w/1", "item.created", created),
        "not JSON\n".to_owned(),
        line("w/1", "item.exploded", "{}"),
        line("w/9", "item.reopened", "{}"),
        line(
            "w/2",
            "item.created",
            &format!(r#"{{"workspace":"w","project":"p","column":"Open","title":"{long}"}}"#),
        ),
        line("w/2", "item.moved", r#"{"to":"Done"}"#),
        line("w/1", "item.created", created),
        line("w/1", "item.updated", &format!(r#"{{"field":"deep","to":{deep}}}"#)),
        line("w/1", "item.assigned", r#"{"to":7}"#),
        // Half of a surrogate pair: JSON by its grammar, but no text.
        line("w/1", "item.updated", r#"{"field":"title","to":"\ud800"}"#),
        line("w/1", "comment.added", r#"{"comment_id":"8","body":"\u0000 is a character"}"#),
        line("w/1", "item.moved", r#"{"from":"Open","to":"Done"}"#),
        line("w/1", "item.moved", r#"{"from":"Done","to":"Done"}"#),
    ]
    .map(String::into_bytes)
    .into();
    lines.push(line("w/1", "item.completed", "{}").replace("Ann", r"\ud800").into_bytes());
    lines.push(b"{\"stream_key\":\"w/1\xff\"}\n".to_vec());
    let dir = tempfile::tempdir().unwrap();
    let history = file(&dir, &lines.concat());
    let sunday = Sunday::serve(dir.path());
    let summary = import(&history, &sunday.command_url());
    let rejected: Vec<u64> = summary["rejections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rejection| {
            assert!(rejection["reason"].as_str().unwrap().len() > 3, "{rejection}");
            rejection["line"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(rejected, [3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16], "{summary:#}");
    let counts =
        |summary: &Value| [&summary["lines"], &summary["applied"], &summary["unchanged"]].map(Value::clone);
    assert_eq!(counts(&summary), [json!(16), json!(4), json!(1)], "{summary:#}");

    let _ = sunday.settled_position();
    let items = sunday.query.get("/api/v1/items?externalKey=w%2F1").json();
    let item = &items["items"][0];
    assert_eq!((&item["title"], &item["commentCount"]), (&json!("T"), &json!(2)), "{item}");
    assert_eq!((&item["column"]["name"], &item["completed"]), (&json!("Done"), &json!(false)), "{item}");

    let again = import(&history, &sunday.command_url());
    assert_eq!((&again["duplicate"], &again["rejected"]), (&json!(5), &json!(11)), "{again:#}");
    sunday.stop();
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let history = file(&dir, line("w/1", "item.reopened", "{}").as_bytes());
    let history = history.to_str().unwrap();
    let fails = |arguments: &[&str], code: i32, says: &str| {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    };
    fails(&["import", history, "--command-url", "http://127.0.0.1:1"], 1, "cannot reach the command API");
    fails(&["import", history, "--command-url", "127.0.0.1:1"], 1, "not a URL");
    fails(&["import"], 2, "Usage");
    let sunday = Sunday::serve(dir.path());
    let url = sunday.command_url();
    fails(&["import", "no-such-file", "--command-url", &url], 3, "cannot read no-such-file");
    // The query API is reachable, but it takes no commands.
    let query = format!("http://{}", sunday.query.addr);
    let created = file(&dir, line("w/1", "item.created", r#"{"workspace":"w","project":"p"}"#).as_bytes());
    fails(&["import", created.to_str().unwrap(), "--command-url", &query], 1, "unexpected answer");

    let data = dir.path().join("other");
    let taken = sunday.command.addr.to_string();
    let serve = ["serve", "--data-dir", data.to_str().unwrap(), "--command-addr", &taken];
    let output = run(&[&serve[..], &["--query-addr", "127.0.0.1:0"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&taken), "{said}");
    sunday.stop();
}
