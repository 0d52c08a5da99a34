//! Items by id and by external key, with their comments; what is gone and what never was.

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World};
use domain::{Change, Changes, ItemId, comment, item};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SECOND: i64 = 1_000_000_000;

fn at(second: i64) -> Deed<'static> {
    Deed { actor: "import", on_behalf_of: Some("grace"), occurred_at: Some(second * SECOND) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_says_everything_that_is_known_of_it() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let long = "x".repeat(5_000);
    let fields = BTreeMap::from([
        ("labels".to_owned(), json!(["a", "b"])),
        ("log".to_owned(), json!({ "text": long })),
        ("priority".to_owned(), json!("Low")),
    ]);
    let description = format!("About \"it\" \u{e4} {long}");
    let item = world.item_with(
        &fixture.store,
        "A-1",
        "i",
        "First",
        Some(&description),
        &["ada", "bob"],
        fields,
        at(10),
    );
    world.move_to_done(&fixture.store, item, "i", "k");
    let completed = item::Completed { resolution: Some("fixed".to_owned()) };
    world.happens(&fixture.store, item, completed.into(), at(20));
    world.comment(&fixture.store, item, "c1", "well done", at(30));

    let answer = fixture.get(&format!("/api/v1/items/{item}")).await;
    assert_eq!(answer.version_in_tag(), 2);
    let mut body = answer.json();
    let updated_at = body.as_object_mut().unwrap().remove("updatedAt").unwrap();
    assert!(updated_at.as_str().unwrap().ends_with('Z'), "the move was recorded now: {updated_at}");
    assert_eq!(
        body,
        json!({
            "id": item, "externalKey": "A-1", "title": "First", "description": description,
            "workspaceId": world.workspace, "projectId": world.project, "boardId": world.board,
            "column": {"id": world.done, "name": "Done"}, "rank": "k", "assignees": ["ada", "bob"],
            "dueDate": null, "completed": true, "completedAt": "1970-01-01T00:00:20.000000000Z", "resolution": "fixed",
            "commentCount": 1,
            "fields": {"labels": ["a", "b"], "log": {"text": long}, "priority": "Low"},
            "attachments": [], "links": [], "version": 2, "createdAt": "1970-01-01T00:00:10.000000000Z",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_those_of_the_latest_change() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let path = format!("/api/v1/items/{item}");
    assert_eq!(fixture.json(&path).await["description"], Value::Null);
    let change = |field: &str, to: Value| -> item::Event {
        item::Updated { changes: Changes::from([(field.to_owned(), Change { from: None, to })]) }.into()
    };
    world.happens(&fixture.store, item, change("description", json!("second")), NOW);
    world.happens(&fixture.store, item, change("dueDate", json!("2026-02-28")), NOW);
    world.happens(&fixture.store, item, change("title", json!("Second")), NOW);
    let body = fixture.json(&path).await;
    assert_eq!((&body["description"], &body["title"]), (&json!("second"), &json!("Second")));
    assert_eq!((&body["dueDate"], &body["fields"]), (&json!("2026-02-28"), &json!({})));
    world.happens(&fixture.store, item, change("dueDate", Value::Null), NOW);
    assert_eq!(fixture.json(&path).await["dueDate"], Value::Null);
    // A custom field from before there were due dates.
    world.happens(&fixture.store, item, change("dueDate", json!("soon")), NOW);
    let body = fixture.json(&path).await;
    assert_eq!((&body["dueDate"], &body["fields"]), (&Value::Null, &json!({"dueDate": "soon"})));
    let gone = Change { from: Some(json!("soon")), to: Value::Null };
    let gone = item::Updated { changes: Changes::from([("dueDate".to_owned(), gone)]) };
    world.happens(&fixture.store, item, gone.into(), NOW);
    world.happens(&fixture.store, item, change("description", Value::Null), NOW);
    world.happens(&fixture.store, item, change("long", json!("y".repeat(999))), NOW);
    world.happens(&fixture.store, item, change("long", json!("z".repeat(999))), NOW);
    let body = fixture.json(&path).await;
    assert_eq!((&body["description"], &body["fields"]), (&Value::Null, &json!({"long": "z".repeat(999)})));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_found_by_its_name_elsewhere() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let other = World::create(&fixture.store, "other");
    let key = "tidev/A 1&ü";
    let item = world.item(&fixture.store, key, "i", "First", NOW);
    let twin = other.item(&fixture.store, key, "i", "Twin", NOW);
    let encoded = "tidev%2FA+1%26%C3%BC";
    let found = fixture.json(&format!("/api/v1/items?externalKey={encoded}")).await;
    assert_eq!(found["total"], 2);
    let found =
        fixture.json(&format!("/api/v1/items?externalKey={encoded}&workspaceId={}", world.workspace)).await;
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&1.into(), &json!(item)));
    assert_eq!(found["items"][0], fixture.json(&format!("/api/v1/items/{item}")).await);

    world.happens(&fixture.store, item, item::Deleted { column_id: world.open }.into(), NOW);
    let found = fixture.json(&format!("/api/v1/items?externalKey={encoded}")).await;
    assert_eq!(
        (&found["total"], &found["items"][0]["id"], &found["next"]),
        (&1.into(), &json!(twin), &Value::Null)
    );
    let found = fixture.json("/api/v1/items?externalKey=nothing").await;
    assert_eq!(found, json!({"total": 0, "items": [], "next": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_was_is_404_and_what_was_deleted_is_410() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let comment = world.comment(&fixture.store, item, "c1", "text", NOW);
    let none = ItemId::derive(world.workspace, "none");
    for path in [format!("items/{none}"), format!("items/{none}/comments"), format!("comments/{none}")] {
        assert_eq!(fixture.refused(&format!("/api/v1/{path}")).await, (404, "not_found".into()), "{path}");
    }
    world.happens(&fixture.store, item, item::Deleted { column_id: world.open }.into(), NOW);
    for path in [format!("items/{item}"), format!("items/{item}/comments"), format!("comments/{comment}")] {
        assert_eq!(fixture.refused(&format!("/api/v1/{path}")).await, (410, "gone".into()), "{path}");
    }
    let refusal =
        fixture.ask(&format!("/api/v1/items/{item}?minPosition={}", fixture.store.watermark())).await;
    assert_eq!(refusal.position(), fixture.store.watermark().get(), "a refusal says what it rests on");
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_come_in_their_order_and_in_pages() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(world.comment(
            &fixture.store,
            item,
            &format!("c{number}"),
            &format!("text {number}"),
            at(number),
        ));
    }
    world.comment_happens(&fixture.store, item, ids[1], comment::Deleted { item_id: item }.into());
    let edited = comment::Edited { item_id: item, body: "better".to_owned() };
    world.comment_happens(&fixture.store, item, ids[2], edited.into());

    let path = format!("/api/v1/items/{item}/comments");
    let all = fixture.json(&path).await;
    let bodies: Vec<_> = all["comments"].as_array().unwrap().iter().map(|comment| &comment["body"]).collect();
    assert_eq!(bodies, ["text 0", "better", "text 3", "text 4"]);
    assert_eq!((&all["total"], &all["next"]), (&4.into(), &Value::Null));
    assert_eq!(all["comments"][0]["author"], "grace");
    assert_eq!(fixture.json(&format!("/api/v1/items/{item}")).await["commentCount"], 4);

    let part = fixture.json(&format!("{path}?offset=1&limit=2")).await;
    assert_eq!((&part["comments"][0]["body"], &part["next"]), (&json!("better"), &3.into()));

    let answer = fixture.get(&format!("/api/v1/comments/{}", ids[2])).await;
    assert_eq!(answer.version_in_tag(), 1);
    let comment = answer.json();
    assert_eq!((&comment["body"], &comment["itemId"]), (&json!("better"), &json!(item)));
    assert!(comment["editedAt"].is_string());
    assert_eq!(fixture.refused(&format!("/api/v1/comments/{}", ids[1])).await, (410, "gone".into()));
}
