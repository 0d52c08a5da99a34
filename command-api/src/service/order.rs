//! What is asked of the service: an intent, about a target, under conditions, by somebody.
//!
//! Bodies are the domain's own, save where the domain wants proof (of a column, a project) that only the
//! service can give, and where a name from elsewhere (`externalKey`) makes the id.

use super::key::{Key, Kind};
use domain::limits::{
    ASSIGNEES_MAX, COLUMNS_MAX, EXTERNAL_KEY_CHARS_MAX, FIELDS_MAX, NAME_CHARS_MAX, TEXT_BYTES_MAX,
    TITLE_CHARS_MAX,
};
use domain::schema::{self, SAYS_SOMETHING};
use domain::{
    BoardId, ColumnId, CommentId, Date, ItemId, ProjectId, Rank, WorkspaceId, board, comment, item, project,
    workspace,
};
use eventstore::{CommandId, Fingerprint, Timestamp, TraceParent, Version};
use http_kit::auth::Principal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Creates a workspace.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWorkspace {
    /// Its id, if the caller chooses it.
    pub id: Option<WorkspaceId>,
    /// Its name elsewhere, which makes its id.
    pub external_key: Option<String>,
    /// What it is called.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
}

/// Creates a project.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateProject {
    /// Its id, if the caller chooses it.
    pub id: Option<ProjectId>,
    /// Its name elsewhere, which makes its id.
    pub external_key: Option<String>,
    /// Where it belongs.
    pub workspace_id: WorkspaceId,
    /// What it is called.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// What it is about.
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
}

/// Creates a board.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBoard {
    /// Its id, if the caller chooses it.
    pub id: Option<BoardId>,
    /// Its name elsewhere, which makes its id.
    pub external_key: Option<String>,
    /// The workspace; only to be checked against the project's.
    pub workspace_id: Option<WorkspaceId>,
    /// Where it belongs.
    pub project_id: ProjectId,
    /// What it is called.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// What it is about.
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
    /// Its columns from the start.
    #[serde(default)]
    #[schemars(length(max = COLUMNS_MAX))]
    pub columns: Vec<board::NewColumn>,
}

/// Creates an item.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateItem {
    /// Its id, if the caller chooses it.
    pub id: Option<ItemId>,
    /// Its name elsewhere, which makes its id and is kept.
    #[schemars(length(min = 1, max = EXTERNAL_KEY_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub external_key: Option<String>,
    /// The workspace; only to be checked against the board's.
    pub workspace_id: Option<WorkspaceId>,
    /// The project; only to be checked against the board's.
    pub project_id: Option<ProjectId>,
    /// Its board.
    pub board_id: BoardId,
    /// Its column; the board's first where absent.
    pub column_id: Option<ColumnId>,
    /// What it is called.
    #[serde(default)]
    #[schemars(!default, length(min = 1, max = TITLE_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub title: String,
    /// What it is about.
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
    /// Who it is assigned to.
    #[serde(default)]
    #[schemars(length(max = ASSIGNEES_MAX), inner(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING)))]
    pub assignees: Vec<String>,
    /// The day on which it is due.
    pub due_date: Option<Date>,
    /// Its custom fields. Those that the board defines hold what it says, others any JSON.
    #[serde(default)]
    #[schemars(extend("maxProperties" = FIELDS_MAX, "propertyNames" = schema::field_names()))]
    pub fields: BTreeMap<String, Value>,
    /// Its place in the column; the end where absent.
    pub rank: Option<Rank>,
}

/// Comments on an item.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddComment {
    /// Its id, if the caller chooses it.
    pub id: Option<CommentId>,
    /// Its name elsewhere, which makes its id and is kept.
    #[schemars(length(max = EXTERNAL_KEY_CHARS_MAX))]
    pub external_key: Option<String>,
    /// The item.
    pub item_id: ItemId,
    /// The text.
    #[serde(default)]
    #[schemars(!default, length(min = 1, max = TEXT_BYTES_MAX), regex(pattern = SAYS_SOMETHING))]
    pub body: String,
}

/// What somebody wants to happen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Intent {
    /// A workspace is to be.
    CreateWorkspace(CreateWorkspace),
    /// Anything else about a workspace.
    Workspace(workspace::Command),
    /// A project is to be.
    CreateProject(CreateProject),
    /// Anything else about a project.
    Project(project::Command),
    /// A board is to be.
    CreateBoard(CreateBoard),
    /// Anything else about a board.
    Board(board::Command),
    /// An item is to be.
    CreateItem(CreateItem),
    /// An item is to be said differently.
    UpdateItem(item::Update),
    /// An item is to be in a column.
    MoveItem(item::Move),
    /// Anything else about an item.
    Item(item::Command),
    /// A comment is to be.
    AddComment(AddComment),
    /// Anything else about a comment.
    Comment(comment::Command),
}

impl Intent {
    /// The kind of aggregate that it is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::CreateWorkspace(_) | Self::Workspace(_) => Kind::Workspace,
            Self::CreateProject(_) | Self::Project(_) => Kind::Project,
            Self::CreateBoard(_) | Self::Board(_) => Kind::Board,
            Self::CreateItem(_) | Self::UpdateItem(_) | Self::MoveItem(_) | Self::Item(_) => Kind::Item,
            Self::AddComment(_) | Self::Comment(_) => Kind::Comment,
        }
    }

    /// Whether its target is to exist only after it.
    pub(crate) fn creates(&self) -> bool {
        matches!(
            self,
            Self::CreateWorkspace(_)
                | Self::CreateProject(_)
                | Self::CreateBoard(_)
                | Self::CreateItem(_)
                | Self::AddComment(_)
        )
    }
}

