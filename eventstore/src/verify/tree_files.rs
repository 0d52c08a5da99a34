//! The files of the tree against each other and against a head that was signed: leaves, their hashes, the hashes above.
//!
//! That the leaves are the log's follows from the root, which the log is held against as well.

use super::class::Class;
use super::report::Finding;
use crate::numbers::{Digest, Position, TreeSize};
use crate::storage::Storage;
use crate::transparency::{
    BUNDLE_ENTRY_BYTES, Edge, LEAF_BYTES, Leaf, TILE_WIDTH, TileId, TileSource, TreeError, TreeFiles,
    TreeHead, leaf_hash, width_at,
};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Findings that are told one by one.
const FINDINGS_MAX: usize = 1_000;

/// What a look at the tree's files found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TreeChecked {
    /// Leaves that were read.
    pub leaves: u64,
    /// Everything that is not as it should be; a thousand at most.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// Checks the files of a tree's generation (`name` is its path below the data directory) up to a head. `go_on` is asked now and then.
pub fn check_tree_files(
    storage: &Arc<dyn Storage>,
    dir: &Path,
    name: &str,
    head: &TreeHead,
    go_on: &mut dyn FnMut() -> bool,
) -> TreeChecked {
    let files = TreeFiles::new(Arc::clone(storage), dir);
    let mut check =
        Check { files, name, size: head.size, checked: TreeChecked::default(), tiles: Vec::new() };
    let mut edge = Edge::default();
    let bundles = head.size.get().div_ceil(u64::from(TILE_WIDTH));
    for index in 0..bundles {
        let Some(width) = width_at(0, index, head.size).filter(|_| go_on()) else { return check.checked };
        let bytes = match check.files.bundle_bytes(index, width) {
            Ok(bytes) => bytes,
            Err(error) => {
                check.unreadable("entries", &error);
                return check.checked;
            }
        };
        for (number, entry) in (index * u64::from(TILE_WIDTH)..).zip(bytes.chunks_exact(BUNDLE_ENTRY_BYTES)) {
            let (len, record) = entry.split_at(BUNDLE_ENTRY_BYTES - LEAF_BYTES);
            let leaf = Leaf::from_bytes(record);
            let is_leaf = len == [0, 89] && leaf.is_ok_and(|leaf| leaf.position.get() == number);
            if !is_leaf {
                check.find(
                    "entries",
                    number * BUNDLE_ENTRY_BYTES as u64,
                    number,
                    "this is not the leaf of its position",
                );
            }
            let mut hashes = Vec::new();
            edge.append(leaf_hash(record), |level, hash| hashes.push((level, hash)));
            for (level, hash) in hashes {
                if !check.hash(level, (number + 1) >> (8 * u32::from(level)), &hash) {
                    return check.checked;
                }
            }
        }
        check.checked.leaves += u64::from(width);
    }
    if edge.root() != head.root && check.checked.findings.is_empty() {
        let message = "leaves and hashes agree, but they lead to another root than the one that was signed";
        let found = check.finding("entries", 0, 0, message).differs(&head.root, &edge.root());
        check.checked.findings.push(found);
    }
    check.checked
}

struct Check<'a> {
    files: TreeFiles,
    name: &'a str,
    size: TreeSize,
    checked: TreeChecked,
    /// By level: the number and the hashes of the tile that was read last.
    tiles: Vec<Option<(u64, Vec<Digest>)>>,
}

impl Check<'_> {
    fn finding(&self, file: &str, offset: u64, leaf: u64, message: &str) -> Finding {
        let file = format!("{}/{file}", self.name);
        Finding::in_file(Class::TreeMismatch, file, offset, Position::new(leaf), message)
    }

    fn find(&mut self, file: &str, offset: u64, leaf: u64, message: &str) {
        if self.checked.findings.len() < FINDINGS_MAX {
            let found = self.finding(file, offset, leaf, message);
            self.checked.findings.push(found);
        }
    }

    fn unreadable(&mut self, file: &str, error: &TreeError) {
        let message = error.to_string();
        match error {
            TreeError::Short { bytes, .. } => self.find(file, *bytes, 0, &message),
            _ => {
                let class = Class::Unreadable;
                let file = format!("{}/{file}", self.name);
                self.checked.findings.push(Finding::in_file(class, file, 0, Position::ZERO, message));
            }
        }
    }

    /// Compares the hash with which a level has `count` of them; false when it cannot be read.
    fn hash(&mut self, level: u8, count: u64, hash: &Digest) -> bool {
        let Some(number) = count.checked_sub(1) else { return true };
        let width = u64::from(TILE_WIDTH);
        let (tile, at) = (number / width, usize::try_from(number % width).unwrap_or_default());
        let slot = usize::from(level);
        if self.tiles.len() <= slot {
            self.tiles.resize(slot + 1, None);
        }
        let file = format!("{level}.hashes");
        if self.tiles[slot].as_ref().is_none_or(|(known, _)| *known != tile) {
            let Some(width) = width_at(level, tile, self.size) else { return true };
            match self.files.tile(TileId { level, index: tile, width }) {
                Ok(hashes) => self.tiles[slot] = Some((tile, hashes)),
                Err(error) => {
                    self.unreadable(&file, &error);
                    return false;
                }
            }
        }
        let found = self.tiles[slot].as_ref().and_then(|(_, hashes)| hashes.get(at)).copied();
        if found != Some(*hash) {
            let leaf = number << (8 * u32::from(level));
            let message = "the hash is not that of the leaves below it";
            let found =
                self.finding(&file, number * 32, leaf, message).differs(hash, &found.unwrap_or_default());
            if self.checked.findings.len() < FINDINGS_MAX {
                self.checked.findings.push(found);
            }
        }
        true
    }
}
