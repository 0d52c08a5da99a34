//! `/log`: the log itself, for standbys on other machines: where it is, and its segments, byte by byte.
//!
//! Invariant: nothing is given away that is not durable here, so a standby never has what this log may still lose.
//!
//! These are the events of everybody, undecoded: only for whoever may read all of the log.

use super::json;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, unreadable};
use crate::service::QueryService;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use eventstore::{Digest, Kinship, Lineage, Log, LogOffset, PieceError, Position, ReadError, SegmentPiece};
use http_kit::params::Path;
use http_kit::problem::Problem;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of a piece at most, unless a single frame is longer.
const PIECE_BYTES_MAX: usize = 4 << 20;
/// How long a request may wait for something new, milliseconds: less than a server takes to drain its requests.
pub(super) const WAIT_MS_MAX: u64 = 5_000;
/// Offsets above this have no place in 64 bits.
pub(super) const OFFSET_MAX: u64 = (u32::MAX as u64) << 3;

const SUNDAY_STORE: HeaderName = HeaderName::from_static("sunday-store");
const SUNDAY_SEGMENT_ENDED: HeaderName = HeaderName::from_static("sunday-segment-ended");
const SUNDAY_SEGMENT_TAIL: HeaderName = HeaderName::from_static("sunday-segment-tail");

/// `{"store", "position", "chain", "durableEnd": {"segment", "offset"}}`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LogPlace")]
pub(super) struct Place {
    store: Uuid,
    #[schemars(with = "u64")]
    position: Position,
    chain: String,
    durable_end: End,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LogEnd")]
struct End {
    segment: u32,
    offset: u64,
}

/// Where the log is. Asked with `store`, `position` and `chain` it answers only if that is a place of its own.
pub(super) async fn place(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    audience.reads_the_log()?;
    let store: Option<Uuid> = parameters.parsed("store")?;
    let position = parameters.number("position", 0..=u64::MAX)?.map(Position::new);
    let chain: Option<Digest> = parameters.parsed("chain")?;
    let freshness = parameters.finish()?;
    let asked = match (store, position, chain) {
        (Some(store), Some(next), Some(chain)) => Some(Lineage { store, next, chain }),
        (None, None, None) => None,
        _ => return Err(bad_parameter("chain", "store, position and chain go together").into()),
    };
    service.log_reaches(&freshness).await?;
    let log = service.log().clone();
    let answer = service.blocking(move || answer(&log, asked.as_ref())).await?;
    answer.map_err(|error| Refusal::from(unreadable(&error)))?
}

fn answer(log: &Log, asked: Option<&Lineage>) -> Result<Result<Response, Refusal>, ReadError> {
    let (own, end) = (log.lineage(), log.durable_end());
    if let Some(asked) = asked
        && let Some(problem) = stranger(log.kinship(asked)?, asked, &own)
    {
        return Ok(Err(Refusal::at(own.next, problem)));
    }
    let place = Place {
        store: own.store,
        position: own.next,
        chain: own.chain.to_string(),
        durable_end: End { segment: end.segment(), offset: end.offset() },
    };
    Ok(Ok(stamp(json(&place), own.next)))
}

/// Why whoever remembers `asked` cannot go on from there with this log.
fn stranger(kinship: Kinship, asked: &Lineage, own: &Lineage) -> Option<Problem> {
    let problem = match kinship {
        Kinship::Same => return None,
        Kinship::OtherStore => {
            let detail = format!("this is the log of store {}, not {}", own.store, asked.store);
            Problem::new(StatusCode::CONFLICT, "other_store", detail)
        }
        Kinship::Beyond => {
            let detail = format!("the log ends at position {}, before {}", own.next, asked.next);
            Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end", detail)
        }
        Kinship::Diverged(chain) => {
            let detail = format!("at position {} the chain is {chain} here, not {}", asked.next, asked.chain);
            Problem::new(StatusCode::CONFLICT, "diverged", detail)
                .with("position", asked.next.get())
                .with("chain", chain.to_string())
        }
    };
    Some(problem.with("store", own.store.to_string()))
}

/// A piece of a segment from `offset` on; waits up to `waitMs` when there is nothing new there yet.
pub(super) async fn segment(
    State(service): State<QueryService>,
    audience: Audience,
    Path(segment): Path<u32>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    audience.reads_the_log()?;
    let offset = parameters.number("offset", 0..=OFFSET_MAX)?.unwrap_or(0);
    let wait = Duration::from_millis(parameters.number("waitMs", 0..=WAIT_MS_MAX)?.unwrap_or(0));
    let freshness = parameters.finish()?;
    service.log_reaches(&freshness).await?;
    if !offset.is_multiple_of(8) {
        return Err(refused(&PieceError::NotABoundary { segment, offset }).into());
    }
    let (log, place) = (service.log().clone(), LogOffset::new(segment, offset));
    if log.durable_end() == place {
        // It ends by what comes, by the time that was given, or with the log; the answer says which.
        let mut durable = log.watch_durable();
        let _ = tokio::time::timeout(wait, durable.wait_for(|end| *end > place)).await;
    }
    let answer = service.blocking(move || {
        let piece = log.segment_piece(segment, offset, PIECE_BYTES_MAX)?;
        Ok(stamp(as_response(piece), log.watermark()))
    });
    answer.await?.map_err(|error: PieceError| Refusal::from(refused(&error)))
}

fn as_response(piece: SegmentPiece) -> Response {
    let yes_or_no = |yes| HeaderValue::from_static(if yes { "true" } else { "false" });
    let mut response = Response::new(Body::from(piece.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(store) = HeaderValue::from_str(&piece.store.to_string()) {
        headers.insert(SUNDAY_STORE, store);
    }
    headers.insert(SUNDAY_SEGMENT_ENDED, yes_or_no(piece.ended));
    headers.insert(SUNDAY_SEGMENT_TAIL, yes_or_no(piece.is_tail));
    response
}

fn refused(error: &PieceError) -> Problem {
    let (status, code) = match error {
        PieceError::UnknownSegment { .. } => (StatusCode::NOT_FOUND, "no_such_segment"),
        PieceError::NotABoundary { .. } => (StatusCode::BAD_REQUEST, "not_a_frame"),
        PieceError::BeyondEnd { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end"),
        PieceError::Read(error) => return unreadable(error),
        _ => return Problem::internal(),
    };
    Problem::new(status, code, error.to_string())
}
