//! What `sunday verify` is besides finding things: incremental, on copies that cannot be written, beside a running server, and a
//! report that can be filed.

use crate::forge::segments;
use crate::site::{BASE, NAME, Site, classes, verify};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tests::{Sunday, command, copy, run};

/// Where the last segment begins, and the newest checkpoint: an auditor who comes back.
fn last_segment() -> u64 {
    let extents = BASE.report["extents"].as_array().unwrap();
    extents.iter().rfind(|extent| extent["used"] != 0).unwrap()["first"].as_u64().unwrap()
}

#[test]
fn from_a_checkpoint_on_it_says_what_it_has_left_out() {
    let site = Site::new();
    let newest = BASE.newest.to_str().unwrap();
    let size = fs::read_to_string(newest).unwrap().lines().nth(1).unwrap().to_owned();
    for from in [newest, &size] {
        let report = site.expect_untold(&["--from-checkpoint", from]);
        let (all, read) = (BASE.log.events() as u64, report["events"].as_u64().unwrap());
        assert_eq!(read, all - last_segment(), "the segments before are left out");
        assert_eq!(report["next"], all);
        let unchecked = report["unchecked"].to_string();
        assert!(
            unchecked.contains("the bytes of segments 0 to 2") && unchecked.contains("index runs"),
            "{unchecked}"
        );
        assert!(
            report["checkpoints"]["proven"].as_u64().unwrap() > 0,
            "the newest is proven all the same: {report}"
        );
        let checked: Vec<_> = report["extents"].as_array().unwrap().iter().map(|it| &it["checked"]).collect();
        assert_eq!(checked, [false, false, false, true]);
    }

    // What is changed in the part that is read is found; what is changed before is not, as the report says.
    let change = |index: usize| {
        let site = Site::new();
        site.edit(&segments(site.path())[index], |bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            bytes[used / 2] ^= 1;
        });
        verify(site.path(), &["--from-checkpoint", &size]).0
    };
    assert_eq!((change(1), change(3)), (0, 4));
    site.forge(|log| *log.commits.last_mut().unwrap().events[0].payload.last_mut().unwrap() ^= 1);
    site.expect(&["--from-checkpoint", &size], 1, "fork");
}

#[test]
fn it_begins_only_where_the_tiles_lead_to_what_was_signed() {
    let site = Site::new();
    let newest = BASE.newest.to_str().unwrap();
    let tiles = site.file(&format!("{}/0.hashes", site.current("tree")));
    let refused = |from: &str| {
        let data = site.path().to_str().unwrap();
        let output = run(&["verify", "--data-dir", data, "--from-checkpoint", from]);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let len = fs::metadata(&tiles).unwrap().len();
    site.edit(&tiles, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let (exit, told) = refused(newest);
    assert!(exit == 2 && told.contains("verify all of the log"), "{exit}: {told}");
    site.edit(&tiles, |bytes| bytes.truncate(usize::try_from(len / 2).unwrap()));
    assert_eq!(refused(newest).0, 2);
    let (exit, told) = refused("1");
    assert!(exit == 2 && told.contains("its newest are of"), "{exit}: {told}");
    assert_eq!(refused("no-such-file").0, 3);
}

/// Every file with its size, its bytes' sum and when it was changed.
fn listing(dir: &Path) -> BTreeSet<(String, u64, i64, u32)> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::metadata(&path).unwrap();
        if metadata.is_dir() {
            files.extend(listing(&path));
        } else {
            let sum = crate::hash::crc(&[&fs::read(&path).unwrap()]);
            files.insert((path.display().to_string(), metadata.len(), metadata.mtime_nsec(), sum));
        }
    }
    files
}

fn for_all(dir: &Path, change: &dyn Fn(&Path, bool)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_all(&path, change);
            change(&path, true);
        } else {
            change(&path, false);
        }
    }
}

