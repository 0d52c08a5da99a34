//! Named consumers: another service's durable place in the log, and what it could not deal with.
//!
//! ```text
//! sys-consumer-<tenant>-<name>   created · acknowledged · refused · parked · retried · settled · discarded · reset · deleted
//! ```
//!
//! Invariant: every event but an acknowledgement carries the whole state after it, and an acknowledgement carries the cursor
//! and the version of the newest event with a state. So whoever wants to know where a consumer is reads two events, however
//! long its stream is.
//!
//! Invariant: the cursor never passes an event that was not acknowledged or parked, but by a reset, which somebody asked for. What is
//! retried after it was parked has a place of its own and never moves the cursor.

mod decide;
mod name;

pub use decide::{Acknowledged, Refusal, Refuse, Which};
pub use name::{ConsumerName, NAME_LENGTH_MAX, NAME_PATTERN, NameRefused};

use crate::WorkspaceId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the streams of consumers begin with.
pub const STREAM_PREFIX: &str = "sys-consumer-";
/// Consumers of one tenant at most.
pub const CONSUMERS_MAX: usize = 100;
/// Events of one consumer that are parked, or retried after that, at most.
pub const PARKED_MAX: usize = 256;
/// Events of one consumer that are refused for now, at most.
pub const REFUSED_MAX: usize = 64;
/// Characters of a reason at most.
pub const REASON_LENGTH_MAX: usize = 256;
/// Event types of one filter at most.
pub const TYPES_MAX: usize = 64;
/// The version of all payloads.
pub const SCHEMA_VERSION: u16 = 1;

/// The type of an acknowledgement: the only event of a consumer without its state.
pub const ACKNOWLEDGED: &str = "sys.consumer_acknowledged";

/// What the log takes as a name: no control characters.
const TEXT: &str = "^[^\\u0000-\\u001F\\u007F-\\u009F]+$";
/// The same of a category, which ends before the first dash.
const TEXT_WITHOUT_DASH: &str = "^[^\\u0000-\\u001F\\u007F-\\u009F-]+$";

/// Whose consumers: a tenant's, or those that follow every tenant.
pub type Owner = Option<WorkspaceId>;

/// The stream of a consumer. Names are bounded, so it is one of the log's names.
#[must_use]
pub fn stream(owner: Owner, name: &ConsumerName) -> String {
    match owner {
        Some(owner) => format!("{STREAM_PREFIX}{owner}-{name}"),
        None => format!("{STREAM_PREFIX}all-{name}"),
    }
}

/// The tag of what changes which consumers an owner has. The newest event with it lists them.
#[must_use]
pub fn directory_tag(owner: Owner) -> String {
    match owner {
        Some(owner) => format!("sys:consumers:{owner}"),
        None => "sys:consumers:all".to_owned(),
    }
}

/// Which events a consumer gets; all that is said has to hold. The system's own events are never among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ConsumerFilter")]
pub struct Filter {
    /// Those of this stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = TEXT))]
    pub stream: Option<String>,
    /// Those of streams whose names are this, up to their first `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = TEXT_WITHOUT_DASH))]
    pub category: Option<String>,
    /// Those of any of these types; of all types if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 127), regex(pattern = TEXT)))]
    pub types: Vec<String>,
    /// Those with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 127), regex(pattern = TEXT))]
    pub tag: Option<String>,
}

/// What somebody said of a consumer when it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ConsumerSettings")]
pub struct Settings {
    /// Which events it gets.
    pub filter: Filter,
    /// How long nothing has to be acknowledged until what is on its way is delivered again, milliseconds.
    pub ack_timeout_ms: u64,
    /// How often an event is delivered at most before it is parked.
    pub attempts_max: u32,
    /// How many events are on their way at most.
    pub in_flight_max: u32,
}

/// An event that could not be dealt with for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RefusedEvent")]
pub struct Refused {
    /// Its position.
    pub position: u64,
    /// How often it was refused.
    pub attempts: u32,
    /// Not delivered again before this, Unix time in milliseconds.
    pub not_before_ms: i64,
    /// Why, as its consumer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An event that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ParkedEvent")]
pub struct Parked {
    /// Its position.
    pub position: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was parked, Unix time in milliseconds.
    pub at_ms: i64,
    /// Why, as far as somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ConsumerState")]
pub struct State {
    /// Its name, one of its owner's.
    pub name: ConsumerName,
    /// The tenant that it belongs to; absent where it follows every tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    /// As it was created.
    #[serde(flatten)]
    pub settings: Settings,
    /// The next position: everything before it is dealt with, or parked, or retried.
    pub cursor: u64,
    /// How often it was reset. What was delivered before a reset is acknowledged no more.
    pub generation: u64,
    /// What is refused for now, by position; all of it at or after the cursor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// What was parked and is delivered once more, by position; all of it before the cursor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retried: Vec<Refused>,
    /// What was put aside, by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<Parked>,
    /// What was put aside and then forgotten, as long as the cursor has not passed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discarded: Vec<u64>,
}

/// What can happen to a consumer besides an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// It is there.
    Created,
    /// An event is to be delivered again, later.
    Refused,
    /// An event was put aside.
    Parked,
    /// What was put aside is delivered once more.
    Retried,
    /// What was delivered once more has been dealt with.
    Settled,
    /// What was put aside is forgotten.
    Discarded,
    /// It goes on somewhere else.
    Reset,
    /// It is gone; its name is free.
    Deleted,
}

impl Happening {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Refused,
        Self::Parked,
        Self::Retried,
        Self::Settled,
        Self::Discarded,
        Self::Reset,
        Self::Deleted,
    ];

