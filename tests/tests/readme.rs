//! Promise: what README.md tells a newcomer to type is what works.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use serde_json::json;
use std::process::Command;
use tests::{Sunday, run, workspace_root};

fn readme() -> String {
    std::fs::read_to_string(workspace_root().join("README.md")).unwrap()
}

/// The arguments of the README's lines that begin with `prefix`, without comments.
fn lines(prefix: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let lines = readme.lines().filter_map(|line| line.strip_prefix(prefix));
    let words = |line: &str| line.split('#').next().unwrap().split_whitespace().map(str::to_owned).collect();
    lines.map(words).collect()
}

#[test]
fn the_first_command_and_the_requests_after_it_work() {
    let commands = lines("cargo run --release -- ");
    assert_eq!(commands[0][0], "serve");
    // As written, but for the addresses and the directory, which the test needs for itself.
    let arguments: Vec<String> = commands[0][1..]
        .iter()
        .map(|word| {
            if word.starts_with("tests/") {
                workspace_root().join(word).display().to_string()
            } else {
                word.clone()
            }
        })
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve_with(data.path(), &arguments);
    sunday.query.wait_for_item("tidev/MOD-2426");

    let readme = readme();
    let paths: Vec<&str> = readme
        .split("http://127.0.0.1:7401")
        .skip(1)
        .map(|rest| rest.split(['\'', '"']).next().unwrap())
        .collect();
    assert!(paths.len() >= 4, "{paths:?}");
    let found = sunday.query.get("/api/v1/items?externalKey=tidev/MOD-2426").json();
    let id = found["items"][0]["id"].as_str().unwrap();
    for path in paths.iter().filter(|path| path.starts_with("/api/")) {
        let answer = sunday.query.get(&path.replace("$id", id).replace("$position", "1"));
        assert!(answer.header("sunday-position").is_some(), "{path}");
    }
    let body = json!({ "title": "Marker clustering on Android maps" });
    let answer = sunday.command.send_json("PATCH", &format!("/api/v1/items/{id}"), &body).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let path = format!("/api/v1/items/{id}?minPosition={}", answer.position());
    assert_eq!(sunday.query.get(&path).json()["title"], body["title"]);
    sunday.stop();
}

/// The lines of the tour as they stand there, and the status that each says it gets.
fn tour() -> (String, Vec<String>) {
    let readme = readme();
    let tour = readme.split("## API tour").nth(1).unwrap();
    let script = tour.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let statuses = script.lines().filter_map(|line| line.rsplit_once("# ").map(|(_, said)| said.trim()));
    let statuses = statuses.filter(|said| said.len() == 3 && said.bytes().all(|byte| byte.is_ascii_digit()));
    let statuses = statuses.map(str::to_owned).collect();
    (script, statuses)
}

#[test]
fn the_tour_gets_the_statuses_that_it_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("!!! SKIPPED: there is no curl on this machine; the README's tour was not run !!!");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let sunday = Sunday::serve(&dir.path().join("data"));
    let (script, said) = tour();
    assert!(said.len() > 25, "{said:?}");
    // As written, but for the addresses.
    let script = script.replace("http://127.0.0.1:7400", &sunday.command_url());
    let script = script.replace("http://127.0.0.1:7401", &format!("http://{}", sunday.query.addr));
    let output = Command::new("bash").args(["-euc", &script]).current_dir(dir.path()).output().unwrap();
    let got = String::from_utf8(output.stdout).unwrap();
    let got: Vec<&str> = got.lines().collect();
    let last = std::fs::read_to_string(dir.path().join("answer.json")).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(got, said, "last answer {}, {stderr}", last.get(..500).unwrap_or(&last));
    assert!(output.status.success(), "{stderr}");
    sunday.stop();
}

#[test]
fn every_command_is_one_that_the_binary_knows() {
    for command in lines("cargo run --release -- ") {
        let help = run(&[&command[0], "--help"]);
        let help = String::from_utf8(help.stdout).unwrap();
        for flag in command.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag.as_str()), "{command:?}: {help}");
        }
    }
}
