//! Documents: an outline from the models, a text from the log.
//!
//! Invariant: an outline is taken under the models' lock and is consistent in itself; the text is read afterwards,
//! from a place that never changes.

use crate::decode::Subject;
use crate::models::{Models, Name};
use crate::search::expression::Has;
use crate::search::parser::dates::day_number;
use crate::search::query::ItemState;
use crate::search::schema::Fields;
use crate::search::traits::{custom_term, described, has, key_tails, short_values};
use crate::search::words::fold;
use crate::texts::TextReader;
use domain::{BoardId, ColumnId, CommentId, Date, ItemId, ProjectId, WorkspaceId};
use eventstore::{Position, ReadError, Timestamp, codec};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tantivy::TantivyDocument;
use tantivy::schema::Value;
use uuid::Uuid;

/// What a document is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DocumentKind {
    /// An item: external key, title, description.
    Item,
    /// A comment: its text.
    Comment,
    /// A board: name, description.
    Board,
    /// A project: name, description.
    Project,
}

impl DocumentKind {
    pub(crate) const ALL: [Self; 4] = [Self::Item, Self::Comment, Self::Board, Self::Project];

    /// Its name in queries and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Comment => "comment",
            Self::Board => "board",
            Self::Project => "project",
        }
    }

    /// Its number in the index; kinds of one id are ordered by it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Item => 0,
            Self::Comment => 1,
            Self::Board => 2,
            Self::Project => 3,
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What names a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DocumentKey {
    pub(crate) kind: DocumentKind,
    pub(crate) id: Uuid,
}

impl DocumentKey {
    /// The document of what an event happened to, if there is one.
    pub(crate) fn of(subject: Subject) -> Option<Self> {
        let (kind, id) = match subject {
            Subject::Item(id) => (DocumentKind::Item, id.uuid()),
            Subject::Comment(id) => (DocumentKind::Comment, id.uuid()),
            Subject::Board(id) => (DocumentKind::Board, id.uuid()),
            Subject::Project(id) => (DocumentKind::Project, id.uuid()),
            Subject::Workspace(_) | Subject::Other => return None,
        };
        Some(Self { kind, id })
    }

    /// The document of an entity with this name (`item:0198…`), if there is one.
    pub(crate) fn named(entity: &str) -> Option<Self> {
        let (kind, id) = entity.split_once(':')?;
        Some(Self { kind: DocumentKind::parse(kind)?, id: Uuid::try_parse(id).ok()? })
    }

    /// Where the models say that the document's text stands.
    pub(crate) fn text_at(self, models: &Models) -> Option<Position> {
        match self.kind {
            DocumentKind::Item => models.item(ItemId::new(self.id))?.description_at,
            DocumentKind::Comment => models.comment(CommentId::new(self.id)).map(|comment| comment.body_at),
            DocumentKind::Board => models.board(BoardId::new(self.id))?.description_at,
            DocumentKind::Project => models.project(ProjectId::new(self.id))?.description_at,
        }
    }

    /// The documents of everything that is in the models.
    pub(crate) fn all(models: &Models) -> Vec<Self> {
        let key = |kind, id| Self { kind, id };
        let projects =
            models.projects(None).into_iter().map(|project| key(DocumentKind::Project, project.id.uuid()));
        let boards = models.boards(None).into_iter().map(|board| key(DocumentKind::Board, board.id.uuid()));
        let items = models.all_items().map(|item| key(DocumentKind::Item, item.id.uuid()));
        let comments = models.all_comments().map(|comment| key(DocumentKind::Comment, comment.id.uuid()));
        projects.chain(boards).chain(items).chain(comments).collect()
    }
}

/// The bytes that name a document in the index.
pub(crate) fn key_of(kind: DocumentKind, id: Uuid) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = kind.as_str().as_bytes()[0];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// What the index stores of a document: what a hit says of itself, and where its text is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredHit {
    pub(crate) kind: DocumentKind,
    pub(crate) id: Uuid,
    pub(crate) item: Option<ItemId>,
    pub(crate) title: Option<String>,
    pub(crate) text_at: Option<Position>,
}

impl StoredHit {
    /// What a document stores.
    pub(crate) fn of_document(document: &TantivyDocument, fields: &Fields) -> Option<Self> {
        codec::decode(document.get_first(fields.hit)?.as_bytes()?).ok()
    }

    /// The text, from the log.
    pub(crate) fn text(&self, log: &mut TextReader<'_>) -> Result<Option<String>, ReadError> {
        match (self.text_at, self.kind) {
            (None, _) => Ok(None),
            (Some(at), DocumentKind::Comment) => log.body(at),
            (Some(at), _) => log.description(at),
        }
    }
}

/// Everything about a document but its text.
#[derive(Debug, Serialize)]
pub(crate) struct Outline {
    hit: StoredHit,
    workspace: WorkspaceId,
    project: Option<ProjectId>,
    board: Option<BoardId>,
    column: Option<ColumnId>,
    assignees: Vec<Name>,
    state: Option<ItemState>,
    external_key: Option<Name>,
    created_at: Timestamp,
    updated_at: Timestamp,
    completed_at: Option<Timestamp>,
    due: Option<Date>,
    has: Vec<Has>,
    /// Names and values of custom fields, as they are written.
    values: Vec<(Name, String)>,
}

