//! Snapshots: whatever is in the directory, a fold gives what a replay gives.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use eventstore::{
    CommitBuilder, EventView, ExpectedVersion, Folded, Log, OpenError, ReadError, SnapshotOptions, Snapshots,
    Store, Version, fold,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Random, copy, event, one, open, stream};

/// A state that depends on every event and on their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    events: u64,
    mixed: u64,
    last: String,
    ids: Vec<[u8; 16]>,
}

/// Only as clear as the compiler needs it.
#[allow(clippy::unnecessary_wraps)]
fn apply(state: &mut State, event: &EventView<'_>) -> Result<(), ReadError> {
    state.events += 1;
    state.last = String::from_utf8_lossy(event.payload()).into_owned();
    for byte in event.id().as_bytes().iter().chain(event.payload()) {
        state.mixed = state.mixed.wrapping_mul(31).wrapping_add(u64::from(*byte));
    }
    if state.ids.len() < 3 {
        state.ids.push(*event.id().as_bytes());
    }
    Ok(())
}

fn folded(log: &Log, snapshots: Option<&Snapshots>, name: &str) -> Folded<State> {
    fold(log, snapshots, &stream(name), 1, State::default(), apply).unwrap()
}

/// Folds with snapshots, and asserts that a replay gives the same; how many events the fold had to apply.
fn same(log: &Log, snapshots: &Snapshots, name: &str) -> u64 {
    let fast = folded(log, Some(snapshots), name);
    let slow = folded(log, None, name);
    assert_eq!((fast.version, &fast.state), (slow.version, &slow.state), "{name}");
    assert_eq!(slow.applied, slow.state.events);
    fast.applied
}

fn append(store: &Store, name: &str, count: u64) {
    for number in 0..count {
        store.append(one(name, ExpectedVersion::Any, &format!("{{\"n\":{number}}}"))).unwrap();
    }
}

fn put(log: &Log, snapshots: &Snapshots, name: &str) -> bool {
    let now = folded(log, None, name);
    snapshots.put(log, &stream(name), now.version.unwrap(), 1, &now.state)
}

fn cache(dir: &Path) -> Snapshots {
    Snapshots::open(dir, &SnapshotOptions::default()).unwrap()
}

fn file(dir: &Path) -> PathBuf {
    dir.join("snapshots/snapshots.dat")
}

#[test]
fn a_snapshot_saves_the_events_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 700);
    append(&store, "item-2", 3);
    let snapshots = cache(dir.path());
    assert!(snapshots.is_empty());
    assert_eq!(same(&store, &snapshots, "item-1"), 700);
    assert!(put(&store, &snapshots, "item-1"));
    assert_eq!(same(&store, &snapshots, "item-1"), 0);
    append(&store, "item-1", 5);
    assert_eq!(same(&store, &snapshots, "item-1"), 5);
    assert_eq!(same(&store, &snapshots, "item-2"), 3);
    assert_eq!(same(&store, &snapshots, "item-none"), 0);

    // It is there for others, who may not write, and for the next run.
    let locked = Snapshots::open(dir.path(), &SnapshotOptions::default());
    assert!(matches!(locked, Err(OpenError::Locked { holder: Some(_), .. })), "{locked:?}");
    let reader = Snapshots::open_reader(dir.path());
    assert_eq!(same(&Log::open(dir.path()).unwrap(), &reader, "item-1"), 5);
    assert!(!put(&store, &reader, "item-1"));
    drop(snapshots);
    let snapshots = cache(dir.path());
    assert_eq!(same(&store, &snapshots, "item-1"), 5);
    // Another schema version is another state.
    assert!(snapshots.get::<State>(&store, &stream("item-1"), 2).is_none());
    assert!(snapshots.get::<State>(&store, &stream("item-1"), 1).is_some());
    // And a state of another shape cannot be decoded, if one is lucky.
    assert!(snapshots.get::<(String, String)>(&store, &stream("item-1"), 1).is_none());
    assert!(snapshots.is_empty(), "one that cannot be decoded is forgotten");
}

#[test]
fn the_newest_is_kept_and_only_of_what_the_log_has() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 10);
    let snapshots = cache(dir.path());
    let name = stream("item-1");
    let state = |events| State { events, ..State::default() };
    assert!(!snapshots.put(&store, &name, Version::new(10), 1, &state(11)));
    assert!(!snapshots.put(&store, &stream("item-2"), Version::ZERO, 1, &state(1)));
    assert!(snapshots.put(&store, &name, Version::new(5), 1, &state(6)));
    assert!(!snapshots.put(&store, &name, Version::new(5), 1, &state(6)));
    assert!(!snapshots.put(&store, &name, Version::new(4), 1, &state(5)));
    assert!(snapshots.put(&store, &name, Version::new(9), 1, &state(10)));
    assert!(snapshots.put(&store, &name, Version::new(3), 2, &state(4)), "of another schema version");
    let kept = snapshots.get::<State>(&store, &name, 2).unwrap();
    assert_eq!((kept.version, kept.state.events), (Version::new(3), 4));
}

