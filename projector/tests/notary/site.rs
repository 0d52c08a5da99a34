//! A data directory with a log, and what tests ask of its journal and tree.

use eventstore::storage::Environment;
use eventstore::transparency::journal::{self, Entry};
use eventstore::transparency::{Leaf, Prover, TreeHead, leaf_hash, verify_consistency, verify_inclusion};
use eventstore::{
    CommitBuilder, ContentType, Durability, EventType, Metadata, NewEvent, Position, Store, StoreOptions,
    StreamId, TreeSize,
};
use projector::Projector;
use projector::notary::{NotaryOptions, PublicKeys, TreeReader};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Nothing that is waited for here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn open(dir: &Path, durability: Durability) -> Store {
    Store::open(dir, &StoreOptions { segment_bytes: 1 << 20, durability }).unwrap()
}

pub(crate) fn append(store: &Store, events: usize) {
    let mut commit = CommitBuilder::new();
    for index in 0..events {
        commit.event(NewEvent {
            id: Uuid::now_v7(),
            stream: StreamId::new(format!("thing-{}", index % 7)).unwrap(),
            event_type: EventType::new("thing.happened").unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: b"{}".to_vec(),
        });
    }
    store.append(commit.prepare().unwrap()).unwrap();
}

pub(crate) fn start(dir: &Path, store: &Store) -> Projector {
    let options = NotaryOptions { interval: Duration::from_millis(5), ..NotaryOptions::default() };
    Projector::start_with(
        dir,
        (**store).clone(),
        projector::Connections { notary: options, ..Default::default() },
    )
    .unwrap()
}

/// Waits until a projector has signed and shown so much, or says why it does not.
pub(crate) fn signed(projector: &Projector, size: u64) {
    let began = Instant::now();
    while projector.notary().published.get() < size {
        let status = projector.notary();
        assert!(status.failure.is_none() && began.elapsed() < PATIENCE, "{status:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a projector refuses to sign; answers with its reason.
pub(crate) fn refusal(dir: &Path, projector: &Projector) -> String {
    let began = Instant::now();
    loop {
        if let Some(failure) = projector.notary().failure {
            assert_eq!(TreeReader::new(dir).refusal(), Some(failure.clone()), "others are told the same");
            return failure;
        }
        assert!(began.elapsed() < PATIENCE, "nothing is refused: {:?}", projector.notary());
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn entries(dir: &Path) -> Vec<Entry> {
    let mut all = Vec::new();
    journal::entries(&*Environment::default().storage, dir, |entry| all.push(entry)).unwrap();
    all
}

/// Every checkpoint that was ever signed is good, continues the one before it, and holds the log's events.
pub(crate) fn check_all(dir: &Path, store: &Store) {
    let reader = TreeReader::new(dir);
    let keys = PublicKeys::read(dir).unwrap();
    let published = reader.published().unwrap().expect("a checkpoint is published");
    let tree = reader.tree().expect("there is a tree");
    let size = published.checkpoint.head.size;
    let prover = Prover::new(&*tree, size);
    let mut before: Option<TreeHead> = None;
    for entry in entries(dir) {
        let head = entry.checkpoint.head;
        entry.note.verify(&keys.all()).unwrap();
        assert!(head.size <= size);
        if let Some(before) = before {
            assert!(before.size <= head.size, "the journal goes forward");
            let proof = Prover::new(&*tree, head.size).consistency(before.size).unwrap();
            verify_consistency(&before, &head, &proof).unwrap();
        }
        assert!(store.confirms(&entry.lineage).unwrap());
        before = Some(head);
    }
    assert_eq!(before.map(|head| head.size), Some(size), "what is published is in the journal");
    for position in (0..size.get()).step_by(97) {
        let event = store.event(Position::new(position)).unwrap().unwrap();
        let leaf = leaf_hash(&Leaf::of(&event.get().unwrap()).to_bytes());
        let proof = prover.inclusion(Position::new(position)).unwrap();
        verify_inclusion(&leaf, Position::new(position), &published.checkpoint.head, &proof).unwrap();
    }
    assert_eq!(prover.root(TreeSize::ZERO).unwrap(), eventstore::transparency::EMPTY_ROOT);
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
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
