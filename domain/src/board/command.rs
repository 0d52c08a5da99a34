//! What can be asked of a board. Bodies are read from JSON directly; what the path of a request names
//! (a column, a member) stands beside them.

use crate::{
    board::FieldKind,
    ids::{BoardId, ColumnId, ProjectId},
    limits::{COLUMNS_MAX, FIELD_NAME_CHARS_MAX, FIELD_OPTIONS_MAX, NAME_CHARS_MAX, TEXT_BYTES_MAX},
    project::{ProjectRef, Update},
    schema::{self, SAYS_SOMETHING},
    whole,
    workspace::{AddMember, ChangeMemberRole, RemoveMember},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Creates a board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewBoard")]
pub struct Create {
    /// The id that the caller chose, for whoever names the stream; the decision does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<BoardId>,
    /// Where it belongs; the decision takes the [`ProjectRef`]'s.
    pub project_id: ProjectId,
    /// At most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// At most 4,000,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
    /// Its columns from the start, in order; at most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = COLUMNS_MAX))]
    pub columns: Vec<NewColumn>,
}

/// A column to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewColumn {
    /// The id that the caller chose; a fresh one where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ColumnId>,
    /// At most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// How many items it may hold, at least 1; no limit where absent.
    #[serde(default, deserialize_with = "whole::maybe", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub wip_limit: Option<u32>,
}

/// Adds a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddColumn {
    /// The id that the caller chose; a fresh one where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ColumnId>,
    /// At most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// How many items it may hold, at least 1; no limit where absent.
    #[serde(default, deserialize_with = "whole::maybe", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub wip_limit: Option<u32>,
    /// Its place among the columns, from 0; the end where absent or beyond it.
    #[serde(default, deserialize_with = "whole::maybe", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u32::MAX))]
    pub index: Option<u32>,
}

/// Changes a column; what is absent stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeColumn {
    /// Another name: at most 200 characters, not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: Option<String>,
    /// Another limit, at least 1, or none (`null`).
    #[serde(default, deserialize_with = "whole::present", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub wip_limit: Option<Option<u32>>,
}

/// Puts a column elsewhere among the columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveColumn {
    /// Its new place, from 0; the end where beyond it.
    #[schemars(range(max = u32::MAX))]
    #[serde(deserialize_with = "whole::number")]
    pub index: u32,
}

/// Removes a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveColumn {
    /// The column that takes over its items.
    pub items_to: ColumnId,
}

/// Says what a custom field of the board's items is; said again, it replaces what was said. Values that are there
/// stay what they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("allOf" = schema::options_by_kind()))]
pub struct DefineField {
    /// The field's name: at most 100 characters, not empty.
    #[schemars(length(min = 1, max = FIELD_NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// What its values are.
    pub kind: FieldKind,
    /// What may be chosen from: for a `choice`, which needs some, and for a `list`, which may hold anything without.
    /// At most 500, of at most 200 characters each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = FIELD_OPTIONS_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub options: Vec<String>,
}

/// What can be asked of a board.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// See [`Create`]; with proof that the project is there.
    Create(Create, ProjectRef),
    /// See [`Update`].
    Update(Update),
    /// Takes it away, for good.
    Delete,
    /// See [`AddColumn`].
    AddColumn(AddColumn),
    /// See [`ChangeColumn`].
    ChangeColumn(ColumnId, ChangeColumn),
    /// See [`MoveColumn`].
    MoveColumn(ColumnId, MoveColumn),
    /// See [`RemoveColumn`].
    RemoveColumn(ColumnId, RemoveColumn),
    /// See [`AddMember`].
    AddMember(AddMember),
    /// See [`RemoveMember`].
    RemoveMember(RemoveMember),
    /// See [`ChangeMemberRole`].
    ChangeMemberRole(ChangeMemberRole),
    /// See [`DefineField`].
    DefineField(DefineField),
    /// Forgets what a field of this name is.
    RemoveField(String),
}
