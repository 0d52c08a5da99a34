//! `/batch`: a result for each command, in order; commands see what came before them; atomic is all or nothing.

use crate::common::{Answer, Api};
use command_api::{AppState, CommandService};
use domain::{BoardId, ColumnId, CommentId, ItemId, ProjectId, WorkspaceId};
use http_kit::auth::Authentication;
use serde_json::{Value, json};

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["status"].as_str().unwrap())
        .collect()
}

/// A small history from nothing: a workspace down to a comment.
fn history(name: &str) -> Vec<Value> {
    let workspace = WorkspaceId::derive(name);
    let project = ProjectId::derive(workspace, "p");
    let board = BoardId::derive(project, "b");
    let (todo, done) = (ColumnId::derive(board, "todo"), ColumnId::derive(board, "done"));
    let item = ItemId::derive(workspace, "K-1");
    let comment = CommentId::derive(item, "c-1");
    let commands = [
        ("workspace.create", json!(workspace), json!({"name": name})),
        ("project.create", json!(project), json!({"workspaceId": workspace, "name": "p"})),
        ("board.create", json!(board), json!({"projectId": project, "name": "b"})),
        ("board.add_column", json!(board), json!({"id": todo, "name": "todo"})),
        ("board.add_column", json!(board), json!({"id": done, "name": "done"})),
        (
            "item.create",
            json!(item),
            json!({"workspaceId": workspace, "projectId": project, "boardId": board, "columnId": todo,
                   "title": "", "externalKey": "K-1", "fields": {"type": "Bug"}}),
        ),
        ("item.move", json!(item), json!({"columnId": done})),
        ("item.assign", json!(item), json!({"assignees": ["ann"]})),
        ("item.assign", json!(item), json!({"assignees": ["bob"], "remove": ["ann"]})),
        ("item.update", json!(item), json!({})),
        ("item.complete", json!(item), json!({"resolution": "Fixed"})),
        ("comment.add", json!(comment), json!({"itemId": item, "externalKey": "c-1", "body": "done"})),
        ("comment.edit", json!(comment), json!({})),
    ];
    commands
        .into_iter()
        .enumerate()
        .map(|(index, (command, id, data))| {
            json!({
                "command": command, "id": id, "idempotencyKey": format!("{name}-{index}"), "onBehalfOf": "jane",
                "occurredAt": "2011-04-15T03:30:17.000Z", "source": "import", "data": data,
            })
        })
        .collect()
}

const HISTORY: [&str; 13] = [
    "applied",
    "applied",
    "applied",
    "applied",
    "applied",
    "applied",
    "applied",
    "applied",
    "applied",
    "unchanged",
    "applied",
    "applied",
    "unchanged",
];

#[tokio::test]
async fn a_whole_history_in_one_batch_and_again_is_done_once() {
    let api = Api::new();
    let first = api.batch(history("acme")).await.is(200);
    assert_eq!(statuses(&first), HISTORY, "{first:?}");
    let item = ItemId::derive(WorkspaceId::derive("acme"), "K-1");
    assert_eq!(
        api.events(&format!("item-{item}")),
        ["item.created", "item.moved", "item.assigned", "item.unassigned", "item.assigned", "item.completed"]
    );
    // 11 commands were applied, one of them with two events.
    assert_eq!(first.body["position"], 12);
    assert_eq!(first.headers["sunday-position"], "12");
    assert_eq!(first.body["results"][8]["version"], 4);

    let again = api.batch(history("acme")).await.is(200);
    assert!(statuses(&again).iter().all(|status| *status == "duplicate"), "{again:?}");
    let api = api.reopen();
    let again = api.batch(history("acme")).await.is(200);
    assert!(statuses(&again).iter().all(|status| *status == "duplicate"), "{again:?}");
    assert_eq!(api.watermark().get(), 12);
}

