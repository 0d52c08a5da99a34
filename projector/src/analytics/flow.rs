//! What is answered about a board: its days, each with the sums of everything up to its end.

use super::{Analytics, BoardTrack, Day, DayRow};
use crate::models::Name;
use domain::{BoardId, ColumnId};
use std::collections::HashMap;

/// A board's days, and how long the items took that were completed on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// One for every day of the range, in order.
    pub days: Vec<DayFlow>,
    /// Seconds from the beginning of each completed item to its completion, in no order.
    pub cycle_times: Vec<u32>,
    /// Seconds from the creation of each completed item to its completion, in no order.
    pub lead_times: Vec<u32>,
}

/// A day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayFlow {
    /// Which one.
    pub day: Day,
    /// Items that were created on it.
    pub created: u64,
    /// Completions.
    pub completed: u64,
    /// Items that were not completed after all.
    pub reopened: u64,
    /// Items that were deleted.
    pub deleted: u64,
    /// Items that were neither completed nor deleted at its end.
    pub work_in_progress: u64,
    /// The board's columns in their order of today, and removed ones that held items at the day's end behind them.
    pub columns: Vec<ColumnFlow>,
}

/// A column at the end of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFlow {
    /// Its id.
    pub id: ColumnId,
    /// What it is called today, or was last.
    pub name: Name,
    /// Items in it, completed ones included.
    pub items: u64,
}

/// The sums so far.
#[derive(Default)]
struct Sums {
    open: i64,
    columns: HashMap<ColumnId, i64>,
}

impl Sums {
    fn add(&mut self, row: &DayRow) {
        self.open += row.open;
        for (column, items) in &row.columns {
            *self.columns.entry(*column).or_default() += items;
        }
    }

    fn columns(&self, board: &BoardTrack) -> Vec<ColumnFlow> {
        let items = |id: &ColumnId| plain(self.columns.get(id).copied().unwrap_or(0));
        let present = board.columns.iter().map(|column| (column.id, &column.name, items(&column.id)));
        let removed = board.removed.iter().map(|column| (column.id, &column.name, items(&column.id)));
        let removed = removed.filter(|(_, _, items)| *items > 0);
        let columns = present.chain(removed);
        columns.map(|(id, name, items)| ColumnFlow { id, name: name.clone(), items }).collect()
    }
}

/// Before its creation, by times that contradict each other, there may be less than nothing of an item.
fn plain(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}

impl Analytics {
    /// What happened on a board from one day to another, both included; `None` where there is no such board. It walks
    /// through the days of the board up to the last one, and makes an entry for each day that is asked for: bound those.
    #[must_use]
    pub fn flow(&self, board: BoardId, from: Day, to: Day) -> Option<Flow> {
        let track = self.boards.get(board)?;
        let mut rows = self.days.get(&board).into_iter().flatten();
        let mut rows = std::iter::from_fn(|| self.rows.get((board, *rows.next()?))).peekable();
        let mut sums = Sums::default();
        while let Some(row) = rows.next_if(|row| row.day < from) {
            sums.add(row);
        }
        let mut flow = Flow { days: Vec::new(), cycle_times: Vec::new(), lead_times: Vec::new() };
        for day in from.up_to(to) {
            let row = rows.next_if(|row| row.day == day);
            if let Some(row) = row {
                sums.add(row);
                flow.cycle_times.extend(row.times.iter().map(|times| times.cycle));
                flow.lead_times.extend(row.times.iter().map(|times| times.lead));
            }
            flow.days.push(DayFlow {
                day,
                created: row.map_or(0, |row| row.created),
                completed: row.map_or(0, |row| row.completed),
                reopened: row.map_or(0, |row| row.reopened),
                deleted: row.map_or(0, |row| row.deleted),
                work_in_progress: plain(sums.open),
                columns: sums.columns(track),
            });
        }
        Some(flow)
    }
}
