//! `/workspaces`: the tenants.

use super::{LISTED_MAX, List, OFFSET_MAX, json, tagged};
use crate::answers::workspace::WorkspaceAnswer;
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::parameters::{Parameters, path_id};
use crate::problems::not_found;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::WorkspaceId;
use eventstore::Log;
use http_kit::params::Path;
use projector::models::Models;

pub(super) const LIMIT_DEFAULT: usize = 100;

pub(super) async fn by_id(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let id: WorkspaceId = path_id(&id)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| {
        let workspace = models.workspace(id).filter(|workspace| audience.sees(workspace.id));
        workspace.map(WorkspaceAnswer::of).ok_or_else(|| not_found("workspace"))
    };
    let finish = |workspace: WorkspaceAnswer, _: &Log| Ok(tagged(workspace.version(), &workspace));
    service.read_one(freshness, copy, |_| false, finish).await
}

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| {
        let mut found = models.workspaces();
        found.retain(|workspace| audience.sees(workspace.id));
        Ok(List::cut(found, offset, limit, WorkspaceAnswer::of))
    };
    service.read(freshness, copy, |list, _: &Log| Ok(json(&list.named("workspaces")))).await
}
