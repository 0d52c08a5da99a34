//! A schema taken apart into requirements, each of which has to follow from what is given.

use super::super::schema::{push_pointer, validator};
use super::given::{Given, declared_anywhere, list, types_of};
use super::{DIFFERENCES_MAX, STEPS_MAX, bounds, members};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(super) type Found = Vec<(String, String)>;

/// Goes through requirements.
pub(super) struct Judge {
    steps: usize,
    /// Names that may be declared in ways that are not looked into.
    pub(super) anywhere: BTreeSet<String>,
    /// Within what is said of some element only (`contains`): that declares nothing for the elements, so they may hold more
    /// than it names.
    pub(super) is_of_some: bool,
}

/// What there is to say of one requirement: nothing, if it follows.
pub(super) type Judged = Result<(), Found>;

pub(super) fn says(pointer: &str, reason: impl Into<String>) -> Found {
    vec![(pointer.to_owned(), reason.into())]
}

pub(super) fn below(pointer: &str, name: &str) -> String {
    let mut pointer = pointer.to_owned();
    push_pointer(&mut pointer, name);
    pointer
}

impl Judge {
    pub(super) fn new(narrow: &Value) -> Self {
        Self { steps: 0, anywhere: declared_anywhere(narrow), is_of_some: false }
    }

    /// What of a schema does not follow from what is given.
    pub(super) fn follows(&mut self, wide: &Value, given: &Given<'_>, at: &str) -> Found {
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
}

pub(super) fn if_given(follows: bool, here: &str, reason: &str) -> Judged {
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
            let value = super::super::schema::shortened(&value.to_string());
            (at.to_owned(), format!("the value {value} is not taken any more"))
        })
        .collect()
}
