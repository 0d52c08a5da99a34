//! The two hashes of a Merkle tree as in RFC 6962, section 2.1. A byte in front keeps leaves and inner nodes apart: else
//! somebody could pass off the two hashes below a node as a leaf.

use crate::digest::sha256_each;
use crate::numbers::Digest;
use sha2::{Digest as _, Sha256};

/// In front of what is hashed as a leaf.
const LEAF_PREFIX: u8 = 0;
/// In front of the two hashes of an inner node.
const NODE_PREFIX: u8 = 1;
/// Bytes that are hashed for an inner node.
const NODE_BYTES: usize = 1 + 32 + 32;

/// Root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Digest = Digest([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Hash of a leaf with this content.
#[must_use]
pub fn leaf_hash(content: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix([LEAF_PREFIX]).chain_update(content).finalize().into())
}

/// Hash of an inner node above two others.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut text = [NODE_PREFIX; NODE_BYTES];
    text[1..33].copy_from_slice(&left.0);
    text[33..].copy_from_slice(&right.0);
    Digest(Sha256::digest(text).into())
}

/// Root of a whole subtree: of a number of hashes that is a power of two. Several at a time are hashed side by side.
///
/// `hashes` is used up.
pub(super) fn perfect_root(hashes: &mut Vec<Digest>) -> Digest {
    debug_assert!(hashes.len().is_power_of_two());
    let mut texts = Vec::with_capacity(hashes.len() / 2 * NODE_BYTES);
    while hashes.len() > 1 {
        texts.clear();
        for pair in hashes.chunks_exact(2) {
            texts.push(NODE_PREFIX);
            texts.extend_from_slice(&pair[0].0);
            texts.extend_from_slice(&pair[1].0);
        }
        let above = hashes.len() / 2;
        hashes.truncate(above);
        sha256_each(
            above,
            |index| &texts[index * NODE_BYTES..(index + 1) * NODE_BYTES],
            |index, digest| hashes[index] = digest,
        );
    }
    hashes.first().copied().unwrap_or(EMPTY_ROOT)
}

/// Hashes of leaves whose contents stand back to back, each `width` bytes with the prefix in front, in order.
pub(super) fn leaf_hashes(texts: &[u8], width: usize) -> Vec<Digest> {
    let mut hashes = vec![Digest::default(); texts.len() / width];
    sha256_each(
        hashes.len(),
        |index| &texts[index * width..(index + 1) * width],
        |index, digest| hashes[index] = digest,
    );
    hashes
}

/// The prefix of leaves, for whoever puts texts together.
pub(super) const fn leaf_prefix() -> u8 {
    LEAF_PREFIX
}
