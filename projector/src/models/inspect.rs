//! The models, looked into thing by thing, and repaired.
//!
//! Digests of models and images leave out what follows from the items: which stand in which column, who is to do what, who has
//! which key. A check looks at these, too; what is wrong there is said of the items that are concerned.

use crate::checker::{Class, Entity, Inspect, Observed, Scope, tagged};
use crate::decode::Subject;
use crate::models::{Models, Name, Place, Statistics, digest_entity};
use domain::{BoardId, ColumnId, CommentId, ItemId, ProjectId, WorkspaceId};
use eventstore::{EventView, Position, codec};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A part of the models.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Workspace(WorkspaceId),
    Project(ProjectId),
    Board(BoardId),
    Item(ItemId),
    Comment(CommentId),
    /// The items of a column.
    Column(BoardId, ColumnId),
    /// The items with a key.
    Named(Name),
    /// What somebody is to do.
    Assigned(Name),
}

impl Models {
    /// A list of items as far as a scope goes; nothing where there is none of them.
    fn observe_items<'a>(kind: u8, items: impl Iterator<Item = (&'a str, ItemId)>) -> Option<Observed> {
        let (mut bytes, mut members) = (Vec::new(), Vec::new());
        for (rank, item) in items {
            bytes.extend_from_slice(&(rank.len() as u64).to_le_bytes());
            bytes.extend_from_slice(rank.as_bytes());
            bytes.extend_from_slice(item.uuid().as_bytes());
            members.push(item.uuid());
        }
        let digest = eventstore::Digest(digest_entity(kind, &bytes));
        (!members.is_empty()).then_some(Observed { digest, members })
    }

    /// Takes what an item is said of elsewhere out of all of it.
    fn forget_item(&mut self, id: ItemId) {
        let boards: Vec<_> = self.boards.ids().collect();
        for board in boards {
            for column in self.boards.edit_derived(board).into_iter().flat_map(|board| &mut board.columns) {
                column.items.retain(|place| place.item != id);
            }
        }
        let Self { items, keys, assigned, .. } = self;
        if let Some(place) = items.place(id) {
            keys.forget(place, |place| items.at(place)?.external_key.as_deref());
            assigned.forget(place);
        }
    }

    /// Says of an item elsewhere what follows from it.
    fn place_again(&mut self, id: ItemId) {
        let Some(of_item) = self.items.place(id) else { return };
        let Some(item) = self.items.at(of_item) else { return };
        let (key, is_gone) = (item.external_key.clone(), self.is_gone(item));
        if !is_gone {
            self.assigned.add(of_item, &item.assignees);
        }
        if !item.deleted {
            let place = Place { rank: item.rank.clone(), item: id };
            let (board, column) = (item.board_id, item.column_id);
            if let Some(items) = self.boards.edit_derived(board).and_then(|board| board.items_of(column)) {
                items.insert(place);
            }
        }
        if let Some(key) = key {
            // Whoever shares the key is given in the order of creation, so all of them are added again.
            let Self { items, keys, .. } = self;
            let key_of = |place| items.at(place)?.external_key.as_deref();
            let mut same: Vec<_> = keys.items(&key, &key_of).chain([of_item]).collect();
            same.sort_by_key(|place| items.at(*place).map(|item| (item.created_at, item.id)));
            same.dedup();
            same.iter().for_each(|place| keys.forget(*place, key_of));
            same.iter().for_each(|place| keys.add(&key, *place, key_of));
        }
    }

    fn replace_item(&mut self, id: ItemId, by: &Self) {
        self.forget_item(id);
        // Comments that are the item's here or there, whether it names them or not.
        let of_item = |models: &Self| -> Vec<CommentId> {
            let comments = models.all_comments().filter(|comment| comment.item_id == id);
            comments.map(|comment| comment.id).collect()
        };
        for comment in of_item(self) {
            self.comments.remove(comment);
        }
        for comment in of_item(by) {
            if let Some(row) = by.comments.get(comment) {
                self.comments.insert(row.clone());
            }
        }
        let board = self.items.get(id).map(|item| item.board_id);
        match by.items.get(id) {
            Some(item) => {
                let mut item = item.clone();
                item.share_names(&mut self.names);
                self.items.insert(item);
                self.place_again(id);
            }
            None => drop(self.items.remove(id)),
        }
        let boards = [board, self.items.get(id).map(|item| item.board_id)];
        boards.into_iter().flatten().for_each(|board| self.touch(board));
    }

    fn replace_board(&mut self, id: BoardId, by: &Self) {
        let Some(board) = by.boards.get(id) else {
            self.boards.remove(id);
            return;
        };
        let mut board = board.clone();
        let mut places: BTreeMap<ColumnId, BTreeSet<Place>> = BTreeMap::new();
        for item in self.items.iter().filter(|item| item.board_id == id && !item.deleted) {
            let place = Place { rank: item.rank.clone(), item: item.id };
            places.entry(item.column_id).or_default().insert(place);
        }
        for column in &mut board.columns {
            column.items = places.remove(&column.id).unwrap_or_default();
        }
        self.boards.insert(board);
        // Whether its items are gone follows from the board.
        let items: Vec<_> =
            self.items.iter().filter(|item| item.board_id == id).map(|item| item.id).collect();
        for id in items {
            let Some(of_item) = self.items.place(id) else { continue };
            self.assigned.forget(of_item);
            if let Some(item) = self.items.at(of_item)
                && !self.is_gone(item)
            {
                self.assigned.add(of_item, &item.assignees);
            }
        }
        self.touch(id);
    }

    /// What was written of a board is not what would be written now.
    fn touch(&mut self, board: BoardId) {
        // No event ever leaves such a mark, and no two repairs at different positions the same one.
        let mark = u64::MAX - self.checkpoint.next.get();
        self.touched.insert(board, Position::new(mark));
    }
}

