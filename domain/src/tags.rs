//! What each event is about, as short strings that the log indexes and that reads are authorised by.
//!
//! Invariant: every event carries `workspace:<uuid>`, the tenant; where it applies `board:` and `item:`.
//! `column:<uuid>` stands on what changes how many items a column holds (an item created, moved: both
//! columns, deleted), so that a guard on it protects a limit. `board-shape:<uuid>` stands only on what
//! changes a board's columns or limits, so that a guard on it protects a placement.
//!
//! Values are opaque ids, never names.

use crate::{
    board,
    event::DomainEvent,
    ids::{BoardId, ItemId, WorkspaceId},
    item,
};
use uuid::Uuid;

/// What the tag of a tenant begins with; its id follows.
pub const WORKSPACE: &str = "workspace:";
/// What the tag of a board begins with.
pub const BOARD: &str = "board:";
/// What the tag of an item begins with.
pub const ITEM: &str = "item:";

/// Where an event belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The tenant.
    pub workspace: WorkspaceId,
    /// The board, for boards, items and comments.
    pub board: Option<BoardId>,
    /// The item, for items and comments.
    pub item: Option<ItemId>,
}

/// Gives each tag of an event, without allocating. The scope is that of the aggregate *after* the event.
pub fn for_each_tag(event: &DomainEvent, scope: &Scope, mut give: impl FnMut(&str)) {
    give_tag(WORKSPACE, scope.workspace.uuid(), &mut give);
    if let Some(board) = scope.board {
        give_tag(BOARD, board.uuid(), &mut give);
        if changes_shape(event) {
            give_tag("board-shape:", board.uuid(), &mut give);
        }
    }
    if let Some(item) = scope.item {
        give_tag(ITEM, item.uuid(), &mut give);
    }
    match event {
        DomainEvent::Item(item::Event::Created(event)) => {
            give_tag("column:", event.column_id.uuid(), &mut give);
        }
        DomainEvent::Item(item::Event::Moved(event)) => {
            give_tag("column:", event.from_column.uuid(), &mut give);
            if event.to_column != event.from_column {
                give_tag("column:", event.to_column.uuid(), &mut give);
            }
        }
        DomainEvent::Item(item::Event::Deleted(event)) => {
            give_tag("column:", event.column_id.uuid(), &mut give);
        }
        _ => {}
    }
}

/// The tags of an event. The scope is that of the aggregate *after* the event.
#[must_use]
pub fn tags(event: &DomainEvent, scope: &Scope) -> Vec<String> {
    let mut tags = Vec::with_capacity(5);
    for_each_tag(event, scope, |tag| tags.push(tag.to_owned()));
    tags
}

/// The tag that only changes of this board's columns and limits carry, to guard a placement with.
#[must_use]
pub fn board_shape(board: BoardId) -> String {
    format!("board-shape:{board}")
}

/// The tag of everything that changes how many items a column holds, to guard a limit with.
#[must_use]
pub fn column(column: crate::ids::ColumnId) -> String {
    format!("column:{column}")
}

fn changes_shape(event: &DomainEvent) -> bool {
    use board::Event as E;
    let DomainEvent::Board(event) = event else { return false };
    match event {
        // Exhaustive, so that a new event of boards has to say whether it changes the shape.
        E::Created(_)
        | E::Deleted(_)
        | E::ColumnAdded(_)
        | E::ColumnChanged(_)
        | E::ColumnMoved(_)
        | E::ColumnRemoved(_) => true,
        E::Updated(_)
        | E::MemberAdded(_)
        | E::MemberRemoved(_)
        | E::MemberRoleChanged(_)
        | E::FieldDefined(_)
        | E::FieldRemoved(_) => false,
    }
}

fn give_tag(prefix: &str, id: Uuid, give: &mut impl FnMut(&str)) {
    const PREFIX_MAX: usize = "board-shape:".len();
    const UUID_LENGTH: usize = 36;
    let mut buffer = [0; PREFIX_MAX + UUID_LENGTH];
    let end = prefix.len() + UUID_LENGTH;
    buffer[..prefix.len()].copy_from_slice(prefix.as_bytes());
    id.hyphenated().encode_lower(&mut buffer[prefix.len()..end]);
    if let Ok(tag) = str::from_utf8(&buffer[..end]) {
        give(tag);
    }
}
