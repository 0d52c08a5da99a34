//! Versions that are demanded, and commands whose sender saw an older one: merged, or refused with what both sides want.

use crate::common::{Answer, Api, Place};
use serde_json::{Value, json};

const ANY: &str = "00000000-0000-7000-8000-000000000000";

/// An item at version 0, and what happened to it since.
async fn item_with(api: &Api, place: &Place, since: &[(&str, Value)]) -> String {
    let fields = json!({"labels": ["a"], "size": 1});
    let item = json!({"boardId": place.board, "columnId": place.todo, "title": "zero", "fields": fields});
    let item = api.post("/items", item).await.is(201).id().to_owned();
    for (rest, body) in since {
        send(api, &item, rest, body.clone()).await.is(200);
    }
    item
}

async fn send(api: &Api, item: &str, rest: &str, body: Value) -> Answer {
    match rest {
        "" => api.patch(&format!("/items/{item}"), body).await,
        "DELETE" => api.with("DELETE", &format!("/items/{item}"), &[], &body).await,
        rest => api.post(&format!("/items/{item}/{rest}"), body).await,
    }
}

/// The same command on version 0, merged.
fn merged(mut body: Value) -> Value {
    body["baseVersion"] = 0.into();
    body["onConflict"] = "merge".into();
    body
}

#[tokio::test]
async fn what_touches_other_parts_is_merged() {
    let api = Api::new();
    let place = api.board().await;
    let edit = |change: Value| json!({ "fields": change });
    let to = |column: &str| json!({ "columnId": column });
    let people = |people: Value| json!({ "assignees": people });
    let cases = [
        ("", json!({"title": "theirs"}), "", json!({"description": "yours"})),
        ("", json!({"title": "same"}), "", json!({"title": "same"})),
        ("", edit(json!({"labels": {"add": ["b"]}})), "", edit(json!({"labels": {"add": ["c"], }}))),
        ("", edit(json!({"labels": {"add": ["b"]}})), "", edit(json!({"labels": {"remove": ["a"]}}))),
        ("", edit(json!({"size": {"set": 2}})), "", edit(json!({"labels": {"set": []}}))),
        ("assign", people(json!(["ann"])), "assign", people(json!(["bob"]))),
        ("assign", people(json!(["ann"])), "assign", people(json!(["ann"]))),
        ("assign", people(json!(["ann"])), "move", to(&place.done)),
        ("rank", json!({"rank": "b"}), "move", to(&place.done)),
        ("move", to(&place.done), "move", to(&place.done)),
        ("move", to(&place.done), "", json!({"title": "yours"})),
        ("complete", json!({"resolution": "Done"}), "complete", json!({})),
        ("links", json!({"kind": "blocks", "itemId": ANY}), "links", json!({"kind": "needs", "itemId": ANY})),
    ];
    for (rest, theirs, yours_rest, yours) in cases {
        let item = item_with(&api, &place, &[(rest, theirs.clone())]).await;
        let answer = send(&api, &item, yours_rest, merged(yours.clone())).await;
        assert_eq!(answer.status, 200, "{theirs} then {yours}: {answer:?}");
        let stale = json!({"baseVersion": 0, "title": "yours"});
        let stale = send(&api, &item, "", stale).await.refused(409, "version_conflict");
        assert_eq!(stale.body["currentVersion"], answer.body["version"], "refused unless merging is wanted");
    }
}

