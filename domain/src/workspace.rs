//! A workspace: the tenant, its name and its members.
//!
//! Invariant: what is archived is not changed any more. What it contains (projects, boards, items) is not
//! known here.
//!
//! Invariant: a workspace that has an owner keeps one, save that somebody with an operator's rights
//! ([`Context::is_privileged`]) takes the last one away. Imported workspaces begin without members. Who may change
//! what is decided by [`access`](crate::access).

use crate::{
    aggregate::{Aggregate, Context, Life},
    error::{DomainError, Thing},
    event::events,
    ids::WorkspaceId,
    limits::{MEMBERS_MAX, NAME_CHARS_MAX},
    schema::SAYS_SOMETHING,
    tags::Scope,
    text::{check_count, check_name},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a member may do; [`access`](crate::access) has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Reads and writes, and says who else may, and what is deleted or archived.
    Admin,
    /// Reads and writes.
    #[default]
    Member,
    /// Reads.
    Viewer,
    /// Everything, owners included. Last, because images and snapshots hold the place and not the name.
    Owner,
}

impl Role {
    /// Whether it is this role or a higher one.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.level() >= other.level()
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    fn level(self) -> u8 {
        match self {
            Self::Viewer => 0,
            Self::Member => 1,
            Self::Admin => 2,
            Self::Owner => 3,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Creates a workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewWorkspace")]
pub struct Create {
    /// The id that the caller chose, for whoever names the stream; the decision does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<WorkspaceId>,
    /// At most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
}

/// Gives a workspace another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "RenameWorkspace")]
pub struct Rename {
    /// At most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
}

/// Makes somebody a member, of a workspace or of a board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddMember {
    /// The subject: at most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub member: String,
    /// What they may do; `member` where it is not said.
    #[serde(default)]
    pub role: Role,
}

/// Ends somebody's membership, of a workspace or of a board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveMember {
    /// The subject.
    pub member: String,
}

/// Lets a member of a workspace or a board do something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeMemberRole {
    /// The subject.
    pub member: String,
    /// What they may do.
    pub role: Role,
}

/// What can be asked of a workspace.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// See [`Create`].
    Create(Create),
    /// See [`Rename`].
    Rename(Rename),
    /// Keeps it as it is, for good.
    Archive,
    /// See [`AddMember`].
    AddMember(AddMember),
    /// See [`RemoveMember`].
    RemoveMember(RemoveMember),
    /// See [`ChangeMemberRole`].
    ChangeMemberRole(ChangeMemberRole),
}

/// `workspace.created`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Its name.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
}

/// `workspace.renamed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Renamed {
    /// Its name before.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub from: String,
    /// Its name now.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub to: String,
}

/// `workspace.archived`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Archived {}

/// `workspace.member_added`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberAdded {
    /// The subject.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub member: String,
    /// What they may do.
    pub role: Role,
}

/// `workspace.member_removed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberRemoved {
    /// The subject.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub member: String,
}

/// `workspace.member_role_changed`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberRoleChanged {
    /// The subject.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub member: String,
    /// What they might do before.
    pub from: Role,
    /// What they may do now.
    pub to: Role,
}

events! {
    /// It exists.
    Created = "workspace.created" v 1,
    /// It has another name.
    Renamed = "workspace.renamed" v 1,
    /// It is not changed any more.
    Archived = "workspace.archived" v 1,
    /// Somebody is a member.
    MemberAdded = "workspace.member_added" v 1,
    /// Somebody is no member any more.
    MemberRemoved = "workspace.member_removed" v 1,
    /// Somebody may do something else.
    MemberRoleChanged = "workspace.member_role_changed" v 1,
}

/// What decisions about a workspace need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Workspace {
    life: Life,
    name: String,
    members: BTreeMap<String, Role>,
}

/// Proof that a workspace exists and may be added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceRef {
    workspace_id: WorkspaceId,
}

impl WorkspaceRef {
    /// The workspace.
    #[must_use]
    pub fn workspace_id(self) -> WorkspaceId {
        self.workspace_id
    }
}

impl Workspace {
    /// Where it stands.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What somebody may do here, if they are a member.
    #[must_use]
    pub fn role(&self, member: &str) -> Option<Role> {
        self.members.get(member).copied()
    }

