//! The figures, looked into board by board and item by item, and repaired.

use super::{Analytics, BoardTrack, Day};
use crate::checker::{Entity, Inspect, Observed, Scope, tagged};
use crate::decode::Subject;
use crate::models::digest_entity;
use domain::{BoardId, ItemId};
use eventstore::{EventView, codec};

/// A part of the figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Board(BoardId),
    Item(ItemId),
    /// What happened on a board on a day.
    Day(BoardId, Day),
    /// The days on which anything happened on a board.
    Days(BoardId),
}

impl Inspect for Analytics {
    type Key = Key;

    fn keys(&self, scope: &Scope) -> Vec<Key> {
        let mut keys = Vec::new();
        let is_told = |id: &BoardId| scope.has_structure() || scope.has(&Entity::Board(*id));
        keys.extend(self.boards.ids().filter(is_told).map(Key::Board));
        keys.extend(self.items.ids().filter(|id| scope.has_item(*id)).map(Key::Item));
        let has_sums = |id: &BoardId| scope.has_sums_of(&Entity::Board(*id));
        keys.extend(
            self.rows.ids().filter(|(board, _)| has_sums(board)).map(|(board, day)| Key::Day(board, day)),
        );
        keys.extend(self.days.keys().filter(|id| has_sums(id)).copied().map(Key::Days));
        keys
    }

    fn observe(&self, key: &Key, scope: &Scope) -> Option<Observed> {
        match key {
            Key::Board(id) if scope.has_sums_of(&Entity::Board(*id)) => {
                self.boards.digest_of(*id).map(Observed::of)
            }
            Key::Board(id) => {
                let mut bare: BoardTrack = self.boards.get(*id)?.clone();
                bare.open = 0;
                bare.columns.iter_mut().for_each(|column| column.items = 0);
                Some(Observed::of(digest_entity(b'b', &codec::encode(&bare).unwrap_or_default())))
            }
            Key::Item(id) => self.items.digest_of(*id).map(Observed::of),
            Key::Day(board, day) => self.rows.digest_of((*board, *day)).map(Observed::of),
            Key::Days(board) => {
                let days = codec::encode(self.days.get(board)?).unwrap_or_default();
                Some(Observed::of(digest_entity(b'D', &days)))
            }
        }
    }

    fn wants(&self, event: &EventView<'_>, scope: &Scope) -> bool {
        match Subject::of_stream(event.stream()) {
            Subject::Board(_) => true,
            Subject::Item(id) => match scope {
                Scope::One(Entity::Board(board)) => {
                    // Who wrote an event without the tag is not known here.
                    tagged::<BoardId>(event, "board").is_none_or(|tagged| tagged == *board)
                }
                scope => scope.has_item(id),
            },
            _ => false,
        }
    }

    fn whose(key: &Key) -> (Entity, Option<String>) {
        match key {
            Key::Board(id) => (Entity::Board(*id), None),
            Key::Item(id) => (Entity::Item(*id), None),
            Key::Day(board, day) => (Entity::Board(*board), Some(format!("day {day}"))),
            Key::Days(board) => (Entity::Board(*board), Some("days".to_owned())),
        }
    }

    fn replace(&mut self, entity: &Entity, by: &Self) {
        match entity {
            Entity::Item(id) => match by.items.get(*id) {
                Some(item) => drop(self.items.insert(item.clone())),
                None => drop(self.items.remove(*id)),
            },
            Entity::Board(id) => {
                match by.boards.get(*id) {
                    Some(board) => drop(self.boards.insert(board.clone())),
                    None => drop(self.boards.remove(*id)),
                }
                let days: Vec<_> = self.rows.ids().filter(|(board, _)| board == id).collect();
                for day in days {
                    self.rows.remove(day);
                }
                match by.days.get(id) {
                    Some(days) => {
                        for day in days {
                            if let Some(row) = by.rows.get((*id, *day)) {
                                self.rows.insert(row.clone());
                            }
                        }
                        self.days.insert(*id, days.clone());
                    }
                    None => drop(self.days.remove(id)),
                }
            }
            _ => {}
        }
    }
}

/// Faults, planted.
#[cfg(test)]
impl Analytics {
    pub(crate) fn spoil(&mut self, board: BoardId, change: impl FnOnce(&mut BoardTrack, &mut super::DayRow)) {
        let day = self.newest_day(board).unwrap();
        let row = self.rows.edit((board, day)).unwrap();
        change(self.boards.edit(board).unwrap(), row);
    }
}
