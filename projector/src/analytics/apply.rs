//! How events change the figures. The rules of where an item stands are those of the [`models`](crate::models).
//!
//! Total: an event that makes no sense changes nothing.

use super::{
    ANALYTICS_VERSION, Analytics, BoardTrack, ColumnTrack, Day, DayRow, ItemTrack, RemovedColumn, Times, rows,
};
use crate::decode::{DecodedEvent, Happening, Subject};
use crate::models::Name;
use crate::read_model::ReadModel;
use domain::{BoardId, ColumnId, DomainEvent, ItemId, board, item};
use eventstore::codec::CodecError;
use eventstore::{Digest, Lineage, Timestamp};
use uuid::Uuid;

const SECOND: i64 = 1_000_000_000;

impl Analytics {
    fn apply_event(&mut self, event: &DecodedEvent<'_>) {
        let Happening::Known(known) = &event.happening else { return };
        match (event.subject, known) {
            (Subject::Item(id), DomainEvent::Item(known)) => self.apply_item(id, known, event.time()),
            (Subject::Board(id), DomainEvent::Board(known)) => self.apply_board(id, known, event.time()),
            _ => {}
        }
    }

    fn apply_board(&mut self, id: BoardId, event: &board::Event, time: Timestamp) {
        let day = Day::of(time);
        if self.boards.get(id).is_none() {
            if let board::Event::Created(event) = event {
                self.boards.insert(BoardTrack::created(id, event));
                // Its first day, so that it has one before anything happens on it.
                self.row(id, day);
            }
            return;
        }
        let Some(board) = self.boards.edit(id).filter(|board| !board.deleted) else { return };
        match event {
            board::Event::ColumnAdded(event) => board.add_column(event),
            board::Event::ColumnChanged(event) => {
                let name = event.changes.get("name").and_then(|change| change.to.as_str());
                if let (Some(column), Some(name)) = (board.column(event.column_id), name) {
                    column.name = Name::new(name);
                }
            }
            board::Event::ColumnMoved(event) => {
                if let Some(index) = board.columns.iter().position(|column| column.id == event.column_id) {
                    let column = board.columns.remove(index);
                    board.insert_column(event.to, column);
                }
            }
            board::Event::ColumnRemoved(event) => {
                if let Some((items_to, items)) = board.remove_column(event)
                    && let Some(row) = self.row(id, day)
                {
                    row.add(event.column_id, -items);
                    row.add(items_to, items);
                }
            }
            board::Event::Deleted(_) => {
                board.deleted = true;
                let (open, columns) = (std::mem::take(&mut board.open), board.columns.clone());
                let Some(row) = self.row(id, day) else { return };
                row.open -= open;
                for column in columns {
                    row.add(column.id, -column.items);
                    row.deleted += column.items.unsigned_abs();
                }
            }
            _ => {}
        }
    }

    fn apply_item(&mut self, id: ItemId, event: &item::Event, time: Timestamp) {
        let Some(item) = self.items.get(id) else {
            if let item::Event::Created(event) = event {
                self.create_item(id, event, time);
            }
            return;
        };
        let board = item.board;
        // Items of a deleted board are gone with it.
        if item.deleted || self.boards.get(board).is_none_or(|board| board.deleted) {
            return;
        }
        match event {
            item::Event::Moved(event) => self.move_item(id, event.to_column, time),
            item::Event::Completed(_) => self.complete_item(id, time),
            item::Event::Reopened(_) => {
                let Some(item) = self.items.edit(id).filter(|item| item.completed) else { return };
                item.completed = false;
                self.count_open(board, 1, time, |row| row.reopened += 1);
            }
            item::Event::Deleted(_) => {
                let Some(item) = self.items.edit(id) else { return };
                item.deleted = true;
                let (column, open) = (item.column, i64::from(!item.completed));
                self.count_open(board, -open, time, |row| row.deleted += 1);
                self.put(board, column, -1, time);
            }
            _ => {}
        }
    }

    fn create_item(&mut self, id: ItemId, event: &item::Created, time: Timestamp) {
        let Some(board) = self.boards.get(event.board_id).filter(|board| !board.deleted) else { return };
        let column = board.resolve(event.column_id);
        let known = board.columns.iter().find(|known| known.id == column).or(board.columns.first());
        let Some(column) = known.map(|known| known.id) else { return };
        let item = ItemTrack {
            id,
            board: event.board_id,
            column,
            created: time,
            begun: None,
            completed: false,
            deleted: false,
        };
        self.items.insert(item);
        self.count_open(event.board_id, 1, time, |row| row.created += 1);
        self.put(event.board_id, column, 1, time);
    }

