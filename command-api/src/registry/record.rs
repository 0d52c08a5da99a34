//! A schema in the log: the payload of `schema.registered`.

use super::compat::Compatibility;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The type of the event.
pub(crate) const SCHEMA_REGISTERED: &str = "schema.registered";
/// The version of its payload.
pub(super) const RECORD_VERSION: u16 = 1;

/// What the log keeps of a schema. Further members are passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) version: u16,
    pub(super) schema: Value,
    pub(super) compatibility: Compatibility,
    /// The tenant whose streams it binds; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) workspace_id: Option<Uuid>,
}

impl Record {
    pub(super) fn read(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}
