//! Rules by example, and by random schemas with the validator as the judge.

#![allow(clippy::needless_pass_by_value, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
// The seed of a run is for whoever repeats it.
#![allow(clippy::print_stdout)]

use super::given::{list, types_of};
use super::*;
use crate::registry::schema::validator;
use serde_json::{Map, json};

fn backward(old: Value, new: Value) -> Vec<(String, String)> {
    let plain = |schema: &Value| crate::registry::schema::compile(schema).unwrap().plain;
    let found = differences(&plain(&old), &plain(&new), Compatibility::Backward);
    found.into_iter().map(|difference| (difference.pointer, difference.reason)).collect()
}

#[test]
fn what_loosens_is_compatible_and_what_tightens_is_not() {
    let object = |members: Value, required: Value| json!({"type": "object", "properties": members, "required": required});
    let text = || json!({"type": "string"});
    for (loose, strict, pointer) in [
        (json!({}), json!({"type": "string"}), "/type"),
        (json!({"type": "number"}), json!({"type": "integer"}), "/type"),
        (json!({"type": ["string", "null"]}), json!({"type": "string"}), "/type"),
        (json!({"enum": [1, 2, "x"]}), json!({"enum": [1, "x"]}), ""),
        (json!({"type": "integer"}), json!({"enum": [1, 2]}), "/enum"),
        (json!({"minimum": 1}), json!({"exclusiveMinimum": 1}), "/exclusiveMinimum"),
        (json!({"maximum": 2.5}), json!({"maximum": 2}), "/maximum"),
        (
            json!({"type": "integer", "multipleOf": 2}),
            json!({"type": "integer", "multipleOf": 6}),
            "/multipleOf",
        ),
        (json!({"minLength": 1}), json!({"minLength": 2}), "/minLength"),
        (json!({}), json!({"maxLength": 2}), "/maxLength"),
        (json!({}), json!({"pattern": "^a"}), "/pattern"),
        (json!({"uniqueItems": false}), json!({"uniqueItems": true}), "/uniqueItems"),
        (object(json!({"a": text()}), json!([])), object(json!({"a": text()}), json!(["a"])), "/required"),
        (object(json!({"a": {}}), json!([])), object(json!({"a": text()}), json!([])), "/properties/a/type"),
        (
            json!({"additionalProperties": true}),
            json!({"additionalProperties": false}),
            "/additionalProperties",
        ),
        (json!({}), json!({"additionalProperties": text()}), "/additionalProperties"),
        (json!({"items": {"maximum": 9}}), json!({"items": {"maximum": 8}}), "/items/maximum"),
        (json!({"items": {}}), json!({"prefixItems": [text()]}), "/prefixItems/0/type"),
        (
            json!({"patternProperties": {"^x": {}}}),
            json!({"patternProperties": {"^x": text()}}),
            "/patternProperties/^x/type",
        ),
        (
            json!({"anyOf": [{"type": "null"}, text(), {"type": "integer"}]}),
            json!({"anyOf": [text(), {"type": "integer"}]}),
            "/anyOf",
        ),
        (json!({"anyOf": [{"type": "null"}, text()]}), text(), "/type"),
        (
            json!({"allOf": [{"required": ["a"]}]}),
            json!({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            "/allOf/1/required",
        ),
        (
            json!({"propertyNames": {"minLength": 1}}),
            json!({"propertyNames": {"minLength": 2}}),
            "/propertyNames/minLength",
        ),
        (
            json!({"dependentRequired": {"a": ["b"]}}),
            json!({"dependentRequired": {"a": ["b", "c"]}}),
            "/dependentRequired/a",
        ),
        (
            json!({"contains": {"type": "integer"}, "minContains": 1}),
            json!({"contains": {"type": "integer"}, "minContains": 2}),
            "/contains",
        ),
        (json!(true), json!(false), ""),
    ] {
        assert_eq!(backward(strict.clone(), loose.clone()), [], "{strict} to {loose}");
        assert_eq!(backward(loose.clone(), loose.clone()), [], "{loose} to itself");
        let found = backward(loose.clone(), strict.clone());
        assert_eq!(found.first().map(|(pointer, _)| pointer.as_str()), Some(pointer), "{loose} to {strict}");
    }
}

#[test]
fn what_cannot_be_judged_is_refused() {
    for (old, new) in [
        (json!({"not": {"type": "string"}}), json!({"not": {"type": "null"}})),
        (json!({"oneOf": [{"type": "string"}]}), json!({"oneOf": [{"type": "string"}, {"minimum": 3}]})),
        (
            json!({"if": {"type": "string"}, "then": {"minLength": 1}}),
            json!({"if": {"type": "null"}, "then": {"minLength": 1}}),
        ),
        (json!({"properties": {"a": {}}}), json!({"properties": {"a": {}}, "unevaluatedProperties": false})),
        // What is said of some element does not say what elements have.
        (
            json!({"contains": {"properties": {"a": {"properties": {}}}}}),
            json!({"contains": {"properties": {"a": {"properties": {"b": {"const": 1}}}}}}),
        ),
    ] {
        assert!(!backward(old.clone(), new).is_empty());
        assert_eq!(backward(old.clone(), old), []);
    }
}

#[test]
fn a_member_can_be_added_to_an_open_schema_unless_it_may_have_been_there() {
    let new = json!({"properties": {"a": {}, "b": {"type": "string"}}});
    assert_eq!(backward(json!({"properties": {"a": {}}}), new.clone()), []);
    for old in [
        json!({"properties": {"a": {}}, "additionalProperties": true}),
        json!({"properties": {"a": {}}, "required": ["b"]}),
        json!({"properties": {"a": {}}, "allOf": [{"properties": {"b": {"type": "null"}}}]}),
        json!({"properties": {"a": {}}, "anyOf": [{"properties": {"b": {"type": "null"}}}, {"type": "object"}]}),
        json!({"properties": {"a": {}}, "patternProperties": {"^b": {}}}),
        json!({"properties": {"a": {}}, "oneOf": [{"type": "array"}, {"additionalProperties": {"type": "null"}}]}),
        json!({"properties": {"a": {}}, "dependentSchemas": {"a": {"additionalProperties": true}}}),
        json!({"properties": {"a": {}}, "minProperties": 2}),
    ] {
        let found = backward(old.clone(), new.clone());
        assert!(found.first().is_some_and(|(pointer, _)| pointer.starts_with("/properties/b")), "{old}");
    }
    // Knowing more of the same member is not adding one.
    let nested = |inner: Value| json!({"properties": {"o": inner}, "anyOf": [{"properties": {"o": {"properties": {"b": {"type": "null"}}}}}]});
    let found = backward(nested(json!({})), json!({"properties": {"o": new}}));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn both_directions_are_told_apart() {
    let (old, new) = (
        json!({"type": ["string", "null"], "minLength": 2}),
        json!({"type": ["string", "integer"], "minLength": 1}),
    );
    let breaks = |promise| {
        differences(&old, &new, promise)
            .into_iter()
            .map(|found| (found.breaks, found.pointer))
            .collect::<Vec<_>>()
    };
    assert_eq!(breaks(Compatibility::Backward), [("backward", "/type".to_owned())]);
    assert_eq!(
        breaks(Compatibility::Forward),
        [("forward", "/minLength".to_owned()), ("forward", "/type".to_owned())]
    );
    assert_eq!(breaks(Compatibility::Full).len(), 3);
    assert_eq!(breaks(Compatibility::None), []);
}

/// Random numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'v, T>(&mut self, values: &'v [T]) -> &'v T {
        &values[usize::try_from(self.below(values.len() as u64)).unwrap()]
    }

    fn schemas(&mut self, depth: u64) -> Value {
        Value::Array((0..=self.below(2)).map(|_| self.schema(depth)).collect())
    }

    fn named(&mut self, names: &[&str], depth: u64) -> Value {
        let mut map = Map::new();
        for _ in 0..self.below(3) {
            let name = *self.pick(names);
            map.insert(name.to_owned(), self.schema(depth));
        }
        Value::Object(map)
    }

    fn names(&mut self) -> Value {
        let mut names: Vec<&str> = vec!["a", "b", "ab"];
        names.retain(|_| self.below(3) == 0);
        json!(names)
    }

    fn keyword(&mut self, depth: u64) -> (&'static str, Value) {
        const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
        let small = json!(self.below(4));
        let deeper = if depth == 0 { 20 } else { 38 };
        let inner = depth.saturating_sub(1);
        match self.below(deeper) {
            0..4 => ("type", json!(self.pick(&TYPES))),
            4 => {
                let (one, other) = (*self.pick(&TYPES), *self.pick(&TYPES));
                ("type", if one == other { json!(one) } else { json!([one, other]) })
            }
            5 => ("enum", json!([self.value(1), {"an": "other"}])),
            6 => ("const", self.value(1)),
            7 => (*self.pick(&["minimum", "exclusiveMinimum"]), small),
            8 => (*self.pick(&["maximum", "exclusiveMaximum"]), json!(self.below(8) as f64 / 2.0)),
            9 => ("multipleOf", json!(1 + self.below(4))),
            10 => (*self.pick(&["minLength", "minItems", "minProperties"]), small),
            11 => (*self.pick(&["maxLength", "maxItems", "maxProperties"]), small),
            12 => ("pattern", json!(self.pick(&["^a", "b", "^$"]))),
            13 => ("uniqueItems", json!(self.below(2) == 0)),
            14..17 => ("required", self.names()),
            17 => ("dependentRequired", json!({"a": self.names()})),
            18 => ("minContains", small),
            19 => ("maxContains", small),
            20..26 => ("properties", self.named(&["a", "b", "ab"], inner)),
            26 => ("patternProperties", self.named(&["^a", "b"], inner)),
            27 | 28 => ("additionalProperties", self.schema(inner)),
            29 => ("items", self.schema(inner)),
            30 => ("prefixItems", self.schemas(inner)),
            31 => ("contains", self.schema(inner)),
            32 => ("allOf", self.schemas(inner)),
            33 => ("anyOf", self.schemas(inner)),
            34 => ("oneOf", self.schemas(inner)),
            35 => (*self.pick(&["not", "if", "then", "else"]), self.schema(inner)),
            36 => (
                *self.pick(&["propertyNames", "unevaluatedProperties", "unevaluatedItems"]),
                self.schema(inner),
            ),
            _ => ("dependentSchemas", self.named(&["a", "b"], inner)),
        }
    }

    fn schema(&mut self, depth: u64) -> Value {
        if self.below(12) == 0 {
            return json!(self.below(3) > 0);
        }
        let mut members = Map::new();
        for _ in 0..self.below(5) {
            let (keyword, value) = self.keyword(depth);
            members.insert(keyword.to_owned(), value);
        }
        Value::Object(members)
    }

    /// A schema that differs a little, somewhere.
    fn changed(&mut self, schema: &Value) -> Value {
        let Value::Object(members) = schema else { return self.schema(1) };
        let mut members = members.clone();
        let names: Vec<String> = members.keys().cloned().collect();
        match self.below(4) {
            0 if !names.is_empty() => {
                members.remove(self.pick(&names));
            }
            1 => {
                let (keyword, value) = self.keyword(1);
                members.insert(keyword.to_owned(), value);
            }
            _ if !names.is_empty() => {
                let value = &mut members[self.pick(&names)];
                *value = self.changed_value(value);
            }
            _ => {}
        }
        Value::Object(members)
    }

    fn changed_value(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(map) if map.keys().all(|name| ["a", "b", "ab", "^a"].contains(&name.as_str())) => {
                let mut map = map.clone();
                for value in map.values_mut().filter(|value| value.is_object()) {
                    *value = self.changed(value);
                }
                Value::Object(map)
            }
            Value::Object(_) => self.changed(value),
            Value::Array(parts) if parts.iter().all(Value::is_object) && !parts.is_empty() => {
                let mut parts = parts.clone();
                let at = usize::try_from(self.below(parts.len() as u64)).unwrap();
                parts[at] = self.changed(&parts[at]);
                Value::Array(parts)
            }
            Value::Number(number) => json!(number.as_f64().unwrap_or(0.0) as u64 + self.below(2)),
            Value::Bool(_) => json!(self.below(2) == 0),
            other => other.clone(),
        }
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 6 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(5)),
            3 => json!(self.below(8) as f64 / 2.0),
            4 | 5 => json!(self.pick(&["", "a", "b", "ab", "aab"])),
            6 | 7 => Value::Array((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
            _ => {
                let names: Vec<&str> =
                    ["a", "b", "ab", "zz"].into_iter().filter(|_| self.below(2) == 0).collect();
                Value::Object(
                    names.into_iter().map(|name| (name.to_owned(), self.value(depth - 1))).collect(),
                )
            }
        }
    }

    /// A value that has a good chance to be valid.
    fn value_of(&mut self, schema: &Value, depth: u64) -> Value {
        let Value::Object(members) = schema else { return self.value(depth) };
        if self.below(8) == 0 || depth == 0 {
            return self.value(depth);
        }
        if let Some(Value::Array(values)) = members.get("enum")
            && !values.is_empty()
        {
            return self.pick(values).clone();
        }
        if let Some(value) = members.get("const") {
            return value.clone();
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            if let Some(Value::Array(parts)) = members.get(keyword)
                && self.below(2) == 0
            {
                let mut part = self.pick(parts).clone();
                if let Value::Object(part) = &mut part {
                    for (name, value) in members.iter().filter(|(name, _)| *name != keyword) {
                        part.entry(name).or_insert(value.clone());
                    }
                }
                return self.value_of(&part, depth);
            }
        }
        let says = |names: &[&str]| names.iter().any(|name| members.contains_key(*name));
        let named = members.get("type").map(types_of).unwrap_or_default();
        let is = |name: &str| named.contains(&name);
        if is("object") || (named.is_empty() && says(&["properties", "required", "additionalProperties"])) {
            let mut object = Map::new();
            for (name, schema) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if self.below(4) > 0 {
                    object.insert(name.clone(), self.value_of(schema, depth - 1));
                }
            }
            let further = members.get("additionalProperties").cloned().unwrap_or(json!(true));
            for name in ["a", "b", "ab", "zz"] {
                let wanted = list(schema, "required").contains(&json!(name));
                if !object.contains_key(name) && (wanted || self.below(4) == 0) {
                    object.insert(name.to_owned(), self.value_of(&further, depth - 1));
                }
            }
            return Value::Object(object);
        }
        if is("array") || (named.is_empty() && says(&["items", "prefixItems", "contains"])) {
            let items = members.get("items").or(members.get("contains")).cloned().unwrap_or(json!(true));
            return Value::Array((0..self.below(4)).map(|_| self.value_of(&items, depth - 1)).collect());
        }
        self.value(depth)
    }
}