/// What must hold of the target's version; everything that is said must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// `If-Match`: it must be there, at one of these.
    pub if_match: Option<EntityTags>,
    /// `If-None-Match`: it must not be there, or not at one of these.
    pub if_none_match: Option<EntityTags>,
    /// `expectedVersion` or `baseVersion` in the body: the version that the sender saw.
    pub expected_version: Option<Version>,
    /// What happens where the target has moved on since.
    pub on_conflict: OnConflict,
}

/// What happens to an order whose sender saw an older version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It is refused.
    #[default]
    Reject,
    /// It is carried out if it is not in the way of what happened since; see [`domain::conflict`].
    Merge,
    /// It is carried out.
    LastWriterWins,
}

impl Conditions {
    /// Whether a version must hold; where none must, a conflict is ours to resolve.
    #[must_use]
    pub fn bind_version(&self) -> bool {
        self.if_match.is_some() || self.expected_version.is_some()
    }
}

/// The versions that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: whichever, as long as there is one.
    Any,
    /// One of these.
    Versions(Vec<Version>),
}

impl EntityTags {
    /// Whether a version is among them.
    #[must_use]
    pub fn name(&self, version: Option<Version>) -> bool {
        match (self, version) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Versions(versions), Some(version)) => versions.contains(&version),
        }
    }
}

/// Who asks, and where the wish comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who asks, as the token says.
    pub principal: Principal,
    /// Whom the subject acts for.
    pub on_behalf_of: Option<String>,
    /// When it really happened.
    pub occurred_at: Option<Timestamp>,
    /// What it comes from; `import` means history, taken as it is.
    pub source: Option<String>,
    /// The request that it came with.
    pub correlation_id: Option<Uuid>,
    /// The trace that it came with.
    pub traceparent: Option<TraceParent>,
}

impl Default for Origin {
    /// The development principal, from nowhere in particular.
    fn default() -> Self {
        Self {
            principal: Principal::local(),
            on_behalf_of: None,
            occurred_at: None,
            source: None,
            correlation_id: None,
            traceparent: None,
        }
    }
}

impl Origin {
    /// Whether this is history from elsewhere.
    #[must_use]
    pub fn is_import(&self) -> bool {
        self.source.as_deref() == Some("import")
    }
}

/// An intent with everything that is needed to carry it out.
#[derive(Debug, Clone)]
pub struct Order {
    /// The id of what it is about, where the caller says it.
    pub target: Option<Uuid>,
    /// What is wanted.
    pub intent: Intent,
    /// What must hold.
    pub conditions: Conditions,
    /// Its permanent name.
    pub command: CommandId,
    /// What it says, so that another one under the same name is noticed.
    pub fingerprint: Fingerprint,
    /// Who asks.
    pub origin: Origin,
}

impl Order {
    /// The id that follows from the order alone: said, or made of a name from elsewhere. An item's external
    /// key needs its workspace, which only its board may know.
    pub(crate) fn known_target(&self) -> Option<Key> {
        let said = self.target;
        let id = match &self.intent {
            Intent::CreateWorkspace(create) => said
                .or(create.id.map(WorkspaceId::uuid))
                .or_else(|| Some(WorkspaceId::derive(create.external_key.as_deref()?).uuid())),
            Intent::CreateProject(create) => said.or(create.id.map(ProjectId::uuid)).or_else(|| {
                Some(ProjectId::derive(create.workspace_id, create.external_key.as_deref()?).uuid())
            }),
            Intent::CreateBoard(create) => said
                .or(create.id.map(BoardId::uuid))
                .or_else(|| Some(BoardId::derive(create.project_id, create.external_key.as_deref()?).uuid())),
            Intent::CreateItem(create) => said.or(create.id.map(ItemId::uuid)).or_else(|| {
                Some(ItemId::derive(create.workspace_id?, create.external_key.as_deref()?).uuid())
            }),
            Intent::AddComment(add) => said
                .or(add.id.map(CommentId::uuid))
                .or_else(|| Some(CommentId::derive(add.item_id, add.external_key.as_deref()?).uuid())),
            Intent::Workspace(_)
            | Intent::Project(_)
            | Intent::Board(_)
            | Intent::UpdateItem(_)
            | Intent::MoveItem(_)
            | Intent::Item(_)
            | Intent::Comment(_) => said,
        };
        id.map(|id| Key::new(self.intent.kind(), id))
    }

    /// Ids in the body and beside it must agree.
    pub(crate) fn body_id(&self) -> Option<Uuid> {
        match &self.intent {
            Intent::CreateWorkspace(create) => create.id.map(WorkspaceId::uuid),
            Intent::CreateProject(create) => create.id.map(ProjectId::uuid),
            Intent::CreateBoard(create) => create.id.map(BoardId::uuid),
            Intent::CreateItem(create) => create.id.map(ItemId::uuid),
            Intent::AddComment(add) => add.id.map(CommentId::uuid),
            Intent::Workspace(_)
            | Intent::Project(_)
            | Intent::Board(_)
            | Intent::UpdateItem(_)
            | Intent::MoveItem(_)
            | Intent::Item(_)
            | Intent::Comment(_) => None,
        }
    }
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What it was about.
    pub key: Key,
    /// The target's version after it; the first answer's too where the order is repeated.
    pub version: Option<Version>,
    /// The number of events that the log then held, at least.
    pub position: eventstore::Position,
    /// Whether it changed anything.
    pub outcome: eventstore::Outcome,
    /// Whether it had been carried out before: then this is the first answer again.
    pub duplicate: bool,
}
