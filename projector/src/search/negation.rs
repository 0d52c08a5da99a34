//! Everything that a query does not hold for.
//!
//! tantivy's own exclusion (`Occur::MustNot`) asks the excluded query for documents that it has passed already, against the
//! contract of its scorers: with a phrase inside that is a failed assertion in builds with checks and undefined
//! otherwise (0.27; `projector/tests/search_oracle` finds it at once). So what is excluded is looked up as a set of its own.

use tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{BitSet, DocId, Score, SegmentReader, TantivyError};

/// All documents without those of the query inside.
#[derive(Debug)]
pub(crate) struct Without(pub(crate) Box<dyn Query>);

struct WithoutWeight(Box<dyn Weight>);

impl Clone for Without {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

impl Query for Without {
    fn weight(&self, scoring: EnableScoring<'_>) -> Result<Box<dyn Weight>, TantivyError> {
        Ok(Box::new(WithoutWeight(self.0.weight(scoring)?)))
    }
}

impl Weight for WithoutWeight {
    fn scorer(&self, segment: &SegmentReader, boost: Score) -> Result<Box<dyn Scorer>, TantivyError> {
        let mut left = BitSet::with_max_value_and_full(segment.max_doc());
        self.0.for_each_no_score(segment, &mut |docs| docs.iter().for_each(|doc| left.remove(*doc)))?;
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(left), boost)))
    }

    fn explain(&self, _segment: &SegmentReader, _doc: DocId) -> Result<Explanation, TantivyError> {
        Ok(Explanation::new("everything that is not excluded", 1.0))
    }
}
