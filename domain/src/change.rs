//! What an update changed: `{field: {from, to}}`.
//!
//! Invariant: a change is only written down where `from` and `to` differ. A long text (a description)
//! leaves `from` out: the state does not keep it, and the event before this one has it.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One field's change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What it was; left out where it was nothing, or a long text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is now; `null` where it is nothing any more.
    pub to: Value,
}

impl Change {
    /// A change between short values that are kept.
    #[must_use]
    pub fn between(from: Option<Value>, to: Value) -> Self {
        Self { from, to }
    }

    /// A change of a long text, whose former value is not repeated.
    #[must_use]
    pub fn to_text(text: Option<String>) -> Self {
        Self { from: None, to: text.map_or(Value::Null, Value::String) }
    }
}

/// The changes of one update, by field, in the order of the names.
pub type Changes = BTreeMap<String, Change>;

/// Reads a member that may be absent (leave it), `null` (clear it) or a value (set it).
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(source).map(Some)
}
