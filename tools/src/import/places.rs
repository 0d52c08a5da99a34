//! The workspaces, projects, boards and columns that a history names: which are known, and what sets up new ones.
//!
//! Invariant: what a command refers to is set up in an earlier batch, or in the set-up batch of its own chunk.
//!
//! Whether the server has them already is not known here: setting up again is harmless.

use crate::import::batch::{Batch, Header};
use crate::import::keys;
use crate::import::line::Line;
use domain::{BoardId, ColumnId, ItemId, ProjectId, WorkspaceId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::convert::Infallible;
use uuid::Uuid;

/// Where an item is at home.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    /// The tenant.
    pub workspace: WorkspaceId,
    /// The item's board.
    pub board: BoardId,
    /// The item.
    pub item: ItemId,
}

/// What has been set up so far.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Workspaces and projects.
    known: FxHashSet<Uuid>,
    boards: FxHashMap<BoardId, FxHashMap<Box<str>, ColumnId>>,
}

impl Places {
    /// The home of the item that `line` creates; what is new of it goes into `set_up`.
    pub(super) fn home(
        &mut self,
        line: &Line<'_>,
        workspace: &str,
        project: &str,
        board: Option<&str>,
        set_up: &mut Batch,
    ) -> Home {
        let workspace_id = WorkspaceId::derive(workspace);
        if self.known.insert(workspace_id.uuid()) {
            add(set_up, "workspace.create", workspace_id.uuid(), workspace_id.uuid(), line, None, workspace);
        }
        let project_id = ProjectId::derive(workspace_id, project);
        if self.known.insert(project_id.uuid()) {
            let parent = Some(("workspaceId", workspace_id.uuid()));
            add(set_up, "project.create", project_id.uuid(), project_id.uuid(), line, parent, project);
        }
        // A missing board is the project's own.
        let board = board.unwrap_or(project);
        let board_id = BoardId::derive(project_id, board);
        if let std::collections::hash_map::Entry::Vacant(entry) = self.boards.entry(board_id) {
            entry.insert(FxHashMap::default());
            let parent = Some(("projectId", project_id.uuid()));
            add(set_up, "board.create", board_id.uuid(), board_id.uuid(), line, parent, board);
        }
        Home { workspace: workspace_id, board: board_id, item: ItemId::derive(workspace_id, &line.key) }
    }

    /// The column of this name on a board; if it is new, it goes into `set_up`.
    pub(super) fn column(
        &mut self,
        line: &Line<'_>,
        board: BoardId,
        name: &str,
        set_up: &mut Batch,
    ) -> ColumnId {
        let columns = self.boards.entry(board).or_default();
        if let Some(column) = columns.get(name) {
            return *column;
        }
        let column = ColumnId::derive(board, name);
        columns.insert(name.into(), column);
        let own = Some(("id", column.uuid()));
        add(set_up, "board.add_column", board.uuid(), column.uuid(), line, own, name);
        column
    }
}

/// Adds a command that makes `thing`, on behalf of whoever the line names.
fn add(
    set_up: &mut Batch,
    command: &str,
    target: Uuid,
    thing: Uuid,
    line: &Line<'_>,
    related: Option<(&str, Uuid)>,
    name: &str,
) {
    let header = Header { key: keys::set_up(thing, line), actor: line.actor, at: &line.at };
    let Ok(()) = set_up.add(0, |body| {
        body.open(command, target, header);
        if let Some((member, id)) = related {
            body.member_id(member, id);
        }
        body.member_text("name", name);
        body.close();
        Ok::<(), Infallible>(())
    });
}
