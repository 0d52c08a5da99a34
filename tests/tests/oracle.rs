//! Promise: after an import, what is served of every item is what a straight reading of the history says; and a
//! second import of the same history appends nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use tests::{Sunday, history, import, oracle};

fn imports_and_agrees(history: &std::path::Path) {
    let expected = oracle::read(history);
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    let summary = import(history, &sunday.command_url());
    expected.check_first_import(&summary);
    let position = sunday.settled_position();
    expected.compare(sunday.query);

    let again = import(history, &sunday.command_url());
    expected.check_second_import(&again);
    assert_eq!(sunday.settled_position(), position, "a second import appends nothing");
    sunday.stop();

    // Neither does it after a restart: what was carried out is remembered for ever.
    let sunday = Sunday::serve(data.path());
    let again = import(history, &sunday.command_url());
    expected.check_second_import(&again);
    assert_eq!(sunday.settled_position(), position, "nor does one after a restart");
    expected.compare(sunday.query);
    sunday.stop();
}

#[test]
fn an_issue_tracker() {
    imports_and_agrees(&history("issues-small.jsonl.gz"));
}

#[test]
fn incidents() {
    imports_and_agrees(&history("incidents.jsonl.gz"));
}

#[test]
fn a_service_desk() {
    imports_and_agrees(&history("service-desk.jsonl.gz"));
}

#[test]
#[ignore = "the whole tracker is 25 MB and does not ship with the repository; it takes a minute"]
fn the_whole_issue_tracker() {
    imports_and_agrees(&tests::workspace_root().join("../shared/data/issues.jsonl.gz"));
}
