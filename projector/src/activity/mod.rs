//! The read model of what happened: for each workspace, project, board, item and person the positions of the events
//! that concern it, to be read newest first.
//!
//! ```text
//! event ──▶ tags: workspace, board, item; the board's project; the person ──▶ one position in the list of each
//! ```
//!
//! Invariant: an event stands in the lists of what its own tags name. So a feed needs no folding, a comment is in the
//! feed of its item and board, and the feed of a workspace holds its tenant's events and no other's.
//!
//! Invariant: people's lists are kept by tenant, so that somebody's feed is read without looking at foreign events.
//!
//! No events are kept here, only where they stand in the log.

mod apply;
mod digest;
mod inspect;
mod merge;
mod positions;
mod rows;

use crate::models::dense::{Dense, Entity};
use crate::models::{DigestSum, Name};
use domain::{BoardId, ItemId, ProjectId, WorkspaceId};
use eventstore::{Digest, Lineage, Position};
use merge::NewestFirst;
use positions::Positions;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Version of the model: part of its images. Raise it with any change of what is in which list.
const ACTIVITY_VERSION: u32 = 1;

/// What a feed is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// A thing.
    Of(Thing),
    /// What somebody did.
    Person(String),
}

/// Something that events concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Thing {
    /// A workspace, and everything in it.
    Workspace(WorkspaceId),
    /// A project, and everything in it.
    Project(ProjectId),
    /// A board, its items and their comments.
    Board(BoardId),
    /// An item and its comments.
    Item(ItemId),
}

/// Which events concern what.
#[derive(Debug)]
pub struct Activity {
    /// Of all but items.
    things: FxHashMap<Thing, Positions>,
    items: Dense<ItemFeed>,
    /// By person, and of each by tenant. Callers choose the names, so their hash is a keyed one.
    people: HashMap<Name, BTreeMap<WorkspaceId, Positions>>,
    /// The project of each board: tags do not say it.
    projects: FxHashMap<BoardId, ProjectId>,
    checkpoint: Lineage,
    /// The digest so far; nothing until somebody asks for it, because most never do.
    sum: Option<DigestSum>,
}

/// Which events concern an item.
#[derive(Debug)]
struct ItemFeed {
    item: ItemId,
    positions: Positions,
}

impl Entity for ItemFeed {
    type Id = ItemId;

    fn id(&self) -> ItemId {
        self.item
    }
}

impl Activity {
    fn new(store: Uuid) -> Self {
        Self {
            things: FxHashMap::default(),
            items: Dense::new(),
            people: HashMap::new(),
            projects: FxHashMap::default(),
            checkpoint: Lineage { store, next: Position::ZERO, chain: Digest::default() },
            sum: None,
        }
    }

    /// What has been taken in.
    #[must_use]
    pub fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    /// The newest positions of a feed, below `before` where that is given, at most `limit`; newest first. Of a person
    /// only what was done in tenants that are `seen`.
    #[must_use]
    pub fn newest(
        &self,
        feed: &Feed,
        before: Option<Position>,
        limit: usize,
        seen: impl Fn(WorkspaceId) -> bool,
    ) -> Vec<Position> {
        match feed {
            Feed::Of(thing) => {
                let positions = self.of(*thing).into_iter();
                positions.flat_map(|positions| positions.newest(before)).take(limit).collect()
            }
            Feed::Person(person) => {
                let tenants = self.people.get(person.as_str()).into_iter().flatten();
                let lists = tenants.filter(|(workspace, _)| seen(**workspace));
                NewestFirst::of(lists.map(|(_, positions)| positions.newest(before))).take(limit).collect()
            }
        }
    }

    fn of(&self, thing: Thing) -> Option<&Positions> {
        match thing {
            Thing::Item(item) => self.items.get(item).map(|feed| &feed.positions),
            thing => self.things.get(&thing),
        }
    }

    /// The list of a thing, to be added to.
    fn of_mut(&mut self, thing: Thing) -> &mut Positions {
        if let Thing::Item(item) = thing {
            let place = self.items.place(item);
            let place =
                place.unwrap_or_else(|| self.items.push(ItemFeed { item, positions: Positions::default() }));
            if let Some(feed) = self.items.at_mut(place) {
                return &mut feed.positions;
            }
        }
        self.things.entry(thing).or_default()
    }

    /// Takes a list away, as if there had never been one. Only repairs do.
    fn forget(&mut self, thing: Thing) {
        match thing {
            Thing::Item(item) => drop(self.items.remove(item)),
            thing => drop(self.things.remove(&thing)),
        }
    }

    /// The lists of all things.
    fn all(&self) -> impl Iterator<Item = (Thing, &Positions)> {
        let items = self.items.iter().map(|feed| (Thing::Item(feed.item), &feed.positions));
        self.things.iter().map(|(thing, positions)| (*thing, positions)).chain(items)
    }

    /// Number of lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.things.len() + self.items.len() + self.people.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it takes up, roughly: what allocators add is not known here.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let things = self.things.capacity() * (size_of::<(Thing, Positions)>() + 1);
        let items = self.items.len() * (size_of::<ItemFeed>() + 2 * (size_of::<u32>() + 1));
        let people = self.people.capacity() * (size_of::<(Name, BTreeMap<WorkspaceId, Positions>)>() + 1);
        let by_tenant = self.people.values().map(BTreeMap::len).sum::<usize>();
        let projects = self.projects.capacity() * (size_of::<(BoardId, ProjectId)>() + 1);
        let heap = self.lists().map(Positions::heap_bytes).sum::<usize>();
        things + items + people + by_tenant * size_of::<(WorkspaceId, Positions)>() + projects + heap
    }

    fn lists(&self) -> impl Iterator<Item = &Positions> {
        self.all().map(|(_, positions)| positions).chain(self.people.values().flat_map(BTreeMap::values))
    }
}
