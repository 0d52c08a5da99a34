//! The disk keeps what was synced and may lose the rest: everything that a power cut can do is done by some seed.

use super::{Disk, End};
use crate::dice::Dice;
use crate::faults::Odds;
use eventstore::storage::{Access, Storage, StorageFile};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const SEEDS: u64 = 300;

fn disk(seed: u64) -> Disk {
    Disk::new(Dice::new(seed), "home", false)
}

fn file(storage: &dyn Storage, name: &str) -> Arc<dyn StorageFile> {
    storage.open(Path::new(name), Access::Open).unwrap()
}

fn after(disk: &Disk, name: &str) -> Option<Vec<u8>> {
    disk.read(Path::new(name))
}

/// What is left of something by a power cut, over many seeds.
fn left<T: Ord>(run: impl Fn(&Disk) -> T) -> BTreeSet<T> {
    (0..SEEDS).map(|seed| run(&disk(seed))).collect()
}

#[test]
fn what_was_synced_survives_and_the_rest_may_or_may_not() {
    let left = left(|disk| {
        let storage = disk.storage();
        let file = file(&*storage, "/home/a");
        file.write_all_at(&[1; 2048], 0).unwrap();
        file.sync().unwrap();
        storage.sync_dir(Path::new("/home")).unwrap();
        file.write_all_at(&[2; 1024], 512).unwrap();
        file.write_all_at(&[3; 512], 512).unwrap();
        assert_eq!(file.map().unwrap().bytes()[512], 3, "the map shows what was written");
        disk.end(End::PowerCut);
        assert!(file.len().is_err(), "the process is gone");
        let content = after(disk, "/home/a").unwrap();
        assert!(content[..512].iter().chain(&content[1536..]).all(|byte| *byte == 1));
        let sectors: Vec<u8> = content.chunks(512).map(|sector| sector[0]).collect();
        assert!(content.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        sectors
    });
    // Each sector for itself: old, new, or for one of them what it was in between.
    let second = [1, 2, 3];
    let all = second.iter().flat_map(|second| [1, 2].map(|third| vec![1, *second, third, 1]));
    assert_eq!(left, all.collect());
}

#[test]
fn a_name_is_durable_when_its_directory_is_synced() {
    let left = left(|disk| {
        let storage = disk.storage();
        let file = file(&*storage, "/home/a");
        file.write_all_at(b"x", 0).unwrap();
        file.sync().unwrap();
        storage.rename(Path::new("/home/a"), Path::new("/home/b")).unwrap();
        disk.end(End::PowerCut);
        ["a", "b"].map(|name| after(disk, &format!("/home/{name}")).is_some())
    });
    assert_eq!(left, BTreeSet::from([[false, false], [true, false], [false, true]]));
}

#[test]
fn a_new_directory_needs_its_parent() {
    let left = left(|disk| {
        let storage = disk.storage();
        storage.create_dir(Path::new("/home/a/b")).unwrap();
        file(&*storage, "/home/a/b/c").sync().unwrap();
        storage.sync_dir(Path::new("/home/a/b")).unwrap();
        storage.sync_dir(Path::new("/home/a")).unwrap();
        disk.end(End::PowerCut);
        after(disk, "/home/a/b/c").is_some()
    });
    assert_eq!(left, BTreeSet::from([false, true]));
}

#[test]
fn a_length_may_be_lost_or_filled_with_zeros() {
    let left = left(|disk| {
        let storage = disk.storage();
        let file = file(&*storage, "/home/a");
        storage.sync_dir(Path::new("/home")).unwrap();
        file.write_all_at(&[7; 512], 0).unwrap();
        disk.end(End::PowerCut);
        let content = after(disk, "/home/a").unwrap();
        (content.len(), content.first().copied())
    });
    assert_eq!(left, BTreeSet::from([(0, None), (512, Some(0)), (512, Some(7))]));
}

#[test]
fn a_killed_process_loses_nothing_that_it_wrote() {
    for seed in 0..SEEDS {
        let disk = disk(seed);
        file(&*disk.storage(), "/home/a").write_all_at(b"written", 0).unwrap();
        disk.end(End::Kill);
        assert_eq!(after(&disk, "/home/a").unwrap(), b"written");
    }
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next() {
    let left = left(|disk| {
        let storage = disk.storage();
        let file = file(&*storage, "/home/a");
        file.write_all_at(&[0; 1024], 0).unwrap();
        file.sync().unwrap();
        storage.sync_dir(Path::new("/home")).unwrap();
        disk.set_odds(Odds { sync_error: 1, ..Odds::default() });
        file.write_all_at(&[1; 1024], 0).unwrap();
        file.sync().unwrap_err();
        disk.set_odds(Odds::default());
        // Only what is written again is safe.
        file.write_all_at(&[1; 512], 512).unwrap();
        file.sync().unwrap();
        disk.end(End::PowerCut);
        let content = after(disk, "/home/a").unwrap();
        [content[0], content[512]]
    });
    assert_eq!(left, BTreeSet::from([[0, 1], [1, 1]]));
}

#[test]
fn a_lock_ends_with_its_process() {
    let disk = disk(0);
    let path = Path::new("/home/LOCK");
    let storage = disk.storage();
    let held = storage.lock(path, "me").unwrap();
    assert!(storage.lock(path, "me").is_err() && storage.is_locked(path));
    disk.end(End::Kill);
    let again = disk.storage().lock(path, "me").unwrap();
    drop(held);
    assert!(disk.storage().is_locked(path));
    drop(again);
    assert!(!disk.storage().is_locked(path));
}

#[test]
fn the_chosen_operation_is_the_last() {
    let left = left(|disk| {
        let storage = disk.storage();
        let file = file(&*storage, "/home/a");
        disk.arm(2, End::Kill);
        file.write_all_at(b"one", 0).unwrap();
        file.write_all_at(b"two", 3).unwrap_err();
        assert!(file.sync().is_err() && file.write_all_at(b"three", 6).is_err());
        assert_eq!(disk.dead(), Some(End::Kill));
        disk.end(End::Kill);
        after(disk, "/home/a").unwrap()
    });
    let all = ["one", "onet", "onetw", "onetwo"].map(|text| text.as_bytes().to_vec());
    assert_eq!(left, BTreeSet::from(all));
}
