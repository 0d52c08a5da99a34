//! How many commands a second go through `/batch`, without a socket; a figure, not a promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use command_api::{AppState, CommandService};
use domain::{BoardId, ColumnId, CommentId, ItemId, ProjectId, WorkspaceId};
use eventstore::{Store, StoreOptions};
use http_body_util::BodyExt;
use http_kit::auth::Authentication;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;

const ITEMS: usize = 12_500;
const COMMANDS_PER_ITEM: usize = 8;
const COMMANDS_PER_BATCH: usize = 2_000;
const LANES: usize = 2;

fn command(name: &str, id: impl serde::Serialize, key: &str, data: &Value) -> String {
    json!({"command": name, "id": id, "idempotencyKey": key, "onBehalfOf": "somebody@example.org",
           "occurredAt": "2011-04-15T03:30:17.000Z", "source": "import", "data": data})
    .to_string()
}

fn commands_of(item: usize, workspace: WorkspaceId, project: ProjectId, board: BoardId) -> Vec<String> {
    let key = format!("acme/TIMOB-{item}");
    let id = ItemId::derive(workspace, &key);
    let column = |name: &str| ColumnId::derive(board, name);
    let create = json!({"workspaceId": workspace, "projectId": project, "boardId": board, "columnId": column("0"),
        "externalKey": key, "title": "The thing does not do what the other thing says it does",
        "description": "When I press the button then nothing happens at all. ".repeat(8),
        "fields": {"type": "Bug", "priority": "Major", "labels": ["a", "b"]}});
    let comment = json!({"itemId": id, "body": "I have seen that as well, on another machine. ".repeat(8)});
    let edit = json!({"fields": {"priority": {"set": "High"}, "labels": {"add": ["c"]}}});
    let steps = [
        ("item.create", json!(id), create),
        ("item.assign", json!(id), json!({"assignees": ["somebody@example.org"]})),
        ("item.move", json!(id), json!({"columnId": column("1")})),
        ("comment.add", json!(CommentId::derive(id, "1")), comment.clone()),
        ("item.update", json!(id), edit),
        ("item.update", json!(id), json!({})),
        ("item.move", json!(id), json!({"columnId": column("2")})),
        ("item.complete", json!(id), json!({"resolution": "Fixed"})),
    ];
    assert_eq!(steps.len(), COMMANDS_PER_ITEM);
    let named = |(step, (name, id, data)): (usize, (&str, Value, Value))| {
        command(name, id, &format!("{item:032x}{step}"), &data)
    };
    steps.into_iter().enumerate().map(named).collect()
}

fn batch(commands: &[String]) -> Bytes {
    Bytes::from(format!("{{\"commands\":[{}]}}", commands.join(",")))
}

async fn send(router: Router, body: Bytes) -> (usize, usize) {
    let request =
        Request::post("/api/v1/batch").header("content-type", "application/json").body(Body::from(body));
    let response = router.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let answer: Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let results = answer["results"].as_array().unwrap();
    let rejected = results.iter().find(|result| result["status"] == "rejected");
    assert_eq!(rejected, None);
    (results.len(), results.iter().filter(|result| result["status"] == "duplicate").count())
}

async fn run(name: &str, router: &Router, lanes: &[Vec<Bytes>]) {
    let (cpu, started) = (cpu(), Instant::now());
    let mut tasks = Vec::new();
    for lane in lanes {
        let (router, lane) = (router.clone(), lane.clone());
        tasks.push(tokio::spawn(async move {
            let mut sum = (0, 0);
            for body in lane {
                let (count, duplicates) = send(router.clone(), body).await;
                sum = (sum.0 + count, sum.1 + duplicates);
            }
            sum
        }));
    }
    let mut sum = (0, 0);
    for task in tasks {
        let (count, duplicates) = task.await.unwrap();
        sum = (sum.0 + count, sum.1 + duplicates);
    }
    let (took, cpu) = (started.elapsed(), cpu_since(cpu));
    let count = u32::try_from(sum.0).unwrap();
    println!(
        "{name}: {count} commands ({} duplicates) in {took:.2?}: {:.0} commands/s, {:.1?} of CPU each",
        sum.1,
        f64::from(count) / took.as_secs_f64(),
        cpu / count
    );
}

