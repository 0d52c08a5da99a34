//! The same key and content gets the first answer again, for ever; other content is refused.

use crate::common::Api;
use serde_json::{Value, json};

#[tokio::test]
async fn the_first_answer_comes_again_also_after_a_restart() {
    let api = Api::new();
    let place = api.board().await;
    let body = json!({"boardId": place.board, "title": "once"});
    let key = [("idempotency-key", "k-1")];
    let first = api.with("POST", "/items", &key, &body).await.is(201);
    let watermark = api.watermark();
    let path = format!("/items/{}", first.id());
    // What happens later does not change the answer.
    api.patch(&path, json!({"title": "later"})).await.is(200);
    let again = api.with("POST", "/items", &key, &body).await.is(201);
    assert_eq!(again.lasting(), first.lasting());

    let api = api.reopen();
    let again = api.with("POST", "/items", &key, &body).await.is(201);
    assert_eq!(again.body, first.body);
    assert_eq!(api.watermark().get(), watermark.get() + 1, "nothing but the later change was added");
    let other = json!({"boardId": place.board, "title": "twice"});
    api.with("POST", "/items", &key, &other).await.refused(422, "idempotency_key_reused");
    api.with("PATCH", &path, &key, &json!({"title": "x"})).await.refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn an_unchanged_command_is_remembered_with_the_version_it_found() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let path = format!("/items/{item}");
    let key = [("idempotency-key", "nothing")];
    let same = json!({"title": "An item"});
    let first = api.with("PATCH", &path, &key, &same).await.is(200);
    assert_eq!(first.body["status"], "unchanged");
    api.patch(&path, json!({"title": "another"})).await.is(200);
    let api = api.reopen();
    let again = api.with("PATCH", &path, &key, &same).await.is(200);
    assert_eq!(again.body, first.body, "still unchanged, although it would change something now");
    assert_eq!(api.events(&format!("item-{item}")).len(), 2);
}

/// One command of every kind, each with what it needs done before it; the path's last `*` is the item.
fn every_command(
    place: &crate::common::Place,
    item: &str,
    comment: &str,
) -> Vec<(&'static str, String, Value)> {
    let board = format!("/boards/{}", place.board);
    let project = format!("/projects/{}", place.project);
    let workspace = format!("/workspaces/{}", place.workspace);
    let path = |rest: &str| format!("/items/{item}{rest}");
    let other = "00000000-0000-7000-8000-0000000000aa";
    vec![
        ("POST", "/workspaces".to_owned(), json!({"name": "more"})),
        ("PATCH", workspace.clone(), json!({"name": "renamed"})),
        ("POST", format!("{workspace}/members"), json!({"member": "ann"})),
        ("DELETE", format!("{workspace}/members/ann"), json!({})),
        ("POST", "/projects".to_owned(), json!({"workspaceId": place.workspace, "name": "more"})),
        ("PATCH", project.clone(), json!({"description": "what for"})),
        (
            "POST",
            "/boards".to_owned(),
            json!({"projectId": place.project, "name": "b", "columns": [{"name": "c"}]}),
        ),
        ("PATCH", board.clone(), json!({"name": "renamed"})),
        ("POST", format!("{board}/columns"), json!({"name": "third"})),
        ("PATCH", format!("{board}/columns/{}", place.todo), json!({"wipLimit": 9})),
        ("POST", format!("{board}/columns/{}/move", place.todo), json!({"index": 1})),
        ("POST", format!("{board}/members"), json!({"member": "bob"})),
        ("PATCH", format!("{board}/members/bob"), json!({"role": "viewer"})),
        ("DELETE", format!("{board}/members/bob"), json!({})),
        ("POST", format!("{board}/fields"), json!({"name": "size", "kind": "number"})),
        ("DELETE", format!("{board}/fields/size"), json!({})),
        ("POST", "/items".to_owned(), json!({"boardId": place.board, "title": "more"})),
        ("PATCH", path(""), json!({"title": "An item"})),
        ("PATCH", path(""), json!({"title": "renamed"})),
        ("POST", path("/move"), json!({"columnId": place.done})),
        ("POST", path("/rank"), json!({"rank": "b"})),
        ("POST", path("/assign"), json!({"assignees": ["ann", "bob"]})),
        ("POST", path("/assign"), json!({"assignees": ["cid"], "remove": ["bob"]})),
        ("POST", path("/unassign"), json!({"assignees": ["ann"]})),
        ("POST", path("/complete"), json!({"resolution": "Done"})),
        ("POST", path("/reopen"), json!({})),
        ("POST", path("/links"), json!({"kind": "blocks", "itemId": other})),
        ("POST", path("/unlink"), json!({"kind": "blocks", "itemId": other})),
        ("POST", path("/attachments"), json!({"id": other, "name": "a.txt"})),
        ("POST", path("/attachments"), json!({"name": "b.txt"})),
        ("DELETE", path(&format!("/attachments/{other}")), json!({})),
        ("POST", path("/comments"), json!({"body": "more"})),
        ("PATCH", format!("/comments/{comment}"), json!({"body": "edited"})),
        ("DELETE", format!("/comments/{comment}"), json!({})),
        ("DELETE", path(""), json!({})),
        ("DELETE", format!("{board}/columns/{}", place.todo), json!({"itemsTo": place.done})),
        ("DELETE", board, json!({})),
        ("POST", format!("{project}/archive"), json!({})),
        ("POST", format!("{project}/restore"), json!({})),
        ("DELETE", project, json!({})),
        ("POST", format!("{workspace}/archive"), json!({})),
    ]
}

