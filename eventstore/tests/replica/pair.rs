//! A source that is turned by hand, and standbys that are fed from it.

use crate::support::{Random, command, event, small, stream};
use eventstore::storage::{Clock, Environment, Random as Randomness};
use eventstore::{
    CommitBuilder, Durability, Engine, ExpectedVersion, Log, LogOffset, Outcome, PreparedCommit, Replica,
    StoreOptions, Timestamp, verify,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A piece of this length holds a few frames.
pub const PIECE: usize = 10_000;

pub fn source(dir: &Path) -> Engine {
    Engine::open(&Environment::default(), dir, &small()).unwrap()
}

pub fn source_of(dir: &Path, durability: Durability) -> Engine {
    Engine::open(&Environment::default(), dir, &StoreOptions { durability, ..small() }).unwrap()
}

pub fn standby(dir: &Path) -> Replica {
    Replica::open(&Environment::default(), dir, "the source of a test").unwrap()
}

/// One group: everything given shares a sync.
pub fn group(engine: &mut Engine, commits: impl IntoIterator<Item = PreparedCommit>) {
    let pending: Vec<_> = commits.into_iter().map(|commit| engine.submit(commit).unwrap()).collect();
    turn(engine);
    for mut pending in pending {
        while pending.try_answer().is_none_or(|answer| answer.map(|_| ()).is_err()) {
            turn(engine);
        }
    }
}

pub fn turn(engine: &mut Engine) {
    engine.collect();
    if let Some(mut flush) = engine.begin_flush() {
        let done = flush.run();
        engine.finish_flush(flush, done);
    }
}

/// A mark, as after some quiet.
pub fn mark(engine: &mut Engine) {
    while engine.quiet() {
        turn(engine);
    }
}

/// A history with everything in it: streams that go on, several in one commit, commands, commits without events.
pub fn history(engine: &mut Engine, random: &mut Random, groups: u64) {
    for _ in 0..groups {
        let size = 1 + random.below(6);
        let commits: Vec<_> = (0..size).map(|_| some_commit(random)).collect();
        group(engine, commits);
        if random.below(8) == 0 {
            mark(engine);
        }
    }
}

fn some_commit(random: &mut Random) -> PreparedCommit {
    let mut commit = CommitBuilder::new();
    let id = random.next().to_string();
    if random.below(10) == 0 {
        commit.command(command(&id, &id, Outcome::Unchanged));
        return commit.prepare().unwrap();
    }
    for _ in 0..=random.below(3) {
        let name = format!("thing-{}", random.below(20));
        let len = usize::try_from(random.below(1_500)).unwrap();
        commit.event(event(&name, &"x".repeat(len)));
    }
    commit.command(command(&id, &id, Outcome::Applied));
    commit.prepare().unwrap()
}

/// A commit of one event whose frame has the length of all others made here with the same stream and payload length.
pub fn fixed(stream_name: &str, payload: &str) -> PreparedCommit {
    let mut commit = CommitBuilder::new();
    commit.expect(stream(stream_name), ExpectedVersion::Any).event(event(stream_name, payload));
    commit.prepare().unwrap()
}

/// Feeds the standby until it has what the source has.
pub fn catch_up(source: &Log, standby: &mut Replica, max: usize) {
    while feed(source, standby, max) {}
}

/// Feeds one piece; false when there is nothing new.
pub fn feed(source: &Log, standby: &mut Replica, max: usize) -> bool {
    let place = standby.place();
    let piece = source.segment_piece(place.segment(), place.offset(), max).unwrap();
    let is_new = !piece.bytes.is_empty() || piece.ended;
    standby.take(&piece).unwrap_or_else(|error| panic!("{place}: {error}"));
    is_new
}

pub fn segment(dir: &Path, sequence: u32) -> PathBuf {
    dir.join("log").join(format!("{sequence:010}.seg"))
}

/// Every segment in use is the same file in both directories, to the last byte.
pub fn assert_identical(source: &Path, standby: &Path, end: LogOffset) {
    for sequence in 0..=end.segment() {
        let (left, right) = (segment(source, sequence), segment(standby, sequence));
        let (left, right) = (fs::read(left).unwrap(), fs::read(right).unwrap());
        let differs = left.iter().zip(&right).position(|(left, right)| left != right);
        assert_eq!((left.len(), differs), (right.len(), None), "segment {sequence}");
    }
}

pub fn assert_intact(dir: &Path) {
    let report = verify(dir, &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
}

/// A world in which two engines make the same store, the same salts and the same times, until their commits differ.
pub fn twin_world() -> Environment {
    Environment {
        clock: Arc::new(Ticks(AtomicI64::new(1_000_000_000_000))),
        random: Arc::new(Fixed),
        ..Environment::default()
    }
}

#[derive(Debug)]
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp::new(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Fixed;

impl Randomness for Fixed {
    fn bytes(&self) -> [u8; 16] {
        [7; 16]
    }
}
