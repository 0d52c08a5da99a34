//! The read side's builder: tails the log into read models and the search index.
//!
//! ```text
//!            ┌─▶ models    ┐
//!            ├─▶ activity  ├ in memory ──now and then──▶ images/<generation>/<name>.img
//!            ├─▶ analytics ┘
//! log ─tail──┤     (documents are made of the models)
//!  (decoded  └─▶ dirty entities ──▶ tantivy commit { documents, checkpoint } ─▶ search/<generation>/
//!   once)
//! ```
//!
//! Invariant: everything here is derived. What it has taken in is named by a lineage (store, next position, chain
//! head); whatever the log does not confirm is built anew from the log.
//!
//! Invariant: one process at a time writes images and index (`control/projector.lock`); any number read them.
//!
//! The read side of the query API lives here too: [`ReadModels`] tails the log into the same models in any process,
//! and [`search::Searcher`] opens the index read-only.

#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

// The tests' support calls this crate by its name.
#[cfg(test)]
extern crate self as projector;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub mod activity;
pub mod analytics;
pub mod audit;
mod backoff;
pub mod checker;
pub mod control;
pub mod decode;
mod failpoint;
mod generation;
pub mod image;
mod lock;
pub mod models;
pub mod notary;
pub mod outlook;
mod pace;
pub mod projection;
mod read_model;
mod read_models;
pub mod rebuild;
mod run;
pub mod search;
mod shared;
mod tail;
pub mod texts;
mod worker;

pub use lock::LockError;
pub use models::Models;
pub use read_model::ReadModel;
pub use read_models::{Following, ReadModels};
pub use rebuild::rebuild;
pub use run::{Connections, Health, Projector, Repairs, StartError, StopError};
pub use shared::{Shared, SharedModels};
