//! Many writers at once: nothing is lost, and every success has its event.

use crate::common::{Api, Place};
use command_api::service::{Conditions, Intent, Order, Origin, Refusal};
use domain::DomainError;
use eventstore::{CommandId, Fingerprint};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
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

/// Carries out requests at once and counts the answers by code; a success is `ok`.
async fn at_once(api: &Arc<Api>, requests: Vec<(&'static str, String, Value)>) -> BTreeMap<String, usize> {
    let all: Vec<_> = requests
        .into_iter()
        .map(|(method, path, body)| {
            let api = Arc::clone(api);
            tokio::spawn(async move { api.with(method, &path, &[], &body).await })
        })
        .collect();
    let mut codes = BTreeMap::new();
    for one in all {
        let answer = one.await.unwrap();
        let code = if answer.status < 300 { "ok" } else { answer.code() };
        *codes.entry(code.to_owned()).or_default() += 1;
    }
    codes
}

/// Items in a column, as the log has them; never more than `limit` at any time, if there is one.
fn occupancy(api: &Api, column: &str, limit: i64) -> i64 {
    let mut count = 0;
    for commit in api.store.commits(eventstore::Position::ZERO) {
        for event in commit.unwrap().events() {
            let data: Value = serde_json::from_slice(event.payload()).unwrap();
            match event.event_type() {
                "item.created" | "item.deleted" if data["columnId"] == column => {
                    count += if event.event_type() == "item.created" { 1 } else { -1 };
                }
                "item.moved" if data["toColumn"] == column => count += 1,
                "item.moved" if data["fromColumn"] == column => count -= 1,
                _ => {}
            }
            assert!((0..=limit).contains(&count), "{count} of {limit} at {}", event.position());
        }
    }
    count
}

/// Items in the column "todo".
async fn items(api: &Api, place: &Place, count: usize) -> Vec<String> {
    let create = json!({"command": "item.create", "data": {"boardId": place.board, "columnId": place.todo, "title": "x"}});
    let answer = api.batch(vec![create; count]).await.is(200);
    let results = answer.body["results"].as_array().unwrap().clone();
    results.iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_moves_into_5_places_5_succeed() {
    let api = Arc::new(Api::new());
    let place = api.board().await;
    api.patch(&format!("/boards/{}/columns/{}", place.board, place.done), json!({"wipLimit": 5}))
        .await
        .is(200);
    let to_done = json!({"columnId": place.done});
    let moves = items(&api, &place, 200).await;
    let moves = moves.iter().map(|item| ("POST", format!("/items/{item}/move"), to_done.clone())).collect();
    let codes = at_once(&api, moves).await;
    assert_eq!(codes, BTreeMap::from([("ok".to_owned(), 5), ("wip_limit_reached".to_owned(), 195)]));
    assert_eq!(occupancy(&api, &place.done, 5), 5);
}

#[tokio::test]
async fn the_service_itself_admits_5_of_200_moves() {
    let api = Api::new();
    let place = api.board().await;
    api.patch(&format!("/boards/{}/columns/{}", place.board, place.done), json!({"wipLimit": 5}))
        .await
        .is(200);
    let all = items(&api, &place, 200).await;
    let order = |item: &String| Order {
        target: Some(item.parse().unwrap()),
        intent: Intent::MoveItem(serde_json::from_value(json!({"columnId": place.done})).unwrap()),
        conditions: Conditions::default(),
        command: CommandId::derive(&[item.as_bytes()]),
        fingerprint: Fingerprint::of(&[]),
        origin: Origin::default(),
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let moves: Vec<_> = all
            .iter()
            .map(order)
            .map(|order| {
                scope.spawn({
                    let service = &api.service;
                    move || service.execute(&order)
                })
            })
            .collect();
        moves.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let is_full = |outcome: &Result<_, Refusal>| {
        matches!(outcome, Err(Refusal::Domain(DomainError::WipLimitReached { limit: 5, .. })))
    };
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    assert_eq!(outcomes.iter().filter(|outcome| is_full(outcome)).count(), 195);
    assert_eq!(occupancy(&api, &place.done, 5), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_items_that_leave_exhausts_nobody() {
    let api = Arc::new(Api::new());
    let place = api.board().await;
    let column = format!("/boards/{}/columns/{}", place.board, place.done);
    let all = items(&api, &place, 180).await;
    let path = |item: &String, rest: &str| format!("/items/{item}{rest}");
    let to_done = json!({"columnId": place.done});
    let (leaving, coming) = all.split_at(60);
    let bulk = json!({"ids": leaving, "command": "item.move", "data": to_done});
    api.post("/items/bulk", bulk).await.is(200);
    // 60 are there and 65 may be: as many come as leave, and 5 more at most.
    api.patch(&column, json!({"wipLimit": 65})).await.is(200);
    let mut requests = Vec::new();
    for (index, item) in coming.iter().enumerate() {
        requests.push(("POST", path(item, "/move"), to_done.clone()));
        match leaving.get(index / 2) {
            Some(item) if index % 4 == 0 => requests.push(("DELETE", path(item, ""), json!({}))),
            Some(item) if index % 4 == 2 => {
                requests.push(("POST", path(item, "/move"), json!({"columnId": place.todo})));
            }
            _ => {}
        }
    }
    assert_eq!(requests.len(), 180);
    let codes = at_once(&api, requests).await;
    let (ok, full) = (codes["ok"], codes.get("wip_limit_reached").copied().unwrap_or(0));
    assert_eq!(ok + full, 180, "nothing but these: {codes:?}");
    assert!((60 + 5..=60 + 65).contains(&ok), "{codes:?}");
    assert_eq!(occupancy(&api, &place.done, 65), i64::try_from(ok).unwrap() - 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn items_that_go_to_and_fro_between_limited_columns_block_nobody() {
    let api = Arc::new(Api::new());
    let place = api.board().await;
    let columns = format!("/boards/{}/columns", place.board);
    let third = api.post(&columns, json!({"name": "third", "wipLimit": 8})).await.is(201);
    let third = third.body["columnId"].as_str().unwrap().to_owned();
    api.patch(&format!("{columns}/{}", place.done), json!({"wipLimit": 8})).await.is(200);
    let all = items(&api, &place, 16).await;
    let mut fronts = vec![];
    for (index, item) in all.iter().enumerate() {
        let to = if index % 2 == 0 { &place.done } else { &third };
        fronts.push(("POST", format!("/items/{item}/move"), json!({"columnId": to})));
    }
    assert_eq!(at_once(&api, fronts).await, BTreeMap::from([("ok".to_owned(), 16)]));
    // Both are full: who is here wants there. Atomic batches swap two of them.
    let mut requests = Vec::new();
    for pair in all.chunks(2) {
        let to = |item: &String, column: &String| json!({"command": "item.move", "id": item, "data": {"columnId": column}});
        let out = json!({"command": "item.move", "id": pair[0], "data": {"columnId": place.todo}});
        let swap = vec![out, to(&pair[1], &place.done), to(&pair[0], &third)];
        requests.push(("POST", "/batch".to_owned(), json!({"atomic": true, "commands": swap})));
        requests.push(("POST", format!("/items/{}/move", pair[1]), json!({"columnId": place.done})));
    }
    let codes = at_once(&api, requests).await;
    assert!(
        codes.keys().all(|code| ["ok", "wip_limit_reached", "batch_refused"].contains(&code.as_str())),
        "{codes:?}"
    );
    assert!(occupancy(&api, &place.done, 8) + occupancy(&api, &third, 8) <= 16);
}

#[tokio::test]
async fn a_limit_below_what_is_there_only_stops_further_items() {
    let api = Api::new();
    let place = api.board().await;
    let all = items(&api, &place, 3).await;
    let to = |item: &String, column: &String| (format!("/items/{item}/move"), json!({"columnId": column}));
    for item in &all[..2] {
        let (path, body) = to(item, &place.done);
        api.post(&path, body).await.is(200);
    }
    api.patch(&format!("/boards/{}/columns/{}", place.board, place.done), json!({"wipLimit": 1}))
        .await
        .is(200);
    let (path, body) = to(&all[2], &place.done);
    api.post(&path, body.clone()).await.refused(422, "wip_limit_reached");
    for item in &all[..2] {
        let (path, body) = to(item, &place.todo);
        api.post(&path, body).await.is(200);
    }
    api.post(&path, body).await.is(200);
}

#[tokio::test]
async fn columns_of_two_boards_with_one_id_are_two_columns() {
    let api = Api::new();
    let column = uuid::Uuid::from_u128(0xc01);
    for _ in 0..2 {
        let place = api.board().await;
        let add = json!({"id": column, "name": "limited", "wipLimit": 1});
        api.post(&format!("/boards/{}/columns", place.board), add).await.is(201);
        let item = json!({"boardId": place.board, "columnId": column, "title": "x"});
        api.post("/items", item.clone()).await.is(201);
        api.post("/items", item).await.refused(422, "wip_limit_reached");
    }
}
