//! A board, and a board's view: its columns with their items in order.

use super::Members;
use super::Told;
use super::item::Card;
use crate::rfc3339::Rfc3339;
use crate::service::reading::Work;
use domain::board::FieldKind;
use domain::{BoardId, ColumnId, ProjectId, Role, WorkspaceId};
use eventstore::{Log, Position, ReadError};
use projector::models::{BoardModel, ColumnModel, Models, Name};
use projector::texts;
use schemars::JsonSchema;
use serde::Serialize;

/// Items in one view at most, over all columns: a view is copied under the models' lock.
const VIEW_ITEMS_MAX: usize = 10_000;

/// A view with more items is large.
const LARGE_ITEMS: usize = 500;

/// A board.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Board")]
pub(crate) struct BoardAnswer {
    #[serde(flatten)]
    summary: BoardSummary,
    description: Option<String>,
    #[serde(skip)]
    description_at: Option<Position>,
}

/// A board without its description, as lists have it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BoardSummary {
    id: BoardId,
    workspace_id: WorkspaceId,
    project_id: ProjectId,
    name: Name,
    columns: Vec<ColumnAnswer>,
    members: Members<Name, Role>,
    fields: Members<Name, FieldKind>,
    field_options: Members<Name, Vec<Name>>,
    item_count: usize,
    version: u64,
    created_at: Rfc3339,
    updated_at: Rfc3339,
}

/// A column without its items.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Column")]
struct ColumnAnswer {
    id: ColumnId,
    name: Name,
    wip_limit: Option<u32>,
    item_count: usize,
}

impl BoardSummary {
    pub(crate) fn of(board: &BoardModel) -> Self {
        Self {
            id: board.id,
            workspace_id: board.workspace_id,
            project_id: board.project_id,
            name: board.name.clone(),
            columns: board
                .columns
                .iter()
                .map(|column| ColumnAnswer {
                    id: column.id,
                    name: column.name.clone(),
                    wip_limit: column.wip_limit,
                    item_count: column.items.len(),
                })
                .collect(),
            members: Members(board.members.iter().map(|(name, role)| (name.clone(), *role)).collect()),
            fields: Members(board.fields.iter().map(|(name, kind)| (name.clone(), *kind)).collect()),
            field_options: Members(
                board.field_options.iter().map(|(name, options)| (name.clone(), options.clone())).collect(),
            ),
            item_count: board.item_count(),
            version: board.version.get(),
            created_at: Rfc3339(board.created_at),
            updated_at: Rfc3339(board.updated_at),
        }
    }
}

impl BoardAnswer {
    /// Copies what the models know.
    pub(crate) fn of(board: &BoardModel) -> Self {
        Self { summary: BoardSummary::of(board), description: None, description_at: board.description_at }
    }
}

impl Told for BoardAnswer {
    fn work(&self) -> Work {
        Work::texts(self.description_at)
    }

    fn fill(mut self, log: &Log) -> Result<Self, ReadError> {
        if let Some(at) = self.description_at {
            self.description = texts::description(log, at)?;
        }
        Ok(self)
    }

    fn version(&self) -> u64 {
        self.summary.version
    }
}

/// Which part of each column a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    /// Only this column.
    pub(crate) column: Option<ColumnId>,
    /// Items that are passed over, per column.
    pub(crate) offset: usize,
    /// Items that are shown at most, per column.
    pub(crate) limit: usize,
}

/// A board with its items in order.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BoardView")]
pub(crate) struct ViewAnswer {
    id: BoardId,
    workspace_id: WorkspaceId,
    project_id: ProjectId,
    name: Name,
    version: u64,
    item_count: usize,
    columns: Vec<ColumnView>,
}

/// A column with its items in order of (rank, id).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ColumnView {
    id: ColumnId,
    name: Name,
    wip_limit: Option<u32>,
    /// How many items the column has in all.
    total: usize,
    items: Vec<Card>,
    /// The offset to go on from, where there is more.
    next: Option<usize>,
}

impl ViewAnswer {
    /// Copies the window out of the models.
    pub(crate) fn of(models: &Models, board: &BoardModel, window: Window) -> Self {
        let mut room = VIEW_ITEMS_MAX;
        let columns =
            board.columns.iter().filter(|column| window.column.is_none_or(|wanted| wanted == column.id));
        Self {
            id: board.id,
            workspace_id: board.workspace_id,
            project_id: board.project_id,
            name: board.name.clone(),
            version: board.version.get(),
            item_count: board.item_count(),
            columns: columns
                .map(|column| {
                    let view = ColumnView::of(models, column, window.offset, window.limit.min(room));
                    room -= view.items.len();
                    view
                })
                .collect(),
        }
    }
}

impl ViewAnswer {
    /// Writing a large one as JSON takes long enough to be left to another thread.
    pub(crate) fn work(&self) -> Work {
        let items = self.columns.iter().map(|column| column.items.len()).sum::<usize>();
        if items > LARGE_ITEMS { Work::Much } else { Work::Little }
    }
}

impl ColumnView {
    fn of(models: &Models, column: &ColumnModel, offset: usize, limit: usize) -> Self {
        let total = column.items.len();
        let end = offset.saturating_add(limit);
        let places = column.items.iter().skip(offset).take(limit);
        Self {
            id: column.id,
            name: column.name.clone(),
            wip_limit: column.wip_limit,
            total,
            items: places.filter_map(|place| models.item(place.item)).map(Card::of).collect(),
            next: (end < total).then_some(end),
        }
    }
}
