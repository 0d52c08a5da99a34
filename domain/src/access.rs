//! Who may do what: a role on the workspace, a role on the board, and the action decide. Pure, like all decisions.
//!
//! | action | lowest role |
//! | --- | --- |
//! | create a workspace | none: its creator becomes its owner |
//! | rename a workspace | admin of the workspace |
//! | archive a workspace | owner |
//! | add, change, remove members of a workspace | admin; where an owner is made or unmade, owner |
//! | create or change a project, create a board in it | member of the workspace |
//! | archive or restore a project | admin of the workspace |
//! | change a board: its name, columns, limits, fields | member on the board |
//! | add, change, remove members of a board | admin on the board; where an owner is made or unmade, owner |
//! | delete a board | admin on the board |
//! | create, change, move, rank, assign, complete, link, delete an item | member on the board |
//! | comment | member on the board |
//! | edit or delete a comment | member on the board for its author; admin on the board for anybody else |
//!
//! The role *on a board*: owners and admins of the workspace are owners of all of its boards. Otherwise, if the board
//! has members, it is what the board says, whatever the workspace says: so a board can be closed to most of a
//! workspace, and open to guests who are not of the workspace at all. A board without members follows the workspace.
//!
//! Whoever manages members acts within their own role: nobody gives, changes or takes away a role above their own. So
//! an admin neither makes nor unmakes owners, and nobody raises themselves. Viewers change nothing.
//!
//! Invariant: only [`permit`] makes a [`Permit`]; whoever writes demands one, so nothing is written unasked.
//!
//! Not known here: tenants and scopes, which are a token's and checked before. The last owner is the workspace's own
//! affair (see [`workspace`]).

use crate::{
    board::{self, Board},
    comment,
    error::DomainError,
    item, project,
    workspace::{self, Role, Workspace},
};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who<'a> {
    /// The authenticated subject; roles are always the subject's, whomever it acts for.
    pub subject: &'a str,
    /// Whether it acts with an owner's rights everywhere, member or not: the scope `admin`.
    pub is_privileged: bool,
}

/// What is to be done: one case for each kind of thing that roles tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Create a workspace.
    CreateWorkspace,
    /// Give a workspace another name.
    RenameWorkspace,
    /// Keep a workspace as it is, for good.
    ArchiveWorkspace,
    /// Make somebody a member of a workspace, let them do something else, or end it.
    ManageMember {
        /// Who is concerned.
        member: &'a str,
        /// Their role afterwards.
        becomes: Option<Role>,
    },
    /// Create a project.
    CreateProject,
    /// Say something else of a project.
    ChangeProject,
    /// Keep a project as it is, or take it up again.
    ArchiveProject,
    /// Create a board.
    CreateBoard,
    /// Change a board's name, columns, limits or fields.
    ChangeBoard,
    /// Make somebody a member of a board, let them do something else, or end it.
    ManageBoardMember {
        /// Who is concerned.
        member: &'a str,
        /// Their role afterwards.
        becomes: Option<Role>,
    },
    /// Take a board away.
    DeleteBoard,
    /// Create an item.
    CreateItem,
    /// Do anything with an item that leaves it there.
    ChangeItem,
    /// Take an item away.
    DeleteItem,
    /// Comment on an item.
    AddComment,
    /// Say it differently.
    EditComment {
        /// Who wrote it, where that is known.
        author: Option<&'a str>,
    },
    /// Take a comment away.
    DeleteComment {
        /// Who wrote it, where that is known.
        author: Option<&'a str>,
    },
}

/// Proof that somebody was permitted to do something.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit(());

/// Whether somebody may do something. `board` is the one that the action is on; `None` where it is on none.
///
/// # Errors
/// [`DomainError::NotPermitted`], which says the lowest role that may.
pub fn permit(
    who: &Who<'_>,
    workspace: &Workspace,
    board: Option<&Board>,
    action: Action<'_>,
) -> Result<Permit, DomainError> {
    let Some(needs) = action.needs(who.subject, workspace, board) else { return Ok(Permit(())) };
    let has = role(who, workspace, board);
    if has.is_some_and(|has| has.covers(needs)) {
        return Ok(Permit(()));
    }
    Err(DomainError::NotPermitted { action: action.name(), needs, has })
}

/// The role that somebody has in a workspace, or on one of its boards.
#[must_use]
pub fn role(who: &Who<'_>, workspace: &Workspace, board: Option<&Board>) -> Option<Role> {
    if who.is_privileged {
        return Some(Role::Owner);
    }
    let in_workspace = workspace.role(who.subject);
    match board {
        Some(_) if in_workspace.is_some_and(|role| role.covers(Role::Admin)) => Some(Role::Owner),
        Some(board) if board.has_members() => board.role(who.subject),
        _ => in_workspace,
    }
}

