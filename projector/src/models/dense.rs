//! Rows in the order in which they came, found by their ids, with little memory beside the rows themselves.
//!
//! ```text
//! id ──hash──▶ one of 16 tables of places ──▶ place ──▶ chunk of 512 rows ──▶ row
//! ```
//!
//! A map of ids to rows has up to twice the room that its rows need, and moves all of them at once when it grows; here
//! rows never move, and a table of places that grows is a sixteenth of four bytes a row.
//!
//! Invariant: a place is one row's for ever, and later rows have higher places. Only repairs take a row away, and leave its
//! place empty.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::{BuildHasher, Hash};

/// Rows of a chunk.
const CHUNK: usize = 512;
const SHARDS: usize = 16;

/// Where a row is.
pub(crate) type Place = u32;

/// Something with an id of its own.
pub(crate) trait Entity {
    /// Its id.
    type Id: Copy + Eq + Hash;

    /// Its id.
    fn id(&self) -> Self::Id;
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Dense<T> {
    /// Rows have pointers in them, so an empty place costs no row anything.
    chunks: Vec<Vec<Option<T>>>,
    places: Places,
    empty: usize,
}

impl<T: Entity> Dense<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), places: Places::default(), empty: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.places_len() - self.empty
    }

    /// One more than the highest place, the empty ones included.
    pub(crate) fn places_len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(crate) fn place(&self, id: T::Id) -> Option<Place> {
        self.places.find(hash(&id), |place| self.at(place).is_some_and(|row| row.id() == id))
    }

    pub(crate) fn at(&self, place: Place) -> Option<&T> {
        let place = place as usize;
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, place: Place) -> Option<&mut T> {
        let place = place as usize;
        self.chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)?.as_mut()
    }

    pub(crate) fn get(&self, id: T::Id) -> Option<&T> {
        self.at(self.place(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: T::Id) -> Option<&mut T> {
        self.at_mut(self.place(id)?)
    }

    /// All rows, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().flatten()
    }

    /// Makes room for so many more rows to be found.
    pub(crate) fn reserve(&mut self, count: usize) {
        let chunks = &self.chunks;
        self.places.reserve(count, |place| hash_at(chunks, *place));
    }

    /// Adds a row whose id none has; its place. Four thousand million rows are more than memory holds.
    pub(crate) fn push(&mut self, row: T) -> Place {
        let place = Place::try_from(self.places_len()).unwrap_or(Place::MAX);
        let hash_of_row = hash(&row.id());
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(Some(row)),
            // Models of a few things should be small; whoever fills a chunk will fill the next.
            None => self.chunks.push(vec![Some(row)]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(Some(row));
                self.chunks.push(chunk);
            }
        }
        let chunks = &self.chunks;
        self.places.insert(hash_of_row, place, |place| hash_at(chunks, *place));
        place
    }

    /// Takes a row away. Looks at all places.
    pub(crate) fn remove(&mut self, id: T::Id) -> Option<T> {
        let place = self.place(id)?;
        self.places.forget(place);
        let row = self.chunks.get_mut(place as usize / CHUNK)?.get_mut(place as usize % CHUNK)?.take();
        self.empty += usize::from(row.is_some());
        row
    }
}

/// The hash of the row at a place.
fn hash_at<T: Entity>(chunks: &[Vec<Option<T>>], place: Place) -> u64 {
    let place = place as usize;
    let row = chunks.get(place / CHUNK).and_then(|chunk| chunk.get(place % CHUNK)?.as_ref());
    row.map_or(0, |row| hash(&row.id()))
}

fn hash<I: Hash>(id: &I) -> u64 {
    FxBuildHasher.hash_one(id)
}

/// Places by the hash of what is looked for there.
#[derive(Debug, Default)]
pub(crate) struct Places {
    shards: [HashTable<Place>; SHARDS],
}

impl Places {
    /// A place with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(Place) -> bool) -> Option<Place> {
        self.shards[shard(hash)].find(hash, |place| is_it(*place)).copied()
    }

    /// Adds a place; `rehash` gives the hash of a place that is there.
    pub(crate) fn insert(&mut self, hash: u64, place: Place, rehash: impl Fn(&Place) -> u64) {
        self.shards[shard(hash)].insert_unique(hash, place, rehash);
    }

    /// Makes room for so many more; `rehash` gives the hash of a place that is there.
    pub(crate) fn reserve(&mut self, count: usize, rehash: impl Fn(&Place) -> u64) {
        for shard in &mut self.shards {
            shard.reserve(count / SHARDS, &rehash);
        }
    }

    /// Takes a place out, wherever it is.
    pub(crate) fn forget(&mut self, place: Place) {
        for shard in &mut self.shards {
            shard.retain(|known| *known != place);
        }
    }
}

/// By bits that a table does not look at while it is small enough to be worth dividing.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Row(u64, u64);

    impl Entity for Row {
        type Id = u64;

        fn id(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn rows_are_found_by_id_and_stay_in_their_order() {
        let mut rows = Dense::new();
        assert_eq!((rows.len(), rows.place(7)), (0, None));
        // Enough for several chunks, and for every table of places to grow several times.
        for number in 0..10_000_u64 {
            let place = rows.push(Row(number * 7_919, number));
            assert_eq!(u64::from(place), number);
        }
        assert_eq!(rows.len(), 10_000);
        for number in 0..10_000_u64 {
            assert_eq!(rows.get(number * 7_919), Some(&Row(number * 7_919, number)));
            assert_eq!(rows.get(number * 7_919 + 1), None);
        }
        rows.get_mut(7_919).unwrap().1 = 0;
        assert_eq!(rows.at(1), Some(&Row(7_919, 0)));
        assert_eq!(rows.at(10_000), None);
        assert!(rows.iter().map(|row| row.0).eq((0..10_000).map(|number| number * 7_919)));
        assert_eq!(rows.remove(7_919), Some(Row(7_919, 0)));
        assert_eq!((rows.remove(7_919), rows.get(7_919), rows.len()), (None, None, 9_999));
        assert_eq!(rows.push(Row(7_919, 1)), 10_000);
        assert_eq!((rows.at(1), rows.get(7_919), rows.len()), (None, Some(&Row(7_919, 1)), 10_000));
    }
}
