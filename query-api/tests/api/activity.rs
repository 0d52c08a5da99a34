//! Feeds: what happened to a thing or by a person, newest first, with what changed.

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World, append_raw};
use domain::{comment, item};
use eventstore::ContentType;
use serde_json::{Value, json};

fn types(page: &Value) -> Vec<&str> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["type"].as_str().unwrap()).collect()
}

fn positions(page: &Value) -> Vec<u64> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["position"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_says_what_was_done_by_whom_and_what_changed() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let id = world.item(&fixture.store, "A-1", "i", "Gasket", NOW);
    let deed = Deed { actor: "import", on_behalf_of: Some("eve"), occurred_at: Some(1_000_000_000) };
    let renamed = domain::Change::between(Some("Gasket".into()), "Seal".into());
    let updated = item::Updated { changes: [("title".to_owned(), renamed)].into() };
    world.happens(&fixture.store, id, updated.into(), deed);
    world.comment(&fixture.store, id, "c1", &"long ".repeat(100), NOW);

    let page = fixture.json(&format!("/api/v1/activity?itemId={id}")).await;
    assert_eq!(types(&page), ["comment.added", "item.updated", "item.created"]);
    assert_eq!(positions(&page), [5, 4, 3]);
    assert_eq!(page["next"], Value::Null);
    let entry = &page["entries"][1];
    assert_eq!(
        (&entry["person"], &entry["actor"], &entry["onBehalfOf"]),
        (&json!("eve"), &json!("import"), &json!("eve"))
    );
    assert_eq!(entry["occurredAt"], "1970-01-01T00:00:01.000000000Z");
    assert!(entry["time"].as_str().unwrap() > "2026", "{entry}");
    assert!(entry["eventId"].is_string());
    // Things are called as they are called today.
    assert_eq!(entry["item"], json!({"id": id, "key": "A-1", "title": "Seal"}));
    assert_eq!(entry["board"], json!({"id": world.board, "name": "Main board"}));
    assert_eq!(entry["summary"], json!({"changes": [{"field": "title", "from": "Gasket", "to": "Seal"}]}));
    // The feed tells long texts in short.
    let body = page["entries"][0]["summary"]["changes"].as_array().unwrap().last().unwrap()["to"].clone();
    assert_eq!(body.as_str().unwrap().chars().count(), 201);

    let page = fixture.json(&format!("/api/v1/activity?workspaceId={}", world.workspace)).await;
    assert_eq!(positions(&page), [5, 4, 3, 2, 1, 0]);
    assert_eq!((&page["entries"][4]["item"], &page["entries"][4]["board"]), (&Value::Null, &Value::Null));
    let page = fixture.json(&format!("/api/v1/activity?projectId={}", world.project)).await;
    assert_eq!(positions(&page), [5, 4, 3, 2, 1]);
    let page = fixture.json(&format!("/api/v1/activity?boardId={}", world.board)).await;
    assert_eq!(positions(&page), [5, 4, 3, 2]);
    let page = fixture.json("/api/v1/activity?person=eve").await;
    assert_eq!(positions(&page), [4]);
    // Whoever acted for somebody did nothing themselves, and nobody has done nothing.
    for nobody in ["import", "nobody", "%F0%9F%98%80"] {
        assert_eq!(fixture.json(&format!("/api/v1/activity?person={nobody}")).await["entries"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_are_paged_from_a_position_back() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let id = world.item(&fixture.store, "A-1", "i", "x", NOW);
    for number in 0..23 {
        world.comment(&fixture.store, id, &format!("c{number}"), "hm", NOW);
        append_raw(&fixture.store, "orders-1", ContentType::Json, b"", b"{}");
    }
    let path = format!("/api/v1/activity?itemId={id}&limit=5");
    let (mut seen, mut next) = (Vec::new(), None);
    loop {
        let before = next.map_or_else(String::new, |next: u64| format!("&before={next}"));
        let page = fixture.json(&format!("{path}{before}")).await;
        seen.extend(positions(&page));
        assert!(positions(&page).len() <= 5);
        next = page["next"].as_u64();
        if next.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (0..23).rev().map(|number| 4 + 2 * number).chain([3]).collect();
    assert_eq!(seen, expected);
    // A page that ends with the last one has nothing after it.
    let page = fixture.json(&format!("/api/v1/activity?itemId={id}&limit=24")).await;
    assert_eq!((positions(&page).len(), &page["next"]), (24, &Value::Null));
    let page = fixture.json(&format!("/api/v1/activity?itemId={id}&before=0")).await;
    assert_eq!(page, json!({"entries": [], "next": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_has_a_feed_and_no_title() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let id = world.item(&fixture.store, "A-1", "i", "x", NOW);
    let comment = world.comment(&fixture.store, id, "c1", "hm", NOW);
    world.comment_happens(&fixture.store, id, comment, comment::Deleted { item_id: id }.into());
    world.happens(&fixture.store, id, item::Deleted { column_id: world.open }.into(), NOW);
    let page = fixture.json(&format!("/api/v1/activity?itemId={id}")).await;
    assert_eq!(types(&page), ["item.deleted", "comment.deleted", "comment.added", "item.created"]);
    assert_eq!(page["entries"][0]["item"], json!({"id": id, "key": "A-1", "title": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_thing_is_asked_for() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let World { workspace, board, project, .. } = &world;
    let invalid = || (400, "invalid_parameter".to_owned());
    for query in [
        String::new(),
        format!("boardId={board}&projectId={project}"),
        format!("boardId={board}&workspaceId={workspace}"),
        format!("boardId={board}&person=ada"),
        "boardId=x".to_owned(),
        format!("boardId={board}&limit=0"),
        format!("boardId={board}&limit=201"),
        format!("boardId={board}&before=-1"),
        format!("boardId={board}&boardId={board}"),
    ] {
        assert_eq!(fixture.refused(&format!("/api/v1/activity?{query}")).await, invalid(), "{query}");
    }
    let unknown = fixture.refused(&format!("/api/v1/activity?board={board}")).await;
    assert_eq!(unknown, (400, "unknown_parameter".into()));
    let other = domain::BoardId::derive(*project, "none");
    let none = fixture.refused(&format!("/api/v1/activity?boardId={other}")).await;
    assert_eq!(none, (404, "not_found".into()));
    // A person within a workspace is one thing.
    let page = fixture.json(&format!("/api/v1/activity?person=ada&workspaceId={workspace}")).await;
    assert_eq!(positions(&page), [2, 1, 0]);
}
