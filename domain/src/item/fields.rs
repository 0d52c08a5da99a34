//! Custom fields: what names and values are allowed, and what an edit changes.

use crate::{
    board::FieldTypes,
    change::{Change, Changes},
    date::Date,
    error::DomainError,
    item::{FieldEdit, RESERVED_FIELDS},
    limits::{FIELD_NAME_CHARS_MAX, FIELD_VALUE_BYTES_MAX, FIELD_VALUE_DEPTH_MAX, FIELDS_MAX},
    text::{check_chars, check_count, check_says_something},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The fields of an item, by name. None is `null`: that is what a missing one is.
pub(super) type Fields = BTreeMap<String, Value>;

/// The fields that an item begins with. One that is null is one that is not there, but still has to be one.
pub(super) fn first(mut fields: Fields, types: Option<&FieldTypes>) -> Result<Fields, DomainError> {
    check_count("fields", fields.len(), FIELDS_MAX)?;
    fields.iter().try_for_each(|(name, value)| {
        check_name(name)?;
        check_value(name, value)?;
        types.map_or(Ok(()), |types| types.check(name, value))
    })?;
    fields.retain(|_, value| !value.is_null());
    Ok(fields)
}

/// What the edits change, beside what `changes` has already.
pub(super) fn edit(
    fields: &Fields,
    edits: BTreeMap<String, FieldEdit>,
    types: Option<&FieldTypes>,
    changes: &mut Changes,
) -> Result<(), DomainError> {
    check_count("fields", edits.len(), FIELDS_MAX)?;
    let mut count = fields.len();
    for (name, edit) in edits {
        check_name(&name)?;
        let from = fields.get(&name);
        // Only what is new has to be what the board says: what is there already may be older than that.
        let allowed = types.map_or(Ok(()), |types| match &edit {
            FieldEdit::Set(value) => types.check(&name, value),
            FieldEdit::Add(values) => types.check_added(&name, values),
            FieldEdit::Remove(_) => Ok(()),
        });
        let Some(to) = edited(&name, from, edit)? else { continue };
        allowed?;
        check_value(&name, &to)?;
        match (from.is_some(), to.is_null()) {
            (false, false) => count += 1,
            (true, true) => count -= 1,
            _ => {}
        }
        changes.insert(name, Change::between(from.cloned(), to));
    }
    check_count("fields", count, FIELDS_MAX)
}

/// What `changes.dueDate` says of the due date: another one, or none; nothing where it speaks of a custom field
/// of that name, as logs from before there were due dates may.
#[must_use]
pub fn due_date_change(change: &Change) -> Option<Option<Date>> {
    let date = |value: &Value| match value {
        Value::Null => Some(None),
        Value::String(text) => text.parse().ok().map(Some),
        _ => None,
    };
    change.from.as_ref().map_or(Some(None), date)?;
    date(&change.to)
}

/// The value after the edit; nothing where that is the value before.
fn edited(name: &str, from: Option<&Value>, edit: FieldEdit) -> Result<Option<Value>, DomainError> {
    let to = match edit {
        FieldEdit::Set(value) => value,
        FieldEdit::Add(values) => {
            let mut list = list(name, from)?.to_vec();
            for value in values {
                if !list.contains(&value) {
                    list.push(value);
                }
            }
            // Adding nothing to what is not there does not make it an empty list.
            if list.is_empty() && from.is_none() { Value::Null } else { Value::Array(list) }
        }
        FieldEdit::Remove(values) => {
            let list = list(name, from)?;
            match from {
                None => Value::Null,
                Some(_) => list.iter().filter(|value| !values.contains(value)).cloned().collect(),
            }
        }
    };
    Ok((from.unwrap_or(&Value::Null) != &to).then_some(to))
}

fn list<'a>(name: &str, value: Option<&'a Value>) -> Result<&'a [Value], DomainError> {
    match value {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(DomainError::NotAList { field: name.to_owned() }),
    }
}

fn check_name(name: &str) -> Result<(), DomainError> {
    // In an update's changes these are the item's own.
    if RESERVED_FIELDS.contains(&name) {
        return Err(DomainError::ReservedField { field: name.to_owned() });
    }
    check_says_something("fields", name)?;
    check_chars("fields", name, FIELD_NAME_CHARS_MAX)
}

fn check_value(name: &str, value: &Value) -> Result<(), DomainError> {
    let too_deep = || DomainError::TooDeep { field: name.to_owned(), max: FIELD_VALUE_DEPTH_MAX };
    let actual = weight(value, FIELD_VALUE_DEPTH_MAX).ok_or_else(too_deep)?;
    if actual <= FIELD_VALUE_BYTES_MAX {
        Ok(())
    } else {
        Err(DomainError::TooLong { field: "fields", actual, max: FIELD_VALUE_BYTES_MAX, unit: "bytes" })
    }
}

/// About how many bytes a value takes; nothing where it is nested deeper than `depth` levels.
fn weight(value: &Value, depth: usize) -> Option<usize> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(8),
        Value::String(text) => Some(text.len() + 2),
        Value::Array(list) => {
            let depth = depth.checked_sub(1)?;
            list.iter().try_fold(2, |sum, value| Some(sum + weight(value, depth)? + 1))
        }
        Value::Object(members) => {
            let depth = depth.checked_sub(1)?;
            members
                .iter()
                .try_fold(2, |sum, (name, value)| Some(sum + name.len() + 4 + weight(value, depth)?))
        }
    }
}
