//! Backups and restores, beside a server and with processes that are killed.

use crate::command::{flip, json, lines, path, quiet, segment, used};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tests::random::Random;
use tests::{Sunday, command, history, import, verify};

fn backup(data: &Path, to: &Path) -> (i32, Value) {
    json(&["backup", "--data-dir", path(data), "--to", path(to)])
}

fn restore(from: &Path, to: &Path, more: &[&str]) -> (i32, Value) {
    json(&[&["restore", "--from", path(from), "--data-dir", path(to)], more].concat())
}

#[test]
fn a_backup_beside_a_server_at_work_is_restored_verified_and_served() {
    let dir = tempfile::tempdir().unwrap();
    let (data, to) = (dir.path().join("data"), dir.path().join("backup"));
    std::fs::create_dir(&data).unwrap();
    let sunday = Sunday::serve(&data);
    let mut taken = 0;
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| import(&history("issues-small.jsonl.gz"), &sunday.command_url()));
        while !importing.is_finished() {
            let (code, made) = backup(&data, &to);
            // Before the first event there may be nothing to copy yet.
            assert!(code == 0 || taken == 0, "{made}");
            taken += u32::from(code == 0);
        }
        importing.join().unwrap();
    });
    let _ = sunday.settled_position();
    let (code, last) = backup(&data, &to);
    assert_eq!(code, 0, "{last}");
    sunday.stop();
    assert!(taken > 0, "some were taken meanwhile");

    let (code, report) = verify(&to);
    assert_eq!(code, 0, "a backup can be verified as it is: {report}");
    let restored = dir.path().join("restored");
    let (code, made) = restore(&to, &restored, &[]);
    assert_eq!((code, &made["parent"], &made["leftOut"]), (0, &Value::Null, &json!(0)), "{made}");
    let (code, report) = verify(&restored);
    assert_eq!(code, 0, "{report}");
    let (before, after) = (lines(&data), lines(&restored));
    assert_eq!(after.len() as u64, last["next"].as_u64().unwrap());
    assert!(after == before[..after.len()], "event by event the same");
    // With its key it signs on, and serves what it has.
    std::fs::copy(data.join("keys/audit.key"), restored.join("keys/audit.key")).unwrap();
    let sunday = Sunday::serve(&restored);
    sunday.query.wait_for_item("tidev/MOD-2426");
    sunday.stop();
    assert!(!restored.join("tree/REFUSED").exists());
}

#[test]
fn a_backup_that_is_killed_anywhere_leaves_the_one_before_and_the_next_one_works() {
    let mut random = Random::seeded();
    let data = quiet();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("backup");
    let mut good = false;
    for round in 0..12 {
        let mut killed = command("sunday");
        killed.args(["backup", "--data-dir", path(data.path()), "--to", path(&to), "--json"]);
        let mut child = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        child.kill().unwrap();
        good |= child.wait().unwrap().success();
        let restored = dir.path().join(format!("restored-{round}"));
        let (code, made) = restore(&to, &restored, &[]);
        if code == 0 {
            good = true;
            assert_eq!(verify(&restored).0, 0, "{made}");
        } else {
            assert!(!good, "what was there has gone: {made}");
        }
        let _ = std::fs::remove_dir_all(restored);
    }
    let (code, made) = backup(data.path(), &to);
    assert_eq!(code, 0, "{made}");
    // And a restore that is killed leaves nothing that could be taken for a log, and is in nobody's way.
    let restored = dir.path().join("restored");
    for _ in 0..8 {
        let mut killed = command("sunday");
        killed.args(["restore", "--from", path(&to), "--data-dir", path(&restored)]);
        let mut child = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        if restored.join("log").exists() {
            assert_eq!(verify(&restored).0, 0);
            std::fs::remove_dir_all(&restored).unwrap();
        }
    }
    let (code, made) = restore(&to, &restored, &[]);
    assert_eq!(code, 0, "{made}");
    assert!(lines(&restored) == lines(data.path()));
}

