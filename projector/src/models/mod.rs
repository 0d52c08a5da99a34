//! The read models: items, comments, boards, projects and workspaces in memory.
//!
//! ```text
//! DecodedCommit ──apply──▶ Models { tables by id, keys, columns in order } ──▶ look-ups, digest, image
//! ```
//!
//! Invariant: the models are a function of the log up to their checkpoint: the same commits give the same digest,
//! whether they were replayed, tailed, or partly read from an image.
//!
//! Invariant: no long texts and no histories are kept; those are positions in the log (see [`texts`](crate::texts)).

mod apply;
mod assigned;
mod board;
mod comment;
pub(crate) mod dense;
mod digest;
mod inspect;
mod item;
mod keys;
mod name;
mod past;
mod project;
mod rows;
pub(crate) mod table;
mod workspace;

pub use crate::shared::SharedModels;
pub use board::{BoardModel, ColumnModel, Place};
pub use comment::CommentModel;
pub(crate) use digest::{DigestSum, EntityDigest, entity as digest_entity};
pub use item::{Attachment, Completion, FieldValue, INLINE_VALUE_BYTES_MAX, ItemModel, Link};
pub use name::Name;
pub use past::PastModels;
pub use project::{ProjectModel, Statistics};
pub use workspace::WorkspaceModel;

use domain::{BoardId, CommentId, ItemId, ProjectId, WorkspaceId};
use eventstore::{Digest, Lineage, Position};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use table::Table;
use uuid::Uuid;

/// Version of the models' shape: part of every image. Raise it with any change of a row or of what events mean.
pub const MODELS_VERSION: u32 = 5;

/// All read models, at one checkpoint.
#[derive(Debug)]
pub struct Models {
    names: name::Names,
    workspaces: Table<WorkspaceModel>,
    projects: Table<ProjectModel>,
    boards: Table<BoardModel>,
    items: Table<ItemModel>,
    comments: Table<CommentModel>,
    /// The items of each external key; deleted items keep theirs.
    keys: keys::Keys,
    /// Behind the newest event that concerned a board, an item on it, or a comment on one; since this process has them.
    touched: FxHashMap<BoardId, Position>,
    /// How many models were in their place before, in this process: marks of others are none of theirs.
    generation: u64,
    /// Who is to do what that is not gone; follows from the items.
    assigned: assigned::Assigned,
    checkpoint: Lineage,
    counts: Counts,
}

/// What was taken in, since the beginning of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Events of any kind.
    pub events: u64,
    /// Those of types that this build does not know.
    pub unknown: u64,
    /// Those whose payload is not what their type says.
    pub unreadable: u64,
}

impl Models {
    /// Models that have taken in nothing of a store's log.
    #[must_use]
    pub fn new(store: Uuid) -> Self {
        Self {
            names: name::Names::default(),
            workspaces: Table::new(b'w'),
            projects: Table::new(b'p'),
            boards: Table::new(b'b'),
            items: Table::new(b'i'),
            comments: Table::new(b'c'),
            keys: keys::Keys::default(),
            touched: FxHashMap::default(),
            generation: 0,
            assigned: assigned::Assigned::default(),
            checkpoint: Lineage { store, next: Position::ZERO, chain: Digest::default() },
            counts: Counts::default(),
        }
    }

    /// What has been taken in.
    #[must_use]
    pub fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    /// What was taken in, and what of it was passed over.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A workspace.
    #[must_use]
    pub fn workspace(&self, id: WorkspaceId) -> Option<&WorkspaceModel> {
        self.workspaces.get(id)
    }

    /// A project.
    #[must_use]
    pub fn project(&self, id: ProjectId) -> Option<&ProjectModel> {
        self.projects.get(id)
    }

    /// A board, deleted or not.
    #[must_use]
    pub fn board(&self, id: BoardId) -> Option<&BoardModel> {
        self.boards.get(id)
    }

    /// An item, deleted or not.
    #[must_use]
    pub fn item(&self, id: ItemId) -> Option<&ItemModel> {
        self.items.get(id)
    }

    /// Whether an item is gone: deleted itself, or with its board.
    #[must_use]
    pub fn is_gone(&self, item: &ItemModel) -> bool {
        item.deleted || self.board(item.board_id).is_some_and(|board| board.deleted)
    }

    /// The items of a board that are not deleted themselves, whether the board is or not.
    pub(crate) fn board_items(&self, board: BoardId) -> impl Iterator<Item = &ItemModel> {
        let columns = self.boards.get(board).into_iter().flat_map(|board| &board.columns);
        columns.flat_map(|column| &column.items).filter_map(|place| self.items.get(place.item))
    }

    /// A comment, deleted or not.
    #[must_use]
    pub fn comment(&self, id: CommentId) -> Option<&CommentModel> {
        self.comments.get(id)
    }

