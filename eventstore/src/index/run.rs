//! A run: the index of one or more ended segments, sorted, immutable, in a file that is mapped or in memory.
//!
//! Layout: a header; then for each part its entries in blocks of 4 KiB sorted by hash, its filter, and its fences (the
//! first hash of every block). Every block carries a CRC that is checked whenever it is read; fences are read once,
//! checked and kept. What fails a check is answered with [`Rotten`], and whoever asked has the run built anew.

use super::filter::{self, FILTER_BLOCK_BYTES};
use super::{Candidate, Entry, Part, Rotten};
use crate::format::FormatError;
use crate::format::bytes::{all_zero, array, put, slice, u32_at, u64_at};
use crate::format::segment_header::{PreviousEnd, SegmentHeader};
use crate::mapped::Map;
use crate::numbers::{Digest, LogOffset, Position, Timestamp};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uuid::Uuid;

/// Length of a run's header and of a block of entries, bytes.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Length of an entry, bytes.
pub(super) const ENTRY_BYTES: usize = 24;
/// Entries in a full block.
pub(super) const BLOCK_ENTRIES: u64 = (BLOCK_BYTES / ENTRY_BYTES) as u64;
const MAGIC: [u8; 8] = *b"SUNDAYIX";
const VERSION: u32 = 1;
const PARTS_AT: usize = 128;
const PART_BYTES: usize = 48;
const CRC_AT: usize = BLOCK_BYTES - 4;
const _: () = assert!(BLOCK_ENTRIES == 170 && BLOCK_BYTES % ENTRY_BYTES >= 4);
const _: () = assert!(PARTS_AT + 4 * PART_BYTES <= CRC_AT);

/// What a run says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunInfo {
    pub(crate) store: Uuid,
    /// The segments covered, both included.
    pub(crate) first_segment: u32,
    pub(crate) last_segment: u32,
    pub(crate) first: Position,
    pub(crate) next: Position,
    /// How much of the last segment counts.
    pub(crate) valid_len: u64,
    /// Chain head at its end.
    pub(crate) chain: Digest,
    /// When the last frame was recorded.
    pub(crate) recorded_at: Timestamp,
}

impl RunInfo {
    /// Of segments whose first one and successor have these headers.
    pub(crate) fn between(first: &SegmentHeader, successor: &SegmentHeader, recorded_at: Timestamp) -> Self {
        Self {
            store: first.store,
            first_segment: first.sequence,
            last_segment: successor.sequence.saturating_sub(1),
            first: first.first_position,
            next: successor.first_position,
            valid_len: successor.previous.valid_len,
            chain: successor.previous.chain,
            recorded_at,
        }
    }

    /// Whether these are the segments that the run was made of, as far as their headers tell.
    pub(crate) fn is_of(&self, first: &SegmentHeader, successor: &SegmentHeader) -> bool {
        let expected = Self::between(first, successor, self.recorded_at);
        *self == expected && successor.store == self.store && successor.previous.end != PreviousEnd::None
    }

    /// Segments covered.
    pub(crate) fn segments(&self) -> u32 {
        self.last_segment - self.first_segment + 1
    }

    pub(crate) fn rotten(&self) -> Rotten {
        Rotten { first: self.first_segment, last: self.last_segment }
    }
}

/// Closes blocks with a CRC and opens them again. Seeded with the run and the block's place in it, so that no block of
/// another run, or of another place, passes.
#[derive(Debug, Clone)]
pub(super) struct Seal(crc32fast::Hasher);

impl Seal {
    pub(super) fn new(info: &RunInfo) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(info.store.as_bytes());
        hasher.update(&info.first_segment.to_le_bytes());
        hasher.update(&info.last_segment.to_le_bytes());
        hasher.update(&info.chain.0);
        Self(hasher)
    }

    fn crc(&self, offset: u64, content: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(&offset.to_le_bytes());
        hasher.update(content);
        hasher.finalize()
    }

    /// Puts the CRC into the last four bytes.
    pub(super) fn close(&self, offset: u64, block: &mut [u8]) {
        let Some((content, crc)) = block.split_last_chunk_mut::<4>() else { return };
        *crc = self.crc(offset, content).to_le_bytes();
    }

    /// What is in a block whose CRC is right.
    pub(super) fn open<'a>(&self, offset: u64, block: &'a [u8]) -> Option<&'a [u8]> {
        let (content, crc) = block.split_last_chunk::<4>()?;
        (self.crc(offset, content).to_le_bytes() == *crc).then_some(content)
    }

    /// CRC of the fences that stand at `offset`.
    pub(super) fn of_fences(&self, offset: u64, fences: &[u8]) -> u32 {
        self.crc(offset, fences)
    }
}

