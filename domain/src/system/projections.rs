//! Control of the projections: what is asked of them and what was decided about them, one stream each.
//!
//! ```text
//! command API ──appends──▶ sys-projection-<name> ──followed by──▶ projector (carries out, decides)
//!                                                            └──▶ every process with that projection (obeys)
//! ```
//!
//! Invariant: [`ProjectionState`] is a fold of such a stream, the same one for whoever appends to it and whoever obeys.
//! Positions are those of the log, whole numbers here, because this crate does not know the log.

mod state;

pub use state::{DeadLetter, OpenRebuild, ProjectionState, Refused, bounded};

use crate::whole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names of projections that have a stream.
pub const PROJECTIONS: [&str; 4] = ["models", "search", "activity", "analytics"];
/// What the name of a stream begins with, before the projection's name.
pub const STREAM_PREFIX: &str = "sys-projection-";
/// Version of all shapes here.
pub const SCHEMA_VERSION: u16 = 1;
/// Most dead letters of a projection at a time: more are no accident of some events, but something wrong with all.
pub const DEAD_LETTERS_MAX: usize = 10_000;
/// Most positions that one retry names; all of them need no names.
pub const RETRIED_MAX: usize = 1_000;
/// Most differences that are listed of a rebuild; all of them are counted.
pub const DIFFERENCES_MAX: usize = 100;
/// Most bytes of a reason.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Most bytes of an entity's name.
pub const ENTITY_BYTES_MAX: usize = 512;

/// The stream of a projection.
#[must_use]
pub fn stream_of(projection: &str) -> String {
    format!("{STREAM_PREFIX}{projection}")
}

/// The projection whose stream this is, if it is one's.
#[must_use]
pub fn projection_of(stream: &str) -> Option<&'static str> {
    let name = stream.strip_prefix(STREAM_PREFIX)?;
    PROJECTIONS.into_iter().find(|known| *known == name)
}

/// An event of a projection's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum ControlEvent {
    /// Somebody wants it built anew.
    #[serde(rename = "sys.rebuild_requested")]
    RebuildRequested(RebuildRequested),
    /// Nobody wants that any more.
    #[serde(rename = "sys.rebuild_cancelled")]
    RebuildCancelled(RebuildCancelled),
    /// It was built anew, or could not be.
    #[serde(rename = "sys.rebuild_finished")]
    RebuildFinished(RebuildFinished),
    /// An event that it cannot take in is passed over from now on, and all later ones of the same stream.
    #[serde(rename = "sys.dead_letter_added")]
    DeadLetterAdded(DeadLetterAdded),
    /// Dead letters are to be taken in once more, and what was held back behind them.
    #[serde(rename = "sys.dead_letters_retried")]
    DeadLettersRetried(DeadLettersRetried),
    /// One entity is to be made of the log anew.
    #[serde(rename = "sys.repair_requested")]
    RepairRequested(RepairRequested),
}

/// See [`ControlEvent::RebuildRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildRequested {
    /// Names the rebuild.
    pub rebuild_id: Uuid,
    /// Whether it is only built and compared, and what is in use stays in use.
    #[serde(default)]
    pub shadow: bool,
}

/// See [`ControlEvent::RebuildCancelled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildCancelled {
    /// Which one.
    pub rebuild_id: Uuid,
}

/// See [`ControlEvent::RebuildFinished`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebuildFinished {
    /// Which one.
    pub rebuild_id: Uuid,
    /// What became of it.
    pub outcome: RebuildOutcome,
    /// The next position, at which old and new were compared.
    #[serde(deserialize_with = "whole::number")]
    pub position: u64,
    /// What was in use; nothing where that could not be compared at the same position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Built>,
    /// What was built; nothing where that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Built>,
    /// In how many entities they differ.
    #[serde(default, deserialize_with = "whole::number")]
    pub differing: u64,
    /// The first of them, [`DIFFERENCES_MAX`] at most.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RebuildOutcome {
    /// What was built is in use.
    Swapped,
    /// It was compared and put away.
    Compared,
    /// It could not be built.
    Failed,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RebuildSide")]
