//! A workspace.

use super::{Members, Told};
use crate::rfc3339::Rfc3339;
use crate::service::reading::Work;
use domain::{ProjectId, Role, WorkspaceId};
use eventstore::{Log, ReadError};
use projector::models::{Name, WorkspaceModel};
use schemars::JsonSchema;
use serde::Serialize;

/// A workspace with its members and projects.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Workspace")]
pub(crate) struct WorkspaceAnswer {
    id: WorkspaceId,
    name: Name,
    members: Members<Name, Role>,
    projects: Vec<ProjectId>,
    archived: bool,
    version: u64,
    created_at: Rfc3339,
    updated_at: Rfc3339,
}

impl WorkspaceAnswer {
    pub(crate) fn of(workspace: &WorkspaceModel) -> Self {
        Self {
            id: workspace.id,
            name: workspace.name.clone(),
            members: Members(workspace.members.iter().map(|(name, role)| (name.clone(), *role)).collect()),
            projects: workspace.projects.clone(),
            archived: workspace.archived,
            version: workspace.version.get(),
            created_at: Rfc3339(workspace.created_at),
            updated_at: Rfc3339(workspace.updated_at),
        }
    }
}

impl Told for WorkspaceAnswer {
    fn version(&self) -> u64 {
        self.version
    }

    fn work(&self) -> Work {
        Work::Little
    }

    fn fill(self, _: &Log) -> Result<Self, ReadError> {
        Ok(self)
    }
}
