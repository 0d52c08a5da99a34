//! What decisions about an item need to know of it.

use crate::{
    aggregate::Life,
    date::Date,
    error::{DomainError, Thing},
    ids::{AttachmentId, BoardId, ColumnId, ItemId, WorkspaceId},
    item::{Event, due_date_change, fields::Fields},
    rank::Rank,
    text::TextDigest,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An item as its decisions see it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Item {
    pub(super) life: Life,
    pub(super) place: Option<Place>,
    pub(super) title: String,
    pub(super) description: Option<TextDigest>,
    pub(super) assignees: Vec<String>,
    pub(super) due_date: Option<Date>,
    pub(super) completed: bool,
    #[serde(with = "values_as_text")]
    pub(super) fields: Fields,
    /// Every attachment it ever had, and whether it still has it.
    pub(super) attachments: BTreeMap<AttachmentId, bool>,
    pub(super) links: BTreeSet<(String, ItemId)>,
}

/// Where an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) workspace: WorkspaceId,
    pub(super) board: BoardId,
    pub(super) column: ColumnId,
    pub(super) rank: Rank,
}

/// Proof that an item exists and may be commented on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemRef {
    workspace_id: WorkspaceId,
    board_id: BoardId,
    item_id: ItemId,
}

impl ItemRef {
    /// The tenant.
    #[must_use]
    pub fn workspace_id(self) -> WorkspaceId {
        self.workspace_id
    }

    /// The item's board.
    #[must_use]
    pub fn board_id(self) -> BoardId {
        self.board_id
    }

    /// The item.
    #[must_use]
    pub fn item_id(self) -> ItemId {
        self.item_id
    }
}

impl Item {
    /// Where it stands.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// What it is called.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The tenant, once the item exists.
    #[must_use]
    pub fn workspace_id(&self) -> Option<WorkspaceId> {
        self.place.as_ref().map(|place| place.workspace)
    }

    /// Its board, once it exists.
    #[must_use]
    pub fn board_id(&self) -> Option<BoardId> {
        self.place.as_ref().map(|place| place.board)
    }

    /// Its column, once it exists; see [`Board::resolve`](crate::board::Board::resolve) for removed ones.
    #[must_use]
    pub fn column_id(&self) -> Option<ColumnId> {
        self.place.as_ref().map(|place| place.column)
    }

    /// Its place in the column, once it exists.
    #[must_use]
    pub fn rank(&self) -> Option<&Rank> {
        self.place.as_ref().map(|place| &place.rank)
    }

    /// Who it is assigned to.
    #[must_use]
    pub fn assignees(&self) -> &[String] {
        &self.assignees
    }

    /// The day on which it is due.
    #[must_use]
    pub fn due_date(&self) -> Option<Date> {
        self.due_date
    }

    /// Whether it is done.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.completed
    }

    /// Proof, for a comment to be added.
    ///
    /// # Errors
    /// When it does not exist or was deleted.
    pub fn reference(&self, id: ItemId) -> Result<ItemRef, DomainError> {
        let place = self.open_place()?;
        Ok(ItemRef { workspace_id: place.workspace, board_id: place.board, item_id: id })
    }

    pub(super) fn open_place(&self) -> Result<&Place, DomainError> {
        self.life.check_open(Thing::Item)?;
        self.place.as_ref().ok_or(DomainError::NotFound { thing: Thing::Item })
    }

    pub(super) fn is_assigned(&self, person: &str) -> bool {
        self.assignees.iter().any(|assignee| assignee == person)
    }

    pub(super) fn fold(&mut self, event: &Event) {
        match event {
            Event::Created(event) => {
                self.life = Life::Present;
                self.place = Some(Place {
                    workspace: event.workspace_id,
                    board: event.board_id,
                    column: event.column_id,
                    rank: event.rank.clone(),
                });
                self.title.clone_from(&event.title);
                self.description = event.description.as_deref().map(TextDigest::of);
                self.assignees.clone_from(&event.assignees);
                self.due_date = event.due_date;
                self.fields.clone_from(&event.fields);
            }
            Event::Updated(event) => {
                for (field, change) in &event.changes {
                    if field == "dueDate"
                        && let Some(due_date) = due_date_change(change)
                    {
                        self.due_date = due_date;
                        continue;
                    }
                    match field.as_str() {
                        "title" => change.to.as_str().unwrap_or_default().clone_into(&mut self.title),
                        "description" => self.description = change.to.as_str().map(TextDigest::of),
                        _ if change.to.is_null() => {
                            self.fields.remove(field);
                        }
                        _ => {
                            self.fields.insert(field.clone(), change.to.clone());
                        }
                    }
                }
            }
            Event::Moved(event) => {
                if let Some(place) = &mut self.place {
                    place.column = event.to_column;
                    place.rank.clone_from(&event.to_rank);
                }
            }
            Event::Ranked(event) => {
                if let Some(place) = &mut self.place {
                    place.rank.clone_from(&event.to_rank);
                }
            }
            Event::Assigned(event) => {
                for person in &event.assignees {
                    if !self.is_assigned(person) {
                        self.assignees.push(person.clone());
                    }
                }
            }
            Event::Unassigned(event) => self.assignees.retain(|person| !event.assignees.contains(person)),
            Event::Completed(_) => self.completed = true,
            Event::Reopened(_) => self.completed = false,
            Event::Linked(event) => {
                self.links.insert((event.kind.clone(), event.item_id));
            }
            Event::Unlinked(event) => {
                self.links.remove(&(event.kind.clone(), event.item_id));
            }
            Event::AttachmentAdded(event) => {
                self.attachments.insert(event.attachment_id, true);
            }
            Event::AttachmentRemoved(event) => {
                self.attachments.insert(event.attachment_id, false);
            }
            Event::Deleted(_) => {
                // Only where it was stays: its tags are made of that.
                *self = Self { life: Life::Deleted, place: self.place.take(), ..Self::default() };
            }
        }
    }
}

/// Any JSON in a form that formats without self-description (bincode) can hold as well.
mod values_as_text {
    use super::Fields;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(fields: &Fields, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(fields.iter().map(|(name, value)| (name, value.to_string())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        texts
            .into_iter()
            .map(|(name, text)| Ok((name, serde_json::from_str(&text).map_err(D::Error::custom)?)))
            .collect()
    }
}
