//! `/events/export`: events as JSON lines (NDJSON), all that there are or those that are wanted, in one answer.
//!
//! Paging by `/events` is for looking; this is for taking everything away. An answer that was broken off is gone on with from
//! the position after its last line.

use crate::audience::Audience;
use crate::envelope::Members;
use crate::export::{Export, Scan};
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, no_length, too_many_exports};
use crate::pulled::Pulled;
use crate::selection::Selection;
use crate::service::QueryService;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;
use eventstore::Position;
use http_kit::auth::Principal;

pub(super) async fn export(
    State(service): State<QueryService>,
    principal: Principal,
    version: Version,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let from = Position::new(parameters.number("from", 0..=u64::MAX)?.unwrap_or(0));
    let to = parameters.number("to", 0..=u64::MAX)?.map(Position::new);
    let limit = parameters.number("limit", 1..=u64::MAX)?.unwrap_or(u64::MAX);
    let members = parameters.text("fields")?.map_or(Ok(Members::ALL), |list| Members::parse(&list));
    let members = members.map_err(|error| bad_parameter("fields", error))?;
    let wanted = Selection::take(&mut parameters)?.for_audience(Audience::of(&principal));
    let freshness = parameters.finish()?;
    if version < Version::HTTP_11 {
        // There the end of an answer is the end of its connection, so a part would look like all of it.
        return Err(no_length().into());
    }
    service.log_reaches(&freshness).await?;

    let place = service.exports().take(&principal).ok_or_else(too_many_exports)?;
    let watermark = service.log().watermark();
    let end = to.map_or(watermark, |to| to.min(watermark));
    let log = service.log().clone();
    // Where to begin is looked for in the index.
    let scan = service.blocking(move || Scan::new(&log, wanted, members, from, end, limit)).await?;
    let mut response = Response::new(Body::new(Pulled::new(Export::new(service, scan, place))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    // With a limit it may end anywhere.
    let covered = if limit == u64::MAX { end } else { from.min(end) };
    Ok(stamp(response, covered))
}
