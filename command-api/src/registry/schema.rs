//! A JSON Schema (2020-12) as callers may register it: checked, with its references followed, compiled.
//!
//! Invariant: what a schema costs is bounded before it is used: its bytes, its depth, its parts after references were
//! followed (so a few references cannot multiply), its patterns. References lead into the schema itself and never in a
//! circle; nothing is ever fetched. Patterns run on an engine without backtracking.
//!
//! `format` and the other annotations are kept and not enforced, as the standard has it.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};
use std::fmt::Write;

/// Longest schema, bytes.
pub(crate) const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// Deepest nesting of a schema, its references followed.
const DEPTH_MAX: usize = 32;
/// Most parts of a schema, its references followed.
const PARTS_MAX: usize = 2_000;
/// Most patterns of a schema.
const PATTERNS_MAX: usize = 100;
/// Largest compiled pattern, bytes.
const PATTERN_BYTES_MAX: usize = 256 << 10;
/// Largest cache of one pattern's automaton, bytes.
const PATTERN_CACHE_BYTES_MAX: usize = 1 << 20;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords whose value is a schema.
const ONE: [&str; 11] = [
    "additionalProperties",
    "items",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value maps names to schemas.
const MAP: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// Other keywords that assert something.
const PLAIN: [&str; 20] = [
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
];
/// Keywords that would make the meaning of a part depend on where it is used, or on other documents.
const REFUSED: [&str; 7] =
    ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"];

/// Why something is not a schema that can be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// JSON pointer to what is wrong.
    pub(crate) pointer: String,
    pub(crate) reason: String,
}

/// A schema that can be used.
#[derive(Debug)]
pub(crate) struct Usable {
    /// With references followed, and without what asserts nothing.
    pub(crate) plain: Value,
    /// What it costs to validate with, roughly.
    pub(crate) parts: usize,
    pub(crate) validator: Validator,
}

/// Checks and compiles a schema.
pub(crate) fn compile(schema: &Value) -> Result<Usable, Unusable> {
    let mut walk = Walk { root: schema, parts: 0, patterns: 0, open: Vec::new(), at: String::new() };
    if let Some(dialect) = schema.get("$schema")
        && dialect.as_str().map(|dialect| dialect.trim_end_matches('#')) != Some(DIALECT)
    {
        return Err(walk.unusable(format!("$schema: only {DIALECT} is understood")));
    }
    let plain = walk.schema(schema, 0)?;
    let parts = walk.parts;
    // The schema as it was sent, so that what is wrong is named where it stands.
    jsonschema::draft202012::meta::validate(schema).map_err(|error| Unusable {
        pointer: error.instance_path().to_string(),
        reason: shortened(&error.masked().to_string()),
    })?;
    let validator = validator(&plain).map_err(|reason| Unusable { pointer: String::new(), reason })?;
    Ok(Usable { plain, parts, validator })
}

/// A validator for a schema whose references were followed.
pub(super) fn validator(plain: &Value) -> Result<Validator, String> {
    let patterns =
        PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_CACHE_BYTES_MAX);
    jsonschema::draft202012::options()
        .with_pattern_options(patterns)
        .should_validate_formats(false)
        .offline()
        .build(plain)
        .map_err(|error| shortened(&error.to_string()))
}

/// What somebody else wrote, as short as an answer should be.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One name as a part of a JSON pointer.
pub(super) fn push_pointer(pointer: &mut String, name: &str) {
    pointer.push('/');
    for character in name.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            character => pointer.push(character),
        }
    }
}

struct Walk<'a> {
    root: &'a Value,
    parts: usize,
    patterns: usize,
    /// References that are being followed.
    open: Vec<&'a str>,
    /// Pointer to the part that is being read.
    at: String,
}

impl<'a> Walk<'a> {
    fn unusable(&self, reason: impl Into<String>) -> Unusable {
        Unusable { pointer: self.at.clone(), reason: reason.into() }
    }

    /// Reads something one step further down.
    fn within<T>(
        &mut self,
        names: &[&str],
        read: impl FnOnce(&mut Self) -> Result<T, Unusable>,
    ) -> Result<T, Unusable> {
        let length = self.at.len();
        for name in names {
            push_pointer(&mut self.at, name);
        }
        let result = read(self)?;
        self.at.truncate(length);
        Ok(result)
    }

