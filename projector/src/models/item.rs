//! An item as it is read. Long texts and long field values are references into the log.

use crate::models::Name;
use crate::models::apply::Occurrence;
use crate::models::name::Names;
use domain::item::{Created, Event, due_date_change};
use domain::{AttachmentId, BoardId, Changes, ColumnId, CommentId, Date, ItemId, ProjectId, WorkspaceId};
use eventstore::{Position, Timestamp, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thin_vec::ThinVec;

/// Field values up to this many bytes of JSON are kept in memory.
pub const INLINE_VALUE_BYTES_MAX: usize = 256;
/// Field values up to this many bytes of JSON are kept once: states and priorities repeat, long ones hardly do.
const SHARED_VALUE_BYTES_MAX: usize = 64;

/// An item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemModel {
    /// Its id.
    pub id: ItemId,
    /// Its name elsewhere.
    pub external_key: Option<Name>,
    /// What it is called; empty once it is deleted.
    pub title: Name,
    /// The event that says its description; see [`texts`](crate::texts).
    pub description_at: Option<Position>,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its board.
    pub board_id: BoardId,
    /// The column that it is in now.
    pub column_id: ColumnId,
    /// Its place in the column.
    pub rank: Name,
    /// Who is to do it, in the order they were assigned.
    pub assignees: ThinVec<Name>,
    /// The day on which it is due.
    pub due_date: Option<Date>,
    /// How it was completed, if it is.
    pub completion: Option<Completion>,
    /// Its comments that are not deleted, in the order they were added.
    pub comments: ThinVec<CommentId>,
    /// Its custom fields, by name.
    pub fields: ThinVec<(Name, FieldValue)>,
    /// What is attached to it, in the order it was.
    pub attachments: ThinVec<Attachment>,
    /// What it is tied to.
    pub links: ThinVec<Link>,
    /// Whether it is gone.
    pub deleted: bool,
    /// Version of its stream.
    pub version: Version,
    /// Business time of its creation.
    pub created_at: Timestamp,
    /// Latest business time of its own events; comments are not its own.
    pub updated_at: Timestamp,
}

/// How an item was completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Business time.
    pub at: Timestamp,
    /// How it ended.
    pub resolution: Option<Name>,
}

/// The value of a custom field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldValue {
    /// Its JSON text, at most [`INLINE_VALUE_BYTES_MAX`] bytes.
    Json(Name),
    /// Longer: the event that set it; see [`texts`](crate::texts).
    At(Position),
}

/// A file that belongs to an item; its bytes are not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// The file's name.
    pub name: Name,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub mime: Option<Name>,
}

/// A tie to another item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What the link says.
    pub kind: Name,
    /// The other item.
    pub item_id: ItemId,
}

