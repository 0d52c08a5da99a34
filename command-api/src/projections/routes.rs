//! `/projections/{name}/…`: rebuild, cancel, retry, repair; and the projector's decisions.

use super::{Ask, Taken, named};
use crate::caller::Caller;
use crate::request::{command_of_key, key};
use crate::routes::operation::Success;
use crate::service::{CommandService, Origin, command_id};
use crate::state::AppState;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::system::projections::{
    ControlEvent, DeadLetterAdded, DeadLettersRetried, ENTITY_BYTES_MAX, PROJECTIONS, RETRIED_MAX,
    RebuildCancelled, RebuildFinished, RebuildRequested, RebuildSwapBegun, RepairRequested,
};
use domain::whole;
use eventstore::{CommandId, Fingerprint};
use http_kit::SUNDAY_POSITION;
use http_kit::auth::{Scope, Tenants};
use http_kit::json::{Json, JsonBytes, parse};
use http_kit::params::Path;
use http_kit::problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is answered when all is well.
pub(crate) const TAKEN: Success = Success {
    status: 202,
    what: "It is recorded; whoever is concerned carries it out.",
    name: "ProjectionControl",
    schema: ControlAnswer::json_schema,
    headers: &["Sunday-Position"],
};

/// A projection's name in a path.
pub(crate) fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": PROJECTIONS})
}

/// A position in a path.
pub(crate) fn position(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0, "maximum": u64::MAX})
}

/// A rebuild that is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rebuild {
    /// Whether it is only built and compared, and what is in use stays in use.
    #[serde(default)]
    shadow: bool,
}

/// A rebuild that is to end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Cancel {
    /// Which one; the one that is under way if absent.
    rebuild_id: Option<Uuid>,
}

/// Dead letters that are to be taken in once more.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Retry {
    /// Where they are; all if absent.
    #[serde(default, deserialize_with = "whole::numbers")]
    #[schemars(!default, length(min = 1, max = RETRIED_MAX))]
    positions: Option<Vec<u64>>,
}

/// An entity that is to be made anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Repair {
    /// Kind and id, such as `item:0198…`.
    #[schemars(length(min = 1, max = ENTITY_BYTES_MAX))]
    entity: String,
}

/// What a projector decides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", deny_unknown_fields)]
pub(crate) enum Decision {
    /// What was built is put into use now, and cannot be cancelled any more.
    #[serde(rename = "sys.rebuild_swap_begun")]
    RebuildSwapBegun(RebuildSwapBegun),
    /// What became of a rebuild.
    #[serde(rename = "sys.rebuild_finished")]
    RebuildFinished(RebuildFinished),
    /// An event that it cannot take in.
    #[serde(rename = "sys.dead_letter_added")]
    DeadLetterAdded(DeadLetterAdded),
}

/// What was recorded.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ControlAnswer {
    /// Which projection.
    projection: &'static str,
    /// `applied`, or `unchanged` if it was so already.
    status: &'static str,
    /// Names the rebuild or the repair.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    /// The number of events that the log then held.
    position: u64,
}

/// What every request brings along beside its body.
pub(crate) type Asked<P = String> = (State<AppState>, Caller, Path<P>, HeaderMap);

/// What all of these requests have in common.
struct Request {
    app: AppState,
    projection: &'static str,
    origin: Origin,
    command: CommandId,
    fingerprint: Fingerprint,
}

impl Request {
    fn new(asked: Asked, scope: Scope, (what, body): (&str, &[u8])) -> Result<Self, Problem> {
        let (State(app), caller, Path(projection), headers) = asked;
        let origin = caller.with(scope)?;
        if *origin.principal.tenants() != Tenants::All {
            let detail = "a projection is made of every tenant's events; the token is for some of them only";
            return Err(Problem::new(StatusCode::FORBIDDEN, "tenant_mismatch", detail));
        }
        let command = match key(&headers)? {
            Some(key) => command_of_key(&origin.principal, key),
            None => command_id(),
        };
        let fingerprint = Fingerprint::of(&[b"projection", projection.as_bytes(), what.as_bytes(), body]);
        Ok(Self { app, projection: named(&projection)?, origin, command, fingerprint })
    }