/// Commands share commits; that must show in nothing.
#[tokio::test]
async fn commands_that_share_a_commit_do_not_share_its_refusal() {
    let api = Api::new();
    let place = api.board().await;
    let [first, second] = [api.item(&place).await, api.item(&place).await];
    let update = |key: &str, id: &str| json!({"command": "item.update", "id": id, "idempotencyKey": key, "data": {"title": key}});
    let create = json!({"command": "item.create", "idempotencyKey": "new",
        "data": {"boardId": place.board, "columnId": place.todo, "title": "new"}});
    let parts = |answer: &Answer, member: &str| {
        let results = answer.body["results"].as_array().unwrap();
        results.iter().map(|result| result[member].clone()).collect::<Vec<_>>()
    };
    for round in 0..2 {
        if round == 0 {
            // Another writer, of whom this one's memory knows nothing: what is decided here on the first item is refused.
            let service = CommandService::open(api.store.clone());
            let router = command_api::router(AppState::new(service.clone()), Authentication::SameMachineOnly);
            let dir = tempfile::tempdir().unwrap();
            let elsewhere = Api { dir, store: api.store.clone(), service, router };
            elsewhere.patch(&format!("/items/{first}"), json!({"title": "elsewhere"})).await.is(200);
        }
        let key = |name: &str| format!("{name} {round}");
        let mut commands =
            vec![update(&key("a"), &second), update(&key("b"), &first), update(&key("c"), &first)];
        if round == 0 {
            commands.push(create.clone());
        }
        let answer = api.batch(commands.clone()).await.is(200);
        assert!(statuses(&answer).iter().all(|status| *status == "applied"), "{answer:?}");
        let versions = if round == 0 { vec![1, 2, 3, 0] } else { vec![2, 4, 5] };
        assert_eq!(parts(&answer, "version"), versions);
        let again = api.batch(commands).await.is(200);
        assert!(statuses(&again).iter().all(|status| *status == "duplicate"), "{again:?}");
        assert_eq!(parts(&again, "version"), parts(&answer, "version"));
        assert_eq!(parts(&again, "id"), parts(&answer, "id"));
    }
}

#[tokio::test]
async fn metadata_is_what_the_envelope_says() {
    let api = Api::new();
    api.batch(history("acme")).await.is(200);
    let event = api.store.event(eventstore::Position::new(5)).unwrap().unwrap();
    let view = event.get().unwrap();
    assert_eq!(view.event_type(), "item.created");
    let extras = domain::Extras::decode(view.metadata().extras()).unwrap();
    assert_eq!(
        (extras.actor(), extras.on_behalf_of(), extras.source()),
        ("local", Some("jane"), Some("import"))
    );
    assert_eq!(view.metadata().occurred_at().unwrap().get(), 1_302_838_217_000_000_000);
    assert!(view.metadata().command_id().is_some());
    let workspace = WorkspaceId::derive("acme");
    let board = BoardId::derive(ProjectId::derive(workspace, "p"), "b");
    let todo = ColumnId::derive(board, "todo");
    let item = ItemId::derive(workspace, "K-1");
    let tags: Vec<&str> = view.tags().collect();
    let expected = [
        format!("workspace:{workspace}"),
        format!("board:{board}"),
        format!("item:{item}"),
        format!("column:{todo}"),
    ];
    assert_eq!(tags, expected);
}

#[tokio::test]
async fn each_command_stands_for_itself() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let update = |title: &str| json!({"command": "item.update", "id": item, "data": {"title": title}});
    let answer = api
        .batch(vec![
            update("one"),
            json!({"command": "item.fly", "id": item}),
            json!({"command": "item.update", "id": item, "data": {"title": 7}}),
            json!({"command": "item.update", "data": {"title": "no id"}}),
            json!({"command": "item.update", "id": place.board, "data": {"title": "no item"}}),
            json!({"command": "item.update", "id": item, "data": {"title": ""}}),
            json!({"command": "item.update", "id": item, "expectedVersion": 0, "data": {"title": "old"}}),
            json!({"command": "item.update", "id": item, "expectedVersion": 1, "data": {"title": "two"}}),
            json!({"command": "item.update", "id": item, "occurredAt": "yesterday", "data": {}}),
            json!({"command": "item.update", "id": item, "idempotencyKey": "\u{7}", "data": {}}),
            json!({"command": "item.delete", "id": item}),
            update("gone"),
        ])
        .await
        .is(200);
    let got: Vec<(String, String)> = answer.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (
                text(&result["status"]),
                format!("{} {}", result["problem"]["status"], text(&result["problem"]["code"])),
            )
        })
        .collect();
    let expected = [
        ("applied", "null "),
        ("rejected", "400 invalid_body"),
        ("rejected", "400 invalid_body"),
        ("rejected", "400 invalid_body"),
        ("rejected", "404 not_found"),
        ("rejected", "422 title_empty"),
        ("rejected", "409 version_conflict"),
        ("applied", "null "),
        ("rejected", "400 invalid_body"),
        ("rejected", "400 invalid_body"),
        ("applied", "null "),
        ("rejected", "410 gone"),
    ];
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert_eq!(
            (got.0.as_str(), got.1.as_str()),
            expected,
            "command {index}: {}",
            answer.body["results"][index]
        );
    }
    assert_eq!(answer.body["results"][2]["problem"]["field"], "commands[2].data.title");
    let titles: Vec<_> = api
        .payloads(&format!("item-{item}"))
        .iter()
        .map(|(_, data)| data["changes"]["title"]["to"].clone())
        .collect();
    assert_eq!(titles, [Value::Null, json!("one"), json!("two"), Value::Null]);
}

