//! `/boards/{id}/analytics`: how work flows on a board, by days of business time in UTC.

use super::json;
use crate::answers::analytics::AnalyticsAnswer;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::{Parameters, path_id};
use crate::problems::{bad_parameter, not_found};
use crate::routes::boards::present;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, Date};
use eventstore::Position;
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::analytics::{Day, Flow};

/// Days unless the request says otherwise.
const DAYS_DEFAULT: i32 = 30;
/// Days at most.
const DAYS_MAX: i64 = 366;

pub(super) async fn analytics(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let id: BoardId = path_id(&id)?;
    let from = parameters.parsed::<Date>("from")?.map(Day::from);
    let to = parameters.parsed::<Date>("to")?.map(Day::from);
    let freshness = parameters.finish()?;
    service.models_and(service.analytics(), &freshness).await?;
    let reading = service.clone();
    let answer = service.blocking(move || {
        let models_at = {
            let models = reading.models().read();
            let position = models.checkpoint().next;
            present(&models, &audience, id).map_err(|problem| Refusal::at(position, problem))?;
            position
        };
        let ((from, to, flow), position) = flow(&reading, id, from, to, models_at)?;
        // Sorting what may be many times takes its time, so it is done with nothing locked.
        Ok(stamp(json(&AnalyticsAnswer::of(id, from, to, flow)), position))
    });
    answer.await?
}

/// The days that are asked for, and the position that they rest on.
fn flow(
    service: &QueryService,
    board: BoardId,
    from: Option<Day>,
    to: Option<Day>,
    models_at: Position,
) -> Result<((Day, Day, Flow), Position), Refusal> {
    let analytics = service.analytics().read();
    let position = analytics.checkpoint().next.min(models_at);
    let refused = |problem| Refusal::at(position, problem);
    // The models may be ahead by a moment, and know a board that has no figures yet.
    let newest = analytics.newest_day(board).ok_or_else(|| refused(not_found("board")))?;
    let (from, to) = range(from, to, newest).map_err(refused)?;
    let flow = analytics.flow(board, from, to).ok_or_else(|| refused(not_found("board")))?;
    Ok(((from, to, flow), position))
}

/// From one day to another, both included; up to the newest one unless it is said.
fn range(from: Option<Day>, to: Option<Day>, newest: Day) -> Result<(Day, Day), Problem> {
    let to = to.unwrap_or_else(|| from.map_or(newest, |from| from.max(newest)));
    let from = from.unwrap_or_else(|| to.plus(1 - DAYS_DEFAULT));
    let days = to.since(from) + 1;
    if days < 1 {
        return Err(bad_parameter("from", format_args!("{from} is after {to}, the last day")));
    }
    if days > DAYS_MAX {
        let reason =
            format!("it is {days} days up to {to}, and at most {DAYS_MAX} are given: say another to");
        return Err(bad_parameter("from", reason));
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_last_thirty_unless_it_is_said_otherwise() {
        let day = |text: &str| Some(Day::from(text.parse::<Date>().unwrap()));
        let newest = day("2026-11-21").unwrap();
        let range = |from, to| match range(from, to, newest) {
            Ok((from, to)) => format!("{from} {to}"),
            Err(problem) => format!("{problem:?}"),
        };
        assert_eq!(range(None, None), "2026-10-23 2026-11-21");
        assert_eq!(range(None, day("2026-01-30")), "2026-01-01 2026-01-30");
        assert_eq!(range(day("2026-11-01"), None), "2026-11-01 2026-11-21");
        assert_eq!(range(day("2027-01-01"), None), "2027-01-01 2027-01-01");
        assert_eq!(range(day("2025-11-21"), None), "2025-11-21 2026-11-21");
        assert!(range(day("2025-11-20"), None).contains("367 days"));
        assert!(range(day("2026-01-02"), day("2026-01-01")).contains("is after"));
    }
}
