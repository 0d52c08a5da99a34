//! Filters: whether a hash may be in a run, told by 28 bytes (a split-block Bloom filter).
//!
//! A block is seven words of bits and a CRC, half a cache line, and the CRC is checked at every question: a rotten bit
//! must not make something that exists look new. Blocks follow the order of hashes, so a filter is written in one pass
//! over sorted entries.

use super::run::{Seal, array_at};
use super::write::Sink;
use std::io;

pub(super) const FILTER_BLOCK_BYTES: usize = 32;
const WORDS: usize = 7;
const BITS_PER_HASH: u64 = 12;
/// Odd numbers that spread a hash over the words; those of the Parquet format.
const SPREAD: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947];
const _: () = assert!(WORDS * 4 + 4 == FILTER_BLOCK_BYTES);

/// Blocks of a filter for so many distinct hashes.
pub(super) fn blocks_for(distinct: u64) -> u64 {
    distinct.saturating_mul(BITS_PER_HASH).div_ceil(WORDS as u64 * 32).clamp(1, u64::from(u32::MAX))
}

/// The block that a hash belongs to. It rises with the hash.
pub(super) fn block_of(hash: u64, blocks: u64) -> u64 {
    ((hash >> 32) * blocks) >> 32
}

fn bits(hash: u64) -> [u32; WORDS] {
    // The low half: the high one has chosen the block.
    let low = u32::try_from(hash & 0xffff_ffff).unwrap_or_default();
    SPREAD.map(|spread| 1 << (low.wrapping_mul(spread) >> 27))
}

/// Whether `hash` may be there; `None` when the block is rotten.
pub(super) fn may_hold(block: &[u8], offset: u64, seal: &Seal, hash: u64) -> Option<bool> {
    let content = seal.open(offset, block)?;
    let found = |(word, bit): (usize, u32)| u32::from_le_bytes(array_at(content, 4 * word)) & bit != 0;
    Some(bits(hash).into_iter().enumerate().all(found))
}

/// Writes the filter of distinct hashes that come in order.
pub(super) struct FilterWriter {
    blocks: u64,
    at: u64,
    words: [u32; WORDS],
}

impl FilterWriter {
    pub(super) fn new(blocks: u64) -> Self {
        Self { blocks, at: 0, words: [0; WORDS] }
    }

    pub(super) fn add(&mut self, hash: u64, out: &mut dyn Sink, seal: &Seal) -> io::Result<()> {
        while self.at < block_of(hash, self.blocks) {
            self.put(out, seal)?;
        }
        for (word, bit) in self.words.iter_mut().zip(bits(hash)) {
            *word |= bit;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut dyn Sink, seal: &Seal) -> io::Result<()> {
        while self.at < self.blocks {
            self.put(out, seal)?;
        }
        Ok(())
    }

    fn put(&mut self, out: &mut dyn Sink, seal: &Seal) -> io::Result<()> {
        let mut block = [0; FILTER_BLOCK_BYTES];
        for (bytes, word) in block.chunks_exact_mut(4).zip(self.words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        seal.close(out.offset(), &mut block);
        self.words = [0; WORDS];
        self.at += 1;
        out.put(&block)
    }
}
