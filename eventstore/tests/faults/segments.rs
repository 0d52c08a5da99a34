//! Segments that are half made, torn, missing or of another log.

use super::support::{open, small};
use super::{append, expect_intact, expect_payloads, fill, is_used, segment};
use eventstore::{Log, OpenError, Store, verify};
use std::fs;
use std::path::{Path, PathBuf};

fn copy_log(from: &Path, to: &Path) {
    for directory in ["log", "control"] {
        fs::create_dir_all(to.join(directory)).unwrap();
        for entry in fs::read_dir(from.join(directory)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(directory).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// Names and contents of a log's segments.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// What a full disk or a crash at roll-over leaves behind, in the place of the next segment.
#[test]
fn a_half_made_segment_never_stops_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 200);
    let reserve = (0..).find(|sequence| !segment(dir.path(), *sequence).exists()).unwrap() - 1;
    let path = segment(dir.path(), reserve);
    let preparing = path.with_extension("seg.preparing");
    let mut count = 200;
    for (made, garbage) in [
        (None, None),
        (None, Some(0)),
        (None, Some(5_000)),
        (None, Some(64 << 10)),
        (None, Some(300_000)),
        (Some(0), None),
        (Some(1), None),
        (Some(4095), Some(10)),
        (Some(4096), None),
        (Some(64 << 10), Some(64 << 10)),
        (Some(300_000), None),
    ] {
        // Always from the same store, so that the half-made one is the next.
        let copy = tempfile::tempdir().unwrap();
        copy_log(dir.path(), copy.path());
        let path = segment(copy.path(), reserve);
        fs::remove_file(&path).unwrap();
        if let Some(len) = made {
            fs::write(&path, vec![0; len]).unwrap();
        }
        if let Some(len) = garbage {
            fs::write(copy.path().join("log").join(preparing.file_name().unwrap()), vec![7; len]).unwrap();
        }
        expect_payloads(&Log::open_offline(copy.path()).unwrap(), 200);
        let store = open(copy.path());
        count = 400;
        (200..count).for_each(|number| append(&store, number).unwrap());
        drop(store);
        expect_payloads(&open(copy.path()), count);
        expect_intact(copy.path());
    }
    assert_eq!(count, 400);
}

/// A crash while the next segment's header was written, which a disk may tear at any of its sectors.
#[test]
fn a_header_torn_at_any_sector_never_stops_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 200);
    let last = (0..).take_while(|sequence| is_used(dir.path(), *sequence)).last().unwrap();
    assert!(last >= 2, "the test must roll over segments");
    let whole = fs::read(segment(dir.path(), last)).unwrap();
    let header = &whole[..4096];
    // Sectors reach the disk in any order. Those in the middle of the header are zero, so that only the first and the
    // last one matter: one of them without the other, or a page of which only the start arrived.
    for (name, arrived) in [
        ("first sector", 0..512),
        ("half a sector", 0..256),
        ("last sector", 3584..4096),
        ("all but the last", 0..3584),
    ] {
        let copy = tempfile::tempdir().unwrap();
        copy_log(dir.path(), copy.path());
        // Before the header was whole nothing had been published there.
        fs::remove_dir_all(copy.path().join("control")).unwrap();
        let mut torn = vec![0; whole.len()];
        torn[arrived.clone()].copy_from_slice(&header[arrived]);
        fs::write(segment(copy.path(), last), torn).unwrap();
        for later in last + 1.. {
            if fs::remove_file(segment(copy.path(), later)).is_err() {
                break;
            }
        }
        let report = verify(copy.path(), &mut |_| {}).unwrap();
        assert!(!report.is_tampered(), "{name}: {:?}", report.findings);
        let store = open(copy.path());
        let count = store.watermark().get() as u32;
        assert!(count > 100 && count < 200, "{name}: {count}");
        expect_payloads(&store, count);
        (count..count + 200).for_each(|number| append(&store, number).unwrap());
        drop(store);
        expect_payloads(&open(copy.path()), count + 200);
        expect_intact(copy.path());
    }
}

#[test]
fn a_missing_or_foreign_segment_is_named_by_everybody() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(dir.path(), 200);
    fill(other.path(), 200);
    let last = (0..).take_while(|sequence| is_used(dir.path(), *sequence)).last().unwrap();
    let shared = (0..).take_while(|sequence| is_used(other.path(), *sequence)).last().unwrap().min(last);
    for foreign in [false, true] {
        for which in [0, 1, shared] {
            let copy = tempfile::tempdir().unwrap();
            copy_log(dir.path(), copy.path());
            let path = segment(copy.path(), which);
            fs::remove_file(&path).unwrap();
            if foreign {
                fs::copy(segment(other.path(), which), &path).unwrap();
            }
            let before = listing(copy.path());
            // A foreign first segment makes all the others foreign.
            let named = |segment: u32| segment == which || (foreign && which == 0);
            let check = |error: OpenError| match error {
                OpenError::BadSegment { segment, .. } | OpenError::Damaged { segment, .. } => {
                    assert!(named(segment), "{which} {foreign}: {segment}");
                }
                // A page of another store than the first segment's is no log to follow.
                OpenError::NoLog { .. } if foreign && which == 0 => {}
                other => panic!("{which} {foreign}: {other:?}"),
            };
            check(Store::open(copy.path(), &small()).unwrap_err());
            match Log::open_offline(copy.path()) {
                // What comes before it can be read.
                Ok(log) => assert!(log.damage().is_some_and(|damage| named(damage.segment)), "{which}"),
                Err(error) => check(error),
            }
            check(Log::open(copy.path()).unwrap_err());
            let report = verify(copy.path(), &mut |_| {}).unwrap();
            let findings = &report.findings[..report.findings.len().min(3)];
            assert!(
                report.findings.iter().any(|found| named(found.segment)),
                "{which} {foreign}: {findings:?}"
            );
            assert_eq!(listing(copy.path()), before, "nothing was touched");
        }
    }
}
