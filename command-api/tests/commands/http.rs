//! Every status of the contract, from a request to what the log holds.

use crate::common::Api;
use axum::body::Body;
use domain::{ItemId, WorkspaceId};
use serde_json::{Value, json};

#[tokio::test]
async fn a_life_of_an_item() {
    let api = Api::new();
    let place = api.board().await;
    let before = api.watermark().get();
    let made = json!({"boardId": place.board, "columnId": place.todo, "title": "Fly", "fields": {"priority": "High"}});
    let made = api.post("/items", made).await.is(201);
    let id = made.id().to_owned();
    assert_eq!(made.body, json!({"id": id, "version": 0, "position": before + 1, "status": "applied"}));
    assert_eq!(made.headers["etag"], "\"0\"");
    assert_eq!(made.headers["sunday-position"], (before + 1).to_string().as_str());
    assert_eq!(made.headers["location"], format!("/api/v1/items/{id}").as_str());

    let path = |rest: &str| format!("/items/{id}{rest}");
    let steps = [
        (api.post(&path("/move"), json!({"columnId": place.done})).await, "item.moved"),
        (api.post(&path("/assign"), json!({"assignees": ["ann", "bob"]})).await, "item.assigned"),
        (api.post(&path("/unassign"), json!({"assignees": ["ann"]})).await, "item.unassigned"),
        (api.patch(&path(""), json!({"title": "Fly higher"})).await, "item.updated"),
        (api.post(&path("/complete"), json!({"resolution": "Done"})).await, "item.completed"),
        (api.send("POST", &path("/reopen"), &[], Body::empty()).await, "item.reopened"),
        (api.post(&path("/attachments"), json!({"name": "a.txt", "size": 3})).await, "item.attachment_added"),
        (api.delete(&path("")).await, "item.deleted"),
    ];
    let mut expected = vec!["item.created"];
    for (version, (answer, event)) in (1..).zip(steps) {
        assert!(answer.status == 200 || answer.status == 201, "{event}: {answer:?}");
        assert_eq!(
            (&answer.body["version"], &answer.body["status"]),
            (&json!(version), &json!("applied")),
            "{event}"
        );
        expected.push(event);
    }
    assert_eq!(api.events(&format!("item-{id}")), expected);
    api.patch(&path(""), json!({"title": "x"})).await.refused(410, "gone");
    api.post("/items", json!({"id": id, "boardId": place.board, "title": "again"}))
        .await
        .refused(410, "gone");
}

#[tokio::test]
async fn comments_columns_projects_and_workspaces_too() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let comment = api.post(&format!("/items/{item}/comments"), json!({"body": "hello"})).await.is(201);
    let path = format!("/comments/{}", comment.id());
    assert_eq!(comment.headers["location"], format!("/api/v1{path}").as_str());
    api.patch(&path, json!({"body": "hello there"})).await.is(200);
    api.delete(&path).await.is(200);
    api.patch(&path, json!({"body": "x"})).await.refused(410, "gone");

    let columns = format!("/boards/{}/columns", place.board);
    api.patch(&format!("{columns}/{}", place.todo), json!({"name": "backlog"})).await.is(200);
    api.post(&format!("{columns}/{}/move", place.todo), json!({"index": 1})).await.is(200);
    let heir = json!({"itemsTo": place.todo});
    api.with("DELETE", &format!("{columns}/{}", place.done), &[], &heir).await.is(200);
    let to = json!({"columnId": place.done});
    api.post(&format!("/items/{item}/move"), to).await.refused(422, "no_such_column");

    let project = format!("/projects/{}", place.project);
    api.patch(&project, json!({"name": "Rocket 2"})).await.is(200);
    api.delete(&project).await.is(200);
    api.patch(&project, json!({"name": "Rocket 3"})).await.refused(422, "archived");
    api.post(&format!("{project}/restore"), json!({})).await.is(200);
    api.patch(&format!("/workspaces/{}", place.workspace), json!({"name": "Acme 2"})).await.is(200);
    api.delete(&format!("/boards/{}", place.board)).await.is(200);
    let item = json!({"boardId": place.board, "title": "late"});
    let late = api.post("/items", item).await.refused(410, "gone");
    assert_eq!(late.body["field"], "boardId");
}

#[tokio::test]
async fn what_changes_nothing_is_unchanged_and_keeps_its_version() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let watermark = api.watermark();
    let same = api.patch(&format!("/items/{item}"), json!({"title": "An item"})).await.is(200);
    assert_eq!(same.body["status"], "unchanged");
    assert_eq!(same.headers["etag"], "\"0\"");
    assert_eq!(same.body["position"], watermark.get());
    assert_eq!(api.watermark(), watermark, "no event");
}

