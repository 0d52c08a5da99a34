//! What can be searched for, beside the query language itself, and what is answered.

use crate::search::compile::{Compiler, all, exactly};
use crate::search::document::{DocumentKind, key_of};
use crate::search::expression::Expression;
use crate::search::facets::{Facet, FacetCounts};
use crate::search::order::Sort;
use crate::search::parser::dates::day_number;
use crate::search::schema::Fields;
use domain::{BoardId, ColumnId, Date, ItemId, ProjectId, WorkspaceId};
use eventstore::Position;
use std::time::{SystemTime, UNIX_EPOCH};
use tantivy::Term;
use tantivy::query::{AllQuery, Query, TermQuery, TermSetQuery};
use tantivy::schema::IndexRecordOption;
use uuid::Uuid;

/// Hits that offsets reach: beyond it, cursors lead on.
pub(crate) const REACH_MAX: usize = 10_000;

/// What is looked for. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// The query, understood. An empty one holds for everything that passes the filters.
    pub expression: Expression,
    /// Only documents of this kind.
    pub kind: Option<DocumentKind>,
    /// Only within this workspace.
    pub workspace: Option<WorkspaceId>,
    /// Only within one of these workspaces: all that whoever asks may see, where that is not everything.
    pub within: Option<Vec<WorkspaceId>>,
    /// Only within this project.
    pub project: Option<ProjectId>,
    /// Only on this board.
    pub board: Option<BoardId>,
    /// Only items in this column.
    pub column: Option<ColumnId>,
    /// Only this item and its comments.
    pub item: Option<ItemId>,
    /// Only items assigned to this person.
    pub assignee: Option<String>,
    /// Only items in this state.
    pub state: Option<ItemState>,
    /// By what the hits are ordered.
    pub sort: Sort,
    /// Whether words of titles and texts are found by their English stems as well.
    pub stem: bool,
    /// What hits are counted by; at most 10.
    pub facets: Vec<Facet>,
    /// The day that `is:overdue` goes by; today in UTC when nothing is said.
    pub today: Option<Date>,
    /// Where the page before ended, as it said itself.
    pub after: Option<String>,
    /// Hits to pass over. Not together with `after`.
    pub offset: usize,
    /// Hits to return; with the offset at most 10,000.
    pub limit: usize,
}

/// Whether an item is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub enum ItemState {
    /// It is to be done.
    Open,
    /// It is done.
    Completed,
}

impl ItemState {
    /// Its name in queries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completed => "completed",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Completed].into_iter().find(|state| state.as_str() == name)
    }
}

impl SearchQuery {
    /// Days since 1970 until the day that counts as today.
    pub(crate) fn today_number(&self) -> i64 {
        let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let today = || i64::try_from(seconds() / 86_400).unwrap_or_default();
        self.today.map_or_else(today, day_number)
    }
}

/// A page of what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchPage {
    /// Documents found in all.
    pub total: u64,
    /// Those of this page, in order.
    pub hits: Vec<SearchHit>,
    /// Leads to the next page; nothing when this is the last.
    pub next: Option<String>,
    /// What was asked to be counted, in that order.
    pub facets: Vec<FacetCounts>,
    /// The next position that the index will take in.
    pub checkpoint: Position,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchHit {
    /// What it is.
    pub kind: DocumentKind,
    /// Its id.
    pub id: Uuid,
    /// The item itself, or the item that a comment is about.
    pub item_id: Option<ItemId>,
    /// What it is called; comments have no title.
    pub title: Option<String>,
    /// How well it fits: higher is better; 1 for everything where fitting does not decide the order.
    pub score: f32,
    /// HTML: a piece of its text, escaped, with what was looked for in `<b>`; empty when its text has none of it.
    pub snippet: String,
}

/// Words and filters together.
pub(crate) fn full_query(query: &SearchQuery, compiler: &Compiler<'_>) -> Box<dyn Query> {
    let fields = compiler.fields;
    let mut must: Vec<Box<dyn Query>> = Vec::new();
    must.extend(compiler.query(&query.expression));
    let mut filter = |filter: Option<Box<dyn Query>>| must.extend(filter);
    let id = |field, id: Option<Uuid>| -> Option<Box<dyn Query>> {
        let term = Term::from_field_bytes(field, id?.as_bytes());
        Some(Box::new(TermQuery::new(term, IndexRecordOption::Basic)))
    };
    filter(query.kind.map(|kind| exactly(fields.kind, kind.as_str())));
    filter(id(fields.workspace, query.workspace.map(Uuid::from)));
    filter(id(fields.project, query.project.map(Uuid::from)));
    filter(id(fields.board, query.board.map(Uuid::from)));
    filter(id(fields.column, query.column.map(Uuid::from)));
    filter(id(fields.item, query.item.map(Uuid::from)));
    filter(query.assignee.as_deref().map(|person| exactly(fields.assignee, person)));
    filter(query.state.map(|state| exactly(fields.state, state.as_str())));
    filter(query.within.as_deref().map(|within| in_workspaces(within, compiler)));
    if must.is_empty() { Box::new(AllQuery) } else { all(must) }
}

/// Everything of these workspaces, and nothing else.
pub(crate) fn in_workspaces(within: &[WorkspaceId], compiler: &Compiler<'_>) -> Box<dyn Query> {
    let terms =
        within.iter().map(|id| Term::from_field_bytes(compiler.fields.workspace, id.uuid().as_bytes()));
    Box::new(TermSetQuery::new(terms))
}

/// The term that exactly one document has.
pub(crate) fn key_term(fields: &Fields, kind: DocumentKind, id: Uuid) -> Term {
    Term::from_field_bytes(fields.key, &key_of(kind, id))
}
