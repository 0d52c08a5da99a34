//! The JSON of an append.
//!
//! ```json
//! {"expectedVersion": 3, "workspaceId": "…", "guards": [{"stream": "order-7", "version": 2}],
//!  "events": [{"type": "order.placed", "data": {"total": 12}, "tags": ["customer:9"]}]}
//! ```
//!
//! Invariant: it borrows from the request's bytes, and holds no more of a list than a commit takes, however long the
//! list is: the rest is only counted.

use domain::whole;
use eventstore::limits::{COMMIT_EVENTS_MAX, TAGS_MAX};
use http_kit::openapi::NAME;
use schemars::JsonSchema;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use uuid::Uuid;

/// Most guards of one append.
pub(super) const GUARDS_MAX: usize = 64;

/// Events to be appended to a stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AppendEvents")]
pub(crate) struct Body<'a> {
    /// The events, in order; all of them are recorded, or none.
    #[serde(borrow)]
    #[schemars(with = "Vec<Event<'static>>", length(min = 1, max = 10_000))]
    pub(super) events: Bounded<Event<'a>, COMMIT_EVENTS_MAX>,
    /// Where the stream must be: its last version, or in words.
    pub(super) expected_version: Option<Expected>,
    /// What else must hold when they are recorded.
    #[serde(borrow, default)]
    #[schemars(with = "Vec<GuardBody<'static>>", length(max = 64))]
    pub(super) guards: Bounded<GuardBody<'a>, GUARDS_MAX>,
    /// The workspace that the events belong to. It may be left out where the token is for one workspace only; whoever
    /// may touch all of them leaves it out for events that belong to none.
    pub(super) workspace_id: Option<Uuid>,
}

/// One event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AppendEvent")]
pub(crate) struct Event<'a> {
    /// Its id, preferably a `UUIDv7`; made if absent. Without an `Idempotency-Key` the first event's id names the
    /// append: sent again, it is answered as the first time and recorded once.
    pub(super) event_id: Option<Uuid>,
    /// What happened: dotted and in the past tense, as `order.placed`. The domain's own families are reserved.
    #[serde(borrow, rename = "type")]
    #[schemars(with = "String", length(min = 1, max = 127), regex(pattern = NAME))]
    pub(super) event_type: Text<'a>,
    /// The version of its data's shape; 1 if absent.
    #[serde(default = "first_version", deserialize_with = "whole::number")]
    #[schemars(range(min = 1))]
    pub(super) schema_version: u16,
    /// The event itself: any JSON, kept as it is sent.
    #[serde(borrow)]
    #[schemars(with = "serde_json::Value")]
    pub(super) data: &'a RawValue,
    /// What it can be found and guarded by.
    #[serde(borrow, default)]
    #[schemars(with = "Vec<String>", length(max = 32), inner(length(min = 1, max = 127), regex(pattern = NAME)))]
    pub(super) tags: Bounded<Text<'a>, TAGS_MAX>,
    /// What is known besides.
    #[serde(borrow)]
    pub(super) metadata: Option<MetadataBody<'a>>,
}

fn first_version() -> u16 {
    1
}

/// What is known about an event besides itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AppendMetadata")]
pub(crate) struct MetadataBody<'a> {
    /// The conversation that it belongs to; the request's id if absent.
    pub(super) correlation_id: Option<Uuid>,
    /// What caused it.
    pub(super) causation_id: Option<Uuid>,
    /// When it happened, if that is not now; needs the scope `import`.
    #[serde(borrow)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub(super) occurred_at: Option<Text<'a>>,
}

/// Where a stream must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a version, \"any\", \"noStream\" or \"streamExists\" is expected")]
#[schemars(rename = "ExpectedVersion")]
pub(crate) enum Expected {
    /// At this version.
    Version(
        #[serde(deserialize_with = "whole::number")]
        #[schemars(range(max = u64::MAX))]
        u64,
    ),
    /// In words.
    Word(Word),
}

