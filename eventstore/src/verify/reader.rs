//! Reading a segment's file in large blocks, by calls that can fail.
//!
//! Not through a map: a sector that the disk cannot read would end the process there. Here it is bytes that are no
//! frame, and a finding; everything around it is still looked at. Blocks are shared with the threads that check them
//! and used again once nobody has them.

use crate::numbers::Digest;
use crate::storage::StorageFile;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes read at a time: little enough to stay in a core's cache until they are hashed.
const BLOCK: usize = 512 << 10;
/// What is tried alone when a block cannot be read.
const PAGE: usize = 4096;
/// Stands for what could not be read: no frame begins so, and it is not zero.
const UNREADABLE: u8 = 0xa5;

/// Bytes of a file.
#[derive(Debug, Default)]
pub(super) struct Block {
    at: u64,
    bytes: Vec<u8>,
    len: usize,
}

impl Block {
    /// The bytes from `offset` of the file to the end of the block.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        let from = offset.checked_sub(self.at).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.bytes[..self.len].get(from..)).unwrap_or_default()
    }

    fn end(&self) -> u64 {
        self.at + self.len as u64
    }
}

/// Blocks that are used over again, whichever file they were read from.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<Arc<Block>>);

impl Blocks {
    /// A block that nobody has.
    fn take(&mut self) -> Arc<Block> {
        let free = self.0.iter_mut().position(|block| Arc::get_mut(block).is_some());
        free.map(|index| self.0.swap_remove(index)).unwrap_or_default()
    }
}

/// What could not be read.
#[derive(Debug, Clone)]
pub(super) struct Hole {
    pub(super) bytes: Range<u64>,
    pub(super) error: String,
    /// Whether there are bytes, but other ones: an archive that gives what was not put there.
    pub(super) is_other: bool,
}

impl Hole {
    pub(super) fn new(bytes: Range<u64>, error: &io::Error) -> Self {
        let is_other = error.kind() == io::ErrorKind::InvalidData;
        Self { bytes, error: error.to_string(), is_other }
    }
}

/// A segment's file.
#[derive(Debug)]
pub(super) struct Reader<'f> {
    file: &'f dyn StorageFile,
    len: u64,
    block: Arc<Block>,
    blocks: &'f mut Blocks,
    holes: Vec<Hole>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(file: &'f dyn StorageFile, len: u64, blocks: &'f mut Blocks) -> Self {
        Self { file, len, block: blocks.take(), blocks, holes: Vec::new() }.emptied()
    }

    fn emptied(mut self) -> Self {
        if let Some(block) = Arc::get_mut(&mut self.block) {
            (block.at, block.len) = (0, 0);
        }
        self
    }

    /// Length of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the current block has `len` bytes from `offset` on, or all to the end of the file.
    pub(super) fn has(&self, offset: u64, len: usize) -> bool {
        offset >= self.block.at && offset.saturating_add(len as u64).min(self.len) <= self.block.end()
    }

    /// The current block.
    pub(super) fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// The bytes from `offset` on: at least `len`, unless the file ends before.
    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> &[u8] {
        if !self.has(offset, len) {
            self.load(offset, len.max(BLOCK));
        }
        self.block.from(offset)
    }

    /// SHA-256 of everything from `from` on.
    pub(super) fn sha256(&mut self, mut from: u64) -> Digest {
        let mut hasher = Sha256::new();
        while from < self.len {
            let bytes = self.bytes(from, BLOCK);
            hasher.update(bytes);
            from += bytes.len() as u64;
        }
        Digest(hasher.finalize().into())
    }

    /// What could not be read so far, each place once and in order.
    pub(super) fn into_holes(mut self) -> Vec<Hole> {
        self.holes.sort_by_key(|hole| hole.bytes.start);
        let mut merged: Vec<Hole> = Vec::new();
        for hole in self.holes.drain(..) {
            match merged.last_mut() {
                Some(last) if hole.bytes.start <= last.bytes.end => {
                    last.bytes.end = last.bytes.end.max(hole.bytes.end);
                }
                _ => merged.push(hole),
            }
        }
        merged
    }

    fn load(&mut self, offset: u64, len: usize) {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let old = std::mem::replace(&mut self.block, self.blocks.take());
        self.blocks.0.push(old);
        // Nobody else has a block that has just been taken.
        let Some(block) = Arc::get_mut(&mut self.block) else { return };
        block.at = offset;
        block.len = len;
        if block.bytes.len() < len {
            block.bytes.resize(len, 0);
        }
        let bytes = &mut block.bytes[..len];
        if self.file.read_full_at(bytes, offset).is_ok_and(|read| read == len) {
            return;
        }
        for (page, at) in bytes.chunks_mut(PAGE).zip((offset..).step_by(PAGE)) {
            let error = match self.file.read_full_at(page, at) {
                Ok(read) if read == page.len() => continue,
                Ok(_) => io::Error::other("the file has become shorter"),
                Err(error) => error,
            };
            page.fill(UNREADABLE);
            self.holes.push(Hole::new(at..at + page.len() as u64, &error));
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.blocks.0.push(std::mem::take(&mut self.block));
    }
}
