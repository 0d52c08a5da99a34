//! Who may carry out which order: scopes of the token, tenants, roles, and whether what it is in is still in use.
//!
//! ```text
//! Order ─ scope_of, import ─ tenant of the target or its parent ─ role there ─ archived or gone above? ─▶ Permit
//! ```
//!
//! Invariant: what belongs to a tenant that is not the principal's is answered as if it did not exist, in every
//! place: as target, as reference, with any condition. So ids cannot be probed. Ids are one space for all tenants, so
//! creating something under an id that is taken elsewhere is `already_exists` and says no more than that.
//!
//! Invariant: [`Desk::write`] demands a [`Permit`], and [`Desk::enter`] is where permits come from.
//!
//! What is below something archived is not changed, and what was on a deleted board is gone with it, although the
//! events of neither say so. No guard stands behind roles and these: one on the workspace would have every command
//! conflict with whoever adds a member meanwhile. So a command may come just after the change that it raced with, as
//! if it had come just before; once that change was answered, it counts for everything that is asked later. Within
//! one batch, what others changed after it began may not be seen.

use super::desk::Desk;
use super::draft::other_kind;
use super::key::{Held, Key, Kind};
use super::order::{Intent, Order};
use super::refusal::Refusal;
use domain::access::{self, Action, Permit, Who};
use domain::board::Board;
use domain::comment::Comment;
use domain::workspace::Workspace;
use domain::{DomainError, Life, Thing};
use http_kit::auth::{Principal, Scope, Tenants};
use uuid::Uuid;

/// The scope that a token needs for an intent.
#[must_use]
pub fn scope_of(intent: &Intent) -> Scope {
    match intent {
        Intent::CreateWorkspace(_) | Intent::Workspace(_) => Scope::WorkspacesWrite,
        Intent::CreateProject(_) | Intent::Project(_) => Scope::ProjectsWrite,
        Intent::CreateBoard(_) | Intent::Board(_) => Scope::BoardsWrite,
        Intent::CreateItem(_) | Intent::UpdateItem(_) | Intent::MoveItem(_) | Intent::Item(_) => {
            Scope::ItemsWrite
        }
        Intent::AddComment(_) | Intent::Comment(_) => Scope::CommentsWrite,
    }
}

/// What can be said of an order without looking at the log: its token's scopes, and the tenants that it names.
pub(super) fn admit(order: &Order) -> Result<(), Refusal> {
    let origin = &order.origin;
    let principal = &origin.principal;
    let is_history = origin.on_behalf_of.is_some() || origin.occurred_at.is_some() || origin.is_import();
    for needs in [Some(scope_of(&order.intent)), is_history.then_some(Scope::Import)].into_iter().flatten() {
        if !principal.may(needs) {
            return Err(Refusal::InsufficientScope { needs });
        }
    }
    match order.intent.named_workspace() {
        Some(named) if !principal.tenants().contains(named) => {
            Err(Refusal::TenantMismatch { field: "workspaceId" })
        }
        _ => Ok(()),
    }
}

/// The id of a new workspace that the order does not say: a tenant exists before its workspace does.
pub(super) fn new_workspace(principal: &Principal) -> Result<Option<Uuid>, Refusal> {
    let Tenants::These(tenants) = principal.tenants() else { return Ok(None) };
    match tenants.first() {
        Some(first) if tenants.iter().all(|tenant| tenant == first) => Ok(Some(*first)),
        Some(_) => Err(Refusal::Malformed {
            field: "id".to_owned(),
            detail: "id: the token is for several workspaces, so the body must say which of them is new"
                .to_owned(),
        }),
        None => Err(Refusal::TenantMismatch { field: "id" }),
    }
}

/// Where something is, from the workspace down, as far as it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    workspace: Key,
    project: Option<Key>,
    board: Option<Key>,
}

impl Home {
    /// The workspace's id.
    pub(super) fn workspace(&self) -> Uuid {
        self.workspace.id
    }
}