#[tokio::test]
async fn every_command_answers_the_same_again_whatever_happened_since() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let comment = api.post(&format!("/items/{item}/comments"), json!({"body": "hello"})).await.is(201);
    let commands = every_command(&place, &item, comment.id());
    let mut first = Vec::new();
    for (index, (method, path, body)) in commands.iter().enumerate() {
        let key = format!("every-{index}");
        let answer = api.with(method, path, &[("idempotency-key", &key)], body).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        assert!(answer.headers.contains_key("etag"), "{method} {path}");
        first.push(answer);
    }
    let api = api.reopen();
    let watermark = api.watermark();
    for (index, (method, path, body)) in commands.iter().enumerate() {
        let key = format!("every-{index}");
        // What was demanded of the version is not asked again: it cannot hold any more.
        let headers = [("idempotency-key", key.as_str()), ("if-match", "\"77\""), ("if-none-match", "*")];
        let again = api.with(method, path, &headers, body).await;
        assert_eq!(again.lasting(), first[index].lasting(), "{method} {path}");
    }
    assert_eq!(api.watermark(), watermark);
}

#[tokio::test]
async fn each_command_of_a_repeated_atomic_batch_has_the_version_that_it_made() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let update = |title: &str| json!({"command": "item.update", "id": item, "idempotencyKey": format!("k-{title}"), "data": {"title": title}});
    let assign = json!({"command": "item.assign", "id": item, "idempotencyKey": "k-a", "data": {"assignees": ["ann", "bob"]}});
    let swap = json!({"command": "item.assign", "id": item, "idempotencyKey": "k-s", "data": {"assignees": ["cid"], "remove": ["bob"]}});
    // Unchanged, one event, unchanged again, one, two.
    let commands = vec![update("An item"), update("b"), update("b "), assign, swap];
    let mut commands = commands;
    commands[2] =
        json!({"command": "item.update", "id": item, "idempotencyKey": "k-same", "data": {"title": "b"}});
    let first = api.atomic(commands.clone()).await.is(200);
    let versions = |answer: &crate::common::Answer| -> Vec<Value> {
        let results = answer.body["results"].as_array().unwrap();
        results.iter().map(|result| result["version"].clone()).collect()
    };
    assert_eq!(versions(&first), [0, 1, 1, 2, 4]);
    api.patch(&format!("/items/{item}"), json!({"title": "later"})).await.is(200);
    let api = api.reopen();
    assert_eq!(versions(&api.atomic(commands.clone()).await.is(200)), [0, 1, 1, 2, 4]);
    assert_eq!(versions(&api.batch(commands).await.is(200)), [0, 1, 1, 2, 4]);
}

