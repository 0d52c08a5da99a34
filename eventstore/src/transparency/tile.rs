//! Tiles: the tree's hashes in pieces of eight levels (C2SP `tlog-tiles`), their names and the bundles of leaves beside them.

use super::leaf::{LEAF_BYTES, Leaf, LeafError};
use crate::numbers::TreeSize;
use std::fmt;

/// Hashes in a full tile: eight levels of the tree.
pub const TILE_WIDTH: u16 = 256;
/// Levels of tiles of the largest tree: its size fits into 64 bits.
pub const TILE_LEVELS_MAX: u8 = 8;
/// Length of an entry in a bundle, bytes: a length in two bytes, and the leaf.
pub const BUNDLE_ENTRY_BYTES: usize = 2 + LEAF_BYTES;

/// Number of characters of a tile's path at most; no number of 64 bits needs more.
const PATH_LEN_MAX: usize = 64;

/// Names a tile, or with level 0 the bundle of leaves below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TileId {
    /// Level: 0 has the leaves' hashes, each other one the roots of the full tiles below it.
    pub level: u8,
    /// Number of the tile in its level.
    pub index: u64,
    /// Hashes in it, 1 to 256; fewer than 256 in the last one of a level.
    pub width: u16,
}

/// Why a path names no tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TilePathError {
    /// The level is not a number from 0 to 63 without leading zeros.
    #[error("the level of a tile is a number from 0 to 63 without leading zeros")]
    Level,
    /// The number of the tile is not in groups of three digits.
    #[error(
        "the number of a tile is written in groups of three digits, x in front of all but the last: x001/x234/067"
    )]
    Index,
    /// The width is not a number from 1 to 255 without leading zeros.
    #[error("the width of a partial tile is a number from 1 to 255 without leading zeros")]
    Width,
}

impl TileId {
    /// Reads level and rest of a path: of `0/x001/234.p/7` the parts `0` and `x001/234.p/7`.
    ///
    /// # Errors
    /// When it is not written in the one way that is specified.
    pub fn parse(level: &str, rest: &str) -> Result<Self, TilePathError> {
        let level = decimal(level).filter(|level| *level < 64).ok_or(TilePathError::Level)?;
        let (index, width) = Self::parse_index(rest)?;
        Ok(Self { level: u8::try_from(level).map_err(|_| TilePathError::Level)?, index, width })
    }

    /// Reads number and width: `x001/234.p/7` is tile 1234 with 7 hashes.
    ///
    /// # Errors
    /// As [`TileId::parse`].
    pub fn parse_index(path: &str) -> Result<(u64, u16), TilePathError> {
        if path.len() > PATH_LEN_MAX {
            return Err(TilePathError::Index);
        }
        let (number, width) = match path.split_once(".p/") {
            None => (path, TILE_WIDTH),
            Some((number, width)) => {
                let width = decimal(width).filter(|width| (1..u64::from(TILE_WIDTH)).contains(width));
                (number, width.and_then(|width| u16::try_from(width).ok()).ok_or(TilePathError::Width)?)
            }
        };
        let mut index: u64 = 0;
        let mut groups = number.split('/').peekable();
        let mut is_first = true;
        while let Some(group) = groups.next() {
            let digits = match (group.strip_prefix('x'), groups.peek().is_some()) {
                (Some(digits), true) => digits,
                (None, false) => group,
                _ => return Err(TilePathError::Index),
            };
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(TilePathError::Index);
            }
            // One name for each tile: a group of zeros in front would be a second one.
            if is_first && digits == "000" && groups.peek().is_some() {
                return Err(TilePathError::Index);
            }
            is_first = false;
            let group: u64 = digits.parse().map_err(|_| TilePathError::Index)?;
            index = index
                .checked_mul(1000)
                .and_then(|index| index.checked_add(group))
                .ok_or(TilePathError::Index)?;
        }
        Ok((index, width))
    }

    /// Path of the bundle of leaves below it: `entries/x001/234.p/7`. Only of a tile of level 0.
    #[must_use]
    pub fn entries_path(&self) -> String {
        format!("entries/{}", self.number())
    }

    fn number(&self) -> String {
        let mut path = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            path = format!("x{:03}/{path}", rest % 1000);
            rest /= 1000;
        }
        if self.width < TILE_WIDTH {
            path += &format!(".p/{}", self.width);
        }
        path
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level, self.number())
    }
}

/// A number in decimal digits without leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// Hashes that a tile has in a tree of this size; `None` when it has none.
#[must_use]
pub fn width_at(level: u8, index: u64, size: TreeSize) -> Option<u16> {
    let hashes = size.get().checked_shr(8 * u32::from(level))?;
    let before = index.checked_mul(u64::from(TILE_WIDTH))?;
    let width = hashes.checked_sub(before)?.min(u64::from(TILE_WIDTH));
    u16::try_from(width).ok().filter(|width| *width > 0)
}

/// A leaf as it stands in a bundle: its length in two bytes, big-endian as C2SP wants it, and its record.
#[must_use]
pub fn bundle_entry(leaf: &Leaf) -> [u8; BUNDLE_ENTRY_BYTES] {
    let mut entry = [0; BUNDLE_ENTRY_BYTES];
    #[expect(clippy::cast_possible_truncation, reason = "a leaf has 89 bytes")]
    entry[..2].copy_from_slice(&(LEAF_BYTES as u16).to_be_bytes());
    entry[2..].copy_from_slice(&leaf.to_bytes());
    entry
}

/// The leaves of a bundle.
///
/// # Errors
/// When an entry is no leaf, or the bundle ends within one.
pub fn bundle_leaves(bundle: &[u8]) -> Result<Vec<Leaf>, LeafError> {
    let mut rest = bundle;
    let mut leaves = Vec::with_capacity(bundle.len() / BUNDLE_ENTRY_BYTES);
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len));
        let (entry, after) = after.split_at_checked(len).ok_or(LeafError::Length(after.len()))?;
        leaves.push(Leaf::from_bytes(entry)?);
        rest = after;
    }
    if rest.is_empty() { Ok(leaves) } else { Err(LeafError::Length(rest.len())) }
}
