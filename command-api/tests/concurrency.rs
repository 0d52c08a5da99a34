//! Many writers at once: nothing is lost, and every success has its event.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Api;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_one_item_lose_nothing() {
    const WRITERS: usize = 8;
    const EACH: usize = 20;
    let api = Arc::new(Api::new());
    let place = api.board().await;
    let item = api.item(&place).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (api, item) = (Arc::clone(&api), item.clone());
            tokio::spawn(async move {
                for round in 0..EACH {
                    let name = format!("{writer}-{round}");
                    let edit = json!({"fields": {"list": {"add": [name]}}});
                    // Half of them alone, half of them in batches with other commands around.
                    if writer % 2 == 0 {
                        api.patch(&format!("/items/{item}"), edit).await.is(200);
                    } else {
                        let command =
                            |data: &Value| json!({"command": "item.update", "id": item, "data": data});
                        let mark = |mark: &str| json!({"fields": {"mark": {"set": format!("{name}{mark}")}}});
                        let commands = vec![command(&mark("a")), command(&edit), command(&mark("b"))];
                        let answer = api.batch(commands).await.is(200);
                        let results = answer.body["results"].as_array().unwrap();
                        assert!(results.iter().all(|result| result["status"] == "applied"), "{answer:?}");
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let events = api.payloads(&format!("item-{item}"));
    assert_eq!(events.len(), 1 + WRITERS / 2 * EACH + WRITERS / 2 * EACH * 3);
    // Each change begins where the one before it ended.
    let mut list = Value::Null;
    for (_, data) in &events[1..] {
        if let Some(change) = data["changes"].get("list") {
            assert_eq!(change["from"], list);
            list = change["to"].clone();
        }
    }
    let names: BTreeSet<_> = list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names.len(), WRITERS * EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_item_lands_in_a_column_that_is_being_removed() {
    let api = Arc::new(Api::new());
    let place = api.board().await;
    for round in 0..20 {
        let column = json!({"name": format!("c{round}")});
        let columns = format!("/boards/{}/columns", place.board);
        let column = api.post(&columns, column).await.is(201).body["columnId"].as_str().unwrap().to_owned();
        let creating = {
            let (api, place, column) = (Arc::clone(&api), place.clone(), column.clone());
            tokio::spawn(async move {
                let item = json!({"boardId": place.board, "columnId": column, "title": "x"});
                for _ in 0..5 {
                    let answer = api.post("/items", item.clone()).await;
                    assert!([201, 422].contains(&answer.status), "{answer:?}");
                }
            })
        };
        let heir = json!({"itemsTo": place.todo});
        api.with("DELETE", &format!("{columns}/{column}"), &[], &heir).await.is(200);
        creating.await.unwrap();
    }
    // In the order of the log, an item is only ever created in a column that is there.
    let mut removed = BTreeSet::new();
    for commit in api.store.commits(eventstore::Position::ZERO) {
        for event in commit.unwrap().events() {
            let data: Value = serde_json::from_slice(event.payload()).unwrap();
            match event.event_type() {
                "board.column_removed" => drop(removed.insert(data["columnId"].to_string())),
                "item.created" => assert!(!removed.contains(&data["columnId"].to_string()), "{data}"),
                _ => {}
            }
        }
    }
    assert_eq!(removed.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_holds_against_many_at_once() {
    let api = Arc::new(Api::new());
    let place = api.board().await;
    let column = format!("/boards/{}/columns/{}", place.board, place.done);
    api.patch(&column, json!({"wipLimit": 5})).await.is(200);
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (api, place) = (Arc::clone(&api), place.clone());
            tokio::spawn(async move {
                let item = json!({"boardId": place.board, "columnId": place.done, "title": "x"});
                let mut created = 0;
                for _ in 0..3 {
                    let answer = api.post("/items", item.clone()).await;
                    match answer.status {
                        201 => created += 1,
                        _ => drop(answer.refused(422, "wip_limit_reached")),
                    }
                }
                created
            })
        })
        .collect();
    let mut created = 0;
    for writer in writers {
        created += writer.await.unwrap();
    }
    assert_eq!(created, 5);
}