#[tokio::test]
async fn a_version_that_is_demanded_must_hold() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let path = format!("/items/{item}");
    let title = |text: &str| json!({"title": text});
    api.with("PATCH", &path, &[("if-match", "\"0\"")], &title("one")).await.is(200);
    let stale = api.with("PATCH", &path, &[("if-match", "\"0\"")], &title("two")).await;
    let stale = stale.refused(412, "version_conflict");
    assert_eq!(
        (&stale.body["expectedVersion"], &stale.body["currentVersion"], &stale.body["streamId"]),
        (&json!(0), &json!(1), &json!(format!("item-{item}")))
    );
    api.with("PATCH", &path, &[("if-match", "W/\"1\"")], &title("two"))
        .await
        .refused(412, "version_conflict");
    api.with("PATCH", &path, &[("if-match", "*")], &title("two")).await.is(200);
    let stale = api.patch(&path, json!({"title": "three", "expectedVersion": 1})).await;
    let stale = stale.refused(409, "version_conflict");
    assert_eq!((&stale.body["expectedVersion"], &stale.body["currentVersion"]), (&json!(1), &json!(2)));
    api.patch(&path, json!({"title": "three", "expectedVersion": 2})).await.is(200);
    assert_eq!(api.events(&format!("item-{item}")).len(), 4, "a refused command leaves nothing");

    let again = json!({"id": item, "boardId": place.board, "title": "again"});
    api.with("POST", "/items", &[("if-none-match", "*")], &again).await.refused(412, "version_conflict");
    api.post("/items", again).await.refused(409, "already_exists");
    let missing = "/items/00000000-0000-7000-8000-000000000000";
    api.with("PATCH", missing, &[("if-match", "\"0\"")], &title("x")).await.refused(404, "not_found");
}

#[tokio::test]
async fn what_cannot_be_read_is_400_and_names_the_field() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let path = format!("/items/{item}");
    for (method, path, body, field) in [
        ("PATCH", path.as_str(), json!({"title": 7}), "title"),
        ("PATCH", &path, json!({"titel": "x"}), "titel"),
        ("PATCH", &path, json!({"fields": {"a": {"sett": 1}}}), "fields.a"),
        ("PATCH", &path, json!({"title": "x", "expectedVersion": "one"}), "expectedVersion"),
        ("PATCH", &path, json!([]), "."),
        ("POST", &format!("{path}/move"), json!({"columnId": "todo"}), "columnId"),
        ("POST", &format!("{path}/assign"), json!({"assignees": ["a", 2]}), "assignees[1]"),
        ("POST", "/items", json!({"boardId": place.board, "title": null}), "title"),
        ("POST", "/workspaces", json!({"name": "x", "id": 3}), "id"),
        ("POST", "/batch", json!({"commands": [{"command": 1}]}), "commands[0].command"),
        ("POST", "/batch", json!({"commands": {}}), "commands"),
    ] {
        let answer = api.with(method, path, &[], &body).await.refused(400, "invalid_body");
        assert_eq!(answer.body["field"], field, "{body}: {answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().len() > 3);
    }
    let missing = api.post("/projects", json!({"name": "x"})).await.refused(400, "invalid_body");
    assert!(missing.body["detail"].as_str().unwrap().contains("workspaceId"), "{missing:?}");
    let no_uuid = api.patch("/items/42", json!({})).await.refused(400, "invalid_parameter");
    assert_eq!(no_uuid.body["field"], "id");
    let path = format!("/boards/{}/columns/xyz", place.board);
    assert_eq!(api.patch(&path, json!({})).await.is(400).body["field"], "columnId");
    for (name, value) in [("if-match", "3"), ("idempotency-key", ""), ("if-none-match", "1")] {
        let answer =
            api.with("PATCH", &format!("/items/{item}"), &[(name, value)], &json!({"title": "x"})).await;
        assert_eq!(answer.refused(400, "invalid_header").body["field"], name);
    }
}

#[tokio::test]
async fn other_bodies_and_routes() {
    let api = Api::new();
    let json_type = [("content-type", "application/json")];
    api.send("POST", "/items", &[("content-type", "text/plain")], Body::from("{}"))
        .await
        .refused(415, "unsupported_media_type");
    let long = || Body::from(vec![b' '; (16 << 20) + 1]);
    api.send("POST", "/items", &json_type, long()).await.refused(413, "body_too_large");
    let answer = api.send("POST", "/batch", &json_type, long()).await.refused(400, "invalid_body");
    assert_ne!(answer.status, 413, "a batch may be longer");
    api.send("POST", "/batch", &json_type, Body::from(vec![b' '; (32 << 20) + 1]))
        .await
        .refused(413, "body_too_large");
    api.send("GET", "/items", &[], Body::empty()).await.refused(405, "method_not_allowed");
    api.post("/nothing", json!({})).await.refused(404, "no_such_route");
}

