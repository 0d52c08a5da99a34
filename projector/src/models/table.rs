//! All entities of one kind, and the sum of their digests once somebody has asked for it.
//!
//! Invariant: whoever changes what the digest covers goes through [`Table::edit`], which remembers the entity as
//! dirty; [`Table::settle`] brings the sum up to date. Deleted entities stay as rows: their ids are never used again. Only
//! repairs take a row away.
//!
//! Most processes are never asked for a digest: until then there is none of any row, and nothing to remember.

use crate::models::dense::{Dense, Entity, Place};
use crate::models::digest::{self, DigestSum, EntityDigest};
use eventstore::{Digest, codec};
use serde::Serialize;

#[derive(Debug)]
pub(crate) struct Table<T> {
    /// Distinguishes equal bytes of different kinds in the digest.
    kind: u8,
    rows: Dense<T>,
    settled: Option<Settled>,
}

/// What the sum holds.
#[derive(Debug, Default)]
struct Settled {
    sum: DigestSum,
    /// Of each row that there was, by its place; nothing of a place that is empty.
    digests: Vec<Option<EntityDigest>>,
    /// Those of them whose rows have changed since, each once.
    dirty: Vec<Place>,
    is_dirty: Vec<bool>,
}

impl<T: Entity + Serialize> Table<T> {
    pub(crate) fn new(kind: u8) -> Self {
        Self { kind, rows: Dense::new(), settled: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn get(&self, id: T::Id) -> Option<&T> {
        self.rows.get(id)
    }

    /// Where a row is, for ever.
    pub(crate) fn place(&self, id: T::Id) -> Option<Place> {
        self.rows.place(id)
    }

    pub(crate) fn at(&self, place: Place) -> Option<&T> {
        self.rows.at(place)
    }

    /// In the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter()
    }

    /// For a change that the digest covers.
    pub(crate) fn edit(&mut self, id: T::Id) -> Option<&mut T> {
        let place = self.rows.place(id)?;
        self.edit_at(place)
    }

    /// For a change that the digest covers, of the row at a place.
    pub(crate) fn edit_at(&mut self, place: Place) -> Option<&mut T> {
        if let Some(settled) = &mut self.settled {
            settled.note(place);
        }
        self.rows.at_mut(place)
    }

    /// For a change of what follows from other entities and is not part of this one's canonical bytes.
    pub(crate) fn edit_derived(&mut self, id: T::Id) -> Option<&mut T> {
        self.rows.get_mut(id)
    }

    /// Makes room for so many more rows to be found.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.rows.reserve(count);
    }

    /// Puts a row in the place of the one with its id, or behind all others; its place.
    pub(crate) fn insert(&mut self, row: T) -> Place {
        match self.rows.place(row.id()) {
            None => self.rows.push(row),
            Some(place) => {
                if let Some(present) = self.edit_at(place) {
                    *present = row;
                }
                place
            }
        }
    }

    /// Brings the sum up to date and returns it.
    pub(crate) fn settle(&mut self) -> DigestSum {
        let Self { kind, rows, settled } = self;
        let settled = settled.get_or_insert_default();
        // Rows are plain data, which always has an encoding; the empty one would show as another digest.
        let digest = |row: &T| digest::entity(*kind, &codec::encode(row).unwrap_or_default());
        for place in settled.dirty.drain(..) {
            settled.is_dirty[place as usize] = false;
            let Some(row) = rows.at(place) else { continue };
            let new = digest(row);
            if let Some(old) = settled.digests[place as usize].replace(new) {
                settled.sum.subtract(&old);
            }
            settled.sum.add(&new);
        }
        for place in settled.digests.len()..rows.places_len() {
            let new = Place::try_from(place).ok().and_then(|place| rows.at(place)).map(digest);
            if let Some(new) = &new {
                settled.sum.add(new);
            }
            settled.digests.push(new);
            settled.is_dirty.push(false);
        }
        settled.sum
    }

    /// Tells the digest of each row, after bringing them up to date.
    pub(crate) fn each_digest(&mut self, mut told: impl FnMut(T::Id, Digest)) {
        self.settle();
        for (place, digest) in (0..).zip(self.settled.iter().flat_map(|settled| &settled.digests)) {
            if let (Some(row), Some(digest)) = (self.rows.at(place), digest) {
                told(row.id(), Digest(*digest));
            }
        }
    }

    /// The digest of a row as it is now; what was remembered of it may be of another state.
    pub(crate) fn digest_of(&self, id: T::Id) -> Option<EntityDigest> {
        Some(digest::entity(self.kind, &codec::encode(self.rows.get(id)?).unwrap_or_default()))
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = T::Id> {
        self.rows.iter().map(Entity::id)
    }

    /// Takes a row out, as if it had never been there. Only repairs do: what is deleted stays as a row.
    pub(crate) fn remove(&mut self, id: T::Id) -> Option<T> {
        let place = self.rows.place(id)? as usize;
        if let Some(settled) = &mut self.settled
            && let Some(digest) = settled.digests.get_mut(place).and_then(Option::take)
        {
            settled.sum.subtract(&digest);
        }
        self.rows.remove(id)
    }
}

impl Settled {
    /// A row is going to change. Those that came later are not in the sum yet.
    fn note(&mut self, place: Place) {
        if let Some(is_dirty) = self.is_dirty.get_mut(place as usize)
            && !std::mem::replace(is_dirty, true)
        {
            self.dirty.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize)]
    struct Row(u64, u64);

    impl Entity for Row {
        type Id = u64;

        fn id(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn the_sum_is_that_of_the_rows_however_often_it_is_asked_for() {
        let (mut asked, mut never) = (Table::new(b'x'), Table::new(b'x'));
        for step in 0..3_000_u64 {
            for table in [&mut asked, &mut never] {
                table.insert(Row(step, 0));
                if let Some(row) = table.edit(step / 2) {
                    row.1 += step;
                }
                if step % 5 == 0 {
                    table.insert(Row(step / 3, step));
                }
            }
            if step % 7 == 0 {
                asked.settle();
            }
        }
        assert_eq!(asked.settle(), never.settle());
        asked.edit(9).unwrap().1 += 1;
        assert_ne!(asked.settle(), never.settle());
        asked.edit(9).unwrap().1 -= 1;
        assert_eq!(asked.settle(), never.settle());
        // What was changed and is taken away counts no more, nor does what came and went unasked.
        let before = asked.settle();
        asked.insert(Row(1 << 40, 1));
        asked.settle();
        asked.edit(1 << 40).unwrap().1 = 2;
        assert_eq!(asked.remove(1 << 40).map(|row| row.1), Some(2));
        asked.insert(Row(1 << 41, 1));
        asked.remove(1 << 41);
        assert_eq!(asked.settle(), before);
    }
}
