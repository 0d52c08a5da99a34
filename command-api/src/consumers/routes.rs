//! `/consumers`: create, acknowledge, refuse, retry, discard, reset, delete.

use super::body::{Acknowledge, Action, CreateConsumer, ParkedOnes, RefuseEvent, ResetConsumer};
use super::{Ask, Deed, Done, now_ms};
use crate::caller::Caller;
use crate::request::{command_of_key, key};
use crate::routes::operation::Success;
use crate::service::{Origin, command_id};
use crate::state::AppState;
use crate::streams::tenant_of;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::WorkspaceId;
use domain::system::consumers::{self, ConsumerName, NAME_PATTERN, Owner, Refuse};
use eventstore::{Fingerprint, Outcome};
use http_kit::SUNDAY_POSITION;
use http_kit::auth::{Principal, Scope, Tenants};
use http_kit::json::{Json, JsonBytes, parse};
use http_kit::params::{Path, Query};
use http_kit::problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What every request about a consumer answers when all is well.
pub(crate) const DONE: Success = Success {
    status: 200,
    what: "It is done, or was so already.",
    name: "ConsumerDone",
    schema: Answer::json_schema,
    headers: &["Sunday-Position"],
};

/// What creating one answers.
pub(crate) const CREATED: Success = Success { status: 201, what: "It exists now.", ..DONE };

/// A consumer's name in a path.
pub(crate) fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": NAME_PATTERN})
}

/// Whose consumer is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Whose {
    /// The workspace that the consumer belongs to, where the token is for several.
    workspace_id: Option<Uuid>,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ConsumerDone")]
struct Answer<'a> {
    /// The consumer.
    name: &'a ConsumerName,
    /// The workspace that it belongs to; absent where it follows all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<WorkspaceId>,
    /// `applied`, `unchanged` if it was so already, or `pending` if it is recorded a little later.
    status: &'static str,
    /// The number of events that the log then held; absent as long as it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let origin = caller.with(Scope::ConsumersWrite)?;
    let body: CreateConsumer = parse(&bytes)?;
    let owner = tenant_of(&origin.principal, body.workspace_id)?.map(WorkspaceId::new);
    let settings = body.settings()?;
    let deed = Deed::Create { settings, from: body.from };
    run(&app, ask(origin, &headers, owner, body.name, "create", &bytes, deed)?, StatusCode::CREATED).await
}

/// What requests about one consumer have in common.
type Asked = (State<AppState>, Caller, Path<String>, Query<Whose>, HeaderMap);

pub(crate) async fn acknowledge(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    let of_body = |body: Acknowledge| {
        let Acknowledge { position, generation } = body;
        Ok(Deed::Acknowledge { position, generation })
    };
    about_one(asked, "acknowledge", &bytes, |bytes| of_body(parse(bytes)?)).await
}

pub(crate) async fn refuse(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    let of_body = |body: RefuseEvent| {
        let now_ms = now_ms();
        let not_before_ms = now_ms.saturating_add(body.delay_ms()?);
        let RefuseEvent { position, action, reason, generation, .. } = body;
        let park = action == Action::Park;
        let refuse = Refuse { position, park, not_before_ms, reason, now_ms, attempts: 0 };
        Ok(Deed::Refuse { refuse, generation })
    };
    about_one(asked, "refuse", &bytes, |bytes| of_body(parse(bytes)?)).await
}

pub(crate) async fn retry(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    about_one(asked, "retry", &bytes, |bytes| Ok(Deed::Retry(parse::<ParkedOnes>(bytes)?.positions()?))).await
}

pub(crate) async fn discard(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    about_one(asked, "discard", &bytes, |bytes| Ok(Deed::Discard(parse::<ParkedOnes>(bytes)?.positions()?)))
        .await
}

