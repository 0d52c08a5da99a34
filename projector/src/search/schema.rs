//! The fields of the index, and how texts become words.
//!
//! Words are runs of letters and digits, lower-case, without accents (`Ångström` → `angstrom`), at most 100 bytes: what
//! is longer is no word anybody types. No stemming: the texts are in many languages, and log lines and identifiers are
//! as frequent as prose. Scripts that write no spaces are found by whole runs only.

use crate::search::searcher::SearchError;
use std::path::Path;
use tantivy::Index;
use tantivy::schema::{
    BytesOptions, Field, INDEXED, IndexRecordOption, NumericOptions, STORED, Schema, TextFieldIndexing,
    TextOptions,
};
use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};

/// Version of the fields and of how they are filled: part of every commit's payload. Raise it with any change.
pub const SEARCH_VERSION: u32 = 2;

/// Nanoseconds since 1970; what is found without words is ordered by it.
pub(crate) const UPDATED_AT: &str = "updated_at";

const WORDS: &str = "words";
const WORD_BYTES_MAX: usize = 100;

/// Handles of the fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// Kind and id: exactly one document has it.
    pub(crate) key: Field,
    /// What a hit says, stored.
    pub(crate) hit: Field,
    pub(crate) kind: Field,
    pub(crate) workspace: Field,
    pub(crate) project: Field,
    pub(crate) board: Field,
    pub(crate) column: Field,
    pub(crate) item: Field,
    pub(crate) assignee: Field,
    pub(crate) state: Field,
    pub(crate) external_key: Field,
    pub(crate) title: Field,
    pub(crate) text: Field,
    pub(crate) updated_at: Field,
}

/// Turns texts into words.
pub(crate) fn words() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX + 1))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        TextOptions::default().set_indexing_options(indexing)
    };
    let exactly = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let id = || BytesOptions::default().set_indexed();
    let fields = Fields {
        key: schema.add_bytes_field("key", id()),
        hit: schema.add_bytes_field("hit", STORED),
        kind: schema.add_text_field("kind", exactly()),
        workspace: schema.add_bytes_field("workspace", id()),
        project: schema.add_bytes_field("project", id()),
        board: schema.add_bytes_field("board", id()),
        column: schema.add_bytes_field("column", id()),
        item: schema.add_bytes_field("item", id()),
        assignee: schema.add_text_field("assignee", exactly()),
        state: schema.add_text_field("state", exactly()),
        external_key: schema.add_text_field("external_key", words()),
        title: schema.add_text_field("title", words()),
        text: schema.add_text_field("text", words()),
        updated_at: schema.add_i64_field(UPDATED_AT, NumericOptions::default().set_fast() | INDEXED),
    };
    (schema.build(), fields)
}

/// A new index in an empty directory.
pub(crate) fn create(dir: &Path) -> Result<(Index, Fields), SearchError> {
    let (schema, fields) = schema();
    let index = Index::create_in_dir(dir, schema)?;
    index.tokenizers().register(WORDS, words());
    Ok((index, fields))
}

/// An index that is there.
pub(crate) fn open(dir: &Path) -> Result<(Index, Fields), SearchError> {
    let (schema, fields) = schema();
    let index = Index::open_in_dir(dir)?;
    // The handles are only right for the very same schema.
    if index.schema() != schema {
        return Err(SearchError::Index("it has another schema".to_owned()));
    }
    index.tokenizers().register(WORDS, words());
    Ok((index, fields))
}