    fn schema(&mut self, schema: &'a Value, depth: usize) -> Result<Value, Unusable> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(self.unusable(format!("more than {PARTS_MAX} parts, references followed")));
        }
        if depth > DEPTH_MAX {
            return Err(self.unusable(format!("nested deeper than {DEPTH_MAX}, references followed")));
        }
        let members = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(members) => members,
            _ => return Err(self.unusable("a schema is an object, true or false")),
        };
        let mut plain = Map::new();
        for (name, value) in members {
            let name = name.as_str();
            if REFUSED.contains(&name) {
                return Err(self.unusable(format!("{name} cannot be used: a schema stands for itself")));
            }
            if name == "pattern" || name == "patternProperties" {
                self.patterns += value.as_object().map_or(1, Map::len);
                if self.patterns > PATTERNS_MAX {
                    return Err(self.unusable(format!("more than {PATTERNS_MAX} patterns")));
                }
            }
            let read = if ONE.contains(&name) {
                self.within(&[name], |walk| walk.schema(value, depth + 1))?
            } else if LIST.contains(&name) {
                let list =
                    value.as_array().ok_or_else(|| self.unusable(format!("{name} is a list of schemas")))?;
                let read = list.iter().enumerate().map(|(index, value)| {
                    self.within(&[name, &index.to_string()], |walk| walk.schema(value, depth + 1))
                });
                Value::Array(read.collect::<Result<_, _>>()?)
            } else if MAP.contains(&name) {
                let map = value
                    .as_object()
                    .ok_or_else(|| self.unusable(format!("{name} maps names to schemas")))?;
                let read = map.iter().map(|(key, value)| {
                    let read = self.within(&[name, key], |walk| walk.schema(value, depth + 1))?;
                    Ok((key.clone(), read))
                });
                Value::Object(read.collect::<Result<_, _>>()?)
            } else if PLAIN.contains(&name) {
                value.clone()
            } else {
                continue;
            };
            // It only describes what a string holds.
            if name != "contentSchema" {
                plain.insert(name.to_owned(), read);
            }
        }
        if let Some(reference) = members.get("$ref") {
            let target = self.within(&["$ref"], |walk| walk.reference(reference, depth))?;
            if plain.is_empty() {
                return Ok(target);
            }
            match plain.entry("allOf").or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(all) => all.push(target),
                _ => return Err(self.unusable("allOf is a list of schemas")),
            }
        }
        Ok(Value::Object(plain))
    }

    fn reference(&mut self, reference: &'a Value, depth: usize) -> Result<Value, Unusable> {
        let text = reference.as_str().ok_or_else(|| self.unusable("a reference is a text"))?;
        let pointer = text.strip_prefix('#').ok_or_else(|| {
            self.unusable("only references into the schema itself are followed, as #/$defs/name")
        })?;
        if pointer.contains('%') {
            return Err(self.unusable("references are not percent-encoded here"));
        }
        let target =
            self.root.pointer(pointer).ok_or_else(|| self.unusable("the reference leads nowhere"))?;
        if self.open.contains(&text) {
            return Err(
                self.unusable("the reference leads back to itself; recursive schemas are not supported")
            );
        }
        self.open.push(text);
        let read = self.schema(target, depth + 1)?;
        self.open.pop();
        Ok(read)
    }
}

/// What is wrong with an instance, at most `max` things: where, by what part of the schema, and why.
pub(crate) fn violations(
    validator: &Validator,
    instance: &Value,
    max: usize,
) -> Vec<(String, String, String)> {
    validator
        .iter_errors(instance)
        .take(max)
        .map(|error| {
            let mut reason = String::new();
            // Values can be long, and secret.
            let _ = write!(reason, "{}", error.masked());
            (
                shortened(error.instance_path().as_str()),
                shortened(error.schema_path().as_str()),
                shortened(&reason),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_followed_within_the_schema_only() {
        let schema = json!({
            "$schema": DIALECT, "title": "an order", "type": "object",
            "properties": {"a": {"$ref": "#/$defs/text"}, "$ref": {"type": "string"}},
            "$defs": {"text": {"type": "string", "format": "email"}},
        });
        let usable = compile(&schema).unwrap();
        assert_eq!(
            usable.plain,
            json!({"type": "object", "properties": {"a": {"type": "string"}, "$ref": {"type": "string"}}})
        );
        assert!(usable.validator.is_valid(&json!({"a": "x"})));
        assert!(!usable.validator.is_valid(&json!({"a": 1})));
        let beside =
            compile(&json!({"minLength": 2, "$ref": "#/$defs/t", "$defs": {"t": {"type": "string"}}}));
        assert_eq!(beside.unwrap().plain, json!({"minLength": 2, "allOf": [{"type": "string"}]}));
    }

    #[test]
    fn what_would_cost_too_much_or_reach_outside_is_refused() {
        let mut doubling = Map::new();
        doubling.insert("d0".into(), json!({"type": "string"}));
        for level in 1..25 {
            let below = json!({"$ref": format!("#/$defs/d{}", level - 1)});
            doubling.insert(format!("d{level}"), json!({"allOf": [below, below]}));
        }
        let deep = (0..60).fold(json!({}), |inner, _| json!({"items": inner}));
        for (schema, pointer) in [
            (json!(7), ""),
            (json!({"type": "nothing"}), "/type"),
            (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), ""),
            (json!({"$ref": "https://example.org/x"}), "/$ref"),
            (json!({"$ref": "file:///etc/passwd"}), "/$ref"),
            (json!({"properties": {"a/b": {"$ref": "#/nowhere"}}}), "/properties/a~1b/$ref"),
            (json!({"$ref": "#"}), "/$ref/$ref"),
            (json!({"properties": {"a": {"$ref": "#"}}}), "/properties/a/$ref/properties/a/$ref"),
            (json!({"$id": "x"}), ""),
            (json!({"items": {"$dynamicRef": "#x"}}), "/items"),
            (json!({"pattern": "(?=x)y"}), ""),
            (json!({"pattern": "(a)\\1"}), ""),
            (json!({"pattern": "(a{1000}){1000}"}), ""),
            (json!({"$ref": "#/$defs/d24", "$defs": doubling}), "/$ref/allOf/0/$ref"),
            (deep, "/items/items"),
            (json!({"allOf": vec![json!({"pattern": "x"}); 101]}), "/allOf/100"),
            (json!({"required": ["a", "a"]}), "/required"),
            (json!({"minLength": -1}), "/minLength"),
        ] {
            let unusable = compile(&schema).unwrap_err();
            assert!(unusable.pointer.starts_with(pointer), "{unusable:?} of {schema}");
        }
    }

    #[test]
    fn a_pattern_that_would_backtrack_for_ever_does_not() {
        let usable = compile(&json!({"pattern": "^(a+)+$"})).unwrap();
        assert!(!usable.validator.is_valid(&json!(format!("{}b", "a".repeat(100_000)))));
    }
}
