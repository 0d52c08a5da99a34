//! What of an item is looked up as a whole: its key, what it has, its short custom fields.

use crate::models::{FieldValue, ItemModel, Name};
use crate::search::expression::Has;
use crate::search::words::{fold, query_words_at};
use eventstore::Position;

/// Words of a key from each of which on it is found by its beginning.
const KEY_TAILS_MAX: usize = 16;
/// Bytes of a custom field's value that is found as a whole.
const VALUE_BYTES_MAX: usize = 100;

/// A custom field's name and value as one term.
pub(crate) fn custom_term(name: &str, value: &str) -> String {
    format!("{name}\0{value}")
}

/// A key folded, whole and from each of its words on: `tidev/mod-17` is found by `mod-1` and by `17` too.
pub(crate) fn key_tails(key: &str) -> Vec<String> {
    query_words_at(key).into_iter().take(KEY_TAILS_MAX).map(|at| fold(&key[at..])).collect()
}

pub(crate) fn described(description_at: Option<Position>) -> Vec<Has> {
    description_at.map(|_| Has::Description).into_iter().collect()
}

pub(crate) fn has(item: &ItemModel) -> Vec<Has> {
    let mut has = described(item.description_at);
    has.extend((!item.comments.is_empty()).then_some(Has::Comments));
    has.extend((!item.attachments.is_empty()).then_some(Has::Attachments));
    has.extend((!item.links.is_empty()).then_some(Has::Links));
    has.extend(item.due_date.map(|_| Has::Due));
    has.extend((!item.assignees.is_empty()).then_some(Has::Assignee));
    has
}

/// The custom fields that have a short value, or a list of such: what can be chosen from, and not what is read.
pub(crate) fn short_values(item: &ItemModel) -> Vec<(Name, String)> {
    let mut values = Vec::new();
    for (name, value) in &item.fields {
        let FieldValue::Json(json) = value else { continue };
        let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { continue };
        let elements = match value {
            serde_json::Value::Array(elements) => elements,
            value => vec![value],
        };
        let first = values.len();
        for element in elements {
            let text = match element {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(is_so) => is_so.to_string(),
                _ => continue,
            };
            // What a list says twice is counted once.
            let is_new = !values[first..].iter().any(|(_, known)| *known == text);
            if is_new && !text.trim().is_empty() && text.len() <= VALUE_BYTES_MAX {
                values.push((name.clone(), text));
            }
        }
    }
    values
}
