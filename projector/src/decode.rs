//! A commit's events, decoded once for all projections.
//!
//! Invariant: decoding never fails as a whole. What this build does not know is [`Happening::Unknown`]; what claims to
//! be known and is not readable is [`Happening::Unreadable`]; both keep their place, so that no position is skipped.

use domain::brief;
use domain::codec::Decoded;
use domain::{BoardId, CommentId, DomainEvent, Extras, ItemId, ProjectId, WorkspaceId};
use eventstore::{EventView, Lineage, Position, RecordedCommit, Timestamp};

/// A commit with its events decoded. Borrows from the log.
#[derive(Debug)]
pub struct DecodedCommit<'a> {
    /// Position of the first event; of a commit without events, the next position.
    pub first: Position,
    /// Where the log is after it.
    pub lineage: Lineage,
    /// Its events, in order.
    pub events: Vec<DecodedEvent<'a>>,
}

/// An event, decoded.
#[derive(Debug)]
pub struct DecodedEvent<'a> {
    /// As the log has it.
    pub view: EventView<'a>,
    /// What it happened to, by the name of its stream.
    pub subject: Subject,
    /// What happened, without the long texts: see [`brief`](domain::brief).
    pub happening: Happening,
    /// Who did it, as far as its metadata says.
    pub extras: Option<Extras<'a>>,
}

/// What an event happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A workspace.
    Workspace(WorkspaceId),
    /// A project.
    Project(ProjectId),
    /// A board.
    Board(BoardId),
    /// An item.
    Item(ItemId),
    /// A comment.
    Comment(CommentId),
    /// Something outside the domain.
    Other,
}

/// What happened.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every event is known; a box for each would cost more than it saves"
)]
pub enum Happening {
    /// An event of the domain.
    Known(DomainEvent),
    /// Of another making: a raw stream's, the system's, or a newer build's.
    Unknown,
    /// Its payload is not what its type says.
    Unreadable,
}

impl<'a> DecodedCommit<'a> {
    /// Decodes a commit.
    #[must_use]
    pub fn decode(commit: &'a RecordedCommit) -> Self {
        let mut events = Vec::with_capacity(commit.len());
        events.extend(commit.events().map(DecodedEvent::decode));
        Self { first: commit.first(), lineage: commit.lineage(), events }
    }
}

impl<'a> DecodedEvent<'a> {
    pub(crate) fn decode(view: EventView<'a>) -> Self {
        let subject = Subject::of_stream(view.stream());
        let happening = match brief::decode(view.event_type(), view.schema_version(), view.payload()) {
            Ok(Decoded::Known(event)) => Happening::Known(event),
            Ok(Decoded::Unknown) => Happening::Unknown,
            Err(error) => {
                tracing::warn!(position = view.position().get(), %error, "an event cannot be read and is passed over");
                Happening::Unreadable
            }
        };
        let extras = view.metadata().extras();
        let extras = if extras.is_empty() { None } else { Extras::decode(extras).ok() };
        Self { view, subject, happening, extras }
    }

    /// Why its payload is not what its type says; nothing when it is, or when nobody knows the type.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        match self.happening {
            Happening::Known(_) | Happening::Unknown => None,
            // Seldom enough to be read once more for the reason.
            Happening::Unreadable => {
                let view = &self.view;
                let decoded = brief::decode(view.event_type(), view.schema_version(), view.payload());
                Some(
                    decoded
                        .err()
                        .map_or_else(|| "its payload cannot be read".to_owned(), |error| error.to_string()),
                )
            }
        }
    }

    /// The business time: when it happened, or else when it was recorded.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.view.metadata().occurred_at().unwrap_or_else(|| self.view.recorded_at())
    }
}

impl Subject {
    /// What the events of a stream happen to.
    #[must_use]
    pub fn of_stream(stream: &str) -> Self {
        let Some((category, _)) = stream.split_once('-') else { return Self::Other };
        let subject = match category {
            ItemId::CATEGORY => ItemId::from_stream_id(stream).map(Self::Item),
            CommentId::CATEGORY => CommentId::from_stream_id(stream).map(Self::Comment),
            BoardId::CATEGORY => BoardId::from_stream_id(stream).map(Self::Board),
            ProjectId::CATEGORY => ProjectId::from_stream_id(stream).map(Self::Project),
            WorkspaceId::CATEGORY => WorkspaceId::from_stream_id(stream).map(Self::Workspace),
            _ => return Self::Other,
        };
        subject.unwrap_or(Self::Other)
    }
}
