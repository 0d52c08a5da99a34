//! What can be asked of an item. Bodies are read from JSON directly.

use crate::{
    board::{FieldTypes, Placement},
    change::present,
    date::Date,
    ids::{AttachmentId, BoardId, ColumnId, ItemId},
    limits::{
        ASSIGNEES_MAX, EXTERNAL_KEY_CHARS_MAX, FIELDS_MAX, FILE_NAME_CHARS_MAX, NAME_CHARS_MAX,
        RESOLUTION_CHARS_MAX, TEXT_BYTES_MAX, TITLE_CHARS_MAX,
    },
    rank::Rank,
    schema::{self, SAYS_SOMETHING},
    whole,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Creates an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewItem")]
pub struct Create {
    /// The id that the caller chose, for whoever names the stream; the decision does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// Its board; the decision takes the [`Placement`]'s.
    pub board_id: BoardId,
    /// Its column, the board's first where absent; the decision takes the [`Placement`]'s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_id: Option<ColumnId>,
    /// At most 1,000 characters; empty only in imported histories.
    #[serde(default)]
    #[schemars(!default, length(min = 1, max = TITLE_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub title: String,
    /// At most 4,000,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
    /// The item's name elsewhere: at most 500 characters, not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = EXTERNAL_KEY_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub external_key: Option<String>,
    /// At most 100 people, of at most 200 characters each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ASSIGNEES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub assignees: Vec<String>,
    /// The day on which it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
    /// Custom fields: at most 200. Those that the board defines hold what it says, others any JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = FIELDS_MAX, "propertyNames" = schema::field_names()))]
    pub fields: BTreeMap<String, Value>,
    /// Its place in the column; the end where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<Rank>,
}

/// Changes what is said of an item; what is absent stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "UpdateItem")]
pub struct Update {
    /// Another title: at most 1,000 characters; empty only in imported histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TITLE_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub title: Option<String>,
    /// Another description, or none (`null`): at most 4,000,000 bytes.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<Option<String>>,
    /// Another day on which it is due, or none (`null`).
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Option<Date>>,
    /// Edits of custom fields, by name: at most 200.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = FIELDS_MAX, "propertyNames" = schema::field_names()))]
    pub fields: BTreeMap<String, FieldEdit>,
}

/// What happens to a custom field: `{"set": …}`, `{"add": […]}` or `{"remove": […]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FieldEdit {
    /// It has this value; `null` takes the field away.
    Set(Value),
    /// Its list has these values too, those that it lacks at its end; a missing field begins as an empty list.
    Add(Vec<Value>),
    /// Its list has these values no more.
    Remove(Vec<Value>),
}

/// Puts an item into a column, and to a place in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "MoveItem")]
pub struct Move {
    /// The column; the decision takes the [`Placement`]'s.
    pub column_id: ColumnId,
    /// The rank of the item to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Rank>,
    /// The rank of the item to precede. With neither, it goes to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Rank>,
}

/// Gives an item a rank in its column: one between neighbours, or a given one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "RankItem")]
pub struct SetRank {
    /// The very rank; used when a whole column is ranked anew. `after` and `before` are then not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<Rank>,
    /// The rank of the item to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Rank>,
    /// The rank of the item to precede. With neither, it goes to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Rank>,
}

/// Changes who an item is assigned to: first some are taken off, then some put on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AssignItem")]
pub struct Assign {
    /// Who is assigned from now on, beside those who are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ASSIGNEES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub assignees: Vec<String>,
    /// Who is not any more; whoever is in both lists stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// Takes people off an item.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "UnassignItem")]
pub struct Unassign {
    /// Who is not assigned any more.
    pub assignees: Vec<String>,
}

/// Says that the work is done.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "CompleteItem")]
pub struct Complete {
    /// How it ended: at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = RESOLUTION_CHARS_MAX))]
    pub resolution: Option<String>,
}

/// Notes a file that belongs to an item; its bytes are elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddAttachment {
    /// The id that the caller chose; a fresh one where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AttachmentId>,
    /// The file's name: at most 1,000 characters, not empty.
    #[schemars(length(min = 1, max = FILE_NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// Its size in bytes.
    #[serde(default, deserialize_with = "whole::number")]
    #[schemars(range(max = u64::MAX))]
    pub size: u64,
    /// Its media type: at most 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = FILE_NAME_CHARS_MAX))]
    pub mime: Option<String>,
}

/// Ties an item to another one, or unties it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LinkItem")]
pub struct Link {
    /// What the link says, such as `blocks`: at most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub kind: String,
    /// The other item.
    pub item_id: ItemId,
}

/// What can be asked of an item.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// See [`Create`]; with proof that the column is there, and of what the fields hold.
    Create(Create, Placement, FieldTypes),
    /// See [`Update`]; with proof of what the fields hold.
    Update(Update, FieldTypes),
    /// See [`Move`]; with proof that the column is there.
    Move(Move, Placement),
    /// See [`SetRank`].
    Rank(SetRank),
    /// See [`Assign`].
    Assign(Assign),
    /// See [`Unassign`].
    Unassign(Unassign),
    /// See [`Complete`].
    Complete(Complete),
    /// Says that the work is not done after all.
    Reopen,
    /// See [`AddAttachment`].
    AddAttachment(AddAttachment),
    /// Forgets an attachment.
    RemoveAttachment(AttachmentId),
    /// See [`Link`].
    Link(Link),
    /// See [`Link`].
    Unlink(Link),
    /// Takes the item away, for good.
    Delete,
}