#[tokio::test]
async fn a_true_conflict_says_what_both_sides_want() {
    let api = Api::new();
    let place = api.board().await;
    let third = format!("/boards/{}/columns", place.board);
    let third = api.post(&third, json!({"name": "third"})).await.is(201).body["columnId"].clone();
    let edit = |change: Value| json!({ "fields": change });
    let conflict =
        |field: &str, theirs: Value, yours: Value| json!({"field": field, "theirs": theirs, "yours": yours});
    let cases = [
        (
            "",
            json!({"title": "theirs"}),
            "",
            json!({"title": "yours"}),
            conflict("title", json!("theirs"), json!("yours")),
        ),
        (
            "",
            json!({"description": "theirs"}),
            "",
            json!({"description": null}),
            conflict("description", json!("theirs"), Value::Null),
        ),
        (
            "",
            edit(json!({"size": {"set": 2}})),
            "",
            edit(json!({"size": {"set": 3}})),
            conflict("fields.size", json!(2), json!(3)),
        ),
        (
            "",
            edit(json!({"labels": {"remove": ["a"]}})),
            "",
            edit(json!({"labels": {"add": ["a", "b"]}})),
            conflict("fields.labels", json!([]), json!({"add": ["a"]})),
        ),
        (
            "",
            edit(json!({"labels": {"add": ["b"]}})),
            "",
            edit(json!({"labels": {"set": ["c"]}})),
            conflict("fields.labels", json!(["a", "b"]), json!(["c"])),
        ),
        (
            "assign",
            json!({"assignees": ["ann"]}),
            "unassign",
            json!({"assignees": ["ann"]}),
            conflict("assignees.ann", json!(true), json!(false)),
        ),
        (
            "move",
            json!({"columnId": place.done}),
            "move",
            json!({"columnId": third}),
            conflict("columnId", json!(place.done), third.clone()),
        ),
        (
            "rank",
            json!({"rank": "b"}),
            "rank",
            json!({"rank": "c"}),
            conflict("rank", json!("b"), json!("c")),
        ),
        (
            "complete",
            json!({"resolution": "Done"}),
            "complete",
            json!({"resolution": "Won't"}),
            conflict("resolution", json!("Done"), json!("Won't")),
        ),
        (
            "",
            json!({"title": "theirs"}),
            "DELETE",
            json!({}),
            conflict("life", json!("present"), json!("deleted")),
        ),
    ];
    for (rest, theirs, yours_rest, yours, expected) in cases {
        let item = item_with(&api, &place, &[(rest, theirs)]).await;
        let answer = send(&api, &item, yours_rest, merged(yours.clone())).await;
        let answer = answer.refused(409, "version_conflict");
        assert_eq!((&answer.body["expectedVersion"], &answer.body["currentVersion"]), (&json!(0), &json!(1)));
        let conflicts = answer.body["conflicts"].as_array().unwrap();
        assert_eq!(conflicts.len(), 1, "{answer:?}");
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&conflicts[0][name], value, "{name} of {answer:?}");
        }
        assert_eq!(api.events(&format!("item-{item}")).len(), 2, "nothing was done");
        // The same without merging says the same; the last writer wins if that is what is wanted.
        let mut plain = yours.clone();
        plain["expectedVersion"] = 0.into();
        let plain_answer =
            send(&api, &item, yours_rest, plain.clone()).await.refused(409, "version_conflict");
        assert_eq!(plain_answer.body["conflicts"], answer.body["conflicts"]);
        plain["onConflict"] = "last_writer_wins".into();
        send(&api, &item, yours_rest, plain).await.is(200);
    }
}

