//! A project: a part of a workspace that holds boards.
//!
//! Invariant: what is archived is not changed until it is restored. Its boards are not known here.

use crate::{
    aggregate::{Aggregate, Context, Life},
    change::{Change, Changes, present},
    error::{DomainError, Thing},
    event::events,
    ids::{ProjectId, WorkspaceId},
    limits::{NAME_CHARS_MAX, TEXT_BYTES_MAX},
    schema::{self, SAYS_SOMETHING},
    tags::Scope,
    text::{TextDigest, check_name, check_text},
    workspace::WorkspaceRef,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Creates a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewProject")]
pub struct Create {
    /// The id that the caller chose, for whoever names the stream; the decision does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ProjectId>,
    /// Where it belongs; the decision takes the [`WorkspaceRef`]'s.
    pub workspace_id: WorkspaceId,
    /// At most 200 characters, not empty.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// At most 4,000,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
}

/// Changes what is said of a project or a board; what is absent stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "UpdateProjectOrBoard")]
pub struct Update {
    /// Another name: at most 200 characters, not empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: Option<String>,
    /// Another description, or none (`null`).
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<Option<String>>,
}

/// What can be asked of a project.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// See [`Create`]; with proof that the workspace is there.
    Create(Create, WorkspaceRef),
    /// See [`Update`].
    Update(Update),
    /// Keeps it as it is until it is restored.
    Archive,
    /// Takes an archived project up again.
    Restore,
}

/// `project.created`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Where it belongs.
    pub workspace_id: WorkspaceId,
    /// Its name.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    pub name: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub description: Option<String>,
}

/// `project.updated`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Updated {
    /// Of `name` and `description`; the description's change has no `from`.
    #[schemars(schema_with = "schema::label_changes")]
    pub changes: Changes,
}

/// `project.archived`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Archived {}

/// `project.restored`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restored {}

events! {
    /// It exists.
    Created = "project.created" v 1,
    /// Something is said differently of it.
    Updated = "project.updated" v 1,
    /// It is not changed until it is restored.
    Archived = "project.archived" v 1,
    /// It is taken up again.
    Restored = "project.restored" v 1,
}

/// What decisions about a project need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Project {
    life: Life,
    workspace: Option<WorkspaceId>,
    label: Label,
}

/// Proof that a project exists and may be added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectRef {
    workspace_id: WorkspaceId,
    project_id: ProjectId,
}

impl ProjectRef {
    /// The workspace that the project belongs to.
    #[must_use]
    pub fn workspace_id(self) -> WorkspaceId {
        self.workspace_id
    }

    /// The project.
    #[must_use]
    pub fn project_id(self) -> ProjectId {
        self.project_id
    }
}

impl Project {
    /// Where it stands.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.label.name
    }

    /// Where it belongs, once it exists.
    #[must_use]
    pub fn workspace_id(&self) -> Option<WorkspaceId> {
        self.workspace
    }

    /// Proof, for a board to be created in it.
    ///
    /// # Errors
    /// When it does not exist or is archived.
    pub fn reference(&self, id: ProjectId) -> Result<ProjectRef, DomainError> {
        self.life.check_open(Thing::Project)?;
        let workspace_id = self.workspace.ok_or(DomainError::NotFound { thing: Thing::Project })?;
        Ok(ProjectRef { workspace_id, project_id: id })
    }
}

impl Aggregate for Project {
    const CATEGORY: &'static str = ProjectId::CATEGORY;
    const STATE_VERSION: u32 = 1;
    type Id = ProjectId;
    type Command = Command;
    type Event = Event;

    fn decide(&self, _context: &Context, command: Command) -> Result<Vec<Event>, DomainError> {
        match command {
            Command::Create(Create { name, description, .. }, workspace) => {
                self.life.check_absent(Thing::Project)?;
                Label::check(&name, description.as_deref())?;
                let workspace_id = workspace.workspace_id();
                Ok(vec![Created { workspace_id, name, description }.into()])
            }
            Command::Update(update) => {
                self.life.check_open(Thing::Project)?;
                let changes = self.label.changes(update)?;
                Ok(if changes.is_empty() { vec![] } else { vec![Updated { changes }.into()] })
            }
            Command::Archive => {
                self.life.check_exists(Thing::Project)?;
                Ok(if self.life == Life::Archived { vec![] } else { vec![Archived {}.into()] })
            }
            Command::Restore => {
                self.life.check_exists(Thing::Project)?;
                Ok(if self.life == Life::Present { vec![] } else { vec![Restored {}.into()] })
            }
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Created(event) => {
                self.life = Life::Present;
                self.workspace = Some(event.workspace_id);
                self.label = Label::new(&event.name, event.description.as_deref());
            }
            Event::Updated(event) => self.label.apply(&event.changes),
            Event::Archived(_) => self.life = Life::Archived,
            Event::Restored(_) => self.life = Life::Present,
        }
    }

    fn scope(&self, _id: ProjectId) -> Option<Scope> {
        self.workspace.map(|workspace| Scope { workspace, board: None, item: None })
    }
}

/// A name and a description, of which only the digest is kept; boards have one too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Label {
    pub(crate) name: String,
    description: Option<TextDigest>,
}

impl Label {
    pub(crate) fn new(name: &str, description: Option<&str>) -> Self {
        Self { name: name.to_owned(), description: description.map(TextDigest::of) }
    }

    pub(crate) fn check(name: &str, description: Option<&str>) -> Result<(), DomainError> {
        check_name("name", name)?;
        description.map_or(Ok(()), |text| check_text("description", text))
    }

    /// What an update would change.
    pub(crate) fn changes(&self, update: Update) -> Result<Changes, DomainError> {
        let mut changes = Changes::new();
        if let Some(name) = update.name {
            check_name("name", &name)?;
            if name != self.name {
                let change = Change::between(Some(self.name.clone().into()), name.into());
                changes.insert("name".to_owned(), change);
            }
        }
        if let Some(description) = update.description {
            if let Some(text) = &description {
                check_text("description", text)?;
            }
            if !same_text(self.description.as_ref(), description.as_deref()) {
                changes.insert("description".to_owned(), Change::to_text(description));
            }
        }
        Ok(changes)
    }

    pub(crate) fn apply(&mut self, changes: &Changes) {
        if let Some(name) = changes.get("name").and_then(|change| change.to.as_str()) {
            name.clone_into(&mut self.name);
        }
        if let Some(change) = changes.get("description") {
            self.description = change.to.as_str().map(TextDigest::of);
        }
    }
}

/// Whether a text is the one that the digest stands for; no text is no digest.
pub(crate) fn same_text(digest: Option<&TextDigest>, text: Option<&str>) -> bool {
    match (digest, text) {
        (None, None) => true,
        (Some(digest), Some(text)) => digest.matches(text),
        _ => false,
    }
}
