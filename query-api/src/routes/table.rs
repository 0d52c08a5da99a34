//! The whole query API: every operation once. Routes and the served document come from here.
//!
//! An entry says path, name and summary, what answers it, what is answered, what its query may say (beside `minPosition` and
//! `timeoutMs`, which all take), and which problems it has of its own.

mod events;
mod happenings;
mod log;
mod projections;
mod search;
mod things;

use super::operation::Operation;
use std::sync::LazyLock;

/// The table.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let parts = [
        things::workspaces(),
        things::projects(),
        things::boards(),
        things::items(),
        things::people(),
        happenings::happenings(),
        search::search(),
        events::events(),
        events::consumers(),
        log::log(),
        log::audit(),
        projections::projections(),
    ];
    parts.into_iter().flatten().collect()
});

const ABSENT: &[&str] = &["not_found"];
const DELETED: &[&str] = &["gone"];
const TOO_MUCH: &[&str] = &["too_much_history"];
