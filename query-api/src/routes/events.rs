//! `/events`: the log by position, filtered, as it was recorded; of it what whoever asks may read.

use super::json_bytes;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::pages::{self, Filter};
use crate::parameters::Parameters;
use crate::problems::unreadable;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use eventstore::Position;

/// Events of a page unless the request says otherwise.
pub(super) const LIMIT_DEFAULT: usize = 100;
/// Events of a page at most.
pub(super) const LIMIT_MAX: usize = 1_000;

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let from = Position::new(parameters.number("from", 0..=u64::MAX)?.unwrap_or(0));
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let filter = Filter {
        event_type: parameters.name("type")?,
        stream: parameters.name("stream")?,
        tag: parameters.name("tag")?,
    };
    let freshness = parameters.finish()?;
    service.log_reaches(&freshness).await?;
    let log = service.log().clone();
    let page = service.blocking(move || pages::events(&log, from, limit, &filter, &audience)).await?;
    let page = page.map_err(|error| unreadable(&error))?;
    Ok(stamp(json_bytes(page.body), page.position))
}
