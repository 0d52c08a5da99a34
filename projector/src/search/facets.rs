//! Facets: how many of all hits have which value.
//!
//! Invariant: every hit of the query is counted, whatever page is asked for, and nothing else is: the counts come from
//! the same walk as the hits.

use crate::search::schema::columns;
use crate::search::searcher::SearchError;
use std::collections::HashMap;
use std::ops::{Bound, Range};
use tantivy::columnar::BytesColumn;
use tantivy::{DocId, SegmentReader};
use uuid::Uuid;

/// Facets of one search.
pub(crate) const FACETS_MAX: usize = 10;
/// Values of a facet that are told.
const VALUES_MAX: usize = 20;

/// What is counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facet {
    /// People.
    Assignee,
    /// Boards.
    Board,
    /// Columns.
    Column,
    /// Projects.
    Project,
    /// `open` and `completed`.
    State,
    /// The values of a custom field, as they are written.
    Field(String),
}

/// The most frequent values of a facet, the most frequent one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetCounts {
    /// What was counted by.
    pub facet: Facet,
    /// Values with the number of hits that have them; at most 20.
    pub values: Vec<(FacetValue, u64)>,
}

/// A value that was counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FacetValue {
    /// Of a board, a column or a project.
    Id(Uuid),
    /// Of anything else.
    Text(String),
}

impl Facet {
    /// The facet of a name: `assignee`, `board`, `column`, `project`, `state` or `field.<name>`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "assignee" => Self::Assignee,
            "board" => Self::Board,
            "column" => Self::Column,
            "project" => Self::Project,
            "state" => Self::State,
            _ => Self::Field(name.strip_prefix("field.").filter(|field| !field.is_empty())?.to_owned()),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Assignee => "assignee".to_owned(),
            Self::Board => "board".to_owned(),
            Self::Column => "column".to_owned(),
            Self::Project => "project".to_owned(),
            Self::State => "state".to_owned(),
            Self::Field(name) => format!("field.{name}"),
        }
    }

    fn column(&self, segment: &SegmentReader) -> Result<Option<BytesColumn>, tantivy::TantivyError> {
        let columns = segment.fast_fields();
        let text = |name| Ok(columns.str(name)?.map(BytesColumn::from));
        match self {
            Self::Assignee => text(columns::ASSIGNEE),
            Self::State => text(columns::STATE),
            Self::Field(_) => text(columns::FIELD_VALUE),
            Self::Board => columns.bytes(columns::BOARD),
            Self::Column => columns.bytes(columns::COLUMN),
            Self::Project => columns.bytes(columns::PROJECT),
        }
    }

    fn value(&self, term: &[u8]) -> Option<FacetValue> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().map(FacetValue::Text);
        match self {
            Self::Board | Self::Column | Self::Project => Uuid::from_slice(term).ok().map(FacetValue::Id),
            Self::Assignee | Self::State => text(term),
            Self::Field(name) => text(term.get(name.len() + 1..)?),
        }
    }
}

/// Counts one facet over all segments.
pub(crate) struct Counter {
    facet: Facet,
    counts: HashMap<FacetValue, u64>,
}

/// Counts one facet in one segment, by the numbers that values have there.
pub(crate) struct SegmentCounter {
    column: BytesColumn,
    wanted: Range<u64>,
    counts: Vec<u32>,
}

impl Counter {
    pub(crate) fn new(facet: Facet) -> Self {
        Self { facet, counts: HashMap::new() }
    }

    /// Begins a segment; nothing where no document of it has any value.
    pub(crate) fn begin(&self, segment: &SegmentReader) -> Result<Option<SegmentCounter>, SearchError> {
        let Some(column) = self.facet.column(segment)? else { return Ok(None) };
        let all = 0..u64::try_from(column.num_terms()).unwrap_or(u64::MAX);
        let wanted = match &self.facet {
            Facet::Field(name) => {
                // Everything that begins with the name and NUL is before the name and the byte after NUL.
                let (from, to) = (format!("{name}\0"), format!("{name}\u{1}"));
                let bounds = column
                    .dictionary()
                    .term_bounds_to_ord(Bound::Included(from), Bound::Excluded(to))
                    .map_err(unreadable)?;
                let from = match bounds.0 {
                    Bound::Included(ord) => ord,
                    Bound::Excluded(ord) => ord.saturating_add(1),
                    Bound::Unbounded => 0,
                };
                let to = match bounds.1 {
                    Bound::Included(ord) => ord.saturating_add(1),
                    Bound::Excluded(ord) => ord,
                    Bound::Unbounded => all.end,
                };
                from.min(all.end)..to.min(all.end)
            }
            _ => all,
        };
        let size = usize::try_from(wanted.end.saturating_sub(wanted.start)).unwrap_or_default();
        Ok(Some(SegmentCounter { column, wanted, counts: vec![0; size] }))
    }

    /// Takes over what a segment has counted.
    pub(crate) fn end(&mut self, segment: &SegmentCounter) -> Result<(), SearchError> {
        let counted = segment.counts.iter().zip(segment.wanted.clone()).filter(|(count, _)| **count > 0);
        let (counts, numbers): (Vec<u32>, Vec<u64>) = counted.map(|(count, number)| (*count, number)).unzip();
        let mut counts = counts.into_iter();
        let told = segment.column.dictionary().sorted_ords_to_term_cb(&numbers, |term| {
            let count = counts.next().unwrap_or_default();
            if let Some(value) = self.facet.value(term) {
                *self.counts.entry(value).or_default() += u64::from(count);
            }
        });
        told.map(|_| ()).map_err(unreadable)
    }

    pub(crate) fn finish(self) -> FacetCounts {
        let mut values: Vec<_> = self.counts.into_iter().collect();
        values.sort_unstable_by(|(one, one_count), (other, other_count)| {
            other_count.cmp(one_count).then_with(|| one.cmp(other))
        });
        values.truncate(VALUES_MAX);
        FacetCounts { facet: self.facet, values }
    }
}

impl SegmentCounter {
    pub(crate) fn count(&mut self, doc: DocId) {
        for number in self.column.term_ords(doc) {
            // Numbers outside of what is wanted belong to other custom fields.
            if let Some(index) =
                number.checked_sub(self.wanted.start).and_then(|index| usize::try_from(index).ok())
                && let Some(count) = self.counts.get_mut(index)
            {
                *count += 1;
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what errors are mapped with")]
fn unreadable(error: std::io::Error) -> SearchError {
    SearchError::Index(error.to_string())
}