    /// A name that is the same for whoever sends the same command again.
    fn id(&self) -> Uuid {
        uuid::Builder::from_custom_bytes(*self.command.as_bytes()).into_uuid()
    }

    async fn take(self, event: ControlEvent, id: Option<Uuid>) -> Result<Response, Problem> {
        let Self { app, projection, origin, command, fingerprint } = self;
        let place = app.enter(&origin.principal).await?;
        let control = app.projections().clone();
        let ask = Ask { projection, event, command, fingerprint, origin: Some(origin) };
        let take = move |_: &CommandService| {
            let _place = place;
            control.take(&ask)
        };
        let Taken { outcome, position } = app.blocking(take).await??;
        let status = crate::answer::status(outcome);
        let body = ControlAnswer { projection, status, id, position: position.get() };
        let mut headers = HeaderMap::with_capacity(1);
        headers.insert(SUNDAY_POSITION, HeaderValue::from(position.get()));
        Ok((StatusCode::ACCEPTED, headers, Json(body)).into_response())
    }
}

/// A body that may be left away.
fn read<B: DeserializeOwned + Default>(bytes: &[u8]) -> Result<B, Problem> {
    if bytes.is_empty() { Ok(B::default()) } else { parse(bytes) }
}

const OPERATE: Scope = Scope::ProjectionsOperate;

pub(crate) async fn rebuild(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    let request = Request::new(asked, OPERATE, ("rebuild", &bytes))?;
    let Rebuild { shadow } = read(&bytes)?;
    let rebuild_id = request.id();
    request
        .take(ControlEvent::RebuildRequested(RebuildRequested { rebuild_id, shadow }), Some(rebuild_id))
        .await
}

pub(crate) async fn cancel(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    let request = Request::new(asked, OPERATE, ("cancel", &bytes))?;
    let Cancel { rebuild_id } = read(&bytes)?;
    let rebuild_id = match rebuild_id {
        Some(id) => id,
        None => {
            let (control, projection) = (request.app.projections().clone(), request.projection);
            let state = request.app.blocking(move |_| control.state(projection)).await??;
            // Without one, it is refused with the reason.
            state.rebuild.map(|open| open.id).unwrap_or_default()
        }
    };
    request.take(ControlEvent::RebuildCancelled(RebuildCancelled { rebuild_id }), None).await
}

pub(crate) async fn retry(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    let request = Request::new(asked, OPERATE, ("retry", &bytes))?;
    let Retry { positions } = read(&bytes)?;
    request.take(ControlEvent::DeadLettersRetried(DeadLettersRetried { positions }), None).await
}

pub(crate) async fn retry_one(asked: Asked<(String, u64)>) -> Result<Response, Problem> {
    let (app, caller, Path((name, position)), headers) = asked;
    let asked = (app, caller, Path(name), headers);
    let said = position.to_le_bytes();
    let request = Request::new(asked, OPERATE, ("retry one", &said))?;
    let positions = Some(vec![position]);
    request.take(ControlEvent::DeadLettersRetried(DeadLettersRetried { positions }), None).await
}

pub(crate) async fn repair(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    let request = Request::new(asked, OPERATE, ("repair", &bytes))?;
    let Repair { entity } = parse(&bytes)?;
    let repair_id = request.id();
    request.take(ControlEvent::RepairRequested(RepairRequested { repair_id, entity }), Some(repair_id)).await
}

pub(crate) async fn decide(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    let request = Request::new(asked, Scope::ProjectionsDecide, ("decide", &bytes))?;
    let event = match parse(&bytes)? {
        Decision::RebuildSwapBegun(begun) => ControlEvent::RebuildSwapBegun(begun),
        Decision::RebuildFinished(finished) => ControlEvent::RebuildFinished(finished),
        Decision::DeadLetterAdded(added) => ControlEvent::DeadLetterAdded(added),
    };
    request.take(event, None).await
}
