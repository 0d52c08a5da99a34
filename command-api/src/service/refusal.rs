//! Why an order is not carried out. Every case is a value; what it means over HTTP is said elsewhere.

use super::census::Place;
use domain::DomainError;
use domain::conflict::Conflict;
use eventstore::{AppendError, CommitError, Guard, ReadError, RecordedEvent, StreamId, Version};
use http_kit::auth::Scope;
use serde_json::Value;

/// What was demanded of the target's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The header `If-Match`.
    IfMatch,
    /// The header `If-None-Match`.
    IfNoneMatch,
    /// The member `expectedVersion` of the body.
    ExpectedVersion,
    /// Nothing: others were faster, again and again.
    Retries,
}

/// What happened to the target since the version that the sender saw.
#[derive(Debug, Clone)]
pub struct Since {
    /// What the order would overwrite of it.
    pub conflicts: Vec<Conflict>,
    /// The events, oldest first.
    pub events: Vec<RecordedEvent>,
    /// Whether there are more of them.
    pub truncated: bool,
}

/// Bytes that the answers to all orders of a request show of what happened since: as many as one alone may.
const SHOWN_BYTES_MAX: usize = 8 << 20;

impl Since {
    /// What the answer shows of it, bytes; nearly.
    fn weight(&self) -> usize {
        let events = self.events.iter().filter_map(RecordedEvent::get).map(|event| event.payload().len());
        let values = self.conflicts.iter().flat_map(|conflict| {
            [conflict.base.as_ref(), Some(&conflict.theirs), Some(&conflict.yours)].into_iter().flatten()
        });
        events.chain(values.map(weight_of)).sum()
    }
}

/// How much of what happened since the answers to the orders of one request may still show: one conflict may be megabytes,
/// and there may be thousands.
#[derive(Debug)]
pub(super) struct Shown {
    left: usize,
}

impl Default for Shown {
    fn default() -> Self {
        Self { left: SHOWN_BYTES_MAX }
    }
}

impl Shown {
    /// Leaves out what is too much.
    pub(super) fn cut(&mut self, refusal: &mut Refusal) {
        if let Refusal::VersionConflict { since: Some(since), .. } = refusal {
            match self.left.checked_sub(since.weight()) {
                Some(left) => self.left = left,
                None => **since = Since { conflicts: Vec::new(), events: Vec::new(), truncated: true },
            }
        }
    }
}

fn weight_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight_of).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + weight_of(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

/// Why an order is not carried out.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The domain refuses it.
    #[error("{0}")]
    Domain(#[from] DomainError),
    /// Something that the body refers to is not there or cannot be used.
    #[error("{field}: {error}")]
    Reference {
        /// The member of the body.
        field: &'static str,
        /// What is wrong with it.
        error: DomainError,
    },
    /// The order cannot be read.
    #[error("{detail}")]
    Malformed {
        /// The path to what is wrong.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Two members of the order contradict one another.
    #[error("{detail}")]
    Contradiction {
        /// The member that does not fit.
        field: &'static str,
        /// What it does not fit.
        detail: &'static str,
    },
    /// The token lacks a scope that the order needs.
    #[error("the token lacks the scope {needs}, which this command needs")]
    InsufficientScope {
        /// The scope.
        needs: Scope,
    },
    /// The order names a workspace that is none of the token's tenants.
    #[error("{field}: this workspace is none of the token's tenants")]
    TenantMismatch {
        /// The member that names it.
        field: &'static str,
    },
    /// The order is about an existing thing and does not say which.
    #[error("the id of what the command is about is missing")]
    NoTarget,
    /// The target's version is not the one that was demanded.
    #[error("{stream} is at {}", current.map_or_else(|| "no version".to_owned(), |version| format!("version {version}")))]
    VersionConflict {
        /// The target's stream.
        stream: StreamId,
        /// Where it should be; `None` where it should not exist, or nothing was demanded.
        expected: Option<Version>,
        /// Where it is.
        current: Option<Version>,
        /// Who demanded it.
        demand: Demand,
        /// What happened since the expected version, where the body named it.
        since: Option<Box<Since>>,
    },
    /// The command's name was used before with another content.
    #[error("the idempotency key was used before with another content")]
    KeyReused,
    /// Some commands of an atomic batch were carried out before, not together with the others.
    #[error("some commands of this atomic batch were carried out before, not together with the others")]
    CommandsSplit,
    /// An event or commit would be larger than the log takes.
    #[error("{0}")]
    TooLarge(String),
    /// The log takes no more for the moment.
    #[error("overloaded, try again")]
    Overloaded,
    /// The log takes no more until somebody does something about it.
    #[error("the log is read-only: {0}")]
    ReadOnly(String),
    /// The service is stopping.
    #[error("the service is stopping")]
    Closed,
    /// Writing failed; nobody knows whether the command was recorded. Sending it again is safe with a key.
    #[error("whether the command was recorded is not known: {0}")]
    OutcomeUnknown(String),
    /// What the decision rests on is in the archive, which does not give it now; nothing was written.
    #[error(
        "what this is about is in the log's archive and cannot be fetched now; nothing was changed, try again"
    )]
    InArchive,
    /// The log cannot be read, or holds what this build does not understand: a fault of ours.
    #[error("{0}")]
    Fault(String),
    /// Not a refusal to anybody outside: whoever decides about columns with a limit waits for their turn at them.
    #[error("the column has a limit")]
    NeedsTurns(Vec<Place>),
    /// Not a refusal to anybody outside: the decision needs what only the log has, on a thread that must not wait for it.
    #[error("a state is not in memory")]
    NotAtHand,
    /// Not a refusal to anybody outside: what the decision rested on has changed, so it is taken again.
    #[error("what the decision rested on has changed")]
    Moved {
        /// The stream or guard that has changed.
        what: String,
        /// The target's stream and version, where that is what has changed.
        current: Option<Version>,
    },
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::InArchive { .. } => Self::InArchive,
            error => Self::Fault(error.to_string()),
        }
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::TooMany { .. }
            | CommitError::EventTooLarge { .. }
            | CommitError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            CommitError::CommandTwice { .. } => Self::Contradiction {
                field: "idempotencyKey",
                detail: "the same idempotency key stands twice in one atomic batch",
            },
            other => Self::Fault(other.to_string()),
        }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::WrongExpectedVersion { stream, current, .. } => {
                Self::Moved { what: stream.to_string(), current }
            }
            AppendError::GuardFailed { guard, current } => Self::Moved {
                what: guard.to_string(),
                current: match guard {
                    Guard::StreamAt(..) => current.map(Version::new),
                    Guard::NoNewer(..) => None,
                },
            },
            AppendError::CommandReused { .. } => Self::KeyReused,
            AppendError::CommandsSplit { .. } => Self::CommandsSplit,
            AppendError::Overloaded => Self::Overloaded,
            AppendError::OutcomeUnknown { reason } => Self::OutcomeUnknown(reason),
            AppendError::ReadOnly { reason } => Self::ReadOnly(reason),
            AppendError::Closed => Self::Closed,
            AppendError::InArchive { .. } => Self::InArchive,
            error @ AppendError::LargerThanSegment { .. } => Self::TooLarge(error.to_string()),
            other => Self::Fault(other.to_string()),
        }
    }
}
