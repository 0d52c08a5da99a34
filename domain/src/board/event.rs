//! What can happen to a board. Payloads are JSON in camelCase.

use crate::{
    board::FieldKind,
    change::Changes,
    event::events,
    ids::{ColumnId, ProjectId, WorkspaceId},
    limits::{COLUMNS_MAX, FIELD_NAME_CHARS_MAX, FIELD_OPTIONS_MAX, NAME_CHARS_MAX, TEXT_BYTES_MAX},
    schema::{self, SAYS_SOMETHING},
    workspace::Role,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `board.created`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// Where it belongs.
    pub project_id: ProjectId,
    /// Its name.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
    /// Its columns from the start, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = COLUMNS_MAX))]
    pub columns: Vec<CreatedColumn>,
}

/// A column that a board has from the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedColumn {
    /// The column.
    pub column_id: ColumnId,
    /// Its name.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// How many items it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub wip_limit: Option<u32>,
}

/// `board.updated`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Updated {
    /// Of `name` and `description`; the description's change has no `from`.
    #[schemars(schema_with = "schema::label_changes")]
    pub changes: Changes,
}

/// `board.deleted`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {}

/// `board.column_added`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnAdded {
    /// The column.
    pub column_id: ColumnId,
    /// Its name.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// How many items it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub wip_limit: Option<u32>,
    /// Its place among the columns, from 0.
    #[schemars(range(max = u32::MAX))]
    pub index: u32,
}

/// `board.column_changed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnChanged {
    /// The column.
    pub column_id: ColumnId,
    /// Of `name` and `wipLimit`.
    #[schemars(schema_with = "schema::column_changes")]
    pub changes: Changes,
}

/// `board.column_moved`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnMoved {
    /// The column.
    pub column_id: ColumnId,
    /// Its place before, from 0.
    #[schemars(range(max = u32::MAX))]
    pub from: u32,
    /// Its place now, from 0.
    #[schemars(range(max = u32::MAX))]
    pub to: u32,
}

/// `board.column_removed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnRemoved {
    /// The column.
    pub column_id: ColumnId,
    /// The column that its items are in from now on.
    pub items_to: ColumnId,
}

/// `board.member_added`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberAdded {
    /// The subject.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub member: String,
    /// What they may do.
    pub role: Role,
}

/// `board.member_removed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberRemoved {
    /// The subject.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub member: String,
}

/// `board.member_role_changed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberRoleChanged {
    /// The subject.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub member: String,
    /// What they could do before.
    pub from: Role,
    /// What they may do now.
    pub to: Role,
}

/// `board.field_defined`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldDefined {
    /// The field.
    #[schemars(length(min = 1, max = FIELD_NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// What its values are.
    pub kind: FieldKind,
    /// What may be chosen from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = FIELD_OPTIONS_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub options: Vec<String>,
}

/// `board.field_removed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldRemoved {
    /// The field.
    #[schemars(length(min = 1, max = FIELD_NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
}

events! {
    /// It exists.
    Created = "board.created" v 1,
    /// Something is said differently of it.
    Updated = "board.updated" v 1,
    /// It is gone.
    Deleted = "board.deleted" v 1,
    /// It has another column.
    ColumnAdded = "board.column_added" v 1,
    /// A column has another name or limit.
    ColumnChanged = "board.column_changed" v 1,
    /// A column stands elsewhere.
    ColumnMoved = "board.column_moved" v 1,
    /// A column is gone, its items are in another.
    ColumnRemoved = "board.column_removed" v 1,
    /// Somebody is a member.
    MemberAdded = "board.member_added" v 1,
    /// Somebody is no member any more.
    MemberRemoved = "board.member_removed" v 1,
    /// A member may do something else.
    MemberRoleChanged = "board.member_role_changed" v 1,
    /// It is said what a field is.
    FieldDefined = "board.field_defined" v 1,
    /// It is not said any more what a field is.
    FieldRemoved = "board.field_removed" v 1,
}