impl Inspect for Models {
    type Key = Key;

    fn keys(&self, scope: &Scope) -> Vec<Key> {
        let mut keys = Vec::new();
        match scope {
            Scope::One(Entity::Workspace(id)) => keys.push(Key::Workspace(*id)),
            Scope::One(Entity::Project(id)) => keys.push(Key::Project(*id)),
            Scope::One(Entity::Board(id)) => keys.push(Key::Board(*id)),
            _ => {}
        }
        if scope.has_structure() {
            keys.extend(self.workspaces.ids().map(Key::Workspace));
            keys.extend(self.projects.ids().map(Key::Project));
            keys.extend(self.boards.ids().map(Key::Board));
        }
        keys.extend(self.items.ids().filter(|id| scope.has_item(*id)).map(Key::Item));
        let comments = self.all_comments().filter(|comment| scope.has_item(comment.item_id));
        keys.extend(comments.map(|comment| Key::Comment(comment.id)));
        for board in self.boards.iter() {
            keys.extend(board.columns.iter().map(|column| Key::Column(board.id, column.id)));
        }
        let items = self.items.iter().filter(|item| scope.has_item(item.id));
        let named: BTreeSet<_> = items.filter_map(|item| item.external_key.clone()).collect();
        keys.extend(named.into_iter().map(Key::Named));
        keys.extend(self.assigned.people().cloned().map(Key::Assigned));
        keys
    }

    fn observe(&self, key: &Key, scope: &Scope) -> Option<Observed> {
        match key {
            Key::Workspace(id) => self.workspaces.digest_of(*id).map(Observed::of),
            Key::Project(id) if scope.has_sums_of(&Entity::Project(*id)) => {
                self.projects.digest_of(*id).map(Observed::of)
            }
            Key::Project(id) => {
                let project = self.projects.get(*id)?;
                let bare = super::ProjectModel { statistics: Statistics::default(), ..project.clone() };
                Some(Observed::of(digest_entity(b'p', &codec::encode(&bare).unwrap_or_default())))
            }
            Key::Board(id) => self.boards.digest_of(*id).map(Observed::of),
            Key::Item(id) => self.items.digest_of(*id).map(Observed::of),
            Key::Comment(id) => self.comments.digest_of(*id).map(Observed::of),
            Key::Column(board, column) => {
                let places = self.boards.get(*board)?.column(*column)?.items.iter();
                let places = places.filter(|place| scope.has_item(place.item));
                Self::observe_items(b'C', places.map(|place| (place.rank.as_str(), place.item)))
            }
            Key::Named(name) => {
                let items = self.items_by_external_key(name, None).map(|item| item.id);
                // Their order is that of their creation, and after an image that of their business times.
                let ids: BTreeSet<_> = items.filter(|id| scope.has_item(*id)).collect();
                Self::observe_items(b'N', ids.into_iter().map(|id| ("", id)))
            }
            Key::Assigned(person) => {
                let items = self.assigned_to(person).map(|item| item.id);
                let ids: BTreeSet<_> = items.filter(|id| scope.has_item(*id)).collect();
                Self::observe_items(b'A', ids.into_iter().map(|id| ("", id)))
            }
        }
    }

    fn wants(&self, event: &EventView<'_>, scope: &Scope) -> bool {
        let concerns = |item: Option<ItemId>| match (scope, item) {
            // Who wrote such an event is not known here; it may concern anything.
            (Scope::All, _) | (_, None) => true,
            (Scope::One(Entity::Project(project)), Some(_)) => {
                let board: Option<BoardId> = tagged(event, "board");
                board.and_then(|board| self.board(board)).is_none_or(|board| board.project_id == *project)
            }
            (_, Some(item)) => scope.has_item(item),
        };
        match Subject::of_stream(event.stream()) {
            Subject::Workspace(_) | Subject::Project(_) | Subject::Board(_) => true,
            Subject::Item(id) => concerns(Some(id)),
            Subject::Comment(_) => concerns(tagged(event, "item")),
            Subject::Other => false,
        }
    }

