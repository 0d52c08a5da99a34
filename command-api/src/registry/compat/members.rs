//! Members of objects: which there may be, which there must be, and of what shape.

use super::given::{Given, list};
use super::judge::{Found, Judge, Judged, below, says};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

fn names(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn is_required(name: &str, given: &Given<'_>) -> bool {
    given.parts.iter().flat_map(|part| list(part, "required")).any(|said| said == name)
}

fn judged(found: Found) -> Judged {
    if found.is_empty() { Ok(()) } else { Err(found) }
}

pub(super) fn required(value: &Value, given: &Given<'_>, here: &str) -> Judged {
    let missing = names(value).filter(|name| !is_required(name, given));
    judged(missing.map(|name| (here.to_owned(), format!("{name} is required, and was not"))).collect())
}

pub(super) fn dependent_required(value: &Value, given: &Given<'_>, here: &str) -> Judged {
    let mut found = Found::new();
    for (name, wanted) in value.as_object().into_iter().flatten() {
        let follows = |wanted: &str| {
            is_required(wanted, given)
                || given
                    .all("dependentRequired")
                    .filter_map(|map| map.get(name))
                    .any(|said| names(said).any(|said| said == wanted))
        };
        for wanted in names(wanted).filter(|wanted| !follows(wanted)) {
            found.extend(says(&below(here, name), format!("with {name}, {wanted} is required, and was not")));
        }
    }
    judged(found)
}

fn map<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Map<String, Value>> {
    schema.get(keyword).and_then(Value::as_object)
}

impl Judge {
    /// `properties`, `patternProperties` and `additionalProperties`.
    pub(super) fn members(&mut self, wide: &Map<String, Value>, given: &Given<'_>, at: &str) -> Judged {
        let empty = Map::new();
        let of_wide = |keyword: &str| wide.get(keyword).and_then(Value::as_object).unwrap_or(&empty);
        let (wide_named, wide_patterns) = (of_wide("properties"), of_wide("patternProperties"));
        let further = wide.get("additionalProperties");
        let further_at = below(at, "additionalProperties");
        let mut found = Found::new();

        for (pattern, wide) in wide_patterns {
            // A member that the pattern names is only known by the same pattern.
            let said: Vec<&Value> =
                given.all("patternProperties").filter_map(|patterns| patterns.get(pattern)).collect();
            let pointer = below(&below(at, "patternProperties"), pattern);
            found.extend(self.follows(wide, &Given::of_all(&said), &pointer));
        }
        for (name, wide) in wide_named {
            let pointer = below(&below(at, "properties"), name);
            found.extend(self.member(name, wide, given, &pointer));
        }
        if let Some(further) = further {
            let said: BTreeSet<&str> = given
                .parts
                .iter()
                .filter_map(|part| map(part, "properties"))
                .flat_map(|named| named.keys().map(String::as_str))
                .collect();
            for name in said.into_iter().filter(|name| !wide_named.contains_key(*name)) {
                for (_, reason) in self.member(name, further, given, &further_at) {
                    found.push((further_at.clone(), format!("{name}: {reason}")));
                }
            }
            // Each part alone says what its further members are; one that says it well enough is enough. Declared
            // members have been judged above.
            let follows = given.parts.iter().any(|part| {
                let Some(rest) = part.get("additionalProperties") else { return false };
                let patterns = map(part, "patternProperties").unwrap_or(&empty);
                let others = patterns.iter().filter(|(pattern, _)| !wide_patterns.contains_key(*pattern));
                self.follows(further, &Given::of(rest), &further_at).is_empty()
                    && others
                        .map(|(_, said)| said)
                        .all(|said| self.follows(further, &Given::of(said), &further_at).is_empty())
            });
            if !follows && !self.follows(further, &Given::of(&Value::Bool(true)), &further_at).is_empty() {
                found.push((further_at, "members that are not declared were possible".to_owned()));
            }
        }
        judged(found)
    }

    /// A member that the wider schema names.
    fn member(&mut self, name: &str, wide: &Value, given: &Given<'_>, at: &str) -> Found {
        let mut known = Vec::new();
        // Parts that do not name it speak of it only as of any further member.
        let mut unnamed = Vec::new();
        for part in &given.parts {
            match map(part, "properties").and_then(|named| named.get(name)) {
                Some(said) => known.push(said),
                None => unnamed.push(*part),
            }
        }
        for part in unnamed {
            let Some(rest) = part.get("additionalProperties") else { continue };
            match map(part, "patternProperties").filter(|patterns| !patterns.is_empty()) {
                None => known.push(rest),
                Some(patterns) => {
                    // It may be named by any of the patterns, or by none.
                    let all = std::iter::once(rest).chain(patterns.values());
                    let judged: Vec<Found> =
                        all.map(|said| self.follows(wide, &Given::of(said), at)).collect();
                    if judged.iter().all(Vec::is_empty) {
                        return Found::new();
                    }
                }
            }
        }
        let is_declared = self.anywhere.contains(name)
            || given.declared.as_ref().is_none_or(|declared| declared.contains(name));
        let declares = given.parts.iter().any(|part| map(part, "properties").is_some());
        if known.is_empty() && !is_declared && declares && !self.is_of_some {
            // The assumption of this module: it was never there.
            return Found::new();
        }
        self.follows(wide, &Given::of_all(&known), at)
    }
}
