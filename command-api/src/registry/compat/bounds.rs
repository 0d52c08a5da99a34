//! Bounds on numbers, lengths and counts.

use super::given::{Given, list};
use serde_json::{Number, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Integers beyond this have no exact counterpart among floating-point numbers.
const EXACT_MAX: i128 = 1 << 53;

/// Compares two numbers; `None` where that would not be exact.
fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        (Some(whole), None) | (None, Some(whole)) if whole.abs() > EXACT_MAX => None,
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Whether a bound follows from what is given; or why not.
pub(super) fn follows(keyword: &str, value: &Value, given: &Given<'_>) -> Result<(), String> {
    let Value::Number(bound) = value else { return Err("it cannot be judged".to_owned()) };
    let any = |keyword: &str, wanted: &[Ordering]| {
        given.all(keyword).any(|said| match said {
            Value::Number(said) => compare(said, bound).is_some_and(|order| wanted.contains(&order)),
            _ => false,
        })
    };
    let (at_least, at_most) = (&[Ordering::Greater, Ordering::Equal], &[Ordering::Less, Ordering::Equal]);
    let holds = match keyword {
        "minimum" => any("minimum", at_least) || any("exclusiveMinimum", at_least),
        "exclusiveMinimum" => any("exclusiveMinimum", at_least) || any("minimum", &[Ordering::Greater]),
        "maximum" => any("maximum", at_most) || any("exclusiveMaximum", at_most),
        "exclusiveMaximum" => any("exclusiveMaximum", at_most) || any("maximum", &[Ordering::Less]),
        "multipleOf" => {
            let is_one = bound.as_u64() == Some(1) && !given.types().contains("fraction");
            is_one
                || given.all("multipleOf").any(|said| {
                    let multiple = said.as_u64().zip(bound.as_u64());
                    said == value || multiple.is_some_and(|(said, bound)| bound > 0 && said % bound == 0)
                })
        }
        "minProperties" => {
            let names: BTreeSet<&str> = given
                .parts
                .iter()
                .flat_map(|part| list(part, "required"))
                .filter_map(Value::as_str)
                .collect();
            any(keyword, at_least) || compare(&Number::from(names.len()), bound).is_some_and(Ordering::is_ge)
        }
        "minLength" | "minItems" => bound.as_f64() == Some(0.0) || any(keyword, at_least),
        _ => any(keyword, at_most),
    };
    if holds {
        return Ok(());
    }
    Err(match given.all(keyword).next() {
        Some(said) => format!("{value} is stricter than {said}"),
        None => format!("{value}, where there was no such bound"),
    })
}
