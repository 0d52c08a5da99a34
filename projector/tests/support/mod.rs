//! A store to append events to, and random histories.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::needless_pass_by_value, reason = "payloads are written where they are used")]

use domain::{BoardId, ColumnId, CommentId, Extras, ItemId, ProjectId, WorkspaceId};
use eventstore::{
    Command, CommandId, CommitBuilder, ContentType, EventType, Fingerprint, Log, Metadata, NewEvent, Outcome,
    Position, Store, StoreOptions, StreamId, Tag, Timestamp,
};
use projector::decode::DecodedCommit;
use projector::{Models, Projector, SharedModels};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const SECOND: i64 = 1_000_000_000;

/// A data directory with a store in it.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

pub(crate) fn workspace() -> WorkspaceId {
    WorkspaceId::derive("acme")
}
pub(crate) fn project() -> ProjectId {
    ProjectId::derive(workspace(), "rocket")
}
pub(crate) fn board() -> BoardId {
    BoardId::derive(project(), "main")
}
pub(crate) fn column(name: &str) -> ColumnId {
    ColumnId::derive(board(), name)
}
pub(crate) fn item(key: &str) -> ItemId {
    ItemId::derive(workspace(), key)
}
pub(crate) fn comment(key: &str, name: &str) -> CommentId {
    CommentId::derive(item(key), name)
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        Self { dir, store }
    }

    /// With a workspace, a project, and a board with the columns Open, Doing and Done.
    pub(crate) fn with_board() -> Self {
        let world = Self::new();
        world.append(&workspace().stream_id(), "workspace.created", json!({"name": "Acme"}));
        world.append(
            &project().stream_id(),
            "project.created",
            json!({"workspaceId": workspace(), "name": "Rocket"}),
        );
        let columns = ["Open", "Doing", "Done"].map(|name| json!({"columnId": column(name), "name": name}));
        world.append(
            &board().stream_id(),
            "board.created",
            json!({"workspaceId": workspace(), "projectId": project(), "name": "Main", "columns": columns}),
        );
        world
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn log(&self) -> Log {
        self.store.log()
    }

    /// One event in one commit; returns the position after it.
    pub(crate) fn append(&self, stream: &str, event_type: &str, payload: Value) -> Position {
        self.append_as("ann", None, stream, event_type, payload)
    }

    pub(crate) fn append_as(
        &self,
        person: &str,
        occurred_at: Option<i64>,
        stream: &str,
        event_type: &str,
        payload: Value,
    ) -> Position {
        let mut commit = CommitBuilder::new();
        commit.event(event(person, occurred_at, stream, event_type, payload));
        self.store.append(commit.prepare().unwrap()).unwrap().next
    }

    pub(crate) fn append_all(&self, events: Vec<NewEvent>) -> Position {
        let mut commit = CommitBuilder::new();
        for event in events {
            commit.event(event);
        }
        self.store.append(commit.prepare().unwrap()).unwrap().next
    }

    /// A command that changed nothing.
    pub(crate) fn append_unchanged(&self, name: &str) {
        let mut commit = CommitBuilder::new();
        commit.command(Command {
            id: CommandId::derive(&[name.as_bytes()]),
            fingerprint: Fingerprint::of(&[]),
            outcome: Outcome::Unchanged,
        });
        self.store.append(commit.prepare().unwrap()).unwrap();
    }

    pub(crate) fn create_item(&self, key: &str, title: &str, rank: &str) -> Position {
        self.append(&item(key).stream_id(), "item.created", created(key, title, rank, "Open"))
    }

    pub(crate) fn comment(&self, key: &str, name: &str, body: &str) -> Position {
        self.append(
            &comment(key, name).stream_id(),
            "comment.added",
            json!({"workspaceId": workspace(), "boardId": board(), "itemId": item(key), "body": body}),
        )
    }

    /// The models that a replay makes.
    pub(crate) fn models(&self) -> Models {
        replay(&self.log())
    }
}

pub(crate) fn open(data_dir: &Path) -> Store {
    Store::open(data_dir, &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() }).unwrap()
}

pub(crate) fn replay(log: &Log) -> Models {
    let mut models = Models::new(log.store_id());
    for commit in log.commits(Position::ZERO) {
        models.apply(&DecodedCommit::decode(&commit.unwrap())).unwrap();
    }
    models
}

pub(crate) fn created(key: &str, title: &str, rank: &str, in_column: &str) -> Value {
    json!({
        "workspaceId": workspace(), "projectId": project(), "boardId": board(), "columnId": column(in_column),
        "rank": rank, "title": title, "externalKey": key,
    })
}

