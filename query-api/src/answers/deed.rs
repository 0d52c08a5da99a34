//! An event as what somebody did: who changed what from what to what.

use crate::rfc3339::Rfc3339;
use domain::codec::{self, Decoded};
use domain::{BoardId, Extras, FieldChange, ItemId, field_changes, tags};
use eventstore::{EventView, Position};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::str::FromStr;
use uuid::Uuid;

/// Characters of a value in a feed; there is more of it in the history.
const VALUE_CHARS_MAX: usize = 200;

/// Who did something, and when.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deed {
    #[schemars(with = "u64")]
    position: Position,
    version: u64,
    event_id: Uuid,
    #[serde(rename = "type")]
    event_type: String,
    time: Rfc3339,
    occurred_at: Option<Rfc3339>,
    actor: Option<String>,
    on_behalf_of: Option<String>,
}

impl Deed {
    pub(crate) fn of(event: &EventView<'_>) -> Self {
        let metadata = event.metadata();
        let extras = Extras::decode(metadata.extras()).ok();
        Self {
            position: event.position(),
            version: event.version().get(),
            event_id: event.id(),
            event_type: event.event_type().to_owned(),
            time: Rfc3339(event.recorded_at()),
            occurred_at: metadata.occurred_at().map(Rfc3339),
            actor: extras.as_ref().map(|extras| extras.actor().to_owned()),
            on_behalf_of: extras.and_then(|extras| extras.on_behalf_of().map(str::to_owned)),
        }
    }

    /// Whose deed it counts as.
    pub(crate) fn person(&self) -> Option<&str> {
        self.on_behalf_of.as_deref().or(self.actor.as_deref())
    }
}

/// What an event changed; nothing where this build does not know it or cannot read it.
pub(crate) fn changes(event: &EventView<'_>) -> Vec<FieldChange> {
    match codec::decode(event.event_type(), event.schema_version(), event.payload()) {
        Ok(Decoded::Known(event)) => field_changes(&event),
        _ => Vec::new(),
    }
}

/// The changes with long values cut short.
pub(crate) fn in_short(mut changes: Vec<FieldChange>) -> Vec<FieldChange> {
    for change in &mut changes {
        shorten(&mut change.to);
        change.from.iter_mut().for_each(shorten);
    }
    changes
}

fn shorten(value: &mut Value) {
    let text = match value {
        Value::String(text) => std::mem::take(text),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() <= VALUE_CHARS_MAX {
                return;
            }
            text
        }
        _ => return,
    };
    *value = Value::String(match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    });
}

/// The board that an event's tags name.
pub(crate) fn board_of(event: &EventView<'_>) -> Option<BoardId> {
    tagged(event, tags::BOARD)
}

/// The item that an event's tags name.
pub(crate) fn item_of(event: &EventView<'_>) -> Option<ItemId> {
    tagged(event, tags::ITEM)
}

fn tagged<T: FromStr>(event: &EventView<'_>, prefix: &str) -> Option<T> {
    event.tags().find_map(|tag| tag.strip_prefix(prefix)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_long_values_are_cut_short() {
        let short = |mut value: Value| {
            shorten(&mut value);
            value
        };
        for same in [json!(null), json!(7), json!("ä".repeat(200)), json!(["a", {"b": 1}])] {
            assert_eq!(short(same.clone()), same);
        }
        assert_eq!(short(json!("ä".repeat(201))), json!(format!("{}…", "ä".repeat(200))));
        let long = short(json!(vec!["word"; 100]));
        assert_eq!(long.as_str().unwrap().chars().count(), 201, "{long}");
    }
}
