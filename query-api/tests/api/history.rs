//! A small history, appended event by event through the store: what the tests ask questions about.

use domain::{
    BoardId, ColumnId, CommentId, DomainEvent, Extras, ItemId, ProjectId, Rank, Scope, WorkspaceId, board,
    codec, comment, item, project, tags, workspace,
};
use eventstore::{
    CommitBuilder, ContentType, EventType, Metadata, NewEvent, Receipt, Store, StreamId, Tag, Timestamp,
};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Appends, from inside a test's runtime.
fn record(store: &Store, commit: CommitBuilder) -> Receipt {
    tokio::task::block_in_place(|| store.append(commit.prepare().unwrap()).unwrap())
}

/// Who does it, and when it happened.
#[derive(Clone, Copy)]
pub(crate) struct Deed<'a> {
    pub(crate) actor: &'a str,
    pub(crate) on_behalf_of: Option<&'a str>,
    pub(crate) occurred_at: Option<i64>,
}

pub(crate) const NOW: Deed<'static> = Deed { actor: "ada", on_behalf_of: None, occurred_at: None };

/// Appends the events to one stream as one commit.
pub(crate) fn append(
    store: &Store,
    stream: &str,
    scope: &Scope,
    deed: Deed<'_>,
    events: Vec<DomainEvent>,
) -> Receipt {
    let mut commit = CommitBuilder::new();
    for event in events {
        let encoded = codec::encode(&event);
        commit.event(NewEvent {
            id: Uuid::now_v7(),
            stream: StreamId::new(stream).unwrap(),
            event_type: EventType::new(encoded.event_type).unwrap(),
            content_type: ContentType::Json,
            schema_version: encoded.schema_version,
            tags: tags::tags(&event, scope).iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            metadata: Metadata {
                occurred_at: deed.occurred_at.map(Timestamp::new),
                extras: Extras::new(deed.actor, deed.on_behalf_of, Some("test")).encode(),
                ..Metadata::default()
            },
            payload: encoded.payload,
        });
    }
    record(store, commit)
}

/// Appends bytes that are not the domain's.
pub(crate) fn append_raw(
    store: &Store,
    stream: &str,
    content_type: ContentType,
    extras: &[u8],
    payload: &[u8],
) -> Receipt {
    let mut commit = CommitBuilder::new();
    commit.event(NewEvent {
        id: Uuid::now_v7(),
        stream: StreamId::new(stream).unwrap(),
        event_type: EventType::new("raw.happened").unwrap(),
        content_type,
        schema_version: 7,
        tags: vec![Tag::new("raw:1").unwrap()],
        metadata: Metadata { extras: extras.to_vec(), ..Metadata::default() },
        payload: payload.to_vec(),
    });
    record(store, commit)
}

/// Appends a commit of many small events that carry no tags.
pub(crate) fn append_many(store: &Store, stream: &str, count: usize) -> Receipt {
    let mut commit = CommitBuilder::new();
    for _ in 0..count {
        commit.event(NewEvent {
            id: Uuid::now_v7(),
            stream: StreamId::new(stream).unwrap(),
            event_type: EventType::new("many.happened").unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: b"{}".to_vec(),
        });
    }
    record(store, commit)
}

/// The ids of a small world: one workspace, one project, one board of two columns.
pub(crate) struct World {
    pub(crate) workspace: WorkspaceId,
    pub(crate) project: ProjectId,
    pub(crate) board: BoardId,
    pub(crate) open: ColumnId,
    pub(crate) done: ColumnId,
}

impl World {
    pub(crate) fn scope(&self, item: Option<ItemId>) -> Scope {
        Scope { workspace: self.workspace, board: Some(self.board), item }
    }

