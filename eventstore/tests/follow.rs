//! What a reader in another process sees: everything published, in order, exactly once, and nothing torn.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use eventstore::{ExpectedVersion, Log, OpenError, Position};
use std::time::Duration;
use support::{Random, one, open};

#[test]
fn a_reader_without_a_log_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Log::open(dir.path()), Err(OpenError::NoLog { .. })));
    assert!(matches!(Log::open_offline(dir.path()), Err(OpenError::NoLog { .. })));
}

#[test]
fn a_reader_catches_up_and_stays_live_over_segments_and_restarts_of_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::seeded();
    let mut written = 0;
    let mut write = |store: &eventstore::Store, count: u64| {
        for _ in 0..count {
            let payload = format!("{written}-{}", "x".repeat(usize::try_from(random.below(300)).unwrap()));
            store.append(one("s-1", ExpectedVersion::Any, &payload)).unwrap();
            written += 1;
        }
        written
    };
    let store = open(dir.path());
    write(&store, 100);
    // The control page is all that the reader shares with the writer, in this process as in any other.
    let reader = Log::open(dir.path()).unwrap();
    assert_eq!(reader.watermark(), Position::new(100));
    let mut commits = reader.commits(Position::ZERO);
    let mut seen = 0;
    for round in 0..10 {
        let store = if round == 5 {
            store.close();
            None
        } else {
            Some(&store)
        };
        if let Some(store) = store.filter(|_| round < 5) {
            write(store, 50);
        }
        for commit in commits.by_ref() {
            for event in commit.unwrap().events() {
                assert_eq!(event.position(), Position::new(seen));
                assert!(event.payload().starts_with(format!("{seen}-").as_bytes()));
                seen += 1;
            }
        }
    }
    drop(store);
    let store = open(dir.path());
    let total = write(&store, 500);
    assert!(reader.wait_for(Position::new(total), Duration::from_secs(10)));
    for commit in commits {
        for event in commit.unwrap().events() {
            assert_eq!(event.position(), Position::new(seen));
            assert!(event.payload().starts_with(format!("{seen}-").as_bytes()));
            seen += 1;
        }
    }
    assert_eq!(seen, total);
    assert_eq!(reader.lineage(), store.lineage());
}

#[test]
fn the_watch_tells_of_every_move() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let reader = Log::open(dir.path());
    // Nothing but the header is published: the reader opens an empty log.
    let reader = reader.unwrap();
    let mut watch = reader.watch();
    assert_eq!(*watch.borrow_and_update(), Position::ZERO);
    store.append(one("s-1", ExpectedVersion::NoStream, "{}")).unwrap();
    assert!(reader.wait_for(Position::new(1), Duration::from_secs(10)));
    assert!(watch.has_changed().unwrap());
}