#[tokio::test]
async fn a_key_names_a_whole_batch() {
    let api = Api::new();
    let place = api.board().await;
    for is_atomic in [false, true] {
        let name = format!("whole-{is_atomic}");
        let key = [("idempotency-key", name.as_str())];
        let create =
            |title: &str| json!({"command": "item.create", "data": {"boardId": place.board, "title": title}});
        let own = json!({"command": "item.create", "idempotencyKey": format!("own-{is_atomic}"), "data": {"boardId": place.board, "title": "own"}});
        let batch = json!({"atomic": is_atomic, "commands": [create("x"), create("x"), own]});
        let first = api.with("POST", "/batch", &key, &batch).await.is(200);
        let watermark = api.watermark();
        let ids = |answer: &crate::common::Answer| -> Vec<Value> {
            (0..3).map(|index| answer.body["results"][index]["id"].clone()).collect()
        };
        assert_ne!(ids(&first)[0], ids(&first)[1]);
        let again = api.with("POST", "/batch", &key, &batch).await.is(200);
        assert_eq!((ids(&again), &again.body["position"]), (ids(&first), &first.body["position"]));
        let statuses =
            again.body["results"].as_array().unwrap().iter().map(|result| result["status"].clone());
        assert!(statuses.into_iter().all(|status| status == "duplicate"), "{again:?}");
        // A different batch under the name does nothing at all, and neither does a single command.
        let other = json!({"atomic": is_atomic, "commands": [create("x"), create("x"), create("y")]});
        api.with("POST", "/batch", &key, &other).await.refused(422, "idempotency_key_reused");
        let single = json!({"boardId": place.board, "title": "x"});
        api.with("POST", "/items", &key, &single).await.refused(422, "idempotency_key_reused");
        assert_eq!(api.watermark(), watermark);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_body_under_a_key_in_flight_waits_and_is_refused() {
    let api = std::sync::Arc::new(Api::new());
    let place = api.board().await;
    let before = api.watermark().get();
    let all: Vec<_> = (0..16)
        .map(|number| {
            let api = std::sync::Arc::clone(&api);
            let body = json!({"boardId": place.board, "title": format!("title {number}")});
            let key = [("idempotency-key", "one of them")];
            tokio::spawn(async move { api.with("POST", "/items", &key, &body).await })
        })
        .collect();
    let mut made = 0;
    for one in all {
        let answer = one.await.unwrap();
        if answer.status == 201 {
            made += 1;
        } else {
            answer.refused(422, "idempotency_key_reused");
        }
    }
    assert_eq!((made, api.watermark().get()), (1, before + 1));
}

#[tokio::test]
async fn a_refused_command_is_not_remembered() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let key = [("idempotency-key", "later")];
    let to = json!({"columnId": "00000000-0000-4000-8000-000000000001"});
    let path = format!("/items/{item}/move");
    api.with("POST", &path, &key, &to).await.refused(422, "no_such_column");
    let column = json!({"id": "00000000-0000-4000-8000-000000000001", "name": "new"});
    api.post(&format!("/boards/{}/columns", place.board), column).await.is(201);
    api.with("POST", &path, &key, &to).await.is(200);
}

#[tokio::test]
async fn a_part_without_an_id_of_its_own_gets_the_same_one_again() {
    let api = Api::new();
    let place = api.board().await;
    let path = format!("/boards/{}/columns", place.board);
    let key = [("idempotency-key", "column")];
    let first = api.with("POST", &path, &key, &json!({"name": "new"})).await.is(201);
    let again = api.with("POST", &path, &key, &json!({"name": "new"})).await.is(201);
    assert_eq!(again.body, first.body);
    let events = api.payloads(&format!("board-{}", place.board));
    assert_eq!(events.last().unwrap().1["columnId"], first.body["columnId"]);
}

#[tokio::test]
async fn the_same_key_many_times_at_once_is_done_once() {
    let api = Api::new();
    let place = api.board().await;
    let before = api.watermark().get();
    let body = json!({"boardId": place.board, "title": "once"});
    let all: Vec<_> = (0..16)
        .map(|_| {
            let router = api.router.clone();
            let body = body.clone();
            tokio::spawn(async move {
                use tower::ServiceExt;
                let request = axum::http::Request::post("/api/v1/items")
                    .header("content-type", "application/json")
                    .header("idempotency-key", "at once")
                    .body(axum::body::Body::from(body.to_string()))
                    .unwrap();
                router.oneshot(request).await.unwrap().headers()["location"].clone()
            })
        })
        .collect();
    let mut locations = Vec::new();
    for one in all {
        locations.push(one.await.unwrap());
    }
    locations.dedup();
    assert_eq!(locations.len(), 1, "{locations:?}");
    assert_eq!(api.watermark().get(), before + 1);
}

#[tokio::test]
async fn a_repeated_batch_names_each_of_the_things_that_it_made() {
    let api = Api::new();
    let place = api.board().await;
    for is_atomic in [false, true] {
        let create = |key: &str| json!({"command": "item.create", "idempotencyKey": format!("{key}-{is_atomic}"), "data": {"boardId": place.board, "title": key}});
        let batch = json!({"atomic": is_atomic, "commands": [create("x"), create("y")]});
        let first = api.post("/batch", batch.clone()).await.is(200);
        let again = api.post("/batch", batch).await.is(200);
        assert_ne!(first.body["results"][0]["id"], first.body["results"][1]["id"]);
        for index in 0..2 {
            let (first, again) = (&first.body["results"][index], &again.body["results"][index]);
            assert_eq!(again["status"], "duplicate");
            assert_eq!((&again["id"], &again["version"]), (&first["id"], &first["version"]));
        }
    }
}

#[tokio::test]
async fn a_repeated_atomic_batch_gives_each_thing_its_own_version() {
    let api = Api::new();
    let place = api.board().await;
    let (one, other) = (api.item(&place).await, api.item(&place).await);
    api.patch(&format!("/items/{other}"), json!({"title": "b"})).await.is(200);
    let update = |id: &str, title: &str| json!({"command": "item.update", "id": id, "idempotencyKey": format!("{id}{title}"), "data": {"title": title}});
    // The first one changes nothing; the commit holds another stream only.
    let commands = vec![update(&one, "An item"), update(&other, "c")];
    let first = api.atomic(commands.clone()).await.is(200);
    let again = api.atomic(commands.clone()).await.is(200);
    let apart = api.batch(commands).await.is(200);
    for index in 0..2 {
        for name in ["id", "version"] {
            assert_eq!(again.body["results"][index][name], first.body["results"][index][name], "{index}");
            assert_eq!(apart.body["results"][index][name], first.body["results"][index][name], "{index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_equal_batches_at_once_name_the_same_things() {
    let api = std::sync::Arc::new(Api::new());
    let place = api.board().await;
    let before = api.watermark().get();
    let commands: Vec<_> = (0..50)
        .map(|number| json!({"command": "item.create", "idempotencyKey": format!("k{number}"), "data": {"boardId": place.board, "title": "x"}}))
        .collect();
    let send = || {
        let (api, commands) = (std::sync::Arc::clone(&api), commands.clone());
        tokio::spawn(async move { api.batch(commands).await.is(200) })
    };
    let (one, other) = (send(), send());
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    for index in 0..commands.len() {
        let id = &one.body["results"][index]["id"];
        assert_eq!(&other.body["results"][index]["id"], id);
        assert_eq!(api.events(&format!("item-{}", id.as_str().unwrap())), ["item.created"]);
    }
    assert_eq!(api.watermark().get(), before + 50);
}

#[tokio::test]
async fn the_demanded_version_is_part_of_what_a_command_of_a_batch_says() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let update = |version: u64| json!({"command": "item.update", "id": item, "idempotencyKey": "k", "expectedVersion": version, "data": {"title": "new"}});
    api.batch(vec![update(0)]).await.is(200);
    let again = api.batch(vec![update(0), update(7)]).await.is(200);
    assert_eq!(again.body["results"][0]["status"], "duplicate");
    assert_eq!(again.body["results"][1]["problem"]["code"], "idempotency_key_reused");
}
