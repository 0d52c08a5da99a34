//! Boards' views as they were last written: what many look at is written once, until something on the board has changed.
//!
//! Invariant: a view is given only with the mark that its board has now (`Models::touched`), read under the lock that is
//! held while it is looked up; whoever sees the board sees the same view, and that is asked before.
//!
//! Invariant: bytes are bounded. What does not fit makes a clean sweep: the next look writes it again.

use crate::answers::board::Window;
use axum::body::Bytes;
use axum::http::HeaderValue;
use dashmap::DashMap;
use domain::BoardId;
use eventstore::Position;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of all views together.
const BYTES_MAX: usize = 64 << 20;
/// Bytes of a view that is kept: larger ones are rare, and would push out many.
const VIEW_BYTES_MAX: usize = 1 << 20;
/// What a view costs beside its bytes, roughly.
const OVERHEAD_BYTES: usize = 256;

/// All views that are kept.
#[derive(Debug, Default)]
pub(crate) struct Views {
    kept: DashMap<(BoardId, Window), View>,
    bytes: AtomicUsize,
}

/// A view as JSON, with its tag.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The board's mark when it was copied.
    pub(crate) touched: (u64, Position),
    pub(crate) body: Bytes,
    pub(crate) tag: HeaderValue,
}

impl View {
    fn cost(&self) -> usize {
        self.body.len() + OVERHEAD_BYTES
    }
}

impl Views {
    /// The view, if it is still the one of a board with this mark.
    pub(crate) fn get(&self, board: BoardId, window: Window, touched: (u64, Position)) -> Option<View> {
        let view = self.kept.get(&(board, window))?;
        (view.touched == touched).then(|| view.clone())
    }

    /// Keeps a view, in place of an older one.
    pub(crate) fn keep(&self, board: BoardId, window: Window, view: View) {
        if view.body.len() > VIEW_BYTES_MAX {
            return;
        }
        let cost = view.cost();
        // Those who come at the same time may miscount each other's by a view, until the next sweep.
        if self.bytes.fetch_add(cost, Ordering::Relaxed) + cost > BYTES_MAX {
            self.kept.clear();
            self.bytes.store(cost, Ordering::Relaxed);
        }
        if let Some(old) = self.kept.insert((board, window), view) {
            let less = |bytes: usize| Some(bytes.saturating_sub(old.cost()));
            let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn view(touched: u64, bytes: usize) -> View {
        View {
            touched: (0, Position::new(touched)),
            body: vec![b' '; bytes].into(),
            tag: HeaderValue::from_static("W/\"\""),
        }
    }

    #[test]
    fn a_view_counts_as_long_as_its_board_has_the_mark() {
        let (views, board) = (Views::default(), BoardId::new(Uuid::from_u128(1)));
        let window = Window { column: None, offset: 0, limit: 50 };
        views.keep(board, window, view(7, 100));
        assert!(views.get(board, window, (0, Position::new(7))).is_some());
        assert!(views.get(board, window, (0, Position::new(8))).is_none());
        assert!(views.get(board, Window { limit: 49, ..window }, (0, Position::new(7))).is_none());
        assert!(views.get(board, window, (1, Position::new(7))).is_none(), "of other models");
        views.keep(board, window, view(8, 50));
        assert!(views.get(board, window, (0, Position::new(7))).is_none());
        assert_eq!(views.bytes.load(Ordering::Relaxed), 50 + OVERHEAD_BYTES);
    }

    #[test]
    fn they_stay_within_their_bound() {
        let (views, board) = (Views::default(), BoardId::new(Uuid::from_u128(1)));
        for offset in 0..1_000 {
            views.keep(board, Window { column: None, offset, limit: 50 }, view(1, 500_000));
            let bytes: usize = views.kept.iter().map(|view| view.cost()).sum();
            assert!(bytes <= BYTES_MAX);
            assert_eq!(bytes, views.bytes.load(Ordering::Relaxed));
        }
        let window = Window { column: None, offset: 0, limit: 1 };
        views.keep(board, window, view(1, VIEW_BYTES_MAX + 1));
        assert!(views.get(board, window, (0, Position::new(1))).is_none());
    }
}
