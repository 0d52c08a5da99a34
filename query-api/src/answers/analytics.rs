//! How work flows on a board, day by day, and how long it takes.

use super::Named;
use domain::{BoardId, ColumnId, Date};
use projector::analytics::{ColumnFlow, Day, DayFlow, Flow};
use projector::models::Name;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A board's days.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnalyticsAnswer {
    board_id: BoardId,
    from: DayAnswer,
    to: DayAnswer,
    days: Vec<DayFlowAnswer>,
    throughput: Throughput,
    cycle_time: TimeAnswer,
    lead_time: TimeAnswer,
}

/// A day as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy)]
struct DayAnswer(Day);

impl Serialize for DayAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for DayAnswer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Date::json_schema(generator)
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DayFlowAnswer {
    date: DayAnswer,
    created: u64,
    completed: u64,
    reopened: u64,
    deleted: u64,
    work_in_progress: u64,
    columns: Vec<ColumnFlowAnswer>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ColumnFlowAnswer {
    #[serde(flatten)]
    column: Named<ColumnId, Name>,
    items: u64,
}

/// Completions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Throughput {
    total: u64,
    per_day: f64,
}

/// Percentiles by nearest rank, of whole seconds; nothing where nothing was completed.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TimeAnswer {
    count: usize,
    p50_seconds: Option<u32>,
    p85_seconds: Option<u32>,
    p95_seconds: Option<u32>,
}

impl AnalyticsAnswer {
    pub(crate) fn of(board_id: BoardId, from: Day, to: Day, flow: Flow) -> Self {
        Self {
            board_id,
            from: DayAnswer(from),
            to: DayAnswer(to),
            throughput: Throughput::of(&flow.days),
            cycle_time: TimeAnswer::of(flow.cycle_times),
            lead_time: TimeAnswer::of(flow.lead_times),
            days: flow.days.into_iter().map(DayFlowAnswer::of).collect(),
        }
    }
}

impl DayFlowAnswer {
    fn of(day: DayFlow) -> Self {
        let column = |ColumnFlow { id, name, items }| ColumnFlowAnswer { column: Named { id, name }, items };
        Self {
            date: DayAnswer(day.day),
            created: day.created,
            completed: day.completed,
            reopened: day.reopened,
            deleted: day.deleted,
            work_in_progress: day.work_in_progress,
            columns: day.columns.into_iter().map(column).collect(),
        }
    }
}

impl Throughput {
    #[expect(clippy::cast_precision_loss, reason = "an average for people")]
    fn of(days: &[DayFlow]) -> Self {
        let total = days.iter().map(|day| day.completed).sum::<u64>();
        Self { total, per_day: total as f64 / days.len().max(1) as f64 }
    }
}

impl TimeAnswer {
    fn of(mut seconds: Vec<u32>) -> Self {
        seconds.sort_unstable();
        // The smallest one that so many of a hundred do not exceed.
        let percentile = |hundredths: usize| {
            let rank = (seconds.len() * hundredths).div_ceil(100);
            seconds.get(rank.saturating_sub(1)).copied()
        };
        Self {
            count: seconds.len(),
            p50_seconds: percentile(50),
            p85_seconds: percentile(85),
            p95_seconds: percentile(95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let of = |seconds: &[u32]| {
            let times = TimeAnswer::of(seconds.to_vec());
            (times.count, [times.p50_seconds, times.p85_seconds, times.p95_seconds])
        };
        assert_eq!(of(&[]), (0, [None; 3]));
        assert_eq!(of(&[7]), (1, [Some(7); 3]));
        assert_eq!(of(&[9, 1]), (2, [Some(1), Some(9), Some(9)]));
        let hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(of(&hundred), (100, [Some(50), Some(85), Some(95)]));
    }
}
