//! The parameters of queries as the document tells them.
//!
//! Invariant: bounds, defaults and words are the constants that the handlers take; that names and bounds are theirs is
//! compared by a test, parameter by parameter (`tests/api/document.rs`).

use crate::parameters::{LogName, TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX};
use crate::past::PATTERN;
use http_kit::openapi::NAME;
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// A parameter of a query.
#[derive(Debug)]
pub(crate) struct Parameter {
    name: &'static str,
    what: &'static str,
    schema: Value,
    is_required: bool,
    example: Option<Value>,
}

impl Parameter {
    fn new(name: &'static str, what: &'static str, schema: Value) -> Self {
        Self { name, what, schema, is_required: false, example: None }
    }

    /// It has to be there.
    pub(crate) fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// What it may look like.
    pub(crate) fn such_as(mut self, example: impl Into<Value>) -> Self {
        self.example = Some(example.into());
        self
    }

    /// As documents write it.
    pub(crate) fn entry(&self) -> Value {
        let mut entry = json!({
            "name": self.name, "in": "query", "required": self.is_required, "description": self.what,
            "schema": self.schema,
        });
        if let Some(example) = &self.example {
            entry["examples"] = json!({"plain": {"value": example}});
        }
        entry
    }
}

/// The id of something.
pub(crate) fn id(name: &'static str, what: &'static str) -> Parameter {
    Parameter::new(name, what, json!({"type": "string", "format": "uuid"}))
}

/// A day.
pub(crate) fn day(name: &'static str, what: &'static str) -> Parameter {
    Parameter::new(name, what, json!({"type": "string", "format": "date"}))
}

/// Any text.
pub(crate) fn text(name: &'static str, what: &'static str) -> Parameter {
    Parameter::new(name, what, json!({"type": "string"}))
}

/// A name of the log.
pub(crate) fn log_name<T: LogName>(name: &'static str, what: &'static str) -> Parameter {
    Parameter::new(name, what, schema_of::<T>())
}

/// What a name of the log is. Its bytes are counted, so the longest ones are ASCII.
pub(crate) fn schema_of<T: LogName>() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": T::BYTES_MAX, "pattern": NAME})
}

/// A text of a certain form.
pub(crate) fn formed(name: &'static str, pattern: &str, what: &'static str) -> Parameter {
    Parameter::new(name, what, json!({"type": "string", "pattern": pattern}))
}

/// A moment of the log.
pub(crate) fn moment(name: &'static str, what: &'static str) -> Parameter {
    formed(name, PATTERN, what)
}

/// As which moment's a thing is asked for.
pub(crate) fn as_of() -> Parameter {
    let what = "As it was: when the log held so many events, or had recorded at this time. `Sunday-Position` tells that position.";
    moment("asOf", what).such_as("2027-01-31T12:00:00Z")
}

/// One of a few words.
pub(crate) fn choice<T>(
    name: &'static str,
    words: &[(&'static str, T)],
    default: Option<&'static str>,
    what: &'static str,
) -> Parameter {
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let mut schema = json!({"type": "string", "enum": words});
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    Parameter::new(name, what, schema)
}

/// A whole number.
pub(crate) fn number(
    name: &'static str,
    bounds: RangeInclusive<u64>,
    default: Option<u64>,
    what: &'static str,
) -> Parameter {
    let mut schema = json!({"type": "integer", "minimum": bounds.start(), "maximum": bounds.end()});
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    Parameter::new(name, what, schema)
}

/// How many things a page has at most.
pub(crate) fn limit(default: usize, max: usize) -> Parameter {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": max, "default": default});
    Parameter::new("limit", "How many entries the answer has at most.", schema)
}

/// How many things are passed over.
pub(crate) fn offset(max: usize) -> Parameter {
    let schema = json!({"type": "integer", "minimum": 0, "maximum": max, "default": 0});
    Parameter::new("offset", "How many entries to pass over; `next` of the answer before says it.", schema)
}

/// What every operation takes: how fresh the answer has to be.
pub(crate) fn freshness() -> [Parameter; 2] {
    [
        number(
            "minPosition",
            0..=u64::MAX,
            Some(0),
            "The answer covers at least so many events, or comes later: `Sunday-Position` of a command reads one's own write.",
        ),
        number(
            "timeoutMs",
            0..=TIMEOUT_MS_MAX,
            Some(TIMEOUT_MS_DEFAULT),
            "How long to wait for that, milliseconds; then 504.",
        ),
    ]
}
