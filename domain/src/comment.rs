//! A comment on an item.
//!
//! Invariant: the state keeps a digest of the body, never the body: the log has it.
//! Invariant: the author stands in the event, because who may edit it depends on that and a state knows payloads only.
//! Comments of older logs have none; those are their board's admins' to change.

use crate::{
    aggregate::{Aggregate, Context, Life},
    error::{DomainError, Thing},
    event::events,
    ids::{BoardId, CommentId, ItemId, WorkspaceId},
    item::ItemRef,
    limits::{EXTERNAL_KEY_CHARS_MAX, TEXT_BYTES_MAX},
    schema::SAYS_SOMETHING,
    tags::Scope,
    text::{TextDigest, check_chars, check_says_something, check_text},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Comments on an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewComment")]
pub struct Add {
    /// The id that the caller chose, for whoever names the stream; the decision does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommentId>,
    /// The comment's name elsewhere: at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = EXTERNAL_KEY_CHARS_MAX))]
    pub external_key: Option<String>,
    /// At most 4,000,000 bytes; empty only in imported histories.
    #[serde(default)]
    #[schemars(!default, length(min = 1, max = TEXT_BYTES_MAX), regex(pattern = SAYS_SOMETHING))]
    pub body: String,
}

/// Says it differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "EditComment")]
pub struct Edit {
    /// The new text; a history may only know that there was an edit, which then changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TEXT_BYTES_MAX), regex(pattern = SAYS_SOMETHING))]
    pub body: Option<String>,
}

/// What can be asked of a comment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// See [`Add`]; with proof that the item is there.
    Add(Add, ItemRef),
    /// See [`Edit`].
    Edit(Edit),
    /// Takes it away.
    Delete,
}

/// `comment.added`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Added {
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// The item's board.
    pub board_id: BoardId,
    /// The item it is about.
    pub item_id: ItemId,
    /// The comment's name elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = EXTERNAL_KEY_CHARS_MAX))]
    pub external_key: Option<String>,
    /// Who wrote it: `onBehalfOf ?? actor`. Older logs do not say it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The text.
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub body: String,
}

/// `comment.edited`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edited {
    /// The item it is about.
    pub item_id: ItemId,
    /// The new text.
    #[schemars(length(max = TEXT_BYTES_MAX))]
    pub body: String,
}

/// `comment.deleted`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    /// The item it was about.
    pub item_id: ItemId,
}

events! {
    /// It exists.
    Added = "comment.added" v 1,
    /// It says something else.
    Edited = "comment.edited" v 1,
    /// It is gone.
    Deleted = "comment.deleted" v 1,
}

/// Where a comment belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Home {
    workspace: WorkspaceId,
    board: BoardId,
    item: ItemId,
}

/// What decisions about a comment need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comment {
    life: Life,
    home: Option<Home>,
    author: Option<String>,
    body: Option<TextDigest>,
}

impl Comment {
    /// Where it stands.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// The item it is about, once it exists.
    #[must_use]
    pub fn item_id(&self) -> Option<ItemId> {
        self.home.map(|home| home.item)
    }

    /// Who wrote it, where the log says so.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.author.as_deref()
    }

    fn open_item(&self) -> Result<ItemId, DomainError> {
        self.life.check_open(Thing::Comment)?;
        self.item_id().ok_or(DomainError::NotFound { thing: Thing::Comment })
    }
}

impl Aggregate for Comment {
    const CATEGORY: &'static str = CommentId::CATEGORY;
    const STATE_VERSION: u32 = 1;
    type Id = CommentId;
    type Command = Command;
    type Event = Event;

    fn decide(&self, context: &Context, command: Command) -> Result<Vec<Event>, DomainError> {
        match command {
            Command::Add(Add { external_key, body, .. }, item) => {
                self.life.check_absent(Thing::Comment)?;
                check_body(context, &body)?;
                if let Some(key) = &external_key {
                    check_chars("externalKey", key, EXTERNAL_KEY_CHARS_MAX)?;
                }
                let added = Added {
                    workspace_id: item.workspace_id(),
                    board_id: item.board_id(),
                    item_id: item.item_id(),
                    external_key,
                    author: Some(context.person().to_owned()),
                    body,
                };
                Ok(vec![added.into()])
            }
            Command::Edit(Edit { body }) => {
                let item_id = self.open_item()?;
                let Some(body) = body else { return Ok(vec![]) };
                check_body(context, &body)?;
                if self.body.is_some_and(|digest| digest.matches(&body)) {
                    return Ok(vec![]);
                }
                Ok(vec![Edited { item_id, body }.into()])
            }
            Command::Delete => Ok(vec![Deleted { item_id: self.open_item()? }.into()]),
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Added(event) => {
                self.life = Life::Present;
                self.home =
                    Some(Home { workspace: event.workspace_id, board: event.board_id, item: event.item_id });
                self.author.clone_from(&event.author);
                self.body = Some(TextDigest::of(&event.body));
            }
            Event::Edited(event) => self.body = Some(TextDigest::of(&event.body)),
            Event::Deleted(_) => {
                self.life = Life::Deleted;
                self.body = None;
            }
        }
    }

    fn scope(&self, _id: CommentId) -> Option<Scope> {
        self.home.map(|home| Scope {
            workspace: home.workspace,
            board: Some(home.board),
            item: Some(home.item),
        })
    }
}

fn check_body(context: &Context, body: &str) -> Result<(), DomainError> {
    if !context.imported {
        check_says_something("body", body)?;
    }
    check_text("body", body)
}
