//! A state that begins with a snapshot is the state that the whole history makes, whatever is wrong with the snapshot.

use super::super::{CommandService, Conditions, Intent, Key, Kind, Order, Origin, command_id};
use domain::{Aggregate, item::Item};
use eventstore::{Fingerprint, SnapshotOptions, Snapshots, Store, StoreOptions, Version};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use uuid::Uuid;

const EVERY: u64 = 100;

fn open(dir: &Path, every: u64) -> (Store, CommandService) {
    let options = StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() };
    let store = Store::open(dir, &options).unwrap();
    (store.clone(), CommandService::open_in(store, dir, every))
}

/// Ends as a process ends: snapshots that are due have been written then.
fn close(store: Store, service: CommandService) {
    drop(service);
    store.close();
    drop(store);
}

fn order(target: Uuid, intent: Intent) -> Order {
    Order {
        target: Some(target),
        intent,
        conditions: Conditions::default(),
        command: command_id(),
        fingerprint: Fingerprint::of(&[]),
        origin: Origin::default(),
    }
}

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn item_update(body: Value) -> Intent {
    Intent::UpdateItem(read(body))
}

const WORKSPACE: Uuid = Uuid::from_u128(1);
const PROJECT: Uuid = Uuid::from_u128(2);
const BOARD: Uuid = Uuid::from_u128(3);
const COLUMN: Uuid = Uuid::from_u128(4);
const ITEM: Uuid = Uuid::from_u128(5);
const COMMENT: Uuid = Uuid::from_u128(6);

fn keys() -> [Key; 5] {
    [
        Key::new(Kind::Workspace, WORKSPACE),
        Key::new(Kind::Project, PROJECT),
        Key::new(Kind::Board, BOARD),
        Key::new(Kind::Item, ITEM),
        Key::new(Kind::Comment, COMMENT),
    ]
}

fn set_up(service: &CommandService) {
    let run = |target, intent| service.execute(&order(target, intent)).unwrap();
    run(WORKSPACE, Intent::CreateWorkspace(read(json!({"name": "w"}))));
    run(PROJECT, Intent::CreateProject(read(json!({"workspaceId": WORKSPACE, "name": "p"}))));
    let columns = json!([{"id": COLUMN, "name": "c"}]);
    run(BOARD, Intent::CreateBoard(read(json!({"projectId": PROJECT, "name": "b", "columns": columns}))));
    run(ITEM, Intent::CreateItem(read(json!({"boardId": BOARD, "columnId": COLUMN, "title": "t"}))));
    run(COMMENT, Intent::AddComment(read(json!({"itemId": ITEM, "body": "first"}))));
}

/// Renames the item so many times, each an event of its own, in batches of up to 950.
fn rename(service: &CommandService, count: usize) {
    for from in (0..count).step_by(950) {
        let count = (count - from).min(950);
        let rename = |index: usize| {
            let title = format!("{from} {index} {}", service.store().watermark());
            Ok(order(ITEM, item_update(json!({ "title": title }))))
        };
        assert!(service.batch(count, &rename).iter().all(Result::is_ok));
    }
}

/// Every state, begun with a snapshot where there is one, is what the whole history makes.
fn assert_equal_to_replay(service: &CommandService) {
    let whole = CommandService::open(service.store().clone());
    for key in keys() {
        let (ours, replayed) = (service.0.read(key).unwrap(), whole.0.read(key).unwrap());
        assert_eq!(ours.state, replayed.state, "{key:?}");
        assert_eq!((ours.version, ours.as_of), (replayed.version, replayed.as_of), "{key:?}");
        assert_eq!(ours.weight, replayed.weight, "{key:?}");
    }
}

/// A store whose item has 1 + 250 events, and a snapshot of it.
fn with_snapshot() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (store, service) = open(dir.path(), EVERY);
    set_up(&service);
    rename(&service, 250);
    close(store, service);
    dir
}

