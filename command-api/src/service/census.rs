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
use domain::{ColumnId, Decoded, DomainEvent, board, codec, item};
use eventstore::{Log, Position};
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// The lines at limited columns. Whoever comes first is served first.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<FxHashMap<ColumnId, VecDeque<Arc<Condvar>>>>);

impl Turns {
    /// Waits for the turn at a column. Whoever waits for several does so in the order of their ids.
    fn take(&self, column: ColumnId) {
        let mut lines = self.0.lock();
        let line = lines.entry(column).or_default();
        let mine = Arc::new(Condvar::new());
        line.push_back(Arc::clone(&mine));
        let is_mine = |lines: &FxHashMap<ColumnId, VecDeque<Arc<Condvar>>>| {
            lines.get(&column).and_then(VecDeque::front).is_some_and(|first| Arc::ptr_eq(first, &mine))
        };
        while !is_mine(&lines) {
            mine.wait(&mut lines);
        }
    }

    fn release(&self, column: ColumnId) {
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
    columns: BTreeSet<ColumnId>,
}

impl<'s> Held<'s> {
    /// None yet.
    pub(crate) fn none(turns: &'s Turns) -> Self {
        Self { turns, columns: BTreeSet::new() }
    }

    /// Takes further turns. Those that it has are given up first, so that all are taken in order.
    pub(crate) fn take(&mut self, columns: Vec<ColumnId>) {
        let mut wanted = std::mem::take(&mut self.columns);
        wanted.iter().for_each(|column| self.turns.release(*column));
        wanted.extend(columns);
        for column in wanted {
            self.turns.take(column);
            self.columns.insert(column);
        }
    }

    /// Whether it is its turn at a column.
    pub(crate) fn has(&self, column: ColumnId) -> bool {
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
    counts: FxHashMap<ColumnId, i64>,
    /// Removed columns, with those that took over their items.
    taken_over: FxHashMap<ColumnId, ColumnId>,
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
                let decoded = codec::decode(event.event_type(), event.schema_version(), event.payload())
                    .map_err(|error| Refusal::Fault(format!("position {}: {error}", event.position())))?;
                if let Decoded::Known(event) = decoded {
                    self.take_in(&event);
                }
            }
            self.upto = commit.next();
        }
        Ok(())
    }

    fn take_in(&mut self, event: &DomainEvent) {
        if let DomainEvent::Board(board::Event::ColumnRemoved(removed)) = event {
            let count = self.counts.remove(&removed.column_id).unwrap_or(0);
            self.taken_over.insert(removed.column_id, removed.items_to);
            *self.counts.entry(self.resolve(removed.items_to)).or_default() += count;
        }
        for_each_change(event, |column, change| {
            *self.counts.entry(self.resolve(column)).or_default() += change;
        });
    }

    /// The column that holds the items of `column` now. Removed ids are never used again, so this ends.
    pub(crate) fn resolve(&self, mut column: ColumnId) -> ColumnId {
        while let Some(next) = self.taken_over.get(&column) {
            column = *next;
        }
        column
    }

    /// Items in a column.
    pub(crate) fn count(&self, column: ColumnId) -> i64 {
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

    #[test]
    fn turns_are_taken_one_by_one_and_nobody_waits_for_ever() {
        let turns = Turns::default();
        let [a, b, c] = [1, 2, 3].map(|id| ColumnId::new(Uuid::from_u128(id)));
        let wishes = [vec![a], vec![b, a], vec![a, c], vec![c, b], vec![b], vec![c, b, a]];
        let busy = [(); 3].map(|()| AtomicU64::new(0));
        let index = |column: ColumnId| [a, b, c].iter().position(|one| *one == column).unwrap();
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
