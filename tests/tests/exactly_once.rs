//! Promise: a projector that is killed (SIGKILL) at random points while it indexes, again and again, ends with every document
//! once: none is missing, none is there twice, none is old.
//!
//! `SUNDAY_TEST_EVENTS` says of how many events (20,000 unless it is set), `SUNDAY_TEST_KILLS` how often it is killed (6). A
//! million of them, with 200 kills: `SUNDAY_TEST_EVENTS=1000000 SUNDAY_TEST_KILLS=200 cargo test --release --workspace --test
//! exactly_once`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test says what it expects by panicking; small numbers are chosen at random"
)]

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::{Process, Sunday, command, import, random::Random, run, size};

/// A history of about so many events: items that are created, moved, changed, commented on and completed. The lines of an
/// item stand together: their order does not matter to the index.
fn write_history(path: &Path, events: u64, random: &mut Random) {
    let mut lines = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    let words = ["list", "view", "crash", "android", "scroll", "null", "pointer", "engine", "tank", "valve"];
    let text = |random: &mut Random, count: u64| -> String {
        (0..count).map(|_| words[random.below(10) as usize]).collect::<Vec<_>>().join(" ")
    };
    let columns = ["Open", "Doing", "Done"];
    let (mut written, mut item) = (0, 0_u64);
    let mut line = |key: &str, kind: &str, data: Value| {
        let (day, hour, minute) = (1 + written / 86_400 % 28, written / 3_600 % 24, written / 60 % 60);
        let at = format!("2026-01-{day:02}T{hour:02}:{minute:02}:{:02}Z", written % 60);
        let line = json!({"stream_key": key, "type": kind, "at": at, "actor": "ann", "data": data});
        writeln!(lines, "{line}").unwrap();
        written += 1;
        written
    };
    loop {
        item += 1;
        let key = format!("K-{item}");
        let title = text(random, 4);
        let data = json!({"workspace": "acme", "project": format!("p{}", item % 7), "board": format!("b{}", item % 23),
            "title": title, "description": text(random, 20), "column": "Open"});
        let mut total = line(&key, "item.created", data);
        let mut column = "Open";
        for number in 0..random.below(8) {
            total = match random.below(4) {
                0 => {
                    let to = columns[random.below(3) as usize];
                    let from = std::mem::replace(&mut column, to);
                    line(&key, "item.moved", json!({"from": from, "to": to}))
                }
                1 => {
                    line(&key, "item.updated", json!({"field": "title", "from": "x", "to": text(random, 3)}))
                }
                _ => {
                    let data = json!({"comment_id": format!("c{number}"), "body": text(random, 12)});
                    line(&key, "comment.added", data)
                }
            };
        }
        if random.below(3) == 0 {
            total = line(&key, "item.completed", json!({"resolution": "fixed"}));
        }
        if total >= events {
            break;
        }
    }
    lines.finish().unwrap();
}

fn projector(data: &Path) -> Process {
    let mut projector = command("projector");
    projector.arg("--data-dir").arg(data).args(["--check-every", "0"]);
    Process::start("projector", &mut projector, data.join("projector.stderr"))
}

#[test]
fn a_projector_that_is_killed_leaves_nothing_out_and_nothing_double() {
    let mut random = Random::seeded();
    let (events, kills) = (size("SUNDAY_TEST_EVENTS", 20_000), size("SUNDAY_TEST_KILLS", 6));
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let history = dir.path().join("history.jsonl.gz");
    write_history(&history, events, &mut random);

    // No projector yet: the index begins with the first one that is killed.
    let sunday = Sunday::without_projector(&data);
    let lines = import(&history, &sunday.command_url());
    assert_eq!(lines["rejected"], 0, "{lines}");
    let position = sunday.settled_position();
    // Lines that change nothing are no events.
    assert!(position >= events / 2, "{position} events of {events} lines");
    let path = "/api/v1/projections";
    let indexed = || {
        let body = sunday.query.get(path).json();
        let search =
            body["projections"].as_array().unwrap().iter().find(|one| one["name"] == "search").unwrap();
        search["position"].as_u64().unwrap()
    };

    let (mut reached, mut in_the_middle) = (0, 0);
    for _ in 0..kills {
        let running = projector(&data);
        // Some in the first commits, some while it opens what the one before it has left, some between two commits. The first
        // one before a fast machine is done.
        let patience = if in_the_middle == 0 { 10 } else { 40 };
        // The more often it is to be killed, the shorter it lives; now and then long enough for several commits.
        let share = if random.below(8) == 0 { 6 * 8 } else { 6 };
        let longest = (patience * events * share / kills.max(share)).max(1);
        std::thread::sleep(Duration::from_micros(random.below(longest)));
        running.kill();
        let now = indexed();
        assert!(now >= reached, "the index went back from {reached} to {now}");
        reached = now;
        if reached == position {
            // There is nothing left to be killed at.
            break;
        }
        in_the_middle += 1;
    }
    assert!(in_the_middle > 0, "no kill came before the end");
    eprintln!("{in_the_middle} kills before the end of {position} events");

    let starts = || {
        let said = std::fs::read_to_string(data.join("projector.stderr")).unwrap_or_default();
        said.matches("the projector starts").count()
    };
    let began = Instant::now();
    // What is stopped saves what it has, so the images come to the end in one life or in several.
    let report = loop {
        let before = starts();
        let last = projector(&data);
        // Whoever is asked to end before it has begun saves nothing.
        while indexed() < position || starts() == before {
            assert!(began.elapsed() < Duration::from_secs(1_800), "it stands still at {}", indexed());
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(300));
        last.stop();
        // Every document, and every thing of the images, compared with a replay.
        let output = run(&["check", "--data-dir", data.to_str().unwrap(), "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["consistent"], output.status.code()), (&true.into(), Some(0)), "{report}");
        if report["projections"].as_array().unwrap().iter().all(|one| one["position"] == position) {
            break report;
        }
    };
    sunday.stop();

    let projections = report["projections"].as_array().unwrap();
    let names: Vec<_> = projections.iter().map(|one| one["projection"].as_str().unwrap()).collect();
    assert_eq!(names, ["models", "activity", "analytics", "search"]);
    for projection in projections {
        assert_eq!(projection["position"], position, "{projection}");
        assert!(projection["compared"].as_u64().unwrap() > 0, "{projection}");
    }
}
