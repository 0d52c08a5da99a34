//! What goes into the log: events of a given size, commits of a given number of them, whole stores.

use eventstore::{
    CommitBuilder, ContentType, Durability, EventType, ExpectedVersion, Guard, Metadata, NewEvent, Pending,
    PreparedCommit, Store, StoreOptions, StreamId, Tag,
};
use std::collections::VecDeque;
use std::path::Path;
use uuid::Uuid;

/// Commits on their way while a store is filled; far below the queue's limit, far above a group.
const IN_FLIGHT: usize = 512;
const POOL: usize = 1024;

/// A small generator (splitmix64): the same load in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Payloads of one size, most of each noise.
pub(crate) struct Payloads {
    pool: Vec<Vec<u8>>,
    event_type: EventType,
}

impl Payloads {
    pub(crate) fn new(bytes: usize) -> Self {
        let mut random = Random(7);
        let pool = (0..POOL).map(|_| {
            let mut text = String::from(r#"{"note":""#);
            while text.len() < bytes - 2 {
                text.push_str(&format!("{:016x}", random.next()));
            }
            text.truncate(bytes - 2);
            text.push_str(r#""}"#);
            text.into_bytes()
        });
        Self { pool: pool.collect(), event_type: EventType::new("order.placed").unwrap() }
    }

    pub(crate) fn event(&self, stream: &StreamId, pick: u64) -> NewEvent {
        NewEvent {
            id: Uuid::now_v7(),
            stream: stream.clone(),
            event_type: self.event_type.clone(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: self.pool[pick as usize % POOL].clone(),
        }
    }

    /// `batch` events of one stream.
    pub(crate) fn commit(
        &self,
        stream: &StreamId,
        batch: usize,
        expected: ExpectedVersion,
        pick: u64,
    ) -> PreparedCommit {
        let mut commit = CommitBuilder::new();
        commit.expect(stream.clone(), expected);
        for index in 0..batch as u64 {
            commit.event(self.event(stream, pick + index));
        }
        commit.prepare().unwrap()
    }

    /// One event with a tag, guarded against anything newer with that tag.
    pub(crate) fn guarded(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        pick: u64,
        guard: Guard,
    ) -> PreparedCommit {
        let mut commit = CommitBuilder::new();
        let mut event = self.event(stream, pick);
        if let Guard::NoNewer(tag, _) = &guard {
            event.tags.push(Tag::clone(tag));
        }
        commit.expect(stream.clone(), expected).guard(guard).event(event);
        commit.prepare().unwrap()
    }
}

/// A stream's name: as long as names are that hold a short id.
pub(crate) fn stream(number: u64) -> StreamId {
    StreamId::new(format!("order-{number:010}")).unwrap()
}

pub(crate) fn options(segment_bytes: u64) -> StoreOptions {
    StoreOptions { segment_bytes, durability: Durability::Fsync }
}

/// Makes a store of these commits and closes it.
pub(crate) fn fill(
    data_dir: &Path,
    options: &StoreOptions,
    commits: impl IntoIterator<Item = PreparedCommit>,
) {
    let store = Store::open(data_dir, options).unwrap();
    let mut waiting: VecDeque<Pending> = VecDeque::new();
    for commit in commits {
        if waiting.len() == IN_FLIGHT {
            waiting.pop_front().unwrap().wait().unwrap();
        }
        waiting.push_back(store.submit(commit).unwrap());
    }
    for pending in waiting {
        pending.wait().unwrap();
    }
    store.close();
}
