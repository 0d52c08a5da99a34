//! What can happen to an item. Payloads are JSON in camelCase; the item's own id stands in the stream's.

use crate::{
    change::Changes,
    date::Date,
    event::events,
    ids::{AttachmentId, BoardId, ColumnId, ItemId, ProjectId, WorkspaceId},
    limits::{
        ASSIGNEES_MAX, EXTERNAL_KEY_CHARS_MAX, FIELDS_MAX, FILE_NAME_CHARS_MAX, NAME_CHARS_MAX,
        RESOLUTION_CHARS_MAX, TEXT_BYTES_MAX, TITLE_CHARS_MAX,
    },
    rank::Rank,
    schema::{self, SAYS_SOMETHING},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `item.created`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// The project of its board.
    pub project_id: ProjectId,
    /// Its board.
    pub board_id: BoardId,
    /// Its column.
    pub column_id: ColumnId,
    /// Its place in the column.
    pub rank: Rank,
    /// What it is called.
    #[schemars(length(max = TITLE_CHARS_MAX))]
    pub title: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
    /// Its name elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = EXTERNAL_KEY_CHARS_MAX))]
    pub external_key: Option<String>,
    /// Who it is assigned to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ASSIGNEES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub assignees: Vec<String>,
    /// The day on which it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
    /// Its custom fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = FIELDS_MAX, "propertyNames" = schema::stored_field_names()))]
    pub fields: BTreeMap<String, Value>,
}

/// `item.updated`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Updated {
    /// Of `title`, `description`, `dueDate` and custom fields; the description's change has no `from`, and a field
    /// that is `to` null is gone.
    #[schemars(schema_with = "schema::item_changes")]
    pub changes: Changes,
}

/// `item.moved`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Where it was.
    pub from_column: ColumnId,
    /// Where it is; the same, where it only changed its place by a move.
    pub to_column: ColumnId,
    /// Its place before.
    pub from_rank: Rank,
    /// Its place now.
    pub to_rank: Rank,
}

/// `item.ranked`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ranked {
    /// Its place before.
    pub from_rank: Rank,
    /// Its place now.
    pub to_rank: Rank,
}

/// `item.assigned`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assigned {
    /// Who it is assigned to from now on, beside the others.
    #[schemars(length(max = ASSIGNEES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub assignees: Vec<String>,
}

/// `item.unassigned`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unassigned {
    /// Who it is not assigned to any more.
    #[schemars(length(max = ASSIGNEES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub assignees: Vec<String>,
}

/// `item.completed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Completed {
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = RESOLUTION_CHARS_MAX))]
    pub resolution: Option<String>,
}

/// `item.reopened`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reopened {}

/// `item.linked`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Linked {
    /// What the link says.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub kind: String,
    /// The other item.
    pub item_id: ItemId,
}

/// `item.unlinked`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unlinked {
    /// What the link said.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub kind: String,
    /// The other item.
    pub item_id: ItemId,
}

/// `item.attachment_added`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentAdded {
    /// The attachment.
    pub attachment_id: AttachmentId,
    /// The file's name.
    #[schemars(length(min = 1, max = FILE_NAME_CHARS_MAX))]
    pub name: String,
    /// Its size in bytes.
    #[schemars(range(max = u64::MAX))]
    pub size: u64,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = FILE_NAME_CHARS_MAX))]
    pub mime: Option<String>,
}

/// `item.attachment_removed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentRemoved {
    /// The attachment.
    pub attachment_id: AttachmentId,
}

/// `item.deleted`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    /// Where it was.
    pub column_id: ColumnId,
}

events! {
    /// It exists.
    Created = "item.created" v 1,
    /// Something is said differently of it.
    Updated = "item.updated" v 1,
    /// It is in another column or place.
    Moved = "item.moved" v 1,
    /// It is in another place of its column.
    Ranked = "item.ranked" v 1,
    /// Somebody is to do it.
    Assigned = "item.assigned" v 1,
    /// Somebody is not to do it any more.
    Unassigned = "item.unassigned" v 1,
    /// It is done.
    Completed = "item.completed" v 1,
    /// It is not done after all.
    Reopened = "item.reopened" v 1,
    /// It is tied to another item.
    Linked = "item.linked" v 1,
    /// It is not tied to another item any more.
    Unlinked = "item.unlinked" v 1,
    /// A file belongs to it.
    AttachmentAdded = "item.attachment_added" v 1,
    /// A file does not belong to it any more.
    AttachmentRemoved = "item.attachment_removed" v 1,
    /// It is gone.
    Deleted = "item.deleted" v 1,
}
