//! The digest of a model: the sum modulo 2²⁵⁶ of SHA-256 over each entity's canonical bytes.
//!
//! Invariant: the sum does not depend on the order in which entities are added, and what was added can be taken
//! away again; so it can be kept while entities change, and is the same after a rebuild.

use eventstore::Digest;
use sha2::{Digest as _, Sha256};

/// Digest of one entity.
pub(crate) type EntityDigest = [u8; 32];

/// The sum so far; little-endian limbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DigestSum([u64; 4]);

impl DigestSum {
    pub(crate) fn add(&mut self, digest: &EntityDigest) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(digest)) {
            let (sum, over) = limb.overflowing_add(other);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || over_again;
        }
    }

    pub(crate) fn subtract(&mut self, digest: &EntityDigest) {
        let mut borrow = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(digest)) {
            let (rest, under) = limb.overflowing_sub(other);
            let (rest, under_again) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = under || under_again;
        }
    }

    /// The sum, most significant byte first.
    pub(crate) fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        Digest(bytes)
    }
}

fn limbs(digest: &EntityDigest) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(digest.chunks_exact(8).rev()) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        *limb = u64::from_be_bytes(bytes);
    }
    limbs
}

/// SHA-256 over the kind of an entity and its canonical bytes.
pub(crate) fn entity(kind: u8, canonical: &[u8]) -> EntityDigest {
    let mut hasher = Sha256::new();
    hasher.update([kind]);
    hasher.update(canonical);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_away_in_any_order() {
        let digests: Vec<_> = (0..40u8).map(|number| entity(number, b"x")).collect();
        let mut forward = DigestSum::default();
        digests.iter().for_each(|digest| forward.add(digest));
        let mut backward = DigestSum::default();
        digests.iter().rev().for_each(|digest| backward.add(digest));
        assert_eq!(forward, backward);
        digests.iter().for_each(|digest| forward.subtract(digest));
        assert_eq!(forward, DigestSum::default());
    }

    #[test]
    fn the_sum_wraps_around() {
        let mut sum = DigestSum::default();
        sum.add(&[0xff; 32]);
        let mut one = [0; 32];
        one[31] = 1;
        sum.add(&one);
        assert_eq!(sum, DigestSum::default());
        sum.subtract(&one);
        assert_eq!(sum.digest(), Digest([0xff; 32]));
    }
}
