//! `/items` and `/comments`: items by their name elsewhere, and what was said about them.

use super::thing::Remembered;
use super::{LISTED_MAX, List, OFFSET_MAX, json};
use crate::answers::Told;
use crate::answers::comment::CommentAnswer;
use crate::answers::item::ItemAnswer;
use crate::audience::Audience;
use crate::freshness::Refusal;
use crate::pages::PAGE_BYTES_MAX;
use crate::parameters::{Parameters, path_id};
use crate::problems::{bad_parameter, gone, not_found, unreadable};
use crate::service::QueryService;
use crate::service::reading::Work;
use axum::extract::State;
use axum::response::Response;
use domain::{CommentId, ItemId, WorkspaceId};
use eventstore::Log;
use http_kit::params::Path;
use http_kit::problem::Problem;
use projector::models::{CommentModel, ItemModel, Models};

pub(super) const LIMIT_DEFAULT: usize = 100;

/// An item, deleted or not.
pub(super) fn ever<'m>(
    models: &'m Models,
    audience: &Audience,
    id: ItemId,
) -> Result<&'m ItemModel, Problem> {
    let item = models.item(id).filter(|item| audience.sees(item.workspace_id));
    item.ok_or_else(|| not_found("item"))
}

pub(super) fn present<'m>(
    models: &'m Models,
    audience: &Audience,
    id: ItemId,
) -> Result<&'m ItemModel, Problem> {
    let item = ever(models, audience, id)?;
    if models.is_gone(item) { Err(gone("item")) } else { Ok(item) }
}

pub(super) async fn by_key(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let key = parameters.text("externalKey")?;
    let workspace = parameters.parsed::<WorkspaceId>("workspaceId")?;
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let freshness = parameters.finish()?;
    let key = key.ok_or_else(|| {
        bad_parameter("externalKey", "it is needed here; /search finds items by anything else")
    })?;
    let copy = move |models: &Models| {
        let found = models
            .items_by_external_key(&key, workspace)
            .filter(|item| audience.sees(item.workspace_id) && !models.is_gone(item));
        Ok(List::cut(found, offset, limit, |item| ItemAnswer::of(models, item)))
    };
    let finish = move |list: List<ItemAnswer>, log: &Log| {
        let list = list.fill(PAGE_BYTES_MAX, |item| item.fill(log), ItemAnswer::len);
        Ok(json(&list.map_err(|error| unreadable(&error))?.named("items")))
    };
    service.read(freshness, copy, finish).await
}

pub(super) async fn comments(
    State(service): State<QueryService>,
    audience: Audience,
    Path(id): Path<String>,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let id: ItemId = path_id(&id)?;
    let limit = parameters.count("limit", LIMIT_DEFAULT, LISTED_MAX)?;
    let offset = parameters.offset(OFFSET_MAX)?;
    let as_of = parameters.as_of()?;
    let freshness = parameters.finish()?;
    let asking = audience.clone();
    let sources = move |models: &Models| id.sources(models, &asking);
    let copy = move |models: &Models| {
        let ids = present(models, &audience, id)?.comments.iter();
        let found = ids.filter_map(|id| models.comment(*id)).filter(|comment| !comment.deleted);
        Ok(List::cut(found, offset, limit, CommentAnswer::of))
    };
    let finish = |list: List<CommentAnswer>, log: &Log| {
        let list = list.fill(PAGE_BYTES_MAX, |comment| comment.fill(log), CommentAnswer::len);
        Ok(json(&list.map_err(|error| unreadable(&error))?.named("comments")))
    };
    // Texts are read from the log.
    service.read_as_of(as_of, freshness, sources, copy, |_| Work::Much, finish).await
}

/// A comment, deleted or not, and its item: it is whose that is.
pub(super) fn said<'m>(
    models: &'m Models,
    audience: &Audience,
    id: CommentId,
) -> Result<(&'m CommentModel, &'m ItemModel), Problem> {
    let found = models.comment(id).and_then(|comment| Some((comment, models.item(comment.item_id)?)));
    found.filter(|(_, item)| audience.sees(item.workspace_id)).ok_or_else(|| not_found("comment"))
}
