//! Bad days that once went wrong, found by a reviewer who tried. Each test begins with what happened.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use eventstore::{
    AppendError, CommitBuilder, ExpectedVersion, Log, OpenError, Outcome, Position, Store, StoreOptions,
    verify,
};
use std::fs;
use std::path::{Path, PathBuf};
use support::{command, event, one, open, small};

fn segment(dir: &Path, sequence: u32) -> PathBuf {
    dir.join("log").join(format!("{sequence:010}.seg"))
}

fn page(dir: &Path) -> PathBuf {
    dir.join("control/log")
}

fn fill(dir: &Path, count: u32) {
    let store = open(dir);
    for number in 0..count {
        store
            .append(one(&format!("s-{}", number % 7), ExpectedVersion::Any, &format!("{{\"n\":{number}}}")))
            .unwrap();
    }
    store.close();
}

fn filled(count: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), count);
    dir
}

fn last_used(dir: &Path) -> u32 {
    let used = |sequence: &u32| fs::read(segment(dir, *sequence)).is_ok_and(|bytes| bytes[..8] != [0; 8]);
    (0..).take_while(used).last().unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, &bytes).unwrap();
    bytes
}

/// A header that had become zero made its segment look unused; the writer then zeroed it, frames and all.
#[test]
fn a_wiped_header_does_not_make_a_segment_unused() {
    for which in [1, 3] {
        let dir = filled(1000);
        fs::remove_file(page(dir.path())).unwrap();
        let wiped = change(&segment(dir.path(), which), |bytes| bytes[..4096].fill(0));
        match Store::open(dir.path(), &small()) {
            Err(OpenError::BadSegment { segment, .. }) => assert_eq!(segment, which),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(segment(dir.path(), which)).unwrap(), wiped, "nothing was touched");
        let report = verify(dir.path(), &mut |_| {}).unwrap();
        assert_eq!(report.findings[0].segment, which, "{:?}", report.findings);
        assert!(!report.is_tampered(), "{:?}", report.findings);
    }
}

/// Any unreadable header of the last segment was taken for one that a crash had torn, and set aside with the
/// acknowledged frames behind it.
#[test]
fn only_a_header_with_nothing_behind_it_is_torn() {
    let dir = filled(1000);
    let last = last_used(dir.path());
    let path = segment(dir.path(), last);
    let sound = fs::read(&path).unwrap();
    fs::remove_file(page(dir.path())).unwrap();
    for harm in 0..3 {
        let harmed = change(&path, |bytes| match harm {
            0 => bytes[30] ^= 1,
            1 => bytes.truncate(60 << 10),
            _ => bytes[12] = 9,
        });
        assert!(matches!(Store::open(dir.path(), &small()), Err(OpenError::BadSegment { .. })));
        assert_eq!(fs::read(&path).unwrap(), harmed);
        fs::write(&path, &sound).unwrap();
    }
    assert_eq!(open(dir.path()).watermark(), Position::new(1000));
}

/// A crash while the segment after a torn tail was being begun, or the very first one, was refused for ever.
#[test]
fn a_torn_header_is_set_aside_wherever_a_crash_can_leave_one() {
    let torn = |bytes: &mut Vec<u8>| bytes[..100].fill(7);
    // After a torn tail.
    let dir = filled(20);
    let end = |bytes: &[u8]| (bytes.iter().rposition(|byte| *byte != 0).unwrap() + 8) & !7;
    change(&segment(dir.path(), 0), |bytes| {
        let at = end(bytes);
        bytes[at..at + 50].fill(9);
    });
    change(&segment(dir.path(), 1), torn);
    let store = open(dir.path());
    store.append(one("s-1", ExpectedVersion::StreamExists, "{}")).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).watermark(), Position::new(21));
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
    // The first one of all.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("log")).unwrap();
    fs::write(segment(dir.path(), 0), vec![0; 64 << 10]).unwrap();
    change(&segment(dir.path(), 0), torn);
    open(dir.path()).append(one("s-1", ExpectedVersion::NoStream, "{}")).unwrap();
}

/// Another store's control page was believed: readers saw too little, and `verify` missed data that never was.
#[test]
fn a_foreign_control_page_counts_for_nothing() {
    let (dir, larger) = (filled(40), filled(1000));
    fs::copy(page(larger.path()), page(dir.path())).unwrap();
    assert!(matches!(Log::open(dir.path()), Err(OpenError::NoLog { .. })));
    assert_eq!(Log::open_offline(dir.path()).unwrap().watermark(), Position::new(40));
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
    // A failed opening must not leave our name on the other store's end.
    let sound = fs::read(segment(dir.path(), 0)).unwrap();
    change(&segment(dir.path(), 0), |bytes| bytes[5000] ^= 1);
    assert!(Store::open(dir.path(), &small()).is_err());
    fs::write(segment(dir.path(), 0), sound).unwrap();
    assert_eq!(open(dir.path()).watermark(), Position::new(40));
}