    /// Creates the workspace, the project and the board.
    pub(crate) fn create(store: &Store, name: &str) -> Self {
        let workspace = WorkspaceId::derive(name);
        let project = ProjectId::derive(workspace, "Engine");
        let board = BoardId::derive(project, "Main board");
        let (open, done) = (ColumnId::derive(board, "Open"), ColumnId::derive(board, "Done"));
        let world = Self { workspace, project, board, open, done };
        let scope = Scope { workspace, board: None, item: None };
        let event = workspace::Event::from(workspace::Created { name: name.to_owned() });
        append(store, &workspace.stream_id(), &scope, NOW, vec![event.into()]);
        let event = project::Event::from(project::Created {
            workspace_id: workspace,
            name: "Engine".to_owned(),
            description: Some("what makes it go".to_owned()),
        });
        append(store, &project.stream_id(), &scope, NOW, vec![event.into()]);
        let column = |column_id, name: &str, wip_limit| board::CreatedColumn {
            column_id,
            name: name.into(),
            wip_limit,
        };
        let event = board::Event::from(board::Created {
            workspace_id: workspace,
            project_id: project,
            name: "Main board".to_owned(),
            description: None,
            columns: vec![column(open, "Open", None), column(done, "Done", Some(9))],
        });
        append(store, &board.stream_id(), &world.scope(None), NOW, vec![event.into()]);
        world
    }

    pub(crate) fn item_id(&self, key: &str) -> ItemId {
        ItemId::derive(self.workspace, key)
    }

    /// Creates an item in the open column.
    pub(crate) fn item(&self, store: &Store, key: &str, rank: &str, title: &str, deed: Deed<'_>) -> ItemId {
        self.item_with(store, key, rank, title, None, &[], BTreeMap::new(), deed)
    }

    #[expect(clippy::too_many_arguments, reason = "an item has that much to say")]
    pub(crate) fn item_with(
        &self,
        store: &Store,
        key: &str,
        rank: &str,
        title: &str,
        description: Option<&str>,
        assignees: &[&str],
        fields: BTreeMap<String, Value>,
        deed: Deed<'_>,
    ) -> ItemId {
        let id = self.item_id(key);
        let created = item::Created {
            workspace_id: self.workspace,
            project_id: self.project,
            board_id: self.board,
            column_id: self.open,
            due_date: None,
            rank: Rank::new(rank).unwrap(),
            title: title.to_owned(),
            description: description.map(str::to_owned),
            external_key: Some(key.to_owned()),
            assignees: assignees.iter().map(|&name| name.to_owned()).collect(),
            fields,
        };
        self.happens(store, id, item::Event::from(created), deed);
        id
    }

    /// Appends an event of an item.
    pub(crate) fn happens(&self, store: &Store, id: ItemId, event: item::Event, deed: Deed<'_>) -> Receipt {
        append(store, &id.stream_id(), &self.scope(Some(id)), deed, vec![event.into()])
    }

    /// Moves an item from the open to the done column.
    pub(crate) fn move_to_done(&self, store: &Store, id: ItemId, from: &str, to: &str) -> Receipt {
        let moved = item::Moved {
            from_column: self.open,
            to_column: self.done,
            from_rank: Rank::new(from).unwrap(),
            to_rank: Rank::new(to).unwrap(),
        };
        self.happens(store, id, item::Event::from(moved), NOW)
    }

    /// Adds a comment to an item.
    pub(crate) fn comment(
        &self,
        store: &Store,
        item: ItemId,
        key: &str,
        body: &str,
        deed: Deed<'_>,
    ) -> CommentId {
        let id = CommentId::derive(item, key);
        let added = comment::Event::from(comment::Added {
            workspace_id: self.workspace,
            board_id: self.board,
            item_id: item,
            external_key: Some(key.to_owned()),
            author: None,
            body: body.to_owned(),
        });
        append(store, &id.stream_id(), &self.scope(Some(item)), deed, vec![added.into()]);
        id
    }

    /// Appends an event of a comment.
    pub(crate) fn comment_happens(
        &self,
        store: &Store,
        item: ItemId,
        id: CommentId,
        event: comment::Event,
    ) -> Receipt {
        append(store, &id.stream_id(), &self.scope(Some(item)), NOW, vec![event.into()])
    }
}
