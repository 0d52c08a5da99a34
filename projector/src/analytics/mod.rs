//! The read model of how work flows: for each board and UTC day of business time what was created, completed, reopened
//! and deleted, how the number of items in each column changed, and how long the completed ones had taken.
//!
//! ```text
//! event ──▶ item (where it stands, since when) ──▶ additions to the row of (board, day) ──sums up to a day──▶ flow
//! ```
//!
//! Invariant: rows hold differences, and a state at the end of a day is the sum of those up to it. So events that come
//! out of order in business time, as imported ones do, give the same figures as in order. Of one item the events count
//! in the order of the log, as everywhere.
//!
//! Invariant: the sums over all days are what the [`Models`](crate::models::Models) hold now.
//!
//! Times are kept exactly, one pair per completion; they take less than the item that they are of.

mod apply;
mod day;
mod flow;
mod inspect;
mod rows;

pub use day::Day;
pub use flow::{ColumnFlow, DayFlow, Flow};

use crate::models::Name;
use crate::models::dense::Entity;
use crate::models::table::Table;
use domain::{BoardId, ColumnId, ItemId};
use eventstore::{Digest, Lineage, Position, Timestamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Version of the model: part of its images. Raise it with any change of a row or of what events mean.
const ANALYTICS_VERSION: u32 = 1;

/// What happened on each board, day by day.
#[derive(Debug)]
pub struct Analytics {
    boards: Table<BoardTrack>,
    items: Table<ItemTrack>,
    rows: Table<DayRow>,
    /// The days of each board that have a row; follows from the rows.
    days: FxHashMap<BoardId, BTreeSet<Day>>,
    checkpoint: Lineage,
}

/// What has to be known of a board to make sense of its items' events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoardTrack {
    id: BoardId,
    /// In their order on the board.
    columns: Vec<ColumnTrack>,
    /// Removed columns, the latest last.
    removed: Vec<RemovedColumn>,
    /// Items on it that are neither deleted nor completed.
    pub(crate) open: i64,
    deleted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ColumnTrack {
    id: ColumnId,
    name: Name,
    /// Items that are in it now.
    items: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RemovedColumn {
    id: ColumnId,
    name: Name,
    /// The column that took over its items.
    items_to: ColumnId,
}

/// What has to be known of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ItemTrack {
    id: ItemId,
    board: BoardId,
    /// The column that it was put into last; where that was removed, it is in the one that took over.
    column: ColumnId,
    created: Timestamp,
    /// When somebody first moved it into another column.
    begun: Option<Timestamp>,
    completed: bool,
    deleted: bool,
}

/// What happened on a board on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayRow {
    board: BoardId,
    day: Day,
    pub(crate) created: u64,
    completed: u64,
    reopened: u64,
    deleted: u64,
    /// By how much the number of items that are not completed changed.
    open: i64,
    /// By how much the number of items in each column changed; no zeros.
    columns: BTreeMap<ColumnId, i64>,
    /// Of each completion.
    times: Vec<Times>,
}

/// How long a completed item took, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    /// Since it was begun, or else created.
    cycle: u32,
    /// Since it was created.
    lead: u32,
}

impl Analytics {
    fn new(store: Uuid) -> Self {
        Self {
            boards: Table::new(b'b'),
            items: Table::new(b'i'),
            rows: Table::new(b'd'),
            days: FxHashMap::default(),
            checkpoint: Lineage { store, next: Position::ZERO, chain: Digest::default() },
        }
    }

    /// What has been taken in.
    #[must_use]
    pub fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    /// The newest day of a board that has figures; its creation begins the first.
    #[must_use]
    pub fn newest_day(&self, board: BoardId) -> Option<Day> {
        self.days.get(&board)?.last().copied()
    }

    /// Number of boards' days.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of a board's day, to be changed.
    fn row(&mut self, board: BoardId, day: Day) -> Option<&mut DayRow> {
        let place = match self.rows.place((board, day)) {
            Some(place) => place,
            None => {
                self.days.entry(board).or_default().insert(day);
                self.rows.insert(DayRow::new(board, day))
            }
        };
        self.rows.edit_at(place)
    }
}

impl Entity for BoardTrack {
    type Id = BoardId;

    fn id(&self) -> BoardId {
        self.id
    }
}

impl Entity for ItemTrack {
    type Id = ItemId;

    fn id(&self) -> ItemId {
        self.id
    }
}

impl Entity for DayRow {
    type Id = (BoardId, Day);

    fn id(&self) -> (BoardId, Day) {
        (self.board, self.day)
    }
}

impl BoardTrack {
    fn column(&mut self, id: ColumnId) -> Option<&mut ColumnTrack> {
        self.columns.iter_mut().find(|column| column.id == id)
    }

    /// The column that items of `id` are in now: itself, or whichever took them over when it was removed.
    fn resolve(&self, id: ColumnId) -> ColumnId {
        // Each is removed after all that it took over from, so one walk in that order finds the end.
        self.removed.iter().fold(id, |id, removed| if removed.id == id { removed.items_to } else { id })
    }
}

impl DayRow {
    fn new(board: BoardId, day: Day) -> Self {
        Self {
            board,
            day,
            created: 0,
            completed: 0,
            reopened: 0,
            deleted: 0,
            open: 0,
            columns: BTreeMap::new(),
            times: Vec::new(),
        }
    }

    /// So many more items are in a column.
    fn add(&mut self, column: ColumnId, items: i64) {
        let sum = self.columns.entry(column).or_default();
        *sum += items;
        // What came and went on the same day leaves nothing, in whatever order.
        if *sum == 0 {
            self.columns.remove(&column);
        }
    }
}
