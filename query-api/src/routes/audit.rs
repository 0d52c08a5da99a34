//! The transparency log: the newest checkpoint, tiles and leaves under the paths of C2SP `tlog-tiles`, proofs, keys.
//!
//! Invariant: no proof leaves that has not been checked, and nothing beyond the published checkpoint.
//!
//! Checkpoints and tiles are hashes: they tell how many events there were when, and nothing of any. Leaves tell when each event was
//! recorded and which belong to one stream (by the hash of its name), so they are for whoever may read the whole log.
//! A proof about an event is for whoever may read the event.

use super::json;
use crate::audience::Audience;
use crate::freshness::{Freshness, Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, not_caught_up, unreadable};
use crate::service::QueryService;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use eventstore::transparency::{
    Leaf, Prover, TILE_LEVELS_MAX, TileId, TreeError, TreeFiles, TreeHead, hash_to_base64, leaf_hash,
    to_base64, verify_consistency, verify_inclusion, width_at,
};
use eventstore::{Digest, Log, Position, ReadError, RecordedEvent, TreeSize};
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::notary::{KeysError, Published};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

/// What stands in the path of a tile behind its level, and of a bundle of leaves.
pub(super) const TILE_PATTERN: &str = "^(x[0-9]{3}/){0,6}[0-9]{3}(\\.p/[1-9][0-9]{0,2})?$";

/// `{"position", "eventId", "size", "root", "leaf", "leafHash", "proof", "checkpoint"}`; hashes in Base 64.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "InclusionProof")]
pub(super) struct Inclusion {
    /// Number of the leaf.
    #[schemars(with = "u64")]
    position: Position,
    event_id: Uuid,
    #[schemars(with = "u64")]
    size: TreeSize,
    root: String,
    /// The leaf's record.
    leaf: String,
    leaf_hash: String,
    /// From the leaf's neighbour upwards.
    proof: Vec<String>,
    /// The signed note, where the size is that of the published checkpoint.
    checkpoint: Option<String>,
}

/// `{"from", "to", "fromRoot", "toRoot", "proof", "checkpoint"}`; hashes in Base 64.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ConsistencyProof")]
pub(super) struct Consistency {
    #[schemars(with = "u64")]
    from: TreeSize,
    #[schemars(with = "u64")]
    to: TreeSize,
    from_root: String,
    to_root: String,
    proof: Vec<String>,
    /// The signed note, where `to` is the size of the published checkpoint.
    checkpoint: Option<String>,
}

/// `{"origin", "key", "rotations"}`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditKeys")]
pub(super) struct Keys {
    /// The log's name.
    origin: String,
    /// The key in use, in the text form of signed notes.
    key: String,
    /// The notes by which keys were changed, oldest first: each is signed by the key before and the key after.
    rotations: Vec<String>,
}

