//! Schemas, made by schemars from the types that read and write what they describe.
//!
//! Invariant: two types of one name are an error that [`super::judge::shape`] finds, never `Update2`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The names that the log takes (of streams, types, tags): no control characters.
pub const NAME: &str = "^[^\\u0000-\\u001F\\u007F-\\u009F]+$";

/// Where schemas stand in a document.
pub const COMPONENTS: &str = "/components/schemas";

/// Refers to a schema by its name.
#[must_use]
pub fn refer(name: &str) -> Value {
    json!({"$ref": format!("#{COMPONENTS}/{name}")})
}

/// The schemas of a document, as they are asked for.
#[derive(Debug)]
pub struct Schemas {
    generator: SchemaGenerator,
    named: Map<String, Value>,
}

impl Schemas {
    /// Schemas of what is read: a member that may be left out is not required.
    #[must_use]
    pub fn of_what_is_read(problem: Value) -> Self {
        Self::new(SchemaSettings::draft2020_12().for_deserialize(), problem)
    }

    /// Schemas of what is written: a member that is always there is required.
    #[must_use]
    pub fn of_what_is_written(problem: Value) -> Self {
        Self::new(SchemaSettings::draft2020_12().for_serialize(), problem)
    }

    fn new(settings: SchemaSettings, problem: Value) -> Self {
        let settings = settings.with(|settings| {
            settings.definitions_path = COMPONENTS.into();
            settings.meta_schema = None;
        });
        let mut named = Map::new();
        named.insert("Problem".to_owned(), problem);
        named.insert("Version".to_owned(), super::parts::version());
        Self { generator: settings.into_generator(), named }
    }

    /// Puts a schema under a name of its own and refers to it.
    pub fn insert(&mut self, name: &str, schema: Value) -> Value {
        self.named.insert(name.to_owned(), schema);
        refer(name)
    }

    /// Refers to a schema under a name of its own, which is made when it is not there.
    pub fn component(&mut self, name: &str, schema: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Value {
        if !self.named.contains_key(name) {
            let schema = self.plain(schema);
            self.named.insert(name.to_owned(), schema);
        }
        refer(name)
    }

    /// The schema itself.
    pub fn plain(&mut self, schema: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Value {
        let mut schema = schema(&mut self.generator).to_value();
        if let Some(members) = schema.as_object_mut() {
            // The component's name says it.
            members.remove("title");
        }
        bound(&mut schema);
        schema
    }

    /// All of them by name.
    #[must_use]
    pub fn into_components(mut self) -> Map<String, Value> {
        let mut components = self.generator.take_definitions(true);
        components.values_mut().for_each(bound);
        components.extend(self.named);
        components
    }
}

/// Says of what has 64 bits where it ends: `format` alone is an annotation, which binds nobody.
fn bound(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("format").is_some_and(|format| format == "uint64") {
                members.entry("maximum").or_insert_with(|| u64::MAX.into());
            }
            members.values_mut().for_each(bound);
        }
        Value::Array(elements) => elements.iter_mut().for_each(bound),
        _ => {}
    }
}

/// Stands for [`Problem`](crate::problem::Problem) in answers that carry some: the document's own component.
#[derive(Debug)]
pub struct AnyProblem;

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

/// `board.add_column` as the name of a type: `BoardAddColumn`.
#[must_use]
pub fn type_name(id: &str) -> String {
    let words = id.split(['.', '_']).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}