/// Where a part is in its file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PartInfo {
    pub(super) entries: u64,
    pub(super) blocks_at: u64,
    pub(super) filter_at: u64,
    /// 0: there is no filter.
    pub(super) filter_blocks: u64,
    pub(super) fences_at: u64,
    pub(super) fences_crc: u32,
}

impl PartInfo {
    pub(super) fn blocks(&self) -> u64 {
        self.entries.div_ceil(BLOCK_ENTRIES)
    }
}

/// The header's bytes.
pub(super) fn encode_header(info: &RunInfo, parts: &[PartInfo; 4], len: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK_BYTES];
    put(&mut bytes, 0, &MAGIC);
    put(&mut bytes, 8, &VERSION.to_le_bytes());
    put(&mut bytes, 16, info.store.as_bytes());
    put(&mut bytes, 32, &info.first_segment.to_le_bytes());
    put(&mut bytes, 36, &info.last_segment.to_le_bytes());
    put(&mut bytes, 40, &info.first.get().to_le_bytes());
    put(&mut bytes, 48, &info.next.get().to_le_bytes());
    put(&mut bytes, 56, &info.valid_len.to_le_bytes());
    put(&mut bytes, 64, &info.chain.0);
    put(&mut bytes, 96, &info.recorded_at.get().to_le_bytes());
    put(&mut bytes, 104, &len.to_le_bytes());
    for (index, part) in parts.iter().enumerate() {
        let at = PARTS_AT + PART_BYTES * index;
        put(&mut bytes, at, &part.entries.to_le_bytes());
        put(&mut bytes, at + 8, &part.blocks_at.to_le_bytes());
        put(&mut bytes, at + 16, &part.filter_at.to_le_bytes());
        put(&mut bytes, at + 24, &part.filter_blocks.to_le_bytes());
        put(&mut bytes, at + 32, &part.fences_at.to_le_bytes());
        put(&mut bytes, at + 40, &part.fences_crc.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[..CRC_AT]);
    put(&mut bytes, CRC_AT, &crc.to_le_bytes());
    bytes
}

/// Where a run's bytes are.
#[derive(Debug)]
pub(crate) enum Bytes {
    /// In a file.
    Mapped(Map),
    /// Nowhere else: built because there is no file, or it is rotten.
    Memory(Vec<u8>),
}

impl Bytes {
    pub(super) fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map.bytes(),
            Self::Memory(bytes) => bytes,
        }
    }
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) info: RunInfo,
    parts: [PartInfo; 4],
    seal: Seal,
    /// First hash of every block; of each part, read when it is first needed.
    fences: [OnceLock<Vec<u64>>; 4],
    bytes: Bytes,
    /// One bit per block that the disk was asked to read: a bad sector is rot then, not a signal.
    faulted: Box<[AtomicU64]>,
}

impl Run {
    /// Reads a run's header. Nothing else is read before it is asked for.
    pub(crate) fn open(bytes: Bytes) -> Result<Self, FormatError> {
        let all = bytes.get();
        let header =
            all.get(..BLOCK_BYTES).ok_or(FormatError("the file is shorter than the header of a run"))?;
        if array::<8>(header, 0)? != MAGIC {
            return Err(FormatError("this is not a run"));
        }
        if crc32fast::hash(&header[..CRC_AT]) != u32_at(header, CRC_AT)? {
            return Err(FormatError("the header of the run fails its CRC"));
        }
        if u32_at(header, 8)? != VERSION || !all_zero(&header[12..16]) {
            return Err(FormatError("the run is of another version"));
        }
        if u64_at(header, 104)? != all.len() as u64 {
            return Err(FormatError("the run does not have the length that its header names"));
        }
        let info = RunInfo {
            store: Uuid::from_bytes(array(header, 16)?),
            first_segment: u32_at(header, 32)?,
            last_segment: u32_at(header, 36)?,
            first: Position::new(u64_at(header, 40)?),
            next: Position::new(u64_at(header, 48)?),
            valid_len: u64_at(header, 56)?,
            chain: Digest(array(header, 64)?),
            recorded_at: Timestamp::new(crate::format::bytes::i64_at(header, 96)?),
        };
        if info.last_segment < info.first_segment {
            return Err(FormatError("the run covers no segment"));
        }
        let mut parts = [PartInfo::default(); 4];
        for (index, part) in parts.iter_mut().enumerate() {
            let at = PARTS_AT + PART_BYTES * index;
            *part = PartInfo {
                entries: u64_at(header, at)?,
                blocks_at: u64_at(header, at + 8)?,
                filter_at: u64_at(header, at + 16)?,
                filter_blocks: u64_at(header, at + 24)?,
                fences_at: u64_at(header, at + 32)?,
                fences_crc: u32_at(header, at + 40)?,
            };
            for (from, count, width) in [
                (part.blocks_at, part.blocks(), BLOCK_BYTES),
                (part.filter_at, part.filter_blocks, FILTER_BLOCK_BYTES),
                (part.fences_at, part.blocks(), 8),
            ] {
                let end = count.checked_mul(width as u64).and_then(|len| from.checked_add(len));
                if end.is_none_or(|end| end > all.len() as u64) {
                    return Err(FormatError("a part of the run lies beyond its end"));
                }
            }
        }
        let faulted = (0..all.len().div_ceil(64 * BLOCK_BYTES)).map(|_| AtomicU64::new(0)).collect();
        let fences = [const { OnceLock::new() }; 4];
        Ok(Self { seal: Seal::new(&info), info, parts, fences, bytes, faulted })
    }