impl Action<'_> {
    /// Its name, for people and machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateWorkspace => "workspace.create",
            Self::RenameWorkspace => "workspace.rename",
            Self::ArchiveWorkspace => "workspace.archive",
            Self::ManageMember { .. } => "workspace.manage_members",
            Self::CreateProject => "project.create",
            Self::ChangeProject => "project.change",
            Self::ArchiveProject => "project.archive",
            Self::CreateBoard => "board.create",
            Self::ChangeBoard => "board.change",
            Self::ManageBoardMember { .. } => "board.manage_members",
            Self::DeleteBoard => "board.delete",
            Self::CreateItem => "item.create",
            Self::ChangeItem => "item.change",
            Self::DeleteItem => "item.delete",
            Self::AddComment => "comment.add",
            Self::EditComment { .. } => "comment.edit",
            Self::DeleteComment { .. } => "comment.delete",
        }
    }

    /// The lowest role that may do it; `None` where anybody may.
    fn needs(self, subject: &str, workspace: &Workspace, board: Option<&Board>) -> Option<Role> {
        Some(match self {
            Self::CreateWorkspace => return None,
            Self::ArchiveWorkspace => Role::Owner,
            Self::RenameWorkspace | Self::ArchiveProject | Self::DeleteBoard => Role::Admin,
            Self::ManageMember { member, becomes } => to_manage(workspace.role(member), becomes),
            Self::ManageBoardMember { member, becomes } => {
                to_manage(board.and_then(|board| board.role(member)), becomes)
            }
            Self::CreateProject
            | Self::ChangeProject
            | Self::CreateBoard
            | Self::ChangeBoard
            | Self::CreateItem
            | Self::ChangeItem
            | Self::DeleteItem
            | Self::AddComment => Role::Member,
            Self::EditComment { author } | Self::DeleteComment { author } => {
                if author == Some(subject) {
                    Role::Member
                } else {
                    Role::Admin
                }
            }
        })
    }
}

/// An admin's business, unless a role above an admin's is given or taken.
fn to_manage(is: Option<Role>, becomes: Option<Role>) -> Role {
    let highest = |role: Option<Role>| role.is_some_and(|role| !Role::Admin.covers(role));
    if highest(is) || highest(becomes) { Role::Owner } else { Role::Admin }
}

impl<'a> From<&'a workspace::Command> for Action<'a> {
    fn from(command: &'a workspace::Command) -> Self {
        use workspace::Command as C;
        match command {
            C::Create(_) => Self::CreateWorkspace,
            C::Rename(_) => Self::RenameWorkspace,
            C::Archive => Self::ArchiveWorkspace,
            C::AddMember(add) => Self::ManageMember { member: &add.member, becomes: Some(add.role) },
            C::RemoveMember(remove) => Self::ManageMember { member: &remove.member, becomes: None },
            C::ChangeMemberRole(change) => {
                Self::ManageMember { member: &change.member, becomes: Some(change.role) }
            }
        }
    }
}

impl From<&project::Command> for Action<'_> {
    fn from(command: &project::Command) -> Self {
        use project::Command as C;
        match command {
            C::Create(..) => Self::CreateProject,
            C::Update(_) => Self::ChangeProject,
            C::Archive | C::Restore => Self::ArchiveProject,
        }
    }
}

impl<'a> From<&'a board::Command> for Action<'a> {
    fn from(command: &'a board::Command) -> Self {
        use board::Command as C;
        match command {
            C::Create(..) => Self::CreateBoard,
            C::Update(_)
            | C::AddColumn(_)
            | C::ChangeColumn(..)
            | C::MoveColumn(..)
            | C::RemoveColumn(..)
            | C::DefineField(_)
            | C::RemoveField(_) => Self::ChangeBoard,
            C::AddMember(add) => Self::ManageBoardMember { member: &add.member, becomes: Some(add.role) },
            C::RemoveMember(remove) => Self::ManageBoardMember { member: &remove.member, becomes: None },
            C::ChangeMemberRole(change) => {
                Self::ManageBoardMember { member: &change.member, becomes: Some(change.role) }
            }
            C::Delete => Self::DeleteBoard,
        }
    }
}

impl From<&item::Command> for Action<'_> {
    fn from(command: &item::Command) -> Self {
        use item::Command as C;
        match command {
            C::Create(..) => Self::CreateItem,
            C::Update(..)
            | C::Move(..)
            | C::Rank(_)
            | C::Assign(_)
            | C::Unassign(_)
            | C::Complete(_)
            | C::Reopen
            | C::AddAttachment(_)
            | C::RemoveAttachment(_)
            | C::Link(_)
            | C::Unlink(_) => Self::ChangeItem,
            C::Delete => Self::DeleteItem,
        }
    }
}

impl<'a> Action<'a> {
    /// What a command about a comment is; its author decides, where that is known.
    #[must_use]
    pub fn on_comment(command: &comment::Command, author: Option<&'a str>) -> Self {
        use comment::Command as C;
        match command {
            C::Add(..) => Self::AddComment,
            C::Edit(_) => Self::EditComment { author },
            C::Delete => Self::DeleteComment { author },
        }
    }
}
