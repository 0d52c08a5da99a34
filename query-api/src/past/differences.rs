//! What differs between two JSON objects, member by member.
//!
//! Invariant: values are compared and given back as they are written: no number is rounded on the way. So both sides have to be
//! written by the same code.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A member that differs; `null` where there is none.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Difference {
    field: String,
    #[schemars(with = "Value")]
    from: Box<RawValue>,
    #[schemars(with = "Value")]
    to: Box<RawValue>,
}

type Members = BTreeMap<String, Box<RawValue>>;

/// The members of two objects that are not the same, by name. What is absent is `null`, and an absent object has no members.
///
/// # Errors
/// When one of them is no object.
pub(crate) fn between(from: Option<&[u8]>, to: Option<&[u8]>) -> serde_json::Result<Vec<Difference>> {
    let members = |object: Option<&[u8]>| object.map_or(Ok(Members::new()), serde_json::from_slice);
    let (mut from, mut to): (Members, Members) = (members(from)?, members(to)?);
    // Those of both, once each, in order.
    let fields: Members = from.iter().chain(&to).map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut differences = Vec::new();
    for field in fields.into_keys() {
        let [from, to] = [&mut from, &mut to]
            .map(|members| members.remove(&field).unwrap_or_else(|| RawValue::NULL.to_owned()));
        if from.get() != to.get() {
            differences.push(Difference { field, from, to });
        }
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(from: Option<&str>, to: Option<&str>) -> String {
        let differences = between(from.map(str::as_bytes), to.map(str::as_bytes)).unwrap();
        serde_json::to_string(&differences).unwrap()
    }

    #[test]
    fn members_that_differ_are_told_with_both_values() {
        let from = r#"{"z":1,"same":{"a":[1,2]},"a":"x","gone":[],"null":null}"#;
        let to = r#"{"a":"y","same":{"a":[1,2]},"z":{"b":1},"new":false,"none":null}"#;
        let expected = json!([
            {"field": "a", "from": "x", "to": "y"},
            {"field": "gone", "from": [], "to": null},
            {"field": "new", "from": null, "to": false},
            {"field": "z", "from": 1, "to": {"b": 1}},
        ]);
        assert_eq!(told(Some(from), Some(to)), expected.to_string());
        assert_eq!(told(Some(from), Some(from)), "[]");
    }

    #[test]
    fn what_is_not_there_has_no_members() {
        let there = r#"{"a":1,"b":null}"#;
        assert_eq!(told(None, Some(there)), r#"[{"field":"a","from":null,"to":1}]"#);
        assert_eq!(told(Some(there), None), r#"[{"field":"a","from":1,"to":null}]"#);
        assert_eq!(told(None, None), "[]");
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        let (from, to) = (r#"{"n":12345678901234567890.1}"#, r#"{"n":12345678901234567890.2}"#);
        let expected = r#"[{"field":"n","from":12345678901234567890.1,"to":12345678901234567890.2}]"#;
        assert_eq!(told(Some(from), Some(to)), expected);
    }

    #[test]
    fn what_is_no_object_has_no_differences() {
        assert!(between(Some(b"[]"), None).is_err());
        assert!(between(None, Some(b"{")).is_err());
    }
}
