//! What a backup holds, with and without a writer at work.

use crate::place::{Place, append, assert_intact, end, events, segment};
use crate::support::{Random, open, small};
use eventstore::backup::BackupError;
use eventstore::{OpenError, Store};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn everything_comes_back_byte_for_byte() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 400);
    let taken = place.take().unwrap();
    let (to, restored) = place.restored();
    let before = events(&place.data());
    assert_eq!((taken.next.get(), restored.next.get()), (before.len() as u64, before.len() as u64));
    assert_eq!((restored.store, restored.parent, restored.left_out), (taken.store, None, 0));
    assert_eq!(events(&to), before);
    let end = end(&place.data());
    assert!(end.segment() > 3, "a history over several segments");
    for sequence in 0..=end.segment() {
        let (left, right) = (segment(&place.data(), sequence), segment(&to, sequence));
        assert!(fs::read(left).unwrap() == fs::read(right).unwrap(), "segment {sequence}");
    }
    assert_intact(&place.backup());
    // It is a log that goes on.
    let store = open(&to);
    append(&store, &mut random, 50);
    store.close();
    assert_intact(&to);
    assert_eq!(events(&to)[..before.len()], before);
}

#[test]
fn a_backup_taken_under_load_is_the_log_at_one_moment() {
    let mut random = Random::seeded();
    let place = Place::new();
    let store = place.store();
    append(&store, &mut random, 1);
    let stop = AtomicBool::new(false);
    let mut taken = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut random = Random(random.next());
            while !stop.load(Ordering::Relaxed) {
                append(&store, &mut random, 5);
            }
        });
        for _ in 0..12 {
            let acknowledged = store.watermark();
            let backup = place.take().unwrap();
            assert!(backup.next >= acknowledged, "what was acknowledged before is in it");
            let (to, restored) = place.restored();
            assert_eq!(restored.next, backup.next);
            taken.push(events(&to));
            fs::remove_dir_all(to).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    store.close();
    let all = events(&place.data());
    for events in taken {
        assert!(all.starts_with(&events), "{} events are the first of {}", events.len(), all.len());
    }
}

#[test]
fn what_a_crash_left_behind_the_frames_comes_along() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 10);
    let at = end(&place.data());
    let path = segment(&place.data(), at.segment());
    let mut bytes = fs::read(&path).unwrap();
    let from = at.offset() as usize;
    let torn = bytes[4096..4096 + 120].to_vec();
    bytes[from..from + 120].copy_from_slice(&torn);
    fs::write(&path, &bytes).unwrap();
    let store = place.store();
    append(&store, &mut random, 10);
    store.close();
    place.take().unwrap();
    let (to, _) = place.restored();
    assert_eq!(
        fs::read(segment(&to, at.segment())).unwrap(),
        bytes,
        "with the tail that the next header vouches for"
    );
    assert_eq!(events(&to), events(&place.data()));
}

#[test]
fn no_writer_opens_a_backup() {
    let place = Place::filled(&mut Random::seeded(), 5);
    place.take().unwrap();
    let opened = Store::open(&place.backup(), &small());
    assert!(matches!(&opened, Err(OpenError::Standby { .. })), "{opened:?}");
}

#[test]
fn what_is_not_a_backup_is_not_written_into() {
    let place = Place::filled(&mut Random::seeded(), 5);
    fs::create_dir_all(place.backup()).unwrap();
    fs::write(place.backup().join("thesis.txt"), "mine").unwrap();
    let error = place.take().unwrap_err();
    assert!(matches!(&error, BackupError::NotEmpty { found, .. } if found == "thesis.txt"), "{error}");
    assert_eq!(fs::read_dir(place.backup()).unwrap().count(), 1);
    // A data directory is no place for one either.
    let other = Place::filled(&mut Random::seeded(), 5);
    let before = crate::place::contents(&other.data());
    let environment = eventstore::storage::Environment::default();
    let options = eventstore::backup::BackupOptions::default();
    let error = eventstore::backup::backup(&environment, &place.data(), &other.data(), options, &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    assert!(crate::place::contents(&other.data()) == before);
}

#[test]
fn a_directory_with_something_in_it_is_not_restored_into() {
    let place = Place::filled(&mut Random::seeded(), 5);
    place.take().unwrap();
    let before = crate::place::contents(&place.data());
    let error = place.restore_to(&place.data(), eventstore::backup::RestoreOptions::default()).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    assert!(crate::place::contents(&place.data()) == before);
    let (to, _) = place.restored();
    let error = place.restore_to(&to, eventstore::backup::RestoreOptions::default()).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    let error = crate::place::restore_from(
        &place.data(),
        &place.fresh(),
        eventstore::backup::RestoreOptions::default(),
    );
    assert!(matches!(error, Err(BackupError::NoBackup { .. })), "{error:?}");
}

#[test]
fn what_is_in_an_archive_is_fetched_and_filed() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 300);
    let before = events(&place.data());
    let ended = end(&place.data()).segment();
    let elsewhere = tempfile::tempdir().unwrap();
    let options = eventstore::archive::ArchiveOptions {
        url: format!("file://{}", elsewhere.path().display()),
        below: eventstore::Position::new(u64::MAX),
        unsigned: true,
    };
    let environment = eventstore::storage::Environment::default();
    // Only what has an index of its own may go.
    let mut engine = eventstore::Engine::open(&environment, &place.data(), &small()).unwrap();
    while engine.housekeep().unwrap() {}
    engine.close();
    let moved = eventstore::archive::archive(&environment, &place.data(), &options, |_| {}).unwrap();
    assert!(!moved.is_empty() && !segment(&place.data(), 0).exists());
    // Whatever has no file here cannot be linked, and is copied.
    let link = eventstore::backup::BackupOptions { link: true, ..Default::default() };
    let taken = place.take_with(link).unwrap();
    assert_eq!(taken.segments_linked, ended - moved.len() as u32);
    // The backup is whole without the archive.
    drop(elsewhere);
    let (to, _) = place.restored();
    assert_eq!(events(&to), before);
}

#[test]
fn what_is_published_and_not_on_disk_yet_is_not_filed() {
    let place = Place::new();
    let environment = eventstore::storage::Environment::default();
    let options = eventstore::StoreOptions { durability: eventstore::Durability::Os, ..small() };
    let mut engine = eventstore::Engine::open(&environment, &place.data(), &options).unwrap();
    let submit = |engine: &mut eventstore::Engine, payload: &str| {
        let commit = crate::support::one("thing-1", eventstore::ExpectedVersion::Any, payload);
        let mut pending = engine.submit(commit).unwrap();
        while pending.try_answer().is_none() {
            engine.collect();
            if let Some(mut flush) = engine.begin_flush() {
                let done = flush.run();
                engine.finish_flush(flush, done);
            }
        }
    };
    submit(&mut engine, "first");
    while engine.quiet() {
        engine.collect();
        if let Some(mut flush) = engine.begin_flush() {
            let done = flush.run();
            engine.finish_flush(flush, done);
        }
    }
    submit(&mut engine, "second");
    let log = engine.log();
    assert_eq!(log.watermark().get(), 2);
    assert_eq!(place.take().unwrap().next.get(), 1, "it could still be lost there");
    engine.close();
    assert_eq!(place.take().unwrap().next.get(), 2);
}