/// CPU time of all threads so far, in clock ticks of 10 ms.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|index| fields.get(*index)?.parse::<u64>().ok()).sum()
}

fn cpu_since(before: u64) -> Duration {
    Duration::from_millis(10 * (cpu() - before))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints a figure, run by hand"]
async fn commands_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
    let router = command_api::router(
        AppState::new(CommandService::open(store.clone())),
        Authentication::SameMachineOnly,
    );

    let workspace = WorkspaceId::derive("acme");
    let project = ProjectId::derive(workspace, "p");
    let board = BoardId::derive(project, "b");
    let columns: Vec<Value> = ["0", "1", "2"]
        .iter()
        .map(|name| json!({"id": ColumnId::derive(board, name), "name": name}))
        .collect();
    let set_up = [
        command("workspace.create", workspace, "w", &json!({"name": "acme"})),
        command("project.create", project, "p", &json!({"workspaceId": workspace, "name": "p"})),
        command("board.create", board, "b", &json!({"projectId": project, "name": "b", "columns": columns})),
    ];
    send(router.clone(), batch(&set_up)).await;

    let mut lanes = vec![Vec::new(); LANES];
    for (lane, bodies) in lanes.iter_mut().enumerate() {
        let commands: Vec<String> = (0..ITEMS)
            .filter(|item| item % LANES == lane)
            .flat_map(|item| commands_of(item, workspace, project, board))
            .collect();
        bodies.extend(commands.chunks(COMMANDS_PER_BATCH).map(batch));
    }
    let bytes: usize = lanes.iter().flatten().map(Bytes::len).sum();
    println!("{} bytes of JSON per command", bytes / (ITEMS * COMMANDS_PER_ITEM));
    run("first", &router, &lanes).await;
    run("again", &router, &lanes).await;
    drop(router);
    store.close();
}

const APPENDERS: usize = 8;
const APPENDS: usize = 1_500;
const EVENTS_PER_APPEND: usize = 100;

async fn appends(name: &str, router: &Router, event_type: &str) {
    // 256 bytes of data each, as other logs are measured with.
    let data = json!({"order": 7, "note": "n".repeat(256 - 22)});
    assert_eq!(data.to_string().len(), 256);
    let events = vec![json!({"type": event_type, "data": data}); EVENTS_PER_APPEND];
    let body = Bytes::from(json!({"events": events, "expectedVersion": "any"}).to_string());
    let (cpu, started) = (cpu(), Instant::now());
    let tasks: Vec<_> = (0..APPENDERS)
        .map(|lane| {
            let (router, body) = (router.clone(), body.clone());
            let path = format!("/api/v1/streams/{name}-{lane}/events");
            tokio::spawn(async move {
                for _ in 0..APPENDS {
                    let request = Request::post(&path).header("content-type", "application/json");
                    let request = request.body(Body::from(body.clone())).unwrap();
                    let response = router.clone().oneshot(request).await.unwrap();
                    assert_eq!(response.status(), 201);
                    response.into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (took, cpu) = (started.elapsed(), cpu_since(cpu));
    let count = u32::try_from(APPENDERS * APPENDS * EVENTS_PER_APPEND).unwrap();
    println!(
        "{name}: {count} events in {took:.2?}: {:.0} events/s, {:.2?} of CPU each",
        f64::from(count) / took.as_secs_f64(),
        cpu / count
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints a figure, run by hand"]
async fn raw_events_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).unwrap();
    let state = AppState::new(CommandService::open(store.clone()));
    let router = command_api::router(state, Authentication::SameMachineOnly);
    let schema = json!({"type": "order.checked", "schema": {"type": "object", "required": ["order"],
        "properties": {"order": {"type": "integer"}, "note": {"type": "string", "maxLength": 1_000}}}});
    let request = Request::post("/api/v1/schemas").header("content-type", "application/json");
    let request = request.body(Body::from(schema.to_string())).unwrap();
    assert_eq!(router.clone().oneshot(request).await.unwrap().status(), 201);
    appends("warm", &router, "order.placed").await;
    appends("free", &router, "order.placed").await;
    appends("bound", &router, "order.checked").await;
    drop(router);
    store.close();
}
