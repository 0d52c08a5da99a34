//! `/schemas`: register, list, look at one.

use super::Compatibility;
use super::entry::{Entry, Schemas};
use super::register::{Register, Registered};
use crate::caller::Caller;
use crate::problems::problem;
use crate::request::{command_of_key, key};
use crate::routes::operation::Success;
use crate::service::{CommandService, command_id};
use crate::state::AppState;
use crate::streams::tenant_of;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::whole;
use eventstore::limits::NAME_BYTES_MAX;
use eventstore::{Fingerprint, Outcome};
use http_kit::SUNDAY_POSITION;
use http_kit::auth::{Principal, Scope, Tenants};
use http_kit::json::{Json, JsonBytes, parse};
use http_kit::openapi::NAME;
use http_kit::params::{Path, Query};
use http_kit::problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;
use uuid::Uuid;

/// Most types on one page.
const PAGE_MAX: usize = 1_000;
const PAGE_DEFAULT: usize = 100;

/// What a registration answers when all is well.
pub(crate) const REGISTERED: Success = Success {
    status: 201,
    what: "It is the newest version now.",
    name: "RegisteredSchema",
    schema: RegisteredSchema::json_schema,
    headers: &["Location", "Sunday-Position"],
};

/// What a question for one schema answers.
pub(crate) const FOUND: Success = Success {
    status: 200,
    what: "The schema.",
    name: "RegistrySchema",
    schema: SchemaAnswer::json_schema,
    headers: &[],
};

/// What a question for all schemas answers.
pub(crate) const LISTED: Success = Success {
    status: 200,
    what: "The newest schema of every type, without the schemas themselves.",
    name: "RegistrySchemaPage",
    schema: SchemaPage::json_schema,
    headers: &[],
};

/// An event type in a path.
pub(crate) fn event_type(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": NAME_BYTES_MAX, "pattern": NAME})
}

/// A version in a path.
pub(crate) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 1, "maximum": u16::MAX})
}

/// A schema to be registered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RegisterSchema {
    /// The event type that it is for. The domain's own families are reserved.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 127), regex(pattern = NAME))]
    event_type: String,
    /// A JSON Schema (2020-12), at most 256 KiB. References lead into the schema itself, and not in circles.
    #[schemars(extend("type" = ["object", "boolean"]))]
    schema: Value,
    /// What it promises about the newest version registered.
    #[serde(default)]
    compatibility: Compatibility,
    /// The version that it is expected to become; any if absent.
    #[serde(default, deserialize_with = "whole::maybe")]
    #[schemars(!default, range(min = 1))]
    version: Option<u16>,
    /// The workspace whose streams it binds; see the append of events.
    workspace_id: Option<Uuid>,
}

/// What was registered.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RegisteredSchema<'a> {
    /// The event type.
    #[serde(rename = "type")]
    event_type: &'a str,
    /// Its version.
    version: u16,
    /// What it promises about the version before.
    compatibility: Compatibility,
    /// `applied`, or `unchanged` if the newest version is the same schema.
    status: &'static str,
    /// The number of events that the log then held.
    position: u64,
    /// The workspace whose streams it binds; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<Uuid>,
}

/// A schema.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RegistrySchema")]
struct SchemaAnswer<'a> {
    /// The event type.
    #[serde(rename = "type")]
    event_type: &'a str,
    /// Its version; of a list its newest.
    version: u16,
    /// What it promises about the version before.
    compatibility: Compatibility,
    /// `domain` if it is the product's own, `registered` if a caller's.
    origin: &'static str,
    /// The workspace whose streams it binds; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<Uuid>,
    /// All versions there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: Option<Vec<u16>>,
    /// The schema itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a Value>,
}

impl<'a> SchemaAnswer<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            event_type: &entry.event_type,
            version: entry.version,
            compatibility: entry.compatibility,
            origin: entry.origin(),
            workspace_id: entry.tenant,
            versions: None,
            schema: None,
        }
    }
}

/// A page of the list.
#[derive(Debug, Serialize, JsonSchema)]
struct SchemaPage<'a> {
    /// By type.
    schemas: Vec<SchemaAnswer<'a>>,
    /// What to ask for as `after` to get the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

pub(crate) async fn register(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let origin = caller.with(Scope::SchemasWrite)?;
    let body: RegisterSchema = parse(&bytes)?;
    let tenant = tenant_of(&origin.principal, body.workspace_id)?;
    let command = match key(&headers)? {
        Some(key) => command_of_key(&origin.principal, key),
        None => command_id(),
    };
    let ask = Register {
        event_type: body.event_type,
        schema: body.schema,
        compatibility: body.compatibility,
        version: body.version,
        tenant,
        command,
        fingerprint: Fingerprint::of(&[b"register", &bytes]),
        origin,
    };
    let registry = app.registry().clone();
    let place = app.enter(&ask.origin.principal).await?;
    let register = move |_: &CommandService| {
        let _place = place;
        registry.register(ask)
    };
    let registered = app.blocking(register).await??;
    Ok(answer(&registered))
}

