//! An event as its producer makes it, before the log gives it a position and a version.

use crate::names::{CommandId, EventType, StreamId, Tag};
use crate::numbers::Timestamp;
use uuid::Uuid;

/// How a payload is to be read; the log itself never reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ContentType {
    /// Bytes of the producer's own.
    Bytes = 0,
    /// UTF-8 JSON.
    Json = 1,
}

impl ContentType {
    /// From its byte on disk.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Bytes),
            1 => Some(Self::Json),
            _ => None,
        }
    }
}

/// A W3C trace context in its binary form: trace id (16), parent id (8), flags (1).
pub type TraceParent = [u8; 25];

/// What is known about an event besides itself. Absent fields take no room on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The conversation that the event belongs to.
    pub correlation_id: Option<Uuid>,
    /// What caused it: the id of an event or a request.
    pub causation_id: Option<Uuid>,
    /// The command that produced it.
    pub command_id: Option<CommandId>,
    /// The trace that it was produced in.
    pub traceparent: Option<TraceParent>,
    /// When it happened in the world, where that is not when it was recorded.
    pub occurred_at: Option<Timestamp>,
    /// Anything else, opaque to the log.
    pub extras: Vec<u8>,
}

/// An event to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// A UUIDv7 of the producer's; unique in the store.
    pub id: Uuid,
    /// The stream that it continues.
    pub stream: StreamId,
    /// What happened.
    pub event_type: EventType,
    /// How the payload is to be read.
    pub content_type: ContentType,
    /// Version of the payload's shape.
    pub schema_version: u16,
    /// What it can be found and guarded by.
    pub tags: Vec<Tag>,
    /// What is known besides.
    pub metadata: Metadata,
    /// The event itself, given out byte for byte as stored.
    pub payload: Vec<u8>,
}

impl NewEvent {
    /// The same, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> EventRef<'_> {
        EventRef {
            id: self.id,
            stream: &self.stream,
            event_type: &self.event_type,
            content_type: self.content_type,
            schema_version: self.schema_version,
            tags: &self.tags,
            metadata: &self.metadata,
            payload: &self.payload,
        }
    }
}

/// An event to be appended, of parts that its producer keeps: many events can share names and metadata, and the payload
/// can be a slice of what came over the network.
#[derive(Debug, Clone, Copy)]
pub struct EventRef<'a> {
    /// See [`NewEvent::id`].
    pub id: Uuid,
    /// See [`NewEvent::stream`].
    pub stream: &'a StreamId,
    /// See [`NewEvent::event_type`].
    pub event_type: &'a EventType,
    /// See [`NewEvent::content_type`].
    pub content_type: ContentType,
    /// See [`NewEvent::schema_version`].
    pub schema_version: u16,
    /// See [`NewEvent::tags`].
    pub tags: &'a [Tag],
    /// See [`NewEvent::metadata`].
    pub metadata: &'a Metadata,
    /// See [`NewEvent::payload`].
    pub payload: &'a [u8],
}