#[tokio::test]
async fn what_the_domain_refuses_is_422_with_its_code_and_field() {
    let api = Api::new();
    let place = api.board().await;
    let before = api.watermark();
    let item = |extra: Value| {
        let mut item = json!({"boardId": place.board, "title": "x"});
        item.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        item
    };
    for (extra, code, field) in [
        (json!({"title": " "}), "title_empty", "title"),
        (json!({"title": "x".repeat(1001)}), "too_long", "title"),
        (json!({"description": "x".repeat(4_000_001)}), "too_long", "description"),
        (json!({"columnId": place.board}), "no_such_column", "columnId"),
        (json!({"projectId": place.board}), "contradiction", "projectId"),
        (json!({"externalKey": "K-1", "id": place.board}), "contradiction", "id"),
    ] {
        let answer = api.post("/items", item(extra)).await.refused(422, code);
        assert_eq!(answer.body["field"], field);
    }
    let missing = json!({"boardId": place.project, "title": "x"});
    assert_eq!(api.post("/items", missing).await.refused(404, "not_found").body["field"], "boardId");
    // Within every limit of the domain, and still more than an event holds once it is JSON.
    let escaped = item(json!({"description": "\u{1}".repeat(1_000_000)}));
    api.post("/items", escaped).await.refused(413, "event_too_large");
    assert_eq!(api.watermark(), before, "nothing was written");
}

