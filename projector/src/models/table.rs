//! All entities of one kind, with the digest of each and the sum of them.
//!
//! Invariant: whoever changes what the digest covers goes through [`Table::edit`], which remembers the entity as
//! dirty; [`Table::settle`] brings the sum up to date. Deleted entities stay as rows: their ids are never used again.

use crate::models::digest::{self, DigestSum, EntityDigest};
use eventstore::{Digest, codec};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::hash::Hash;

#[derive(Debug)]
pub(crate) struct Table<K, T> {
    /// Distinguishes equal bytes of different kinds in the digest.
    kind: u8,
    rows: FxHashMap<K, Row<T>>,
    dirty: Vec<K>,
    sum: DigestSum,
}

#[derive(Debug)]
struct Row<T> {
    value: T,
    /// What the sum holds of this row.
    digest: Option<EntityDigest>,
    is_dirty: bool,
}

impl<K: Copy + Eq + Hash, T: Serialize> Table<K, T> {
    pub(crate) fn new(kind: u8) -> Self {
        Self { kind, rows: FxHashMap::default(), dirty: Vec::new(), sum: DigestSum::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn get(&self, id: K) -> Option<&T> {
        self.rows.get(&id).map(|row| &row.value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.values().map(|row| &row.value)
    }

    /// For a change that the digest covers.
    pub(crate) fn edit(&mut self, id: K) -> Option<&mut T> {
        let row = self.rows.get_mut(&id)?;
        if !row.is_dirty {
            row.is_dirty = true;
            self.dirty.push(id);
        }
        Some(&mut row.value)
    }

    /// For a change of what follows from other entities and is not part of this one's canonical bytes.
    pub(crate) fn edit_derived(&mut self, id: K) -> Option<&mut T> {
        self.rows.get_mut(&id).map(|row| &mut row.value)
    }

    /// For a change that the digest covers, of a row that is made if it is not there.
    pub(crate) fn edit_or_insert(&mut self, id: K, make: impl FnOnce() -> T) -> &mut T {
        let row = self.rows.entry(id).or_insert_with(|| Row { value: make(), digest: None, is_dirty: false });
        if !row.is_dirty {
            row.is_dirty = true;
            self.dirty.push(id);
        }
        &mut row.value
    }

    pub(crate) fn insert(&mut self, id: K, value: T) {
        match self.edit(id) {
            Some(present) => *present = value,
            None => {
                self.rows.insert(id, Row { value, digest: None, is_dirty: true });
                self.dirty.push(id);
            }
        }
    }

    /// Takes a row out, as if it had never been there. Only repairs do: what is deleted stays as a row.
    pub(crate) fn remove(&mut self, id: K) -> Option<T> {
        let row = self.rows.remove(&id)?;
        if let Some(digest) = row.digest {
            self.sum.subtract(&digest);
        }
        Some(row.value)
    }

    /// The digest of a row as it is now; what was remembered of it may be of another state.
    pub(crate) fn digest_of(&self, id: K) -> Option<EntityDigest> {
        let row = self.rows.get(&id)?;
        Some(digest::entity(self.kind, &codec::encode(&row.value).unwrap_or_default()))
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = K> {
        self.rows.keys().copied()
    }

    pub(crate) fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
        self.dirty.reserve(rows);
    }

    /// Tells the digest of each row, after bringing them up to date.
    pub(crate) fn each_digest(&mut self, mut told: impl FnMut(&K, Digest)) {
        self.settle();
        for (id, row) in &self.rows {
            told(id, Digest(row.digest.unwrap_or_default()));
        }
    }

    /// Brings the sum up to date and returns it.
    pub(crate) fn settle(&mut self) -> DigestSum {
        for id in self.dirty.drain(..) {
            let Some(row) = self.rows.get_mut(&id) else { continue };
            if let Some(old) = row.digest.take() {
                self.sum.subtract(&old);
            }
            // Rows are plain data, which always has an encoding; the empty one would show as another digest.
            let new = digest::entity(self.kind, &codec::encode(&row.value).unwrap_or_default());
            self.sum.add(&new);
            row.digest = Some(new);
            row.is_dirty = false;
        }
        self.sum
    }
}
