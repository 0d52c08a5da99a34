//! The read side's builder: tails the log into read models and the search index.
//!
//! ```text
//!            ┌─▶ models (in memory) ──now and then──▶ images/<generation>/models.img
//! log ─tail──┤        │ documents are made of these
//!  (decoded  └─▶ dirty entities ──▶ tantivy commit { documents, checkpoint } ─▶ search/<generation>/
//!   once)
//! ```
//!
//! Invariant: everything here is derived. What it has taken in is named by a lineage (store, next position, chain
//! head); whatever the log does not confirm is built anew from the log.
//!
//! Invariant: one process at a time writes images and index (`control/projector.lock`); any number read them.
//!
//! The read side of the query API lives here too: [`SharedModels`] tails the log into the same models in any process,
//! and [`search::Searcher`] opens the index read-only.

#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod decode;
mod generation;
pub mod image;
mod lock;
pub mod models;
pub mod projection;
pub mod rebuild;
mod run;
pub mod search;
mod tail;
pub mod texts;

pub use lock::LockError;
pub use models::{Following, Models, SharedModels};
pub use rebuild::rebuild;
pub use run::{Health, Projector, StartError, StopError};
