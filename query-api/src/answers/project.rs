//! A project, and the statistics of the work in it.

use super::Told;
use crate::rfc3339::Rfc3339;
use crate::service::reading::Work;
use domain::{BoardId, ProjectId, WorkspaceId};
use eventstore::{Log, Position, ReadError};
use projector::models::{Models, Name, ProjectModel};
use projector::texts;
use schemars::JsonSchema;
use serde::Serialize;

/// A project with its statistics.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Project")]
pub(crate) struct ProjectAnswer {
    #[serde(flatten)]
    summary: ProjectSummary,
    description: Option<String>,
    #[serde(skip)]
    description_at: Option<Position>,
}

/// A project without its description, as lists have it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectSummary {
    id: ProjectId,
    workspace_id: WorkspaceId,
    name: Name,
    /// Those that are not deleted.
    boards: Vec<BoardId>,
    archived: bool,
    statistics: StatisticsAnswer,
    version: u64,
    created_at: Rfc3339,
    updated_at: Rfc3339,
}

/// What goes on in a project.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Statistics")]
pub(crate) struct StatisticsAnswer {
    project_id: ProjectId,
    total: u64,
    completed: u64,
    active_members: usize,
    last_activity: Option<Rfc3339>,
}

impl StatisticsAnswer {
    pub(crate) fn of(project: &ProjectModel) -> Self {
        let statistics = &project.statistics;
        Self {
            project_id: project.id,
            total: statistics.total,
            completed: statistics.completed,
            active_members: statistics.active_members.len(),
            last_activity: statistics.last_activity.map(Rfc3339),
        }
    }
}

impl ProjectSummary {
    pub(crate) fn of(models: &Models, project: &ProjectModel) -> Self {
        let is_there = |id: &BoardId| models.board(*id).is_some_and(|board| !board.deleted);
        Self {
            id: project.id,
            workspace_id: project.workspace_id,
            name: project.name.clone(),
            boards: project.boards.iter().copied().filter(is_there).collect(),
            archived: project.archived,
            statistics: StatisticsAnswer::of(project),
            version: project.version.get(),
            created_at: Rfc3339(project.created_at),
            updated_at: Rfc3339(project.updated_at),
        }
    }
}

impl ProjectAnswer {
    /// Copies what the models know.
    pub(crate) fn of(models: &Models, project: &ProjectModel) -> Self {
        let summary = ProjectSummary::of(models, project);
        Self { summary, description: None, description_at: project.description_at }
    }
}

impl Told for ProjectAnswer {
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
