//! Disks that are full, and have room again.

use super::child::on_a_disk;
use super::disk::Disk;
use super::support::{one, open, small, stream};
use super::{MIB, append, expect_intact, expect_payloads, fill, payload, segment};
use eventstore::{AppendError, ExpectedVersion, Log, OpenError, Store};
use std::fs;

/// Appends from `number` on until that is refused; the number refused and why.
fn append_until_refused(store: &Store, mut number: u32) -> (u32, AppendError) {
    loop {
        match append(store, number) {
            Ok(()) => number += 1,
            Err(error) => return (number, error),
        }
        assert!(number < 10_000, "the disk is never full");
    }
}

/// Appends from `number` on, over at least one roll-over, once there is room again. The first tries may still be
/// answered by a preparation that failed before.
fn append_again(store: &Store, number: u32) -> u32 {
    let tries = (0..100).find(|_| append(store, number).is_ok());
    assert!(tries.is_some(), "there is room, but appends are refused for ever");
    let next = number + 200;
    (number + 1..next).for_each(|number| append(store, number).unwrap());
    next
}

#[test]
fn a_full_disk_makes_the_log_read_only_until_there_is_room() {
    on_a_disk("full::a_full_disk_makes_the_log_read_only_until_there_is_room", || {
        let disk = Disk::new(8 * MIB);
        let store = open(&disk.root());
        append(&store, 0).unwrap();
        disk.fill();
        let mut next = 1;
        for _ in 0..3 {
            let (refused, error) = append_until_refused(&store, next);
            assert!(matches!(error, AppendError::ReadOnly { .. }), "{error:?}");
            // It stays so, it is said of every commit that waits, and reading goes on.
            let waiting: Vec<_> = (0..5)
                .map(|_| store.submit(one("s-x", ExpectedVersion::Any, &payload(refused))).unwrap())
                .collect();
            for pending in waiting {
                let error = pending.wait().unwrap_err();
                assert!(matches!(error, AppendError::ReadOnly { .. }), "{error:?}");
            }
            expect_payloads(&store, refused);
            expect_payloads(&Log::open(&disk.root()).unwrap(), refused);
            assert_eq!(store.stream_version(&stream("s-x")).unwrap(), None);

            disk.make_room();
            next = append_again(&store, refused);
            expect_payloads(&store, next);
            disk.fill();
        }
        drop(store);
        expect_intact(&disk.root());
        expect_payloads(&open(&disk.root()), next);
    });
}

#[test]
fn a_log_on_a_full_disk_opens_for_reading_and_goes_on_once_there_is_room() {
    on_a_disk("full::a_log_on_a_full_disk_opens_for_reading_and_goes_on_once_there_is_room", || {
        let disk = Disk::new(8 * MIB);
        let root = disk.root();
        fill(&root, 200);
        // Without the reserve, so that the next roll-over needs room at once.
        let last = (0..).take_while(|sequence| segment(&root, *sequence).exists()).last().unwrap();
        assert_eq!(fs::read(segment(&root, last)).unwrap()[..8], [0; 8], "the last one is a reserve");
        fs::remove_file(segment(&root, last)).unwrap();
        disk.fill();

        expect_payloads(&Log::open_offline(&root).unwrap(), 200);
        expect_payloads(&Log::open(&root).unwrap(), 200);
        expect_intact(&root);
        let store = open(&root);
        expect_payloads(&store, 200);
        let (refused, error) = append_until_refused(&store, 200);
        assert!(matches!(error, AppendError::ReadOnly { .. }), "{error:?}");
        drop(store);
        // And once more, now with a last segment that is full.
        let store = open(&root);
        expect_payloads(&store, refused);
        let (still_refused, _) = append_until_refused(&store, refused);
        assert_eq!(still_refused, refused);
        disk.make_room();
        let next = append_again(&store, refused);
        drop(store);
        expect_payloads(&open(&root), next);
        expect_intact(&root);
    });
}

/// The control page is mapped: a page without a block of its own on a full disk would end us by SIGBUS.
#[test]
fn a_control_page_that_finds_no_room_is_an_error() {
    on_a_disk("full::a_control_page_that_finds_no_room_is_an_error", || {
        let disk = Disk::new(8 * MIB);
        let root = disk.root();
        fill(&root, 10);
        let page = root.join("control/log");
        // Not there, cut short, and all hole: what a restore from a backup or a crash may leave.
        for len in [None, Some(0), Some(100), Some(4096)] {
            fs::remove_file(&page).unwrap();
            if let Some(len) = len {
                fs::File::create(&page).unwrap().set_len(len).unwrap();
            }
            disk.fill();
            match Store::open(&root, &small()) {
                Ok(store) => expect_payloads(&store, 10),
                Err(error) => assert!(matches!(error, OpenError::Io { .. }), "{error:?}"),
            }
            expect_payloads(&Log::open_offline(&root).unwrap(), 10);
            disk.make_room();
            expect_payloads(&open(&root), 10);
        }
        expect_intact(&root);
    });
}

/// No room for a new log is an error, and what the try leaves behind is no obstacle.
#[test]
fn a_log_can_be_made_once_there_is_room() {
    on_a_disk("full::a_log_can_be_made_once_there_is_room", || {
        let disk = Disk::new(8 * MIB);
        let root = disk.root().join("data");
        fs::create_dir_all(root.join("log")).unwrap();
        disk.fill();
        let error = Store::open(&root, &small()).unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
        disk.make_room();
        fill(&root, 100);
        expect_payloads(&open(&root), 100);
    });
}
