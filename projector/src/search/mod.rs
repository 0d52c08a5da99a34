//! The search index: items, comments, boards and projects, searchable by their words.
//!
//! ```text
//! dirty ids ──outline (models, under lock)──▶ text (log) ──▶ document ──▶ tantivy commit + lineage in its payload
//! text ──parser──▶ expression ──compile──▶ searcher (read-only) ──walk──▶ total, facets, a page ──text (log)──▶ snippets
//! ```
//!
//! Invariant: the payload of tantivy's own commit names the lineage that the index has taken in, so that index and
//! checkpoint cannot disagree. Documents may be newer than that, never older.
//!
//! Invariant: the index stores no long texts: snippets are made of the log, by reference.
//!
//! Invariant: a document holds ids, and names that are its own; what it belongs to may be renamed without touching it.
//!
//! Column, assignee, state, custom fields and the like are those of items; a comment is found by words, days, workspace,
//! project, board and item.

#[doc(hidden)]
pub mod bare;
mod best;
mod census;
mod compile;
mod document;
mod expression;
mod facets;
mod inspect;
mod negation;
mod order;
mod parser;
mod query;
mod read_directory;
mod schema;
mod score;
mod searcher;
mod snippet;
mod steered;
mod stems;
mod store;
mod suggest;
mod traits;
mod walk;
mod words;
mod writer;

pub(crate) use document::DocumentKey;
pub use document::DocumentKind;
pub use expression::{Expression, Mistake, PlaceNames};
pub use facets::{Facet, FacetCounts, FacetValue};
pub(crate) use inspect::{Found, content_of, damaged_files};
pub use order::Sort;
pub use query::{ItemState, SearchHit, SearchPage, SearchQuery};
pub use schema::SEARCH_VERSION;
pub use searcher::{SearchError, Searcher};
pub(crate) use steered::SteeredSearch;
pub(crate) use store::{Effort, INDEX_DIR, IndexStore};
pub use suggest::Suggestion;
pub(crate) use writer::{SearchProjection, SearchStatus, comments_of};
