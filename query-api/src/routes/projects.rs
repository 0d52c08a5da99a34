//! `/projects`: the projects, and the statistics of the work in one.

use super::{LISTED_MAX, List, OFFSET_MAX, json};
use crate::answers::project::{ProjectSummary, StatisticsAnswer};
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::parameters::{Parameters, path_id};
use crate::problems::not_found;
use crate::service::QueryService;
use crate::service::reading::Work;
use axum::extract::State;
use axum::response::Response;
use domain::{ProjectId, WorkspaceId};
use eventstore::Log;
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::models::{Models, ProjectModel};

pub(super) const LIMIT_DEFAULT: usize = 100;

pub(super) fn present<'m>(
    models: &'m Models,
    audience: &Audience,
    id: ProjectId,
) -> Result<&'m ProjectModel, Problem> {
    let project = models.project(id).filter(|project| audience.sees(project.workspace_id));
    project.ok_or_else(|| not_found("project"))
}

pub(super) async fn statistics(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let id = path_id(&id)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| Ok(StatisticsAnswer::of(present(models, &audience, id)?));
    service.read_one(freshness, copy, |_| Work::Little, |statistics, _| Ok(json(&statistics))).await
}

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| {
        let mut found = models.projects(workspace);
        found.retain(|project| audience.sees(project.workspace_id));
        Ok(List::cut(found, offset, limit, |project| ProjectSummary::of(models, project)))
    };
    service.read(freshness, copy, |list, _: &Log| Ok(json(&list.named("projects")))).await
}
