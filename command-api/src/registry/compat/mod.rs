//! Does one schema take everything that another one takes?
//!
//! The rules are sound and not complete: what they let pass is true, what they cannot judge they refuse and say so. A
//! schema is taken apart into single requirements, and each of them has to follow from some part of the other schema:
//! types may widen, lists of values grow, bounds loosen, what was required may no longer be; what is added has to be
//! optional. Alternatives (`anyOf`, `oneOf`) of the narrower side are gone through one by one; of the wider side one of
//! `anyOf` has to take each. `not`, `if` and the `unevaluated…` keywords are only compared: they have to be the same.
//!
//! One assumption stands in place of a proof: where a schema declares members (`properties`) and says nothing about
//! further ones (`additionalProperties` is absent), events are taken to hold none that it does not declare. Otherwise
//! no member could ever be added to an open schema. `additionalProperties: true` says that they may be there, and is
//! taken at its word.
//!
//! Invariant: both schemas are plain (references followed, only what asserts something); see `schema`.

mod bounds;
mod members;

#[cfg(test)]
mod tests;

use super::schema::{push_pointer, validator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What a new version of a schema promises about the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Compatibility {
    /// Who knows the new version can read events of the old one.
    #[default]
    Backward,
    /// Who knows the old version can read events of the new one.
    Forward,
    /// Both.
    Full,
    /// Nothing.
    None,
}

/// Why a promise would be broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Which promise: `backward` or `forward`.
    pub breaks: &'static str,
    /// JSON pointer to what refuses: in the new schema for `backward`, in the old one for `forward`; references followed.
    pub pointer: String,
    /// What is the matter with it.
    pub reason: String,
}

/// Most differences that are told.
const DIFFERENCES_MAX: usize = 50;
/// Most steps that a judgement takes.
const STEPS_MAX: usize = 10_000;

/// What keeps the new schema from promising this about the old one; nothing if it holds.
pub(crate) fn differences(old: &Value, new: &Value, promise: Compatibility) -> Vec<Difference> {
    let judge = |wide: &Value, narrow: &Value, breaks| {
        let mut judge = Judge { steps: 0, anywhere: declared_anywhere(narrow), is_of_some: false };
        let found = judge.follows(wide, &Given::of(narrow), "");
        found.into_iter().take(DIFFERENCES_MAX).map(move |(pointer, reason)| Difference {
            breaks,
            pointer,
            reason,
        })
    };
    let (backward, forward) = match promise {
        Compatibility::Backward => (true, false),
        Compatibility::Forward => (false, true),
        Compatibility::Full => (true, true),
        Compatibility::None => (false, false),
    };
    let mut found = Vec::new();
    if backward {
        found.extend(judge(new, old, "backward"));
    }
    if forward {
        found.extend(judge(old, new, "forward"));
    }
    found
}

type Found = Vec<(String, String)>;

/// What is known of an instance: it is valid under all of these.
#[derive(Debug, Clone)]
struct Given<'a> {
    /// Without their `allOf`, whose parts stand beside them.
    parts: Vec<&'a Value>,
    /// Members that some part of the whole schema declares, alternatives included. `None` where names are given by
    /// patterns, so that any may be declared.
    declared: Option<BTreeSet<&'a str>>,
}

impl<'a> Given<'a> {
    fn of(schema: &'a Value) -> Self {
        Self::of_all(&[schema])
    }

    /// What is known of something that all of these hold for.
    fn of_all(schemas: &[&'a Value]) -> Self {
        let mut given = Self { parts: Vec::new(), declared: Some(BTreeSet::new()) };
        for schema in schemas {
            given.add(schema);
            declare(schema, &mut given.declared);
        }
        given
    }

    fn add(&mut self, schema: &'a Value) {
        self.parts.push(schema);
        for part in list(schema, "allOf") {
            self.add(part);
        }
    }

    /// The same, and an alternative that was declared with it.
    fn and(&self, alternative: &'a Value) -> Self {
        let mut given = self.clone();
        given.add(alternative);
        given
    }

    /// The types that an instance can have.
    fn types(&self) -> BTreeSet<&'a str> {
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

    fn is_impossible(&self) -> bool {
        self.parts.iter().any(|part| **part == Value::Bool(false)) || self.types().is_empty()
    }

    /// The values of a keyword in all parts.
    fn all(&self, keyword: &str) -> impl Iterator<Item = &'a Value> {
        self.parts.iter().filter_map(move |part| part.get(keyword))
    }

