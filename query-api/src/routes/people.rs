//! `/users/{id}/items`: what somebody is to do, and has done.

use super::{LISTED_MAX, List, OFFSET_MAX, json};
use crate::answers::Told;
use crate::answers::item::ItemAnswer;
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::pages::PAGE_BYTES_MAX;
use crate::parameters::Parameters;
use crate::problems::unreadable;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, Date, ItemId, WorkspaceId};
use eventstore::{Log, Timestamp};
use http_kit::params::Path;
use projector::models::{ItemModel, Models};
use std::cmp::Reverse;

pub(super) const LIMIT_DEFAULT: usize = 100;

/// Which items are wanted, by whether they are done.
pub(super) const COMPLETED: [(&str, bool); 2] = [("true", true), ("false", false)];

/// By the day they are due, those without one last; then what changed last comes first.
fn order(item: &ItemModel) -> (bool, Option<Date>, Reverse<Timestamp>, ItemId) {
    (item.due_date.is_none(), item.due_date, Reverse(item.updated_at), item.id)
}

/// The items of somebody who is known nowhere are none.
pub(super) async fn items(
    State(service): State<QueryService>,
    audience: Audience,
    Path(person): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let completed = parameters.choice("completed", &COMPLETED)?;
    let board = parameters.parsed::<BoardId>("boardId")?;
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let copy = move |models: &Models| {
        let found = models.assigned_to(&person).filter(|item| {
            audience.sees(item.workspace_id)
                && completed.is_none_or(|completed| completed == item.is_completed())
                && board.is_none_or(|board| board == item.board_id)
                && workspace.is_none_or(|workspace| workspace == item.workspace_id)
        });
        let mut found: Vec<&ItemModel> = found.collect();
        found.sort_unstable_by_key(|item| order(item));
        Ok(List::cut(found, offset, limit, |item| ItemAnswer::of(models, item)))
    };
    let finish = move |list: List<ItemAnswer>, log: &Log| {
        let list = list.fill(PAGE_BYTES_MAX, |item| item.fill(log), ItemAnswer::len);
        Ok(json(&list.map_err(|error| unreadable(&error))?.named("items")))
    };
    service.read(freshness, copy, finish).await
}
