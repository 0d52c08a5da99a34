//! Data of commands that the domain takes in parts: what a path carries over HTTP stands in them by name.

use crate::service::Intent;
use domain::board::{self, Command};
use domain::limits::{FIELD_NAME_CHARS_MAX, NAME_CHARS_MAX};
use domain::schema::SAYS_SOMETHING;
use domain::whole;
use domain::{AttachmentId, ColumnId, item};
use schemars::JsonSchema;
use serde::Deserialize;

/// Changes a column; what is absent stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeColumn {
    column_id: ColumnId,
    /// Another name.
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    name: Option<String>,
    /// Another limit, or none (`null`).
    #[serde(default, deserialize_with = "whole::present")]
    #[schemars(!default, range(min = 1, max = u32::MAX))]
    wip_limit: Option<Option<u32>>,
}

/// Puts a column elsewhere among the columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MoveColumn {
    column_id: ColumnId,
    /// Its new place, from 0; the end where beyond it.
    #[schemars(range(max = u32::MAX))]
    #[serde(deserialize_with = "whole::number")]
    index: u32,
}

/// Removes a column.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RemoveColumn {
    column_id: ColumnId,
    /// The column that takes over its items.
    items_to: ColumnId,
}

/// Forgets what a custom field of the board's items is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveField {
    /// What it is called.
    #[schemars(length(min = 1, max = FIELD_NAME_CHARS_MAX), regex(pattern = SAYS_SOMETHING))]
    name: String,
}

/// Forgets an attachment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RemoveAttachment {
    attachment_id: AttachmentId,
}

impl ChangeColumn {
    pub(crate) fn intent(self) -> Intent {
        let Self { column_id, name, wip_limit } = self;
        Intent::Board(Command::ChangeColumn(column_id, board::ChangeColumn { name, wip_limit }))
    }
}

impl MoveColumn {
    pub(crate) fn intent(self) -> Intent {
        let Self { column_id, index } = self;
        Intent::Board(Command::MoveColumn(column_id, board::MoveColumn { index }))
    }
}

impl RemoveColumn {
    pub(crate) fn intent(self) -> Intent {
        let Self { column_id, items_to } = self;
        Intent::Board(Command::RemoveColumn(column_id, board::RemoveColumn { items_to }))
    }
}

impl RemoveField {
    pub(crate) fn intent(self) -> Intent {
        Intent::Board(Command::RemoveField(self.name))
    }
}

impl RemoveAttachment {
    pub(crate) fn intent(self) -> Intent {
        Intent::Item(item::Command::RemoveAttachment(self.attachment_id))
    }
}