#[test]
fn commits_of_many_events_and_streams_are_folded_whole() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let snapshots = cache(dir.path());
    for _ in 0..60 {
        let mut commit = CommitBuilder::new();
        for number in 0..=random.below(40) {
            commit.event(event(&format!("item-{}", random.below(4)), &format!("{number}")));
        }
        store.append(commit.prepare().unwrap()).unwrap();
        let name = format!("item-{}", random.below(5));
        if random.below(3) == 0 && store.stream_version(&stream(&name)).unwrap().is_some() {
            // Also at a version within a commit.
            let head = folded(&store, None, &name).version.unwrap().get();
            let version = head - random.below(head.min(20) + 1);
            let mut state = State::default();
            let events = store.read_stream(
                &stream(&name),
                Version::ZERO,
                eventstore::Direction::Forward,
                usize::try_from(version).unwrap() + 1,
            );
            for event in events.unwrap() {
                apply(&mut state, &event.get().unwrap()).unwrap();
            }
            snapshots.put(&store, &stream(&name), Version::new(version), 1, &state);
        }
        (0..5).for_each(|number| {
            same(&store, &snapshots, &format!("item-{number}"));
        });
    }
    assert!((1..=4).contains(&snapshots.len()), "one per stream at most");
}

/// A store with three snapshots, and the bytes of their file.
fn three(dir: &Path) -> (Store, Vec<u8>) {
    let store = open(dir);
    let snapshots = cache(dir);
    for name in ["item-1", "item-22", "item-333"] {
        append(&store, name, 4);
        assert!(put(&store, &snapshots, name));
        append(&store, name, 2);
        assert_eq!(same(&store, &snapshots, name), 2);
    }
    drop(snapshots);
    (store, fs::read(file(dir)).unwrap())
}

fn all_the_same(store: &Store, dir: &Path) -> u64 {
    let mut applied = 0;
    for snapshots in [Snapshots::open_reader(dir), cache(dir)] {
        let names = ["item-1", "item-22", "item-333"];
        applied = names.iter().map(|name| same(store, &snapshots, name)).sum();
    }
    applied
}

#[test]
fn any_byte_may_be_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (store, bytes) = three(dir.path());
    let mut random = Random::seeded();
    let mut noticed = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << random.below(8);
        fs::write(file(dir.path()), &damaged).unwrap();
        noticed += u64::from(all_the_same(&store, dir.path()) > 6);
    }
    // Everything but padding counts.
    assert!(noticed + 3 * 7 >= bytes.len() as u64, "{noticed} of {}", bytes.len());
    fs::write(file(dir.path()), &bytes).unwrap();
    assert_eq!(all_the_same(&store, dir.path()), 6);
}

#[test]
fn any_length_may_be_left() {
    let dir = tempfile::tempdir().unwrap();
    let (store, bytes) = three(dir.path());
    for len in 0..bytes.len() {
        fs::write(file(dir.path()), &bytes[..len]).unwrap();
        assert!(all_the_same(&store, dir.path()) > 6, "{len}");
        // As after a power cut: the length is there, the bytes are not.
        let mut zeroed = bytes.clone();
        zeroed[len..].fill(0);
        fs::write(file(dir.path()), &zeroed).unwrap();
        all_the_same(&store, dir.path());
        // And it goes on from there.
        let snapshots = cache(dir.path());
        put(&store, &snapshots, "item-22");
        assert_eq!(same(&store, &snapshots, "item-22"), 0);
        drop(snapshots);
        assert_eq!(same(&store, &cache(dir.path()), "item-22"), 0);
    }
    fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
    assert_eq!(all_the_same(&store, dir.path()), 18);
}