#[tokio::test]
async fn the_events_since_the_base_come_with_the_refusal() {
    let api = Api::new();
    let place = api.board().await;
    let item = item_with(&api, &place, &[("", json!({"title": "one"})), ("", json!({"title": "two"}))]).await;
    let answer =
        send(&api, &item, "", merged(json!({"title": "yours"}))).await.refused(409, "version_conflict");
    let conflict = json!({"field": "title", "base": "zero", "theirs": "two", "yours": "yours"});
    assert_eq!(answer.body["conflicts"], json!([conflict]));
    let events = answer.body["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    let event = &events[1];
    let position = api.watermark().get() - 1;
    assert_eq!(
        (&event["type"], &event["version"], &event["position"], &event["streamId"], &event["aggregateId"]),
        (&json!("item.updated"), &json!(2), &json!(position), &json!(format!("item-{item}")), &json!(item))
    );
    assert_eq!(event["data"], json!({"changes": {"title": {"from": "one", "to": "two"}}}));
    assert_eq!(event["metadata"]["actor"], "local");
    assert_eq!(event["time"].as_str().unwrap().len(), "2026-11-21T08:30:00.000000001Z".len());
    assert!(event["eventId"].is_string() && event["tags"].is_array() && event["schemaVersion"] == 1);
    assert!(answer.body.get("truncated").is_none());
    // A base that is yet to come, and one that nobody can look back to.
    let ahead = json!({"title": "x", "baseVersion": 9, "onConflict": "merge"});
    let ahead = send(&api, &item, "", ahead).await.refused(409, "version_conflict");
    assert_eq!((&ahead.body["conflicts"], &ahead.body["events"]), (&json!([]), &json!([])));
    let update = |number: usize| json!({"command": "item.update", "id": item, "data": {"title": format!("t{number}")}});
    api.batch((0..1000).map(update).collect()).await.is(200);
    let far = send(&api, &item, "", merged(json!({"description": "yours"}))).await;
    let far = far.refused(409, "version_conflict");
    assert_eq!((far.body["events"].as_array().unwrap().len(), &far.body["truncated"]), (100, &json!(true)));
    assert_eq!(far.body["events"][0]["version"], 1);
    let near = json!({"description": "yours", "baseVersion": 3, "onConflict": "merge"});
    send(&api, &item, "", near).await.is(200);
}

#[tokio::test]
async fn what_is_said_of_conflicts_must_make_sense() {
    let api = Api::new();
    let place = api.board().await;
    let item = item_with(&api, &place, &[]).await;
    for body in [
        json!({"title": "x", "onConflict": "merge"}),
        json!({"title": "x", "baseVersion": 0, "onConflict": "win"}),
        json!({"title": "x", "baseVersion": 0, "onConflict": null}),
    ] {
        let answer = send(&api, &item, "", body).await.refused(400, "invalid_body");
        assert_eq!(answer.body["field"], "onConflict");
    }
    let alone = json!({"command": "item.update", "id": item, "onConflict": "merge", "data": {}});
    let alone = api.batch(vec![alone]).await.is(200);
    assert_eq!(alone.body["results"][0]["problem"]["field"], "commands[0].onConflict");
    // What is gone is gone, whatever was seen of it.
    send(&api, &item, "DELETE", json!({})).await.is(200);
    send(&api, &item, "", merged(json!({"title": "x"}))).await.refused(410, "gone");
}

#[tokio::test]
async fn batches_merge_too() {
    let api = Api::new();
    let place = api.board().await;
    for is_atomic in [false, true] {
        let item = item_with(&api, &place, &[("", json!({"title": "theirs"}))]).await;
        let update = |data: Value| json!({"command": "item.update", "id": item, "baseVersion": 0, "onConflict": "merge", "data": data});
        // The second one is not in the way of what the first one of the same batch did.
        let fine = vec![update(json!({"description": "a"})), update(json!({"description": "b"}))];
        let fine = api.post("/batch", json!({"atomic": is_atomic, "commands": fine})).await.is(200);
        let second = &fine.body["results"][1];
        if is_atomic {
            assert_eq!((&second["status"], &second["version"]), (&json!("applied"), &json!(3)));
        } else {
            // On its own, it has not seen it.
            assert_eq!(second["problem"]["conflicts"][0]["theirs"], "a");
        }
        let clash = json!({"atomic": is_atomic, "commands": [update(json!({"title": "yours"}))]});
        let clash = api.post("/batch", clash).await;
        assert_eq!(clash.status, if is_atomic { 422 } else { 200 });
        let problem = &clash.body["results"][0]["problem"];
        assert_eq!(
            (&problem["code"], &problem["conflicts"][0]["field"]),
            (&json!("version_conflict"), &json!("title"))
        );
    }
}

#[tokio::test]
async fn headers_are_evaluated_as_rfc_9110_says() {
    let api = Api::new();
    let place = api.board().await;
    let item = item_with(&api, &place, &[("", json!({"title": "one"}))]).await;
    let path = format!("/items/{item}");
    for (headers, body, status) in [
        (&[("if-match", "\"0\", \"1\"")][..], json!({}), 200),
        (&[("if-match", "\"0\""), ("if-match", "\"7\", \"*\"")], json!({}), 412),
        (&[("if-match", "W/\"1\"")], json!({}), 412),
        (&[("if-match", "\"01\"")], json!({}), 412),
        (&[("if-match", "")], json!({}), 412),
        (&[("if-none-match", "*")], json!({}), 412),
        (&[("if-none-match", "\"0\", W/\"1\"")], json!({}), 412),
        (&[("if-none-match", "\"0\"")], json!({}), 200),
        // Both are said, both must hold; the header comes before the body, which has its own status.
        (&[("if-match", "\"1\""), ("if-none-match", "\"1\"")], json!({}), 412),
        (&[("if-match", "\"0\"")], json!({"baseVersion": 0}), 412),
        (&[("if-match", "\"0\"")], json!({"baseVersion": 1}), 412),
        (&[("if-match", "\"1\"")], json!({"baseVersion": 0}), 409),
        (&[("if-match", "\"0\"")], json!({"baseVersion": 0, "onConflict": "last_writer_wins"}), 412),
        // Dates are for reading.
        (&[("if-unmodified-since", "Sat, 29 Oct 1994 19:43:31 GMT")], json!({}), 200),
        (&[("if-modified-since", "Sat, 29 Oct 2094 19:43:31 GMT")], json!({}), 200),
        // A precondition comes before what the content would be refused for.
        (&[("if-match", "\"0\"")], json!({"title": ""}), 412),
        (&[("if-match", "\"1\"")], json!({"title": ""}), 422),
    ] {
        let mut body = body;
        if body["title"].is_null() {
            body["title"] = "another".into();
        }
        // The tags speak of version 1, and every success would make another one.
        let fresh = item_with(&api, &place, &[("", json!({"title": "one"}))]).await;
        let answer = api.with("PATCH", &format!("/items/{fresh}"), headers, &body).await;
        assert_eq!(answer.status, status, "{headers:?} {body}: {answer:?}");
        if status == 412 || status == 409 {
            assert_eq!(answer.code(), "version_conflict");
        } else if status == 200 {
            assert_eq!(answer.headers["etag"], "\"2\"");
        }
    }
    // What is not there, or not any more, is 404 or 410 whatever is demanded of its version.
    let any = [("if-match", "\"0\"")];
    api.with("PATCH", &format!("/items/{ANY}"), &any, &json!({})).await.refused(404, "not_found");
    api.delete(&path).await.is(200);
    api.with("PATCH", &path, &any, &json!({"title": "x"})).await.refused(410, "gone");
    let again = json!({"id": item, "boardId": place.board, "title": "x"});
    api.with("POST", "/items", &[("if-none-match", "*")], &again).await.refused(410, "gone");
    let new = json!({"boardId": place.board, "title": "x"});
    api.with("POST", "/items", &[("if-none-match", "*")], &new).await.is(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_merge_lose_nothing() {
    let api = std::sync::Arc::new(Api::new());
    let place = api.board().await;
    let item = item_with(&api, &place, &[]).await;
    let writers: Vec<_> = (0..12)
        .map(|writer| {
            let (api, item) = (std::sync::Arc::clone(&api), item.clone());
            tokio::spawn(async move {
                for round in 0..5 {
                    let label = json!({"fields": {"labels": {"add": [format!("{writer}-{round}")]}}});
                    send(&api, &item, "", merged(label)).await.is(200);
                }
                send(&api, &item, "", merged(json!({"fields": {"last": {"set": writer}}}))).await.status
            })
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        let status = writer.await.unwrap();
        assert!([200, 409].contains(&status), "{status}");
        won += u32::from(status == 200);
    }
    assert_eq!(won, 1, "all but one of the wishes for one field are in the way of another");
    let events = api.payloads(&format!("item-{item}"));
    let labels = events.iter().rev().find_map(|(_, data)| data["changes"].get("labels")).unwrap();
    assert_eq!(labels["to"].as_array().unwrap().len(), 1 + 12 * 5);
}
