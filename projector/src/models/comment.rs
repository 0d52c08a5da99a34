//! A comment as it is read: everything but its text, which stays in the log.

use crate::models::Name;
use crate::models::apply::Occurrence;
use domain::{CommentId, ItemId};
use eventstore::{Position, Timestamp, Version};
use serde::{Deserialize, Serialize};

/// A comment on an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentModel {
    /// Its id.
    pub id: CommentId,
    /// The item that it is about.
    pub item_id: ItemId,
    /// Its name elsewhere.
    pub external_key: Option<Name>,
    /// The event that says its present text; see [`texts`](crate::texts).
    pub body_at: Position,
    /// Who wrote it: `onBehalfOf ?? actor`.
    pub author: Option<Name>,
    /// Business time of its creation.
    pub created_at: Timestamp,
    /// Business time of its latest edit.
    pub edited_at: Option<Timestamp>,
    /// Whether it is gone.
    pub deleted: bool,
    /// Version of its stream.
    pub version: Version,
}

impl CommentModel {
    pub(super) fn added(
        id: CommentId,
        event: &domain::comment::Added,
        author: Option<Name>,
        at: &Occurrence<'_>,
    ) -> Self {
        Self {
            id,
            item_id: event.item_id,
            external_key: event.external_key.as_deref().map(Name::new),
            body_at: at.position,
            author,
            created_at: at.time,
            edited_at: None,
            deleted: false,
            version: at.version,
        }
    }

    pub(super) fn edited(&mut self, at: &Occurrence<'_>) {
        self.version = at.version;
        self.body_at = at.position;
        self.edited_at = self.edited_at.max(Some(at.time));
    }
}
