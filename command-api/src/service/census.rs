//! How many items each column holds, counted from the log when the first limited column is used; and whose turn it is
//! to change that of a limited column.
//!
//! Invariant: the counts are those of every event before `upto`; a decision that rests on them guards the
//! column's tag from there. Without limited columns nothing is counted and nothing is paid.
//!
//! Invariant: whoever puts an item into a limited column or takes one out of it has the turn at that column, from before
//! it counts until the outcome is durable. So a full column is found full, and never keeps breaking somebody's guard. The
//! guards stay, for whoever sets a limit just then.

use super::refusal::Refusal;
use domain::{BoardId, ColumnId, Decoded, DomainEvent, board, codec, item, tags};
use eventstore::{EventView, Log, Position};
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A column of a board. Callers choose the ids of columns, and two boards may have the same one: a column alone is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub(crate) board: BoardId,
    pub(crate) column: ColumnId,
}

/// The lines at limited columns. Whoever comes first is served first.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<FxHashMap<Place, VecDeque<Arc<Condvar>>>>);

impl Turns {
    /// Waits for the turn at a column. Whoever waits for several does so in the order of their ids.
    fn take(&self, column: Place) {
        let mut lines = self.0.lock();
        let line = lines.entry(column).or_default();
        let mine = Arc::new(Condvar::new());
        line.push_back(Arc::clone(&mine));
        let is_mine = |lines: &FxHashMap<Place, VecDeque<Arc<Condvar>>>| {
            lines.get(&column).and_then(VecDeque::front).is_some_and(|first| Arc::ptr_eq(first, &mine))
        };
        while !is_mine(&lines) {
            mine.wait(&mut lines);
        }
    }

    fn release(&self, column: Place) {
        let mut lines = self.0.lock();
        let Some(line) = lines.get_mut(&column) else { return };
        line.pop_front();
        match line.front() {
            Some(next) => drop(next.notify_one()),
            None => drop(lines.remove(&column)),
        }
    }
}

/// The turns that one piece of work has; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'s> {
    turns: &'s Turns,
    columns: BTreeSet<Place>,
}

impl<'s> Held<'s> {
    /// None yet.
    pub(crate) fn none(turns: &'s Turns) -> Self {
        Self { turns, columns: BTreeSet::new() }
    }

    /// Takes further turns. Those that it has are given up first, so that all are taken in order.
    pub(crate) fn take(&mut self, columns: Vec<Place>) {
        let mut wanted = std::mem::take(&mut self.columns);
        wanted.iter().for_each(|column| self.turns.release(*column));
        wanted.extend(columns);
        for column in wanted {
            self.turns.take(column);
            self.columns.insert(column);
        }
    }

    /// Whether it is its turn at a column.
    pub(crate) fn has(&self, column: Place) -> bool {
        self.columns.contains(&column)
    }

