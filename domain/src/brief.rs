//! Stored events read without their long texts, for readers that only ask whether there is one: most bytes of a log are texts,
//! and copying them is most of the work of reading it.
//!
//! Invariant: what is readable, and everything but the text itself, is the same as in [`codec`](crate::codec). The shapes here
//! repeat those of `item.created`, `comment.added` and `comment.edited`; the golden files are read both ways.

use crate::codec::{self, CodecError, Decoded};
use crate::{
    comment,
    date::Date,
    ids::{BoardId, ColumnId, ItemId, ProjectId, WorkspaceId},
    item,
    rank::Rank,
};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A text that is read and not kept.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }

        source.deserialize_str(AnyText)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    workspace_id: WorkspaceId,
    project_id: ProjectId,
    board_id: BoardId,
    column_id: ColumnId,
    rank: Rank,
    title: String,
    #[serde(default)]
    description: Option<Text>,
    #[serde(default)]
    external_key: Option<String>,
    #[serde(default)]
    assignees: Vec<String>,
    #[serde(default)]
    due_date: Option<Date>,
    #[serde(default)]
    fields: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    workspace_id: WorkspaceId,
    board_id: BoardId,
    item_id: ItemId,
    #[serde(default)]
    external_key: Option<String>,
    #[serde(default)]
    author: Option<String>,
    #[serde(rename = "body")]
    _body: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edited {
    item_id: ItemId,
    #[serde(rename = "body")]
    _body: Text,
}

/// As [`codec::decode`], with an empty text in the place of an item's first description and of comments' bodies.
///
/// # Errors
/// As [`codec::decode`].
pub fn decode(event_type: &str, schema_version: u16, payload: &[u8]) -> Result<Decoded, CodecError> {
    if !codec::is_current(event_type, schema_version) {
        return codec::decode(event_type, schema_version, payload);
    }
    let event = match event_type {
        "item.created" => serde_json::from_slice(payload).map(created),
        "comment.added" => serde_json::from_slice(payload).map(added),
        "comment.edited" => serde_json::from_slice(payload).map(|event: Edited| edited(event.item_id)),
        _ => return codec::decode(event_type, schema_version, payload),
    };
    event.map(Decoded::Known).map_err(|source| CodecError::Payload {
        event_type: event_type.to_owned(),
        schema_version,
        source,
    })
}

fn created(event: Created) -> crate::DomainEvent {
    item::Event::Created(item::Created {
        workspace_id: event.workspace_id,
        project_id: event.project_id,
        board_id: event.board_id,
        column_id: event.column_id,
        rank: event.rank,
        title: event.title,
        description: event.description.map(|_| String::new()),
        external_key: event.external_key,
        assignees: event.assignees,
        due_date: event.due_date,
        fields: event.fields,
    })
    .into()
}

fn added(event: Added) -> crate::DomainEvent {
    comment::Event::Added(comment::Added {
        workspace_id: event.workspace_id,
        board_id: event.board_id,
        item_id: event.item_id,
        external_key: event.external_key,
        author: event.author,
        body: String::new(),
    })
    .into()
}

fn edited(item_id: ItemId) -> crate::DomainEvent {
    comment::Event::Edited(comment::Edited { item_id, body: String::new() }).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DomainEvent;
    use std::path::Path;

    /// An event without the texts that are not kept here.
    fn without_texts(mut event: Decoded) -> Decoded {
        match &mut event {
            Decoded::Known(DomainEvent::Item(item::Event::Created(event))) => {
                event.description = event.description.as_ref().map(|_| String::new());
            }
            Decoded::Known(DomainEvent::Comment(comment::Event::Added(event))) => event.body.clear(),
            Decoded::Known(DomainEvent::Comment(comment::Event::Edited(event))) => event.body.clear(),
            _ => {}
        }
        event
    }

    #[test]
    fn every_golden_event_is_the_same_but_for_its_text() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut read = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let Some(event_type) = name.split(".v").next().filter(|_| name.ends_with(".json")) else {
                continue;
            };
            let payload = std::fs::read(&path).unwrap();
            let whole = codec::decode(event_type, 1, &payload).unwrap();
            assert_ne!(whole, Decoded::Unknown, "{name}");
            assert_eq!(decode(event_type, 1, &payload).unwrap(), without_texts(whole), "{name}");
            read += 1;
        }
        assert!(read > 30, "{read}");
    }

    #[test]
    fn what_cannot_be_read_whole_cannot_be_read_in_brief() {
        let created = r#"{"workspaceId":"9f168d88-3c9b-5e5c-bced-df6376cc4ea0","projectId":"9f168d88-3c9b-5e5c-bced-df6376cc4ea0",
            "boardId":"9f168d88-3c9b-5e5c-bced-df6376cc4ea0","columnId":"9f168d88-3c9b-5e5c-bced-df6376cc4ea0","rank":"i5i","title":"t""#;
        let item = "9f168d88-3c9b-5e5c-bced-df6376cc4ea0";
        for (event_type, payload) in [
            ("item.created", format!("{created}}}")),
            ("item.created", format!(r#"{created},"description":null,"colour":"blue"}}"#)),
            ("item.created", format!(r#"{created},"description":"a\r\nb \ud83d\ude00"}}"#)),
            ("item.created", format!(r#"{created},"description":7}}"#)),
            ("item.created", format!(r#"{created},"description":"\ud83d"}}"#)),
            ("item.created", r#"{"title":"t"}"#.to_owned()),
            ("comment.edited", format!(r#"{{"itemId":"{item}","body":"x"}}"#)),
            ("comment.edited", format!(r#"{{"itemId":"{item}","body":null}}"#)),
            ("comment.edited", format!(r#"{{"itemId":"{item}"}}"#)),
            (
                "comment.added",
                format!(r#"{{"itemId":"{item}","workspaceId":"{item}","boardId":"{item}","body":["x"]}}"#),
            ),
        ] {
            let whole = codec::decode(event_type, 1, payload.as_bytes()).map(without_texts);
            let brief = decode(event_type, 1, payload.as_bytes());
            assert_eq!(brief.is_ok(), whole.is_ok(), "{event_type} {payload}");
            if let (Ok(brief), Ok(whole)) = (brief, whole) {
                assert_eq!(brief, whole, "{payload}");
            }
        }
        assert_eq!(decode("sys.rebuild", 1, b"anything").unwrap(), Decoded::Unknown);
        assert_eq!(decode("item.created", 9, b"anything").unwrap(), Decoded::Unknown);
    }
}
