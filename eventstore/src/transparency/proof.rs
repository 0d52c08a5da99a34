//! Checking proofs: that a leaf is in a tree, and that a tree was only appended to. As in RFC 9162, sections 2.1.3.2 and
//! 2.1.4.2, which say the same of RFC 6962's proofs in the form of an algorithm.

use super::checkpoint::TreeHead;
use super::hash::{EMPTY_ROOT, node_hash};
use crate::numbers::{Digest, Position, TreeSize};

/// Hashes in a proof at most: the height of a tree whose size fits into 64 bits, and one more.
pub const PROOF_HASHES_MAX: usize = 65;

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no such leaf in the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NoSuchLeaf {
        /// The leaf.
        index: Position,
        /// Size of the tree.
        size: TreeSize,
    },
    /// A tree does not become smaller.
    #[error("a tree of {new} leaves does not continue one of {old}")]
    Smaller {
        /// Size of the older tree.
        old: TreeSize,
        /// Size of the newer one.
        new: TreeSize,
    },
    /// Too many or too few hashes.
    #[error("the proof has {0} hashes, which is not the number that trees of these sizes need")]
    Length(usize),
    /// It leads to another root than that of the older tree.
    #[error("the proof leads to {found} as the root of the older tree, which is {expected}")]
    OldRoot {
        /// The older tree's.
        expected: Digest,
        /// What the proof leads to.
        found: Digest,
    },
    /// It leads to another root.
    #[error("the proof leads to the root {found}, expected {expected}")]
    Root {
        /// The tree's.
        expected: Digest,
        /// What the proof leads to.
        found: Digest,
    },
}

/// Checks that the leaf with this hash is leaf `index` of a tree.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_inclusion(
    leaf: &Digest,
    index: Position,
    head: &TreeHead,
    proof: &[Digest],
) -> Result<(), ProofError> {
    let size = head.size;
    if index.get() >= size.get() {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let (mut node, mut last) = (index.get(), size.get() - 1);
    let mut found = *leaf;
    for hash in proof {
        if last == 0 {
            return Err(ProofError::Length(proof.len()));
        }
        if node & 1 == 1 || node == last {
            found = node_hash(hash, &found);
            // At the right edge, levels without a sibling are stepped over.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            found = node_hash(&found, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(proof.len()));
    }
    expect_root(head, found)
}

/// Checks that the newer tree is the older one with leaves appended.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[Digest]) -> Result<(), ProofError> {
    let smaller = || ProofError::Smaller { old: old.size, new: new.size };
    let growth = new.size.get().checked_sub(old.size.get()).ok_or_else(smaller)?;
    if old.size == TreeSize::ZERO || growth == 0 {
        if !proof.is_empty() {
            return Err(ProofError::Length(proof.len()));
        }
        return if growth == 0 {
            expect_root(new, old.root)
        } else {
            expect_old_root(&TreeHead { root: old.root, size: old.size }, EMPTY_ROOT)
        };
    }
    // The older tree as a whole is a node of the newer one when its size is a power of two; nobody needs to be told.
    let (first, rest) = if old.size.get().is_power_of_two() {
        (old.root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::Length(0))?;
        (*first, rest)
    };
    if rest.is_empty() {
        return Err(ProofError::Length(proof.len()));
    }
    let (mut node, mut last) = (old.size.get() - 1, new.size.get() - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_root, mut new_root) = (first, first);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::Length(proof.len()));
        }
        if node & 1 == 1 || node == last {
            old_root = node_hash(hash, &old_root);
            new_root = node_hash(hash, &new_root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_root = node_hash(&new_root, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(proof.len()));
    }
    expect_old_root(old, old_root)?;
    expect_root(new, new_root)
}

fn expect_root(head: &TreeHead, found: Digest) -> Result<(), ProofError> {
    if found == head.root { Ok(()) } else { Err(ProofError::Root { expected: head.root, found }) }
}

fn expect_old_root(head: &TreeHead, found: Digest) -> Result<(), ProofError> {
    if found == head.root { Ok(()) } else { Err(ProofError::OldRoot { expected: head.root, found }) }
}