impl ItemModel {
    /// Whether it is done.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.completion.is_some()
    }

    /// Number of its comments.
    #[must_use]
    pub fn comment_count(&self) -> usize {
        self.comments.len()
    }

    /// The value of a custom field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldValue> {
        let index = self.fields.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(&self.fields[index].1)
    }

    pub(super) fn created(
        id: ItemId,
        event: &Created,
        column_id: ColumnId,
        names: &mut Names,
        at: &Occurrence<'_>,
    ) -> Self {
        // A `BTreeMap` gives its entries in the order in which they are looked for.
        let fields = event.fields.iter();
        Self {
            id,
            external_key: event.external_key.as_deref().map(Name::new),
            title: Name::new(&event.title),
            description_at: event.description.as_ref().map(|_| at.position),
            workspace_id: event.workspace_id,
            project_id: event.project_id,
            board_id: event.board_id,
            column_id,
            rank: Name::new(event.rank.as_str()),
            assignees: exactly(event.assignees.iter().map(|person| names.intern(person))),
            due_date: event.due_date,
            completion: None,
            comments: ThinVec::new(),
            fields: exactly(fields.map(|(name, value)| (names.intern(name), field_value(value, names, at)))),
            attachments: ThinVec::new(),
            links: ThinVec::new(),
            deleted: false,
            version: at.version,
            created_at: at.time,
            updated_at: at.time,
        }
    }

    /// Takes in what concerns nobody but the item itself.
    pub(super) fn apply(&mut self, event: &Event, names: &mut Names, at: &Occurrence<'_>) {
        match event {
            Event::Updated(event) => self.update(&event.changes, names, at),
            Event::Assigned(event) => {
                for person in &event.assignees {
                    if !self.assignees.iter().any(|assignee| assignee.as_str() == person) {
                        self.assignees.push(names.intern(person));
                    }
                }
            }
            Event::Unassigned(event) => {
                self.assignees
                    .retain(|assignee| !event.assignees.iter().any(|person| person == assignee.as_str()));
            }
            Event::Linked(event) => {
                let link = Link { kind: names.intern(&event.kind), item_id: event.item_id };
                if !self.links.contains(&link) {
                    self.links.push(link);
                }
            }
            Event::Unlinked(event) => self
                .links
                .retain(|link| link.item_id != event.item_id || link.kind.as_str() != event.kind.as_str()),
            Event::AttachmentAdded(event) => self.attachments.push(Attachment {
                id: event.attachment_id,
                name: Name::new(&event.name),
                size: event.size,
                mime: event.mime.as_deref().map(|mime| names.intern(mime)),
            }),
            Event::AttachmentRemoved(event) => {
                self.attachments.retain(|attachment| attachment.id != event.attachment_id);
            }
            _ => {}
        }
    }

    fn update(&mut self, changes: &Changes, names: &mut Names, at: &Occurrence<'_>) {
        for (field, change) in changes {
            if field == "dueDate"
                && let Some(due_date) = due_date_change(change)
            {
                self.due_date = due_date;
                continue;
            }
            match field.as_str() {
                "title" => self.title = Name::new(change.to.as_str().unwrap_or_default()),
                "description" => self.description_at = change.to.is_string().then_some(at.position),
                _ => {
                    let index = self.fields.binary_search_by(|(known, _)| known.as_str().cmp(field));
                    match (index, change.to.is_null()) {
                        (Ok(index), true) => drop(self.fields.remove(index)),
                        (Ok(index), false) => self.fields[index].1 = field_value(&change.to, names, at),
                        (Err(index), false) => {
                            let value = field_value(&change.to, names, at);
                            self.fields.insert(index, (names.intern(field), value));
                        }
                        (Err(_), true) => {}
                    }
                }
            }
        }
    }

    /// Leaves what answers "it was here and is gone", and its comments, which are gone with it.
    pub(super) fn delete(&mut self) {
        self.deleted = true;
        self.title = Name::new("");
        self.description_at = None;
        self.assignees = ThinVec::new();
        self.due_date = None;
        self.completion = None;
        self.fields = ThinVec::new();
        self.attachments = ThinVec::new();
        self.links = ThinVec::new();
    }

    /// After an image was read: repeated texts share their memory again.
    pub(super) fn share_names(&mut self, names: &mut Names) {
        self.assignees.iter_mut().for_each(|person| names.share(person));
        for (name, value) in &mut self.fields {
            names.share(name);
            if let FieldValue::Json(json) = value
                && json.len() <= SHARED_VALUE_BYTES_MAX
            {
                names.share(json);
            }
        }
        self.links.iter_mut().for_each(|link| names.share(&mut link.kind));
        self.attachments
            .iter_mut()
            .filter_map(|attachment| attachment.mime.as_mut())
            .for_each(|mime| names.share(mime));
        if let Some(resolution) =
            self.completion.as_mut().and_then(|completion| completion.resolution.as_mut())
        {
            names.share(resolution);
        }
    }
}

/// Without room for more: most items stay as they were created.
fn exactly<T>(values: impl ExactSizeIterator<Item = T>) -> ThinVec<T> {
    let mut all = ThinVec::with_capacity(values.len());
    all.extend(values);
    all
}

fn field_value(value: &Value, names: &mut Names, at: &Occurrence<'_>) -> FieldValue {
    let json = value.to_string();
    match json.len() {
        bytes if bytes <= SHARED_VALUE_BYTES_MAX => FieldValue::Json(names.intern(&json)),
        bytes if bytes <= INLINE_VALUE_BYTES_MAX => FieldValue::Json(Name::new(&json)),
        _ => FieldValue::At(at.position),
    }
}