    /// The event's type.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Created => "sys.consumer_created",
            Self::Refused => "sys.consumer_refused",
            Self::Parked => "sys.consumer_parked",
            Self::Retried => "sys.consumer_retried",
            Self::Settled => "sys.consumer_settled",
            Self::Discarded => "sys.consumer_discarded",
            Self::Reset => "sys.consumer_reset",
            Self::Deleted => "sys.consumer_deleted",
        }
    }
}

/// The payload of everything but an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The positions that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<u64>,
    /// The consumers that the owner has after it, where it changes which these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<ConsumerName>>,
    /// The consumer as it is after it; none when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<State>,
}

/// The payload of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advance {
    /// The cursor after it.
    pub cursor: u64,
    /// The version, in the same stream, of the newest event that carries a state.
    pub decided: u64,
}

/// An event of a consumer's stream, as a reader needs it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its version.
    pub version: u64,
    /// Its type.
    pub event_type: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A consumer as its stream says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The version of the newest event.
    pub version: u64,
    /// The version of the newest event that carries a state.
    pub decided: u64,
    /// The consumer; none where it is gone.
    pub state: Option<State>,
}

/// Why a stream does not say where its consumer is.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The log could not be read.
    #[error(transparent)]
    Read(E),
    /// An event is not what this build understands.
    #[error("event {version} of the consumer's stream cannot be understood: {reason}")]
    Unreadable {
        /// Its version.
        version: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Finds out where a consumer is: `read` gives an event of its stream by version, or the newest one. Nothing where there is no stream.
///
/// # Errors
/// When the stream cannot be read, or holds what this build does not understand.
pub fn load<E>(
    mut read: impl FnMut(Option<u64>) -> Result<Option<Stored>, E>,
) -> Result<Option<Known>, LoadError<E>> {
    let unreadable = |version, reason: String| LoadError::Unreadable { version, reason };
    let Some(newest) = read(None).map_err(LoadError::Read)? else { return Ok(None) };
    let version = newest.version;
    let (cursor, decision) = if newest.event_type == ACKNOWLEDGED {
        let advance: Advance = serde_json::from_slice(&newest.payload)
            .map_err(|error| unreadable(version, error.to_string()))?;
        let decision = read(Some(advance.decided)).map_err(LoadError::Read)?;
        let decision = decision
            .ok_or_else(|| unreadable(version, format!("there is no event {} to go by", advance.decided)))?;
        (Some(advance.cursor), decision)
    } else {
        (None, newest)
    };
    let change: Change = serde_json::from_slice(&decision.payload)
        .map_err(|error| unreadable(decision.version, error.to_string()))?;
    let mut state = change.consumer;
    if let (Some(state), Some(cursor)) = (&mut state, cursor) {
        state.advance(cursor);
    }
    Ok(Some(Known { version, decided: decision.version, state }))
}

impl State {
    /// Everything before `cursor` is dealt with, but for what is parked or retried.
    pub fn advance(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
        self.refused.retain(|refused| refused.position >= cursor);
        self.discarded.retain(|position| *position >= cursor);
    }

    /// How often an event was refused, as far as it is refused now.
    #[must_use]
    pub fn refusal_of(&self, position: u64) -> Option<&Refused> {
        self.refused.iter().chain(&self.retried).find(|refused| refused.position == position)
    }

    /// Whether an event is parked.
    #[must_use]
    pub fn is_parked(&self, position: u64) -> bool {
        self.parked.binary_search_by_key(&position, |parked| parked.position).is_ok()
    }

    /// Whether an event is passed over: parked, or discarded before the cursor has come to it.
    #[must_use]
    pub fn is_aside(&self, position: u64) -> bool {
        self.is_parked(position) || self.discarded.binary_search(&position).is_ok()
    }
}

#[cfg(test)]
mod tests;
