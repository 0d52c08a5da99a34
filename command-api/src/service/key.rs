//! What an order is about: the kind of aggregate and its id; and the state of any aggregate.
//!
//! Invariant: the state kept under a key is of the key's kind.

use domain::board::Board;
use domain::comment::Comment;
use domain::item::Item;
use domain::project::Project;
use domain::workspace::Workspace;
use domain::{Aggregate, BoardId, CommentId, DomainEvent, ItemId, Life, ProjectId, Scope, WorkspaceId};
use eventstore::StreamId;
use std::sync::Arc;
use uuid::Uuid;

/// The kinds of aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A workspace.
    Workspace,
    /// A project.
    Project,
    /// A board.
    Board,
    /// An item.
    Item,
    /// A comment.
    Comment,
}

/// Names one aggregate without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: Uuid,
}

impl Key {
    pub(crate) const fn new(kind: Kind, id: Uuid) -> Self {
        Self { kind, id }
    }

    /// The stream that holds its history.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a category, a hyphen and a UUID always are a stream id")]
    pub fn stream(&self) -> StreamId {
        let text = match self.kind {
            Kind::Workspace => WorkspaceId::new(self.id).stream_id(),
            Kind::Project => ProjectId::new(self.id).stream_id(),
            Kind::Board => BoardId::new(self.id).stream_id(),
            Kind::Item => ItemId::new(self.id).stream_id(),
            Kind::Comment => CommentId::new(self.id).stream_id(),
        };
        StreamId::new(text).expect("a category and a UUID are a stream id")
    }

    /// The key of a stream that holds one of the domain's aggregates.
    pub(crate) fn of_stream(stream: &StreamId) -> Option<Self> {
        let text = stream.as_str();
        let (kind, id) = match stream.category() {
            "workspace" => (Kind::Workspace, WorkspaceId::from_stream_id(text).ok()?.uuid()),
            "project" => (Kind::Project, ProjectId::from_stream_id(text).ok()?.uuid()),
            "board" => (Kind::Board, BoardId::from_stream_id(text).ok()?.uuid()),
            "item" => (Kind::Item, ItemId::from_stream_id(text).ok()?.uuid()),
            "comment" => (Kind::Comment, CommentId::from_stream_id(text).ok()?.uuid()),
            _ => return None,
        };
        Some(Self { kind, id })
    }
}

/// The state of an aggregate of any kind. Shared until somebody changes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Workspace(Arc<Workspace>),
    Project(Arc<Project>),
    Board(Arc<Board>),
    Item(Arc<Item>),
    Comment(Arc<Comment>),
}

impl State {
    /// The state of what does not exist yet.
    pub(crate) fn absent(kind: Kind) -> Self {
        match kind {
            Kind::Workspace => Self::Workspace(Arc::default()),
            Kind::Project => Self::Project(Arc::default()),
            Kind::Board => Self::Board(Arc::default()),
            Kind::Item => Self::Item(Arc::default()),
            Kind::Comment => Self::Comment(Arc::default()),
        }
    }

    pub(crate) fn life(&self) -> Life {
        match self {
            Self::Workspace(state) => state.life(),
            Self::Project(state) => state.life(),
            Self::Board(state) => state.life(),
            Self::Item(state) => state.life(),
            Self::Comment(state) => state.life(),
        }
    }

    /// Where it belongs, once it exists; also after its end.
    pub(crate) fn scope(&self, id: Uuid) -> Option<Scope> {
        match self {
            Self::Workspace(state) => state.scope(WorkspaceId::new(id)),
            Self::Project(state) => state.scope(ProjectId::new(id)),
            Self::Board(state) => state.scope(BoardId::new(id)),
            Self::Item(state) => state.scope(ItemId::new(id)),
            Self::Comment(state) => state.scope(CommentId::new(id)),
        }
    }

    /// Takes in an event of the aggregate's own history; false where it is of another kind.
    pub(crate) fn fold(&mut self, event: &DomainEvent) -> bool {
        match (self, event) {
            (Self::Workspace(state), DomainEvent::Workspace(event)) => Arc::make_mut(state).apply(event),
            (Self::Project(state), DomainEvent::Project(event)) => Arc::make_mut(state).apply(event),
            (Self::Board(state), DomainEvent::Board(event)) => Arc::make_mut(state).apply(event),
            (Self::Item(state), DomainEvent::Item(event)) => Arc::make_mut(state).apply(event),
            (Self::Comment(state), DomainEvent::Comment(event)) => Arc::make_mut(state).apply(event),
            _ => return false,
        }
        true
    }
}

/// An aggregate that a [`State`] can hold.
pub(crate) trait Held: Aggregate + Clone {
    fn of(state: &State) -> Option<&Self>;
    /// To be changed: a copy is made where others hold the same state.
    fn of_mut(state: &mut State) -> Option<&mut Self>;
}

macro_rules! held {
    ($($name:ident),+) => {$(
        impl Held for $name {
            fn of(state: &State) -> Option<&Self> {
                match state {
                    State::$name(state) => Some(state),
                    _ => None,
                }
            }

            fn of_mut(state: &mut State) -> Option<&mut Self> {
                match state {
                    State::$name(state) => Some(Arc::make_mut(state)),
                    _ => None,
                }
            }
        }
    )+};
}

held!(Workspace, Project, Board, Item, Comment);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_gives_its_key_back() {
        for kind in [Kind::Workspace, Kind::Project, Kind::Board, Kind::Item, Kind::Comment] {
            let key = Key::new(kind, Uuid::from_u128(7));
            assert_eq!(Key::of_stream(&key.stream()), Some(key));
        }
        assert_eq!(Key::of_stream(&StreamId::new("sys-control").unwrap()), None);
    }
}
