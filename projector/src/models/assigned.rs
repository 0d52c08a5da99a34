//! Who is to do what: the items of each person.
//!
//! Invariant: a person has an item here exactly when the item names them and is not gone. So it follows from items and
//! boards, and images and digests leave it out.

use crate::models::Name;
use crate::models::dense::Place;
use rustc_hash::FxHashSet;
use std::collections::HashMap;

/// The items of each person, by their places in the table of items. Callers choose the names, so their hash is a keyed one.
#[derive(Debug, Default)]
pub(crate) struct Assigned {
    by_person: HashMap<Name, FxHashSet<Place>>,
}

impl Assigned {
    /// The items of somebody, in no order.
    pub(super) fn to<'a>(&'a self, person: &str) -> impl Iterator<Item = Place> + use<'a> {
        self.by_person.get(person).into_iter().flatten().copied()
    }

    /// Who has anything.
    pub(super) fn people(&self) -> impl Iterator<Item = &Name> {
        self.by_person.keys()
    }

    /// Nobody has an item any more, whoever the item says. Looks at everybody.
    pub(super) fn forget(&mut self, item: Place) {
        self.by_person.retain(|_, items| {
            items.remove(&item);
            !items.is_empty()
        });
    }

    /// These people have an item from now on.
    pub(super) fn add(&mut self, item: Place, people: &[Name]) {
        for person in people {
            self.by_person.entry(person.clone()).or_default().insert(item);
        }
    }

    /// These people do not have an item any more.
    pub(crate) fn remove(&mut self, item: Place, people: &[Name]) {
        for person in people {
            let Some(items) = self.by_person.get_mut(person.as_str()) else { continue };
            items.remove(&item);
            // Names come and go; who has nothing is not remembered.
            if items.is_empty() {
                self.by_person.remove(person.as_str());
            }
        }
    }
}
