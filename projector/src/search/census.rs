//! A digest of everything that the documents of an index were made of, to compare an index with its rebuild.

use crate::models::{DigestSum, digest_entity};
use crate::search::document::StoredHit;
use crate::search::schema::{Fields, columns};
use crate::search::searcher::SearchError;
use eventstore::Digest;
use std::collections::HashMap;
use tantivy::schema::Value;
use tantivy::{Searcher, TantivyDocument};

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) documents: u64,
    /// Sum over the documents, so their order does not matter.
    pub(crate) digest: Digest,
}

/// The digest of every document by its name, such as `item:0198…`; of one that is there twice, the sum.
pub(crate) fn by_name(searcher: &Searcher, fields: &Fields) -> Result<HashMap<String, Digest>, SearchError> {
    let unreadable = |error: std::io::Error| SearchError::Index(error.to_string());
    let mut found: HashMap<String, DigestSum> = HashMap::new();
    for segment in searcher.segment_readers() {
        let store = segment.get_store_reader(1).map_err(unreadable)?;
        for document in store.iter::<TantivyDocument>(segment.alive_bitset()) {
            let document = document?;
            let hit = StoredHit::of_document(&document, fields);
            let name = hit
                .map_or_else(|| "unreadable".to_owned(), |hit| format!("{}:{}", hit.kind.as_str(), hit.id));
            let stored =
                document.get_first(fields.hit).and_then(|value| value.as_bytes()).unwrap_or_default();
            found.entry(name).or_default().add(&digest_entity(b'd', stored));
        }
    }
    Ok(found.into_iter().map(|(name, sum)| (name, sum.digest())).collect())
}

/// Counts and digests all documents that are not deleted.
pub(crate) fn census(searcher: &Searcher, fields: &Fields) -> Result<Census, SearchError> {
    let unreadable = |error: std::io::Error| SearchError::Index(error.to_string());
    let mut sum = DigestSum::default();
    let mut documents = 0;
    for segment in searcher.segment_readers() {
        let store = segment.get_store_reader(1).map_err(unreadable)?;
        let contents = segment.fast_fields().u64(columns::CONTENT)?;
        let alive = segment.doc_ids_alive();
        for (doc, document) in alive.zip(store.iter::<TantivyDocument>(segment.alive_bitset())) {
            let document = document?;
            let stored = document.get_first(fields.hit).and_then(|value| value.as_bytes());
            let mut bytes = stored.unwrap_or_default().to_vec();
            bytes.extend_from_slice(&contents.first(doc).unwrap_or_default().to_be_bytes());
            sum.add(&digest_entity(b'd', &bytes));
            documents += 1;
        }
    }
    Ok(Census { documents, digest: sum.digest() })
}
