//! `/workspaces`: the tenants.

use super::{LISTED_MAX, List, OFFSET_MAX, json};
use crate::answers::workspace::WorkspaceAnswer;
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::parameters::Parameters;
use crate::problems::not_found;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::WorkspaceId;
use eventstore::Log;
use http_kit::problem::Problem;
use projector::models::{Models, WorkspaceModel};

pub(super) const LIMIT_DEFAULT: usize = 100;

pub(super) fn present<'m>(
    models: &'m Models,
    audience: &Audience,
    id: WorkspaceId,
) -> Result<&'m WorkspaceModel, Problem> {
    let workspace = models.workspace(id).filter(|workspace| audience.sees(workspace.id));
    workspace.ok_or_else(|| not_found("workspace"))
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
