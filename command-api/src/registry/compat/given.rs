//! What a schema, with all that stands beside it, says of an instance.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is known of an instance: it is valid under all of these.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    /// Without their `allOf`, whose parts stand beside them.
    pub(super) parts: Vec<&'a Value>,
    /// Members that some part of the whole schema declares, alternatives included. `None` where names are given by
    /// patterns, so that any may be declared.
    pub(super) declared: Option<BTreeSet<&'a str>>,
}

impl<'a> Given<'a> {
    pub(super) fn of(schema: &'a Value) -> Self {
        Self::of_all(&[schema])
    }

    /// What is known of something that all of these hold for.
    pub(super) fn of_all(schemas: &[&'a Value]) -> Self {
        let mut given = Self { parts: Vec::new(), declared: Some(BTreeSet::new()) };
        for schema in schemas {
            given.add(schema);
            declare(schema, &mut given.declared);
        }
        given
    }

    pub(super) fn add(&mut self, schema: &'a Value) {
        self.parts.push(schema);
        for part in list(schema, "allOf") {
            self.add(part);
        }
    }

    /// The same, and an alternative that was declared with it.
    pub(super) fn and(&self, alternative: &'a Value) -> Self {
        let mut given = self.clone();
        given.add(alternative);
        given
    }

    /// The types that an instance can have.
    pub(super) fn types(&self) -> BTreeSet<&'a str> {
        let mut types: BTreeSet<&str> =
            ["null", "boolean", "integer", "fraction", "string", "array", "object"].into();
        for part in &self.parts {
            if let Some(said) = part.get("type") {
                let said = types_of(said);
                types.retain(|known| said.contains(known));
            }
        }
        types
    }

    pub(super) fn is_impossible(&self) -> bool {
        self.parts.iter().any(|part| **part == Value::Bool(false)) || self.types().is_empty()
    }

    /// The values of a keyword in all parts.
    pub(super) fn all(&self, keyword: &str) -> impl Iterator<Item = &'a Value> {
        self.parts.iter().filter_map(move |part| part.get(keyword))
    }

    /// The values, if there are only so many.
    pub(super) fn values(&self) -> Option<Vec<Value>> {
        if let Some(value) = self.all("const").next() {
            return Some(vec![value.clone()]);
        }
        if let Some(Value::Array(values)) = self.all("enum").next() {
            return Some(values.clone());
        }
        let types = self.types();
        types.iter().all(|name| matches!(*name, "null" | "boolean")).then(|| {
            let of =
                |name: &str, values: &[Value]| if types.contains(name) { values.to_vec() } else { vec![] };
            [of("null", &[Value::Null]), of("boolean", &[json!(false), json!(true)])].concat()
        })
    }
}

/// The names of types, with `number` as what it is made of.
pub(super) fn types_of(said: &Value) -> Vec<&str> {
    let names: Vec<&str> = match said {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    names
        .into_iter()
        .flat_map(|name| if name == "number" { vec!["integer", "fraction"] } else { vec![name] })
        .collect()
}

pub(super) fn list<'a>(schema: &'a Value, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Adds the members that a schema declares for the instance itself.
fn declare<'a>(schema: &'a Value, declared: &mut Option<BTreeSet<&'a str>>) {
    let Value::Object(members) = schema else { return };
    for (keyword, value) in members {
        match (keyword.as_str(), value) {
            // What stands behind these can be called anything.
            ("patternProperties" | "propertyNames" | "minProperties", _) => *declared = None,
            ("additionalProperties" | "unevaluatedProperties", value) if *value != Value::Bool(false) => {
                *declared = None;
            }
            ("properties", Value::Object(map)) => {
                if let Some(declared) = declared {
                    declared.extend(map.keys().map(String::as_str));
                }
            }
            ("required", Value::Array(names)) => {
                if let Some(declared) = declared {
                    declared.extend(names.iter().filter_map(Value::as_str));
                }
            }
            ("dependentRequired", Value::Object(map)) => {
                if let Some(declared) = declared {
                    declared.extend(map.keys().map(String::as_str));
                    let names = map.values().filter_map(Value::as_array).flatten();
                    declared.extend(names.filter_map(Value::as_str));
                }
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                parts.iter().for_each(|part| declare(part, declared));
            }
            ("not" | "if" | "then" | "else", part) => declare(part, declared),
            ("dependentSchemas", Value::Object(map)) => {
                if let Some(declared) = declared {
                    declared.extend(map.keys().map(String::as_str));
                }
                map.values().for_each(|part| declare(part, declared));
            }
            _ => {}
        }
    }
}

/// Keywords by which a part of a schema speaks of a member or an element that another part does not know to be the same.
const TANGLED: [&str; 12] = [
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "patternProperties",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Every name that stands anywhere in a schema that is tangled; none of one that is not.
pub(super) fn declared_anywhere(schema: &Value) -> BTreeSet<String> {
    fn collect(value: &Value, is_tangled: &mut bool, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    *is_tangled |= TANGLED.contains(&name.as_str());
                    names.insert(name.clone());
                    collect(value, is_tangled, names);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, is_tangled, names)),
            Value::String(text) => {
                names.insert(text.clone());
            }
            _ => {}
        }
    }
    let (mut is_tangled, mut names) = (false, BTreeSet::new());
    collect(schema, &mut is_tangled, &mut names);
    if is_tangled { names } else { BTreeSet::new() }
}