fn answer(registered: &Registered) -> Response {
    let Registered { entry, outcome, position } = registered;
    let body = RegisteredSchema {
        event_type: &entry.event_type,
        version: entry.version,
        compatibility: entry.compatibility,
        status: crate::answer::status(*outcome),
        position: position.get(),
        workspace_id: entry.tenant,
    };
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(SUNDAY_POSITION, HeaderValue::from(position.get()));
    if *outcome == Outcome::Unchanged {
        return (StatusCode::OK, headers, Json(body)).into_response();
    }
    if let Ok(location) = HeaderValue::from_str(&location(entry)) {
        headers.insert(header::LOCATION, location);
    }
    (StatusCode::CREATED, headers, Json(body)).into_response()
}

fn location(entry: &Entry) -> String {
    let mut location = "/api/v1/schemas/".to_owned();
    for byte in entry.event_type.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            location.push(char::from(byte));
        } else {
            let _ = write!(location, "%{byte:02X}");
        }
    }
    let _ = write!(location, "/{}", entry.version);
    if let Some(tenant) = entry.tenant {
        let _ = write!(location, "?workspaceId={tenant}");
    }
    location
}

async fn schemas(app: &AppState) -> Result<Arc<Schemas>, Problem> {
    if let Some(schemas) = app.registry().ready() {
        return Ok(schemas);
    }
    let registry = app.registry().clone();
    app.blocking(move |_| registry.schemas()).await?.map_err(|refusal| problem(&refusal))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Page {
    /// The type that the page comes after.
    after: Option<String>,
    /// How many types at most; 1 to 1000, 100 if absent.
    #[schemars(range(min = 1, max = 1_000))]
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let limit = page.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid_parameter("limit", format!("limit: 1 to {PAGE_MAX}")));
    }
    let principal = caller.any();
    let schemas = schemas(&app).await?;
    let may_see = |tenant: Option<Uuid>| tenant.is_none_or(|tenant| principal.tenants().contains(tenant));
    let mut found =
        schemas.after(page.after.as_deref().unwrap_or_default(), may_see).filter_map(|all| all.last());
    let mut listed: Vec<SchemaAnswer<'_>> = Vec::new();
    let mut next = None;
    for entry in &mut found {
        let last = listed.last().map(|last| last.event_type);
        // A page ends with a type, not between two tenants' schemas for it.
        if listed.len() >= limit && last != Some(&*entry.event_type) {
            next = last;
            break;
        }
        listed.push(SchemaAnswer::of(entry));
    }
    Ok(Json(SchemaPage { schemas: listed, next }).into_response())
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Whose {
    /// The workspace whose schema is meant, where the token is for several.
    workspace_id: Option<Uuid>,
}

/// The tenant whose schemas somebody asks for.
fn whose(principal: &Principal, said: Option<Uuid>) -> Result<Option<Uuid>, Problem> {
    match (principal.tenants(), said) {
        // What belongs to others is as if it were not there.
        (tenants, Some(said)) => Ok(tenants.contains(said).then_some(said)),
        (Tenants::All, None) => Ok(None),
        (Tenants::These(tenants), None) => match &tenants[..] {
            [] => Ok(None),
            [only] => Ok(Some(*only)),
            _ => {
                let detail = "workspaceId: the token is for several workspaces; say which one is meant";
                Err(Problem::invalid_parameter("workspaceId", detail))
            }
        },
    }
}

pub(crate) async fn newest(
    State(app): State<AppState>,
    caller: Caller,
    Path(event_type): Path<String>,
    Query(Whose { workspace_id }): Query<Whose>,
) -> Result<Response, Problem> {
    let tenant = whose(&caller.any(), workspace_id)?;
    let schemas = schemas(&app).await?;
    let versions = schemas.of(tenant, &event_type);
    let entry = versions.last().ok_or_else(|| Problem::not_found("no schema is registered for this type"))?;
    let versions = Some(versions.iter().map(|entry| entry.version).collect());
    Ok(Json(SchemaAnswer { schema: Some(&entry.schema), versions, ..SchemaAnswer::of(entry) })
        .into_response())
}

pub(crate) async fn one(
    State(app): State<AppState>,
    caller: Caller,
    Path((event_type, version)): Path<(String, u16)>,
    Query(Whose { workspace_id }): Query<Whose>,
) -> Result<Response, Problem> {
    let tenant = whose(&caller.any(), workspace_id)?;
    let schemas = schemas(&app).await?;
    let entry = schemas.of(tenant, &event_type).iter().find(|entry| entry.version == version);
    let entry =
        entry.ok_or_else(|| Problem::not_found("no such version of a schema is registered for this type"))?;
    Ok(Json(SchemaAnswer { schema: Some(&entry.schema), ..SchemaAnswer::of(entry) }).into_response())
}
