//! One walk over all documents that a query holds for: counts them, counts facets, and keeps those of one page.

use crate::search::best::{Best, Tie};
use crate::search::facets::{Counter, Facet, FacetCounts};
use crate::search::order::{Sort, Standing, ascending, descending};
use crate::search::schema::columns;
use crate::search::score::{ScoredWord, Scorer};
use crate::search::searcher::SearchError;
use std::cmp::Reverse;
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
    let mut best = Best::new(wanted.count);
    let (mut total, mut eligible) = (0_u64, 0_u64);
    for (number, segment) in (0..).zip(searcher.segment_readers()) {
        let mut standings = Standings::new(segment, ordering)?;
        let ties = Ties::new(segment)?;
        let mut counting = Vec::new();
        for (index, counter) in counters.iter().enumerate() {
            counting.extend(counter.begin(segment)?.map(|begun| (index, begun)));
        }
        let alive = segment.alive_bitset();
        weight.for_each_no_score(segment, &mut |docs| {
            for doc in docs.iter().copied().filter(|doc| alive.is_none_or(|alive| alive.is_alive(*doc))) {
                total += 1;
                counting.iter_mut().for_each(|(_, segment)| segment.count(doc));
                let first = standings.first(doc);
                if wanted.after.is_some_and(|after| !standings.is_after(&after, first, doc, &ties)) {
                    continue;
                }
                eligible += 1;
                if best.may_take(first) {
                    let rank = (first, standings.second(doc));
                    best.take(rank, DocAddress::new(number, doc), |doc| ties.of(doc));
                }
            }
        })?;
        best.end_segment(|doc| ties.of(doc));
        for (index, segment) in &counting {
            counters[*index].end(segment)?;
        }
    }
    let first = best.finish();
    let is_more = u64::try_from(first.len()).is_ok_and(|kept| kept < eligible);
    Ok(Walked { total, first, is_more, facets: counters.into_iter().map(Counter::finish).collect() })
}

/// Where the documents of one segment stand.
enum Standings {
    /// The score, then the latest change.
    Score(Box<Scorer>, Column<i64>),
    Ascending(Column<i64>),
    Descending(Column<i64>),
}

impl Standings {
    fn new(segment: &SegmentReader, ordering: &Ordering<'_>) -> Result<Self, TantivyError> {
        let columns = segment.fast_fields();
        Ok(match ordering.sort {
            Sort::Relevance if ordering.words.is_empty() => {
                Self::Descending(columns.i64(columns::UPDATED_AT)?)
            }
            Sort::Relevance => {
                let scorer = Scorer::new(ordering.words, ordering.rarities, segment)?;
                Self::Score(Box::new(scorer), columns.i64(columns::UPDATED_AT)?)
            }
            Sort::Updated => Self::Ascending(columns.i64(columns::UPDATED_AT)?),
            Sort::UpdatedLatest => Self::Descending(columns.i64(columns::UPDATED_AT)?),
            Sort::Created => Self::Ascending(columns.i64(columns::CREATED_AT)?),
            Sort::CreatedLatest => Self::Descending(columns.i64(columns::CREATED_AT)?),
            Sort::Due => Self::Ascending(columns.i64(columns::DUE)?),
            Sort::DueLatest => Self::Descending(columns.i64(columns::DUE)?),
        })
    }

    /// What decides first: the greater, the earlier. Asked of each document once, in ascending order.
    fn first(&mut self, doc: DocId) -> u64 {
        match self {
            Self::Score(scorer, _) => scorer.score(doc),
            // The smallest value has to be the greatest rank.
            Self::Ascending(column) => descending(column.first(doc)),
            Self::Descending(column) => ascending(column.first(doc)),
        }
    }

    /// What decides between those that are alike in the first.
    fn second(&self, doc: DocId) -> u64 {
        match self {
            Self::Score(_, updated_at) => ascending(updated_at.first(doc)),
            Self::Ascending(_) | Self::Descending(_) => 0,
        }
    }

    /// Whether a document stands after another; no more of it is read than decides.
    fn is_after(&self, other: &Standing, first: u64, doc: DocId, ties: &Ties) -> bool {
        if first != other.first {
            return first < other.first;
        }
        let second = self.second(doc);
        if second != other.second {
            return second < other.second;
        }
        ties.of(doc) < (other.id, other.kind)
    }
}

/// The ids of the documents of one segment.
struct Ties {
    id_high: Column<u64>,
    id_low: Column<u64>,
    kind: Column<u64>,
}

impl Ties {
    fn new(segment: &SegmentReader) -> Result<Self, TantivyError> {
        let columns = segment.fast_fields();
        Ok(Self {
            id_high: columns.u64(columns::ID_HIGH)?,
            id_low: columns.u64(columns::ID_LOW)?,
            kind: columns.u64(columns::KIND)?,
        })
    }

    fn of(&self, doc: DocId) -> Tie {
        let half = |column: &Column<u64>| u128::from(column.first(doc).unwrap_or_default());
        let kind = u8::try_from(self.kind.first(doc).unwrap_or_default()).unwrap_or_default();
        (Reverse(half(&self.id_high) << 64 | half(&self.id_low)), Reverse(kind))
    }
}