    /// Ends all of them.
    pub(crate) fn clear(&mut self) {
        for column in std::mem::take(&mut self.columns) {
            self.turns.release(column);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Census {
    counts: FxHashMap<Place, i64>,
    /// Removed columns, with those that took over their items.
    taken_over: FxHashMap<Place, ColumnId>,
    upto: Position,
}

impl Census {
    /// Counts what the log has got since the last time.
    pub(crate) fn advance(&mut self, log: &Log) -> Result<(), Refusal> {
        for commit in log.commits(self.upto) {
            let commit = commit?;
            if commit.next() <= self.upto {
                continue;
            }
            for event in commit.events() {
                if !is_counted(event.event_type()) {
                    continue;
                }
                let Some(board) = board_of(&event) else { continue };
                let decoded = codec::decode(event.event_type(), event.schema_version(), event.payload())
                    .map_err(|error| Refusal::Fault(format!("position {}: {error}", event.position())))?;
                if let Decoded::Known(event) = decoded {
                    self.take_in(board, &event);
                }
            }
            self.upto = commit.next();
        }
        Ok(())
    }

    fn take_in(&mut self, board: BoardId, event: &DomainEvent) {
        let place = |column| Place { board, column };
        if let DomainEvent::Board(board::Event::ColumnRemoved(removed)) = event {
            let count = self.counts.remove(&place(removed.column_id)).unwrap_or(0);
            self.taken_over.insert(place(removed.column_id), removed.items_to);
            *self.counts.entry(self.resolve(place(removed.items_to))).or_default() += count;
        }
        for_each_change(event, |column, change| {
            *self.counts.entry(self.resolve(place(column))).or_default() += change;
        });
    }

    /// The column that holds the items of `place` now. A board never uses the id of a removed column again, so this ends.
    fn resolve(&self, mut place: Place) -> Place {
        while let Some(next) = self.taken_over.get(&place) {
            place.column = *next;
        }
        place
    }

    /// Items in a column.
    pub(crate) fn count(&self, column: Place) -> i64 {
        self.counts.get(&column).copied().unwrap_or(0)
    }

    /// The position that it has counted to, exclusive.
    pub(crate) fn upto(&self) -> Position {
        self.upto
    }
}

fn is_counted(event_type: &str) -> bool {
    matches!(event_type, "item.created" | "item.moved" | "item.deleted" | "board.column_removed")
}

/// The board that an event of an item or of a board is about.
fn board_of(event: &EventView<'_>) -> Option<BoardId> {
    let id = event.tags().find_map(|tag| tag.strip_prefix(tags::BOARD)?.parse().ok())?;
    Some(BoardId::new(id))
}

/// What an event does to the number of items in columns.
pub(crate) fn for_each_change(event: &DomainEvent, mut change: impl FnMut(ColumnId, i64)) {
    match event {
        DomainEvent::Item(item::Event::Created(event)) => change(event.column_id, 1),
        DomainEvent::Item(item::Event::Moved(event)) => {
            change(event.from_column, -1);
            change(event.to_column, 1);
        }
        DomainEvent::Item(item::Event::Deleted(event)) => change(event.column_id, -1),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use uuid::Uuid;

    fn place(board: u128, column: u128) -> Place {
        let [board, column] = [board, column].map(Uuid::from_u128);
        Place { board: BoardId::new(board), column: ColumnId::new(column) }
    }

    #[test]
    fn boards_with_the_same_ids_of_columns_count_for_themselves() {
        let mut census = Census::default();
        let moved = |from: u128, to: u128| {
            let [from_column, to_column] = [from, to].map(|id| ColumnId::new(Uuid::from_u128(id)));
            let rank = domain::rank::rank_at_end(1, 1);
            DomainEvent::Item(item::Event::Moved(item::Moved {
                from_column,
                to_column,
                from_rank: rank.clone(),
                to_rank: rank,
            }))
        };
        let removed = |column: u128, items_to: u128| {
            let [column_id, items_to] = [column, items_to].map(|id| ColumnId::new(Uuid::from_u128(id)));
            DomainEvent::Board(board::Event::ColumnRemoved(board::ColumnRemoved { column_id, items_to }))
        };
        let board = |id| BoardId::new(Uuid::from_u128(id));
        census.take_in(board(1), &moved(7, 8));
        census.take_in(board(2), &moved(9, 8));
        assert_eq!((census.count(place(1, 8)), census.count(place(2, 8))), (1, 1));
        // One board removes the one in favour of the other, another board the other way round.
        census.take_in(board(1), &removed(8, 7));
        census.take_in(board(2), &removed(7, 8));
        assert_eq!((census.count(place(1, 7)), census.count(place(2, 8))), (0, 1));
    }

    #[test]
    fn turns_are_taken_one_by_one_and_nobody_waits_for_ever() {
        let turns = Turns::default();
        let [a, b, c] = [1, 2, 3].map(|id| place(1, id));
        let wishes = [vec![a], vec![b, a], vec![a, c], vec![c, b], vec![b], vec![c, b, a]];
        let busy = [(); 3].map(|()| AtomicU64::new(0));
        let index = |column: Place| [a, b, c].iter().position(|one| *one == column).unwrap();
        let (turns, busy, index) = (&turns, &busy, &index);
        std::thread::scope(|scope| {
            for wish in &wishes {
                scope.spawn(move || {
                    for _ in 0..300 {
                        let mut held = Held::none(turns);
                        // One after the other, as they are found to be needed.
                        wish.iter().for_each(|column| held.take(vec![*column]));
                        for column in wish {
                            assert!(held.has(*column));
                            assert_eq!(busy[index(*column)].fetch_add(1, Ordering::SeqCst), 0);
                        }
                        std::thread::yield_now();
                        for column in wish {
                            busy[index(*column)].fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(turns.0.lock().is_empty());
    }
}
