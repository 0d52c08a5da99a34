//! `/boards`: the boards, and the view of one with the items in their columns.

use super::thing::Remembered;
use super::{LISTED_MAX, List, OFFSET_MAX, json, with_tag, written};
use crate::answers::board::{BoardSummary, ViewAnswer, Window};
use crate::audience::Audience;
use crate::freshness::{Freshness, Refusal, stamp};
use crate::parameters::{Parameters, path_id};
use crate::problems::{gone, not_found};
use crate::service::QueryService;
use crate::service::reading::Work;
use crate::views::View;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{BoardId, ColumnId, ProjectId, WorkspaceId};
use eventstore::Log;
use http_kit::entity_tags;
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::models::{BoardModel, Models};

pub(super) const LIMIT_DEFAULT: usize = 100;
/// Items per column of a view unless the request says otherwise.
pub(super) const COLUMN_ITEMS_DEFAULT: usize = 50;
/// Items per column of a view at most.
pub(super) const COLUMN_ITEMS_MAX: usize = 500;

/// A board, deleted or not.
pub(super) fn ever<'m>(
    models: &'m Models,
    audience: &Audience,
    id: BoardId,
) -> Result<&'m BoardModel, Problem> {
    let board = models.board(id).filter(|board| audience.sees(board.workspace_id));
    board.ok_or_else(|| not_found("board"))
}

pub(super) fn present<'m>(
    models: &'m Models,
    audience: &Audience,
    id: BoardId,
) -> Result<&'m BoardModel, Problem> {
    let board = ever(models, audience, id)?;
    if board.deleted { Err(gone("board")) } else { Ok(board) }
}

pub(super) async fn view(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let id: BoardId = path_id(&id)?;
    let column = parameters.parsed::<ColumnId>("column")?;
    let limit = parameters.count("limit", COLUMN_ITEMS_DEFAULT, COLUMN_ITEMS_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let as_of = parameters.as_of()?;
    let freshness = parameters.finish()?;
    let window = Window { column, offset, limit };
    if as_of.is_none() {
        return view_now(&service, &audience, id, window, &freshness).await;
    }
    let asking = audience.clone();
    let sources = move |models: &Models| id.sources(models, &asking);
    let copy = move |models: &Models| {
        let board = shown(models, &audience, id, window)?;
        Ok(ViewAnswer::of(models, board, window))
    };
    service.read_as_of(as_of, freshness, sources, copy, ViewAnswer::work, |view, _| Ok(json(&view))).await
}

/// A board that is there, and has the column that is asked for.
fn shown<'m>(
    models: &'m Models,
    audience: &Audience,
    id: BoardId,
    window: Window,
) -> Result<&'m BoardModel, Problem> {
    let board = present(models, audience, id)?;
    let has_column = window.column.is_none_or(|column| board.column(column).is_some());
    if has_column { Ok(board) } else { Err(not_found("column")) }
}

/// The view of now: as it was written for somebody else, or written now and kept.
async fn view_now(
    service: &QueryService,
    audience: &Audience,
    id: BoardId,
    window: Window,
    freshness: &Freshness,
) -> Result<Response, Refusal> {
    service.models_reach(freshness).await?;
    let (position, touched, copied) = {
        let models = service.models().read();
        let position = models.checkpoint().next;
        let refused = |problem| Refusal::at(position, problem);
        let board = shown(&models, audience, id, window).map_err(refused)?;
        let touched = models.touched(id);
        if let Some(View { body, tag, .. }) = service.views().get(id, window, touched) {
            return Ok(stamp(with_tag(body, tag), position));
        }
        (position, touched, ViewAnswer::of(&models, board, window))
    };
    let work = copied.work();
    let keeping = service.clone();
    let write = move || {
        let body = Bytes::from(written(&copied)?);
        let tag = entity_tags::weak(&body);
        let view = View { touched, body: body.clone(), tag: tag.clone() };
        keeping.views().keep(id, window, view);
        Ok(with_tag(body, tag))
    };
    let response: Result<Response, Problem> =
        if work == Work::Much { service.blocking(write).await? } else { write() };
    Ok(stamp(response.unwrap_or_else(IntoResponse::into_response), position))
}

pub(super) async fn list(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let project = parameters.parsed::<ProjectId>("projectId")?;
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| {
        let mut found = models.boards(project);
        found.retain(|board| {
            audience.sees(board.workspace_id)
                && workspace.is_none_or(|workspace| workspace == board.workspace_id)
        });
        Ok(List::cut(found, offset, limit, BoardSummary::of))
    };
    service.read(freshness, copy, |list, _: &Log| Ok(json(&list.named("boards")))).await
}
