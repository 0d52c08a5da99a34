//! What the tests of the log share: a store on a temporary directory, and events to put into it.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout
)]

pub mod history;
pub mod seen;

use eventstore::{
    Command, CommandId, CommitBuilder, ContentType, EventType, ExpectedVersion, Fingerprint, Metadata,
    NewEvent, OpenError, Outcome, PreparedCommit, Store, StoreOptions, StreamId, Tag,
};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub fn open(dir: &Path) -> Store {
    // Between its fork and its exec, a child that another test starts has a copy of every descriptor, and the lock with it.
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        match Store::open(dir, &small()) {
            Err(OpenError::Locked { .. }) if Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}

/// Segments of 64 KiB, so that tests roll over them.
pub fn small() -> StoreOptions {
    StoreOptions { segment_bytes: 64 << 10, ..StoreOptions::default() }
}

pub fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

pub fn tag(name: &str) -> Tag {
    Tag::new(name).unwrap()
}

pub fn event(stream_name: &str, payload: &str) -> NewEvent {
    NewEvent {
        id: Uuid::now_v7(),
        stream: stream(stream_name),
        event_type: EventType::new("thing.happened").unwrap(),
        content_type: ContentType::Json,
        schema_version: 1,
        tags: vec![tag(&format!("of:{stream_name}"))],
        metadata: Metadata { extras: br#"{"actor":"test"}"#.to_vec(), ..Metadata::default() },
        payload: payload.as_bytes().to_vec(),
    }
}

pub fn one(stream_name: &str, expected: ExpectedVersion, payload: &str) -> PreparedCommit {
    let mut commit = CommitBuilder::new();
    commit.expect(stream(stream_name), expected).event(event(stream_name, payload));
    commit.prepare().unwrap()
}

pub fn command(name: &str, content: &str, outcome: Outcome) -> Command {
    Command {
        id: CommandId::derive(&[name.as_bytes()]),
        fingerprint: Fingerprint::of(&[content.as_bytes()]),
        outcome,
    }
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A small generator (splitmix64) whose seed a failing test prints.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn seeded() -> Self {
        let seed = std::env::var("SUNDAY_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| u64::from(Uuid::new_v4().as_fields().0));
        println!("seed {seed} (set SUNDAY_TEST_SEED to run it again)");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
