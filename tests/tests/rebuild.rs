//! Promise: read models and index that are built anew from the log are the ones that were there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use std::process::Output;
use tests::{Sunday, history, import, oracle, run};

fn rebuild(data: &std::path::Path, arguments: &[&str]) -> Output {
    let output = run(&[&["rebuild", "--data-dir", data.to_str().unwrap()], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_rebuild_ends_with_equal_digests() {
    let history = history("service-desk.jsonl.gz");
    let expected = oracle::read(&history);
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    let _ = import(&history, &sunday.command_url());
    let position = sunday.settled_position();
    sunday.stop();

    let report: serde_json::Value =
        serde_json::from_slice(&rebuild(data.path(), &["--json"]).stdout).unwrap();
    // That they are asked for is in the log, too.
    let asked = position + 4;
    assert_eq!((&report["equal"], &report["events"]), (&true.into(), &asked.into()), "{report}");
    let projections = report["projections"].as_array().unwrap();
    let names: Vec<_> = projections.iter().map(|rebuilt| rebuilt["projection"].as_str().unwrap()).collect();
    assert_eq!(names, ["models", "search", "activity", "analytics"]);
    for rebuilt in projections {
        assert_eq!(rebuilt["old"], rebuilt["new"], "{report}");
        assert_eq!(rebuilt["new"]["position"], asked, "{report}");
        assert_eq!(rebuilt["differing"], 0, "{report}");
        assert!(rebuilt["new"]["count"].as_u64().unwrap() >= expected.items.len() as u64, "{report}");
        assert_eq!(rebuilt["new"]["digest"].as_str().unwrap().len(), 64, "{report}");
    }
    let digest = projections[0]["new"]["digest"].as_str().unwrap();
    assert_ne!(digest, "0".repeat(64));

    // The same for a person, and for somebody who has lost everything that can be derived.
    let text = String::from_utf8(rebuild(data.path(), &[]).stdout).unwrap();
    assert!(text.contains(digest), "{text}");
    for derived in ["images", "search"] {
        std::fs::remove_dir_all(data.path().join(derived)).unwrap();
    }
    let report: serde_json::Value =
        serde_json::from_slice(&rebuild(data.path(), &["--json"]).stdout).unwrap();
    assert_eq!(report["projections"][0]["new"]["digest"], digest);
    assert_eq!(report["projections"][0]["old"], serde_json::Value::Null);

    let sunday = Sunday::serve(data.path());
    // Three rebuilds of four projections, each with its end.
    assert_eq!(sunday.settled_position(), position + 3 * 4 * 2);
    expected.compare(sunday.query);
    let path = format!("/api/v1/search?q=customer&limit=1&minPosition={position}&timeoutMs=30000");
    assert!(sunday.query.get(&path).json()["total"].as_u64().unwrap() > 0);
    sunday.stop();
}