pub(crate) async fn reset(asked: Asked, JsonBytes(bytes): JsonBytes) -> Result<Response, Problem> {
    about_one(asked, "reset", &bytes, |bytes| Ok(Deed::Reset(parse::<ResetConsumer>(bytes)?.position))).await
}

pub(crate) async fn delete(asked: Asked) -> Result<Response, Problem> {
    about_one(asked, "delete", &[], |_| Ok(Deed::Delete)).await
}

/// Carries out what is asked of one consumer.
async fn about_one(
    (State(app), caller, Path(name), Query(whose), headers): Asked,
    word: &'static str,
    bytes: &[u8],
    deed: impl FnOnce(&[u8]) -> Result<Deed, Problem>,
) -> Result<Response, Problem> {
    let origin = caller.with(Scope::ConsumersWrite)?;
    let name: ConsumerName =
        name.parse().map_err(|error| Problem::invalid_parameter("name", format!("name: {error}")))?;
    let deed = deed(bytes)?;
    let owner = owner(&origin.principal, whose.workspace_id, &name)?;
    run(&app, ask(origin, &headers, owner, name, word, bytes, deed)?, StatusCode::OK).await
}

/// Whose consumer somebody means. What belongs to others is as if it were not there.
fn owner(principal: &Principal, said: Option<Uuid>, name: &ConsumerName) -> Result<Owner, Problem> {
    match (principal.tenants(), said) {
        (tenants, Some(said)) if tenants.contains(said) => Ok(Some(WorkspaceId::new(said))),
        (_, Some(_)) => Err(super::absent(name)),
        (Tenants::All, None) => Ok(None),
        (Tenants::These(tenants), None) => match tenants.split_first() {
            Some((only, rest)) if rest.iter().all(|tenant| tenant == only) => {
                Ok(Some(WorkspaceId::new(*only)))
            }
            Some(_) => {
                let detail = "workspaceId: the token is for several workspaces; say which one is meant";
                Err(Problem::invalid_parameter("workspaceId", detail))
            }
            None => Err(super::absent(name)),
        },
    }
}

fn ask(
    origin: Origin,
    headers: &HeaderMap,
    owner: Owner,
    name: ConsumerName,
    word: &'static str,
    bytes: &[u8],
    deed: Deed,
) -> Result<Ask, Problem> {
    let key = key(headers)?;
    let command = key.map_or_else(command_id, |key| command_of_key(&origin.principal, key));
    let stream = consumers::stream(owner, &name);
    let fingerprint = Fingerprint::of(&[b"consumer", word.as_bytes(), stream.as_bytes(), bytes]);
    Ok(Ask { owner, name, command, fingerprint, is_named: key.is_some(), origin, deed })
}

async fn run(app: &AppState, ask: Ask, when_applied: StatusCode) -> Result<Response, Problem> {
    let place = app.enter(&ask.origin.principal).await?;
    let (owner, name, stream) = (ask.owner, ask.name.clone(), ask.stream()?);
    let consumers = app.consumers().clone();
    let work = move |_: &_| {
        let _place = place;
        consumers.carry_out(&ask)
    };
    let done = app.blocking(work).await??;
    if let Done::Pending { needs_timer: true } = done {
        app.consumers().flush_soon(stream);
    }
    Ok(answer(&name, owner, done, when_applied))
}

fn answer(name: &ConsumerName, workspace_id: Owner, done: Done, when_applied: StatusCode) -> Response {
    let (code, status, position) = match done {
        Done::Pending { .. } => (StatusCode::ACCEPTED, "pending", None),
        Done::Recorded { outcome, position } => {
            let code = if outcome == Outcome::Applied { when_applied } else { StatusCode::OK };
            (code, crate::answer::status(outcome), Some(position.get()))
        }
    };
    let mut headers = HeaderMap::with_capacity(1);
    if let Some(position) = position {
        headers.insert(SUNDAY_POSITION, HeaderValue::from(position));
    }
    (code, headers, Json(Answer { name, workspace_id, status, position })).into_response()
}
