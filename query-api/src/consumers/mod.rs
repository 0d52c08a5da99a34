//! Named consumers, as they are given what they want: always from their durable place on, which only the command API moves.
//!
//! ```text
//! sys-consumer-… ─▶ known (where it is) ─▶ session (what is on its way, what comes next; no I/O)
//!                                              │ read from here, so many
//! client ◀─ stream (SSE) or one answer ◀─ reader ◀─ reading (the log)
//!        └─▶ acknowledges at the command API ─▶ sys-consumer-… ─▶ …
//! ```
//!
//! Invariant: what is delivered is in the order of the log, but for what is retried after it was parked, which comes by itself; and
//! everything that is wanted comes until it is acknowledged, parked or discarded.
//! Invariant: one reader at a time reads for a consumer in this process. Another is refused, or takes over, by its own word.
//! Invariant: nobody is woken by an acknowledgement who does not wait for one.
//!
//! Nothing here writes. What was delivered too often is told, to the reader and to whoever listens in this process.

mod known;
mod reader;
mod reading;
mod session;
mod slots;
mod stream;

pub(crate) use known::{Consumer, find, list};
pub(crate) use reader::{News, Reader};
pub(crate) use slots::Slots;
pub(crate) use stream::ConsumerStream;

use domain::WorkspaceId;
use domain::system::consumers::ConsumerName;
use std::fmt;

/// An event that was delivered as often as its consumer allows, and never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The tenant that the consumer belongs to; none where it follows all of them.
    pub workspace: Option<WorkspaceId>,
    /// The consumer.
    pub name: ConsumerName,
    /// The event's position.
    pub position: u64,
    /// How often it was tried.
    pub attempts: u32,
}

/// Who is told of what is exhausted, where somebody in this process can do something about it.
pub(crate) struct Listener(pub(crate) Box<dyn Fn(Exhausted) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