/// Records that lie behind a damaged one do not come back when the damage has been written over.
#[test]
fn what_was_cut_off_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 4);
    append(&store, "item-2", 4);
    let snapshots = cache(dir.path());
    assert!(put(&store, &snapshots, "item-1") && put(&store, &snapshots, "item-2"));
    append(&store, "item-1", 1);
    assert!(put(&store, &snapshots, "item-1"));
    drop(snapshots);
    let mut bytes = fs::read(file(dir.path())).unwrap();
    bytes[24] ^= 1;
    fs::write(file(dir.path()), bytes).unwrap();

    let snapshots = cache(dir.path());
    assert!(snapshots.is_empty());
    // As long as the damaged one, so that the one behind it would be met again.
    append(&store, "item-1", 1);
    assert!(put(&store, &snapshots, "item-1"));
    drop(snapshots);
    let snapshots = cache(dir.path());
    assert_eq!(snapshots.len(), 1);
    assert_eq!(same(&store, &snapshots, "item-1"), 0);
}

#[test]
fn noise_in_place_of_the_file_is_replaced() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let (store, bytes) = three(dir.path());
    for _ in 0..200 {
        let mut noise = bytes.clone();
        for _ in 0..=random.below(40) {
            let at = usize::try_from(random.below(noise.len() as u64)).unwrap();
            noise[at] = random.next().to_le_bytes()[0];
        }
        if random.below(2) == 0 {
            let at = usize::try_from(random.below(noise.len() as u64)).unwrap();
            noise.drain(..at);
        }
        fs::write(file(dir.path()), &noise).unwrap();
        all_the_same(&store, dir.path());
    }
}

#[test]
fn snapshots_of_another_store_or_history_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let copied = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 10);
    store.close();
    drop(store);
    copy(dir.path(), copied.path());
    let store = open(dir.path());
    append(&store, "item-1", 10);
    let snapshots = cache(dir.path());
    assert!(put(&store, &snapshots, "item-1"));
    drop(snapshots);

    // The log is restored from the copy, the snapshots stay.
    let restored = open(copied.path());
    copy(&dir.path().join("snapshots"), &copied.path().join("snapshots"));
    let snapshots = cache(copied.path());
    assert_eq!(same(&restored, &snapshots, "item-1"), 10);
    append(&restored, "item-1", 9);
    assert_eq!(same(&restored, &snapshots, "item-1"), 19);
    // An older version replaces one that this log never had.
    assert!(put(&restored, &snapshots, "item-1"));
    assert_eq!(same(&restored, &snapshots, "item-1"), 0);
    drop(snapshots);

    // Gone another way, beyond the version of the snapshot.
    copy(&dir.path().join("snapshots"), &copied.path().join("snapshots"));
    append(&restored, "item-1", 21);
    let snapshots = cache(copied.path());
    assert_eq!(snapshots.len(), 1);
    assert_eq!(same(&restored, &snapshots, "item-1"), 40);
    assert!(snapshots.is_empty());
    drop(snapshots);

    let foreign = tempfile::tempdir().unwrap();
    let foreign_store = open(foreign.path());
    append(&foreign_store, "item-1", 30);
    copy(&dir.path().join("snapshots"), &foreign.path().join("snapshots"));
    let snapshots = cache(foreign.path());
    assert_eq!(snapshots.len(), 1);
    assert_eq!(same(&foreign_store, &snapshots, "item-1"), 30);
    assert!(snapshots.is_empty());
}

/// The same event at the same version of the same store, after another past: only the chain tells them apart.
#[test]
fn the_past_of_the_event_counts() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    open(dir.path()).close();
    copy(dir.path(), other.path());
    let last = event("item-1", "last");
    let stores: Vec<_> = [(dir.path(), "one"), (other.path(), "another")]
        .map(|(dir, first)| {
            let store = open(dir);
            store.append(one("item-1", ExpectedVersion::NoStream, first)).unwrap();
            let mut commit = CommitBuilder::new();
            commit.event(last.clone());
            store.append(commit.prepare().unwrap()).unwrap();
            store
        })
        .into();
    assert_eq!(stores[0].store_id(), stores[1].store_id());
    let snapshots = cache(dir.path());
    assert!(put(&stores[0], &snapshots, "item-1"));
    assert_eq!(same(&stores[0], &snapshots, "item-1"), 0);
    assert_eq!(same(&stores[1], &snapshots, "item-1"), 2);
}

/// The same event id at the same version of the same stream: only the store tells them apart.
#[test]
fn the_store_counts_even_where_the_events_are_the_same() {
    let event = event("item-1", "{}");
    let stores: Vec<_> = (0..2)
        .map(|_| {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            let mut commit = CommitBuilder::new();
            commit.event(event.clone());
            store.append(commit.prepare().unwrap()).unwrap();
            (dir, store)
        })
        .collect();
    let snapshots = cache(stores[0].0.path());
    assert!(put(&stores[0].1, &snapshots, "item-1"));
    assert!(snapshots.get::<State>(&stores[1].1, &stream("item-1"), 1).is_none());
}