#[test]
fn a_snapshot_and_the_events_since_make_the_state_of_the_whole_history() {
    let seed = u64::from_le_bytes(Uuid::new_v4().into_bytes()[..8].try_into().unwrap());
    #[expect(clippy::print_stdout, reason = "shown when the test fails")]
    {
        println!("seed {seed}");
    }
    let mut state = seed;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut service) = open(dir.path(), 3);
    set_up(&service);
    let mut loaded = 0;
    for _ in 0..6 {
        for _ in 0..below(40) {
            let word = format!("w{}", below(5));
            let (target, intent) = match below(8) {
                0 => (
                    WORKSPACE,
                    Intent::Workspace(domain::workspace::Command::Rename(read(json!({"name": word})))),
                ),
                1 => (
                    PROJECT,
                    Intent::Project(domain::project::Command::Update(read(json!({"description": word})))),
                ),
                2 => (BOARD, Intent::Board(domain::board::Command::Update(read(json!({"name": word}))))),
                3 => (BOARD, Intent::Board(domain::board::Command::AddColumn(read(json!({"name": word}))))),
                4 => {
                    (ITEM, item_update(json!({"fields": {"f": {"set": [word, 1.5, null, {"deep": true}]}}})))
                }
                5 => (ITEM, item_update(json!({"title": word, "description": word}))),
                6 => (ITEM, Intent::Item(domain::item::Command::Assign(read(json!({"assignees": [word]}))))),
                _ => (COMMENT, Intent::Comment(domain::comment::Command::Edit(read(json!({"body": word}))))),
            };
            // What is refused (a name that is taken) makes no event.
            let _ = service.execute(&order(target, intent));
        }
        close(store, service);
        (store, service) = open(dir.path(), 3);
        assert_equal_to_replay(&service);
        loaded += service.figures().snapshots_loaded;
    }
    assert!(loaded > 0, "no snapshot was ever used");
    close(store, service);
}

#[test]
fn a_long_stream_is_loaded_without_reading_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, service) = open(dir.path(), EVERY);
    set_up(&service);
    rename(&service, 9_950);
    // One at a time, so that some come after the last snapshot.
    for number in 0..50 {
        service.execute(&order(ITEM, item_update(json!({"title": format!("last {number}")})))).unwrap();
    }
    close(store, service);
    let (store, service) = open(dir.path(), EVERY);
    service.0.read(Key::new(Kind::Item, ITEM)).unwrap();
    let figures = service.figures();
    assert_eq!(figures.snapshots_loaded, 1);
    assert!((1..=EVERY + 1).contains(&figures.events_read), "{} events were read", figures.events_read);
    assert_equal_to_replay(&service);
    close(store, service);
}

#[test]
fn a_rotten_snapshot_is_as_good_as_none() {
    let dir = with_snapshot();
    let path = dir.path().join("snapshots/snapshots.dat");
    let mut bytes = std::fs::read(&path).unwrap();
    // The very last bytes may be padding.
    let in_the_state = bytes.len() - 12;
    bytes[in_the_state] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_replayed(dir.path());
}

#[test]
fn a_snapshot_of_another_store_is_as_good_as_none() {
    let (dir, other) = (with_snapshot(), with_snapshot());
    let path = |dir: &TempDir| dir.path().join("snapshots/snapshots.dat");
    std::fs::copy(path(&other), path(&dir)).unwrap();
    assert_replayed(dir.path());
}

#[test]
fn a_snapshot_of_another_schema_is_as_good_as_none() {
    let dir = with_snapshot();
    std::fs::remove_file(dir.path().join("snapshots/snapshots.dat")).unwrap();
    let store = Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() });
    let store = store.unwrap();
    let snapshots = Snapshots::open(dir.path(), &SnapshotOptions::default()).unwrap();
    let stream = Key::new(Kind::Item, ITEM).stream();
    let newer = Item::STATE_VERSION + 1;
    assert!(snapshots.put(&store, &stream, Version::new(250), newer, &(0_u64, Item::default())));
    drop(snapshots);
    store.close();
    drop(store);
    assert_replayed(dir.path());
}

fn assert_replayed(dir: &Path) {
    let (store, service) = open(dir, EVERY);
    assert_equal_to_replay(&service);
    assert_eq!(service.figures().snapshots_loaded, 0);
    close(store, service);
}
