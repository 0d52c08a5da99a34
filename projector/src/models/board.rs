//! A board as it is read: its columns in order, and in each the items in order.
//!
//! Invariant: an item of the board that is not deleted stands in exactly the set of its own column, under its own
//! rank. These sets follow from the items, so images and digests leave them out.

use crate::models::Name;
use crate::models::apply::{Occurrence, changed_text};
use domain::board::{Created, Event, FieldKind};
use domain::{BoardId, ColumnId, ItemId, ProjectId, Role, WorkspaceId};
use eventstore::{Position, Timestamp, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardModel {
    /// Its id.
    pub id: BoardId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name.
    pub name: Name,
    /// The event that says its description; see [`texts`](crate::texts).
    pub description_at: Option<Position>,
    /// In their order on the board.
    pub columns: Vec<ColumnModel>,
    /// Removed columns, each with the one that took over its items.
    pub removed_columns: BTreeMap<ColumnId, ColumnId>,
    /// Who belongs to it.
    pub members: BTreeMap<Name, Role>,
    /// What the values of custom fields are.
    pub fields: BTreeMap<Name, FieldKind>,
    /// What may be chosen from, for the fields that say so.
    pub field_options: BTreeMap<Name, Vec<Name>>,
    /// Whether it is gone.
    pub deleted: bool,
    /// Version of its stream.
    pub version: Version,
    /// Business time of its creation.
    pub created_at: Timestamp,
    /// Business time of its latest change.
    pub updated_at: Timestamp,
}

/// A column of a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnModel {
    /// Its id.
    pub id: ColumnId,
    /// Its name.
    pub name: Name,
    /// How many items it may hold.
    pub wip_limit: Option<u32>,
    /// Its items in order.
    #[serde(skip)]
    pub items: BTreeSet<Place>,
}

/// Where an item stands in its column: order is by rank, then by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The item's rank.
    pub rank: Name,
    /// The item.
    pub item: ItemId,
}

impl BoardModel {
    /// One of its columns.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&ColumnModel> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// Number of items on the board.
    #[must_use]
    pub fn item_count(&self) -> usize {
        self.columns.iter().map(|column| column.items.len()).sum()
    }

    /// The column that items of `id` are in now: itself, or whichever took them over when it was removed.
    #[must_use]
    pub fn resolve(&self, id: ColumnId) -> ColumnId {
        // A removed id is never used again, so each step goes to a column that was removed later; the bound is
        // only for logs that other writers made.
        let mut id = id;
        for _ in 0..=self.removed_columns.len() {
            match self.removed_columns.get(&id) {
                Some(next) => id = *next,
                None => break,
            }
        }
        id
    }

    pub(super) fn created(id: BoardId, event: &Created, at: &Occurrence<'_>) -> Self {
        let columns = event.columns.iter();
        Self {
            id,
            workspace_id: event.workspace_id,
            project_id: event.project_id,
            name: Name::new(&event.name),
            description_at: event.description.as_ref().map(|_| at.position),
            columns: columns
                .map(|column| ColumnModel::new(column.column_id, &column.name, column.wip_limit))
                .collect(),
            removed_columns: BTreeMap::new(),
            members: BTreeMap::new(),
            fields: BTreeMap::new(),
            field_options: BTreeMap::new(),
            deleted: false,
            version: at.version,
            created_at: at.time,
            updated_at: at.time,
        }
    }

    /// Takes in an event; returns the items that were moved to another column by it.
    pub(super) fn apply(
        &mut self,
        event: &Event,
        at: &Occurrence<'_>,
    ) -> Option<(ColumnId, BTreeSet<Place>)> {
        self.version = at.version;
        self.updated_at = self.updated_at.max(at.time);
        match event {
            Event::Updated(event) => {
                if let Some(name) = event.changes.get("name").and_then(|change| change.to.as_str()) {
                    self.name = Name::new(name);
                }
                changed_text(&event.changes, &mut self.description_at, at);
            }
            Event::Deleted(_) => self.deleted = true,
            Event::ColumnAdded(event) => {
                // One column never stands twice, and a removed one never comes back.
                if self.column(self.resolve(event.column_id)).is_some() {
                    return None;
                }
                let column = ColumnModel::new(event.column_id, &event.name, event.wip_limit);
                self.insert_column(event.index, column);
            }
            Event::ColumnChanged(event) => {
                let column = self.columns.iter_mut().find(|column| column.id == event.column_id)?;
                if let Some(name) = event.changes.get("name").and_then(|change| change.to.as_str()) {
                    column.name = Name::new(name);
                }
                if let Some(change) = event.changes.get("wipLimit") {
                    column.wip_limit = change.to.as_u64().and_then(|limit| u32::try_from(limit).ok());
                }
            }
            Event::ColumnMoved(event) => {
                let column = self.take_column(event.column_id)?;
                self.insert_column(event.to, column);
            }
            Event::ColumnRemoved(event) => {
                let items_to = self.column(self.resolve(event.items_to))?.id;
                if items_to == event.column_id {
                    return None;
                }
                let column = self.take_column(event.column_id)?;
                self.removed_columns.insert(event.column_id, items_to);
                return Some((items_to, column.items));
            }
            Event::MemberAdded(event) => {
                self.members.insert(Name::new(&event.member), event.role);
            }
            Event::MemberRemoved(event) => {
                self.members.remove(event.member.as_str());
            }
            Event::MemberRoleChanged(event) => {
                self.members.insert(Name::new(&event.member), event.to);
            }
            Event::FieldDefined(event) => {
                let name = Name::new(&event.name);
                self.field_options.remove(&name);
                if !event.options.is_empty() {
                    let options = event.options.iter().map(|option| Name::new(option)).collect();
                    self.field_options.insert(name.clone(), options);
                }
                self.fields.insert(name, event.kind);
            }
            Event::FieldRemoved(event) => {
                self.fields.remove(event.name.as_str());
                self.field_options.remove(event.name.as_str());
            }
            _ => {}
        }
        None
    }

    /// The items of a column, to be changed; `None` for a column that the board does not have.
    pub(crate) fn items_of(&mut self, column: ColumnId) -> Option<&mut BTreeSet<Place>> {
        self.columns.iter_mut().find(|candidate| candidate.id == column).map(|column| &mut column.items)
    }

    fn take_column(&mut self, id: ColumnId) -> Option<ColumnModel> {
        let index = self.columns.iter().position(|column| column.id == id)?;
        Some(self.columns.remove(index))
    }

    fn insert_column(&mut self, index: u32, column: ColumnModel) {
        let index = usize::try_from(index).unwrap_or(usize::MAX).min(self.columns.len());
        self.columns.insert(index, column);
    }
}

impl ColumnModel {
    fn new(id: ColumnId, name: &str, wip_limit: Option<u32>) -> Self {
        Self { id, name: Name::new(name), wip_limit, items: BTreeSet::new() }
    }
}
