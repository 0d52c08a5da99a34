//! Writing runs: of an in-memory index, or of runs that are merged; to a file, or to memory.
//!
//! Sources are gone through twice, once for the entries and once for the filter, whose size is only known then. Nothing
//! is held but one block, the fences, and a buffer for the file.

use super::filter::{FilterWriter, blocks_for};
use super::merge::Merge;
use super::run::{BLOCK_BYTES, BLOCK_ENTRIES, Bytes, ENTRY_BYTES, PartInfo, Run, RunInfo, Seal};
use super::run::{encode_entry, encode_header};
use super::{Active, Entry, Part, Rotten};
use crate::storage::{Access, Storage, StorageFile};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Bytes that the disk is given at once: commits that somebody waits for share it.
const BUFFER_BYTES: usize = 256 << 10;

/// Why a run could not be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    Io(io::Error),
    /// A run that was to be merged.
    Rotten(Rotten),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Rotten> for WriteError {
    fn from(rotten: Rotten) -> Self {
        Self::Rotten(rotten)
    }
}

/// Where the bytes of a run go, in order; only the header is filled in at the end.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Where the next byte goes.
    fn offset(&self) -> u64;
    /// Writes the header over the place left for it.
    fn finish(&mut self, header: &[u8]) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.len() as u64
    }

    fn finish(&mut self, header: &[u8]) -> io::Result<()> {
        self[..header.len()].copy_from_slice(header);
        Ok(())
    }
}

struct FileSink {
    file: Arc<dyn StorageFile>,
    written: u64,
    buffer: Vec<u8>,
}

impl FileSink {
    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.file.write_back(self.written, self.buffer.len() as u64)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Sink for FileSink {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn finish(&mut self, header: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.file.write_all_at(header, 0)
    }
}

/// What a run is made of.
pub(crate) trait Source {
    /// The entries of a part in order.
    fn entries(&self, part: Part) -> Box<dyn Iterator<Item = Result<Entry, Rotten>> + '_>;
}

/// An in-memory index as a source.
struct Sorted([Vec<Entry>; 4]);

impl Source for Sorted {
    fn entries(&self, part: Part) -> Box<dyn Iterator<Item = Result<Entry, Rotten>> + '_> {
        Box::new(self.0[part as usize].iter().copied().map(Ok))
    }
}

/// Adjacent runs as a source.
struct Merged<'a>(&'a [Arc<Run>]);

impl Source for Merged<'_> {
    fn entries(&self, part: Part) -> Box<dyn Iterator<Item = Result<Entry, Rotten>> + '_> {
        Box::new(Merge::new(self.0, part))
    }
}

/// An in-memory index, to be written as a run.
pub(crate) fn of_active(active: &Active) -> impl Source + use<> {
    Sorted(Part::ALL.map(|part| active.sorted(part)))
}

/// Adjacent runs, to be written as one.
pub(crate) fn of_runs(runs: &[Arc<Run>]) -> impl Source {
    Merged(runs)
}

pub(super) fn write(sink: &mut dyn Sink, info: &RunInfo, source: &dyn Source) -> Result<(), WriteError> {
    let seal = Seal::new(info);
    sink.put(&[0; BLOCK_BYTES])?;
    let mut parts = [PartInfo::default(); 4];
    for part in Part::ALL {
        parts[part as usize] = write_part(sink, &seal, part, source)?;
    }
    let len = sink.offset();
    Ok(sink.finish(&encode_header(info, &parts, len))?)
}

fn write_part(
    sink: &mut dyn Sink,
    seal: &Seal,
    part: Part,
    source: &dyn Source,
) -> Result<PartInfo, WriteError> {
    let mut info = PartInfo { blocks_at: sink.offset(), ..PartInfo::default() };
    let mut fences: Vec<u8> = Vec::new();
    let mut block = [0; BLOCK_BYTES];
    let (mut filled, mut distinct, mut last) = (0, 0, None);
    for entry in source.entries(part) {
        let entry = entry?;
        if filled == 0 {
            fences.extend_from_slice(&entry.hash.to_le_bytes());
        }
        block[filled..filled + ENTRY_BYTES].copy_from_slice(&encode_entry(&entry));
        filled += ENTRY_BYTES;
        info.entries += 1;
        distinct += u64::from(last != Some(entry.hash));
        last = Some(entry.hash);
        if info.entries.is_multiple_of(BLOCK_ENTRIES) {
            seal.close(sink.offset(), &mut block);
            sink.put(&block)?;
            (block, filled) = ([0; BLOCK_BYTES], 0);
        }
    }
    if filled > 0 {
        seal.close(sink.offset(), &mut block);
        sink.put(&block)?;
    }

    info.filter_at = sink.offset();
    if part != Part::Positions && distinct > 0 {
        info.filter_blocks = blocks_for(distinct);
        let mut filter = FilterWriter::new(info.filter_blocks);
        let mut last = None;
        for entry in source.entries(part) {
            let hash = entry?.hash;
            if last != Some(hash) {
                filter.add(hash, sink, seal)?;
                last = Some(hash);
            }
        }
        filter.finish(sink, seal)?;
    }

    info.fences_at = sink.offset();
    info.fences_crc = seal.of_fences(info.fences_at, &fences);
    sink.put(&fences)?;
    Ok(info)
}

/// Writes a run to memory.
pub(crate) fn in_memory(info: &RunInfo, source: &dyn Source) -> Result<Run, Rotten> {
    let mut bytes = Vec::new();
    match write(&mut bytes, info, source) {
        Ok(()) => Run::open(Bytes::Memory(bytes)).map_err(|_| info.rotten()),
        Err(WriteError::Rotten(rotten)) => Err(rotten),
        // A vector takes all bytes.
        Err(WriteError::Io(_)) => Err(info.rotten()),
    }
}

/// What is to become a file.
pub(crate) enum Content<'a> {
    /// A run that is still to be put together.
    Of(&'a dyn Source),
    /// A run in memory.
    Bytes(&'a [u8]),
}

/// Writes a run to a file, durably: under another name first, so that no half-made file ever has this one.
pub(crate) fn save(
    storage: &dyn Storage,
    dir: &Path,
    path: &Path,
    info: &RunInfo,
    content: &Content<'_>,
) -> Result<Run, WriteError> {
    let unfinished = path.with_extension("idx.tmp");
    let made = make(storage, &unfinished, info, content);
    if made.is_err() {
        // A half-made file would hold on to the room that ran out. If it cannot be removed, the next try empties it.
        let _ = storage.remove(&unfinished);
    }
    made?;
    storage.rename(&unfinished, path)?;
    storage.sync_dir(dir)?;
    let map = storage.open(path, Access::Read)?.map()?;
    let opened = Run::open(Bytes::Mapped(map));
    Ok(opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))?)
}

fn make(storage: &dyn Storage, path: &Path, info: &RunInfo, content: &Content<'_>) -> Result<(), WriteError> {
    let file = storage.open(path, Access::Create)?;
    match content {
        Content::Of(source) => {
            let mut sink = FileSink { file: Arc::clone(&file), written: 0, buffer: Vec::new() };
            write(&mut sink, info, *source)?;
        }
        Content::Bytes(bytes) => file.write_all_at(bytes, 0)?,
    }
    Ok(file.sync()?)
}