    fn known_member(&self, member: &str) -> Result<Role, DomainError> {
        self.role(member).ok_or(DomainError::NotFound { thing: Thing::Member })
    }

    /// Whether somebody is an owner when one member of this role is none any more.
    fn check_owned_without(&self, context: &Context, role: Role) -> Result<(), DomainError> {
        if role != Role::Owner || context.is_privileged {
            return Ok(());
        }
        let owners = self.members.values().filter(|role| **role == Role::Owner).count();
        if owners > 1 { Ok(()) } else { Err(DomainError::LastOwner) }
    }

    /// Proof, for a project to be created in it.
    ///
    /// # Errors
    /// When it does not exist or is archived.
    pub fn reference(&self, id: WorkspaceId) -> Result<WorkspaceRef, DomainError> {
        self.life.check_open(Thing::Workspace)?;
        Ok(WorkspaceRef { workspace_id: id })
    }
}

impl Aggregate for Workspace {
    const CATEGORY: &'static str = WorkspaceId::CATEGORY;
    const STATE_VERSION: u32 = 1;
    type Id = WorkspaceId;
    type Command = Command;
    type Event = Event;

    fn decide(&self, context: &Context, command: Command) -> Result<Vec<Event>, DomainError> {
        match command {
            Command::Create(Create { name, .. }) => {
                self.life.check_absent(Thing::Workspace)?;
                check_name("name", &name)?;
                let created = Created { name }.into();
                if context.imported {
                    // A history says itself who belonged to it.
                    return Ok(vec![created]);
                }
                let member = context.person().to_owned();
                check_name("member", &member)?;
                Ok(vec![created, MemberAdded { member, role: Role::Owner }.into()])
            }
            Command::Rename(Rename { name }) => {
                self.life.check_open(Thing::Workspace)?;
                check_name("name", &name)?;
                if name == self.name {
                    return Ok(vec![]);
                }
                Ok(vec![Renamed { from: self.name.clone(), to: name }.into()])
            }
            Command::Archive => {
                self.life.check_exists(Thing::Workspace)?;
                Ok(if self.life == Life::Archived { vec![] } else { vec![Archived {}.into()] })
            }
            Command::AddMember(AddMember { member, role }) => {
                self.life.check_open(Thing::Workspace)?;
                if !admit_member(&self.members, &member, role)? {
                    return Ok(vec![]);
                }
                Ok(vec![MemberAdded { member, role }.into()])
            }
            Command::RemoveMember(RemoveMember { member }) => {
                self.life.check_open(Thing::Workspace)?;
                let role = self.known_member(&member)?;
                self.check_owned_without(context, role)?;
                Ok(vec![MemberRemoved { member }.into()])
            }
            Command::ChangeMemberRole(ChangeMemberRole { member, role }) => {
                self.life.check_open(Thing::Workspace)?;
                let from = self.known_member(&member)?;
                if from == role {
                    return Ok(vec![]);
                }
                self.check_owned_without(context, from)?;
                Ok(vec![MemberRoleChanged { member, from, to: role }.into()])
            }
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Created(event) => {
                self.life = Life::Present;
                self.name.clone_from(&event.name);
            }
            Event::Renamed(event) => self.name.clone_from(&event.to),
            Event::Archived(_) => self.life = Life::Archived,
            Event::MemberAdded(event) => {
                self.members.insert(event.member.clone(), event.role);
            }
            Event::MemberRemoved(event) => {
                self.members.remove(&event.member);
            }
            Event::MemberRoleChanged(event) => {
                self.members.insert(event.member.clone(), event.to);
            }
        }
    }

    fn scope(&self, id: WorkspaceId) -> Option<Scope> {
        (self.life != Life::Absent).then_some(Scope { workspace: id, board: None, item: None })
    }
}

/// Whether adding them changes anything: not where they are a member in this very role.
pub(crate) fn admit_member(
    members: &BTreeMap<String, Role>,
    member: &str,
    role: Role,
) -> Result<bool, DomainError> {
    check_name("member", member)?;
    match members.get(member) {
        Some(present) if *present == role => Ok(false),
        Some(_) => Err(DomainError::AlreadyExists { thing: Thing::Member }),
        None => check_count("members", members.len() + 1, MEMBERS_MAX).map(|()| true),
    }
}
