//! Random trees against `ct-merkle`: each side's proofs are accepted by the other, and altered ones are refused by both.

use crate::grown::Grown;
use crate::support::Random;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use eventstore::transparency::{
    ProofError, TILE_WIDTH, TileId, TreeHead, leaf_hash, verify_consistency, verify_inclusion, width_at,
};
use eventstore::{Digest, Position, TreeSize};
use sha2::Sha256;

/// More than two levels of tiles need more leaves than the judge can be asked for; its tree keeps everything.
const LEAVES: u64 = 70_000;
const ASKED: usize = 2_000;

fn theirs(head: &TreeHead) -> RootHash<Sha256> {
    RootHash::new(head.root.0.into(), head.size.get())
}

fn concatenated(proof: &[Digest]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

fn separated(proof: &[u8]) -> Vec<Digest> {
    proof.chunks_exact(32).map(|hash| Digest(hash.try_into().unwrap())).collect()
}

fn both(leaves: u64) -> (Grown, MemoryBackedTree<Sha256, Vec<u8>>) {
    let (mut ours, mut judge) = (Grown::default(), MemoryBackedTree::new());
    for index in 0..leaves {
        let content = index.to_le_bytes().to_vec();
        ours.append(leaf_hash(&content));
        judge.push(content);
    }
    (ours, judge)
}

#[test]
fn a_large_tree_has_the_judges_root_and_the_judge_accepts_its_proofs() {
    let mut random = Random::seeded();
    let (ours, judge) = both(LEAVES);
    assert_eq!(ours.head(LEAVES).root.0[..], judge.root().as_bytes()[..]);
    assert_eq!(ours.edge.root(), ours.head(LEAVES).root);
    for _ in 0..ASKED {
        let size = 1 + random.below(LEAVES);
        let leaf = random.below(size);
        let head = ours.head(size);
        let proof = ours.prover(size).inclusion(Position::new(leaf)).unwrap();
        let their_proof = InclusionProof::try_from_bytes(concatenated(&proof)).unwrap();
        theirs(&head).verify_inclusion(&leaf.to_le_bytes().to_vec(), leaf, &their_proof).unwrap();
        verify_inclusion(&leaf_hash(&leaf.to_le_bytes()), Position::new(leaf), &head, &proof).unwrap();

        let old = 1 + random.below(size);
        let proof = ours.prover(size).consistency(TreeSize::new(old)).unwrap();
        verify_consistency(&ours.head(old), &head, &proof).unwrap();
        let their_proof = ConsistencyProof::try_from_bytes(concatenated(&proof)).unwrap();
        // The judge asks for a growth of one leaf at least.
        if old < size {
            theirs(&head).verify_consistency(&theirs(&ours.head(old)), &their_proof).unwrap();
        }
    }
}

#[test]
fn all_proofs_in_small_trees_are_the_judges_byte_for_byte() {
    for size in 1..=67 {
        let (ours, judge) = both(size);
        for leaf in 0..size {
            let proof = judge.prove_inclusion(usize::try_from(leaf).unwrap());
            let proof = separated(proof.as_bytes());
            assert_eq!(ours.prover(size).inclusion(Position::new(leaf)).unwrap(), proof);
            verify_inclusion(&leaf_hash(&leaf.to_le_bytes()), Position::new(leaf), &ours.head(size), &proof)
                .unwrap();
        }
        for old in 1..size {
            let proof = judge.prove_consistency(usize::try_from(size - old).unwrap());
            let proof = separated(proof.as_bytes());
            assert_eq!(ours.prover(size).consistency(TreeSize::new(old)).unwrap(), proof, "{old} of {size}");
            verify_consistency(&ours.head(old), &ours.head(size), &proof).unwrap();
        }
    }
}

/// Every way to alter a list of hashes a little: each byte, one less, one more, two swapped.
fn altered(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = Vec::new();
    for hash in 0..proof.len() {
        for byte in 0..32 {
            let mut other = proof.to_vec();
            other[hash].0[byte] ^= 1 << (byte % 8);
            all.push(other);
        }
        let mut shorter = proof.to_vec();
        shorter.remove(hash);
        all.push(shorter);
        let mut longer = proof.to_vec();
        longer.insert(hash, proof[hash]);
        all.push(longer);
        if hash > 0 && proof[hash] != proof[hash - 1] {
            let mut swapped = proof.to_vec();
            swapped.swap(hash, hash - 1);
            all.push(swapped);
        }
    }
    let mut longer = proof.to_vec();
    longer.push(Digest::default());
    all.push(longer);
    all
}

#[test]
fn every_altered_proof_is_refused_as_the_judge_refuses_it() {
    for (size, leaf, old) in [(1, 0, 1), (2, 1, 1), (7, 3, 6), (8, 0, 4), (13, 12, 7), (67, 64, 33)] {
        let (ours, _) = both(size);
        let head = ours.head(size);
        let hash = leaf_hash(&u64::to_le_bytes(leaf));
        let proof = ours.prover(size).inclusion(Position::new(leaf)).unwrap();
        for proof in altered(&proof) {
            assert!(verify_inclusion(&hash, Position::new(leaf), &head, &proof).is_err());
            let judged = InclusionProof::try_from_bytes(concatenated(&proof)).unwrap();
            assert!(theirs(&head).verify_inclusion(&leaf.to_le_bytes().to_vec(), leaf, &judged).is_err());
        }
        // The right proof of another leaf, in another tree, or at another place.
        assert!(verify_inclusion(&leaf_hash(b"other"), Position::new(leaf), &head, &proof).is_err());
        let grown = TreeHead { size: TreeSize::new(size + 1), root: head.root };
        if size.count_ones() == 1 {
            assert!(verify_inclusion(&hash, Position::new(leaf), &grown, &proof).is_err());
        }
        if size > 1 {
            assert!(verify_inclusion(&hash, Position::new(leaf ^ 1), &head, &proof).is_err());
        }
        assert_eq!(
            verify_inclusion(&hash, Position::new(size), &head, &proof),
            Err(ProofError::NoSuchLeaf { index: Position::new(size), size: TreeSize::new(size) })
        );

        let older = ours.head(old);
        let proof = ours.prover(size).consistency(TreeSize::new(old)).unwrap();
        verify_consistency(&older, &head, &proof).unwrap();
        for proof in altered(&proof) {
            assert!(verify_consistency(&older, &head, &proof).is_err());
            if old < size {
                let judged = ConsistencyProof::try_from_bytes(concatenated(&proof)).unwrap();
                assert!(theirs(&head).verify_consistency(&theirs(&older), &judged).is_err());
            }
        }
        for byte in 0..32 {
            let (mut other_old, mut other_new) = (older, head);
            other_old.root.0[byte] ^= 1;
            other_new.root.0[byte] ^= 1;
            assert!(verify_consistency(&other_old, &head, &proof).is_err());
            assert!(verify_consistency(&older, &other_new, &proof).is_err());
        }
        if old < size {
            assert!(matches!(verify_consistency(&head, &older, &proof), Err(ProofError::Smaller { .. })));
        }
    }
}

#[test]
fn the_empty_tree_is_continued_by_any_and_only_by_an_empty_proof() {
    let (ours, _) = both(5);
    let (none, some) = (ours.head(0), ours.head(5));
    verify_consistency(&none, &some, &[]).unwrap();
    verify_consistency(&none, &none, &[]).unwrap();
    assert!(verify_consistency(&none, &some, &[some.root]).is_err());
    let forged = TreeHead { root: some.root, ..none };
    assert!(verify_consistency(&forged, &some, &[]).is_err());
}

#[test]
fn an_edge_that_is_loaded_goes_on_like_one_that_never_ended() {
    let mut random = Random::seeded();
    let (mut ours, _) = both(66_000);
    for size in
        [0, 1, 255, 256, 257, 65_535, 65_536, 65_537].into_iter().chain((0..20).map(|_| random.below(66_000)))
    {
        let mut loaded = eventstore::transparency::Edge::load(&ours, TreeSize::new(size)).unwrap();
        assert_eq!(loaded.head(), ours.head(size));
        for index in size..(size + 300).min(66_000) {
            loaded.append(leaf_hash(&index.to_le_bytes()), |_, _| {});
        }
        assert_eq!(loaded.head(), ours.head((size + 300).min(66_000)));
    }
    ours.append(Digest::default());
}

#[test]
fn paths_of_tiles_are_those_of_the_specification() {
    for (id, path) in [
        (TileId { level: 0, index: 0, width: TILE_WIDTH }, "0/000"),
        (TileId { level: 1, index: 1_234_067, width: TILE_WIDTH }, "1/x001/x234/067"),
        (TileId { level: 0, index: 999, width: 255 }, "0/999.p/255"),
        (TileId { level: 2, index: 1_000, width: 1 }, "2/x001/000.p/1"),
        (TileId { level: 63, index: u64::MAX, width: TILE_WIDTH }, "63/x018/x446/x744/x073/x709/x551/615"),
    ] {
        assert_eq!(id.to_string(), path);
        let (level, rest) = path.split_once('/').unwrap();
        assert_eq!(TileId::parse(level, rest), Ok(id));
    }
    for bad in [
        ("64", "000"),
        ("00", "000"),
        ("+1", "000"),
        ("", "000"),
        ("0", ""),
        ("0", "0"),
        ("0", "0000"),
        ("0", "x000"),
        ("0", "x000/001"),
        ("0", "001/001"),
        ("0", "x001/x001"),
        ("0", "x001/1"),
        ("0", "000.p/0"),
        ("0", "000.p/256"),
        ("0", "000.p/01"),
        ("0", "000.p/"),
        ("0", "000.p"),
        ("0", "x018/x446/x744/x073/x709/x551/616"),
        ("0", "0x0"),
        ("0", "000/"),
        ("0", "/000"),
        ("0", "x001//000"),
        ("0", "٠٠٠"),
    ] {
        assert!(TileId::parse(bad.0, bad.1).is_err(), "{bad:?}");
    }
    // The example of the specification: 70,000 leaves.
    let width = |level, index| width_at(level, index, TreeSize::new(70_000));
    assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [Some(256), Some(112), None]);
    assert_eq!(
        [width(1, 0), width(1, 1), width(1, 2), width(2, 0), width(3, 0)],
        [Some(256), Some(17), None, Some(1), None]
    );
}
