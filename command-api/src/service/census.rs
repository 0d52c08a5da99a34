//! How many items each column holds, counted from the log when the first limited column is used.
//!
//! Invariant: the counts are those of every event before `upto`; a decision that rests on them guards the
//! column's tag from there. Without limited columns nothing is counted and nothing is paid.

use super::refusal::Refusal;
use domain::{ColumnId, Decoded, DomainEvent, board, codec, item};
use eventstore::{Log, Position};
use rustc_hash::FxHashMap;

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
