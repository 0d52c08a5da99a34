//! What differs between two moments.

use super::recorded_with;
use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World};
use domain::{Change, Changes, item};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_says_what_is_different() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", Deed { occurred_at: Some(0), ..NOW });
    let created = fixture.store.watermark().get();
    let later = Deed { occurred_at: Some(1_000_000_000), ..NOW };
    let changes = Changes::from([
        ("title".to_owned(), Change { from: None, to: json!("Second") }),
        ("description".to_owned(), Change { from: None, to: json!("longer") }),
    ]);
    world.happens(&fixture.store, item, item::Updated { changes }.into(), later);
    world.comment(&fixture.store, item, "c1", "so it is", later);
    let end = fixture.store.watermark().get();
    let (_, moment) = recorded_with(&fixture.store, created);
    let path = format!("/api/v1/items/{item}/diff");
    let expected = json!([
        {"field": "commentCount", "from": 0, "to": 1},
        {"field": "description", "from": null, "to": "longer"},
        {"field": "title", "from": "First", "to": "Second"},
        {"field": "updatedAt", "from": "1970-01-01T00:00:00.000000000Z", "to": "1970-01-01T00:00:01.000000000Z"},
        {"field": "version", "from": 0, "to": 1},
    ]);
    let expected = json!({"id": item, "from": created, "to": end, "changes": expected});
    assert_eq!(fixture.json(&format!("{path}?from={created}")).await, expected);
    assert_eq!(fixture.json(&format!("{path}?from={created}&to={end}")).await, expected);
    assert_eq!(fixture.json(&format!("{path}?from={moment}")).await, expected, "{moment}");

    // Backward, both sides change places.
    let mut backward = expected.clone();
    (backward["from"], backward["to"]) = (json!(end), json!(created));
    for change in backward["changes"].as_array_mut().unwrap() {
        let from = change["from"].take();
        let to = std::mem::replace(&mut change["to"], from);
        change["from"] = to;
    }
    assert_eq!(fixture.json(&format!("{path}?from={end}&to={created}")).await, backward);
    assert_eq!(fixture.json(&format!("{path}?from={end}")).await["changes"], json!([]));

    // Before its creation and after its deletion nothing is there; all members differ but those that are null anyway.
    let present = fixture.json(&format!("/api/v1/items/{item}")).await;
    let members = present.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    let members: Vec<_> =
        members.map(|(field, to)| json!({"field": field, "from": null, "to": to})).collect();
    assert_eq!(fixture.json(&format!("{path}?from=0")).await["changes"], json!(members));
    world.happens(&fixture.store, item, item::Deleted { column_id: world.open }.into(), NOW);
    let gone = fixture.json(&format!("{path}?from={end}")).await;
    assert_eq!(gone["changes"].as_array().unwrap().len(), members.len());
    assert!(gone["changes"].as_array().unwrap().iter().all(|change| change["to"].is_null()));
    assert_eq!(fixture.refused(&format!("{path}?from=0")).await, (410, "gone".into()));
    assert_eq!(fixture.refused(&format!("{path}?from=0&to=1")).await, (404, "not_found".into()));

    // The same for what is made of many things.
    let board = fixture.json(&format!("/api/v1/boards/{}/diff?from={end}", world.board)).await;
    let fields = |diff: &Value| -> Vec<String> {
        let changes = diff["changes"].as_array().unwrap().iter();
        changes.map(|change| change["field"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(fields(&board), ["columns", "itemCount"]);
    let project = fixture.json(&format!("/api/v1/projects/{}/diff?from={end}", world.project)).await;
    assert_eq!(fields(&project), ["statistics"]);
}
