//! Promise: after an import, what is served of every item is what a straight reading of the history says; and a
//! second import of the same history appends nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use tests::random::Random;
use tests::scan::Scan;
use tests::{Sunday, history, import, oracle};

fn imports_and_agrees(history: &std::path::Path) {
    let expected = oracle::read(history);
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    let summary = import(history, &sunday.command_url());
    expected.check_first_import(&summary);
    let position = sunday.settled_position();
    expected.compare(sunday.query);
    expected.compare_sums(sunday.query);

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

/// A search finds what looking through all texts finds.
fn finds_what_a_scan_finds(history: &std::path::Path, questions: usize) {
    let expected = oracle::read(history);
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    expected.check_first_import(&import(history, &sunday.command_url()));
    let position = sunday.settled_position();
    let path = format!("/api/v1/search?q=x&minPosition={position}&timeoutMs=30000");
    while sunday.query.try_get(&path).unwrap().status == 504 {}
    Scan::of(&expected).compare(sunday.query, &mut Random::seeded(), questions);
    sunday.stop();
}

#[test]
fn a_search_finds_what_a_scan_of_all_texts_finds() {
    finds_what_a_scan_finds(&history("issues-small.jsonl.gz"), 600);
}

#[test]
#[ignore = "the whole tracker is 25 MB and does not ship with the repository; it takes a minute"]
fn a_search_in_the_whole_tracker_finds_what_a_scan_finds() {
    match whole_tracker() {
        Some(history) => finds_what_a_scan_finds(&history, 3_000),
        None => eprintln!("{NOT_THERE}"),
    }
}

const NOT_THERE: &str = "SKIPPED: ../shared/data/issues.jsonl.gz is not there; nothing was compared";

fn whole_tracker() -> Option<std::path::PathBuf> {
    Some(tests::workspace_root().join("../shared/data/issues.jsonl.gz")).filter(|path| path.exists())
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
    match whole_tracker() {
        Some(history) => imports_and_agrees(&history),
        None => eprintln!("{NOT_THERE}"),
    }
}
