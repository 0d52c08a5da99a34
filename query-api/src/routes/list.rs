//! A part of a list: `{"total", "<name>": […], "next": <offset or null>}`.
//!
//! Invariant: `next` is there exactly when something is left, and who follows it gets everything once (as long as
//! the list does not change in between).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Things of one kind, cut out of all that were found.
#[derive(Debug)]
pub(crate) struct List<T> {
    total: usize,
    offset: usize,
    entries: Vec<T>,
}

impl<T> List<T> {
    /// Copies the entries from `offset` on, at most `limit`, and counts all.
    pub(crate) fn cut<M>(
        found: impl IntoIterator<Item = M>,
        offset: usize,
        limit: usize,
        mut copy: impl FnMut(M) -> T,
    ) -> Self {
        let (mut total, mut entries) = (0, Vec::new());
        for entry in found {
            if total >= offset && entries.len() < limit {
                entries.push(copy(entry));
            }
            total += 1;
        }
        Self { total, offset, entries }
    }

    /// Entries that were cut out already, of so many.
    pub(crate) fn of(total: usize, offset: usize, entries: Vec<T>) -> Self {
        Self { total, offset, entries }
    }

    /// Completes the entries until their texts have reached `bytes_max`; the rest is left for the next part.
    pub(crate) fn fill<E>(
        self,
        bytes_max: usize,
        fill: impl Fn(T) -> Result<T, E>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<Self, E> {
        let mut room = bytes_max;
        let mut filled = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            let entry = fill(entry)?;
            let taken = bytes(&entry);
            filled.push(entry);
            if taken >= room {
                break;
            }
            room -= taken;
        }
        Ok(Self { entries: filled, ..self })
    }

    /// The list with the word that its entries stand under.
    pub(crate) fn named(self, name: &'static str) -> NamedList<T> {
        NamedList { name, list: self }
    }
}

/// A list as it is answered.
#[derive(Debug)]
pub(crate) struct NamedList<T> {
    name: &'static str,
    list: List<T>,
}

impl<T: Serialize> Serialize for NamedList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let List { total, offset, entries } = &self.list;
        let end = offset.saturating_add(entries.len());
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("total", total)?;
        map.serialize_entry(self.name, entries)?;
        map.serialize_entry("next", &(end < *total).then_some(end))?;
        map.end()
    }
}

/// The schema of a list whose entries stand under `name`.
pub(crate) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator, name: &str) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "required": ["total", name, "next"],
        "properties": {
            "total": {"type": "integer", "minimum": 0, "description": "How many there are in all."},
            "next": {
                "type": ["integer", "null"],
                "minimum": 0,
                "description": "The `offset` to go on from, where something is left.",
            },
        },
    });
    let entries = json_schema!({"type": "array", "items": generator.subschema_for::<T>()});
    if let Some(members) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        members.insert(name.to_owned(), entries.to_value());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(offset: usize, limit: usize) -> String {
        serde_json::to_string(&List::cut(0..5, offset, limit, |number| number).named("numbers")).unwrap()
    }

    #[test]
    fn the_next_offset_is_there_while_something_is_left() {
        assert_eq!(list(0, 2), r#"{"total":5,"numbers":[0,1],"next":2}"#);
        assert_eq!(list(3, 2), r#"{"total":5,"numbers":[3,4],"next":null}"#);
        assert_eq!(list(4, 9), r#"{"total":5,"numbers":[4],"next":null}"#);
        assert_eq!(list(9, 9), r#"{"total":5,"numbers":[],"next":null}"#);
    }

    #[test]
    fn a_list_ends_where_its_texts_are_long_enough() {
        let list = List::cut(0..5, 1, 4, |number| number);
        let filled = list.fill(10, Ok::<_, ()>, |_| 5).unwrap();
        assert_eq!(serde_json::to_string(&filled.named("n")).unwrap(), r#"{"total":5,"n":[1,2],"next":3}"#);
        let list = List::cut(0..5, 1, 4, |number| number);
        let filled = list.fill(1, Ok::<_, ()>, |_| 5).unwrap();
        assert_eq!(filled.entries, [1], "there is always one");
    }
}
