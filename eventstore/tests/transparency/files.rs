//! The tree on disk: what is read is what was appended, however often the writer is closed, killed or cut off.

use crate::grown::Grown;
use crate::support::{Random, event, open};
use eventstore::storage::Environment;
use eventstore::transparency::journal::{Entry, Journal};
use eventstore::transparency::{
    Checkpoint, KeyName, Leaf, Prover, SignatureKind, SigningKey, TILE_WIDTH, TileId, TreeError, TreeFiles,
    TreeHead, TreeWriter, bundle_leaves, leaf_hash, verify_consistency, width_at,
};
use eventstore::{CommitBuilder, Digest, Lineage, OpenError, Position, Store, Timestamp, TreeSize, Version};
use std::fs;

fn leaf(position: u64) -> Leaf {
    Leaf {
        position: Position::new(position),
        recorded_at: Timestamp::new(7),
        stream: Digest([1; 32]),
        version: Version::new(position),
        event: Digest([position as u8; 32]),
    }
}

#[test]
fn a_tree_that_is_cut_off_anywhere_grows_into_the_same_one() {
    let mut random = Random::seeded();
    let storage = Environment::default().storage;
    let dir = tempfile::tempdir().unwrap();
    let (mut whole, mut size) = (Grown::default(), 0);
    (0..66_000).for_each(|position| whole.append(leaf_hash(&leaf(position).to_bytes())));
    while size < 66_000 {
        let mut writer = TreeWriter::open(storage.clone(), dir.path(), TreeSize::new(size)).unwrap();
        assert_eq!(writer.edge().head(), whole.head(size));
        assert_eq!(
            fs::metadata(dir.path().join("0.hashes")).unwrap().len(),
            32 * size,
            "nobody reads what is not signed"
        );
        let end = (size + 1 + random.below(9_000)).min(66_000);
        for position in size..end {
            let leaf = leaf(position);
            writer.append(&leaf, leaf_hash(&leaf.to_bytes())).unwrap();
        }
        writer.sync().unwrap();
        // The process ends with more in the files than was ever signed.
        size += (end - size).min(1 + random.below(9_000));
    }
    let files = TreeFiles::new(storage, dir.path());
    let prover = Prover::new(&files, TreeSize::new(66_000));
    assert_eq!(prover.root(TreeSize::new(66_000)).unwrap(), whole.head(66_000).root);
    for _ in 0..200 {
        let old = random.below(66_000);
        let proof = prover.consistency(TreeSize::new(old)).unwrap();
        verify_consistency(&whole.head(old), &whole.head(66_000), &proof).unwrap();
    }
    for index in [0, 1, 256, 257] {
        let width = width_at(0, index, TreeSize::new(66_000)).unwrap();
        let leaves = bundle_leaves(&files.bundle_bytes(index, width).unwrap()).unwrap();
        assert_eq!(leaves.len(), usize::from(width));
        assert_eq!(leaves[0], leaf(index * 256));
    }
    let beyond = TileId { level: 0, index: 258, width: TILE_WIDTH };
    assert!(matches!(files.tile_bytes(beyond), Err(TreeError::Short { .. })));
    assert!(matches!(files.tile_bytes(TileId { level: 3, ..beyond }), Err(TreeError::Io { .. })));
    // What is shorter than what was signed is noticed, and left as it is.
    let path = dir.path().join("0.hashes");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(32 * 65_999).unwrap();
    let storage = Environment::default().storage;
    let short = TreeWriter::open(storage, dir.path(), TreeSize::new(66_000));
    assert!(matches!(short, Err(TreeError::Short { .. })));
}

#[test]
fn a_writer_refuses_a_log_that_is_shorter_than_what_was_signed_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = CommitBuilder::new();
    (0..3).for_each(|_| {
        commit.event(event("item-1", "{}"));
    });
    store.append(commit.prepare().unwrap()).unwrap();
    let Lineage { store: id, chain, .. } = store.lineage();
    drop(store);
    let key = SigningKey::generate(KeyName::new("example.com/log").unwrap(), SignatureKind::Note).unwrap();
    let (mut journal, _) = Journal::open(&Environment::default().storage, dir.path()).unwrap();
    let mut sign = |store, size| {
        let head = TreeHead { size: TreeSize::new(size), root: Digest::default() };
        let note = Checkpoint::signed(head, &key).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        let lineage = Lineage { store, next: Position::new(size), chain };
        journal.append(&Entry { made_at: Timestamp::new(0), lineage, note, checkpoint }).unwrap();
    };
    let again = || Store::open(dir.path(), &crate::support::small());
    sign(id, 3);
    drop(again().unwrap());
    sign(id, 4);
    let refused = again();
    assert!(
        matches!(refused, Err(OpenError::ShorterThanCheckpoint { next, signed })
            if next == Position::new(3) && signed == TreeSize::new(4)),
        "{refused:?}"
    );
    // Another store's checkpoints say nothing of this one.
    sign(uuid::Uuid::from_u128(1), 9);
    drop(again().unwrap());
}