    /// Its bytes, when they are nowhere but in memory.
    pub(crate) fn unsaved(&self) -> Option<&[u8]> {
        match &self.bytes {
            Bytes::Mapped(_) => None,
            Bytes::Memory(bytes) => Some(bytes),
        }
    }

    /// All of its bytes, wherever they are.
    pub(super) fn all(&self) -> &[u8] {
        self.bytes.get()
    }

    pub(super) fn part(&self, part: Part) -> &PartInfo {
        &self.parts[part as usize]
    }

    fn rotten(&self) -> Rotten {
        self.info.rotten()
    }

    fn bytes_at(&self, at: u64, len: usize) -> Result<&[u8], Rotten> {
        let at = usize::try_from(at).map_err(|_| self.rotten())?;
        let bytes = slice(self.bytes.get(), at, len).map_err(|_| self.rotten())?;
        if let Bytes::Mapped(map) = &self.bytes {
            self.fault_in(map, at, len)?;
        }
        Ok(bytes)
    }

    fn fault_in(&self, map: &Map, at: usize, len: usize) -> Result<(), Rotten> {
        for block in at / BLOCK_BYTES..(at + len).div_ceil(BLOCK_BYTES) {
            let Some(word) = self.faulted.get(block / 64) else { continue };
            let bit = 1 << (block % 64);
            if word.load(Relaxed) & bit == 0 {
                let from = block * BLOCK_BYTES;
                let len = BLOCK_BYTES.min(map.bytes().len() - from);
                if let Err(error) = map.fault_in(from as u64, len as u64) {
                    tracing::error!(run = ?self.rotten(), offset = from, %error, "the disk cannot read an index");
                    return Err(self.rotten());
                }
                word.fetch_or(bit, Relaxed);
            }
        }
        Ok(())
    }

    /// Whether there may be entries under a hash.
    pub(super) fn may_hold(&self, part: Part, hash: u64) -> Result<bool, Rotten> {
        let info = self.part(part);
        if info.entries == 0 {
            return Ok(false);
        }
        if info.filter_blocks == 0 {
            return Ok(true);
        }
        let block = filter::block_of(hash, info.filter_blocks);
        let offset = info.filter_at + block * FILTER_BLOCK_BYTES as u64;
        filter::may_hold(self.bytes_at(offset, FILTER_BLOCK_BYTES)?, offset, &self.seal, hash)
            .ok_or_else(|| self.rotten())
    }

    fn fences(&self, part: Part) -> Result<&[u64], Rotten> {
        let cell = &self.fences[part as usize];
        if let Some(fences) = cell.get() {
            return Ok(fences);
        }
        let info = self.part(part);
        let len = usize::try_from(info.blocks() * 8).map_err(|_| self.rotten())?;
        let bytes = self.bytes_at(info.fences_at, len)?;
        if self.seal.of_fences(info.fences_at, bytes) != info.fences_crc {
            return Err(self.rotten());
        }
        Ok(cell.get_or_init(|| {
            bytes.chunks_exact(8).map(|fence| u64::from_le_bytes(array_at(fence, 0))).collect()
        }))
    }

