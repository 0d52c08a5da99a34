//! What can be searched for, and how the words become a query.
//!
//! Words are ANDed; `"words in quotes"` must follow each other; a word that the tokenizer splits (`foo-bar`) is a
//! phrase too. There is no other syntax: any other character is only a separator, so nothing a person types is wrong
//! except a quote that is never closed.

use crate::search::document::{DocumentKind, key_of};
use crate::search::schema::Fields;
use crate::search::searcher::SearchError;
use domain::{BoardId, ColumnId, ItemId, ProjectId, WorkspaceId};
use eventstore::Position;
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, Occur, PhraseQuery, Query, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::tokenizer::TextAnalyzer;
use uuid::Uuid;

/// Bytes of a query's text.
pub(crate) const QUERY_BYTES_MAX: usize = 1_000;
/// Words and phrases in a query.
const CLAUSES_MAX: usize = 32;
/// Hits that paging reaches: beyond it, filters find more than pages.
pub(crate) const REACH_MAX: usize = 10_000;

/// What is looked for. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// Words and `"phrases"`, at most 1,000 bytes. Without any, everything that passes the filters is found, the
    /// latest change first.
    pub text: String,
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
    /// Hits to pass over.
    pub offset: usize,
    /// Hits to return; with the offset at most 10,000.
    pub limit: usize,
}

/// Whether an item is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// A page of what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchPage {
    /// Documents found in all.
    pub total: u64,
    /// Those of this page, best first.
    pub hits: Vec<SearchHit>,
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
    /// How well it fits: higher is better; 1 for everything when there were no words.
    pub score: f32,
    /// HTML: a piece of its text, escaped, with what was looked for in `<b>`; empty when its text has none of it.
    pub snippet: String,
}

/// A word or a phrase of the query, as tokens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clause(pub(crate) Vec<String>);

/// Splits a query's text into clauses.
pub(crate) fn clauses(text: &str, analyzer: &mut TextAnalyzer) -> Result<Vec<Clause>, SearchError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(SearchError::TooLong { bytes: text.len(), max: QUERY_BYTES_MAX });
    }
    let mut clauses = Vec::new();
    let mut add = |part: &str| {
        let mut tokens = Vec::new();
        analyzer.token_stream(part).process(&mut |token| tokens.push(token.text.clone()));
        if !tokens.is_empty() {
            clauses.push(Clause(tokens));
        }
    };
    let mut rest = text;
    while let Some(quote) = rest.find('"') {
        rest[..quote].split_whitespace().for_each(&mut add);
        let at = text.len() - rest.len() + quote;
        let inside = &rest[quote + 1..];
        let end = inside.find('"').ok_or(SearchError::UnclosedQuote { at })?;
        add(&inside[..end]);
        rest = &inside[end + 1..];
    }
    rest.split_whitespace().for_each(&mut add);
    if clauses.is_empty() && !text.trim().is_empty() {
        return Err(SearchError::NoWords);
    }
    if clauses.len() > CLAUSES_MAX {
        return Err(SearchError::TooManyWords { count: clauses.len(), max: CLAUSES_MAX });
    }
    Ok(clauses)
}

/// The words of a query: what decides the score and the snippets. `None` without any.
pub(crate) fn words_query(clauses: &[Clause], fields: &Fields) -> Option<BooleanQuery> {
    let all = clauses.iter().map(|clause| {
        let anywhere =
            [(fields.title, 2.0), (fields.text, 1.0), (fields.external_key, 4.0)].map(|(field, boost)| {
                let query: Box<dyn Query> = Box::new(BoostQuery::new(clause_query(clause, field), boost));
                (Occur::Should, query)
            });
        let query: Box<dyn Query> = Box::new(BooleanQuery::new(anywhere.into()));
        (Occur::Must, query)
    });
    (!clauses.is_empty()).then(|| BooleanQuery::new(all.collect()))
}

fn clause_query(clause: &Clause, field: Field) -> Box<dyn Query> {
    let mut terms: Vec<_> = clause.0.iter().map(|token| Term::from_field_text(field, token)).collect();
    match terms.pop() {
        Some(only) if terms.is_empty() => Box::new(TermQuery::new(only, IndexRecordOption::WithFreqs)),
        Some(last) => {
            terms.push(last);
            Box::new(PhraseQuery::new(terms))
        }
        None => Box::new(AllQuery),
    }
}

/// Words and filters together. Filters take no part in the score.
pub(crate) fn full_query(
    words: Option<&BooleanQuery>,
    query: &SearchQuery,
    fields: &Fields,
) -> Box<dyn Query> {
    let mut must: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    if let Some(words) = words {
        must.push((Occur::Must, Box::new(words.clone())));
    }
    let mut filter = |term: Option<Term>| {
        if let Some(term) = term {
            let exactly = TermQuery::new(term, IndexRecordOption::Basic);
            must.push((Occur::Must, Box::new(ConstScoreQuery::new(Box::new(exactly), 0.0))));
        }
    };
    let id = |field, id: Option<Uuid>| id.map(|id| Term::from_field_bytes(field, id.as_bytes()));
    filter(query.kind.map(|kind| Term::from_field_text(fields.kind, kind.as_str())));
    filter(id(fields.workspace, query.workspace.map(Uuid::from)));
    filter(id(fields.project, query.project.map(Uuid::from)));
    filter(id(fields.board, query.board.map(Uuid::from)));
    filter(id(fields.column, query.column.map(Uuid::from)));
    filter(id(fields.item, query.item.map(Uuid::from)));
    filter(query.assignee.as_deref().map(|person| Term::from_field_text(fields.assignee, person)));
    filter(query.state.map(|state| Term::from_field_text(fields.state, state.as_str())));
    if let Some(within) = &query.within {
        let terms = within.iter().map(|id| Term::from_field_bytes(fields.workspace, id.uuid().as_bytes()));
        let any = TermSetQuery::new(terms);
        must.push((Occur::Must, Box::new(ConstScoreQuery::new(Box::new(any), 0.0))));
    }
    if must.is_empty() { Box::new(AllQuery) } else { Box::new(BooleanQuery::new(must)) }
}

/// The term that exactly one document has.
pub(crate) fn key_term(fields: &Fields, kind: DocumentKind, id: Uuid) -> Term {
    Term::from_field_bytes(fields.key, &key_of(kind, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::schema;

    fn split(text: &str) -> Result<Vec<Vec<String>>, SearchError> {
        clauses(text, &mut schema::words())
            .map(|clauses| clauses.into_iter().map(|clause| clause.0).collect())
    }

    #[test]
    fn words_phrases_and_compounds() {
        let found = split(r#"Ångström  "list view" foo-bar"#).unwrap();
        assert_eq!(found, [vec!["angstrom"], vec!["list", "view"], vec!["foo", "bar"]]);
        assert!(split("   ").unwrap().is_empty());
        assert_eq!(split(r#"a"b c"d"#).unwrap(), [vec!["a"], vec!["b", "c"], vec!["d"]]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert!(matches!(split(r#"one "two"#), Err(SearchError::UnclosedQuote { at: 4 })));
        assert!(matches!(split(r#""" !!"#), Err(SearchError::NoWords)));
        assert!(matches!(split(&"x".repeat(1_001)), Err(SearchError::TooLong { bytes: 1_001, .. })));
        assert!(matches!(split(&"x ".repeat(40)), Err(SearchError::TooManyWords { count: 40, .. })));
    }
}
