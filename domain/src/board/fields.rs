//! What a board says of its items' custom fields, and whether a value is that.
//!
//! Invariant: a definition binds whoever sets a value from then on. Present values stay what they are, and
//! histories are taken as they are. A field that no definition names holds any JSON.

use crate::{
    date::{Date, is_date_time},
    error::DomainError,
    ids::BoardId,
    limits::{FIELD_OPTIONS_MAX, NAME_CHARS_MAX, URL_CHARS_MAX},
    text::{check_count, check_name},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the values of a custom field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FieldKind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// A day (`YYYY-MM-DD`) or a point in time (RFC 3339, with its zone).
    Date,
    /// True or false.
    Flag,
    /// A list of values; where there are options, of some of them.
    List,
    /// One of the options.
    Choice,
    /// A subject: at most 200 characters, not empty.
    Person,
    /// An absolute `http` or `https` URL, at most 4,000 characters.
    Url,
}

/// What a board says of one custom field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldType {
    kind: FieldKind,
    options: Vec<String>,
}

impl FieldType {
    pub(super) fn new(kind: FieldKind, options: Vec<String>) -> Self {
        Self { kind, options }
    }

    /// What the values are.
    #[must_use]
    pub fn kind(&self) -> FieldKind {
        self.kind
    }

    /// What may be chosen from.
    #[must_use]
    pub fn options(&self) -> &[String] {
        &self.options
    }

    pub(super) fn into_options(self) -> Vec<String> {
        self.options
    }

    /// Whether this is something that can be said of a field; repeated options count once.
    pub(super) fn check(kind: FieldKind, mut options: Vec<String>) -> Result<Self, DomainError> {
        check_count("options", options.len(), FIELD_OPTIONS_MAX)?;
        options.iter().try_for_each(|option| check_name("options", option))?;
        match kind {
            FieldKind::Choice if options.is_empty() => return Err(DomainError::Empty { field: "options" }),
            FieldKind::Choice | FieldKind::List => {}
            _ => check_count("options", options.len(), 0)?,
        }
        let mut kept = 0;
        for index in 0..options.len() {
            if !options[..kept].contains(&options[index]) {
                options.swap(kept, index);
                kept += 1;
            }
        }
        options.truncate(kept);
        Ok(Self { kind, options })
    }

    fn has(&self, value: &Value) -> bool {
        value.as_str().is_some_and(|text| self.options.iter().any(|option| option == text))
    }

    /// Whether a list that is made of such elements fits.
    fn takes_elements(&self, values: &[Value]) -> bool {
        self.kind == FieldKind::List
            && (self.options.is_empty() || values.iter().all(|value| self.has(value)))
    }

    fn takes(&self, value: &Value) -> bool {
        match (self.kind, value) {
            (FieldKind::Text, Value::String(_))
            | (FieldKind::Number, Value::Number(_))
            | (FieldKind::Flag, Value::Bool(_)) => true,
            (FieldKind::Date, Value::String(text)) => text.parse::<Date>().is_ok() || is_date_time(text),
            (FieldKind::List, Value::Array(values)) => self.takes_elements(values),
            (FieldKind::Choice, value) => self.has(value),
            (FieldKind::Person, Value::String(text)) => {
                !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX
            }
            (FieldKind::Url, Value::String(text)) => is_url(text),
            _ => false,
        }
    }

    fn expected(&self) -> String {
        const SHOWN: usize = 10;
        let options = || {
            let shown = self.options.iter().take(SHOWN).map(|option| format!("{option:?}"));
            let more = self.options.len().saturating_sub(SHOWN);
            let end = (more > 0).then(|| format!("{more} more"));
            shown.chain(end).collect::<Vec<_>>().join(", ")
        };
        match self.kind {
            FieldKind::Text => "a text".to_owned(),
            FieldKind::Number => "a number".to_owned(),
            FieldKind::Date => "a date (YYYY-MM-DD, or RFC 3339 with a zone)".to_owned(),
            FieldKind::Flag => "true or false".to_owned(),
            FieldKind::List if self.options.is_empty() => "a list".to_owned(),
            FieldKind::List => format!("a list of: {}", options()),
            FieldKind::Choice => format!("one of: {}", options()),
            FieldKind::Person => format!("a person's name (1 to {NAME_CHARS_MAX} characters)"),
            FieldKind::Url => {
                format!("an http or https URL of at most {URL_CHARS_MAX} characters")
            }
        }
    }
}

/// Proof of what a board says of the custom fields that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTypes {
    board_id: BoardId,
    /// Only those that were asked for: a command names a few fields, a board may define two hundred.
    types: BTreeMap<String, FieldType>,
}

impl FieldTypes {
    pub(super) fn new(board_id: BoardId, types: BTreeMap<String, FieldType>) -> Self {
        Self { board_id, types }
    }

    /// The board that says so.
    #[must_use]
    pub fn board_id(&self) -> BoardId {
        self.board_id
    }

    /// Whether a field may be set to a value; `null`, which takes the field away, always.
    pub(crate) fn check(&self, name: &str, value: &Value) -> Result<(), DomainError> {
        match self.types.get(name) {
            Some(known) if !value.is_null() && !known.takes(value) => Err(refuse(name, known, value)),
            _ => Ok(()),
        }
    }

    /// Whether these may be added to a field's list.
    pub(crate) fn check_added(&self, name: &str, values: &[Value]) -> Result<(), DomainError> {
        match self.types.get(name) {
            Some(known) if !known.takes_elements(values) => {
                let actual = values.iter().find(|value| !known.has(value));
                Err(match (known.kind, actual) {
                    (FieldKind::List, Some(value)) => refuse(name, known, value),
                    _ => refuse(name, known, &Value::Array(vec![])),
                })
            }
            _ => Ok(()),
        }
    }
}

fn refuse(name: &str, known: &FieldType, value: &Value) -> DomainError {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "this text",
        Value::Array(_) if known.kind == FieldKind::List => "this list",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    DomainError::FieldType { field: format!("fields.{name}"), expected: known.expected(), actual }
}

/// A scheme that a browser may be sent to, and somewhere to go. What is behind the host is the host's affair.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |text: &str| !text.chars().any(|char| char.is_whitespace() || char.is_control());
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']) && is_plain(rest))
        && text.chars().count() <= URL_CHARS_MAX
}