    fn move_item(&mut self, id: ItemId, to: ColumnId, time: Timestamp) {
        let Some(item) = self.items.get(id) else { return };
        let Some(board) = self.boards.get(item.board) else { return };
        let (from, to) = (board.resolve(item.column), board.resolve(to));
        if from == to || !board.columns.iter().any(|column| column.id == to) {
            return;
        }
        let board = item.board;
        if let Some(item) = self.items.edit(id) {
            item.column = to;
            item.begun = item.begun.or(Some(time));
        }
        self.put(board, from, -1, time);
        self.put(board, to, 1, time);
    }

    fn complete_item(&mut self, id: ItemId, time: Timestamp) {
        let Some(item) = self.items.edit(id).filter(|item| !item.completed) else { return };
        item.completed = true;
        let times = Times {
            cycle: seconds(item.begun.unwrap_or(item.created), time),
            lead: seconds(item.created, time),
        };
        let board = item.board;
        self.count_open(board, -1, time, |row| {
            row.completed += 1;
            row.times.push(times);
        });
    }

    /// So many more items of a board are not completed; and what else is to be said of the day.
    fn count_open(&mut self, board: BoardId, open: i64, time: Timestamp, say: impl FnOnce(&mut DayRow)) {
        if let Some(board) = self.boards.edit(board) {
            board.open += open;
        }
        if let Some(row) = self.row(board, Day::of(time)) {
            row.open += open;
            say(row);
        }
    }

    /// So many more items stand in a column, or in the one that took it over.
    fn put(&mut self, board: BoardId, column: ColumnId, items: i64, time: Timestamp) {
        let Some(track) = self.boards.edit(board) else { return };
        let column = track.resolve(column);
        if let Some(column) = track.column(column) {
            column.items += items;
        }
        if let Some(row) = self.row(board, Day::of(time)) {
            row.add(column, items);
        }
    }
}

/// Whole seconds between two times; none where they are the wrong way round.
fn seconds(from: Timestamp, to: Timestamp) -> u32 {
    let seconds = to.get().saturating_sub(from.get()) / SECOND;
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

impl BoardTrack {
    fn created(id: BoardId, event: &board::Created) -> Self {
        let columns = event.columns.iter().map(|column| ColumnTrack::new(column.column_id, &column.name));
        Self { id, columns: columns.collect(), removed: Vec::new(), open: 0, deleted: false }
    }

    fn add_column(&mut self, event: &board::ColumnAdded) {
        // One column never stands twice, and a removed one never comes back.
        if self.column(self.resolve(event.column_id)).is_none() {
            self.insert_column(event.index, ColumnTrack::new(event.column_id, &event.name));
        }
    }

    fn insert_column(&mut self, index: u32, column: ColumnTrack) {
        let index = usize::try_from(index).unwrap_or(usize::MAX).min(self.columns.len());
        self.columns.insert(index, column);
    }

    /// Takes a column away; says how many items are in which other one by that.
    fn remove_column(&mut self, event: &board::ColumnRemoved) -> Option<(ColumnId, i64)> {
        let items_to = self.column(self.resolve(event.items_to))?.id;
        if items_to == event.column_id {
            return None;
        }
        let index = self.columns.iter().position(|column| column.id == event.column_id)?;
        let ColumnTrack { id, name, items } = self.columns.remove(index);
        self.removed.push(RemovedColumn { id, name, items_to });
        self.column(items_to)?.items += items;
        Some((items_to, items))
    }
}

impl ColumnTrack {
    fn new(id: ColumnId, name: &str) -> Self {
        Self { id, name: Name::new(name), items: 0 }
    }
}

impl ReadModel for Analytics {
    const NAME: &'static str = "analytics";
    const VERSION: u32 = ANALYTICS_VERSION;

    fn begin(store: Uuid) -> Self {
        Self::new(store)
    }

    fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    fn take_in(&mut self, event: &DecodedEvent<'_>) {
        self.apply_event(event);
    }

    fn advance(&mut self, to: Lineage) {
        self.checkpoint = to;
    }

    fn digest(&mut self) -> Digest {
        let mut sum = self.boards.settle();
        for part in [self.items.settle(), self.rows.settle()] {
            sum.add(&part.digest().0);
        }
        sum.digest()
    }

    fn count(&self) -> usize {
        self.boards.len() + self.items.len() + self.rows.len()
    }

    fn to_rows(&self) -> Result<Vec<u8>, CodecError> {
        rows::encode(self)
    }

    fn from_rows(rows: &[u8], checkpoint: Lineage) -> Result<Self, CodecError> {
        rows::decode(rows, checkpoint)
    }
}
