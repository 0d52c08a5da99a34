//! What decisions about a board, and about where its items go, need to know.

use crate::{
    aggregate::Life,
    board::{Event, FieldKind, FieldType, FieldTypes},
    error::{DomainError, Thing},
    ids::{BoardId, ColumnId, ProjectId, WorkspaceId},
    project::Label,
    workspace::Role,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A column of a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub(super) id: ColumnId,
    pub(super) name: String,
    pub(super) wip_limit: Option<u32>,
}

impl Column {
    /// The column.
    #[must_use]
    pub fn id(&self) -> ColumnId {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many items it may hold.
    #[must_use]
    pub fn wip_limit(&self) -> Option<u32> {
        self.wip_limit
    }
}

/// Where a board belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Home {
    pub(super) workspace: WorkspaceId,
    pub(super) project: ProjectId,
}

/// A board as its decisions see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Board {
    pub(super) life: Life,
    pub(super) home: Option<Home>,
    pub(super) label: Label,
    /// In their order on the board. A list, because boards have dozens of them and order matters.
    pub(super) columns: Vec<Column>,
    /// Removed columns, each with the one that took over its items.
    pub(super) removed: BTreeMap<ColumnId, ColumnId>,
    pub(super) members: BTreeMap<String, Role>,
    pub(super) fields: BTreeMap<String, FieldType>,
}

/// Proof that a column exists on a board that can be added to: where an item may be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    workspace_id: WorkspaceId,
    project_id: ProjectId,
    board_id: BoardId,
    column_id: ColumnId,
    wip_limit: Option<u32>,
}

impl Placement {
    /// The tenant.
    #[must_use]
    pub fn workspace_id(&self) -> WorkspaceId {
        self.workspace_id
    }

    /// The project that the board belongs to.
    #[must_use]
    pub fn project_id(&self) -> ProjectId {
        self.project_id
    }

    /// The board.
    #[must_use]
    pub fn board_id(&self) -> BoardId {
        self.board_id
    }

    /// The column.
    #[must_use]
    pub fn column_id(&self) -> ColumnId {
        self.column_id
    }

    /// How many items the column may hold. Where there is a limit, count, [`Placement::admit`], and guard
    /// the column's tag.
    #[must_use]
    pub fn wip_limit(&self) -> Option<u32> {
        self.wip_limit
    }

    /// Whether one more item goes in, beside the `count` that are there.
    ///
    /// # Errors
    /// [`DomainError::WipLimitReached`] when the column is full.
    pub fn admit(&self, count: u64) -> Result<(), DomainError> {
        match self.wip_limit {
            Some(limit) if count >= u64::from(limit) => {
                Err(DomainError::WipLimitReached { column: self.column_id, limit })
            }
            _ => Ok(()),
        }
    }
}

