//! Control of the projections: each follows its own stream `sys-projection-<name>` and does what stands there.
//!
//! ```text
//! sys-projection-<name> ──followed──▶ letters (what is passed over) ──▶ the live model, beside which builder makes another:
//!        ▲                    └─────▶ rebuild, retry, adopt ──▶ steered ──▶ compared ──▶ swapped (images: CURRENT, too)
//!        └── decisions (clerk) ◀── dead letters, ends of rebuilds ──┘  the projector only
//! ```
//!
//! Invariant: what a model holds is a function of the log before its checkpoint and of the dead letters that are decided.
//! A decision about something that a model has taken in makes it anew, beside the one in use; so whoever failed at the
//! event and whoever did not come to the same digest.
//!
//! Invariant: only the projector decides; whoever else cannot take in an event waits for it, and says so.
//!
//! Invariant: nothing here is state of its own. What was asked for and has no end in the log is begun anew at the next start.

mod builder;
mod compare;
mod decisions;
mod followed;
mod http;
mod letters;
mod progress;
#[cfg(test)]
mod rebuild_tests;
mod steered;
#[cfg(test)]
mod tests;

pub use decisions::{DecisionError, Decisions};
pub use followed::{Controls, state_of};
pub use http::{HttpDecisions, HttpDecisionsError};
pub use progress::{Phase, Underway, underway};

pub(crate) use builder::{Permit, Taken, Wanted};
pub(crate) use compare::{Differences, differences};
pub(crate) use decisions::{Clerk, ClerkThread, Handed};
pub(crate) use followed::{Followed, letters_of};
pub(crate) use letters::Letters;
pub(crate) use progress::Reporter;
pub(crate) use steered::{ImageDir, Role, Steered};

use crate::decode::DecodedEvent;
use domain::system::projections::{ControlEvent, DeadLetterAdded, RepairRequested, bounded};
use eventstore::{Position, Version};
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// What is done when somebody asks for one entity to be made anew: the projection's name, where the log says so, and what. It
/// is called by the thread that feeds the projection, so it SHOULD hand the work to another one, and MUST keep the last
/// argument until it is done: no image is written while somebody has it.
pub type RepairHook = Arc<dyn Fn(&'static str, Position, &RepairRequested, RepairPending) + Send + Sync>;

/// A repair that was asked for and is not done.
#[derive(Debug, Clone, Default)]
pub struct RepairPending(Arc<()>);

impl RepairPending {
    /// Whether anybody else has it.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// An event that a projection cannot take in, and waits to be told what to do about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Where it is.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Its stream.
    pub stream_id: String,
    /// Its version there.
    pub version: Version,
    /// Why it cannot be taken in.
    pub reason: String,
    /// Whether it was taken in half, so that the model has to be made anew.
    pub(crate) is_torn: bool,
}

impl Waiting {
    pub(crate) fn at(event: &DecodedEvent<'_>, reason: &str, is_torn: bool) -> Self {
        Self {
            position: event.view.position(),
            event_id: event.view.id(),
            stream_id: event.view.stream().to_owned(),
            version: event.view.version(),
            reason: bounded(reason),
            is_torn,
        }
    }

    /// The decision that the projector comes to.
    #[must_use]
    pub fn decision(&self) -> ControlEvent {
        ControlEvent::DeadLetterAdded(DeadLetterAdded {
            position: self.position.get(),
            event_id: self.event_id,
            stream_id: self.stream_id.clone(),
            version: self.version.get(),
            reason: self.reason.clone(),
        })
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, stream_id, reason, .. } = self;
        write!(
            f,
            "the event at position {position} ({stream_id}) cannot be taken in: {reason}; a decision of the projector is waited for"
        )
    }
}