#[tokio::test]
async fn one_key_twice_in_one_batch() {
    let api = Api::new();
    let place = api.board().await;
    let create = |key: &str, title: &str| json!({"command": "item.create", "idempotencyKey": key, "data": {"boardId": place.board, "title": title}});
    let before = api.watermark().get();
    let answer = api
        .batch(vec![create("a", "x"), create("a", "x"), create("a", "y"), create("b", ""), create("b", "")])
        .await;
    assert_eq!(statuses(&answer), ["applied", "duplicate", "rejected", "rejected", "rejected"], "{answer:?}");
    assert_eq!(answer.body["results"][2]["problem"]["code"], "idempotency_key_reused");
    assert_eq!(answer.body["results"][0]["id"], answer.body["results"][1]["id"]);
    assert_eq!(api.watermark().get(), before + 1);
}

#[tokio::test]
async fn an_atomic_batch_is_one_commit() {
    let api = Api::new();
    let before = api.watermark().get();
    let answer = api.atomic(history("acme")).await.is(200);
    assert_eq!(statuses(&answer), HISTORY, "{answer:?}");
    let commits: Vec<_> =
        api.store.commits(eventstore::Position::new(before)).map(|commit| commit.unwrap().len()).collect();
    assert_eq!(commits, [12]);
    let again = api.atomic(history("acme")).await.is(200);
    assert!(statuses(&again).iter().all(|status| *status == "duplicate"), "{again:?}");
    assert_eq!(again.body["position"], answer.body["position"]);
    // What was done together is not known apart, and the other way round.
    let mut more = history("acme");
    more.extend(history("other"));
    let split = api.atomic(more).await.refused(422, "batch_refused");
    assert_eq!(split.body["results"][0]["problem"]["code"], "commands_split");
    assert_eq!(api.watermark().get(), before + 12);
}

#[tokio::test]
async fn an_atomic_batch_with_one_refusal_does_nothing() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let before = api.watermark();
    let answer = api
        .atomic(vec![
            json!({"command": "item.update", "id": item, "data": {"title": "new"}}),
            json!({"command": "item.move", "id": item, "data": {"columnId": place.board}}),
        ])
        .await
        .refused(422, "batch_refused");
    let codes: Vec<_> = answer.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["problem"]["code"].clone())
        .collect();
    assert_eq!(codes, ["batch_refused", "no_such_column"]);
    assert_eq!(api.watermark(), before);
    // The state that was decided about ahead is forgotten.
    let same = api.patch(&format!("/items/{item}"), json!({"title": "An item"})).await.is(200);
    assert_eq!(same.body["status"], "unchanged");
}

#[tokio::test]
async fn an_atomic_batch_counts_itself_against_a_limit() {
    let api = Api::new();
    let place = api.board().await;
    let column = format!("/boards/{}/columns/{}", place.board, place.done);
    api.patch(&column, json!({"wipLimit": 2})).await.is(200);
    let create = json!({"command": "item.create", "data": {"boardId": place.board, "columnId": place.done, "title": "x"}});
    let answer = api.atomic(vec![create.clone(); 3]).await.refused(422, "batch_refused");
    assert_eq!(answer.body["results"][2]["problem"]["code"], "wip_limit_reached", "{answer:?}");
    api.atomic(vec![create.clone(); 2]).await.is(200);
    api.atomic(vec![create]).await.refused(422, "batch_refused");
}

