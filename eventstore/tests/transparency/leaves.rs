//! Leaves: what a proof covers of an event, byte by byte as `FORMAT.md` has it.

use crate::support::{event, open, stream};
use eventstore::transparency::{
    BUNDLE_ENTRY_BYTES, LEAF_BYTES, Leaf, LeafError, Leaves, bundle_entry, bundle_leaves, leaf_hash,
};
use eventstore::{CommitBuilder, EventView, ExpectedVersion, Position, RecordedCommit};
use sha2::{Digest as _, Sha256};

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), sha2::Digest::chain_update).finalize().into()
}

/// The event's digest, from `FORMAT.md` alone.
fn event_digest(view: &EventView<'_>) -> [u8; 32] {
    // The tests' events have extras and no other metadata: the sixth bit, and the extras as they are.
    let metadata = sha256(&[&[1 << 5], view.metadata().extras()]);
    let payload = sha256(&[view.payload()]);
    let prefixed = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let tags: Vec<_> = view.tags().collect();
    sha256(&[
        view.id().as_bytes(),
        &[view.content_type() as u8],
        &view.schema_version().to_le_bytes(),
        &view.key_id().to_le_bytes(),
        &prefixed(view.stream()),
        &prefixed(view.event_type()),
        &[tags.len() as u8],
        &tags.iter().flat_map(|tag| prefixed(tag)).collect::<Vec<_>>(),
        &metadata,
        &payload,
    ])
}

fn commits() -> (tempfile::TempDir, Vec<RecordedCommit>) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in [1, 3, 40] {
        let mut commit = CommitBuilder::new();
        commit.expect(stream("item-1"), ExpectedVersion::Any);
        for index in 0..size {
            let name = if index % 3 == 0 { "item-1" } else { "board-1" };
            commit.event(event(name, &format!("{{\"n\":{index}}}")));
        }
        store.append(commit.prepare().unwrap()).unwrap();
    }
    let commits = store.commits(Position::ZERO).map(Result::unwrap).collect();
    (dir, commits)
}

#[test]
fn a_leaf_holds_what_the_log_says_of_its_event() {
    let (_dir, commits) = commits();
    let mut leaves = Leaves::default();
    let views: Vec<_> = commits.iter().flat_map(RecordedCommit::events).collect();
    views.iter().for_each(|view| leaves.push(view));
    assert_eq!(leaves.len(), 44);
    let made = leaves.finish();
    assert!(leaves.is_empty());
    assert_eq!(made.len(), 44);
    for (index, ((leaf, hash), view)) in (0..).zip(made.iter().zip(&views)) {
        let bytes = leaf.to_bytes();
        let expected = [
            &[1][..],
            &u64::to_le_bytes(index),
            &view.recorded_at().get().to_le_bytes(),
            &sha256(&[view.stream().as_bytes()]),
            &view.version().get().to_le_bytes(),
            &event_digest(view),
        ]
        .concat();
        assert_eq!(bytes[..], expected[..]);
        assert_eq!(*hash, leaf_hash(&expected));
        assert_eq!(hash.0, sha256(&[&[0], &expected]));
        assert_eq!(Leaf::of(view), *leaf);
        assert_eq!(Leaf::from_bytes(&bytes), Ok(*leaf));
    }
}

#[test]
fn a_bundle_is_read_as_it_was_written_and_nothing_else_is() {
    let (_dir, commits) = commits();
    let leaves: Vec<_> =
        commits.iter().flat_map(RecordedCommit::events).map(|view| Leaf::of(&view)).collect();
    let bundle: Vec<_> = leaves.iter().flat_map(bundle_entry).collect();
    assert_eq!(bundle.len(), leaves.len() * BUNDLE_ENTRY_BYTES);
    assert_eq!(bundle[..2], [0, LEAF_BYTES as u8]);
    assert_eq!(bundle_leaves(&bundle), Ok(leaves));
    for len in 1..BUNDLE_ENTRY_BYTES {
        assert!(bundle_leaves(&bundle[..len]).is_err());
    }
    let mut newer = bundle.clone();
    newer[2] = 2;
    assert_eq!(bundle_leaves(&newer), Err(LeafError::Version(2)));
}
