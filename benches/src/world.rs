//! What the log holds: boards with items, or plain events of 256 bytes.

use domain::{
    BoardId, ColumnId, DomainEvent, Extras, ItemId, ProjectId, Rank, Scope, WorkspaceId, board, codec, item,
    project, tags, workspace,
};
use eventstore::{CommitBuilder, ContentType, EventType, Metadata, NewEvent, Store, StreamId, Tag};
use std::collections::BTreeMap;
use std::path::Path;
use uuid::Uuid;

/// Items on one board.
const BOARD_ITEMS: usize = 200;
const COLUMNS: [&str; 4] = ["Open", "Doing", "Review", "Done"];
/// Events of a plain stream.
pub const STREAM_EVENTS: usize = 100;
/// Bytes of a plain event's payload.
pub const PAYLOAD_BYTES: usize = 256;

/// The ids of what is asked for.
pub struct World {
    pub board: BoardId,
    pub plain: ItemId,
    pub described: ItemId,
}

pub fn event(stream: &str, event: &DomainEvent, scope: &Scope) -> NewEvent {
    let encoded = codec::encode(event);
    NewEvent {
        id: Uuid::now_v7(),
        stream: StreamId::new(stream).unwrap(),
        event_type: EventType::new(encoded.event_type).unwrap(),
        content_type: ContentType::Json,
        schema_version: encoded.schema_version,
        tags: tags::tags(event, scope).iter().map(|tag| Tag::new(tag).unwrap()).collect(),
        metadata: Metadata { extras: Extras::new("bench", None, None).encode(), ..Metadata::default() },
        payload: encoded.payload,
    }
}

pub fn append(store: &Store, events: Vec<NewEvent>) {
    let mut commit = CommitBuilder::new();
    events.into_iter().for_each(|event| {
        commit.event(event);
    });
    store.append(commit.prepare().unwrap()).unwrap();
}

/// An item by its number, and where it belongs.
pub fn scope_of(number: usize) -> (ItemId, Scope) {
    let workspace = WorkspaceId::derive("bench");
    let id = ItemId::derive(workspace, &format!("K-{number}"));
    (id, Scope { workspace, board: Some(board_of(number)), item: Some(id) })
}

/// The board of an item, by its number.
pub fn board_of(number: usize) -> BoardId {
    let project = ProjectId::derive(WorkspaceId::derive("bench"), "Engine");
    BoardId::derive(project, &format!("board {}", number - number % BOARD_ITEMS))
}

/// A column of an item's board; items begin in the one of their own number.
pub fn column_of(number: usize, column: usize) -> ColumnId {
    ColumnId::derive(board_of(number), COLUMNS[column % COLUMNS.len()])
}

/// Fills a log with items: titles of forty characters, one assignee of fifty, two fields, and every tenth with a
/// description of 2 KiB.
pub fn items(store: &Store, count: usize) -> World {
    titled(store, count, |number| format!("The candle number {number:012} burns"))
}

/// As [`items`], with other titles.
pub fn titled(store: &Store, count: usize, mut title: impl FnMut(usize) -> String) -> World {
    let workspace = WorkspaceId::derive("bench");
    let project = ProjectId::derive(workspace, "Engine");
    let scope = Scope { workspace, board: None, item: None };
    let made = workspace::Event::from(workspace::Created { name: "Bench".to_owned() });
    append(store, vec![event(&workspace.stream_id(), &made.into(), &scope)]);
    let made = project::Event::from(project::Created {
        workspace_id: workspace,
        name: "Engine".to_owned(),
        description: None,
    });
    append(store, vec![event(&project.stream_id(), &made.into(), &scope)]);
    let description = "What has to be done here is written down at some length. ".repeat(36);
    let mut world = None;
    for at in (0..count).step_by(BOARD_ITEMS) {
        let board = BoardId::derive(project, &format!("board {at}"));
        let columns = COLUMNS.map(|name| ColumnId::derive(board, name));
        let scope = Scope { workspace, board: Some(board), item: None };
        let made = board::Event::from(board::Created {
            workspace_id: workspace,
            project_id: project,
            name: format!("Board {at}"),
            description: None,
            columns: COLUMNS
                .iter()
                .zip(columns)
                .map(|(name, column_id)| board::CreatedColumn {
                    column_id,
                    name: (*name).into(),
                    wip_limit: None,
                })
                .collect(),
        });
        append(store, vec![event(&board.stream_id(), &made.into(), &scope)]);
        let mut events = Vec::new();
        for number in at..(at + BOARD_ITEMS).min(count) {
            let id = ItemId::derive(workspace, &format!("K-{number}"));
            let is_described = number % 10 == 0;
            let fields = BTreeMap::from([
                ("priority".to_owned(), ["high", "low"][number % 2].into()),
                ("estimate".to_owned(), (number % 13).into()),
            ]);
            let made = item::Event::from(item::Created {
                workspace_id: workspace,
                project_id: project,
                board_id: board,
                column_id: columns[number % 4],
                due_date: None,
                rank: Rank::new(format!("i{number:08}i")).unwrap(),
                title: title(number),
                description: is_described.then(|| description.clone()),
                external_key: Some(format!("K-{number}")),
                assignees: vec![format!("person-{}", number % 50)],
                fields,
            });
            let scope = Scope { item: Some(id), ..scope };
            events.push(event(&id.stream_id(), &made.into(), &scope));
            match &mut world {
                None => world = Some(World { board, plain: id, described: id }),
                Some(world) if number == 1 => world.plain = id,
                Some(_) => {}
            }
        }
        append(store, events);
    }
    world.unwrap()
}

/// Fills a log with plain events: a hundred to a stream, each stream in one commit.
pub fn plain(data_dir: &Path, count: usize) {
    let store = Store::open(data_dir, &Default::default()).unwrap();
    let frame = r#"{"total":12,"note":""}"#.len();
    let payload = format!(r#"{{"total":12,"note":"{}"}}"#, "x".repeat(PAYLOAD_BYTES - frame));
    assert_eq!(payload.len(), PAYLOAD_BYTES);
    for stream in 0..count / STREAM_EVENTS {
        let mut commit = CommitBuilder::new();
        for _ in 0..STREAM_EVENTS {
            commit.event(NewEvent {
                id: Uuid::now_v7(),
                stream: StreamId::new(format!("order-{stream}")).unwrap(),
                event_type: EventType::new("order.placed").unwrap(),
                content_type: ContentType::Json,
                schema_version: 1,
                tags: Vec::new(),
                metadata: Metadata::default(),
                payload: payload.clone().into_bytes(),
            });
        }
        store.append(commit.prepare().unwrap()).unwrap();
    }
    store.close();
}
