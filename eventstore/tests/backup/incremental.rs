//! A second backup takes what is new, of the same log only.

use crate::place::{Place, append, assert_intact, end, events, segment};
use crate::support::{Random, copy, open};
use eventstore::backup::{BackupError, BackupOptions};
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn only_what_is_new_is_written() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 300);
    let first = place.take().unwrap();
    assert_eq!(first.bytes_written, first.bytes);
    let again = place.take().unwrap();
    assert_eq!((again.bytes_written, again.next, again.chain), (0, first.next, first.chain));
    for _ in 0..5 {
        let before = place.take().unwrap();
        let inodes: Vec<_> = (0..before.segments)
            .map(|sequence| fs::metadata(segment(&place.backup(), sequence)).unwrap().ino())
            .collect();
        let store = place.store();
        let commits = 1 + random.below(60);
        append(&store, &mut random, commits);
        store.close();
        let after = place.take().unwrap();
        assert_eq!(after.bytes_written, after.bytes - before.bytes);
        for (sequence, inode) in (0..).zip(inodes) {
            assert_eq!(
                fs::metadata(segment(&place.backup(), sequence)).unwrap().ino(),
                inode,
                "not copied again"
            );
        }
        let (to, _) = place.restored();
        assert_eq!(events(&to), events(&place.data()));
    }
}

#[test]
fn ended_segments_can_be_second_names() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 300);
    let ended = end(&place.data()).segment();
    let link = BackupOptions { link: true, ..BackupOptions::default() };
    let taken = place.take_with(link).unwrap();
    assert_eq!(taken.segments_linked, ended);
    let inode = |path| fs::metadata(path).unwrap().ino();
    for sequence in 0..ended {
        assert_eq!(inode(segment(&place.data(), sequence)), inode(segment(&place.backup(), sequence)));
    }
    // The one that is being written is copied: nobody writes into a backup.
    assert_ne!(inode(segment(&place.data(), ended)), inode(segment(&place.backup(), ended)));
    let store = place.store();
    append(&store, &mut random, 300);
    store.close();
    place.take_with(link).unwrap();
    assert_intact(&place.data());
    assert_intact(&place.backup());
    let (to, _) = place.restored();
    assert_eq!(events(&to), events(&place.data()));
    // Written by a store of its own, in files of its own.
    let before = events(&place.data());
    let store = open(&to);
    append(&store, &mut random, 300);
    store.close();
    assert_eq!(events(&place.data()), before);
    assert_intact(&place.data());
}

#[test]
fn a_file_that_has_gone_from_the_backup_is_copied_again() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 300);
    place.take().unwrap();
    fs::remove_file(segment(&place.backup(), 1)).unwrap();
    place.take().unwrap();
    let (to, _) = place.restored();
    assert_eq!(events(&to), events(&place.data()));
    let last = end(&place.data()).segment();
    fs::remove_file(segment(&place.backup(), last)).unwrap();
    place.take().unwrap();
    let (to, _) = place.restored();
    assert_eq!(events(&to), events(&place.data()));
}

#[test]
fn another_log_or_another_past_is_refused_and_changes_nothing() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 100);
    let earlier = Place::new();
    copy(&place.data(), &earlier.data());
    let store = place.store();
    append(&store, &mut random, 40);
    store.close();
    place.take().unwrap();
    let before = crate::place::contents(&place.backup());

    // Shorter: a copy from before. Then as long, with other events.
    copy(&place.backup(), &earlier.backup());
    let error = earlier.take().unwrap_err();
    assert!(matches!(error, BackupError::Diverged { .. }), "{error}");
    let store = earlier.store();
    append(&store, &mut random, 400);
    store.close();
    let error = earlier.take().unwrap_err();
    assert!(matches!(error, BackupError::Diverged { .. }), "{error}");

    let other = Place::filled(&mut random, 10);
    copy(&place.backup(), &other.backup());
    let error = other.take().unwrap_err();
    assert!(matches!(error, BackupError::OtherStore { .. }), "{error}");
    for place in [&earlier, &other] {
        let after = crate::place::contents(&place.backup());
        let bytes = |all: &[(std::path::PathBuf, Vec<u8>)]| -> Vec<Vec<u8>> {
            let is_lock = |path: &std::path::Path| path.ends_with("LOCK");
            all.iter().filter(|(path, _)| !is_lock(path)).map(|(_, bytes)| bytes.clone()).collect()
        };
        assert!(bytes(&after) == bytes(&before), "the backup is as it was");
    }
}

#[test]
fn a_second_name_that_is_left_over_is_never_written_through() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 300);
    let link = BackupOptions { link: true, ..BackupOptions::default() };
    assert!(place.take_with(link).unwrap().segments_linked > 0);
    let log: Vec<_> = (0..=end(&place.data()).segment()).map(|one| segment(&place.data(), one)).collect();
    let inodes: Vec<_> = log.iter().map(|path| fs::metadata(path).unwrap().ino()).collect();
    let bytes: Vec<_> = log.iter().map(|path| fs::read(path).unwrap()).collect();
    // Cut short before its manifest: the names are there, and nobody knows what they are.
    fs::remove_file(place.backup().join("MANIFEST")).unwrap();
    assert_eq!(place.take().unwrap().segments_linked, 0);
    for (sequence, inode) in (0..).zip(inodes) {
        let copied = fs::metadata(segment(&place.backup(), sequence)).unwrap().ino();
        assert_ne!(copied, inode, "segment {sequence} of the backup is the log's own file");
    }
    let after: Vec<_> = log.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(after == bytes, "the log is what it was");
    assert_intact(&place.data());
    assert_intact(&place.backup());
}