    fn whose(key: &Key) -> (Entity, Option<String>) {
        match key {
            Key::Workspace(id) => (Entity::Workspace(*id), None),
            Key::Project(id) => (Entity::Project(*id), None),
            Key::Board(id) => (Entity::Board(*id), None),
            Key::Item(id) => (Entity::Item(*id), None),
            Key::Comment(id) => (Entity::Comment(*id), None),
            Key::Column(board, column) => (Entity::Board(*board), Some(format!("column {column}"))),
            Key::Named(name) => (Entity::Person(name.to_string()), Some(format!("key {name}"))),
            Key::Assigned(person) => (Entity::Person(person.to_string()), Some(format!("work of {person}"))),
        }
    }

    fn judge(
        &self,
        key: &Key,
        found: Option<&Observed>,
        expected: Option<&Observed>,
    ) -> Vec<(Entity, Option<String>, Class)> {
        let (entity, part) = Self::whose(key);
        if !matches!(key, Key::Column(..) | Key::Named(_) | Key::Assigned(_)) {
            return vec![(entity, part, Class::of(found.is_some(), expected.is_some()))];
        }
        // A list is wrong about items.
        let count = |list: Option<&Observed>| -> BTreeMap<Uuid, i64> {
            let members = list.into_iter().flat_map(|list| &list.members);
            members.fold(BTreeMap::new(), |mut counts, id| {
                *counts.entry(*id).or_default() += 1;
                counts
            })
        };
        let (found, expected) = (count(found), count(expected));
        let all: BTreeSet<_> = found.keys().chain(expected.keys()).copied().collect();
        let wrong = |id: &Uuid| {
            let of = |counts: &BTreeMap<Uuid, i64>| counts.get(id).copied().unwrap_or(0);
            let is_there = self.item(ItemId::new(*id)).is_some_and(|item| !self.is_gone(item));
            match of(&found) - of(&expected) {
                0 => None,
                less if less < 0 => Some(Class::Missing),
                _ if is_there => Some(Class::Duplicate),
                _ => Some(Class::Orphaned),
            }
        };
        let item = |id: Uuid| Entity::Item(ItemId::new(id));
        let mut findings: Vec<_> =
            all.iter().filter_map(|id| Some((item(*id), part.clone(), wrong(id)?))).collect();
        if findings.is_empty() {
            // The same items under other ranks: any of them may be the one.
            findings.extend(all.into_iter().map(|id| (item(id), part.clone(), Class::Stale)));
        }
        findings
    }

    fn replace(&mut self, entity: &Entity, by: &Self) {
        match entity {
            Entity::Workspace(id) => match by.workspaces.get(*id) {
                Some(workspace) => drop(self.workspaces.insert(workspace.clone())),
                None => drop(self.workspaces.remove(*id)),
            },
            Entity::Project(id) => match by.projects.get(*id) {
                Some(project) => drop(self.projects.insert(project.clone())),
                None => drop(self.projects.remove(*id)),
            },
            Entity::Board(id) => self.replace_board(*id, by),
            Entity::Item(id) => self.replace_item(*id, by),
            Entity::Comment(id) => match by.comments.get(*id) {
                Some(comment) => drop(self.comments.insert(comment.clone())),
                None => drop(self.comments.remove(*id)),
            },
            // What somebody is to do follows from the items.
            Entity::Person(_) => {}
        }
    }
}

/// Faults, planted.
#[cfg(test)]
impl Models {
    pub(crate) fn spoil(&mut self, change: impl FnOnce(&mut Spoilt<'_>)) {
        let Self { workspaces, projects, boards, items, comments, keys, assigned, .. } = self;
        change(&mut Spoilt { workspaces, projects, boards, items, comments, keys, assigned });
    }

    pub(crate) fn item_to_spoil(&mut self, id: ItemId) -> &mut super::ItemModel {
        self.items.edit(id).unwrap()
    }
}

#[cfg(test)]
pub(crate) struct Spoilt<'a> {
    pub(crate) workspaces: &'a mut super::table::Table<super::WorkspaceModel>,
    pub(crate) projects: &'a mut super::table::Table<super::ProjectModel>,
    pub(crate) boards: &'a mut super::table::Table<super::BoardModel>,
    pub(crate) items: &'a mut super::table::Table<super::ItemModel>,
    pub(crate) comments: &'a mut super::table::Table<super::CommentModel>,
    pub(crate) keys: &'a mut super::keys::Keys,
    pub(crate) assigned: &'a mut super::assigned::Assigned,
}
