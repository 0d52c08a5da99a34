//! Which snapshots there are: one per stream, bounded in number and bytes; the least recently used goes first.

use super::SnapshotOptions;
use super::record::Record;
use crate::names::StreamId;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Entry {
    record: Record,
    offset: u64,
    /// Its key in `by_use`.
    used: u64,
}

/// The snapshots of a file.
#[derive(Debug)]
pub(super) struct Held {
    by_stream: FxHashMap<StreamId, Entry>,
    by_use: BTreeMap<u64, StreamId>,
    /// The next key in `by_use`.
    clock: u64,
    /// Of the records.
    bytes: u64,
    max_count: usize,
    max_bytes: u64,
}

impl Held {
    pub(super) fn new(options: &SnapshotOptions) -> Self {
        Self {
            by_stream: FxHashMap::default(),
            by_use: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            max_count: options.max_snapshots,
            max_bytes: options.max_bytes,
        }
    }

    /// Length of all records that are held, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that may be held.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.by_stream.len()
    }

    /// Takes in a snapshot in place of the one of its stream, and forgets others while there are too many.
    pub(super) fn insert(&mut self, record: Record, offset: u64) {
        self.remove(&record.stream.clone());
        self.bytes += record.len() as u64;
        self.by_use.insert(self.clock, record.stream.clone());
        self.by_stream.insert(record.stream.clone(), Entry { record, offset, used: self.clock });
        self.clock += 1;
        while self.by_stream.len() > self.max_count || self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.by_use.first_key_value() else { return };
            self.remove(&oldest.clone());
        }
    }

    /// The snapshot of a stream, without counting as a use.
    pub(super) fn peek(&self, stream: &StreamId) -> Option<&Record> {
        self.by_stream.get(stream).map(|entry| &entry.record)
    }

    /// The snapshot of a stream, and where it is.
    pub(super) fn take_up(&mut self, stream: &StreamId) -> Option<(Record, u64)> {
        let entry = self.by_stream.get_mut(stream)?;
        if let Some(stream) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.clock, stream);
        }
        entry.used = self.clock;
        self.clock += 1;
        Some((entry.record.clone(), entry.offset))
    }

    fn remove(&mut self, stream: &StreamId) {
        if let Some(entry) = self.by_stream.remove(stream) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.record.len() as u64;
        }
    }

    /// Forgets the snapshot of a stream, if it is still the one at `offset`.
    pub(super) fn forget(&mut self, stream: &StreamId, offset: u64) {
        if self.by_stream.get(stream).is_some_and(|entry| entry.offset == offset) {
            self.remove(stream);
        }
    }

    /// All of them, the least recently used first.
    pub(super) fn in_order_of_use(&self) -> Vec<(Record, u64)> {
        let entries = self.by_use.values().filter_map(|stream| self.by_stream.get(stream));
        entries.map(|entry| (entry.record.clone(), entry.offset)).collect()
    }

    /// Says where the snapshots have been moved to; what was not moved is forgotten.
    pub(super) fn moved(&mut self, new: &FxHashMap<u64, u64>) {
        let lost: Vec<_> = self
            .by_stream
            .iter_mut()
            .filter_map(|(stream, entry)| match new.get(&entry.offset) {
                Some(offset) => {
                    entry.offset = *offset;
                    None
                }
                None => Some(stream.clone()),
            })
            .collect();
        lost.iter().for_each(|stream| self.remove(stream));
    }
}
