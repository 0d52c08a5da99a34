//! An item in full, and an item as a card on its board.

use super::{Members, Named, Told};
use crate::rfc3339::Rfc3339;
use crate::service::reading::Work;
use domain::{AttachmentId, BoardId, ColumnId, Date, ItemId, ProjectId, WorkspaceId};
use eventstore::{Log, Position, ReadError};
use projector::models::{FieldValue, ItemModel, Models, Name};
use projector::texts;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

/// An item with everything that is known of it, its comments apart.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Item")]
pub(crate) struct ItemAnswer {
    #[serde(flatten)]
    card: Card,
    description: Option<String>,
    workspace_id: WorkspaceId,
    project_id: ProjectId,
    board_id: BoardId,
    column: Named<ColumnId, Option<Name>>,
    completed_at: Option<Rfc3339>,
    resolution: Option<Name>,
    #[schemars(with = "Members<Name, serde_json::Value>")]
    fields: Members<Name, Option<Box<RawValue>>>,
    attachments: Vec<AttachmentAnswer>,
    links: Vec<LinkAnswer>,
    created_at: Rfc3339,
    #[serde(skip)]
    description_at: Option<Position>,
    /// Which of the fields have their values in the log.
    #[serde(skip)]
    fields_at: Vec<(usize, Position)>,
}

/// What a board shows of an item.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Card {
    id: ItemId,
    external_key: Option<Name>,
    title: Name,
    rank: Name,
    assignees: Vec<Name>,
    due_date: Option<Date>,
    completed: bool,
    comment_count: usize,
    version: u64,
    updated_at: Rfc3339,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Attachment")]
struct AttachmentAnswer {
    id: AttachmentId,
    name: Name,
    size: u64,
    mime: Option<Name>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Link")]
struct LinkAnswer {
    kind: Name,
    item_id: ItemId,
}

impl Card {
    pub(crate) fn of(item: &ItemModel) -> Self {
        Self {
            id: item.id,
            external_key: item.external_key.clone(),
            title: item.title.clone(),
            rank: item.rank.clone(),
            assignees: item.assignees.to_vec(),
            due_date: item.due_date,
            completed: item.is_completed(),
            comment_count: item.comment_count(),
            version: item.version.get(),
            updated_at: Rfc3339(item.updated_at),
        }
    }
}

impl ItemAnswer {
    /// Copies what the models know.
    pub(crate) fn of(models: &Models, item: &ItemModel) -> Self {
        let column = models.board(item.board_id).and_then(|board| board.column(item.column_id));
        let completion = item.completion.as_ref();
        let mut fields_at = Vec::new();
        let fields = item.fields.iter().enumerate().map(|(index, (name, value))| match value {
            FieldValue::Json(json) => (name.clone(), RawValue::from_string(json.as_str().to_owned()).ok()),
            FieldValue::At(position) => {
                fields_at.push((index, *position));
                (name.clone(), None)
            }
        });
        Self {
            fields: Members(fields.collect()),
            card: Card::of(item),
            description: None,
            workspace_id: item.workspace_id,
            project_id: item.project_id,
            board_id: item.board_id,
            column: Named { id: item.column_id, name: column.map(|column| column.name.clone()) },
            completed_at: completion.map(|completion| Rfc3339(completion.at)),
            resolution: completion.and_then(|completion| completion.resolution.clone()),
            attachments: item
                .attachments
                .iter()
                .map(|attachment| AttachmentAnswer {
                    id: attachment.id,
                    name: attachment.name.clone(),
                    size: attachment.size,
                    mime: attachment.mime.clone(),
                })
                .collect(),
            links: item
                .links
                .iter()
                .map(|link| LinkAnswer { kind: link.kind.clone(), item_id: link.item_id })
                .collect(),
            created_at: Rfc3339(item.created_at),
            description_at: item.description_at,
            fields_at,
        }
    }

    /// Bytes of its description, roughly its length.
    pub(crate) fn len(&self) -> usize {
        self.description.as_ref().map_or(0, String::len)
    }
}

impl Told for ItemAnswer {
    fn work(&self) -> Work {
        Work::texts(self.description_at.into_iter().chain(self.fields_at.iter().map(|(_, at)| *at)))
    }

    fn fill(mut self, log: &Log) -> Result<Self, ReadError> {
        if let Some(at) = self.description_at {
            self.description = texts::description(log, at)?;
        }
        for (index, at) in std::mem::take(&mut self.fields_at) {
            let (name, value) = &mut self.fields.0[index];
            let json = texts::field_value(log, at, name)?;
            *value = json.and_then(|json| RawValue::from_string(json.to_string()).ok());
        }
        Ok(self)
    }

    fn version(&self) -> u64 {
        self.card.version
    }
}
