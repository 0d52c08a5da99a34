//! `/search`: items, comments, boards and projects by the query language, with filters, facets, orders and cursors.

use super::json;
use crate::answers::Members;
use crate::audience::Audience;
use crate::freshness::{Refusal, stamp};
use crate::parameters::Parameters;
use crate::problems::{bad_parameter, unsearchable};
use crate::service::QueryService;
use axum::extract::State;
use axum::response::Response;
use domain::{BoardId, ColumnId, ItemId, ProjectId, WorkspaceId};
use eventstore::Position;
use http_kit::problem::Problem;
use projector::Models;
use projector::models::Name;
use projector::search::{
    DocumentKind, Expression, Facet, FacetCounts, FacetValue, ItemState, SearchError, SearchHit, SearchPage,
    SearchQuery, Sort,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Hits of a page unless the request says otherwise.
pub(super) const LIMIT_DEFAULT: usize = 20;
/// Hits of a page at most.
pub(super) const LIMIT_MAX: usize = 100;
/// How far paging by offset reaches.
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
pub(super) const SORTS: [(&str, Sort); 7] = [
    ("relevance", Sort::Relevance),
    ("updated", Sort::Updated),
    ("-updated", Sort::UpdatedLatest),
    ("created", Sort::Created),
    ("-created", Sort::CreatedLatest),
    ("due", Sort::Due),
    ("-due", Sort::DueLatest),
];
pub(super) const STEMS: [(&str, bool); 2] = [("en", true), ("none", false)];

/// `{"total", "hits": […], "next": <cursor or null>, "facets": {…}}`; the last only when facets were asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Found {
    total: u64,
    hits: Vec<Hit>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<Members<String, Vec<Counted>>>,
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

/// A value of a facet; boards, columns and projects are values by their ids, and have names.
#[derive(Debug, Serialize, JsonSchema)]
struct Counted {
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Name>,
    count: u64,
}

impl Hit {
    fn of(hit: SearchHit, models: &Models) -> Self {
        let SearchHit { kind, id, item_id, title, score, snippet } = hit;
        let external_key = item_id.and_then(|id| models.item(id)).and_then(|item| item.external_key.clone());
        Self { kind: kind.as_str(), id, item_id, external_key, title, score, snippet }
    }
}

pub(super) async fn search(
    State(service): State<QueryService>,
    audience: Audience,
    mut parameters: Parameters,
) -> Result<Response, Refusal> {
    let text = parameters.text("q")?.unwrap_or_default();
    let mut query = SearchQuery {
        expression: Expression::default(),
        kind: parameters.choice("kind", &KINDS)?,
        workspace: parameters.parsed("workspace")?,
        within: audience.workspaces(),
        project: parameters.parsed("project")?,
        board: parameters.parsed("board")?,
        column: parameters.parsed("column")?,
        item: parameters.parsed("item")?,
        assignee: parameters.text("assignee")?,
        state: parameters.choice("state", &STATES)?,
        sort: parameters.choice("sort", &SORTS)?.unwrap_or_default(),
        stem: parameters.choice("stem", &STEMS)?.unwrap_or_default(),
        facets: facets(parameters.text("facets")?.as_deref())?,
        today: None,
        after: parameters.text("after")?,
        limit: parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?,
        offset: parameters.offset(OFFSET_MAX)?,
    };
    let freshness = parameters.finish()?;
    // The last page by offset is shorter, so that it is reached with any limit.
    query.limit = query.limit.min(REACH - query.offset);
    service.both_reach(&freshness).await?;
    let reading = service.clone();
    let answer = service.blocking(move || {
        let page = match understand(&text, &mut query, &reading) {
            Ok(named_at) => reading.searcher().search(&query).map(|page| (page, named_at)),
            Err(error) => Err(error),
        };
        let (page, named_at) = match page {
            Ok(page) => page,
            Err(error) => {
                let position = reading.searcher().checkpoint().min(reading.models().checkpoint());
                return Err(Refusal::at(position, unsearchable(&error)));
            }
        };
        let models = reading.models().read();
        // Keys and names come from the models and the rest from the index: the answer covers what both do.
        let position = page.checkpoint.min(models.checkpoint().next);
        let position = named_at.map_or(position, |named_at| position.min(named_at));
        let found = found(page, &models, query.within.as_deref());
        drop(models);
        Ok(stamp(json(&found), position))
    });
    answer.await?
}

/// The text of a query as it is understood now, by the names that places have now; and the position of these, if there are any.
fn understand(
    text: &str,
    query: &mut SearchQuery,
    service: &QueryService,
) -> Result<Option<Position>, SearchError> {
    query.expression = Expression::parse(text)?;
    if query.expression.has_names() {
        let (names, position) = {
            let models = service.models().read();
            (query.expression.place_names(&models, query.within.as_deref()), models.checkpoint().next)
        };
        query.expression.resolve(&names);
        return Ok(Some(position));
    }
    Ok(None)
}

fn facets(names: Option<&str>) -> Result<Vec<Facet>, Problem> {
    let mut facets = Vec::new();
    for name in names.iter().flat_map(|names| names.split(',')) {
        let facet = Facet::parse(name.trim()).ok_or_else(|| {
            let expected =
                "assignee, board, column, project, state and field.<name> are known, separated by commas";
            bad_parameter("facets", expected)
        })?;
        if !facets.contains(&facet) {
            facets.push(facet);
        }
    }
    Ok(facets)
}

fn found(page: SearchPage, models: &Models, within: Option<&[WorkspaceId]>) -> Found {
    let SearchPage { total, hits, next, facets, .. } = page;
    let columns = column_names(&facets, models, within);
    let counted = |facet: FacetCounts| {
        let FacetCounts { facet, values } = facet;
        let values = values.into_iter().map(|(value, count)| match value {
            FacetValue::Text(value) => Counted { value, name: None, count },
            FacetValue::Id(id) => {
                let name = match &facet {
                    Facet::Board => models.board(BoardId::new(id)).map(|board| board.name.clone()),
                    Facet::Project => models.project(ProjectId::new(id)).map(|project| project.name.clone()),
                    _ => columns.get(&ColumnId::new(id)).cloned(),
                };
                Counted { value: id.to_string(), name, count }
            }
        });
        (facet.name(), values.collect())
    };
    Found {
        total,
        hits: hits.into_iter().map(|hit| Hit::of(hit, models)).collect(),
        next,
        facets: (!facets.is_empty()).then(|| Members(facets.into_iter().map(counted).collect())),
    }
}

/// The names of all columns, where these are to be told: a column is known by its board only.
fn column_names(
    facets: &[FacetCounts],
    models: &Models,
    within: Option<&[WorkspaceId]>,
) -> HashMap<ColumnId, Name> {
    let wanted =
        facets.iter().filter(|counts| counts.facet == Facet::Column).flat_map(|counts| &counts.values);
    let mut names: HashMap<_, Option<Name>> = wanted
        .filter_map(|(value, _)| match value {
            FacetValue::Id(id) => Some((ColumnId::new(*id), None)),
            FacetValue::Text(_) => None,
        })
        .collect();
    if !names.is_empty() {
        for column in models.boards_within(within).flat_map(|board| &board.columns) {
            if let Some(name) = names.get_mut(&column.id) {
                *name = Some(column.name.clone());
            }
        }
    }
    names.into_iter().filter_map(|(id, name)| Some((id, name?))).collect()
}