/// Where a stream must be, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ExpectedVersionWord")]
pub(crate) enum Word {
    /// Anywhere.
    Any,
    /// Not there yet.
    NoStream,
    /// There.
    StreamExists,
}

/// A condition on something that the append does not write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "{\"stream\", \"version\": a version or null} or {\"tag\", \"position\"} is expected"
)]
#[schemars(rename = "Guard")]
pub(crate) enum GuardBody<'a> {
    /// A stream is at a version, or does not exist.
    Stream(#[serde(borrow)] StreamGuard<'a>),
    /// No event with a tag is at or after a position.
    Tag(#[serde(borrow)] TagGuard<'a>),
}

/// A stream is at a version, or does not exist.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamGuard<'a> {
    /// The stream.
    #[serde(borrow)]
    #[schemars(with = "String", length(min = 1, max = 255), regex(pattern = NAME))]
    pub(super) stream: Text<'a>,
    /// Its last version; null if it must not exist.
    #[serde(deserialize_with = "whole::maybe")]
    #[schemars(required, range(max = u64::MAX))]
    pub(super) version: Option<u64>,
}

/// No event with a tag is at or after a position.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagGuard<'a> {
    /// The tag.
    #[serde(borrow)]
    #[schemars(with = "String", length(min = 1, max = 127), regex(pattern = NAME))]
    pub(super) tag: Text<'a>,
    /// The position.
    #[serde(deserialize_with = "whole::number")]
    #[schemars(range(max = u64::MAX))]
    pub(super) position: u64,
}

/// A text that is borrowed where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A list of at most `MAX`; of a longer one the rest is counted.
#[derive(Debug)]
pub(crate) struct Bounded<T, const MAX: usize> {
    pub(super) list: Vec<T>,
    /// How many there are beyond `MAX`.
    pub(super) beyond: usize,
}

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self { list: Vec::new(), beyond: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Visit<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Visit<T, MAX> {
            type Value = Bounded<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
                let mut bounded = Bounded::default();
                while bounded.list.len() < MAX {
                    match source.next_element()? {
                        Some(element) => bounded.list.push(element),
                        None => return Ok(bounded),
                    }
                }
                while source.next_element::<IgnoredAny>()?.is_some() {
                    bounded.beyond += 1;
                }
                Ok(bounded)
            }
        }

        source.deserialize_seq(Visit(PhantomData))
    }
}

impl<T, const MAX: usize> Bounded<T, MAX> {
    /// How many there were.
    pub(super) fn said(&self) -> usize {
        self.list.len() + self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_kit::json::parse;

    #[test]
    fn of_a_long_list_only_what_is_allowed_is_kept() {
        let body = format!("{{\"events\":[{}1]}}", "1,".repeat(40_000));
        #[derive(Debug, Deserialize)]
        struct Many {
            events: Bounded<u8, 100>,
        }
        let many: Many = parse(body.as_bytes()).unwrap();
        assert_eq!((many.events.list.len(), many.events.said()), (100, 40_001));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (body, field) in [
            (r#"{"events":[{"type":"a"}]}"#, "events[0]"),
            (r#"{"events":[{"type":"a","data":1},{"type":7,"data":1}]}"#, "events[1].type"),
            (r#"{"events":[{"type":"a","data":1,"tags":["x",null]}]}"#, "events[0].tags[1]"),
            (r#"{"events":[],"expectedVersion":"some"}"#, "expectedVersion"),
            (r#"{"events":[],"expectedVersion":-1}"#, "expectedVersion"),
            (r#"{"events":[],"guards":[{"stream":"a"}]}"#, "guards[0]"),
            (r#"{"events":[],"guards":[{"stream":"a","version":1,"tag":"x","position":1}]}"#, "guards[0]"),
            (r#"{"events":[],"other":1}"#, "other"),
            (r#"{"events":[{"type":"a","data":1,"metadata":{"actor":"x"}}]}"#, "events[0].metadata.actor"),
        ] {
            let problem = parse::<Body<'_>>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.extension("field").unwrap(), field, "{problem}");
        }
    }
}