#[test]
fn it_needs_no_permission_to_write_and_changes_nothing() {
    let site = Site::new();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // Locks of a writer are no part of a copy.
    for lock in ["log/LOCK", "snapshots/LOCK", "control/projector.lock"] {
        let _ = fs::remove_file(site.file(lock));
    }
    let before = listing(site.path());
    for_all(site.path(), &|path, is_dir| mode(path, if is_dir { 0o555 } else { 0o444 }));
    mode(site.path(), 0o555);
    let mut process = command("sunday");
    process.args(["verify", "--json", "--data-dir"]).arg(site.path()).current_dir("/");
    // Whoever may do everything may write here as well; somebody else may not, if he can read the binary at all.
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if is_root {
        process.uid(65_534).gid(65_534);
    }
    let output = process.output();
    for_all(site.path(), &|path, is_dir| mode(path, if is_dir { 0o755 } else { 0o644 }));
    mode(site.path(), 0o755);
    match output {
        Ok(output) => {
            let report: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
            assert_eq!(output.status.code(), Some(0), "{report:#}");
            assert_eq!(
                report["projections"].as_array().unwrap().len(),
                4,
                "all of it was looked at: {report:#}"
            );
            assert_eq!(report["snapshots"]["compared"], BASE.report["snapshots"]["compared"]);
        }
        // The build is somewhere that only its owner may enter.
        Err(error) if is_root => {
            eprintln!("not as somebody else: {error}");
            assert_eq!(verify(site.path(), &[]).0, 0);
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(listing(site.path()), before);
}

#[test]
fn beside_a_server_that_writes() {
    let dir = tempfile::tempdir().unwrap();
    copy(Site::new().path(), dir.path());
    let sunday = Sunday::serve(dir.path());
    let (is_over, client) = (AtomicBool::new(false), sunday.command);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                let workspace = json!({ "name": format!("{NAME} {number}") });
                assert_eq!(client.post("/api/v1/workspaces", &workspace).unwrap().status, 201);
            }
        });
        let found: Vec<_> = (0..4).map(|_| verify(dir.path(), &[])).collect();
        is_over.store(true, Ordering::Relaxed);
        for (exit, report) in found {
            assert_eq!(exit, 0, "{report:#}");
            assert!(
                report["checkpoints"]["proven"].as_u64() >= BASE.report["checkpoints"]["proven"].as_u64()
            );
        }
    });
    sunday.stop();
    let (exit, report) = verify(dir.path(), &[]);
    assert_eq!(exit, 0, "{report:#}");
    assert!(
        report["checkpoints"]["newest"] == report["next"]
            && report["next"].as_u64() > BASE.report["next"].as_u64()
    );
}

#[test]
fn a_page_to_be_filed() {
    let site = Site::new();
    site.edit(&segments(site.path())[1], |bytes| bytes[9_000] ^= 1);
    // What stands in a file's name may not become markup.
    let shown = site.file("<b>&.note");
    fs::copy(&BASE.kept, &shown).unwrap();
    let page = site.file("report.html");
    let arguments = ["--html", page.to_str().unwrap(), "--checkpoint", shown.to_str().unwrap()];
    let (exit, report) = verify(site.path(), &arguments);
    assert_eq!(exit, 4);
    let html = fs::read_to_string(&page).unwrap();
    for elsewhere in ["http:", "https:", "<script", "<link", "<img", "@import", "url(", "<b>"] {
        assert!(!html.contains(elsewhere), "{elsewhere} in\n{html}");
    }
    assert_eq!(html.matches("<g><title>segment ").count(), report["extents"].as_array().unwrap().len());
    let rows = html.matches("<tr><td>bitrot</td>").count() as u64;
    assert!(rows > 0 && rows >= report["counts"]["bitrot"].as_u64().unwrap(), "{html}");
    assert!(html.contains("Damaged") && html.contains("exit code 4"), "{html}");
    assert!(
        html.contains("verify --data-dir") && html.contains("&lt;b&gt;&amp;.note"),
        "the command: {html}"
    );
    assert!(html.contains("checkpoint of "), "checkpoints are marked: {html}");
    let offset = report["findings"].as_array().unwrap().iter().find(|it| it["class"] == "bitrot").unwrap();
    assert!(html.contains(&format!("segment 1 offset {}", offset["offset"])), "{html}");
}

#[test]
fn the_report_has_the_shape_that_is_documented() {
    let page = fs::read_to_string(tests::workspace_root().join("docs/verify.md")).unwrap();
    let members: BTreeSet<_> = BASE.report.as_object().unwrap().keys().cloned().collect();
    for member in &members {
        assert!(page.contains(&format!("`{member}`")), "docs/verify.md does not name {member}");
    }
    let site = Site::new();
    fs::remove_file(&segments(site.path())[1]).unwrap();
    let (_, report) = verify(site.path(), &[]);
    let found: BTreeSet<_> = report.as_object().unwrap().keys().cloned().collect();
    assert_eq!(found, members, "whatever is found");
    for finding in report["findings"].as_array().unwrap() {
        for number in ["segment", "offset", "position"] {
            assert!(finding[number].is_u64(), "{finding}");
        }
        assert!(
            finding["class"].is_string() && finding["severity"].is_string() && finding["message"].is_string()
        );
    }
    assert!(!classes(&report).is_empty());
}

#[test]
fn help_says_what_the_exit_codes_mean() {
    let output = run(&["verify", "--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    for word in ["truncated_below_checkpoint", "unanchored_tail", "Exit codes: 0 intact, 1 tampering"] {
        assert!(help.contains(word), "{help}");
    }
}
