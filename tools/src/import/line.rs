//! One line of a history, taken apart without copying: what it is about is decoded, what it says stays JSON.
//!
//! Invariant: a line that cannot be used is a [`Reason`], never a panic.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Why a line cannot be used, for people.
pub(super) type Reason = String;

/// A line's parts.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// What the line is about; becomes the item's external key.
    pub key: Cow<'a, str>,
    /// What happened.
    pub kind: Cow<'a, str>,
    /// When it happened in the world, RFC 3339.
    pub at: Cow<'a, str>,
    /// Who did it, as a JSON string; nobody, where the history does not say.
    pub actor: Option<&'a str>,
    /// What the history says, as it stands there.
    pub data: &'a str,
}

/// A text that is borrowed where it has no escapes, inside an `Option` too.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    stream_key: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    at: Option<Text<'a>>,
    #[serde(borrow)]
    actor: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    /// Takes a line apart.
    ///
    /// # Errors
    /// When it is not a JSON object, or lacks what every line has.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let parts: Parts<'a> =
            serde_json::from_slice(bytes).map_err(|error| format!("not a line of a history: {error}"))?;
        let need =
            |name: &str, part: Option<Text<'a>>| part.map(|text| text.0).ok_or_else(|| format!("no {name}"));
        let line = Self {
            key: need("stream_key", parts.stream_key)?,
            kind: need("type", parts.kind)?,
            at: need("at", parts.at)?,
            actor: parts.actor.map(RawValue::get),
            data: parts.data.map_or("{}", RawValue::get),
        };
        if line.key.is_empty() {
            return Err("stream_key is empty".to_owned());
        }
        check_time(&line.at)?;
        if line.actor.is_some_and(|actor| !is_text(actor)) {
            return Err("actor is not a text".to_owned());
        }
        Ok(line)
    }
}

/// The log keeps times in nanoseconds since 1970 in 64 bits: from 1677 to 2262.
fn check_time(at: &str) -> Result<(), Reason> {
    let time = OffsetDateTime::parse(at, &Rfc3339).map_err(|_| format!("at is not a time: {at:?}"))?;
    if i64::try_from(time.unix_timestamp_nanos()).is_err() {
        return Err(format!("at is out of range: {at}"));
    }
    Ok(())
}

/// Whether a JSON value is a string.
pub(super) fn is_text(json: &str) -> bool {
    json.starts_with('"')
}

/// The members of an object, their values as they stand there.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Members<'a> {
    /// Takes an object apart, one level deep.
    ///
    /// # Errors
    /// When it is not an object.
    pub(super) fn parse(json: &'a str) -> Result<Self, Reason> {
        serde_json::from_str(json).map_err(|_| "data is not an object".to_owned())
    }

    /// A member's value; `null` and absent are the same. Of a repeated member the last one counts.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .rev()
            .find(|(member, _)| member == name)
            .map(|(_, json)| *json)
            .filter(|json| *json != "null")
    }

    /// A member that must be a text where it is there.
    ///
    /// # Errors
    /// When it is something else.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Reason> {
        let Some(json) = self.get(name) else { return Ok(None) };
        let text: Text<'a> = serde_json::from_str(json).map_err(|_| format!("{name} is not a text"))?;
        Ok(Some(text.0))
    }

    /// A member that must be a text and be there.
    ///
    /// # Errors
    /// When it is not there, or is something else.
    pub(super) fn need_text(&self, name: &str) -> Result<Cow<'a, str>, Reason> {
        self.text(name)?.ok_or_else(|| format!("no {name}"))
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, json)| (&**name, *json))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((name.0, value.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_borrowed_where_it_can_be() {
        let text = br#"{"stream_key":"a/1","type":"item.moved","at":"2010-03-31T15:45:48.000Z","actor":"x\ny","data":{"to":"B \u00e9"}}"#;
        let line = Line::parse(text).unwrap();
        assert!(matches!(line.key, Cow::Borrowed("a/1")));
        assert_eq!(line.actor, Some(r#""x\ny""#));
        let members = Members::parse(line.data).unwrap();
        assert_eq!(members.get("to"), Some(r#""B \u00e9""#));
        assert_eq!(members.text("to").unwrap().unwrap(), "B é");
        assert_eq!(members.need_text("from"), Err("no from".to_owned()));
    }

    #[test]
    fn null_is_nobody_and_a_missing_object_is_empty() {
        let text = br#"{"stream_key":"a","type":"t","at":"2010-03-31T15:45:48Z","actor":null}"#;
        let line = Line::parse(text).unwrap();
        assert_eq!((line.actor, line.data), (None, "{}"));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let reason = |text: &str| Line::parse(text.as_bytes()).unwrap_err();
        assert!(reason("nonsense").starts_with("not a line of a history"));
        assert!(reason("[1]").starts_with("not a line of a history"));
        assert_eq!(reason(r#"{"type":"t","at":"2010-03-31T15:45:48Z"}"#), "no stream_key");
        assert_eq!(
            reason(r#"{"stream_key":"","type":"t","at":"2010-03-31T15:45:48Z"}"#),
            "stream_key is empty"
        );
        assert_eq!(
            reason(r#"{"stream_key":"k","type":"t","at":"yesterday"}"#),
            "at is not a time: \"yesterday\""
        );
        assert!(
            reason(r#"{"stream_key":"k","type":"t","at":"2400-01-01T00:00:00Z"}"#).contains("out of range")
        );
        assert_eq!(
            reason(r#"{"stream_key":"k","type":"t","at":"2010-03-31T15:45:48Z","actor":7}"#),
            "actor is not a text"
        );
        assert!(Line::parse(b"{\"stream_key\":\"\xff\"}").is_err());
        assert_eq!(Members::parse("[]").unwrap_err(), "data is not an object");
    }

    #[test]
    fn of_a_repeated_member_the_last_counts() {
        assert_eq!(Members::parse(r#"{"to":1,"to":2}"#).unwrap().get("to"), Some("2"));
        assert_eq!(Members::parse(r#"{"to":1,"to":null}"#).unwrap().get("to"), None);
    }
}