#[tokio::test]
async fn a_field_holds_what_its_board_says_and_a_due_date_is_a_day() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let path = format!("/items/{item}");
    let set = |value: Value| json!({"fields": {"priority": {"set": value}}});
    api.patch(&path, set(json!(7))).await.is(200);
    let choice = json!({"name": "priority", "kind": "choice", "options": ["low", "high"]});
    api.post(&format!("/boards/{}/fields", place.board), choice).await.is(200);
    let before = api.watermark();
    let wrong = api.patch(&path, set(json!(8))).await.refused(422, "field_type");
    assert_eq!(wrong.body["field"], "fields.priority");
    let detail = wrong.body["detail"].as_str().unwrap();
    assert!(detail.contains(r#"one of: "low", "high", not a number"#), "{detail}");
    let new = |priority: &str| json!({"boardId": place.board, "title": "x", "dueDate": "2024-02-29", "fields": {"priority": priority}});
    api.post("/items", new("urgent")).await.refused(422, "field_type");
    let commands = vec![json!({"command": "item.create", "data": new("urgent")})];
    let refused = api.batch(commands).await.is(200);
    assert_eq!(refused.body["results"][0]["problem"]["code"], "field_type");
    for day in ["2026-02-29", "2026-02-28T00:00:00Z", "tomorrow"] {
        let answer = api.patch(&path, json!({"dueDate": day})).await;
        assert_eq!((answer.status, &answer.body["field"]), (400, &json!("dueDate")), "{answer:?}");
    }
    assert_eq!(api.watermark(), before, "nothing was written");
    // What is there may stay, and go.
    assert_eq!(api.patch(&path, set(json!(7))).await.is(200).body["status"], "unchanged");
    api.patch(&path, set(json!("high"))).await.is(200);
    api.patch(&path, json!({"dueDate": "2026-03-01"})).await.is(200);
    assert_eq!(api.patch(&path, json!({"dueDate": "2026-03-01"})).await.is(200).body["status"], "unchanged");
    api.patch(&path, json!({"dueDate": null})).await.is(200);
    api.post("/items", new("low")).await.is(201);
}

#[tokio::test]
async fn a_limited_column_takes_no_more_than_its_limit() {
    let api = Api::new();
    let place = api.board().await;
    let first = api.item(&place).await;
    let column = format!("/boards/{}/columns/{}", place.board, place.done);
    api.patch(&column, json!({"wipLimit": 2})).await.is(200);
    let to_done = json!({"columnId": place.done});
    api.post(&format!("/items/{first}/move"), to_done.clone()).await.is(200);
    let created = json!({"boardId": place.board, "columnId": place.done, "title": "second"});
    api.post("/items", created.clone()).await.is(201);
    let full = api.post("/items", created.clone()).await.refused(422, "wip_limit_reached");
    assert_eq!(full.body["field"], "columnId");
    let commands = vec![json!({"command": "item.create", "data": created})];
    let full = api.batch(commands).await.is(200);
    assert_eq!(full.body["results"][0]["problem"]["code"], "wip_limit_reached");
    // Staying is not coming, and leaving makes room.
    api.post(&format!("/items/{first}/move"), to_done).await.is(200);
    api.delete(&format!("/items/{first}")).await.is(200);
    api.post("/items", created).await.is(201);
}

#[tokio::test]
async fn external_keys_make_ids() {
    let api = Api::new();
    let workspace = api.post("/workspaces", json!({"name": "Acme", "externalKey": "acme"})).await.is(201);
    let id = WorkspaceId::derive("acme");
    assert_eq!(workspace.id(), id.to_string());
    let project = json!({"workspaceId": id, "name": "P", "externalKey": "p"});
    let project = api.post("/projects", project).await.is(201);
    let board = json!({"projectId": project.id(), "name": "B", "columns": [{"name": "todo"}]});
    let board = api.post("/boards", board).await.is(201);
    let item = json!({"boardId": board.id(), "title": "x", "externalKey": "ACME-1"});
    let made = api.post("/items", item.clone()).await.is(201);
    assert_eq!(made.id(), ItemId::derive(id, "ACME-1").to_string());
    api.post("/items", item).await.refused(409, "already_exists");
}

#[tokio::test]
async fn a_version_that_is_demanded_of_what_is_to_be_created_cannot_hold() {
    let api = Api::new();
    let place = api.board().await;
    let item = json!({"boardId": place.board, "title": "new"});
    for demanded in ["*", "\"0\""] {
        let answer = api.with("POST", "/items", &[("if-match", demanded)], &item).await;
        answer.refused(412, "version_conflict");
    }
    let item = json!({"boardId": place.board, "title": "new", "expectedVersion": 0});
    let answer = api.post("/items", item).await.refused(409, "version_conflict");
    assert_eq!((&answer.body["expectedVersion"], &answer.body["currentVersion"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn two_versions_that_contradict_one_another_are_refused() {
    let api = Api::new();
    let place = api.board().await;
    let path = format!("/items/{}", api.item(&place).await);
    let answer = api.patch(&path, json!({"title": "x", "expectedVersion": 99, "baseVersion": 0})).await;
    assert_eq!(answer.refused(422, "contradiction").body["field"], "baseVersion");
    api.patch(&path, json!({"title": "x", "expectedVersion": 0, "baseVersion": 0})).await.is(200);
}

#[tokio::test]
async fn a_body_that_names_another_thing_than_the_path_is_refused() {
    let api = Api::new();
    let place = api.board().await;
    let (item, other) = (api.item(&place).await, api.item(&place).await);
    let path = format!("/items/{item}/comments");
    let answer = api.post(&path, json!({"itemId": other, "body": "x"})).await.refused(422, "contradiction");
    assert_eq!(answer.body["field"], "itemId");
    api.post(&path, json!({"itemId": item.to_uppercase(), "body": "x"})).await.is(201);
    let members = format!("/boards/{}/members", place.board);
    api.post(&members, json!({"member": "ann", "role": "member"})).await.is(200);
    let answer = api.patch(&format!("{members}/ann"), json!({"member": "bob", "role": "admin"})).await;
    answer.refused(422, "contradiction");
}

#[tokio::test]
async fn a_comment_of_a_deleted_item_is_not_edited_but_may_be_deleted() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let comment = api.post(&format!("/items/{item}/comments"), json!({"body": "hello"})).await.is(201);
    let path = format!("/comments/{}", comment.id());
    api.delete(&format!("/items/{item}")).await.is(200);
    assert_eq!(api.patch(&path, json!({"body": "x"})).await.refused(410, "gone").body["field"], "itemId");
    api.delete(&path).await.is(200);
}

#[tokio::test]
async fn nothing_is_created_in_what_is_archived() {
    let api = Api::new();
    let place = api.board().await;
    let item = json!({"boardId": place.board, "title": "late"});
    let project = format!("/projects/{}", place.project);
    api.delete(&project).await.is(200);
    let refused = api.post("/items", item.clone()).await.refused(422, "archived");
    assert_eq!(refused.body["field"], "boardId");
    let batch = api.batch(vec![json!({"command": "item.create", "data": item})]).await.is(200);
    assert_eq!(batch.body["results"][0]["problem"]["code"], "archived");
    api.post(&format!("{project}/restore"), json!({})).await.is(200);
    api.post("/items", item.clone()).await.is(201);
    api.batch(vec![json!({"command": "workspace.archive", "id": place.workspace})]).await.is(200);
    api.post("/items", item).await.refused(422, "archived");
}