    /// The items with an external key, in one workspace or in all; deleted ones included.
    pub fn items_by_external_key<'a>(
        &'a self,
        key: &str,
        workspace: Option<WorkspaceId>,
    ) -> impl Iterator<Item = &'a ItemModel> + use<'a> {
        let places = self.keys.items(key, &|place| self.items.at(place)?.external_key.as_deref());
        places
            .filter_map(|place| self.items.at(place))
            .filter(move |item| workspace.is_none_or(|workspace| workspace == item.workspace_id))
    }

    /// The items that somebody is to do or has done, without those that are gone; in no order.
    pub fn assigned_to<'a>(&'a self, person: &str) -> impl Iterator<Item = &'a ItemModel> + use<'a> {
        self.assigned.to(person).filter_map(|place| self.items.at(place))
    }

    /// The ids of these items, in no order.
    #[must_use]
    pub fn ids_assigned_to(&self, person: &str) -> Vec<ItemId> {
        self.assigned_to(person).map(|item| item.id).collect()
    }

    /// All workspaces, by name.
    #[must_use]
    pub fn workspaces(&self) -> Vec<&WorkspaceModel> {
        let mut all: Vec<_> = self.workspaces.iter().collect();
        all.sort_unstable_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        all
    }

    /// The projects of a workspace, or all; by name.
    #[must_use]
    pub fn projects(&self, workspace: Option<WorkspaceId>) -> Vec<&ProjectModel> {
        let mut found: Vec<_> = match workspace {
            None => self.projects.iter().collect(),
            Some(id) => {
                let ids = self.workspaces.get(id).map(|workspace| workspace.projects.as_slice());
                ids.unwrap_or_default().iter().filter_map(|id| self.projects.get(*id)).collect()
            }
        };
        found.sort_unstable_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        found
    }

    /// The boards of a project, or all, without deleted ones; by name.
    #[must_use]
    pub fn boards(&self, project: Option<ProjectId>) -> Vec<&BoardModel> {
        let mut found: Vec<_> = match project {
            None => self.boards.iter().collect(),
            Some(id) => {
                let ids = self.projects.get(id).map(|project| project.boards.as_slice());
                ids.unwrap_or_default().iter().filter_map(|id| self.boards.get(*id)).collect()
            }
        };
        found.retain(|board| !board.deleted);
        found.sort_unstable_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        found
    }

    /// The projects of some workspaces, or all, in no order.
    pub fn projects_within<'a>(
        &'a self,
        within: Option<&'a [WorkspaceId]>,
    ) -> Box<dyn Iterator<Item = &'a ProjectModel> + 'a> {
        match within {
            None => Box::new(self.projects.iter()),
            Some(within) => {
                let workspaces = within.iter().filter_map(|id| self.workspaces.get(*id));
                let ids = workspaces.flat_map(|workspace| &workspace.projects);
                Box::new(ids.filter_map(|id| self.projects.get(*id)))
            }
        }
    }

    /// The boards of some workspaces, or all, without deleted ones, in no order.
    pub fn boards_within<'a>(
        &'a self,
        within: Option<&'a [WorkspaceId]>,
    ) -> Box<dyn Iterator<Item = &'a BoardModel> + 'a> {
        let all: Box<dyn Iterator<Item = &'a BoardModel> + 'a> = match within {
            None => Box::new(self.boards.iter()),
            Some(_) => {
                let ids = self.projects_within(within).flat_map(|project| &project.boards);
                Box::new(ids.filter_map(|id| self.boards.get(*id)))
            }
        };
        Box::new(all.filter(|board| !board.deleted))
    }

    /// The items of a column in order; `None` when the board or the column is not there.
    #[must_use]
    pub fn column_items(
        &self,
        board: BoardId,
        column: domain::ColumnId,
    ) -> Option<impl Iterator<Item = &ItemModel>> {
        let column = self.boards.get(board)?.column(column)?;
        Some(column.items.iter().filter_map(|place| self.items.get(place.item)))
    }

    /// A mark that changes whenever anything on a board does: what was made of the board while it had this mark is what would
    /// be made of it now. It says nothing from one process to another.
    #[must_use]
    pub fn touched(&self, board: BoardId) -> (u64, Position) {
        (self.generation, self.touched.get(&board).copied().unwrap_or_default())
    }

    /// Number of entities, deleted ones included: workspaces, projects, boards, items, comments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.workspaces.len()
            + self.projects.len()
            + self.boards.len()
            + self.items.len()
            + self.comments.len()
    }

    /// Whether nothing exists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Digest of everything at this checkpoint: equal models, equal digests. Works off what changed since it was last
    /// asked for, so a digest that is asked for often is cheap.
    #[must_use]
    pub fn digest(&mut self) -> Digest {
        let mut sum = self.workspaces.settle();
        for part in
            [self.projects.settle(), self.boards.settle(), self.items.settle(), self.comments.settle()]
        {
            sum.add(&part.digest().0);
        }
        sum.digest()
    }

    pub(crate) fn all_items(&self) -> impl Iterator<Item = &ItemModel> {
        self.items.iter()
    }

    pub(crate) fn all_comments(&self) -> impl Iterator<Item = &CommentModel> {
        self.comments.iter()
    }

    /// Takes in an item that is new, with what follows from it.
    fn insert_item(&mut self, item: ItemModel) {
        let is_gone = self.is_gone(&item);
        let place = self.items.insert(item);
        let Self { items, keys, assigned, .. } = self;
        let Some(item) = items.at(place) else { return };
        if let Some(key) = item.external_key.as_deref() {
            keys.add(key, place, |place| items.at(place)?.external_key.as_deref());
        }
        if !is_gone {
            assigned.add(place, &item.assignees);
        }
    }
}

macro_rules! entities {
    ($($model:ty: $id:ty),+) => {
        $(
            impl dense::Entity for $model {
                type Id = $id;

                fn id(&self) -> $id {
                    self.id
                }
            }
        )+
    };
}

entities!(
    WorkspaceModel: WorkspaceId,
    ProjectModel: ProjectId,
    BoardModel: BoardId,
    ItemModel: ItemId,
    CommentModel: CommentId
);
