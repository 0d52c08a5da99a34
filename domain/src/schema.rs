//! The shapes of commands and events as JSON Schemas (2020-12), made of the same types and limits that the
//! decisions use.
//!
//! A command's schema says what is accepted: a body that it takes is refused only for what the state says, or
//! for what a schema cannot say (bytes instead of characters, depth, ranks out of order). Histories may leave
//! titles and texts empty; the schemas of commands do not say so, those of events do.
//!
//! An event's schema says what was ever written at its version. Further members are allowed: a newer build may
//! have added them.

use crate::{
    event::DomainEvent,
    limits::{FIELD_NAME_CHARS_MAX, NAME_CHARS_MAX, TEXT_BYTES_MAX, TITLE_CHARS_MAX},
};
use schemars::{
    Schema, SchemaGenerator, generate::SchemaSettings, json_schema, transform::RecursiveTransform,
};
use serde_json::{Value, json};

/// More than white space, as a pattern: some character that [`str::trim`] does not take away. Spelt out,
/// because what `\s` means depends on who reads it.
pub const SAYS_SOMETHING: &str =
    r"[^\u0009-\u000D \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]";

/// The schema of an event type at its current version; nothing where the type is not the domain's.
#[must_use]
pub fn of(event_type: &str) -> Option<Value> {
    let (name, version) = DomainEvent::types().find(|(name, _)| *name == event_type)?;
    // Without words: those may be said better at any time, while a shape stays what it is.
    let without_words = RecursiveTransform(|schema: &mut Schema| {
        schema.remove("description");
    });
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(without_words);
    let mut schema = DomainEvent::schema(event_type, settings.into_generator())?;
    schema.insert("title".to_owned(), json!(format!("{name} v{version}")));
    Some(schema.to_value())
}

/// Every event type with its current version and that version's schema.
pub fn all() -> impl Iterator<Item = (&'static str, u16, Value)> {
    DomainEvent::types().filter_map(|(name, version)| of(name).map(|schema| (name, version, schema)))
}

/// What a custom field may be called: for the `propertyNames` of bodies that hold some.
#[must_use]
pub fn field_names() -> Value {
    let mut names = stored_field_names();
    names["not"] = json!({"enum": crate::item::RESERVED_FIELDS});
    names
}

/// A choice has options, a list may have some, and nothing else has any.
pub(crate) fn options_by_kind() -> Value {
    json!([
        {
            "if": {"properties": {"kind": {"const": "choice"}}},
            "then": {"properties": {"options": {"minItems": 1}}, "required": ["options"]}
        },
        {
            "if": {"properties": {"kind": {"not": {"enum": ["choice", "list"]}}}},
            "then": {"properties": {"options": {"maxItems": 0}}}
        }
    ])
}

/// What a custom field was ever called.
pub(crate) fn stored_field_names() -> Value {
    json!({"minLength": 1, "maxLength": FIELD_NAME_CHARS_MAX, "pattern": SAYS_SOMETHING})
}

/// What changes in the name and description of a project or board.
pub(crate) fn label_changes(_: &mut SchemaGenerator) -> Schema {
    changes(&json!({"name": change(&name()), "description": text_change()}))
}

/// What changes in a column.
pub(crate) fn column_changes(_: &mut SchemaGenerator) -> Schema {
    let limit = json!({"type": ["integer", "null"], "minimum": 1, "maximum": u32::MAX});
    changes(&json!({"name": change(&name()), "wipLimit": change(&limit)}))
}

/// What changes in an item.
pub(crate) fn item_changes(_: &mut SchemaGenerator) -> Schema {
    let title = json!({"type": "string", "maxLength": TITLE_CHARS_MAX});
    // `dueDate` is not among them: older logs may have a custom field of this name. See `item::due_date_change`.
    let mut schema = changes(&json!({"title": change(&title), "description": text_change()}));
    schema.insert("propertyNames".to_owned(), stored_field_names());
    schema
}

fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": SAYS_SOMETHING})
}

/// `from` is left out where it was nothing.
fn change(value: &Value) -> Value {
    json!({"type": "object", "properties": {"from": value, "to": value}, "required": ["to"]})
}

/// A long text's former value is not repeated.
fn text_change() -> Value {
    json!({
        "type": "object",
        "properties": {"to": {"type": ["string", "null"], "maxLength": TEXT_BYTES_MAX}},
        "required": ["to"]
    })
}

fn changes(known: &Value) -> Schema {
    json_schema!({
        "type": "object",
        "properties": known,
        "additionalProperties": change(&json!(true))
    })
}