/// The same schema without members that it does not declare, where it declares some: what events are taken to be.
fn closed(schema: &Value, is_place: bool) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut shut = Map::new();
    for (keyword, value) in members {
        let value = match (keyword.as_str(), value) {
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                parts.iter().map(|part| closed(part, false)).collect()
            }
            ("prefixItems", Value::Array(parts)) => parts.iter().map(|part| closed(part, true)).collect(),
            ("properties" | "patternProperties", Value::Object(map)) => {
                Value::Object(map.iter().map(|(name, value)| (name.clone(), closed(value, true))).collect())
            }
            ("additionalProperties" | "items" | "unevaluatedProperties" | "unevaluatedItems", value) => {
                closed(value, true)
            }
            (_, value) => value.clone(),
        };
        shut.insert(keyword.clone(), value);
    }
    if is_place && declares(schema) && !shut.contains_key("unevaluatedProperties") {
        shut.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
    }
    Value::Object(shut)
}

fn declares(schema: &Value) -> bool {
    let parts = ["allOf", "anyOf", "oneOf"].iter().flat_map(|keyword| list(schema, keyword));
    let more = ["then", "else", "dependentSchemas"].iter().any(|keyword| schema.get(*keyword).is_some());
    more || schema.get("properties").is_some() || parts.into_iter().any(declares)
}

