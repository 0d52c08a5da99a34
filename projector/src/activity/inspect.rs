//! The lists, looked into one by one, and repaired.

use super::{Activity, Positions, Thing};
use crate::checker::{Entity, Inspect, Observed, Scope, tagged};
use crate::decode::Subject;
use crate::models::{Name, digest_entity};
use domain::{BoardId, Extras, WorkspaceId};
use eventstore::EventView;

/// A list, or what lists are made by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Of(Thing),
    Person(Name, WorkspaceId),
    /// The project of a board.
    Belongs(BoardId),
}

fn entity_of(thing: Thing) -> Entity {
    match thing {
        Thing::Workspace(id) => Entity::Workspace(id),
        Thing::Project(id) => Entity::Project(id),
        Thing::Board(id) => Entity::Board(id),
        Thing::Item(id) => Entity::Item(id),
    }
}

fn thing_of(entity: &Entity) -> Option<Thing> {
    match entity {
        Entity::Workspace(id) => Some(Thing::Workspace(*id)),
        Entity::Project(id) => Some(Thing::Project(*id)),
        Entity::Board(id) => Some(Thing::Board(*id)),
        Entity::Item(id) => Some(Thing::Item(*id)),
        Entity::Comment(_) | Entity::Person(_) => None,
    }
}

fn observed(kind: u8, positions: &Positions) -> Observed {
    Observed::of(digest_entity(kind, &positions.to_bytes()))
}

impl Inspect for Activity {
    type Key = Key;

    fn keys(&self, scope: &Scope) -> Vec<Key> {
        let things = self.all().map(|(thing, _)| thing).filter(|thing| scope.has(&entity_of(*thing)));
        let mut keys: Vec<_> = things.map(Key::Of).collect();
        for (person, tenants) in &self.people {
            if scope.has(&Entity::Person(person.to_string())) {
                keys.extend(tenants.keys().map(|workspace| Key::Person(person.clone(), *workspace)));
            }
        }
        let boards = self.projects.keys();
        keys.extend(boards.filter(|board| scope.has(&Entity::Board(**board))).copied().map(Key::Belongs));
        keys
    }

    fn observe(&self, key: &Key, _: &Scope) -> Option<Observed> {
        match key {
            Key::Of(thing) => Some(observed(b't', self.of(*thing)?)),
            Key::Person(person, workspace) => {
                Some(observed(b'h', self.people.get(person.as_str())?.get(workspace)?))
            }
            Key::Belongs(board) => {
                Some(Observed::of(digest_entity(b'o', self.projects.get(board)?.uuid().as_bytes())))
            }
        }
    }

    fn wants(&self, event: &EventView<'_>, scope: &Scope) -> bool {
        if *scope == Scope::All {
            return true;
        }
        let subject = Subject::of_stream(event.stream());
        // A board's creation says which project it is of.
        if let Subject::Board(_) | Subject::Project(_) = subject {
            return true;
        }
        let board: Option<BoardId> = tagged(event, "board");
        let project = board.and_then(|board| self.projects.get(&board));
        let named = [
            tagged(event, "item").map(Entity::Item),
            board.map(Entity::Board),
            tagged(event, "workspace").map(Entity::Workspace),
            project.copied().map(Entity::Project),
        ];
        if named.into_iter().flatten().any(|entity| scope.has(&entity)) {
            return true;
        }
        let extras = event.metadata().extras();
        !extras.is_empty()
            && Extras::decode(extras)
                .is_ok_and(|extras| scope.has(&Entity::Person(extras.person().to_owned())))
    }

    fn whose(key: &Key) -> (Entity, Option<String>) {
        match key {
            Key::Of(thing) => (entity_of(*thing), None),
            Key::Person(person, workspace) => {
                (Entity::Person(person.to_string()), Some(format!("workspace {workspace}")))
            }
            Key::Belongs(board) => (Entity::Board(*board), Some("project".to_owned())),
        }
    }

    fn replace(&mut self, entity: &Entity, by: &Self) {
        // It is made again when somebody asks for it.
        self.sum = None;
        if let Some(thing) = thing_of(entity) {
            match by.of(thing) {
                Some(positions) => *self.of_mut(thing) = positions.clone(),
                None => self.forget(thing),
            }
        }
        match entity {
            Entity::Board(id) => match by.projects.get(id) {
                Some(project) => drop(self.projects.insert(*id, *project)),
                None => drop(self.projects.remove(id)),
            },
            Entity::Person(name) => match by.people.get(name.as_str()) {
                Some(tenants) => drop(self.people.insert(Name::new(name), tenants.clone())),
                None => drop(self.people.remove(name.as_str())),
            },
            _ => {}
        }
    }
}

/// Faults, planted.
#[cfg(test)]
impl Activity {
    /// A position more in a list, or the list gone.
    pub(crate) fn spoil(&mut self, entity: &Entity, more: Option<eventstore::Position>) {
        match (thing_of(entity), entity, more) {
            (Some(thing), _, Some(position)) => self.of_mut(thing).push(position),
            (Some(thing), _, None) => self.forget(thing),
            (None, Entity::Person(name), None) => drop(self.people.remove(name.as_str())),
            _ => panic!("no such fault"),
        }
    }
}
