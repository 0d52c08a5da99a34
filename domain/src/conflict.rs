//! Whether a command and what happened since the version that its sender saw are in each other's way.
//!
//! A command says what it touches, as parts of its aggregate with the values that they are to have; so does an event,
//! with the values that they got. They conflict where both touch one part and the newest value is another than the
//! wished one. What was touched and taken back meanwhile counts as touched: its sender has not seen why.
//!
//! | command | conflicts with events since that | does not conflict with |
//! | --- | --- | --- |
//! | any | archive or delete the whole, unless it is there again | events about other parts |
//! | delete, archive | say anything, unless the whole has just that end | |
//! | create | say anything: there is something already | |
//! | set a title, name, description, due date, body | set the same one to another text | the same text |
//! | set a custom field | change the same field in whatever way | the same value |
//! | add to or remove from a list field | did the opposite with the same value, or set the field to what is no list | other values of the list, the same with the same value |
//! | assign, unassign | did the opposite with the same person | other people |
//! | complete, reopen | did the opposite, or completed with another resolution where one is said | |
//! | move to another column | moved it to a third one | a new rank in the column that it leaves; a move to the very column |
//! | move within its column, rank | moved or ranked it: a place is one between neighbours | a move without neighbours, which stays |
//! | link, unlink, attachment | did the opposite with the same one | other links, other attachments |
//! | member, role | said another role of the same member, or took them away | other members |
//! | add a column | added one under the same id; with an index, changed the order | a column at the end, where no index is said |
//! | change a column | changed the same of name and limit, or removed it | the other of name and limit, its place |
//! | move a column | changed the order: an index counts all columns | the same move |
//! | remove a column | said anything about it, gave it another one's items, or removed its heir | other columns |
//! | define, remove a field of a board | said something else about the same name | other fields |
//!
//! Invariant: every command and every event is named in an exhaustive match, so a new one has to say what it touches.
//! Invariant: where nothing conflicts, the command gives the parts that it touches the same values on the newest state
//! as it would have on the one that its sender saw. Whether the newest state takes the command at all (a list may be full
//! by now) is still the decision's to say.

mod facet;
mod theirs;
mod yours;

use crate::{DomainEvent, board, comment, ids::ColumnId, item, project, workspace};
use serde_json::Value;
use theirs::Theirs;

/// One part of an aggregate that two sides want differently.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// The part, as in `title`, `fields.priority`, `assignees.ann`, `columns.<id>.name`, `life`.
    pub field: String,
    /// What it was before the events, where they say it.
    pub base: Option<Value>,
    /// What it is now.
    pub theirs: Value,
    /// What the command wants it to be.
    pub yours: Value,
}

/// A command as far as conflicts need it.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// Something is to exist.
    Create,
    /// About a workspace.
    Workspace(&'a workspace::Command),
    /// About a project.
    Project(&'a project::Command),
    /// About a board.
    Board(&'a board::Command),
    /// About an item.
    Item(&'a item::Command),
    /// Something else is to be said of an item.
    Update(&'a item::Update),
    /// An item is to be in a column; beside it the one that it is in now, where that is known.
    Move(&'a item::Move, Option<ColumnId>),
    /// About a comment.
    Comment(&'a comment::Command),
}

/// What a command would overwrite of what happened since the version that its sender saw; the events stand in order.
#[must_use]
pub fn conflicts(wish: Wish<'_>, since: &[DomainEvent]) -> Vec<Conflict> {
    if since.is_empty() {
        return Vec::new();
    }
    let theirs = Theirs::of(since);
    let mut found = Vec::new();
    yours::for_each_touch(wish, |touch| found.extend(theirs.conflict(touch)));
    found
}

#[cfg(test)]
mod tests;
