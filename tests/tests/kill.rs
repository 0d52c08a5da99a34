//! Promise: SIGKILL in the middle of an import loses nothing that was acknowledged and doubles nothing. Start again,
//! import again, and everything is there once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::{Sunday, command, history, import, oracle, random::Random, verify};

#[test]
fn an_import_that_was_cut_off_is_finished_by_the_next() {
    let history = history("incidents.jsonl.gz");
    let expected = oracle::read(&history);
    let data = tempfile::tempdir().unwrap();
    let mut random = Random::seeded();
    // Cut off twice: the second time in a log that has been recovered already.
    let mut position = 0;
    for _ in 0..2 {
        let sunday = Sunday::serve(data.path());
        let reached = sunday.query.get("/api/v1/events?limit=1").position();
        assert!(reached >= position, "{position} events were acknowledged, {reached} are there");
        let stop_at = reached + 5_000 + random.below(25_000);
        let mut running = command("sunday")
            .arg("import")
            .arg(&history)
            .args(["--command-url", &sunday.command_url()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while position < stop_at {
            position = sunday.query.get("/api/v1/events?limit=1").position();
            assert!(running.try_wait().unwrap().is_none(), "the import was over before it was cut off");
            assert!(started.elapsed() < Duration::from_secs(120), "the import stands still at {position}");
        }
        sunday.kill();
        running.kill().unwrap();
        running.wait().unwrap();
    }

    let sunday = Sunday::serve(data.path());
    let summary = import(&history, &sunday.command_url());
    assert_eq!((&summary["lines"], &summary["rejected"]), (&expected.lines.into(), &0.into()));
    assert!(summary["duplicate"].as_u64().unwrap() > 0, "what was acknowledged is not done again");
    assert!(summary["applied"].as_u64().unwrap() > 0, "it was cut off in the middle");
    let position = sunday.settled_position();
    expected.compare(sunday.query);
    let again = import(&history, &sunday.command_url());
    expected.check_second_import(&again);
    assert_eq!(sunday.settled_position(), position);

    let (exit, report) = verify(data.path());
    assert_eq!(exit, 0, "with the server running: {report}");
    sunday.stop();
    let (exit, report) = verify(data.path());
    assert_eq!(exit, 0, "{report}");
    assert_eq!(report["events"], position);
}
