//! One walk over all documents that a query holds for: counts them, counts facets, and keeps those of one page.

use crate::search::facets::{Counter, Facet, FacetCounts};
use crate::search::order::{Sort, Standing, ascending, descending};
use crate::search::schema::columns;
use crate::search::score::{ScoredWord, Scorer};
use crate::search::searcher::SearchError;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tantivy::columnar::Column;
use tantivy::query::{EnableScoring, Query};
use tantivy::{DocAddress, DocId, Searcher, SegmentReader, TantivyError};

/// What decides the order of the documents.
pub(crate) struct Ordering<'a> {
    pub(crate) sort: Sort,
    pub(crate) words: &'a [ScoredWord],
    pub(crate) rarities: &'a [u8],
}

/// What to keep of the walk.
pub(crate) struct Wanted<'a> {
    /// Only what stands after this.
    pub(crate) after: Option<Standing>,
    /// This many, the first ones.
    pub(crate) count: usize,
    pub(crate) facets: &'a [Facet],
}

/// What the walk has found.
pub(crate) struct Walked {
    pub(crate) total: u64,
    /// In order, at most as many as were wanted.
    pub(crate) first: Vec<(Standing, DocAddress)>,
    /// Whether anything stands after them.
    pub(crate) is_more: bool,
    pub(crate) facets: Vec<FacetCounts>,
}

pub(crate) fn walk(
    searcher: &Searcher,
    query: &dyn Query,
    ordering: &Ordering<'_>,
    wanted: &Wanted<'_>,
) -> Result<Walked, SearchError> {
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    let mut counters: Vec<_> = wanted.facets.iter().cloned().map(Counter::new).collect();
    let mut best: BinaryHeap<Reverse<(Standing, DocAddress)>> = BinaryHeap::new();
    let (mut total, mut eligible) = (0_u64, 0_u64);
    for (number, segment) in (0..).zip(searcher.segment_readers()) {
        let mut standings = Standings::new(segment, ordering)?;
        let mut counting = Vec::new();
        for (index, counter) in counters.iter().enumerate() {
            counting.extend(counter.begin(segment)?.map(|begun| (index, begun)));
        }
        let alive = segment.alive_bitset();
        weight.for_each_no_score(segment, &mut |docs| {
            for doc in docs.iter().copied().filter(|doc| alive.is_none_or(|alive| alive.is_alive(*doc))) {
                total += 1;
                counting.iter_mut().for_each(|(_, segment)| segment.count(doc));
                let (first, second) = standings.rank(doc);
                let is_before = |bound: &Standing| (first, second) > (bound.first, bound.second);
                // Ids are read only where they may decide.
                if wanted.after.as_ref().is_some_and(is_before) {
                    continue;
                }
                let standing = standings.standing(doc, first, second);
                if wanted.after.is_some_and(|after| standing >= after) {
                    continue;
                }
                eligible += 1;
                best.push(Reverse((standing, DocAddress::new(number, doc))));
                if best.len() > wanted.count {
                    best.pop();
                }
            }
        })?;
        for (index, segment) in &counting {
            counters[*index].end(segment)?;
        }
    }
    let first: Vec<_> = best.into_sorted_vec().into_iter().map(|Reverse(entry)| entry).collect();
    let is_more = u64::try_from(first.len()).is_ok_and(|kept| kept < eligible);
    Ok(Walked { total, first, is_more, facets: counters.into_iter().map(Counter::finish).collect() })
}

/// Where the documents of one segment stand.
struct Standings {
    by: By,
    id_high: Column<u64>,
    id_low: Column<u64>,
    kind: Column<u64>,
}

enum By {
    /// The score, then the latest change.
    Score(Box<Scorer>, Column<i64>),
    Ascending(Column<i64>),
    Descending(Column<i64>),
}

impl Standings {
    fn new(segment: &SegmentReader, ordering: &Ordering<'_>) -> Result<Self, TantivyError> {
        let columns = segment.fast_fields();
        let by = match ordering.sort {
            Sort::Relevance if ordering.words.is_empty() => By::Descending(columns.i64(columns::UPDATED_AT)?),
            Sort::Relevance => {
                let scorer = Scorer::new(ordering.words, ordering.rarities, segment)?;
                By::Score(Box::new(scorer), columns.i64(columns::UPDATED_AT)?)
            }
            Sort::Updated => By::Ascending(columns.i64(columns::UPDATED_AT)?),
            Sort::UpdatedLatest => By::Descending(columns.i64(columns::UPDATED_AT)?),
            Sort::Created => By::Ascending(columns.i64(columns::CREATED_AT)?),
            Sort::CreatedLatest => By::Descending(columns.i64(columns::CREATED_AT)?),
            Sort::Due => By::Ascending(columns.i64(columns::DUE)?),
            Sort::DueLatest => By::Descending(columns.i64(columns::DUE)?),
        };
        Ok(Self {
            by,
            id_high: columns.u64(columns::ID_HIGH)?,
            id_low: columns.u64(columns::ID_LOW)?,
            kind: columns.u64(columns::KIND)?,
        })
    }

    /// What decides first: the greater, the earlier.
    fn rank(&mut self, doc: DocId) -> (u64, u64) {
        match &mut self.by {
            By::Score(scorer, updated_at) => (scorer.score(doc), ascending(updated_at.first(doc))),
            // The smallest value has to be the greatest rank.
            By::Ascending(column) => (descending(column.first(doc)), 0),
            By::Descending(column) => (ascending(column.first(doc)), 0),
        }
    }

    fn standing(&self, doc: DocId, first: u64, second: u64) -> Standing {
        let half = |column: &Column<u64>| u128::from(column.first(doc).unwrap_or_default());
        let kind = u8::try_from(self.kind.first(doc).unwrap_or_default()).unwrap_or_default();
        let id = half(&self.id_high) << 64 | half(&self.id_low);
        Standing { first, second, id: Reverse(id), kind: Reverse(kind) }
    }
}
