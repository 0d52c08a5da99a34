//! What a bench needs to put the index build beside tantivy alone: the same documents, finished.

use crate::control::Letters;
use crate::models::SharedModels;
use crate::search::document::{DocumentKey, Outline};
use crate::search::schema;
use crate::search::searcher::SearchError;
use crate::search::store::{Effort, IndexStore};
use crate::texts::TextReader;
use eventstore::Log;
use std::path::Path;
use tantivy::TantivyDocument;

fn failed(error: &dyn std::fmt::Display) -> SearchError {
    SearchError::Index(error.to_string())
}

/// The documents of everything that is in the models.
///
/// # Errors
/// When the log cannot be read.
pub fn documents(models: &SharedModels, log: &Log) -> Result<Vec<TantivyDocument>, SearchError> {
    let (_, fields) = schema::schema();
    let models = models.read();
    let mut texts = TextReader::of(log);
    let outlines = DocumentKey::all(&models).into_iter().filter_map(|key| Outline::of(&models, key));
    outlines.map(|outline| outline.document(&fields, &mut texts).map_err(|error| failed(&error))).collect()
}

/// Writes documents into a new index in a directory, and nothing else: tantivy alone, with the effort of a rebuild.
///
/// # Errors
/// When the index cannot be written.
pub fn write(dir: &Path, documents: Vec<TantivyDocument>) -> Result<(), SearchError> {
    std::fs::create_dir_all(dir).map_err(|error| failed(&error))?;
    let (index, _) = schema::create(dir)?;
    let mut writer = index.writer_with_num_threads(Effort::REBUILD.threads, Effort::REBUILD.memory)?;
    for document in documents {
        writer.add_document(document)?;
    }
    writer.commit()?;
    Ok(())
}

/// Builds an index of everything that is in the models, as a rebuild does, in a data directory of its own.
///
/// # Errors
/// When the log cannot be read or the index not be written.
pub fn build(data_dir: &Path, models: &SharedModels, log: &Log) -> Result<(), SearchError> {
    let (keys, lineage) = {
        let models = models.read();
        (DocumentKey::all(&models), models.checkpoint())
    };
    let store = IndexStore::begin(data_dir)?;
    let mut writer = store.writer(Effort::REBUILD)?;
    writer.write(&keys, models, log, |_| {})?;
    writer.commit(&lineage, Some(&Letters::default()))?;
    store.make_current(data_dir)
}