impl Outline {
    /// What the models say of a document; `None` where there is none (any more).
    pub(crate) fn of(models: &Models, key: DocumentKey) -> Option<Self> {
        match key.kind {
            DocumentKind::Item => {
                let item = models.item(ItemId::new(key.id)).filter(|item| !models.is_gone(item))?;
                let state = if item.is_completed() { ItemState::Completed } else { ItemState::Open };
                Some(Self {
                    hit: key.hit(Some(item.id), Some(&item.title), item.description_at),
                    workspace: item.workspace_id,
                    project: Some(item.project_id),
                    board: Some(item.board_id),
                    column: Some(item.column_id),
                    assignees: item.assignees.to_vec(),
                    state: Some(state),
                    external_key: item.external_key.clone(),
                    created_at: item.created_at,
                    updated_at: item.updated_at,
                    completed_at: item.completion.as_ref().map(|completion| completion.at),
                    due: item.due_date,
                    has: has(item),
                    values: short_values(item),
                })
            }
            DocumentKind::Comment => {
                let comment = models.comment(CommentId::new(key.id)).filter(|comment| !comment.deleted)?;
                let item = models.item(comment.item_id).filter(|item| !models.is_gone(item))?;
                Some(Self {
                    hit: key.hit(Some(item.id), None, Some(comment.body_at)),
                    project: Some(item.project_id),
                    board: Some(item.board_id),
                    ..Self::bare(
                        key,
                        item.workspace_id,
                        comment.created_at,
                        comment.edited_at.unwrap_or(comment.created_at),
                    )
                })
            }
            DocumentKind::Board => {
                let board = models.board(BoardId::new(key.id)).filter(|board| !board.deleted)?;
                Some(Self {
                    hit: key.hit(None, Some(&board.name), board.description_at),
                    project: Some(board.project_id),
                    board: Some(board.id),
                    has: described(board.description_at),
                    ..Self::bare(key, board.workspace_id, board.created_at, board.updated_at)
                })
            }
            DocumentKind::Project => {
                let project = models.project(ProjectId::new(key.id))?;
                Some(Self {
                    hit: key.hit(None, Some(&project.name), project.description_at),
                    project: Some(project.id),
                    has: described(project.description_at),
                    ..Self::bare(key, project.workspace_id, project.created_at, project.updated_at)
                })
            }
        }
    }

    fn bare(key: DocumentKey, workspace: WorkspaceId, created_at: Timestamp, updated_at: Timestamp) -> Self {
        Self {
            hit: key.hit(None, None, None),
            workspace,
            project: None,
            board: None,
            column: None,
            assignees: Vec::new(),
            state: None,
            external_key: None,
            created_at,
            updated_at,
            completed_at: None,
            due: None,
            has: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Stands for everything that the document is made of, its text by the place where that stands: documents of equal
    /// content are equal. The first 64 bits of a SHA-256.
    pub(crate) fn content(&self) -> u64 {
        // Plain data always has an encoding.
        let digest = Sha256::digest(codec::encode(self).unwrap_or_default());
        digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The document, with its text from the log.
    pub(crate) fn document(
        &self,
        fields: &Fields,
        log: &mut TextReader<'_>,
    ) -> Result<TantivyDocument, ReadError> {
        let mut document = TantivyDocument::new();
        document.add_bytes(fields.key, &key_of(self.hit.kind, self.hit.id));
        // Plain data always has an encoding.
        document.add_bytes(fields.hit, &codec::encode(&self.hit).unwrap_or_default());
        document.add_text(fields.kind, self.hit.kind.as_str());
        document.add_u64(fields.kind_number, self.hit.kind.number().into());
        let (high, low) = self.hit.id.as_u64_pair();
        document.add_u64(fields.id_high, high);
        document.add_u64(fields.id_low, low);
        document.add_u64(fields.content, self.content());
        let ids = [
            (fields.workspace, Some(self.workspace.uuid())),
            (fields.project, self.project.map(Uuid::from)),
            (fields.board, self.board.map(Uuid::from)),
            (fields.column, self.column.map(Uuid::from)),
            (fields.item, self.hit.item.map(Uuid::from)),
        ];
        for (field, id) in ids {
            if let Some(id) = id {
                document.add_bytes(field, id.as_bytes());
            }
        }
        for person in &self.assignees {
            document.add_text(fields.assignee, person.as_str());
        }
        if let Some(state) = self.state {
            document.add_text(fields.state, state.as_str());
        }
        for has in &self.has {
            document.add_text(fields.has, has.as_str());
        }
        for (name, value) in &self.values {
            document.add_text(fields.custom, custom_term(&fold(name), &fold(value)));
            document.add_text(fields.field_value, custom_term(name, value));
        }
        if let Some(key) = &self.external_key {
            document.add_text(fields.external_key, key.as_str());
            for tail in key_tails(key) {
                document.add_text(fields.whole_key, tail);
            }
        }
        if let Some(title) = &self.hit.title {
            document.add_text(fields.title, title);
            document.add_text(fields.title_stems, title);
        }
        if let Some(text) = self.hit.text(log)? {
            document.add_text(fields.text_stems, &text);
            document.add_text(fields.text, text);
        }
        document.add_i64(fields.created_at, self.created_at.get());
        document.add_i64(fields.updated_at, self.updated_at.get());
        if let Some(at) = self.completed_at {
            document.add_i64(fields.completed_at, at.get());
        }
        if let Some(due) = self.due {
            document.add_i64(fields.due, day_number(due));
        }
        Ok(document)
    }
}

impl DocumentKey {
    fn hit(self, item: Option<ItemId>, title: Option<&str>, text_at: Option<Position>) -> StoredHit {
        StoredHit { kind: self.kind, id: self.id, item, title: title.map(str::to_owned), text_at }
    }
}