    /// A block of entries, checked.
    fn block(&self, part: Part, block: u64) -> Result<&[u8], Rotten> {
        let info = self.part(part);
        let offset = info.blocks_at + block * BLOCK_BYTES as u64;
        let bytes = self.bytes_at(offset, BLOCK_BYTES)?;
        let content = self.seal.open(offset, bytes).ok_or_else(|| self.rotten())?;
        let count = info.entries.saturating_sub(block * BLOCK_ENTRIES).min(BLOCK_ENTRIES);
        let len = usize::try_from(count).unwrap_or_default() * ENTRY_BYTES;
        content.get(..len).ok_or_else(|| self.rotten())
    }

    /// A reader of one part's entries.
    pub(super) fn reader(&self, part: Part) -> Reader<'_> {
        Reader { run: self, part, block: u64::MAX, content: &[] }
    }

    /// The last noted commit that begins before `position`.
    pub(crate) fn before(&self, position: Position) -> Result<Option<(Position, LogOffset)>, Rotten> {
        let fences = self.fences(Part::Positions)?;
        let Some(block) = fences.partition_point(|first| *first < position.get()).checked_sub(1) else {
            return Ok(None);
        };
        let block = self.block(Part::Positions, block as u64)?;
        let after = partition(block, |entry| entry.hash < position.get());
        Ok(after.checked_sub(1).map(|at| {
            let entry = entry_at(block, at);
            (Position::new(entry.hash), entry.place)
        }))
    }
}

/// Reads entries of one part; keeps the block that it has checked last.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    run: &'a Run,
    part: Part,
    block: u64,
    content: &'a [u8],
}

impl<'a> Reader<'a> {
    fn load(&mut self, block: u64) -> Result<&'a [u8], Rotten> {
        if self.block != block {
            self.content = self.run.block(self.part, block)?;
            self.block = block;
        }
        Ok(self.content)
    }

    /// Number of the first entry for which `before` does not hold; the fences say where to look.
    fn bound(&mut self, fence: impl Fn(u64) -> bool, before: impl Fn(&Entry) -> bool) -> Result<u64, Rotten> {
        let fences = self.run.fences(self.part)?;
        let Some(block) = fences.partition_point(|first| fence(*first)).checked_sub(1) else {
            return Ok(0);
        };
        let content = self.load(block as u64)?;
        Ok(block as u64 * BLOCK_ENTRIES + partition(content, before) as u64)
    }

    /// The entries under a hash, by number of entry.
    pub(super) fn equal_range(&mut self, hash: u64) -> Result<Range<u64>, Rotten> {
        let from = self.bound(|first| first < hash, |entry| entry.hash < hash)?;
        let to = self.bound(|first| first <= hash, |entry| entry.hash <= hash)?;
        Ok(from..to)
    }

    /// An entry by its number.
    pub(super) fn entry(&mut self, at: u64) -> Result<Entry, Rotten> {
        let content = self.load(at / BLOCK_ENTRIES)?;
        let within = usize::try_from(at % BLOCK_ENTRIES).unwrap_or_default();
        if (within + 1) * ENTRY_BYTES > content.len() {
            return Err(self.run.rotten());
        }
        Ok(entry_at(content, within))
    }

    /// The first entry of a range with at least this number.
    pub(super) fn lower_bound(&mut self, range: Range<u64>, number: u64) -> Result<u64, Rotten> {
        let Range { start: mut low, end: mut high } = range;
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.number < number {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    pub(super) fn read(&mut self, range: Range<u64>, out: &mut Vec<Candidate>) -> Result<(), Rotten> {
        for at in range {
            let Entry { number, place, .. } = self.entry(at)?;
            out.push(Candidate { number, place });
        }
        Ok(())
    }
}

/// `N` bytes of a slice whose length was checked.
pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    array(bytes, at).unwrap_or([0; N])
}

fn entry_at(block: &[u8], at: usize) -> Entry {
    let number = |field: usize| u64::from_le_bytes(array_at(block, at * ENTRY_BYTES + 8 * field));
    Entry { hash: number(0), number: number(1), place: LogOffset::from_bits(number(2)) }
}

/// The bytes of an entry.
pub(super) fn encode_entry(entry: &Entry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    put(&mut bytes, 0, &entry.hash.to_le_bytes());
    put(&mut bytes, 8, &entry.number.to_le_bytes());
    put(&mut bytes, 16, &entry.place.bits().to_le_bytes());
    bytes
}

fn partition(block: &[u8], before: impl Fn(&Entry) -> bool) -> usize {
    let (mut low, mut high) = (0, block.len() / ENTRY_BYTES);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(&entry_at(block, middle)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
