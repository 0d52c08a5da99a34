//! Any event of the domain, and the table that binds each event's type, version and Rust type.
//!
//! Invariant: a type's name and its payload's shape at a version never change; a new shape is a new
//! version with an upcaster (see `codec`).

use crate::{board, comment, item, project, workspace};

/// Bytes that most payloads stay below.
pub(crate) const PAYLOAD_BYTES_USUAL: usize = 512;

/// Declares an aggregate's `Event`: one variant per event type, each wrapping the payload of its name.
macro_rules! events {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal v $version:literal, )+) => {
        /// What can happen to this aggregate.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $( $(#[$doc])* $variant($variant), )+
        }

        impl Event {
            /// Every event type of this aggregate with its current schema version.
            pub const TYPES: &'static [(&'static str, u16)] = &[$(($name, $version)),+];

            /// The type's name: past tense, dotted.
            #[must_use]
            pub fn event_type(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )+ }
            }

            /// The current version of the payload's shape.
            #[must_use]
            pub fn schema_version(&self) -> u16 {
                match self { $( Self::$variant(_) => $version, )+ }
            }

            /// The current version of a type's payloads; `None` where the type is not this aggregate's.
            pub(crate) fn version_of(event_type: &str) -> Option<u16> {
                match event_type {
                    $( $name => Some($version), )+
                    _ => None,
                }
            }

            /// The payload as JSON.
            pub(crate) fn payload(&self) -> serde_json::Result<Vec<u8>> {
                // Serde's own buffer would grow twice under most payloads.
                let mut payload = Vec::with_capacity($crate::event::PAYLOAD_BYTES_USUAL);
                match self { $( Self::$variant(event) => serde_json::to_writer(&mut payload, event), )+ }?;
                Ok(payload)
            }

            /// The schema of a type's payload; `None` where the type is not this aggregate's.
            pub(crate) fn schema(
                event_type: &str,
                generator: schemars::SchemaGenerator,
            ) -> Option<schemars::Schema> {
                match event_type {
                    $( $name => Some(generator.into_root_schema_for::<$variant>()), )+
                    _ => None,
                }
            }

            /// Reads a payload of the current version; `None` where the type is not this aggregate's.
            pub(crate) fn parse(event_type: &str, payload: &[u8]) -> Option<serde_json::Result<Self>> {
                match event_type {
                    $( $name => Some(serde_json::from_slice(payload).map(Self::$variant)), )+
                    _ => None,
                }
            }
        }

        $(
            impl From<$variant> for Event {
                fn from(event: $variant) -> Self {
                    Self::$variant(event)
                }
            }
        )+
    };
}
pub(crate) use events;

/// Any event of the domain.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DomainEvent {
    /// Of a workspace.
    Workspace(workspace::Event),
    /// Of a project.
    Project(project::Event),
    /// Of a board.
    Board(board::Event),
    /// Of an item.
    Item(item::Event),
    /// Of a comment.
    Comment(comment::Event),
}

macro_rules! conversions {
    ($($variant:ident($event:ty)),+) => {
        $(
            impl From<$event> for DomainEvent {
                fn from(event: $event) -> Self {
                    Self::$variant(event)
                }
            }

            impl TryFrom<DomainEvent> for $event {
                /// The event itself, which is of another aggregate.
                type Error = DomainEvent;

                fn try_from(event: DomainEvent) -> Result<Self, Self::Error> {
                    match event {
                        DomainEvent::$variant(event) => Ok(event),
                        other => Err(other),
                    }
                }
            }
        )+

        impl DomainEvent {
            /// Every event type of the domain with its current schema version.
            pub fn types() -> impl Iterator<Item = (&'static str, u16)> {
                [$(<$event>::TYPES),+].into_iter().flatten().copied()
            }

            /// The current version of a type's payloads; `None` where the type is not the domain's.
            pub(crate) fn version_of(event_type: &str) -> Option<u16> {
                None $( .or_else(|| <$event>::version_of(event_type)) )+
            }

            /// The type's name: past tense, dotted.
            #[must_use]
            pub fn event_type(&self) -> &'static str {
                match self { $( Self::$variant(event) => event.event_type(), )+ }
            }

            /// The current version of the payload's shape.
            #[must_use]
            pub fn schema_version(&self) -> u16 {
                match self { $( Self::$variant(event) => event.schema_version(), )+ }
            }

            /// The payload as JSON.
            pub(crate) fn payload(&self) -> serde_json::Result<Vec<u8>> {
                match self { $( Self::$variant(event) => event.payload(), )+ }
            }

            /// The schema of a type's payload; `None` where the type is not the domain's.
            pub(crate) fn schema(
                event_type: &str,
                generator: schemars::SchemaGenerator,
            ) -> Option<schemars::Schema> {
                // One of them knows the type.
                None $( .or_else(|| <$event>::schema(event_type, generator.clone())) )+
            }

            /// Reads a payload of the current version; `None` where the type is not the domain's.
            pub(crate) fn parse(event_type: &str, payload: &[u8]) -> Option<serde_json::Result<Self>> {
                None
                    $( .or_else(|| <$event>::parse(event_type, payload).map(|read| read.map(Self::$variant))) )+
            }
        }
    };
}

// Items first: most events are theirs.
conversions! {
    Item(item::Event), Comment(comment::Event), Board(board::Event), Project(project::Event),
    Workspace(workspace::Event)
}
