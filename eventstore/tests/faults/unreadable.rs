//! Disks that take nothing or give nothing back any more.

use super::child::on_a_disk;
use super::disk::Disk;
use super::support::{open, small, stream};
use super::{MIB, append, eviction, expect_intact, expect_payloads, fill, segment};
use eventstore::{AppendError, Direction, Log, OpenError, Position, Store, Version, verify};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_failed_sync_is_final_and_never_passes_for_success() {
    on_a_disk("unreadable::a_failed_sync_is_final_and_never_passes_for_success", || {
        let disk = Disk::new(8 * MIB);
        let store = open(&disk.root());
        (0..10).for_each(|number| append(&store, number).unwrap());
        disk.fail_writes();
        let error = append(&store, 10).unwrap_err();
        assert!(matches!(error, AppendError::OutcomeUnknown { .. }), "{error:?}");
        for number in 11..14 {
            // The page cache now shows what the disk does not have. A second try at a sync would say "done".
            let error = append(&store, number).unwrap_err();
            assert!(matches!(error, AppendError::ReadOnly { .. }), "{error:?}");
        }
        expect_payloads(&store, 10);
        let other = Log::open(&disk.root());
        assert!(other.is_err() || other.is_ok_and(|log| log.watermark() == Position::new(10)));
        store.close();
        assert!(append(&store, 14).is_err());
    });
}

/// A store over some segments whose second one cannot be read any more from `from` on.
fn unreadable(disk: &Disk, from: u64) -> PathBuf {
    let root = disk.root();
    fill(&root, 200);
    let path = segment(&root, 1);
    // Everything else stays in the cache, the page of the control directory as well.
    for sequence in 0..6 {
        let _ = fs::read(segment(&root, sequence));
    }
    Disk::forget(&path, from);
    disk.fail_reads();
    expect_unreadable(&path);
    root
}

/// Whether the trap is set: reading by `read` fails as it should.
fn expect_unreadable(path: &Path) {
    let error = fs::read(path).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()), "{error}");
}

fn names_the_segment(error: &OpenError) -> bool {
    match error {
        OpenError::Io { path, .. } => path.ends_with("0000000001.seg"),
        OpenError::Damaged { segment, .. } | OpenError::BadSegment { segment, .. } => *segment == 1,
        _ => false,
    }
}

#[test]
fn bytes_that_cannot_be_read_are_an_error_of_opening_for_writing() {
    on_a_disk("unreadable::bytes_that_cannot_be_read_are_an_error_of_opening_for_writing", || {
        for from in [0, 32 << 10] {
            let disk = Disk::new(8 * MIB);
            let root = unreadable(&disk, from);
            let error = Store::open(&root, &small()).unwrap_err();
            assert!(names_the_segment(&error), "{error:?}");
        }
    });
}

#[test]
fn bytes_that_cannot_be_read_are_an_error_of_opening_for_reading() {
    on_a_disk("unreadable::bytes_that_cannot_be_read_are_an_error_of_opening_for_reading", || {
        for from in [0, 32 << 10] {
            let disk = Disk::new(8 * MIB);
            let root = unreadable(&disk, from);
            let error = Log::open(&root).unwrap_err();
            assert!(names_the_segment(&error), "{error:?}");
            match Log::open_offline(&root) {
                // What comes before the bad sector can be read.
                Ok(log) => assert_eq!(log.damage().unwrap().segment, 1),
                Err(error) => assert!(names_the_segment(&error), "{error:?}"),
            }
        }
    });
}

#[test]
fn bytes_that_cannot_be_read_are_an_error_of_verify() {
    on_a_disk("unreadable::bytes_that_cannot_be_read_are_an_error_of_verify", || {
        for from in [0, 32 << 10] {
            let disk = Disk::new(8 * MIB);
            let root = unreadable(&disk, from);
            match verify(&root, &mut |_| {}) {
                Ok(report) => {
                    assert!(!report.is_intact() && !report.is_tampered(), "{:?}", report.findings);
                    assert_eq!(report.findings[0].segment, 1, "{:?}", report.findings);
                }
                Err(error) => assert!(names_the_segment(&error), "{error:?}"),
            }
        }
    });
}

/// Bytes are made sure of when they are looked at for the first time. Those that the machine has dropped from memory
/// since, and that the disk cannot give back, end the process: short of a signal handler nothing could prevent that,
/// because they may go at any moment between being made sure of and being looked at.
#[test]
#[ignore = "a known limit of reading through a map; it shows what happens on a disk that dies after it was read once"]
fn bytes_that_cannot_be_read_any_more_are_an_error_of_every_read() {
    on_a_disk("unreadable::bytes_that_cannot_be_read_any_more_are_an_error_of_every_read", || {
        let disk = Disk::new(8 * MIB);
        let root = disk.root();
        fill(&root, 200);
        let log = Log::open_offline(&root).unwrap();
        let kept: Vec<_> = log.commits(Position::ZERO).map(Result::unwrap).take(3).collect();
        disk.fail_reads();
        eviction::forget_mapped(&root.join("log"));
        expect_unreadable(&segment(&root, 1));

        assert!(log.commits(Position::ZERO).next().unwrap().is_err());
        assert!(log.commits(Position::new(100)).next().unwrap().is_err());
        let name = stream("s-1");
        assert!(log.read_stream(&name, Version::ZERO, Direction::Forward, 10).is_err());
        assert!(log.event(Position::new(50)).is_err());
        // A handle that was given out before: it may show nothing, it must not kill.
        assert!(kept.iter().flat_map(eventstore::RecordedCommit::events).count() <= 3);
    });
}

#[test]
fn a_read_only_disk_can_be_read() {
    on_a_disk("unreadable::a_read_only_disk_can_be_read", || {
        let disk = Disk::new(8 * MIB);
        let root = disk.root();
        fill(&root, 200);
        disk.make_read_only();
        let error = Store::open(&root, &small()).unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
        expect_payloads(&Log::open_offline(&root).unwrap(), 200);
        expect_payloads(&Log::open(&root).unwrap(), 200);
        expect_intact(&root);
    });
}
