//! A board: its columns and their limits, its members, the fields it defines.
//!
//! Invariant: a column's id is never used again once removed; its items then belong to the column that
//! was named when it was removed. How many items a column holds is not known here: the limit is checked
//! by whoever can count, under a guard on the column's tag.

mod command;
mod decide;
mod event;
mod fields;
mod state;

pub use crate::workspace::ChangeMemberRole;
pub use command::{
    AddColumn, ChangeColumn, Command, Create, DefineField, MoveColumn, NewColumn, RemoveColumn,
};
pub use event::{
    ColumnAdded, ColumnChanged, ColumnMoved, ColumnRemoved, Created, CreatedColumn, Deleted, Event,
    FieldDefined, FieldRemoved, MemberAdded, MemberRemoved, MemberRoleChanged, Updated,
};
pub use fields::{FieldKind, FieldType, FieldTypes};
pub use state::{Board, Column, Placement};
