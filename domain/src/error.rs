//! Why the domain refuses a command: one enum, each case with a stable code.
//!
//! Invariant: codes are contracts with clients; they are added to, never changed.
//!
//! HTTP is not known here: [`Kind`] is what a service maps to a status.

use crate::{ids::ColumnId, workspace::Role};
use std::fmt;

/// What kind of thing an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Thing {
    /// A workspace.
    Workspace,
    /// A project.
    Project,
    /// A board.
    Board,
    /// A column of a board.
    Column,
    /// An item.
    Item,
    /// A comment.
    Comment,
    /// A member of a workspace or board.
    Member,
    /// An attachment of an item.
    Attachment,
    /// A field definition of a board.
    Field,
    /// A link between items.
    Link,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workspace => "workspace",
            Self::Project => "project",
            Self::Board => "board",
            Self::Column => "column",
            Self::Item => "item",
            Self::Comment => "comment",
            Self::Member => "member",
            Self::Attachment => "attachment",
            Self::Field => "field",
            Self::Link => "link",
        })
    }
}

/// The family of an error: what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// There is no such thing (404).
    NotFound,
    /// There was one, and its id is never used again (410).
    Gone,
    /// There is one already (409).
    AlreadyExists,
    /// Something in the command itself is not acceptable, whatever the state (422).
    Invalid,
    /// The command is well formed, but the state forbids it (422).
    Refused,
    /// Whoever asks may not do this (403).
    NotPermitted,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// Creating what exists.
    #[error("the {thing} exists already")]
    AlreadyExists {
        /// What it is.
        thing: Thing,
    },
    /// Acting on what does not exist.
    #[error("there is no such {thing}")]
    NotFound {
        /// What was asked for.
        thing: Thing,
    },
    /// Acting on what was deleted, or creating it again.
    #[error("the {thing} was deleted")]
    Gone {
        /// What it was.
        thing: Thing,
    },
    /// Changing what is archived.
    #[error("the {thing} is archived")]
    Archived {
        /// What is archived.
        thing: Thing,
    },
    /// A text that must say something says nothing.
    #[error("{field} is empty")]
    Empty {
        /// Which text.
        field: &'static str,
    },
    /// A text longer than allowed.
    #[error("{field} has {actual} {unit}, at most {max} are allowed")]
    TooLong {
        /// Which text.
        field: &'static str,
        /// Its length.
        actual: usize,
        /// The longest allowed.
        max: usize,
        /// What the lengths count: `characters` or `bytes`.
        unit: &'static str,
    },
    /// More of something than allowed.
    #[error("{actual} {field} are too many, at most {max} are allowed")]
    TooMany {
        /// Of what.
        field: &'static str,
        /// How many there would be.
        actual: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A custom field's value is nested too deeply.
    #[error("the value of field {field:?} is nested deeper than {max} levels")]
    TooDeep {
        /// Which field.
        field: String,
        /// The deepest allowed.
        max: usize,
    },
    /// A value that is not what the board says that the field holds.
    #[error("{field} takes {expected}, not {actual}")]
    FieldType {
        /// Which field, as `fields.<name>`.
        field: String,
        /// What the board says.
        expected: String,
        /// What the value is.
        actual: &'static str,
    },
    /// Not a day of the calendar.
    #[error("a date is YYYY-MM-DD, a day that the calendar has")]
    DateInvalid,
    /// The title, the description and the due date are not custom fields.
    #[error("{field:?} is not a custom field")]
    ReservedField {
        /// Its name.
        field: String,
    },
    /// Adding to or removing from a field that does not hold a list.
    #[error("field {field:?} does not hold a list")]
    NotAList {
        /// Which field.
        field: String,
    },
    /// The board has no such column.
    #[error("the board has no column {column}")]
    NoSuchColumn {
        /// The column that was asked for.
        column: ColumnId,
    },
    /// The board has no column at all, and none was asked for.
    #[error("the board has no columns")]
    NoColumns,
    /// An item moves between the columns of its own board only.
    #[error("the column belongs to another board")]
    OtherBoard,
    /// The column holds as many items as it may.
    #[error("the column {column} is full: its limit is {limit}")]
    WipLimitReached {
        /// Which column.
        column: ColumnId,
        /// Its limit, in items.
        limit: u32,
    },
    /// A limit of zero would forbid every item.
    #[error("a column's limit is at least 1")]
    WipLimitZero,
    /// A column cannot hand its items to itself.
    #[error("the items of a removed column go to another column")]
    ColumnToItself,
    /// Not a rank: digits `0-9a-z`, not ending in `0`.
    #[error("a rank is 1 to 64 characters of 0-9 and a-z and does not end in 0")]
    RankInvalid,
    /// The lower neighbour is not below the upper one.
    #[error("the rank to follow is not below the rank to precede")]
    RankOrder,
    /// There is no room for a rank of allowed length; the column has to be ranked anew.
    #[error("the ranks here are used up, the column has to be ranked anew")]
    RankExhausted,
    /// Somebody whose role is too low.
    #[error("{action} takes the role {needs} here, and the caller {}", held(*has))]
    NotPermitted {
        /// What was asked for, such as `item.delete`.
        action: &'static str,
        /// The lowest role that may do it.
        needs: Role,
        /// The role that the caller has where it was to be done.
        has: Option<Role>,
    },
    /// Taking away the last owner of a workspace.
    #[error("a workspace keeps at least one owner: make somebody else an owner first")]
    LastOwner,
}

