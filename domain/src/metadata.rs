//! Who did it: the JSON in an event's `extras`, `{"actor":…,"onBehalfOf":…,"source":…}`.
//!
//! Invariant: `actor` is always the authenticated subject. Whether somebody may act on behalf of another
//! is decided elsewhere.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A text that is borrowed from the bytes where it has no escapes, inside an `Option` too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The people and the origin of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extras<'a> {
    #[serde(borrow)]
    actor: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    source: Option<Text<'a>>,
}

/// Why extras cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the extras are not the JSON of an actor: {0}")]
pub struct ExtrasError(#[from] serde_json::Error);

impl<'a> Extras<'a> {
    /// Puts the parts together.
    #[must_use]
    pub fn new(actor: &'a str, on_behalf_of: Option<&'a str>, source: Option<&'a str>) -> Self {
        let text = |text| Text(Cow::Borrowed(text));
        Self { actor: text(actor), on_behalf_of: on_behalf_of.map(text), source: source.map(text) }
    }

    /// The authenticated subject.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor.0
    }

    /// Whom the subject acted for.
    #[must_use]
    pub fn on_behalf_of(&self) -> Option<&str> {
        self.on_behalf_of.as_ref().map(|text| &*text.0)
    }

    /// Where the command came from, such as `import`.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_ref().map(|text| &*text.0)
    }

    /// Whose deed it counts as: `onBehalfOf ?? actor`.
    #[must_use]
    pub fn person(&self) -> &str {
        self.on_behalf_of().unwrap_or_else(|| self.actor())
    }

    /// The bytes to store.
    #[must_use]
    #[expect(clippy::expect_used, reason = "strings always have a JSON form and a vector takes all bytes")]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings have a JSON form")
    }

    /// Reads stored bytes, borrowing from them.
    ///
    /// # Errors
    /// When the bytes are not such JSON, as the extras of raw streams may be. Further members are passed over.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ExtrasError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_borrowed() {
        let extras = Extras::new("import", Some("se-Björn T"), None);
        let bytes = extras.encode();
        assert_eq!(bytes, r#"{"actor":"import","onBehalfOf":"se-Björn T"}"#.as_bytes());
        let read = Extras::decode(&bytes).unwrap();
        assert_eq!(read, extras);
        assert_eq!(read.person(), "se-Björn T");
        assert!(matches!(read.on_behalf_of, Some(Text(Cow::Borrowed(_)))));
        assert!(matches!(read.actor, Text(Cow::Borrowed(_))));
    }

    #[test]
    fn escapes_and_unknown_members_are_read() {
        let read = Extras::decode(br#"{"x":[1],"actor":"a\"b","source":"cli"}"#).unwrap();
        assert_eq!((read.actor(), read.on_behalf_of(), read.source()), ("a\"b", None, Some("cli")));
        assert_eq!(read.person(), "a\"b");
    }

    #[test]
    fn other_bytes_are_an_error() {
        assert!(Extras::decode(b"").is_err());
        assert!(Extras::decode(b"{}").is_err());
        assert!(Extras::decode(&[0xff]).is_err());
    }
}
