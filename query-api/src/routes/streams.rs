//! `/streams/{id}/events`: one stream by version, in either direction, whatever its category.

use super::events::LIMIT_MAX;
use super::json_bytes;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::pages;
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, not_found, unreadable};
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use eventstore::{Direction, Position, StreamId, Version};
use http_kit::params::Path;

pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const DIRECTIONS: [(&str, Direction); 2] =
    [("forward", Direction::Forward), ("backward", Direction::Backward)];

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let stream = StreamId::new(&id).map_err(|error| bad_parameter("id", error))?;
    let from = parameters.number("from", 0..=u64::MAX)?.map(Version::new);
    let direction = parameters.choice("direction", &DIRECTIONS)?.unwrap_or(Direction::Forward);
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let freshness = parameters.finish()?;
    service.log_reaches(&freshness).await?;
    let log = service.log().clone();
    let read = move || pages::stream(&log, &stream, from, direction, limit, &audience);
    let page = if limit <= LIMIT_DEFAULT {
        // Where in the log a stream stands is known only when it is read.
        service.small_read(Position::ZERO, read).await?
    } else {
        service.blocking(read).await?
    };
    match page.map_err(|error| unreadable(&error))? {
        Ok(page) => Ok(stamp(json_bytes(page.body), page.position)),
        Err(position) => Err(Refusal::at(position, not_found("stream"))),
    }
}
