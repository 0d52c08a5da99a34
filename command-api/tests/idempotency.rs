//! The same key and content gets the first answer again, for ever; other content is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Api;
use serde_json::json;

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
    assert_eq!(again.body, first.body);
    for name in ["etag", "location", "sunday-position"] {
        assert_eq!(again.headers[name], first.headers[name], "{name}");
    }
    assert_eq!(again.headers["idempotent-replayed"], "true");

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