#[test]
fn below_the_newest_checkpoint_a_restore_is_a_new_store_that_serves_and_signs() {
    let data = quiet();
    let dir = tempfile::tempdir().unwrap();
    let (to, restored) = (dir.path().join("backup"), dir.path().join("restored"));
    let (code, made) = backup(data.path(), &to);
    assert_eq!(code, 0, "{made}");
    let signed = made["checkpoint"].as_u64().expect("the notary has signed");
    let position = (signed / 2).to_string();
    let (code, made) = restore(&to, &restored, &["--to-position", &position]);
    assert_eq!(code, 0, "{made}");
    assert!(made["parent"].is_string() && made["parent"] != made["store"], "{made}");
    let kept = made["restoredTo"].as_u64().unwrap();
    assert!(kept <= signed / 2);
    let (before, after) = (lines(data.path()), lines(&restored));
    let kept = usize::try_from(kept).unwrap();
    assert!(after[..kept] == before[..kept], "ids, positions, versions and times are those of the parent");
    let first: Value = serde_json::from_str(&after[kept]).unwrap();
    assert_eq!((&first["type"], &first["streamId"]), (&json!("sys.store_restored"), &json!("sys-store")));
    assert_eq!(first["data"]["parentStore"], made["parent"]);
    assert_eq!(first["data"]["parentPosition"], made["restoredTo"]);
    assert_eq!(first["data"]["parentCheckpoint"], json!(signed));
    assert_eq!(after.len(), kept + 1);
    // A history of its own: it has a key of its own and signs with it.
    let sunday = Sunday::serve(&restored);
    let _ = sunday.settled_position();
    // The notary signs when it comes to it; that it does is what counts.
    while sunday.query.try_get("/checkpoint").unwrap().status != 200 {
        assert!(!restored.join("tree/REFUSED").exists());
        std::thread::sleep(Duration::from_millis(50));
    }
    sunday.stop();
    assert!(!restored.join("tree/REFUSED").exists());
    assert_eq!(verify(&restored).0, 0);

    // To a time: the last event that was kept says which.
    let last: Value = serde_json::from_str(&before[kept - 1]).unwrap();
    let again = dir.path().join("by-time");
    let (code, made) = restore(&to, &again, &["--to-time", last["time"].as_str().unwrap()]);
    assert_eq!(code, 0, "{made}");
    assert!(made["restoredTo"].as_u64().unwrap() >= kept as u64, "{made}");
    let by_time = lines(&again);
    let times = by_time[..by_time.len() - 1].iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(times.into_iter().all(|event| event["time"].as_str() <= last["time"].as_str()));
}

#[test]
fn what_cannot_be_done_is_said_with_its_place_and_its_code() {
    let data = quiet();
    let dir = tempfile::tempdir().unwrap();
    let (to, restored) = (dir.path().join("backup"), dir.path().join("restored"));
    let at = used(&segment(data.path())) / 2;
    flip(&segment(data.path()), at);
    let (code, said) = backup(data.path(), &to);
    assert_eq!(code, 4, "{said}");
    assert!(said.as_str().unwrap().contains("segment 0 offset"), "{said}");
    flip(&segment(data.path()), at);
    assert_eq!(backup(data.path(), &to).0, 0);
    flip(&segment(&to), at);
    let (code, said) = restore(&to, &restored, &[]);
    assert_eq!(code, 4, "{said}");
    assert!(said.as_str().unwrap().contains("segment 0 offset"), "{said}");
    flip(&segment(&to), at);
    let (code, said) = restore(&to, &restored, &["--to-position", "999999999"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = restore(&to, &restored, &["--to-time", "1999-01-01T00:00:00Z"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = restore(&to, data.path(), &[]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = restore(data.path(), &restored, &[]);
    assert_eq!(code, 3, "{said}");
    let (code, said) = restore(&to, &restored, &["--to-time", "yesterday"]);
    assert_eq!(code, 2, "{said}");
}
