//! What a caller is told of its commit, the first time and every time again.

use crate::commit::Outcome;
use crate::names::StreamId;
use crate::numbers::{Position, Timestamp, Version};

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The commit is on disk: it survives a power cut.
    #[default]
    Fsync,
    /// The commit is with the operating system: it survives our process, but a power cut may take the last second.
    Os,
}

/// What an appended commit became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Position of its first event.
    pub first: Position,
    /// The next position after it.
    pub next: Position,
    /// When the log took it in.
    pub recorded_at: Timestamp,
    /// Last version of each stream it touched.
    pub versions: Vec<(StreamId, Version)>,
    /// Whether it changed anything.
    pub outcome: Outcome,
    /// Whether its commands had been carried out before: then this is the first receipt again.
    pub duplicate: bool,
    /// What this store promises when it answers.
    pub durability: Durability,
}