    /// The values, if there are only so many.
    fn values(&self) -> Option<Vec<Value>> {
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
fn types_of(said: &Value) -> Vec<&str> {
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

fn list<'a>(schema: &'a Value, keyword: &str) -> &'a [Value] {
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
fn declared_anywhere(schema: &Value) -> BTreeSet<String> {
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

/// Goes through requirements.
struct Judge {
    steps: usize,
    /// Names that may be declared in ways that are not looked into.
    anywhere: BTreeSet<String>,
    /// Within what is said of some element only (`contains`): that declares nothing for the elements, so they may hold more
    /// than it names.
    is_of_some: bool,
}

/// What there is to say of one requirement: nothing, if it follows.
type Judged = Result<(), Found>;

fn says(pointer: &str, reason: impl Into<String>) -> Found {
    vec![(pointer.to_owned(), reason.into())]
}

fn below(pointer: &str, name: &str) -> String {
    let mut pointer = pointer.to_owned();
    push_pointer(&mut pointer, name);
    pointer
}

impl Judge {
    /// What of a schema does not follow from what is given.
    fn follows(&mut self, wide: &Value, given: &Given<'_>, at: &str) -> Found {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return says(at, "it is too complex to be judged");
        }
        let wide_members = match wide {
            Value::Object(members) if !members.is_empty() => members,
            Value::Bool(false) if !given.is_impossible() => {
                return says(at, "nothing is taken here any more");
            }
            _ => return Vec::new(),
        };
        if given.is_impossible() || given.parts.contains(&wide) {
            return Vec::new();
        }
        if let Some(values) = given.values() {
            return refused_values(wide, &values, given, at);
        }
        let mut found = Found::new();
        for (keyword, value) in wide_members {
            // Alternatives are told by their own pointers, everything else by the keyword's.
            let judged = self.requirement(wide_members, keyword, value, given, at);
            if let Err(more) = judged
                && self.by_alternatives(wide_members, keyword, value, given, at).is_err()
            {
                found.extend(more);
            }
            if found.len() >= DIFFERENCES_MAX {
                break;
            }
        }
        found
    }

    /// A requirement may follow from each alternative of what is given.
    fn by_alternatives(
        &mut self,
        wide: &Map<String, Value>,
        keyword: &str,
        value: &Value,
        given: &Given<'_>,
        at: &str,
    ) -> Judged {
        for choice in ["anyOf", "oneOf"] {
            for (number, part) in given.parts.iter().enumerate() {
                let alternatives = list(part, choice);
                if alternatives.is_empty() {
                    continue;
                }
                // Gone through once: what is inside stands for the choice.
                let mut rest = given.clone();
                rest.parts.remove(number);
                let bare = without(part, choice);
                let judged = alternatives.iter().all(|alternative| {
                    self.steps += 1;
                    let mut given = Given { parts: rest.parts.clone(), declared: rest.declared.clone() };
                    given.parts.push(&bare);
                    let given = given.and(alternative);
                    if self.steps > STEPS_MAX {
                        return false;
                    }
                    given.is_impossible()
                        || given.values().is_some_and(|values| {
                            refused_values(&single(wide, keyword, value), &values, &given, at).is_empty()
                        })
                        || self.requirement(wide, keyword, value, &given, at).is_ok()
                        || self.by_alternatives(wide, keyword, value, &given, at).is_ok()
                });
                if judged {
                    return Ok(());
                }
            }
        }
        Err(Found::new())
    }

    fn requirement(
        &mut self,
        wide: &Map<String, Value>,
        keyword: &str,
        value: &Value,
        given: &Given<'_>,
        at: &str,
    ) -> Judged {
        let here = below(at, keyword);
        let types = given.types();
        let about = |names: &[&str]| names.iter().any(|name| types.contains(name));
        let is_vacuous = match keyword {
            "minLength" | "maxLength" | "pattern" => !about(&["string"]),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                !about(&["integer", "fraction"])
            }
            "items" | "prefixItems" | "contains" | "minContains" | "maxContains" | "minItems"
            | "maxItems" | "uniqueItems" | "unevaluatedItems" => !about(&["array"]),
            "properties"
            | "patternProperties"
            | "additionalProperties"
            | "propertyNames"
            | "required"
            | "minProperties"
            | "maxProperties"
            | "dependentRequired"
            | "dependentSchemas"
            | "unevaluatedProperties" => !about(&["object"]),
            _ => false,
        };
        if is_vacuous {
            return Ok(());
        }
        match keyword {
            "type" => {
                let said = types_of(value);
                match types.iter().find(|name| !said.contains(name)) {
                    None => Ok(()),
                    Some(name) => {
                        let name = if *name == "fraction" { "number" } else { name };
                        Err(says(&here, format!("values of the type {name} are not taken any more")))
                    }
                }
            }
            "enum" | "const" => Err(says(&here, "only certain values are taken; others were possible")),
            "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" | "multipleOf" | "minLength"
            | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                bounds::follows(keyword, value, given).map_err(|reason| says(&here, reason))
            }
            "pattern" => if_given(
                given.all("pattern").any(|said| said == value),
                &here,
                "another pattern, or a new one",
            ),
            "uniqueItems" => if_given(
                *value == Value::Bool(false) || given.all("uniqueItems").any(|said| said == value),
                &here,
                "elements must differ now",
            ),
            "required" => members::required(value, given, &here),
            "dependentRequired" => members::dependent_required(value, given, &here),
            "properties" | "patternProperties" | "additionalProperties" => {
                // The three are one requirement; it is judged where the first of them stands.
                let first = ["properties", "patternProperties", "additionalProperties"]
                    .into_iter()
                    .find(|keyword| wide.contains_key(*keyword));
                if first == Some(keyword) { self.members(wide, given, at) } else { Ok(()) }
            }
            "propertyNames" => {
                let said: Vec<&Value> = given.all("propertyNames").collect();
                let mut names = Given::of_all(&said);
                let text = json!({"type": "string"});
                names.parts.push(&text);
                let found = self.follows(value, &names, &here);
                if found.is_empty() { Ok(()) } else { Err(found) }
            }
            "items" | "prefixItems" => {
                let first = if wide.contains_key("prefixItems") { "prefixItems" } else { "items" };
                if first == keyword { self.elements(wide, given, at) } else { Ok(()) }
            }
            "contains" => self.contains(wide, given, &here),
            // They mean nothing without `contains`, with which they are judged.
            "minContains" | "maxContains" | "then" | "else" => Ok(()),
            "allOf" => {
                let mut found = Found::new();
                for (index, part) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(self.follows(part, given, &below(&here, &index.to_string())));
                }
                if found.is_empty() { Ok(()) } else { Err(found) }
            }
            "anyOf" => {
                let alternatives = value.as_array().map_or(&[][..], Vec::as_slice);
                let taken = given.all("anyOf").any(|said| said == value)
                    || alternatives.iter().any(|wide| self.follows(wide, given, &here).is_empty());
                if_given(taken, &here, "no single alternative takes everything that was possible")
            }
            "if" => {
                let same = given.parts.iter().any(|part| {
                    ["if", "then", "else"].iter().all(|keyword| part.get(keyword) == wide.get(*keyword))
                });
                if_given(
                    same || !(wide.contains_key("then") || wide.contains_key("else")),
                    &here,
                    "another condition, or a new one: it cannot be judged",
                )
            }
            "dependentSchemas" => {
                let mut found = Found::new();
                for (name, wide) in value.as_object().into_iter().flatten() {
                    let said: Vec<&Value> =
                        given.all("dependentSchemas").filter_map(|map| map.get(name)).collect();
                    let mut with = given.clone();
                    said.iter().for_each(|said| with.add(said));
                    found.extend(self.follows(wide, &with, &below(&here, name)));
                }
                if found.is_empty() { Ok(()) } else { Err(found) }
            }
            "not" | "oneOf" => if_given(
                given.all(keyword).any(|said| said == value),
                &here,
                "it differs, and cannot be judged",
            ),
            _ => Err(says(&here, "it cannot be judged: everything beside it would have to be the same")),
        }
    }

    fn contains(&mut self, wide: &Map<String, Value>, given: &Given<'_>, here: &str) -> Judged {
        const ALL: [&str; 3] = ["contains", "minContains", "maxContains"];
        let same =
            given.parts.iter().any(|part| ALL.iter().all(|keyword| part.get(keyword) == wide.get(*keyword)));
        if same {
            return Ok(());
        }
        let least = |members: Option<&Value>| members.map_or(Some(1), Value::as_u64);
        let Some(wanted) = least(wide.get("minContains")) else {
            return Err(says(here, "it cannot be judged"));
        };
        let has_most = wide.contains_key("maxContains");
        if wanted == 0 && !has_most {
            return Ok(());
        }
        let was_of_some = std::mem::replace(&mut self.is_of_some, true);
        let follows = !has_most
            && given.parts.iter().any(|part| {
                part.get("contains").is_some_and(|said| {
                    least(part.get("minContains")).is_some_and(|said| said >= wanted)
                        && self.follows(&wide["contains"], &Given::of(said), here).is_empty()
                })
            });
        self.is_of_some = was_of_some;
        if_given(follows, here, "an element that was not demanded, or a limit on such elements")
    }

    /// `items` and `prefixItems`.
    fn elements(&mut self, wide: &Map<String, Value>, given: &Given<'_>, at: &str) -> Judged {
        let prefix = |members: &Value| list(members, "prefixItems").len();
        let wide_prefix = wide.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let longest = given.parts.iter().map(|part| prefix(part)).max().unwrap_or(0).max(wide_prefix.len());
        let most = given.all("maxItems").filter_map(Value::as_u64).min().unwrap_or(u64::MAX);
        let mut found = Found::new();
        // One more than any prefix: all that follow are like it.
        for index in 0..=longest {
            if index as u64 >= most {
                break;
            }
            let (wide, pointer) = match (wide_prefix.get(index), wide.get("items")) {
                (Some(wide), _) => (wide, below(&below(at, "prefixItems"), &index.to_string())),
                (None, Some(wide)) => (wide, below(at, "items")),
                (None, None) => break,
            };
            let said: Vec<&Value> = given
                .parts
                .iter()
                .filter_map(|part| list(part, "prefixItems").get(index).or_else(|| part.get("items")))
                .collect();
            found.extend(self.follows(wide, &Given::of_all(&said), &pointer));
        }
        found.dedup();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

fn if_given(follows: bool, here: &str, reason: &str) -> Judged {
    if follows { Ok(()) } else { Err(says(here, reason)) }
}

/// A part of what is given without one of its keywords.
fn without(part: &Value, keyword: &str) -> Value {
    let mut part = part.clone();
    if let Value::Object(members) = &mut part {
        members.remove(keyword);
        // Its parts stand beside it already.
        members.remove("allOf");
        // They speak of what the others leave over.
        members.remove("unevaluatedProperties");
        members.remove("unevaluatedItems");
    }
    part
}

/// One requirement as a schema of its own; those that belong together stay together.
fn single(wide: &Map<String, Value>, keyword: &str, value: &Value) -> Value {
    const TOGETHER: [&[&str]; 4] = [
        &["properties", "patternProperties", "additionalProperties"],
        &["prefixItems", "items"],
        &["contains", "minContains", "maxContains"],
        &["if", "then", "else"],
    ];
    if keyword.starts_with("unevaluated") {
        return Value::Object(wide.clone());
    }
    match TOGETHER.iter().find(|group| group.contains(&keyword)) {
        Some(group) => Value::Object(
            wide.iter()
                .filter(|(name, _)| group.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        ),
        None => json!({keyword: value}),
    }
}

/// Of so many values, those that were possible and are not taken any more.
fn refused_values(wide: &Value, values: &[Value], given: &Given<'_>, at: &str) -> Found {
    let compiled = validator(wide);
    let known: Result<Vec<_>, _> = given.parts.iter().map(|part| validator(part)).collect();
    let (Ok(compiled), Ok(known)) = (compiled, known) else {
        return says(at, "it cannot be judged");
    };
    values
        .iter()
        .filter(|value| known.iter().all(|known| known.is_valid(value)) && !compiled.is_valid(value))
        .map(|value| {
            let value = super::schema::shortened(&value.to_string());
            (at.to_owned(), format!("the value {value} is not taken any more"))
        })
        .collect()
}
