//! Schemas of what operations read, made by schemars from the types that read it.
//!
//! Invariant: a body is named after its operation, or after its type where several share it.

use crate::routes::operation::{Operation, TARGET, is_uuid};
use domain::limits::NAME_CHARS_MAX;
use http_kit::openapi::{Schemas, refer, type_name};
use serde_json::{Map, Value, json};

/// What an operation reads, without what the path says, and with what may be demanded of the version.
pub(super) fn body_of(operation: &Operation, schemas: &mut Schemas) -> Option<Body> {
    let mut schema = schemas.plain(operation.body?);
    let mut in_path = Map::new();
    for &name in operation.parameters.iter().filter(|name| **name != TARGET) {
        let member = schema.get_mut("properties").and_then(Value::as_object_mut);
        let member = member.and_then(|members| members.remove(name));
        in_path.insert(name.to_owned(), member.unwrap_or_else(|| parameter(name)));
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|member| member != name);
        }
    }
    let demands = schema["required"].as_array().is_some_and(|members| !members.is_empty());
    if let Some(schema) = schema.as_object_mut()
        && !demands
    {
        schema.remove("required");
    }
    // One of several shapes is a demand, too.
    let is_required = demands || ["anyOf", "oneOf"].iter().any(|key| schema.get(key).is_some());
    if operation.reader().is_some() {
        let members = &mut schema["properties"];
        members["expectedVersion"] = version(
            "The version that the target must have, else 409. Where something is to be created, none can hold.",
        );
        members["baseVersion"] =
            version("The same, as the base of what is sent; where both are said they are equal.");
        members["onConflict"] = json!({
            "type": "string",
            "enum": ["reject", "merge", "last_writer_wins"],
            "default": "reject",
            "description": "What becomes of the command where the target has moved on since that version: it is refused, \
                applied if it touches other members, or applied.",
        });
        schema["dependentSchemas"] = json!({"onConflict": {
            "anyOf": [{"required": ["baseVersion"]}, {"required": ["expectedVersion"]}],
        }});
    }
    let reference = schemas.insert(&type_name(operation.id), schema);
    Some(Body { reference, is_required, in_path })
}

/// What an operation reads.
pub(super) struct Body {
    pub(super) reference: Value,
    pub(super) is_required: bool,
    /// Schemas of what the path says.
    pub(super) in_path: Map<String, Value>,
}

/// A parameter that is no member of the data: the target.
pub(super) fn parameter(name: &str) -> Value {
    if name == TARGET || is_uuid(name) {
        json!({"type": "string", "format": "uuid"})
    } else {
        json!({"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX})
    }
}

fn version(what: &str) -> Value {
    let mut version = refer("Version");
    version["description"] = what.into();
    version
}
