//! Nobody who waits for the log is forgotten, whoever else is at work at the time.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use eventstore::ExpectedVersion;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use support::{Random, one, open};

/// A caller that finds the log idle writes by itself, and takes with it what others have submitted meanwhile. What it
/// cannot take along (the segment is full) must not stay where it is until somebody else comes.
#[test]
fn what_an_idle_caller_leaves_behind_is_carried_out() {
    let mut random = Random::seeded();
    // In memory where there is such a place: the race is between threads, not with a disk.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let store = open(dir.path());
    let start = Barrier::new(2);
    let spins: Vec<u64> = (0..60_000).map(|_| random.below(2_000)).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in &spins {
                let commit = one("s-0", ExpectedVersion::Any, "{}");
                start.wait();
                store.append(commit).unwrap();
                start.wait();
            }
        });
        for (round, spins) in spins.iter().enumerate() {
            let commit = one("s-1", ExpectedVersion::Any, &"x".repeat(20_000));
            start.wait();
            (0..*spins).for_each(|_| std::hint::spin_loop());
            let mut pending = store.submit(commit).unwrap();
            let since = Instant::now();
            let answer = loop {
                if let Some(answer) = pending.try_answer() {
                    break answer;
                }
                // Far beyond what any machine takes: it is the end of the waiting that matters, not its length.
                assert!(since.elapsed() < Duration::from_secs(20), "round {round}: nobody carries it out");
                std::thread::yield_now();
            };
            answer.unwrap();
            start.wait();
        }
    });
}
