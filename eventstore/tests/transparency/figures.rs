//! How fast leaves are made and a tree grows, on one thread. Prints, and asserts nothing about time.

use crate::support::event;
use eventstore::transparency::{Edge, Leaves};
use eventstore::{CommitBuilder, Position, Store, StoreOptions};
use std::time::Instant;

#[test]
fn leaves_and_tree_on_one_core() {
    let events: u64 = std::env::var("SUNDAY_TREE_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
    for first in (0..events).step_by(1_000) {
        let mut commit = CommitBuilder::new();
        for index in first..(first + 1_000).min(events) {
            commit.event(event(&format!("item-{}", index % 97), &"x".repeat(256)));
        }
        store.append(commit.prepare().unwrap()).unwrap();
    }
    let began = Instant::now();
    let (mut edge, mut emitted) = (Edge::default(), 0_u64);
    for commit in store.commits(Position::ZERO) {
        let commit = commit.unwrap();
        let mut leaves = Leaves::default();
        commit.events().for_each(|view| leaves.push(&view));
        for (_, hash) in leaves.finish() {
            edge.append(hash, |_, _| emitted += 1);
        }
    }
    let root = edge.root();
    let took = began.elapsed();
    println!(
        "{events} events of 256 B: {:.0} leaves/s (read, event digests, leaves, tree of {emitted} hashes), root {root}",
        events as f64 / took.as_secs_f64()
    );
    assert_eq!(edge.size().get(), events);
}
