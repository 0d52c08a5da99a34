//! The fields of the index.
//!
//! Texts are indexed as [words](super::words), and a second time as their English stems, for searches that ask for it.
//! Everything that is sorted by, counted in facets or compared with days is a column (a "fast field") as well.

use crate::search::read_directory::ReadDirectory;
use crate::search::searcher::SearchError;
use crate::search::{stems, words};
use std::path::Path;
use tantivy::Index;
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, STORED, Schema, TextFieldIndexing, TextOptions,
};

/// Version of the fields and of how they are filled: part of every commit's payload. Raise it with any change.
pub const SEARCH_VERSION: u32 = 4;

const WORDS: &str = "words";
const STEMS: &str = "stems";
/// A value as it is.
const RAW: &str = "raw";

/// Names of the columns.
pub(crate) mod columns {
    /// First and second half of the id, and what kind of thing it is: they make every order total.
    pub(crate) const ID_HIGH: &str = "id_high";
    pub(crate) const ID_LOW: &str = "id_low";
    pub(crate) const KIND: &str = "kind_number";
    /// What the document was made of, in 64 bits.
    pub(crate) const CONTENT: &str = "content";
    /// Nanoseconds since 1970.
    pub(crate) const CREATED_AT: &str = "created_at";
    pub(crate) const UPDATED_AT: &str = "updated_at";
    pub(crate) const COMPLETED_AT: &str = "completed_at";
    /// Days since 1970.
    pub(crate) const DUE: &str = "due";
    pub(crate) const PROJECT: &str = "project";
    pub(crate) const BOARD: &str = "board";
    pub(crate) const COLUMN: &str = "column";
    pub(crate) const ASSIGNEE: &str = "assignee";
    pub(crate) const STATE: &str = "state";
    /// `<name> NUL <value>` of the short custom fields, as they are written.
    pub(crate) const FIELD_VALUE: &str = "field_value";
}

/// Handles of the fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// Kind and id: exactly one document has it.
    pub(crate) key: Field,
    /// What a hit says, stored.
    pub(crate) hit: Field,
    pub(crate) kind: Field,
    pub(crate) kind_number: Field,
    pub(crate) id_high: Field,
    pub(crate) id_low: Field,
    /// Stands for everything that the document was made of, for comparisons.
    pub(crate) content: Field,
    pub(crate) workspace: Field,
    pub(crate) project: Field,
    pub(crate) board: Field,
    pub(crate) column: Field,
    pub(crate) item: Field,
    pub(crate) assignee: Field,
    pub(crate) state: Field,
    /// What it has, in the words of `has:`.
    pub(crate) has: Field,
    /// `<name> NUL <value>` of the short custom fields, folded.
    pub(crate) custom: Field,
    /// The same as it is written, as a column.
    pub(crate) field_value: Field,
    pub(crate) external_key: Field,
    /// The folded key, whole and from each of its words on.
    pub(crate) whole_key: Field,
    pub(crate) title: Field,
    pub(crate) text: Field,
    pub(crate) title_stems: Field,
    pub(crate) text_stems: Field,
    pub(crate) created_at: Field,
    pub(crate) updated_at: Field,
    pub(crate) completed_at: Field,
    pub(crate) due: Field,
}

pub(crate) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        TextOptions::default().set_indexing_options(indexing)
    };
    let stems = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(STEMS)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let exactly = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(RAW)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        TextOptions::default().set_indexing_options(indexing)
    };
    let id = || BytesOptions::default().set_indexed();
    let column = || NumericOptions::default().set_fast();
    let fields = Fields {
        key: schema.add_bytes_field("key", id()),
        hit: schema.add_bytes_field("hit", STORED),
        kind: schema.add_text_field("kind", exactly()),
        kind_number: schema.add_u64_field(columns::KIND, column()),
        id_high: schema.add_u64_field(columns::ID_HIGH, column()),
        id_low: schema.add_u64_field(columns::ID_LOW, column()),
        content: schema.add_u64_field(columns::CONTENT, column()),
        workspace: schema.add_bytes_field("workspace", id()),
        project: schema.add_bytes_field(columns::PROJECT, id().set_fast()),
        board: schema.add_bytes_field(columns::BOARD, id().set_fast()),
        column: schema.add_bytes_field(columns::COLUMN, id().set_fast()),
        item: schema.add_bytes_field("item", id()),
        assignee: schema.add_text_field(columns::ASSIGNEE, exactly().set_fast(RAW)),
        state: schema.add_text_field(columns::STATE, exactly().set_fast(RAW)),
        has: schema.add_text_field("has", exactly()),
        custom: schema.add_text_field("custom", exactly()),
        field_value: schema.add_text_field(columns::FIELD_VALUE, TextOptions::default().set_fast(RAW)),
        external_key: schema.add_text_field("external_key", words()),
        whole_key: schema.add_text_field("whole_key", exactly()),
        title: schema.add_text_field("title", words()),
        text: schema.add_text_field("text", words()),
        title_stems: schema.add_text_field("title_stems", stems()),
        text_stems: schema.add_text_field("text_stems", stems()),
        created_at: schema.add_i64_field(columns::CREATED_AT, column()),
        updated_at: schema.add_i64_field(columns::UPDATED_AT, column()),
        completed_at: schema.add_i64_field(columns::COMPLETED_AT, column()),
        due: schema.add_i64_field(columns::DUE, column()),
    };
    (schema.build(), fields)
}

/// Opening and beginning an index go the same way from here.
fn register(index: &Index) {
    index.tokenizers().register(WORDS, words::words());
    index.tokenizers().register(STEMS, stems::stems());
}

/// A new index in an empty directory.
pub(crate) fn create(dir: &Path) -> Result<(Index, Fields), SearchError> {
    let (schema, fields) = schema();
    let index = Index::create_in_dir(dir, schema)?;
    register(&index);
    Ok((index, fields))
}

/// An index that is there.
pub(crate) fn open(dir: &Path) -> Result<(Index, Fields), SearchError> {
    known(Index::open_in_dir(dir)?)
}

/// An index that is only read: without a lock, which would have to be written.
pub(crate) fn open_to_read(dir: &Path) -> Result<(Index, Fields), SearchError> {
    known(Index::open(ReadDirectory::open(dir)?)?)
}

fn known(index: Index) -> Result<(Index, Fields), SearchError> {
    let (schema, fields) = schema();
    // The handles are only right for the very same schema.
    if index.schema() != schema {
        return Err(SearchError::OtherBuild);
    }
    register(&index);
    Ok((index, fields))
}
