//! The items of an external key, by their places in the table of items.
//!
//! Keys are chosen by callers, so several items may have one, and the hash of a key is a keyed one. A key itself stands in its
//! item alone.

use crate::models::dense::{Place, Places};
use rustc_hash::FxHashMap;
use std::hash::{BuildHasher, RandomState};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Keys {
    hasher: RandomState,
    /// The first item of each key.
    first: Places,
    /// By the first item of a key: the others, where there are any.
    others: FxHashMap<Place, Vec<Place>>,
}

impl Keys {
    /// Makes room for so many more items, before the first has come.
    pub(super) fn reserve(&mut self, count: usize) {
        self.first.reserve(count, |_| 0);
    }

    /// Adds an item; `key_of` gives the key of any item that was added.
    pub(super) fn add<'a>(&mut self, key: &str, item: Place, key_of: impl Fn(Place) -> Option<&'a str>) {
        let hash = self.hasher.hash_one(key);
        match self.first.find(hash, |place| key_of(place) == Some(key)) {
            Some(first) => self.others.entry(first).or_default().push(item),
            None => {
                let rehash = |place: &Place| self.hasher.hash_one(key_of(*place).unwrap_or_default());
                self.first.insert(hash, item, rehash);
            }
        }
    }

    /// Takes an item out of whatever key it was added under. Looks at all of them.
    pub(crate) fn forget<'a>(&mut self, item: Place, key_of: impl Fn(Place) -> Option<&'a str>) {
        self.first.forget(item);
        self.others.retain(|_, others| {
            others.retain(|known| *known != item);
            !others.is_empty()
        });
        for other in self.others.remove(&item).unwrap_or_default() {
            if let Some(key) = key_of(other) {
                self.add(key, other, &key_of);
            }
        }
    }

    /// The items of a key, in the order of their creation.
    pub(super) fn items<'a, 'b>(
        &'a self,
        key: &str,
        key_of: &dyn Fn(Place) -> Option<&'b str>,
    ) -> impl Iterator<Item = Place> + use<'a> {
        let first = self.first.find(self.hasher.hash_one(key), |place| key_of(place) == Some(key));
        let others: &'a [Place] = match first {
            Some(first) => self.others.get(&first).map(Vec::as_slice).unwrap_or_default(),
            None => &[],
        };
        first.into_iter().chain(others.iter().copied())
    }
}
