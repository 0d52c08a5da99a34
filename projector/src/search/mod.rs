//! The search index: items, comments, boards and projects, searchable by their words.
//!
//! ```text
//! dirty ids ──outline (models, under lock)──▶ text (log) ──▶ document ──▶ tantivy commit + lineage in its payload
//! query ──▶ terms, filters ──▶ searcher (read-only) ──▶ hits ──text (log)──▶ snippets
//! ```
//!
//! Invariant: the payload of tantivy's own commit names the lineage that the index has taken in, so that index and
//! checkpoint cannot disagree. Documents may be newer than that, never older.
//!
//! Invariant: the index stores no long texts: snippets are made of the log, by reference.
//!
//! Column, assignee and state are those of items; a comment is found by words, workspace, project, board and item.

mod census;
mod document;
mod query;
mod schema;
mod searcher;
mod snippet;
mod store;
mod writer;

pub(crate) use document::DocumentKey;
pub use document::DocumentKind;
pub use query::{ItemState, SearchHit, SearchPage, SearchQuery};
pub use schema::SEARCH_VERSION;
pub use searcher::{SearchError, Searcher};
pub(crate) use store::{Effort, INDEX_DIR, IndexStore};
pub(crate) use writer::{SearchProjection, SearchStatus};
