//! Making proofs out of tiles, as anybody can who has them: RFC 6962, sections 2.1.1 and 2.1.2.
//!
//! Invariant: a tile is fetched once for each proof, and only tiles that a tree of the asked size has.

use super::hash::{EMPTY_ROOT, node_hash, perfect_root};
use super::proof::ProofError;
use super::tile::{TILE_WIDTH, TileId, width_at};
use crate::numbers::{Digest, Position, TreeSize};
use std::cell::RefCell;
use std::collections::HashMap;

/// Where tiles come from.
pub trait TileSource {
    /// Why a tile is not to be had.
    type Error;

    /// The hashes of a tile, exactly as many as its width says.
    ///
    /// # Errors
    /// When it is not to be had.
    fn tile(&self, id: TileId) -> Result<Vec<Digest>, Self::Error>;
}

/// Makes proofs about the trees whose tiles a source has.
#[derive(Debug)]
pub struct Prover<'s, S> {
    source: &'s S,
    /// The tree that tiles are fetched for: its last ones may be partial.
    size: TreeSize,
    tiles: RefCell<HashMap<(u8, u64), Vec<Digest>>>,
}

impl<'s, S: TileSource> Prover<'s, S>
where
    S::Error: From<ProofError>,
{
    /// Proves about trees up to this size.
    pub fn new(source: &'s S, size: TreeSize) -> Self {
        Self { source, size, tiles: RefCell::default() }
    }

    /// Root of the tree of this size, which is at most the prover's.
    ///
    /// # Errors
    /// What the source says.
    pub fn root(&self, size: TreeSize) -> Result<Digest, S::Error> {
        self.within(size)?;
        if size == TreeSize::ZERO { Ok(EMPTY_ROOT) } else { self.range(0, size.get()) }
    }

    /// That leaf `index` is in the prover's tree.
    ///
    /// # Errors
    /// When there is no such leaf; what the source says.
    pub fn inclusion(&self, index: Position) -> Result<Vec<Digest>, S::Error> {
        if index.get() >= self.size.get() {
            return Err(ProofError::NoSuchLeaf { index, size: self.size }.into());
        }
        let (mut low, mut high) = (0, self.size.get());
        let mut proof = Vec::new();
        while high - low > 1 {
            let middle = low + left_of(high - low);
            if index.get() < middle {
                proof.push(self.range(middle, high)?);
                high = middle;
            } else {
                proof.push(self.range(low, middle)?);
                low = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// That the prover's tree continues its first `old` leaves. Empty when there is nothing to show: for no leaves and for all.
    ///
    /// # Errors
    /// When `old` is larger than the tree; what the source says.
    pub fn consistency(&self, old: TreeSize) -> Result<Vec<Digest>, S::Error> {
        self.within(old)?;
        let mut proof = Vec::new();
        if old == TreeSize::ZERO || old == self.size {
            return Ok(proof);
        }
        let old = old.get();
        let (mut low, mut high) = (0, self.size.get());
        // Down to the whole subtree that ends where the older tree does.
        while old != high {
            let middle = low + left_of(high - low);
            if old <= middle {
                proof.push(self.range(middle, high)?);
                high = middle;
            } else {
                proof.push(self.range(low, middle)?);
                low = middle;
            }
        }
        // Where that is the older tree itself, its root is known to whoever asks.
        if low > 0 {
            proof.push(self.range(low, high)?);
        }
        proof.reverse();
        Ok(proof)
    }

    fn within(&self, size: TreeSize) -> Result<(), S::Error> {
        if size > self.size {
            return Err(ProofError::Smaller { old: size, new: self.size }.into());
        }
        Ok(())
    }

    /// Root over the leaves from `low` to `high`, where `low` is a multiple of a power of two that is at least their number.
    fn range(&self, low: u64, high: u64) -> Result<Digest, S::Error> {
        let mut rest = high;
        let mut root: Option<Digest> = None;
        while rest > low {
            // The largest whole subtree that ends here and begins within the range.
            let width = 1 << (rest - low).trailing_zeros();
            let peak = self.node(rest - width, width.trailing_zeros())?;
            root = Some(match root {
                Some(right) => node_hash(&peak, &right),
                None => peak,
            });
            rest -= width;
        }
        Ok(root.unwrap_or(EMPTY_ROOT))
    }

    /// Root of the whole subtree over the 2^`height` leaves from `first` on.
    fn node(&self, first: u64, height: u32) -> Result<Digest, S::Error> {
        let (tile_level, within) = (height / 8, height % 8);
        // A tree of 2^64 leaves does not exist, so a level fits.
        let level = u8::try_from(tile_level).unwrap_or(u8::MAX);
        let start = first >> (8 * tile_level);
        let (index, at) = (start / u64::from(TILE_WIDTH), start % u64::from(TILE_WIDTH));
        let mut tiles = self.tiles.borrow_mut();
        let tile = match tiles.entry((level, index)) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let width = width_at(level, index, self.size).unwrap_or(TILE_WIDTH);
                entry.insert(self.source.tile(TileId { level, index, width })?)
            }
        };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let hashes = tile.get(at..at.saturating_add(1 << within));
        let mut hashes = hashes.ok_or(ProofError::Length(tile.len()))?.to_vec();
        Ok(perfect_root(&mut hashes))
    }
}

/// Leaves in the left subtree of a tree: the largest power of two below their number, which is at least two.
fn left_of(leaves: u64) -> u64 {
    1 << (63 - (leaves - 1).leading_zeros())
}