impl Board {
    /// Where it stands.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.label.name
    }

    /// The tenant, once the board exists.
    #[must_use]
    pub fn workspace_id(&self) -> Option<WorkspaceId> {
        self.home.map(|home| home.workspace)
    }

    /// The project it belongs to, once it exists.
    #[must_use]
    pub fn project_id(&self) -> Option<ProjectId> {
        self.home.map(|home| home.project)
    }

    /// Its columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// One of its columns.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// The first of its columns with exactly this name.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that items of `id` are in now: itself, or whichever took them over when it was removed.
    #[must_use]
    pub fn resolve(&self, id: ColumnId) -> ColumnId {
        // No loop: a removed id is never used again, so each step goes to a column that was removed
        // later, or not at all.
        let mut id = id;
        while let Some(next) = self.removed.get(&id) {
            id = *next;
        }
        id
    }

    /// What somebody may do here, if they are a member.
    #[must_use]
    pub fn role(&self, member: &str) -> Option<Role> {
        self.members.get(member).copied()
    }

    /// Whether anybody is a member; where nobody is, the workspace's roles count.
    #[must_use]
    pub fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// What it is said that a custom field's values are.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<FieldKind> {
        self.fields.get(name).map(FieldType::kind)
    }

    /// Proof of what is said of these custom fields, for an item's fields to be set.
    ///
    /// # Errors
    /// When the board does not exist.
    pub fn field_types<'n>(
        &self,
        id: BoardId,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<FieldTypes, DomainError> {
        // A deleted board still says what its items' fields are: they are there until they are deleted.
        self.home.ok_or(DomainError::NotFound { thing: Thing::Board })?;
        let known =
            names.into_iter().filter_map(|name| Some((name.to_owned(), self.fields.get(name)?.clone())));
        Ok(FieldTypes::new(id, known.collect()))
    }

    /// Proof that an item may be put into a column.
    ///
    /// # Errors
    /// When the board does not exist or was deleted, or has no such column.
    pub fn placement(&self, id: BoardId, column: ColumnId) -> Result<Placement, DomainError> {
        let home = self.open_home()?;
        let column = self.column(column).ok_or(DomainError::NoSuchColumn { column })?;
        Ok(self.place(home, id, column))
    }

    /// Proof that an item may be put into the board's first column.
    ///
    /// # Errors
    /// When the board does not exist or was deleted, or has no columns.
    pub fn first_placement(&self, id: BoardId) -> Result<Placement, DomainError> {
        let home = self.open_home()?;
        let column = self.columns.first().ok_or(DomainError::NoColumns)?;
        Ok(self.place(home, id, column))
    }

    fn place(&self, home: Home, board_id: BoardId, column: &Column) -> Placement {
        Placement {
            workspace_id: home.workspace,
            project_id: home.project,
            board_id,
            column_id: column.id,
            wip_limit: column.wip_limit,
        }
    }

    fn open_home(&self) -> Result<Home, DomainError> {
        self.life.check_open(Thing::Board)?;
        self.home.ok_or(DomainError::NotFound { thing: Thing::Board })
    }

    pub(super) fn fold(&mut self, event: &Event) {
        match event {
            Event::Created(event) => {
                self.life = Life::Present;
                self.home = Some(Home { workspace: event.workspace_id, project: event.project_id });
                self.label = Label::new(&event.name, event.description.as_deref());
                self.columns = event
                    .columns
                    .iter()
                    .map(|column| Column {
                        id: column.column_id,
                        name: column.name.clone(),
                        wip_limit: column.wip_limit,
                    })
                    .collect();
            }
            Event::Updated(event) => self.label.apply(&event.changes),
            Event::Deleted(_) => self.life = Life::Deleted,
            Event::ColumnAdded(event) => {
                let column =
                    Column { id: event.column_id, name: event.name.clone(), wip_limit: event.wip_limit };
                self.insert_column(event.index, column);
            }
            Event::ColumnChanged(event) => {
                let Some(column) = self.columns.iter_mut().find(|column| column.id == event.column_id) else {
                    return;
                };
                if let Some(name) = event.changes.get("name").and_then(|change| change.to.as_str()) {
                    name.clone_into(&mut column.name);
                }
                if let Some(change) = event.changes.get("wipLimit") {
                    column.wip_limit = change.to.as_u64().and_then(|limit| u32::try_from(limit).ok());
                }
            }
            Event::ColumnMoved(event) => {
                if let Some(column) = self.take_column(event.column_id) {
                    self.insert_column(event.to, column);
                }
            }
            Event::ColumnRemoved(event) => {
                if self.take_column(event.column_id).is_some() {
                    self.removed.insert(event.column_id, event.items_to);
                }
            }
            Event::MemberAdded(event) => {
                self.members.insert(event.member.clone(), event.role);
            }
            Event::MemberRemoved(event) => {
                self.members.remove(&event.member);
            }
            Event::MemberRoleChanged(event) => {
                self.members.insert(event.member.clone(), event.to);
            }
            Event::FieldDefined(event) => {
                let known = FieldType::new(event.kind, event.options.clone());
                self.fields.insert(event.name.clone(), known);
            }
            Event::FieldRemoved(event) => {
                self.fields.remove(&event.name);
            }
        }
    }

    fn take_column(&mut self, id: ColumnId) -> Option<Column> {
        let index = self.columns.iter().position(|column| column.id == id)?;
        Some(self.columns.remove(index))
    }

    fn insert_column(&mut self, index: u32, column: Column) {
        let index = usize::try_from(index).unwrap_or(usize::MAX).min(self.columns.len());
        self.columns.insert(index, column);
    }
}
