//! `/search`: items, comments, boards and projects by their words, with filters.

use super::json;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::unsearchable;
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::ItemId;
use projector::models::Name;
use projector::search::{DocumentKind, ItemState, SearchHit, SearchQuery};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// Hits of a page unless the request says otherwise.
pub(super) const LIMIT_DEFAULT: usize = 20;
/// Hits of a page at most.
pub(super) const LIMIT_MAX: usize = 100;
/// How far paging reaches.
const REACH: usize = 10_000;
/// Where the last page begins at the latest.
pub(super) const OFFSET_MAX: usize = REACH - 1;

pub(super) const KINDS: [(&str, DocumentKind); 4] = [
    ("item", DocumentKind::Item),
    ("comment", DocumentKind::Comment),
    ("board", DocumentKind::Board),
    ("project", DocumentKind::Project),
];
pub(super) const STATES: [(&str, ItemState); 2] =
    [("open", ItemState::Open), ("completed", ItemState::Completed)];

/// `{"total", "hits": […], "next": <offset or null>}`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Found {
    total: u64,
    hits: Vec<Hit>,
    next: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Hit {
    #[schemars(extend("enum" = KINDS.map(|(word, _)| word)))]
    kind: &'static str,
    id: Uuid,
    item_id: Option<ItemId>,
    /// Of the item, or of the item that a comment is about.
    external_key: Option<Name>,
    title: Option<String>,
    score: f32,
    snippet: String,
}

impl Hit {
    fn of(hit: SearchHit, external_key: Option<Name>) -> Self {
        let SearchHit { kind, id, item_id, title, score, snippet } = hit;
        Self { kind: kind.as_str(), id, item_id, external_key, title, score, snippet }
    }
}

pub(super) async fn search(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let mut query = SearchQuery {
        text: parameters.text("q")?.unwrap_or_default(),
        kind: parameters.choice("kind", &KINDS)?,
        workspace: parameters.parsed("workspace")?,
        within: audience.workspaces(),
        project: parameters.parsed("project")?,
        board: parameters.parsed("board")?,
        column: parameters.parsed("column")?,
        item: parameters.parsed("item")?,
        assignee: parameters.text("assignee")?,
        state: parameters.choice("state", &STATES)?,
        limit: parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?,
        offset: parameters.offset(OFFSET_MAX)?,
    };
    let freshness = parameters.finish()?;
    // The last page is shorter, so that whoever follows `next` gets to the end of what can be reached.
    query.limit = query.limit.min(REACH - query.offset);
    service.both_reach(&freshness).await?;
    let reading = service.clone();
    let answer = service.blocking(move || {
        let page = match reading.searcher().search(&query) {
            Ok(page) => page,
            Err(error) => {
                let position = reading.searcher().checkpoint().min(reading.models().checkpoint());
                return Err(Refusal::at(position, unsearchable(&error)));
            }
        };
        let models = reading.models().read();
        // Keys come from the models and the rest from the index: the answer covers what both do.
        let position = page.checkpoint.min(models.checkpoint().next);
        let key_of = |id| models.item(id).and_then(|item| item.external_key.clone());
        let end = query.offset.saturating_add(page.hits.len());
        // Paging ends where it cannot reach any further, even when there is more.
        let is_more = u64::try_from(end).is_ok_and(|end| end < page.total) && end < REACH;
        let found = Found {
            total: page.total,
            next: (is_more && !page.hits.is_empty()).then_some(end),
            hits: page
                .hits
                .into_iter()
                .map(|hit| {
                    let key = hit.item_id.and_then(key_of);
                    Hit::of(hit, key)
                })
                .collect(),
        };
        drop(models);
        Ok(stamp(json(&found), position))
    });
    answer.await?
}
