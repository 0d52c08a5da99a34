//! What is answered about each kind of thing: copied out of the models first, completed from the log after.
//!
//! Invariant: nothing here reads the log while the models are locked: a cold page must not hold up the thread that
//! keeps them fresh. So an answer is made in two steps: `of` copies under the lock, `fill` reads the texts without it.

pub(crate) mod activity;
pub(crate) mod analytics;
pub(crate) mod board;
pub(crate) mod comment;
pub(crate) mod deed;
pub(crate) mod item;
pub(crate) mod project;
pub(crate) mod workspace;

use crate::service::reading::Work;
use eventstore::{Log, ReadError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::borrow::Cow;

/// What is answered of one thing with a version of its own, of which some may stand in the log only.
pub(crate) trait Told: Serialize + Sized {
    /// Of its stream.
    fn version(&self) -> u64;

    /// What there is to read from the log.
    fn work(&self) -> Work;

    /// Reads it. Blocks.
    fn fill(self, log: &Log) -> Result<Self, ReadError>;
}

/// A column by id and name, or anything else that is told that way.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Named<I, N> {
    pub(crate) id: I,
    pub(crate) name: N,
}

/// A list of pairs, as a JSON object in the list's order.
#[derive(Debug)]
pub(crate) struct Members<K, V>(pub(crate) Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Members<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<K, V: JsonSchema> JsonSchema for Members<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("MembersOf{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": generator.subschema_for::<V>()})
    }
}