#[test]
fn the_file_is_rewritten_when_half_of_it_is_dead() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let snapshots = cache(dir.path());
    let long = "x".repeat(2000);
    for number in 0..400 {
        let name = format!("item-{}", random.below(5));
        store.append(one(&name, ExpectedVersion::Any, &format!("{number}{long}"))).unwrap();
        assert!(put(&store, &snapshots, &name));
        let len = fs::metadata(file(dir.path())).unwrap().len();
        // Five live ones, as much again, and what is never worth it.
        assert!(len < 2 * 5 * 2300 + (64 << 10), "{len}");
        (0..5).for_each(|number| assert_eq!(same(&store, &snapshots, &format!("item-{number}")), 0));
    }
    // A reader that had the old file open keeps it.
    drop(snapshots);
    let snapshots = cache(dir.path());
    (0..5).for_each(|number| assert_eq!(same(&store, &snapshots, &format!("item-{number}")), 0));
    assert!(!dir.path().join("snapshots/snapshots.dat.preparing").exists());
}

#[test]
fn what_was_used_least_recently_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let options = SnapshotOptions { max_snapshots: 3, max_bytes: 64 << 20 };
    let snapshots = Snapshots::open(dir.path(), &options).unwrap();
    for number in 0..3 {
        append(&store, &format!("item-{number}"), 1);
        assert!(put(&store, &snapshots, &format!("item-{number}")));
    }
    assert_eq!(same(&store, &snapshots, "item-0"), 0);
    append(&store, "item-3", 1);
    assert!(put(&store, &snapshots, "item-3"));
    assert_eq!(snapshots.len(), 3);
    assert_eq!(same(&store, &snapshots, "item-1"), 1, "the one that was used least recently");
    for name in ["item-0", "item-2", "item-3"] {
        assert_eq!(same(&store, &snapshots, name), 0);
    }
    drop(snapshots);

    let options = SnapshotOptions { max_snapshots: 100, max_bytes: 1000 };
    let snapshots = Snapshots::open(dir.path(), &options).unwrap();
    append(&store, "item-4", 1);
    let large = State { last: "x".repeat(2000), ..State::default() };
    assert!(!snapshots.put(&store, &stream("item-4"), Version::ZERO, 1, &large));
    let medium = State { last: "x".repeat(800), ..State::default() };
    assert!(snapshots.put(&store, &stream("item-4"), Version::ZERO, 1, &medium));
    assert_eq!(snapshots.len(), 1);
}

#[test]
fn readers_and_writers_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let names: Vec<String> = (0..6).map(|number| format!("item-{number}")).collect();
    names.iter().for_each(|name| append(&store, name, 30));
    let snapshots = cache(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    names.iter().for_each(|name| drop(folded_up_to_now(&store, Some(&snapshots), name)));
                    let reader = Snapshots::open_reader(dir.path());
                    names.iter().for_each(|name| drop(folded_up_to_now(&store, Some(&reader), name)));
                }
            });
        }
        scope.spawn(|| {
            // Large states, so that the file is rewritten many times.
            let _end = Set(&done);
            for _ in 0..60 {
                for name in &names {
                    store.append(one(name, ExpectedVersion::Any, &"y".repeat(3000))).unwrap();
                    let now = folded_up_to_now(&store, None, name);
                    snapshots.put(&store, &stream(name), now.version.unwrap(), 1, &now.state);
                }
            }
        });
    });
    names.iter().for_each(|name| {
        same(&store, &snapshots, name);
    });
}

/// Says that it is over, also after a panic: others wait for it.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Folds while others append: the state must be that of the version it names.
fn folded_up_to_now(log: &Log, snapshots: Option<&Snapshots>, name: &str) -> Folded<State> {
    let folded = folded(log, snapshots, name);
    let mut replayed = State::default();
    let limit = usize::try_from(folded.version.unwrap().get()).unwrap() + 1;
    let events =
        log.read_stream(&stream(name), Version::ZERO, eventstore::Direction::Forward, limit).unwrap();
    events.iter().for_each(|event| apply(&mut replayed, &event.get().unwrap()).unwrap());
    assert_eq!(folded.state, replayed);
    folded
}

#[test]
fn an_error_of_apply_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 3);
    let refuse = |_: &mut State, _: &EventView<'_>| Err(Box::<dyn std::error::Error>::from("no"));
    let error = fold(&store, None, &stream("item-1"), 1, State::default(), refuse).unwrap_err();
    assert_eq!(error.to_string(), "no");
}