pub(crate) fn event(
    person: &str,
    occurred_at: Option<i64>,
    stream: &str,
    event_type: &str,
    payload: Value,
) -> NewEvent {
    NewEvent {
        id: Uuid::now_v7(),
        stream: StreamId::new(stream).unwrap(),
        event_type: EventType::new(event_type).unwrap(),
        content_type: ContentType::Json,
        schema_version: 1,
        tags: [format!("workspace:{}", workspace()), format!("board:{}", board())]
            .map(|tag| Tag::new(tag).unwrap())
            .into(),
        metadata: Metadata {
            occurred_at: occurred_at.map(Timestamp::new),
            extras: Extras::new("import", Some(person), None).encode(),
            ..Metadata::default()
        },
        payload: serde_json::to_vec(&payload).unwrap(),
    }
}

/// Waits until the projector's models and index have everything.
pub(crate) fn settle(world: &World, projector: &Projector, searcher: &projector::search::Searcher) {
    let end = world.log().watermark();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        assert!(projector.models().wait_for(end, Duration::from_secs(20)).await, "{:?}", projector.failure());
        assert!(searcher.wait_for(end, Duration::from_secs(20)).await, "{:?}", projector.failure());
    });
}

pub(crate) fn wait(models: &SharedModels, position: Position) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(models.wait_for(position, Duration::from_secs(20)))
}

/// SplitMix64: small, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A fresh seed, printed so that a failing run can be repeated with `SEED=…`.
    pub(crate) fn from_environment() -> Self {
        let fresh = || Uuid::now_v7().as_u128() as u64;
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(fresh);
        eprintln!("SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const WORDS: &[&str] =
    &["list", "view", "crash", "android", "scroll", "Ångström", "null", "pointer", "foo-bar"];

fn words(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| random.pick(WORDS)).collect::<Vec<_>>().join(" ")
}

/// Appends `commits` random commits, sense and nonsense, some of several events, some of none.
pub(crate) fn random_history(world: &World, random: &mut Random, commits: usize) {
    for number in 0..commits {
        if random.below(10) == 0 {
            world.append_unchanged(&format!("{number}-{}", random.below(usize::MAX)));
            continue;
        }
        let events = (0..1 + random.below(3)).map(|_| random_event(random)).collect();
        world.append_all(events);
    }
}

fn random_event(random: &mut Random) -> NewEvent {
    let key = format!("K-{}", random.below(30));
    let stream = item(&key).stream_id();
    let column_name = ["Open", "Doing", "Done", "Extra"][random.below(4)];
    let rank = format!("{}{}", random.below(1000), ["a", "b", "z"][random.below(3)]);
    let person = random.pick(&["ann", "bob", "Bob", "çelik"]).to_owned();
    let comment_name = format!("c{}", random.below(3));
    let comment_stream = comment(&key, &comment_name).stream_id();
    let (stream, event_type, payload) = match random.below(20) {
        0..=4 => {
            let mut payload = created(&key, &words(random, 3), &rank, column_name);
            payload["description"] = json!(words(random, 12));
            payload["assignees"] = json!([person]);
            payload["fields"] = json!({"priority": "high", "notes": words(random, 60)});
            (stream, "item.created", payload)
        }
        5..=7 => (
            stream,
            "item.moved",
            json!({"fromColumn": column("Open"), "toColumn": column(column_name), "fromRank": "1", "toRank": rank}),
        ),
        8 => (stream, "item.ranked", json!({"fromRank": "1", "toRank": rank})),
        9 => (stream, "item.assigned", json!({"assignees": [person, "dora"]})),
        10 => (stream, "item.unassigned", json!({"assignees": [person]})),
        11 => (stream, "item.completed", json!({"resolution": "fixed"})),
        12 => (stream, "item.reopened", json!({})),
        13 => {
            let changes = json!({"title": {"to": words(random, 4)}, "description": {"to": words(random, 9)},
                "priority": {"to": null}, "size": {"to": random.below(9)}});
            (stream, "item.updated", json!({"changes": changes}))
        }
        14 => (stream, "item.deleted", json!({"columnId": column("Open")})),
        15 | 16 => (
            comment_stream,
            "comment.added",
            json!({"workspaceId": workspace(), "boardId": board(), "itemId": item(&key), "body": words(random, 20)}),
        ),
        17 => match random.below(2) {
            0 => (comment_stream, "comment.edited", json!({"itemId": item(&key), "body": words(random, 20)})),
            _ => (comment_stream, "comment.deleted", json!({"itemId": item(&key)})),
        },
        18 => match random.below(4) {
            0 => (
                board().stream_id(),
                "board.column_added",
                json!({"columnId": column("Extra"), "name": "Extra", "index": 1}),
            ),
            1 => (
                board().stream_id(),
                "board.column_removed",
                json!({"columnId": column("Extra"), "itemsTo": column("Doing")}),
            ),
            // What cannot be read is a dead letter, which `tests/control` is about.
            _ => (stream, "item.exploded", json!({"how": "loudly"})),
        },
        _ => {
            (project().stream_id(), "project.updated", json!({"changes": {"name": {"to": words(random, 2)}}}))
        }
    };
    event(&person, Some(random.below(1000) as i64 * SECOND), &stream, event_type, payload)
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
