//! Schemas of bodies and answers, made by schemars from the types that read and write them.
//!
//! Invariant: a component is named after its operation, or after its type where several share it; two types of one
//! name are an error that a test finds, never `Update2`.

use crate::routes::operation::{Operation, SchemaOf, TARGET, is_uuid};
use domain::limits::NAME_CHARS_MAX;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The names that the log takes (of streams, types, tags): no control characters.
pub(crate) const NAME: &str = "^[^\\u0000-\\u001F\\u007F-\\u009F]+$";

/// Where components stand.
const COMPONENTS: &str = "/components/schemas";

/// The schemas of a document, as they are asked for.
pub(super) struct Schemas {
    generator: SchemaGenerator,
    named: Map<String, Value>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = COMPONENTS.into();
            settings.meta_schema = None;
        });
        let mut named = Map::new();
        named.insert("Problem".to_owned(), super::parts::problem());
        named.insert("Version".to_owned(), super::parts::version());
        Self { generator: settings.into_generator(), named }
    }

    /// Refers to a schema under a name of its own.
    pub(super) fn component(&mut self, name: &str, schema: SchemaOf) -> Value {
        if !self.named.contains_key(name) {
            let schema = self.plain(schema);
            self.named.insert(name.to_owned(), schema);
        }
        json!({"$ref": format!("#{COMPONENTS}/{name}")})
    }

    /// What an operation reads, without what the path says, and with what may be demanded of the version.
    pub(super) fn body(&mut self, operation: &Operation) -> Option<Body> {
        let mut schema = self.plain(operation.body?);
        let mut in_path = Map::new();
        for &name in operation.parameters.iter().filter(|name| **name != TARGET) {
            let member = schema.get_mut("properties").and_then(Value::as_object_mut);
            let member = member.and_then(|members| members.remove(name));
            in_path.insert(name.to_owned(), member.unwrap_or_else(|| parameter(name)));
            if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|member| member != name);
            }
        }
        let is_required = schema["required"].as_array().is_some_and(|members| !members.is_empty());
        if let Some(schema) = schema.as_object_mut()
            && !is_required
        {
            schema.remove("required");
        }
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
        let name = type_name(operation.id);
        self.named.insert(name.clone(), schema);
        let reference = json!({"$ref": format!("#{COMPONENTS}/{name}")});
        Some(Body { reference, is_required, in_path })
    }

    pub(super) fn plain(&mut self, schema: SchemaOf) -> Value {
        let mut schema = schema(&mut self.generator).to_value();
        if let Some(members) = schema.as_object_mut() {
            // The component's name says it.
            members.remove("title");
        }
        schema
    }

    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut components = self.generator.take_definitions(true);
        components.extend(self.named);
        components
    }
}

/// Stands for [`Problem`](http_kit::problem::Problem) in answers that carry some: the document's own component.
pub(crate) struct AnyProblem;

impl JsonSchema for AnyProblem {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::new_ref(format!("#{COMPONENTS}/Problem"))
    }
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
    json!({"$ref": format!("#{COMPONENTS}/Version"), "description": what})
}

/// `board.add_column` as the name of a type: `BoardAddColumn`.
pub(super) fn type_name(id: &str) -> String {
    let words = id.split(['.', '_']).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;
    use crate::routes::table::OPERATIONS;

    #[test]
    fn no_two_types_share_a_name() {
        let document = document(&OPERATIONS);
        let components = document["components"]["schemas"].as_object().unwrap();
        let doubtful: Vec<&String> =
            components.keys().filter(|name| name.ends_with(|last: char| last.is_ascii_digit())).collect();
        assert!(doubtful.is_empty(), "schemars tells types of one name apart by a number: {doubtful:?}");
        assert!(components.len() > OPERATIONS.len() / 2);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    for (name, value) in members {
                        match value {
                            Value::String(text) if name == "$ref" => found.push(text.clone()),
                            value => references(value, found),
                        }
                    }
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document(&OPERATIONS);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for reference in found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }
}