pub struct Built {
    /// Digest of everything in it, hexadecimal.
    pub digest: String,
    /// Entities of a read model, documents of the search index.
    #[serde(deserialize_with = "whole::number")]
    pub count: u64,
}

/// An entity that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RebuildDifference")]
pub struct Difference {
    /// Its name: kind and id, such as `item:0198…`.
    pub entity: String,
    /// Its digest as it was, hexadecimal; nothing where it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its digest as it was built; nothing where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// See [`ControlEvent::DeadLetterAdded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterAdded {
    /// Where the event is.
    #[serde(deserialize_with = "whole::number")]
    pub position: u64,
    /// Its id.
    pub event_id: Uuid,
    /// Its stream: the key whose later events are held back.
    pub stream_id: String,
    /// Its version in that stream.
    #[serde(deserialize_with = "whole::number")]
    pub version: u64,
    /// Why it cannot be taken in.
    pub reason: String,
}

/// See [`ControlEvent::DeadLettersRetried`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLettersRetried {
    /// Which ones; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Vec<u64>>,
}

/// See [`ControlEvent::RepairRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairRequested {
    /// Names the repair.
    pub repair_id: Uuid,
    /// Kind and id, such as `item:0198…`.
    pub entity: String,
}

impl ControlEvent {
    /// All types.
    pub const TYPES: [&str; 6] = [
        "sys.rebuild_requested",
        "sys.rebuild_cancelled",
        "sys.rebuild_finished",
        "sys.dead_letter_added",
        "sys.dead_letters_retried",
        "sys.repair_requested",
    ];

    /// Its type in the log.
    #[must_use]
    pub fn event_type(&self) -> &'static str {
        let [requested, cancelled, finished, added, retried, repair] = Self::TYPES;
        match self {
            Self::RebuildRequested(_) => requested,
            Self::RebuildCancelled(_) => cancelled,
            Self::RebuildFinished(_) => finished,
            Self::DeadLetterAdded(_) => added,
            Self::DeadLettersRetried(_) => retried,
            Self::RepairRequested(_) => repair,
        }
    }

    /// What the log stores of it: JSON.
    ///
    /// # Errors
    /// Never, as these are structs with string keys.
    pub fn payload(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::RebuildRequested(data) => serde_json::to_vec(data),
            Self::RebuildCancelled(data) => serde_json::to_vec(data),
            Self::RebuildFinished(data) => serde_json::to_vec(data),
            Self::DeadLetterAdded(data) => serde_json::to_vec(data),
            Self::DeadLettersRetried(data) => serde_json::to_vec(data),
            Self::RepairRequested(data) => serde_json::to_vec(data),
        }
    }

    /// What the log stores, read. `None` of a type or version that this build does not know: a newer one wrote it.
    ///
    /// # Errors
    /// When the payload does not have the shape of its type.
    pub fn decode(
        event_type: &str,
        schema_version: u16,
        payload: &[u8],
    ) -> Result<Option<Self>, serde_json::Error> {
        if schema_version > SCHEMA_VERSION {
            return Ok(None);
        }
        let [requested, cancelled, finished, added, retried, repair] = Self::TYPES;
        let read = match event_type {
            t if t == requested => Self::RebuildRequested(serde_json::from_slice(payload)?),
            t if t == cancelled => Self::RebuildCancelled(serde_json::from_slice(payload)?),
            t if t == finished => Self::RebuildFinished(serde_json::from_slice(payload)?),
            t if t == added => Self::DeadLetterAdded(serde_json::from_slice(payload)?),
            t if t == retried => Self::DeadLettersRetried(serde_json::from_slice(payload)?),
            t if t == repair => Self::RepairRequested(serde_json::from_slice(payload)?),
            _ => return Ok(None),
        };
        Ok(Some(read))
    }
}
