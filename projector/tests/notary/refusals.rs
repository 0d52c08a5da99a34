//! A log that contradicts what was signed gets no signature, and says so.

use crate::site::{append, check_all, copy, entries, open, refusal, signed, start};
use eventstore::{Durability, Log};
use projector::Projector;
use std::fs;
use std::path::Path;

/// A directory whose log has 300 events that were signed, a copy of the log as it was at 200, and its own of 300 others.
struct Fork {
    signed: tempfile::TempDir,
    shorter: tempfile::TempDir,
    other: tempfile::TempDir,
}

fn fork() -> Fork {
    let [signed_dir, shorter, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let store = open(signed_dir.path(), Durability::Fsync);
    append(&store, 200);
    drop(store);
    copy(signed_dir.path(), shorter.path());
    copy(signed_dir.path(), other.path());
    let store = open(signed_dir.path(), Durability::Fsync);
    let projector = start(signed_dir.path(), &store);
    append(&store, 100);
    signed(&projector, 300);
    drop(projector);
    drop(store);
    let store = open(other.path(), Durability::Fsync);
    append(&store, 100);
    append(&store, 50);
    drop(store);
    Fork { signed: signed_dir, shorter, other }
}

/// Gives a directory the promises of another.
fn promise(from: &Path, to: &Path) {
    for part in ["tree", "keys"] {
        copy(&from.join(part), &to.join(part));
    }
}

fn refused(dir: &Path) -> String {
    let before = entries(dir);
    // Not through a store: that refuses a log that is too short by itself.
    let projector = Projector::start(dir, Log::open(dir).unwrap()).unwrap();
    let reason = refusal(dir, &projector);
    assert_eq!(projector.failure(), None, "models and search go on");
    drop(projector);
    assert_eq!(entries(dir), before, "nothing was signed");
    reason
}

#[test]
fn a_log_that_is_shorter_is_refused() {
    let fork = fork();
    promise(fork.signed.path(), fork.shorter.path());
    let reason = refused(fork.shorter.path());
    assert!(reason.contains("ends at position 200") && reason.contains("300 events was signed"), "{reason}");
}

#[test]
fn a_log_with_another_past_is_refused() {
    let fork = fork();
    promise(fork.signed.path(), fork.other.path());
    let reason = refused(fork.other.path());
    assert!(reason.contains("its past was changed"), "{reason}");
    // Also when whoever changed the past has changed what the journal says of the chain, and put the tree away.
    let journal = fork.other.path().join("tree/checkpoints/00000000.notes");
    let log = Log::open(fork.other.path()).unwrap();
    let chain = log.commits(eventstore::Position::new(299)).next().unwrap().unwrap().chain();
    let all = entries(fork.other.path());
    let newest = all.last().unwrap();
    let forged = eventstore::transparency::journal::Entry {
        lineage: eventstore::Lineage { chain, ..newest.lineage },
        ..newest.clone()
    };
    fs::remove_file(journal).unwrap();
    let storage = eventstore::storage::Environment::default().storage;
    let (mut again, _) =
        eventstore::transparency::journal::Journal::open(&storage, fork.other.path()).unwrap();
    again.append(&forged).unwrap();
    let reason = refused(fork.other.path());
    assert!(reason.contains("is not the one that was signed"), "{reason}");
    fs::remove_file(fork.other.path().join("tree/CURRENT")).unwrap();
    let reason = refused(fork.other.path());
    assert!(reason.contains("have the root"), "{reason}");
}

#[test]
fn another_store_is_refused_and_a_healed_log_is_signed_again() {
    let fork = fork();
    let stranger = tempfile::tempdir().unwrap();
    let store = open(stranger.path(), Durability::Fsync);
    append(&store, 400);
    drop(store);
    promise(fork.signed.path(), stranger.path());
    let reason = refused(stranger.path());
    assert!(reason.contains("of store"), "{reason}");

    // The signed directory is still what it was.
    fs::write(fork.signed.path().join("tree/REFUSED"), "of long ago\n").unwrap();
    let store = open(fork.signed.path(), Durability::Fsync);
    let projector = start(fork.signed.path(), &store);
    append(&store, 1);
    signed(&projector, 301);
    assert!(!fork.signed.path().join("tree/REFUSED").exists());
    check_all(fork.signed.path(), &store);
}

#[test]
fn a_journal_that_is_damaged_or_of_another_key_stops_signing() {
    let fork = fork();
    let dir = fork.signed.path();
    let path = dir.join("tree/checkpoints/00000000.notes");
    let whole = fs::read(&path).unwrap();
    let mut twice = whole.repeat(2);
    twice[whole.len() / 2] ^= 1;
    fs::write(&path, &twice).unwrap();
    let projector = Projector::start(dir, Log::open(dir).unwrap()).unwrap();
    assert!(refusal(dir, &projector).contains("is damaged at byte"));
    drop(projector);
    fs::write(&path, &whole).unwrap();
    fs::remove_dir_all(dir.join("keys")).unwrap();
    assert!(refused(dir).contains("not signed by this log's key"));
}
