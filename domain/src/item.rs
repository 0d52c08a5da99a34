//! An item: a piece of work on a board, in a column.
//!
//! Invariant: its state is small: of the description only a digest is kept, so an `item.updated` says
//! what a description became and not what it was (the event before has that).
//!
//! Whether a column exists, and how full it is, is not known here: a command that places an item brings
//! a [`Placement`](crate::board::Placement), which only a board gives out.

mod command;
mod decide;
mod event;
mod fields;
mod state;

/// What `changes` says of an item itself, so that no custom field may be called so. Histories from before there
/// were due dates may still have a field `dueDate`: see [`due_date_change`].
pub(crate) const RESERVED_FIELDS: [&str; 3] = ["title", "description", "dueDate"];

pub use command::{
    AddAttachment, Assign, Command, Complete, Create, FieldEdit, Link, Move, SetRank, Unassign, Update,
};
pub use event::{
    Assigned, AttachmentAdded, AttachmentRemoved, Completed, Created, Deleted, Event, Linked, Moved, Ranked,
    Reopened, Unassigned, Unlinked, Updated,
};
pub use fields::due_date_change;
pub use state::{Item, ItemRef};
