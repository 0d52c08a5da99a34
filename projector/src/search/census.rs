//! A digest of everything that the documents of an index were made of, to compare an index with its rebuild.

use crate::models::{DigestSum, digest_entity};
use crate::search::schema::{Fields, columns};
use crate::search::searcher::SearchError;
use eventstore::Digest;
use tantivy::schema::Value;
use tantivy::{Searcher, TantivyDocument};

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) documents: u64,
    /// Sum over the documents, so their order does not matter.
    pub(crate) digest: Digest,
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