#[tokio::test]
async fn too_many_commands_are_413() {
    let api = Api::new();
    let command = json!({"command": "item.delete"});
    let answer = api.batch(vec![command; 10_001]).await.refused(413, "batch_too_large");
    assert_eq!(answer.body["field"], "commands");
    let none = api.batch(vec![]).await.is(200);
    assert_eq!(none.body, json!({"position": 0, "results": []}));
}

#[tokio::test]
async fn an_atomic_batch_knows_where_the_boards_that_it_makes_belong() {
    let api = Api::new();
    let place = api.board().await;
    let project = WorkspaceId::derive("any").to_string();
    let make = |project: &str, key: &str| {
        let board = BoardId::derive(project.parse().unwrap(), key);
        vec![
            json!({"command": "board.create", "id": board, "data": {"projectId": project, "name": "b", "columns": [{"name": "c"}]}}),
            json!({"command": "item.create", "data": {"boardId": board, "externalKey": key, "title": "x"}}),
        ]
    };
    // In a project of the log, and in one of the batch.
    let answer = api.atomic(make(&place.project, "A-1")).await.is(200);
    let workspace: WorkspaceId = place.workspace.parse().unwrap();
    assert_eq!(answer.body["results"][1]["id"], json!(ItemId::derive(workspace, "A-1")));
    let mut commands = vec![
        json!({"command": "project.create", "id": project, "data": {"workspaceId": workspace, "name": "p"}}),
    ];
    commands.extend(make(&project, "A-2"));
    let answer = api.atomic(commands).await.is(200);
    assert_eq!(answer.body["results"][2]["id"], json!(ItemId::derive(workspace, "A-2")));
}

