//! Short texts that are kept once: people, the names and small values of fields.
//!
//! Invariant: a [`Name`] is immutable and compares by its text; whether two of them share memory is never visible.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::{Borrow, Cow};
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;
use std::{fmt, mem};

/// A short text; cloning it copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Takes the text where it stands, without making a `String` of it.
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name::new(text))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The texts that are in use, each once. Callers choose the texts, so their hash is a keyed one.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: HashSet<Name>,
    /// Size at which texts that nobody uses any more are let go.
    sweep_at: usize,
}

impl Names {
    const SWEEP_AT_LEAST: usize = 65_536;

    /// The one name with this text.
    pub(crate) fn intern(&mut self, text: &str) -> Name {
        if let Some(name) = self.known.get(text) {
            return name.clone();
        }
        if self.known.len() >= self.sweep_at.max(Self::SWEEP_AT_LEAST) {
            self.known.retain(|name| Arc::strong_count(&name.0) > 1);
            self.sweep_at = self.known.len() * 2;
        }
        let name = Name::new(text);
        self.known.insert(name.clone());
        name
    }

    /// Replaces a name that was read from an image with the one that is shared.
    pub(crate) fn share(&mut self, name: &mut Name) {
        let shared = self.intern(name);
        drop(mem::replace(name, shared));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_their_memory() {
        let mut names = Names::default();
        let one = names.intern("Björn");
        let mut other = Name::new("Björn");
        assert!(!Arc::ptr_eq(&one.0, &other.0));
        names.share(&mut other);
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert_ne!(one, names.intern("björn"));
    }
}
