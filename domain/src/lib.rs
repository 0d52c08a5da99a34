//! Workspaces, projects, boards, items and comments: commands, events and the decisions between them.
//!
//! ```text
//! command + state ──decide──▶ events ──encode──▶ payload, tags        (write side)
//!           state ◀──apply─── events ◀──decode── payload              (both sides)
//! ```
//!
//! Invariant: this crate is pure. It does no I/O, reads no clock, makes no randomness and knows neither
//! the log nor HTTP: time and entropy come in with [`Context`], and the same input gives the same events.
//!
//! Invariant: an accepted command that gives no events changed nothing; that is not an error.
//!
//! Where to look: [`Aggregate`] is what the five aggregates ([`workspace`], [`project`], [`board`],
//! [`item`], [`comment`]) have in common; [`DomainEvent`] is any event of theirs; [`codec`] turns
//! events into stored bytes and back; [`tags`] names what each event is about; [`metadata`] is who did
//! it; [`history`] is what an event changed; [`access`] is who may do what; [`conflict`] is whether a command is in the
//! way of what happened meanwhile; [`system`] is what the system says to itself; [`ids`] and [`rank`] make the names and the order.

pub mod access;
pub mod aggregate;
pub mod board;
pub mod brief;
pub mod change;
pub mod codec;
pub mod comment;
pub mod conflict;
pub mod date;
pub mod error;
mod event;
pub mod history;
pub mod ids;
pub mod item;
pub mod limits;
pub mod metadata;
pub mod project;
pub mod rank;
pub mod schema;
pub mod system;
pub mod tags;
pub mod text;
pub mod whole;
pub mod workspace;

pub use aggregate::{Aggregate, Context, Life};
pub use change::{Change, Changes};
pub use codec::{CodecError, Decoded, Encoded};
pub use date::Date;
pub use error::{DomainError, Kind, Thing};
pub use event::DomainEvent;
pub use history::{FieldChange, field_changes};
pub use ids::{
    AttachmentId, BoardId, ColumnId, CommentId, IdError, ItemId, ProjectId, SUNDAY_NAMESPACE, WorkspaceId,
};
pub use metadata::Extras;
pub use rank::Rank;
pub use tags::Scope;
pub use workspace::Role;
