//! `/projects`: a project and the statistics of the work in it.

use super::{LISTED_MAX, List, OFFSET_MAX, json, tagged, weakly_tagged};
use crate::answers::project::{ProjectAnswer, ProjectSummary, StatisticsAnswer};
use crate::freshness::Refusal;
use crate::parameters::{Parameters, path_id};
use crate::problems::{not_found, unreadable};
use crate::service::QueryService;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use domain::{ProjectId, WorkspaceId};
use eventstore::Log;
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::models::{Models, ProjectModel};

const LIMIT_DEFAULT: usize = 100;

pub(super) fn router() -> Router<QueryService> {
    Router::new()
        .route("/projects", get(list))
        .route("/projects/{id}", get(by_id))
        .route("/projects/{id}/statistics", get(statistics))
}

fn present(models: &Models, id: ProjectId) -> Result<&ProjectModel, Problem> {
    models.project(id).ok_or_else(|| not_found("project"))
}

async fn by_id(
    State(service): State<QueryService>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let id = path_id(&id)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| Ok(ProjectAnswer::of(models, present(models, id)?));
    let finish = |project: ProjectAnswer, log: &Log| {
        let project = project.fill(log).map_err(|error| unreadable(&error))?;
        Ok(tagged(project.version(), &project))
    };
    service.read(freshness, copy, finish).await
}

async fn statistics(
    State(service): State<QueryService>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let id = path_id(&id)?;
    let freshness = parameters.finish()?;
    let copy =
        move |models: &Models| Ok((StatisticsAnswer::of(present(models, id)?), models.checkpoint().next));
    let finish = |(statistics, position), _: &Log| Ok(weakly_tagged(position, &statistics));
    service.read(freshness, copy, finish).await
}

async fn list(State(service): State<QueryService>, mut parameters: Parameters) -> Result<Response, Refusal> {
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| {
        let found = models.projects(workspace);
        Ok(List::cut(found, offset, limit, |project| ProjectSummary::of(models, project)))
    };
    service.read(freshness, copy, |list, _: &Log| Ok(json(&list.named("projects")))).await
}
