//! The order of what is found, and the cursors that lead through it.
//!
//! Invariant: the order is total, and where a document stands in it depends on that document and the query alone: not on
//! segments, not on what else is in the index. So a cursor needs no memory of the index that it was made with, and whoever
//! follows cursors gets everything that does not change meanwhile exactly once.
//!
//! The one thing of a score that does depend on the rest of the index, how rare a word is, travels in the cursor.

use crate::search::query::SearchQuery;
use crate::search::searcher::SearchError;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;

/// By what the hits are ordered. What lacks it comes last, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// What fits best first; without words, the latest change first.
    #[default]
    Relevance,
    /// The earliest change first.
    Updated,
    /// The latest change first.
    UpdatedLatest,
    /// What was created earliest first.
    Created,
    /// What was created latest first.
    CreatedLatest,
    /// What is due earliest first.
    Due,
    /// What is due latest first.
    DueLatest,
}

/// Where a document stands: the greatest is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing {
    pub(crate) first: u64,
    pub(crate) second: u64,
    pub(crate) id: Reverse<u128>,
    pub(crate) kind: Reverse<u8>,
}

/// A value of a column as a number of the same order; 0 is left for what has none.
pub(crate) fn ascending(value: Option<i64>) -> u64 {
    value.map_or(0, |value| (value.cast_unsigned() ^ (1 << 63)).max(1))
}

/// The same the other way round, with 0 last as well.
pub(crate) fn descending(value: Option<i64>) -> u64 {
    value.map_or(0, |value| (!(value.cast_unsigned() ^ (1 << 63))).max(1))
}

/// Where a page ended, and how rare the query's words were on the first page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) standing: Standing,
    pub(crate) rarities: Vec<u8>,
}

const VERSION: u8 = 1;
/// Version, fingerprint, standing.
const FIXED_BYTES: usize = 1 + FINGERPRINT_BYTES + 8 + 8 + 16 + 1;
const FINGERPRINT_BYTES: usize = 8;
/// Longer than any cursor that is given out.
const CURSOR_CHARS_MAX: usize = 4_096;

impl Cursor {
    /// The cursor as callers get it: hexadecimal digits that mean nothing to them.
    pub(crate) fn write(&self, query: &SearchQuery) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(fingerprint(query));
        bytes.extend(self.standing.first.to_be_bytes());
        bytes.extend(self.standing.second.to_be_bytes());
        bytes.extend(self.standing.id.0.to_be_bytes());
        bytes.push(self.standing.kind.0);
        bytes.extend(&self.rarities);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Cursor::write`] wrote for the same query.
    pub(crate) fn read(text: &str, query: &SearchQuery) -> Result<Self, SearchError> {
        let bytes = (text.len() <= CURSOR_CHARS_MAX).then(|| bytes_of_hex(text)).flatten();
        let bytes = bytes.filter(|bytes| bytes.len() >= FIXED_BYTES && bytes[0] == VERSION);
        let bytes = bytes.ok_or(SearchError::CursorUnreadable)?;
        let mut rest = &bytes[1..];
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(count);
            rest = left;
            // At most 16 bytes are taken as a number.
            taken.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        let small = |number: u128| u64::try_from(number).unwrap_or_default();
        let print = small(take(FINGERPRINT_BYTES));
        let standing = Standing {
            first: small(take(8)),
            second: small(take(8)),
            id: Reverse(take(16)),
            kind: Reverse(u8::try_from(take(1)).unwrap_or_default()),
        };
        if print != u64::from_be_bytes(fingerprint(query)) {
            return Err(SearchError::CursorForeign);
        }
        Ok(Self { standing, rarities: rest.to_vec() })
    }
}

/// What of a query decides which hits there are and in which order.
fn fingerprint(query: &SearchQuery) -> [u8; FINGERPRINT_BYTES] {
    let SearchQuery {
        expression,
        kind,
        workspace,
        project,
        board,
        column,
        item,
        assignee,
        state,
        sort,
        stem,
        ..
    } = query;
    let filters = (kind, workspace, project, board, column, item, assignee, state, sort, stem);
    let digest = Sha256::digest(format!("{expression} {filters:?}"));
    let mut print = [0; FINGERPRINT_BYTES];
    print.copy_from_slice(&digest[..FINGERPRINT_BYTES]);
    print
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks_exact(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Expression;

    #[test]
    fn orders_put_what_has_no_value_last() {
        let values = [None, Some(i64::MIN), Some(-1), Some(0), Some(1), Some(i64::MAX)];
        assert!(values.iter().is_sorted_by_key(|value| ascending(*value)));
        assert!(values[1..].iter().rev().is_sorted_by_key(|value| descending(*value)));
        assert!(values[1..].iter().all(|value| descending(*value) > descending(None)));
    }

    #[test]
    fn a_cursor_is_read_for_its_own_query_only() {
        let query = SearchQuery { expression: Expression::parse("a b").unwrap(), ..SearchQuery::default() };
        let standing = Standing { first: 7, second: u64::MAX, id: Reverse(u128::MAX - 5), kind: Reverse(2) };
        let cursor = Cursor { standing, rarities: vec![3, 255] };
        let text = cursor.write(&query);
        assert_eq!(Cursor::read(&text, &query).unwrap(), cursor);
        // A page may be longer than the one before.
        assert!(Cursor::read(&text, &SearchQuery { limit: 5, ..query.clone() }).is_ok());
        let other = SearchQuery { sort: Sort::Due, ..query.clone() };
        assert!(matches!(Cursor::read(&text, &other), Err(SearchError::CursorForeign)));
        for text in ["", "x", "zz", "01", "é", &text[..20], &format!("02{}", &text[2..]), &"0".repeat(5_000)]
        {
            assert!(matches!(Cursor::read(text, &query), Err(SearchError::CursorUnreadable)), "{text}");
        }
    }
}
