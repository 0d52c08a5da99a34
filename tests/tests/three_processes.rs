//! Promise: `command-api`, `projector` and `query-api` as three processes on one data directory, started in any
//! order, do the same as `sunday serve`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use tests::{Sunday, history, import, oracle, verify};

#[test]
fn three_processes_do_what_one_does() {
    let history = history("issues-small.jsonl.gz");
    let expected = oracle::read(&history);
    let data = tempfile::tempdir().unwrap();
    // The readers are there before there is a log.
    let sunday = Sunday::three_processes(data.path(), ["query-api", "projector", "command-api"]);
    expected.check_first_import(&import(&history, &sunday.command_url()));
    let position = sunday.settled_position();
    expected.compare(sunday.query);
    assert!(found(&sunday, position) > 0, "the index of another process is searched");
    sunday.stop();

    for order in [["command-api", "query-api", "projector"], ["projector", "command-api", "query-api"]] {
        let sunday = Sunday::three_processes(data.path(), order);
        assert_eq!(sunday.settled_position(), position);
        assert!(found(&sunday, position) > 0);
        sunday.stop();
    }

    let sunday = Sunday::serve(data.path());
    assert_eq!(sunday.settled_position(), position);
    expected.check_second_import(&import(&history, &sunday.command_url()));
    expected.compare(sunday.query);
    sunday.stop();
    assert_eq!(verify(data.path()).0, 0);
}

/// How many hits a word has that the history uses, once the index has everything up to `position`.
fn found(sunday: &Sunday, position: u64) -> u64 {
    let path = format!("/api/v1/search?q=android&minPosition={position}&timeoutMs=30000");
    let answer = sunday.query.get(&path).json();
    assert!(!answer["hits"].as_array().unwrap().is_empty(), "{answer}");
    answer["total"].as_u64().unwrap()
}
