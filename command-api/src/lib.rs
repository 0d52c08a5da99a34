//! The write side: commands over HTTP, decided by the domain, appended to the log.
//!
//! ```text
//! request ─▶ routes ─▶ request (headers, body) ──▶ service ─▶ domain decides ─▶ log appends
//!                  └─▶ envelope (a batch) ────────▶   │
//! answer  ◀─ answer (receipt) · problems (refusal) ◀──┘
//! ```
//!
//! Invariant: this is the only writer of the domain's streams, and it knows nothing of the read side.
//! Invariant: an answer with a position means that everything before that position is on disk.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod archive;
mod caller;
mod consumers;
mod entity_tags;
mod envelope;
mod figures;
mod openapi;
mod problems;
mod projections;
mod recorded;
mod registry;
mod request;
mod routes;
pub mod service;
mod state;
mod streams;

pub use archive::{ArchiveLedger, record_archived};
pub use consumers::Consumers;
pub use problems::problem;
pub use projections::ProjectionControl;
pub use registry::{Compatibility, Difference, Registry};
pub use routes::router;
pub use service::CommandService;
pub use state::AppState;
