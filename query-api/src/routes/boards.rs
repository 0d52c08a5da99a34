//! `/boards`: a board, and its view with the items in their columns.

use super::{LISTED_MAX, List, OFFSET_MAX, json, tagged};
use crate::answers::board::{BoardAnswer, BoardSummary, ViewAnswer, Window};
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::parameters::{Parameters, path_id};
use crate::problems::{gone, not_found, unreadable};
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, ColumnId, ProjectId, WorkspaceId};
use eventstore::Log;
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::models::{BoardModel, Models};

pub(super) const LIMIT_DEFAULT: usize = 100;
/// Items per column of a view unless the request says otherwise.
pub(super) const COLUMN_ITEMS_DEFAULT: usize = 50;
/// Items per column of a view at most.
pub(super) const COLUMN_ITEMS_MAX: usize = 500;

pub(super) fn present<'m>(
    models: &'m Models,
    audience: &Audience,
    id: BoardId,
) -> Result<&'m BoardModel, Problem> {
    let board = models.board(id).filter(|board| audience.sees(board.workspace_id));
    let board = board.ok_or_else(|| not_found("board"))?;
    if board.deleted { Err(gone("board")) } else { Ok(board) }
}

pub(super) async fn by_id(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let id = path_id(&id)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| Ok(BoardAnswer::of(present(models, &audience, id)?));
    let finish = |board: BoardAnswer, log: &Log| {
        let board = board.fill(log).map_err(|error| unreadable(&error))?;
        Ok(tagged(board.version(), &board))
    };
    service.read_one(freshness, copy, BoardAnswer::lacks_texts, finish).await
}

pub(super) async fn view(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let id = path_id(&id)?;
    let column = parameters.parsed::<ColumnId>("column")?;
    let limit = parameters.count("limit", COLUMN_ITEMS_DEFAULT, COLUMN_ITEMS_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| {
        let board = present(models, &audience, id)?;
        if column.is_some_and(|column| board.column(column).is_none()) {
            return Err(not_found("column"));
        }
        Ok(ViewAnswer::of(models, board, Window { column, offset, limit }))
    };
    service.read_one(freshness, copy, ViewAnswer::is_large, |view, _| Ok(json(&view))).await
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