/// The newest published checkpoint.
pub(super) async fn checkpoint(
    State(service): State<QueryService>,
    _: Audience,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let published = reached(&service, parameters.finish()?).await?;
    let mut response = Response::new(Body::from(published.note.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(stamp(response, position_of(&published)))
}

/// A tile of hashes.
pub(super) async fn tile(
    State(service): State<QueryService>,
    _: Audience,
    Path((level, index)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let id = TileId::parse(&level, &index).map_err(|error| {
        let is_level = error == eventstore::transparency::TilePathError::Level;
        bad_parameter(if is_level { "level" } else { "index" }, error)
    })?;
    piece(service, parameters, id, TreeFiles::tile_bytes).await
}

/// A bundle of leaves.
pub(super) async fn entries(
    State(service): State<QueryService>,
    audience: Audience,
    Path(index): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    audience.reads_the_log()?;
    let (index, width) = TileId::parse_index(&index).map_err(|error| bad_parameter("index", error))?;
    let id = TileId { level: 0, index, width };
    piece(service, parameters, id, |tree, id| tree.bundle_bytes(id.index, id.width)).await
}

async fn piece(
    service: QueryService,
    parameters: Parameters,
    id: TileId,
    read: impl FnOnce(&TreeFiles, TileId) -> Result<Vec<u8>, TreeError> + Send + 'static,
) -> Result<Response, Refusal> {
    let published = reached(&service, parameters.finish()?).await?;
    let position = position_of(&published);
    let width = if id.level < TILE_LEVELS_MAX {
        width_at(id.level, id.index, published.checkpoint.head.size)
    } else {
        None
    };
    if width.is_none_or(|width| width < id.width) {
        let detail = format!("the tree of {position} leaves has no tile {id}");
        return Err(Refusal::at(position, Problem::new(StatusCode::NOT_FOUND, "no_such_tile", detail)));
    }
    let tree = tree(&service)?;
    let bytes = service.blocking(move || read(&tree, id)).await?;
    let bytes = bytes.map_err(|error| broken(&error))?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // Nothing under such a path ever changes. Kept by the client alone, because it may have needed a token.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    Ok(stamp(response, position))
}

/// That an event is in the tree.
pub(super) async fn inclusion(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let event_id: Option<Uuid> = parameters.parsed("eventId")?;
    let position = parameters.number("position", 0..=u64::MAX)?.map(Position::new);
    let size = parameters.number("size", 0..=u64::MAX)?.map(TreeSize::new);
    let freshness = parameters.finish()?;
    let wanted = match (event_id, position) {
        (Some(id), None) => Wanted::Id(id),
        (None, Some(position)) => Wanted::Position(position),
        _ => return Err(bad_parameter("eventId", "either eventId or position says which event").into()),
    };
    let published = reached(&service, freshness).await?;
    let head = published.checkpoint.head;
    let size = within(size.unwrap_or(head.size), &published)?;
    let (log, tree) = (service.log().clone(), tree(&service)?);
    let answer = service.blocking(move || {
        let found = wanted.find(&log).map_err(|error| unreadable(&error))?;
        let found = found.as_ref().and_then(RecordedEvent::get).filter(|event| audience.sees_event(event));
        let Some(event) = found else { return Err(Problem::not_found(ABSENT)) };
        let position = event.position();
        if position.get() >= size.get() {
            let detail =
                format!("the event is at position {position}, which a tree of {size} leaves does not hold");
            return Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end", detail));
        }
        let leaf = Leaf::of(&event).to_bytes();
        let prover = Prover::new(&*tree, size);
        let proven = prover.inclusion(position).and_then(|proof| Ok((proof, prover.root(size)?)));
        let (proof, root) = proven.map_err(|error| broken(&error))?;
        let proven = TreeHead { size, root };
        verify_inclusion(&leaf_hash(&leaf), position, &proven, &proof)
            .map_err(|error| broken(&error.into()))?;
        Ok(Inclusion {
            position,
            event_id: event.id(),
            size,
            root: hash_to_base64(&root),
            leaf: to_base64(&leaf),
            leaf_hash: hash_to_base64(&leaf_hash(&leaf)),
            proof: texts(&proof),
            checkpoint: noted(&published, &proven)?,
        })
    });
    let answer = answer.await?.map_err(|problem| Refusal::at(Position::new(head.size.get()), problem))?;
    Ok(stamp(json(&answer), Position::new(head.size.get())))
}

/// That the tree was only appended to.
pub(super) async fn consistency(
    State(service): State<QueryService>,
    _: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let from = parameters.text("from")?;
    let to = parameters.number("to", 0..=u64::MAX)?.map(TreeSize::new);
    let freshness = parameters.finish()?;
    let from = older(from.as_deref())?;
    let published = reached(&service, freshness).await?;
    let to = within(to.unwrap_or(published.checkpoint.head.size), &published)?;
    if from > to {
        let detail = format!("a tree of {to} leaves does not continue one of {from}");
        let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end", detail);
        return Err(Refusal::at(position_of(&published), problem));
    }
    let position = position_of(&published);
    let tree = tree(&service)?;
    let answer = service.blocking(move || {
        let prover = Prover::new(&*tree, to);
        let proven = (|| Ok((prover.root(from)?, prover.root(to)?, prover.consistency(from)?)))();
        let (from_root, to_root, proof) = proven.map_err(|error: TreeError| broken(&error))?;
        let (old, new) = (TreeHead { size: from, root: from_root }, TreeHead { size: to, root: to_root });
        verify_consistency(&old, &new, &proof).map_err(|error| broken(&error.into()))?;
        Ok::<_, Problem>(Consistency {
            from,
            to,
            from_root: hash_to_base64(&from_root),
            to_root: hash_to_base64(&to_root),
            proof: texts(&proof),
            checkpoint: noted(&published, &new)?,
        })
    });
    Ok(stamp(json(&answer.await??), position))
}

/// The older tree's size. It has to be said, which is looked at after all that may be said.
fn older(from: Option<&str>) -> Result<TreeSize, Problem> {
    let digits = from.filter(|from| from.bytes().all(|byte| byte.is_ascii_digit()));
    let size = digits.and_then(|digits| digits.parse().ok()).map(TreeSize::new);
    size.ok_or_else(|| {
        bad_parameter("from", format_args!("the older tree's size is expected, from 0 to {}", u64::MAX))
    })
}

/// What checkpoints are verified with.
pub(super) async fn keys(
    State(service): State<QueryService>,
    _: Audience,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let published = reached(&service, parameters.finish()?).await?;
    let reading = service.clone();
    let keys = service.blocking(move || reading.audit().keys()).await?.map_err(|error| no_keys(&error))?;
    let answer = Keys {
        origin: keys.current.name().to_string(),
        key: keys.current.to_string(),
        rotations: keys.rotations.iter().map(|(note, _)| note.to_string()).collect(),
    };
    Ok(stamp(json(&answer), position_of(&published)))
}

/// What is not there, and what may not be seen, get the same answer.
const ABSENT: &str =
    "there is no such event; one whose id was not made when it happened is found by its position only";

enum Wanted {
    Id(Uuid),
    Position(Position),
}

impl Wanted {
    fn find(&self, log: &Log) -> Result<Option<RecordedEvent>, ReadError> {
        match self {
            Self::Position(position) => log.event(*position),
            Self::Id(id) => log.event_with_id(*id),
        }
    }
}

/// Waits until the published checkpoint covers what was asked for.
async fn reached(service: &QueryService, freshness: Freshness) -> Result<Arc<Published>, Refusal> {
    let wanted = freshness.min_position;
    let found = service.audit_reaches(&freshness).await.map_err(|error| {
        tracing::error!(%error, "the published checkpoint cannot be read");
        tree_unreadable()
    })?;
    match found {
        Some(published) if position_of(&published) >= wanted => Ok(published),
        Some(published) => {
            let position = position_of(&published);
            Err(Refusal::at(position, not_caught_up(wanted, position)))
        }
        None if wanted > Position::ZERO => {
            Err(Refusal::at(Position::ZERO, not_caught_up(wanted, Position::ZERO)))
        }
        None => {
            // Why stands where operators look: it may name files.
            let detail = if service.audit().refusal().is_some() {
                "no checkpoint is signed: /readyz and the server's log say why"
            } else {
                "no checkpoint has been signed yet: the first one follows the first event"
            };
            Err(Refusal::at(Position::ZERO, Problem::new(StatusCode::NOT_FOUND, "no_checkpoint", detail)))
        }
    }
}

fn within(size: TreeSize, published: &Published) -> Result<TreeSize, Refusal> {
    let head = published.checkpoint.head;
    if size <= head.size {
        return Ok(size);
    }
    let detail = format!("the published checkpoint has {} leaves, not {size}", head.size);
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end", detail);
    Err(Refusal::at(position_of(published), problem))
}

fn tree(service: &QueryService) -> Result<Arc<TreeFiles>, Problem> {
    service.audit().tree().ok_or_else(|| {
        tracing::error!("a checkpoint is published, and there is no tree");
        tree_unreadable()
    })
}

/// The published note, where it is about this tree; a tree with another root than the signed one is broken.
fn noted(published: &Published, proven: &TreeHead) -> Result<Option<String>, Problem> {
    let head = published.checkpoint.head;
    if head.size != proven.size {
        return Ok(None);
    }
    if head.root != proven.root {
        let (expected, found) = (head.root, proven.root);
        return Err(broken(&eventstore::transparency::ProofError::Root { expected, found }.into()));
    }
    Ok(Some(published.note.to_string()))
}

fn position_of(published: &Published) -> Position {
    Position::new(published.checkpoint.head.size.get())
}

fn texts(proof: &[Digest]) -> Vec<String> {
    proof.iter().map(hash_to_base64).collect()
}

fn broken(error: &TreeError) -> Problem {
    tracing::error!(%error, "the tree does not give what was signed");
    tree_unreadable()
}

fn no_keys(error: &KeysError) -> Problem {
    tracing::error!(%error, "the log's keys cannot be read");
    tree_unreadable()
}

fn tree_unreadable() -> Problem {
    let detail = "the tree cannot be read there; the projector builds it anew when it next starts";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "tree_unreadable", detail)
}