#[tokio::test]
async fn one_command_for_many_items() {
    let api = Api::new();
    let place = api.board().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(api.item(&place).await);
    }
    let bulk = |command: &str, data: Value| json!({"ids": ids, "command": command, "data": data});
    let moved = api.post("/items/bulk", bulk("item.move", json!({"columnId": place.done}))).await.is(200);
    assert_eq!(statuses(&moved), ["applied"; 3]);
    assert_eq!(moved.body["results"][2]["id"], ids[2].as_str());
    assert_eq!(moved.headers["sunday-position"], moved.body["position"].to_string().as_str());
    api.delete(&format!("/items/{}", ids[1])).await.is(200);
    let before = api.watermark().get();
    // Each for itself, or none of them.
    let assign = bulk("item.assign", json!({"assignees": ["ann"]}));
    let mut together = assign.clone();
    together["atomic"] = true.into();
    let refused = api.post("/items/bulk", together).await.refused(422, "batch_refused");
    assert_eq!(refused.body["results"][1]["problem"]["code"], "gone");
    assert_eq!(api.watermark().get(), before);
    let key = [("idempotency-key", "bulk")];
    let assigned = api.with("POST", "/items/bulk", &key, &assign).await.is(200);
    assert_eq!(statuses(&assigned), ["applied", "rejected", "applied"]);
    let again = api.with("POST", "/items/bulk", &key, &assign).await.is(200);
    assert_eq!(statuses(&again), ["duplicate", "rejected", "duplicate"]);
    let other = bulk("item.assign", json!({"assignees": ["bob"]}));
    api.with("POST", "/items/bulk", &key, &other).await.refused(422, "idempotency_key_reused");
    ids.remove(1);
    let mut done = json!({"ids": ids, "atomic": true, "command": "item.complete"});
    let commits = || api.store.commits(api.watermark()).count();
    assert_eq!(commits(), 0);
    let before = api.watermark();
    let answer = api.post("/items/bulk", done.clone()).await.is(200);
    assert_eq!(statuses(&answer), ["applied"; 2]);
    assert_eq!(api.store.commits(before).last().unwrap().unwrap().len(), 2, "one commit");
    done["ids"] = json!([]);
    assert_eq!(api.post("/items/bulk", done).await.is(200).body["results"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_with_a_bulk_request_is_named() {
    let api = Api::new();
    let id = "00000000-0000-7000-8000-000000000001";
    for (body, field) in [
        (json!({"ids": [id], "command": "board.delete"}), "command"),
        (json!({"ids": [id], "command": "item.create", "data": {}}), "command"),
        (json!({"ids": [id, id], "command": "item.reopen"}), "ids[1]"),
        (json!({"ids": [id, "x"], "command": "item.reopen"}), "ids[1]"),
        (json!({"ids": [id], "command": "item.update", "data": {"title": 7}}), "data.title"),
        (json!({"ids": [id], "command": "item.update", "data": {"baseVersion": 7}}), "data.baseVersion"),
        (json!({"ids": [id], "command": "item.reopen", "more": 1}), "more"),
    ] {
        let answer = api.post("/items/bulk", body.clone()).await.refused(400, "invalid_body");
        assert_eq!(answer.body["field"], field, "{body}: {answer:?}");
    }
    let ids: Vec<_> = (0..1001).map(|id| uuid::Uuid::from_u128(id).to_string()).collect();
    let many = json!({"ids": ids, "command": "item.reopen"});
    assert_eq!(api.post("/items/bulk", many).await.refused(413, "batch_too_large").body["field"], "ids");
}

/// A command decided on a thing that an earlier one of the batch would have made, had it not been there already, would be
/// decided on nothing that ever was: on any board, in any workspace, with anybody's rights.
#[tokio::test]
async fn what_is_there_already_is_not_taken_to_be_new() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let elsewhere =
        json!({"projectId": place.project, "name": "Elsewhere", "columns": [{"name": "a"}, {"name": "b"}]});
    let elsewhere = api.post("/boards", elsewhere).await.is(201).id().to_owned();
    let column = api.payloads(&format!("board-{elsewhere}"))[0].1["columns"][1]["columnId"].clone();
    // Nothing is in memory any more.
    let api = api.reopen();
    let answer = api
        .batch(vec![
            json!({"command": "item.create", "id": item, "data": {"boardId": elsewhere, "title": "Mine now"}}),
            json!({"command": "item.move", "id": item, "data": {"columnId": column}}),
        ])
        .await
        .is(200);
    assert_eq!(statuses(&answer), ["rejected"; 2], "{answer:?}");
    assert_eq!(answer.body["results"][0]["problem"]["code"], "already_exists");
    assert_eq!(api.events(&format!("item-{item}")), ["item.created"]);
}

/// An order that found nothing to do has left nothing that the next one about the same thing would follow.
#[tokio::test]
async fn orders_about_one_thing_keep_their_order_when_their_commits_are_refused() {
    let api = Api::new();
    let place = api.board().await;
    let [item, one, two] = [api.item(&place).await, api.item(&place).await, api.item(&place).await];
    api.post(&format!("/items/{item}/complete"), json!({})).await.is(200);
    // Together they are longer than a segment, so that their commit is refused and each goes by itself.
    let long = "x".repeat(600 << 10);
    let answer = api
        .batch(vec![
            json!({"command": "item.complete", "id": item, "data": {}}),
            json!({"command": "item.update", "id": one, "data": {"description": long}}),
            json!({"command": "item.update", "id": two, "data": {"description": long}}),
            json!({"command": "item.reopen", "id": item, "data": {}}),
        ])
        .await
        .is(200);
    assert_eq!(statuses(&answer), ["unchanged", "applied", "applied", "applied"], "{}", answer.text);
    let events = api.events(&format!("item-{item}"));
    assert_eq!(events, ["item.created", "item.completed", "item.reopened"]);
}

#[tokio::test]
async fn the_answer_to_many_conflicts_is_no_longer_than_to_a_few() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let long = "x".repeat(900 << 10);
    api.patch(&format!("/items/{item}"), json!({"description": long})).await.is(200);
    let stale =
        json!({"command": "item.update", "id": item, "expectedVersion": 0, "data": {"description": "y"}});
    for answer in
        [api.batch(vec![stale.clone(); 40]).await.is(200), api.atomic(vec![stale.clone(); 40]).await.is(422)]
    {
        assert!(answer.text.len() < 12 << 20, "{} bytes", answer.text.len());
        let results = answer.body["results"].as_array().unwrap();
        let problem = |index: usize| &results[index]["problem"];
        assert_eq!(problem(0)["events"].as_array().unwrap().len(), 1);
        assert_eq!((&problem(39)["events"], &problem(39)["truncated"]), (&json!([]), &json!(true)));
        assert_eq!(problem(39)["currentVersion"], 1);
    }
}