#[test]
fn whatever_is_judged_compatible_is() {
    let seed = std::env::var("SCHEMA_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    println!("SCHEMA_SEED={seed}");
    let rounds = std::env::var("SCHEMA_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4_000);
    let mut dice = Dice(seed);
    let (mut compatible, mut checked) = (0, 0);
    for _ in 0..rounds {
        let old = dice.schema(2);
        let mut new = dice.changed(&old);
        for _ in 0..dice.below(3) {
            new = dice.changed(&new);
        }
        if new == old || !differences(&old, &new, Compatibility::Backward).is_empty() {
            continue;
        }
        let (Ok(was), Ok(is)) = (validator(&closed(&old, true)), validator(&new)) else { continue };
        compatible += 1;
        for _ in 0..40 {
            let value = if dice.below(2) == 0 { dice.value_of(&old, 3) } else { dice.value(3) };
            if was.is_valid(&value) {
                checked += 1;
                assert!(
                    is.is_valid(&value),
                    "SCHEMA_SEED={seed}: {value}\nwas valid under {old}\nand is not under {new}"
                );
            }
        }
    }
    println!("{compatible} of {rounds} pairs compatible, {checked} values checked");
    assert!(compatible > rounds / 10 && checked > rounds, "{compatible} pairs, {checked} values are too few");
}