/// The page has no CRC; an epoch of all ones in it overflowed.
#[test]
fn a_rotten_epoch_in_the_control_page_is_ignored() {
    let dir = filled(5);
    change(&page(dir.path()), |bytes| bytes[32..36].fill(0xff));
    fill(dir.path(), 5);
    assert_eq!(open(dir.path()).watermark(), Position::new(10));
}

/// A batch of an unchanged and an applied command got another receipt the second time, and two commands that were
/// carried out one by one passed for a batch because they shared position and time.
#[test]
fn the_first_receipt_comes_again_and_belongs_to_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let batch = || {
        let mut commit = CommitBuilder::new();
        commit.command(command("u", "u", Outcome::Unchanged));
        commit.event(event("a-1", "{}")).command(command("v", "v", Outcome::Applied));
        commit.prepare().unwrap()
    };
    let first = store.append(batch()).unwrap();
    assert_eq!(store.append(batch()).unwrap(), eventstore::Receipt { duplicate: true, ..first });
    let found = store.find_command(&command("u", "u", Outcome::Unchanged).id).unwrap().unwrap();
    assert_eq!((found.outcome, found.receipt.outcome), (Outcome::Unchanged, Outcome::Applied));

    let unchanged = |names: &[&str]| {
        let mut commit = CommitBuilder::new();
        for name in names {
            commit.command(command(name, name, Outcome::Unchanged));
        }
        commit.prepare().unwrap()
    };
    let pending = [&["x"], &["y"]].map(|names| store.submit(unchanged(names)).unwrap());
    let together = store.submit(unchanged(&["x", "y"])).unwrap();
    assert!(pending.into_iter().all(|pending| pending.wait().is_ok()));
    assert!(matches!(together.wait(), Err(AppendError::CommandsSplit { .. })));
    assert!(matches!(store.append(unchanged(&["x", "y"])), Err(AppendError::CommandsSplit { .. })));
}

/// With less room than a mark takes at the end of a segment, `close` vouched for nothing.
#[test]
fn a_full_segment_is_vouched_for_too() {
    let mut rolled = 0;
    // Second payloads that end at every possible distance from the end of the segment.
    for distance in (0..400).step_by(8) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for len in [10_000, (64 << 10) - 4096 - 10_000 - 300 - distance] {
            store.append(one("s-1", ExpectedVersion::Any, &"x".repeat(len))).unwrap();
        }
        store.close();
        drop(store);
        if fs::read(segment(dir.path(), 0)).unwrap()[30_000] != b'x' {
            // The second frame did not fit and went to the next segment by itself.
            continue;
        }
        rolled += u32::from(last_used(dir.path()) == 1);
        fs::remove_file(page(dir.path())).unwrap();
        change(&segment(dir.path(), 0), |bytes| bytes[30_000] ^= 1);
        let opened = Store::open(dir.path(), &small());
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{distance}: {opened:?}");
    }
    assert!(rolled > 0, "no distance left room for the frame but not for a mark");
}

/// Rot of a salt, a segment's end or a whole file was called tampering in the segment after it.
#[test]
fn rot_is_not_called_tampering() {
    let dir = filled(1000);
    let check = |what: &str, segment: u32| {
        let report = verify(dir.path(), &mut |_| {}).unwrap();
        assert!(!report.is_intact() && !report.is_tampered(), "{what}: {:?}", report.findings);
        assert_eq!(report.findings[0].segment, segment, "{what}: {:?}", report.findings);
    };
    let path = segment(dir.path(), 1);
    let sound = fs::read(&path).unwrap();
    for at in (48..64).chain([4100, 30_000, 65_000]) {
        change(&path, |bytes| bytes[at] ^= 4);
        check(&format!("byte {at}"), 1);
        fs::write(&path, &sound).unwrap();
    }
    change(&path, |bytes| bytes[60_000..].fill(0));
    check("a wiped end", 1);
    fs::remove_file(&path).unwrap();
    check("a missing file", 1);
    assert_eq!(verify(dir.path(), &mut |_| {}).unwrap().findings.len(), 1, "one missing file is one finding");
    fs::write(&path, &sound).unwrap();

    // A header after an abandoned tail: the harm is in the header, not in the tail that it vouches for.
    let last = last_used(dir.path());
    change(&segment(dir.path(), last), |bytes| {
        let at = (bytes.iter().rposition(|byte| *byte != 0).unwrap() + 8) & !7;
        bytes[at..at + 50].fill(9);
    });
    fill(dir.path(), 3);
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
    change(&segment(dir.path(), last + 1), |bytes| bytes[90] ^= 1);
    check("the header after a torn tail", last + 1);
}

/// A segment of another size prepared by an earlier run is replaced, not cut: somebody may have it mapped.
#[test]
fn segments_may_change_their_size() {
    let dir = filled(10);
    let larger = StoreOptions { segment_bytes: 128 << 10, ..StoreOptions::default() };
    let store = Store::open(dir.path(), &larger).unwrap();
    for number in 0..1000 {
        store.append(one("t-1", ExpectedVersion::Any, &format!("{{\"n\":{number}}}"))).unwrap();
    }
    drop(store);
    assert_eq!(open(dir.path()).watermark(), Position::new(1010));
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}
