//! The right edge of a growing tree: the unfinished tile of each level, which is all that appending and the root need.

use super::checkpoint::TreeHead;
use super::hash::{EMPTY_ROOT, node_hash, perfect_root};
use super::prove::TileSource;
use super::tile::{TILE_LEVELS_MAX, TILE_WIDTH, TileId, width_at};
use crate::numbers::{Digest, TreeSize};

/// A tree that leaves are appended to. Holds at most 255 hashes a level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// By level: the hashes of its last tile, as long as that is not full.
    levels: Vec<Vec<Digest>>,
}

impl Edge {
    /// The edge of a tree of this size whose tiles are there to be read.
    ///
    /// # Errors
    /// What the source says.
    pub fn load<S: TileSource>(source: &S, size: TreeSize) -> Result<Self, S::Error> {
        let mut levels = Vec::new();
        for level in 0..TILE_LEVELS_MAX {
            let hashes = size.get().checked_shr(8 * u32::from(level)).unwrap_or(0);
            if hashes == 0 {
                break;
            }
            let index = hashes / u64::from(TILE_WIDTH);
            levels.push(match width_at(level, index, size) {
                Some(width) => source.tile(TileId { level, index, width })?,
                None => Vec::new(),
            });
        }
        Ok(Self { size: size.get(), levels })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.size)
    }

    /// Appends a leaf by its hash. `emit` is told each hash that this adds to a level of tiles, and the level: the leaf's own
    /// at level 0, and one more for every tile that it fills.
    pub fn append(&mut self, leaf: Digest, mut emit: impl FnMut(u8, Digest)) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0..TILE_LEVELS_MAX {
            let index = usize::from(level);
            if self.levels.len() == index {
                self.levels.push(Vec::with_capacity(usize::from(TILE_WIDTH)));
            }
            emit(level, hash);
            let tile = &mut self.levels[index];
            tile.push(hash);
            if tile.len() < usize::from(TILE_WIDTH) {
                return;
            }
            hash = perfect_root(tile);
            tile.clear();
        }
    }

    /// Root over all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut root: Option<Digest> = None;
        // From the smallest whole subtree at the right end to the largest at the left: the binary digits of the size.
        for tile in &self.levels {
            let mut end = tile.len();
            while end > 0 {
                let width = 1 << end.trailing_zeros();
                let peak = perfect_root(&mut tile[end - width..end].to_vec());
                root = Some(root.map_or(peak, |right| node_hash(&peak, &right)));
                end -= width;
            }
        }
        root.unwrap_or(EMPTY_ROOT)
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size(), root: self.root() }
    }
}
