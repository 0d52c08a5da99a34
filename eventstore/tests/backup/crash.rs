//! A crash at every single change of the disk: what was there before is there, and the next run brings it to its end.

use crate::place::{Place, append, assert_intact, contents, events, first_commit, to_position};
use crate::support::Random;
use crate::traced::traced;
use eventstore::backup::{BackupError, BackupOptions, RestoreOptions, backup, restore};
use eventstore::storage::Environment;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A world that ends after so many changes of the disk.
fn ends_after(changes: u64) -> Environment {
    let done = Arc::new(AtomicU64::new(0));
    traced(move |_| {
        if done.fetch_add(1, Ordering::Relaxed) < changes { Ok(()) } else { Err(io::Error::other("the end")) }
    })
}

fn backup_crashes_everywhere(link: bool) {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 80);
    place.sign();
    let options = BackupOptions { link, ..BackupOptions::default() };
    place.take_with(options).unwrap();
    let before = events(&place.data());
    let store = place.store();
    append(&store, &mut random, 80);
    store.close();
    // Its index is still being written until it is gone.
    drop(store);
    place.sign();
    let (after, source) = (events(&place.data()), contents(&place.data().join("log")));
    for changes in 0..2_000 {
        let environment = ends_after(changes);
        // Whoever copies comes upon what somebody who linked has left.
        let options = BackupOptions { link: link && changes % 2 == 0, ..options };
        let done = backup(&environment, &place.data(), &place.backup(), options, &mut |_| {});
        // The log itself is never touched, not even by its second names.
        assert!(contents(&place.data().join("log")) == source, "after {changes} changes");
        let (to, _) = place.restored();
        let restored = events(&to);
        fs::remove_dir_all(to).unwrap();
        if done.is_ok() {
            assert!(changes > 5, "{changes} changes");
            assert_eq!(restored, after);
            break;
        }
        assert!(restored == before || restored == after, "after {changes} changes: {}", restored.len());
        if changes % 3 == 0 {
            // Not always: what was left behind piles up otherwise.
            continue;
        }
        assert!(matches!(done, Err(BackupError::Io { .. } | BackupError::Open(_))), "{done:?}");
    }
    assert_intact(&place.backup());
}

#[test]
fn a_crash_anywhere_in_a_backup_leaves_the_one_before() {
    backup_crashes_everywhere(false);
}

#[test]
fn a_crash_anywhere_in_a_backup_by_links_leaves_the_one_before_and_the_log() {
    backup_crashes_everywhere(true);
}

#[test]
fn a_first_backup_that_was_cut_short_anywhere_is_no_backup_and_in_nobodys_way() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 40);
    for changes in 0.. {
        let environment = ends_after(changes);
        let options = BackupOptions::default();
        let done = backup(&environment, &place.data(), &place.backup(), options, &mut |_| {});
        let restored = place.restore_to(&place.fresh(), RestoreOptions::default());
        match done {
            Ok(_) => {
                assert!(restored.is_ok() && changes > 5);
                break;
            }
            // The name of the manifest was there, but not yet synced.
            Err(_) if restored.is_ok() => {}
            Err(_) => assert!(matches!(restored, Err(BackupError::NoBackup { .. })), "{restored:?}"),
        }
    }
}

fn restore_crashes_everywhere(options: RestoreOptions, expected: &dyn Fn(&Path)) {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 60);
    place.sign();
    place.take().unwrap();
    let to = place.fresh();
    for changes in 0.. {
        let environment = ends_after(changes);
        let done = restore(&environment, &place.backup(), &to, options, &first_commit, &mut |_| {});
        let is_there = to.join("log").exists();
        assert!(done.is_err() || is_there);
        if is_there {
            // All of it or nothing.
            assert!(changes > 5, "{changes} changes");
            expected(&to);
            break;
        }
    }
}

#[test]
fn a_crash_anywhere_in_a_restore_leaves_no_log() {
    restore_crashes_everywhere(RestoreOptions::default(), &|to| {
        assert_intact(to);
        assert!(
            to.join("tree/checkpoints/00000000.notes").exists(),
            "with the log comes what was signed of it"
        );
    });
}

#[test]
fn a_crash_anywhere_in_the_making_of_a_new_store_leaves_no_log() {
    restore_crashes_everywhere(to_position(20), &|to| {
        assert_intact(to);
        assert_eq!(events(to).last().unwrap().1, "sys-store");
    });
}
