//! The history of one thing: who changed what from what to what.

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World, append};
use domain::{board, comment, item};
use serde_json::{Value, json};

fn versions(page: &Value) -> Vec<u64> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["version"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_items_history_says_every_change() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let id = world.item(&fixture.store, "A-1", "i", "x", NOW);
    world.move_to_done(&fixture.store, id, "i", "j");
    let deed = Deed { actor: "import", on_behalf_of: Some("eve"), occurred_at: Some(0) };
    world.happens(&fixture.store, id, item::Assigned { assignees: vec!["bob".into()] }.into(), deed);
    world.happens(&fixture.store, id, item::Completed { resolution: None }.into(), NOW);
    world.happens(&fixture.store, id, item::Deleted { column_id: world.done }.into(), NOW);

    // It is gone, and what happened to it is not.
    let path = format!("/api/v1/items/{id}");
    assert_eq!(fixture.refused(&path).await, (410, "gone".into()));
    let page = fixture.json(&format!("{path}/history")).await;
    assert_eq!((&page["id"], &page["version"], &page["next"]), (&json!(id), &json!(4), &Value::Null));
    assert_eq!(versions(&page), [0, 1, 2, 3, 4]);
    let told: Vec<_> =
        page["entries"].as_array().unwrap().iter().map(|entry| entry["changes"].clone()).collect();
    assert_eq!(told[0][0], json!({"field": "title", "from": null, "to": "x"}));
    assert_eq!(
        told[1],
        json!([
            {"field": "column", "from": world.open, "to": world.done},
            {"field": "rank", "from": "i", "to": "j"},
        ])
    );
    assert_eq!(told[2], json!([{"field": "assignees", "from": null, "to": ["bob"]}]));
    assert_eq!(told[3], json!([{"field": "completed", "from": false, "to": true}]));
    assert_eq!(told[4], json!([{"field": "deleted", "from": false, "to": true}]));
    let entry = &page["entries"][2];
    assert_eq!(
        (&entry["actor"], &entry["onBehalfOf"], &entry["type"], &entry["position"]),
        (&json!("import"), &json!("eve"), &json!("item.assigned"), &json!(5))
    );
    assert_eq!(entry["occurredAt"], "1970-01-01T00:00:00.000000000Z");
    assert_eq!(page["entries"][0]["occurredAt"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_are_paged_either_way() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let id = world.item(&fixture.store, "A-1", "i", "x", NOW);
    for number in 1..7 {
        let event = item::Assigned { assignees: vec![format!("p{number}")] };
        world.happens(&fixture.store, id, event.into(), NOW);
    }
    let path = format!("/api/v1/items/{id}/history");
    for (query, expected, next) in [
        ("limit=3", vec![0, 1, 2], json!(3)),
        ("limit=3&from=3", vec![3, 4, 5], json!(6)),
        ("limit=3&from=6", vec![6], Value::Null),
        ("limit=3&from=4", vec![4, 5, 6], Value::Null),
        ("from=7", vec![], Value::Null),
        ("direction=backward&limit=3", vec![6, 5, 4], json!(3)),
        ("direction=backward&limit=3&from=3", vec![3, 2, 1], json!(0)),
        ("direction=backward&limit=3&from=0", vec![0], Value::Null),
        ("direction=backward&limit=3&from=2", vec![2, 1, 0], Value::Null),
        ("direction=backward&limit=1&from=99", vec![6], json!(5)),
    ] {
        let page = fixture.json(&format!("{path}?{query}")).await;
        assert_eq!((versions(&page), &page["next"]), (expected, &next), "{query}");
    }
    for query in ["direction=up", "limit=0", "limit=1001", "from=x"] {
        let refused = fixture.refused(&format!("{path}?{query}")).await;
        assert_eq!(refused, (400, "invalid_parameter".into()), "{query}");
    }
    assert_eq!(fixture.refused(&format!("{path}?to=4")).await, (400, "unknown_parameter".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_with_a_stream_has_a_history() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let id = world.item(&fixture.store, "A-1", "i", "x", NOW);
    let comment = world.comment(&fixture.store, id, "c1", "hm", NOW);
    let edited = comment::Edited { item_id: id, body: "aha".into() };
    world.comment_happens(&fixture.store, id, comment, edited.into());
    let deleted = board::Event::from(board::Deleted {});
    append(&fixture.store, &world.board.stream_id(), &world.scope(None), NOW, vec![deleted.into()]);
    let World { workspace, project, board, .. } = &world;
    for (path, count, field) in [
        (format!("workspaces/{workspace}"), 1, "name"),
        (format!("projects/{project}"), 1, "name"),
        (format!("boards/{board}"), 2, "deleted"),
        (format!("comments/{comment}"), 2, "body"),
    ] {
        let page = fixture.json(&format!("/api/v1/{path}/history")).await;
        let entries = page["entries"].as_array().unwrap();
        assert_eq!(entries.len(), count, "{path}");
        assert_eq!(entries[count - 1]["changes"][0]["field"], field, "{path}");
    }
    // What a text was before stands in the event before, not in this one.
    let page = fixture.json(&format!("/api/v1/comments/{comment}/history?from=1")).await;
    assert_eq!(page["entries"][0]["changes"], json!([{"field": "body", "to": "aha"}]));
    // A stream of another kind is none of these.
    for path in [format!("items/{board}"), format!("comments/{id}")] {
        let refused = fixture.refused(&format!("/api/v1/{path}/history")).await;
        assert_eq!(refused, (404, "not_found".into()), "{path}");
    }
    assert_eq!(fixture.refused("/api/v1/items/x/history").await, (400, "invalid_parameter".into()));
}
