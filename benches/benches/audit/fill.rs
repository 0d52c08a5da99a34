//! Plain events for a log, a hundred to a commit.

use eventstore::{
    CommitBuilder, ContentType, EventType, Metadata, NewEvent, Pending, PreparedCommit, Store, StreamId,
};
use std::collections::VecDeque;
use uuid::Uuid;

/// Events of a commit.
pub(crate) const BATCH: u64 = 100;
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 256;
/// Commits on their way at a time.
const WINDOW: usize = 256;

/// A commit of [`BATCH`] events, and the id of its first.
pub(crate) fn commit(number: u64) -> (Uuid, PreparedCommit) {
    let frame = r#"{"total":12,"note":""}"#.len();
    let payload = format!(r#"{{"total":12,"note":"{}"}}"#, "x".repeat(PAYLOAD_BYTES - frame)).into_bytes();
    let (mut commit, mut first) = (CommitBuilder::new(), None);
    for _ in 0..BATCH {
        let id = Uuid::now_v7();
        first.get_or_insert(id);
        commit.event(NewEvent {
            id,
            stream: StreamId::new(format!("order-{number}")).unwrap(),
            event_type: EventType::new("order.placed").unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: payload.clone(),
        });
    }
    (first.unwrap(), commit.prepare().unwrap())
}

/// Fills a log with so many events. The ids of some of them, spread over all of it.
pub(crate) fn fill(store: &Store, events: u64) -> Vec<Uuid> {
    let (mut pending, mut ids): (VecDeque<Pending>, _) = (VecDeque::new(), Vec::new());
    for number in 0..events / BATCH {
        let (id, commit) = commit(number);
        if number % 16 == 0 {
            ids.push(id);
        }
        if pending.len() == WINDOW {
            pending.pop_front().unwrap().wait().unwrap();
        }
        pending.push_back(store.submit(commit).unwrap());
    }
    for commit in pending {
        commit.wait().unwrap();
    }
    ids
}
