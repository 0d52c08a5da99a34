//! A project as it is read, with the statistics of the work in it.
//!
//! Activity is what happens to the project's items and their comments: setting up boards is not work on them. It
//! counts for whoever it was done on behalf of, at its business time.

use crate::models::Name;
use crate::models::apply::{Occurrence, changed_text};
use domain::project::Event;
use domain::{BoardId, ProjectId, WorkspaceId};
use eventstore::{Position, Timestamp, Version};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::HashSet;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectModel {
    /// Its id.
    pub id: ProjectId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: Name,
    /// The event that says its description; see [`texts`](crate::texts).
    pub description_at: Option<Position>,
    /// Its boards, in the order of their creation; deleted ones included.
    pub boards: Vec<BoardId>,
    /// Whether it is not changed until it is restored.
    pub archived: bool,
    /// Version of its stream.
    pub version: Version,
    /// Business time of its creation.
    pub created_at: Timestamp,
    /// Business time of its latest change.
    pub updated_at: Timestamp,
    /// What goes on in it.
    pub statistics: Statistics,
}

/// What goes on in a project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Items that are not deleted, on boards that are not.
    pub total: u64,
    /// Those of them that are completed.
    pub completed: u64,
    /// Everybody who did something to its items.
    #[serde(serialize_with = "sorted")]
    pub active_members: HashSet<Name>,
    /// Latest business time of anything done to its items.
    pub last_activity: Option<Timestamp>,
}

/// The order of a hash set must not show in the canonical bytes.
fn sorted<S: Serializer>(names: &HashSet<Name>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut names: Vec<&Name> = names.iter().collect();
    names.sort_unstable();
    names.serialize(serializer)
}

impl ProjectModel {
    pub(super) fn created(id: ProjectId, event: &domain::project::Created, at: &Occurrence<'_>) -> Self {
        Self {
            id,
            workspace_id: event.workspace_id,
            name: Name::new(&event.name),
            description_at: event.description.as_ref().map(|_| at.position),
            boards: Vec::new(),
            archived: false,
            version: at.version,
            created_at: at.time,
            updated_at: at.time,
            statistics: Statistics::default(),
        }
    }

    pub(super) fn apply(&mut self, event: &Event, at: &Occurrence<'_>) {
        self.version = at.version;
        self.updated_at = self.updated_at.max(at.time);
        match event {
            Event::Updated(event) => {
                if let Some(name) = event.changes.get("name").and_then(|change| change.to.as_str()) {
                    self.name = Name::new(name);
                }
                changed_text(&event.changes, &mut self.description_at, at);
            }
            Event::Archived(_) => self.archived = true,
            Event::Restored(_) => self.archived = false,
            _ => {}
        }
    }
}