fn held(role: Option<Role>) -> String {
    role.map_or_else(|| "has none".to_owned(), |role| format!("has the role {role}"))
}

impl DomainError {
    /// The stable, machine-readable name of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists { .. } => "already_exists",
            Self::NotFound { .. } => "not_found",
            Self::Gone { .. } => "gone",
            Self::Archived { .. } => "archived",
            Self::Empty { field } => match *field {
                "title" => "title_empty",
                "body" => "body_empty",
                "name" => "name_empty",
                _ => "empty",
            },
            Self::TooLong { .. } => "too_long",
            Self::TooMany { .. } => "too_many",
            Self::TooDeep { .. } => "too_deep",
            Self::FieldType { .. } => "field_type",
            Self::DateInvalid => "date_invalid",
            Self::ReservedField { .. } => "reserved_field",
            Self::NotAList { .. } => "not_a_list",
            Self::NoSuchColumn { .. } => "no_such_column",
            Self::NoColumns => "no_columns",
            Self::OtherBoard => "other_board",
            Self::WipLimitReached { .. } => "wip_limit_reached",
            Self::WipLimitZero => "wip_limit_zero",
            Self::ColumnToItself => "column_to_itself",
            Self::RankInvalid => "rank_invalid",
            Self::RankOrder => "rank_order",
            Self::RankExhausted => "rank_exhausted",
            Self::NotPermitted { .. } => "not_permitted",
            Self::LastOwner => "last_owner",
        }
    }

    /// The family this error belongs to.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::AlreadyExists { .. } => Kind::AlreadyExists,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Gone { .. } => Kind::Gone,
            Self::Empty { .. }
            | Self::TooLong { .. }
            | Self::TooMany { .. }
            | Self::TooDeep { .. }
            | Self::DateInvalid
            | Self::ReservedField { .. }
            | Self::WipLimitZero
            | Self::ColumnToItself
            | Self::RankInvalid
            | Self::RankOrder => Kind::Invalid,
            Self::Archived { .. }
            | Self::NotAList { .. }
            | Self::FieldType { .. }
            | Self::NoSuchColumn { .. }
            | Self::NoColumns
            | Self::OtherBoard
            | Self::WipLimitReached { .. }
            | Self::LastOwner
            | Self::RankExhausted => Kind::Refused,
            Self::NotPermitted { .. } => Kind::NotPermitted,
        }
    }

    /// The member of the command that is to blame, where there is one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Empty { field } | Self::TooLong { field, .. } | Self::TooMany { field, .. } => Some(field),
            Self::TooDeep { field, .. }
            | Self::ReservedField { field }
            | Self::NotAList { field }
            | Self::FieldType { field, .. } => Some(field),
            Self::DateInvalid => Some("dueDate"),
            Self::NoSuchColumn { .. } | Self::NoColumns | Self::OtherBoard | Self::WipLimitReached { .. } => {
                Some("columnId")
            }
            Self::WipLimitZero => Some("wipLimit"),
            Self::ColumnToItself => Some("itemsTo"),
            Self::RankInvalid | Self::RankExhausted => Some("rank"),
            Self::RankOrder => Some("after"),
            Self::LastOwner => Some("member"),
            Self::AlreadyExists { .. }
            | Self::NotFound { .. }
            | Self::Gone { .. }
            | Self::Archived { .. }
            | Self::NotPermitted { .. } => None,
        }
    }
}
