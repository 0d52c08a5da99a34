//! What is signed is what is durable, all of it, soon.

use crate::site::{append, check_all, entries, open, signed, start};
use eventstore::{Durability, Position};
use projector::notary::TreeReader;
use std::time::{Duration, Instant};

#[test]
fn the_tree_grows_with_the_log_and_every_head_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Fsync);
    let projector = start(dir.path(), &store);
    let mut size = 0;
    for events in [1, 2, 255, 1, 300, 7, 900] {
        append(&store, events);
        size += events as u64;
        signed(&projector, size);
    }
    check_all(dir.path(), &store);
    assert!(entries(dir.path()).len() >= 7);
    projector.stop().unwrap();
    check_all(dir.path(), &store);
}

#[test]
fn nothing_is_signed_before_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Os);
    let projector = start(dir.path(), &store);
    let reader = TreeReader::new(dir.path());
    let began = Instant::now();
    let (mut appended, mut was_ahead) = (0, false);
    while began.elapsed() < Duration::from_secs(2) || !was_ahead {
        append(&store, 1);
        appended += 1;
        let Some(published) = reader.published().unwrap() else { continue };
        let last = published.checkpoint.head.size.get() - 1;
        let event = store.event(Position::new(last)).unwrap().unwrap();
        assert!(event.commit().place() < store.durable_end(), "position {last} was signed too early");
        was_ahead |= appended > last + 1;
    }
    store.close();
    signed(&projector, appended);
    check_all(dir.path(), &store);
}

#[test]
fn lag_under_load() {
    let events: u64 = std::env::var("SUNDAY_TREE_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Fsync);
    let projector = start(dir.path(), &store);
    let (began, mut lag_max) = (Instant::now(), 0);
    for done in (0..events).step_by(500) {
        append(&store, 500);
        lag_max = lag_max.max((done + 500).saturating_sub(projector.notary().signed.get()));
    }
    let appended = began.elapsed();
    signed(&projector, events);
    let lag = began.elapsed().saturating_sub(appended);
    println!(
        "{events} events appended in {appended:?}; the newest checkpoint covered all of them {lag:?} later; at most {lag_max} \
         events behind while appending; {} checkpoints",
        entries(dir.path()).len()
    );
}
