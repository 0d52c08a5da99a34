//! The names of things: one newtype over a UUID per kind of thing, and how names follow from names.
//!
//! Invariant: an imported thing's id is derived (UUIDv5) from its parent's id and its foreign key, so
//! that an import needs no look-up and an external key is unique by construction.
//!
//! Whether a thing with an id exists is not known here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The root of every derived id. Changing it would give every imported thing another name.
pub const SUNDAY_NAMESPACE: Uuid = Uuid::from_u128(0x5d0b_3f4c_8a55_5e1e_9c27_c1f0_50da_7001);

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The UUID part is not a UUID in its hyphenated form.
    #[error("{what} is not a UUID")]
    NotUuid {
        /// Which id was expected.
        what: &'static str,
    },
    /// The stream belongs to another category.
    #[error("the stream is not of the category {category}")]
    OtherCategory {
        /// The category that was expected.
        category: &'static str,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hyphenated(text).map(Self).ok_or(IdError::NotUuid { what: $what })
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

macro_rules! stream_id {
    ($name:ident, $category:literal) => {
        impl $name {
            /// The category of the streams of these things.
            pub const CATEGORY: &'static str = $category;

            /// The stream that holds this thing's history.
            #[must_use]
            pub fn stream_id(self) -> String {
                let mut buffer = Uuid::encode_buffer();
                let uuid = self.0.hyphenated().encode_lower(&mut buffer);
                let mut text = String::with_capacity($category.len() + 1 + uuid.len());
                text.push_str(concat!($category, "-"));
                text.push_str(uuid);
                text
            }

            /// Reads the id out of a stream's name.
            ///
            /// # Errors
            /// When the stream is of another category, or what follows is not a lower-case hyphenated UUID.
            pub fn from_stream_id(stream: &str) -> Result<Self, IdError> {
                let uuid = stream
                    .strip_prefix(concat!($category, "-"))
                    .ok_or(IdError::OtherCategory { category: $category })?;
                // A second spelling of the same stream would be a second history of the same thing.
                if uuid.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(IdError::NotUuid { what: $category });
                }
                uuid.parse()
            }
        }
    };
}

id! {
    /// Names a workspace, which is also the tenant.
    WorkspaceId, "workspace id"
}
id! {
    /// Names a project.
    ProjectId, "project id"
}
id! {
    /// Names a board.
    BoardId, "board id"
}
id! {
    /// Names a column of a board.
    ColumnId, "column id"
}
id! {
    /// Names an item.
    ItemId, "item id"
}
id! {
    /// Names a comment.
    CommentId, "comment id"
}
id! {
    /// Names an attachment of an item.
    AttachmentId, "attachment id"
}

stream_id!(WorkspaceId, "workspace");
stream_id!(ProjectId, "project");
stream_id!(BoardId, "board");
stream_id!(ItemId, "item");
stream_id!(CommentId, "comment");

impl WorkspaceId {
    /// The workspace of this name in an imported history.
    #[must_use]
    pub fn derive(name: &str) -> Self {
        Self(derive(SUNDAY_NAMESPACE, "workspace:", name))
    }
}

impl ProjectId {
    /// The project of this name in an imported workspace.
    #[must_use]
    pub fn derive(workspace: WorkspaceId, name: &str) -> Self {
        Self(derive(workspace.0, "project:", name))
    }
}

impl BoardId {
    /// The board of this name in an imported project.
    #[must_use]
    pub fn derive(project: ProjectId, name: &str) -> Self {
        Self(derive(project.0, "board:", name))
    }
}

impl ColumnId {
    /// The column of this name on an imported board.
    #[must_use]
    pub fn derive(board: BoardId, name: &str) -> Self {
        Self(derive(board.0, "column:", name))
    }
}

impl ItemId {
    /// The item with this external key in a workspace.
    #[must_use]
    pub fn derive(workspace: WorkspaceId, external_key: &str) -> Self {
        Self(derive(workspace.0, "item:", external_key))
    }
}

impl CommentId {
    /// The comment with this external key on an item.
    #[must_use]
    pub fn derive(item: ItemId, external_key: &str) -> Self {
        Self(derive(item.0, "comment:", external_key))
    }
}

fn derive(parent: Uuid, kind: &str, name: &str) -> Uuid {
    let mut text = String::with_capacity(kind.len() + name.len());
    text.push_str(kind);
    text.push_str(name);
    Uuid::new_v5(&parent, text.as_bytes())
}

/// Only the hyphenated form: one thing has one spelling in URLs and bodies (its case apart).
fn parse_hyphenated(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_what_they_were() {
        let workspace = WorkspaceId::derive("tidev");
        let project = ProjectId::derive(workspace, "TIMOB");
        let board = BoardId::derive(project, "Titanium SDK/CLI");
        let item = ItemId::derive(workspace, "tidev/TIMOB-13");
        // By RFC 9562 §5.5, and computed independently with Python's uuid.uuid5.
        assert_eq!(workspace.to_string(), "9f168d88-3c9b-5e5c-bced-df6376cc4ea0");
        assert_eq!(project.to_string(), "62a7d2e5-3c74-5364-9859-ee404b494827");
        assert_eq!(board.to_string(), "f7fdaab0-9f1c-5a7c-b681-93796155844a");
        assert_eq!(ColumnId::derive(board, "Open").to_string(), "5c97155d-a34e-571d-8507-585f8589a626");
        assert_eq!(item.to_string(), "6d834a0e-32bb-5fa4-9808-3f150e9f72bd");
        assert_eq!(CommentId::derive(item, "122640").to_string(), "c82367cd-f2dc-53ed-afa3-52d37622ab60");
    }

    #[test]
    fn names_that_differ_only_in_case_are_different_things() {
        assert_ne!(WorkspaceId::derive("Acme"), WorkspaceId::derive("acme"));
    }

    #[test]
    fn a_stream_id_gives_the_id_back() {
        let id = ItemId::derive(WorkspaceId::derive("w"), "k");
        assert_eq!(ItemId::from_stream_id(&id.stream_id()), Ok(id));
        assert_eq!(
            CommentId::from_stream_id(&id.stream_id()),
            Err(IdError::OtherCategory { category: "comment" })
        );
        assert!(ItemId::from_stream_id(&id.stream_id().to_uppercase()).is_err());
        assert!(ItemId::from_stream_id("item-7").is_err());
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id = WorkspaceId::derive("w");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.uuid().simple().to_string().parse::<WorkspaceId>().is_err());
        assert!("".parse::<WorkspaceId>().is_err());
    }
}
