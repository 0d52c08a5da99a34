//! Old segments leave for an archive beside a server at work, and nobody who reads can tell.

use crate::command::{self, lines, path, text};
use eventstore::{
    CommitBuilder, ContentType, EventType, Metadata, NewEvent, Position, Store, StoreOptions, StreamId,
};
use serde_json::json;
use std::path::Path;
use tests::{Sunday, verify};
use uuid::Uuid;

/// Events of another service, in segments so small that there are some.
pub(crate) fn filled(data: &Path) -> u64 {
    let store =
        Store::open(data, &StoreOptions { segment_bytes: 64 << 10, ..StoreOptions::default() }).unwrap();
    let mut next = Position::ZERO;
    for number in 0..400 {
        let mut commit = CommitBuilder::new();
        commit.event(NewEvent {
            id: Uuid::now_v7(),
            stream: StreamId::new(if number == 0 {
                "order-early".to_owned()
            } else {
                format!("order-{}", number % 20)
            })
            .unwrap(),
            event_type: EventType::new("order.placed").unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: format!(r#"{{"number":{number},"text":"{}"}}"#, "x".repeat(900)).into_bytes(),
        });
        next = store.append(commit.prepare().unwrap()).unwrap().next;
    }
    store.close();
    next.get()
}

fn files(data: &Path, ending: &str) -> usize {
    let names = std::fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|found| found == ending)).count()
}

#[test]
fn segments_leave_beside_a_server_and_are_read_verified_and_recorded_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (data, place) = (dir.path().join("data"), dir.path().join("archive"));
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&place).unwrap();
    let next = filled(&data);
    let before = lines(&data);
    let url = format!("file://{}", path(&place));
    let archive = |more: &[&str]| {
        command::json(&[&["archive", "--data-dir", path(&data), "--to", &url], more].concat())
    };

    let sunday = Sunday::serve(&data);
    let position = sunday.settled_position();
    assert!(position >= next);
    let (code, refused) = archive(&[]);
    assert_eq!(code, 2, "up to where has to be said: {refused}");
    let (code, none) = archive(&["--before", "2020-01-01T00:00:00Z"]);
    assert_eq!((code, none["segments"].as_array().map(Vec::len)), (0, Some(0)), "{none}");
    // The checkpoint and the index may come a moment after the events.
    let began = std::time::Instant::now();
    let moved = loop {
        let (code, report) = archive(&["--below", &next.to_string()]);
        assert_eq!(code, 0, "{report}");
        let segments = report["segments"].as_array().unwrap().clone();
        if !segments.is_empty() {
            assert_eq!(report["recorded"], false, "the server at work does it");
            break segments;
        }
        assert!(began.elapsed().as_secs() < 60, "nothing was ever signed and indexed");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert!(moved.len() >= 3, "{moved:?}");
    assert_eq!(files(&data, "ref"), moved.len());
    sunday.stop();

    // A server that comes later has to fetch, and says in the log what is not there any more.
    let sunday = Sunday::serve(&data);
    let _ = sunday.settled_position();
    sunday.stop();
    let after = lines(&data);
    assert!(after[..before.len()] == before[..], "event by event the same");
    let recorded: Vec<_> = after.iter().filter(|line| line.contains("sys.segments_archived")).collect();
    assert_eq!(recorded.len(), 1, "once: {recorded:?}");
    for segment in &moved {
        assert!(recorded[0].contains(segment["sha256"].as_str().unwrap()));
    }
    let (code, report) = verify(&data);
    assert!(code == 0 || code == 5, "{report}");

    // Events in the archive are proven like all others. While it does not answer, whoever asks is told to come again.
    let sunday = Sunday::serve(&data);
    let ask = || {
        let body = json!({ "events": [{ "type": "order.paid", "data": {} }] });
        [
            sunday.query.try_get("/api/v1/audit/proof/inclusion?position=1").unwrap(),
            sunday.query.try_get("/api/v1/events?limit=1").unwrap(),
            sunday.command.post("/api/v1/streams/order-early/events", &body).unwrap(),
        ]
    };
    let away = dir.path().join("away");
    std::fs::rename(&place, &away).unwrap();
    std::fs::remove_dir_all(data.join("cache")).unwrap();
    for answer in ask() {
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (503, &json!("archive_unreachable")),
            "{answer:?}"
        );
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    std::fs::rename(&away, &place).unwrap();
    let answers = ask();
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 201], "{answers:?}");
    let proof = answers[0].json();
    assert_eq!((&proof["position"], proof["proof"].as_array().map(Vec::is_empty)), (&json!(1), Some(false)));
    sunday.stop();
    // Whoever comes later is not told of a contradiction where only nothing could be read for a while.
    assert!(!data.join("tree/REFUSED").exists());

    // At rest it is recorded at once, and people are told.
    let (code, said) =
        text(&["archive", "--data-dir", path(&data), "--to", &url, "--before", "2100-01-01T00:00:00Z"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("are in the archive"), "{said}");
    let (code, said) =
        text(&["archive", "--data-dir", path(&data), "--to", "file:///elsewhere", "--below", "9"]);
    assert!(code == 2 && said.contains("ARCHIVE"), "{said}");
    let (code, said) = text(&["archive", "--data-dir", path(&data), "--to", "ftp://x", "--below", "9"]);
    assert_eq!(code, 2, "{said}");

    // Without its archive the log opens, and what is not here is an error with its reason.
    std::fs::rename(&place, dir.path().join("away")).unwrap();
    std::fs::remove_dir_all(data.join("cache")).unwrap();
    let (code, said) = text(&["replay", "--data-dir", path(&data), "--to", "1"]);
    assert!(code == 3 && said.contains("archive"), "{code}: {said}");
    let says = |code: i32, wanted: &str| {
        let (exit, said) = text(&["doctor", "--data-dir", path(&data)]);
        assert!(exit == code && said.contains(wanted), "{exit}: {said}");
    };
    says(1, "does not answer");
    // Not even somebody who accepts losses gives up what is only out of reach.
    let last = std::fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let last = last.filter(|path| path.extension().is_some_and(|found| found == "seg")).min().unwrap();
    let mut bytes = std::fs::read(&last).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&last, &bytes).unwrap();
    let before = files(&data, "ref");
    let (code, said) = text(&["repair", "--data-dir", path(&data), "--accept-loss", "--yes"]);
    assert!(code == 3 && said.contains("in the archive and cannot be fetched"), "{code}: {said}");
    assert_eq!(files(&data, "ref"), before);
    bytes[100] ^= 1;
    std::fs::write(&last, &bytes).unwrap();

    std::fs::rename(dir.path().join("away"), &place).unwrap();
    says(0, "which answers");
    std::fs::rename(data.join("log/ARCHIVE"), data.join("log/ARCHIVE.bak")).unwrap();
    says(1, "log/ARCHIVE");
}

#[test]
fn where_there_is_no_log_none_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let url = format!("file://{}", path(dir.path()));
    let (code, said) = text(&["archive", "--data-dir", path(&data), "--to", &url, "--below", "9"]);
    assert!(code == 3 && said.contains("no log"), "{code}: {said}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
}
