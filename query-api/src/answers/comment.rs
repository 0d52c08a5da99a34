//! A comment with its text.

use super::Told;
use crate::rfc3339::Rfc3339;
use crate::service::reading::Work;
use domain::{CommentId, ItemId};
use eventstore::{Log, Position, ReadError};
use projector::models::{CommentModel, Name};
use projector::texts;
use schemars::JsonSchema;
use serde::Serialize;

/// A comment.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Comment")]
pub(crate) struct CommentAnswer {
    id: CommentId,
    item_id: ItemId,
    external_key: Option<Name>,
    author: Option<Name>,
    body: Option<String>,
    version: u64,
    created_at: Rfc3339,
    edited_at: Option<Rfc3339>,
    #[serde(skip)]
    body_at: Position,
}

impl CommentAnswer {
    /// Copies what the models know.
    pub(crate) fn of(comment: &CommentModel) -> Self {
        Self {
            id: comment.id,
            item_id: comment.item_id,
            external_key: comment.external_key.clone(),
            author: comment.author.clone(),
            body: None,
            version: comment.version.get(),
            created_at: Rfc3339(comment.created_at),
            edited_at: comment.edited_at.map(Rfc3339),
            body_at: comment.body_at,
        }
    }

    /// Bytes of its text.
    pub(crate) fn len(&self) -> usize {
        self.body.as_ref().map_or(0, String::len)
    }
}

impl Told for CommentAnswer {
    fn version(&self) -> u64 {
        self.version
    }

    fn work(&self) -> Work {
        Work::texts([self.body_at])
    }

    fn fill(mut self, log: &Log) -> Result<Self, ReadError> {
        self.body = texts::body(log, self.body_at)?;
        Ok(self)
    }
}