impl Desk<'_> {
    /// Where something is; `None` where it does not exist, or belongs to none of these tenants.
    pub(super) fn home(&mut self, key: Key, tenants: &Tenants) -> Result<Option<Home>, Refusal> {
        let Some(scope) = self.load(key)?.state.scope(key.id) else { return Ok(None) };
        if !tenants.contains(scope.workspace.uuid()) {
            return Ok(None);
        }
        let board = scope.board.map(|board| Key::new(Kind::Board, board.uuid()));
        let project = match board {
            Some(board) => Board::of(&self.load(board)?.state).and_then(Board::project_id),
            None => None,
        };
        let project = match key.kind {
            Kind::Project => Some(key),
            _ => project.map(|project| Key::new(Kind::Project, project.uuid())),
        };
        Ok(Some(Home { workspace: Key::new(Kind::Workspace, scope.workspace.uuid()), project, board }))
    }

    /// Whether somebody may carry out an order. The first thing that is asked about it.
    pub(super) fn enter(&mut self, order: &Order, key: Key) -> Result<Permit, Refusal> {
        let tenants = order.origin.principal.tenants();
        if let Some((parent, field)) = order.intent.parent() {
            // The id is taken, and there is nothing else to be said about it.
            if let Some(taken) = self.load(key)?.state.scope(key.id)
                && !tenants.contains(taken.workspace.uuid())
            {
                return Err(DomainError::AlreadyExists { thing: thing(key.kind) }.into());
            }
            self.rests_on.push(parent);
            let home = self.home(parent, tenants)?.ok_or(Refusal::Reference {
                field,
                error: DomainError::NotFound { thing: thing(parent.kind) },
            })?;
            let permit = self.permit(order, key, home)?;
            self.check_open(home, key).map_err(|refusal| match refusal {
                Refusal::Domain(error) => Refusal::Reference { field, error },
                refusal => refusal,
            })?;
            return Ok(permit);
        }
        if order.intent.creates() {
            // A workspace, which is its own tenant and in nothing.
            if !tenants.contains(key.id) {
                return Err(Refusal::TenantMismatch { field: "id" });
            }
            return self.permit(order, key, Home { workspace: key, project: None, board: None });
        }
        let home = self
            .home(key, tenants)?
            .ok_or(Refusal::Domain(DomainError::NotFound { thing: thing(key.kind) }))?;
        let permit = self.permit(order, key, home)?;
        // What is gone itself is gone, wherever it was.
        if self.load(key)?.state.life() != Life::Deleted {
            self.check_open(home, key)?;
        }
        Ok(permit)
    }

    fn permit(&mut self, order: &Order, key: Key, home: Home) -> Result<Permit, Refusal> {
        for key in [Some(home.workspace), home.board].into_iter().flatten() {
            self.load(key)?;
        }
        let state = |key: Key| self.entries.get(&key).map(|entry| &entry.state);
        let workspace = state(home.workspace).and_then(Workspace::of).ok_or_else(other_kind)?;
        let board = home.board.and_then(state).and_then(Board::of);
        let author = state(key).and_then(Comment::of).and_then(Comment::author);
        let principal = &order.origin.principal;
        let who = Who { subject: principal.subject(), is_privileged: principal.may(Scope::Admin) };
        match access::permit(&who, workspace, board, action(&order.intent, author)) {
            Ok(permit) => Ok(permit),
            Err(error) => {
                self.rests_on.extend([Some(home.workspace), home.board].into_iter().flatten());
                Err(error.into())
            }
        }
    }

    /// Whether everything that it is in is still in use.
    fn check_open(&mut self, home: Home, key: Key) -> Result<(), Refusal> {
        for above in [Some(home.workspace), home.project, home.board].into_iter().flatten() {
            if above == key {
                continue;
            }
            let thing = thing(above.kind);
            let error = match self.load(above)?.state.life() {
                Life::Archived => DomainError::Archived { thing },
                Life::Deleted => DomainError::Gone { thing },
                Life::Absent | Life::Present => continue,
            };
            self.rests_on.push(above);
            return Err(error.into());
        }
        Ok(())
    }
}

impl Intent {
    /// What the target is to be created in, and the member of the body that names it.
    fn parent(&self) -> Option<(Key, &'static str)> {
        match self {
            Self::CreateProject(create) => {
                Some((Key::new(Kind::Workspace, create.workspace_id.uuid()), "workspaceId"))
            }
            Self::CreateBoard(create) => {
                Some((Key::new(Kind::Project, create.project_id.uuid()), "projectId"))
            }
            Self::CreateItem(create) => Some((Key::new(Kind::Board, create.board_id.uuid()), "boardId")),
            Self::AddComment(add) => Some((Key::new(Kind::Item, add.item_id.uuid()), "itemId")),
            Self::CreateWorkspace(_)
            | Self::Workspace(_)
            | Self::Project(_)
            | Self::Board(_)
            | Self::UpdateItem(_)
            | Self::MoveItem(_)
            | Self::Item(_)
            | Self::Comment(_) => None,
        }
    }

    /// The workspace that the body names outright.
    fn named_workspace(&self) -> Option<Uuid> {
        let named = match self {
            Self::CreateProject(create) => Some(create.workspace_id),
            Self::CreateBoard(create) => create.workspace_id,
            Self::CreateItem(create) => create.workspace_id,
            Self::CreateWorkspace(_)
            | Self::Workspace(_)
            | Self::Project(_)
            | Self::Board(_)
            | Self::UpdateItem(_)
            | Self::MoveItem(_)
            | Self::Item(_)
            | Self::AddComment(_)
            | Self::Comment(_) => None,
        };
        named.map(domain::WorkspaceId::uuid)
    }
}

fn action<'a>(intent: &'a Intent, author: Option<&'a str>) -> Action<'a> {
    match intent {
        Intent::CreateWorkspace(_) => Action::CreateWorkspace,
        Intent::Workspace(command) => command.into(),
        Intent::CreateProject(_) => Action::CreateProject,
        Intent::Project(command) => command.into(),
        Intent::CreateBoard(_) => Action::CreateBoard,
        Intent::Board(command) => command.into(),
        Intent::CreateItem(_) => Action::CreateItem,
        Intent::UpdateItem(_) | Intent::MoveItem(_) => Action::ChangeItem,
        Intent::Item(command) => command.into(),
        Intent::AddComment(_) => Action::AddComment,
        Intent::Comment(command) => Action::on_comment(command, author),
    }
}

fn thing(kind: Kind) -> Thing {
    match kind {
        Kind::Workspace => Thing::Workspace,
        Kind::Project => Thing::Project,
        Kind::Board => Thing::Board,
        Kind::Item => Thing::Item,
        Kind::Comment => Thing::Comment,
    }
}
