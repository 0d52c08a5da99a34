//! What happened, as a feed tells it: the deed, what it was about as that is called today, and its changes in short.

use super::Named;
use super::deed::{self, Deed};
use domain::{BoardId, FieldChange, ItemId};
use eventstore::{EventView, Position};
use projector::models::{Models, Name};
use schemars::JsonSchema;
use serde::Serialize;

/// An entry of a feed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ActivityAnswer {
    #[serde(flatten)]
    deed: Deed,
    person: Option<String>,
    item: Option<ItemName>,
    board: Option<Named<BoardId, Option<Name>>>,
    summary: Summary,
    #[serde(skip)]
    position: Position,
}

/// An item by its names.
#[derive(Debug, Serialize, JsonSchema)]
struct ItemName {
    id: ItemId,
    key: Option<Name>,
    /// As it is called today; nothing once it is deleted.
    title: Option<Name>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Summary {
    changes: Vec<FieldChange>,
}

impl ActivityAnswer {
    /// What the log says.
    pub(crate) fn of(event: &EventView<'_>) -> Self {
        let deed = Deed::of(event);
        Self {
            person: deed.person().map(str::to_owned),
            deed,
            item: deed::item_of(event).map(|id| ItemName { id, key: None, title: None }),
            board: deed::board_of(event).map(|id| Named { id, name: None }),
            summary: Summary { changes: deed::in_short(deed::changes(event)) },
            position: event.position(),
        }
    }

    /// Adds how things are called today.
    pub(crate) fn name(&mut self, models: &Models) {
        if let Some(named) = &mut self.item
            && let Some(item) = models.item(named.id)
        {
            named.key.clone_from(&item.external_key);
            named.title = (!item.deleted).then(|| item.title.clone());
        }
        if let Some(named) = &mut self.board {
            named.name = models.board(named.id).map(|board| board.name.clone());
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }
}
