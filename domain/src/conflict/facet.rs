//! The parts of an aggregate that can be changed apart from one another, and their names.

use crate::board::FieldKind;
use crate::ids::{AttachmentId, ColumnId, ItemId};
use serde_json::Value;
use std::fmt;

/// A part of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Facet<'a> {
    /// Whether it is there at all, archived or deleted.
    Life,
    Name,
    Title,
    Description,
    DueDate,
    Body,
    Completed,
    Resolution,
    /// The column that an item is in.
    Place,
    Rank,
    /// A custom field of an item, or what a board says of one.
    Field(&'a str),
    Assignee(&'a str),
    Link(&'a str, ItemId),
    Attachment(AttachmentId),
    Member(&'a str),
    /// Whether a board has a column.
    Column(ColumnId),
    ColumnName(ColumnId),
    ColumnLimit(ColumnId),
    ColumnIndex(ColumnId),
    /// That a column took over the items of another one.
    ColumnItems(ColumnId),
    /// The order of a board's columns.
    Order,
}

impl Facet<'_> {
    /// The column that it is a part of.
    pub(super) fn of_column(self) -> Option<ColumnId> {
        match self {
            Self::Column(id)
            | Self::ColumnName(id)
            | Self::ColumnLimit(id)
            | Self::ColumnIndex(id)
            | Self::ColumnItems(id) => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for Facet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Life => f.write_str("life"),
            Self::Name => f.write_str("name"),
            Self::Title => f.write_str("title"),
            Self::Description => f.write_str("description"),
            Self::DueDate => f.write_str("dueDate"),
            Self::Body => f.write_str("body"),
            Self::Completed => f.write_str("completed"),
            Self::Resolution => f.write_str("resolution"),
            Self::Place => f.write_str("columnId"),
            Self::Rank => f.write_str("rank"),
            Self::Field(name) => write!(f, "fields.{name}"),
            Self::Assignee(person) => write!(f, "assignees.{person}"),
            Self::Link(kind, item) => write!(f, "links.{kind}.{item}"),
            Self::Attachment(id) => write!(f, "attachments.{id}"),
            Self::Member(member) => write!(f, "members.{member}"),
            Self::Column(id) => write!(f, "columns.{id}"),
            Self::ColumnName(id) => write!(f, "columns.{id}.name"),
            Self::ColumnLimit(id) => write!(f, "columns.{id}.wipLimit"),
            Self::ColumnIndex(id) => write!(f, "columns.{id}.index"),
            Self::ColumnItems(id) => write!(f, "columns.{id}.items"),
            Self::Order => f.write_str("columns"),
        }
    }
}

/// What a command wants of a part.
#[derive(Debug)]
pub(super) enum Touch<'a> {
    /// It is to have this value.
    Set(Facet<'a>, Value),
    /// A list field is to hold these values.
    Add(&'a str, &'a [Value]),
    /// A list field is to hold these values no more.
    Remove(&'a str, &'a [Value]),
    /// It is to end like this, with everything that it is made of.
    End(Facet<'a>, Value),
}

/// The value of [`Facet::Life`] and [`Facet::Column`] for what is there.
pub(super) const PRESENT: &str = "present";
/// The value of [`Facet::Life`] for what is archived.
pub(super) const ARCHIVED: &str = "archived";
/// The value of [`Facet::Life`] for what is deleted.
pub(super) const DELETED: &str = "deleted";

/// The value of [`Facet::Column`] for one that was removed.
pub(super) fn removed(items_to: ColumnId) -> Value {
    serde_json::json!({ "itemsTo": items_to })
}

/// The value of [`Facet::Order`]: who was put where last.
pub(super) fn order(column: Option<ColumnId>, index: Option<u32>) -> Value {
    serde_json::json!({ "columnId": column, "index": index })
}

/// The value of [`Facet::Field`] for what a board says of one.
pub(super) fn field_type(kind: FieldKind, options: &[String]) -> Value {
    serde_json::json!({ "kind": kind, "options": options })
}

/// Anything small of the domain's as JSON.
pub(super) fn json(value: impl serde::Serialize) -> Value {
    // Enumerations and texts always have a JSON form.
    serde_json::to_value(value).unwrap_or_default()
}
