//! Events as they happen: what stands behind `/events/live` and `/boards/{id}/ws`.
//!
//! ```text
//! watermark ─▶ hub (one task: tags of each new commit, once) ─▶ bells of those whom it concerns
//!                                                                 │ "something up to position p"
//! client ◀─ stream (a body that is pulled) ◀─┬─ follower ◀─ reading (the log, from his own position on) ◀─┘
//! client ◀─ board (a WebSocket) ◀────────────┘
//!             └─▶ presence (who else looks at the board, and where; in no log)
//! ```
//!
//! Invariant: nothing is handed over but news that there is something. Events come from the log only, by the same code
//! whether a subscriber is a year behind or live; so there is no seam to lose events at, and none to give them twice.
//!
//! Invariant: a subscriber holds one chunk at most, and no thread while it waits. Whoever does not read falls behind in the
//! log, which is there anyway, and nobody waits for him.

mod board;
mod follower;
mod hub;
mod presence;
mod reading;
mod stream;
mod topics;

pub(crate) use board::{BoardSession, MESSAGE_BYTES_MAX as BOARD_MESSAGE_BYTES_MAX, SUBPROTOCOL, state};
pub(crate) use hub::{Hub, Seat};
pub(crate) use presence::Rooms;
pub(crate) use stream::Subscriber;
pub(crate) use topics::Topic;

/// Subscribers of one process at most. One that waits takes a few kilobytes, its connection included.
pub(crate) const SUBSCRIBERS_MAX: usize = 20_000;
