//! A workspace as it is read, and what events do to it.

use crate::models::Name;
use crate::models::apply::Occurrence;
use domain::workspace::Event;
use domain::{ProjectId, Role, WorkspaceId};
use eventstore::{Timestamp, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceModel {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: Name,
    /// Who belongs to it.
    pub members: BTreeMap<Name, Role>,
    /// Its projects, in the order of their creation.
    pub projects: Vec<ProjectId>,
    /// Whether it is kept as it is.
    pub archived: bool,
    /// Version of its stream.
    pub version: Version,
    /// Business time of its creation.
    pub created_at: Timestamp,
    /// Business time of its latest change.
    pub updated_at: Timestamp,
}

impl WorkspaceModel {
    pub(super) fn created(id: WorkspaceId, name: &str, at: &Occurrence<'_>) -> Self {
        Self {
            id,
            name: Name::new(name),
            members: BTreeMap::new(),
            projects: Vec::new(),
            archived: false,
            version: at.version,
            created_at: at.time,
            updated_at: at.time,
        }
    }

    pub(super) fn apply(&mut self, event: &Event, at: &Occurrence<'_>) {
        self.version = at.version;
        self.updated_at = self.updated_at.max(at.time);
        match event {
            Event::Renamed(event) => self.name = Name::new(&event.to),
            Event::Archived(_) => self.archived = true,
            Event::MemberAdded(event) => {
                self.members.insert(Name::new(&event.member), event.role);
            }
            Event::MemberRemoved(event) => {
                self.members.remove(event.member.as_str());
            }
            Event::MemberRoleChanged(event) => {
                self.members.insert(Name::new(&event.member), event.to);
            }
            // Its creation is taken in where it is inserted; others are of a newer build.
            _ => {}
        }
    }
}
