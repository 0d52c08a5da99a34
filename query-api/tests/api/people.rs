//! What somebody is to do.

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World, append};
use domain::{Change, board, item};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn keys(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["externalKey"].as_str().unwrap()).collect()
}

fn at(second: i64) -> Deed<'static> {
    Deed { actor: "ada", on_behalf_of: None, occurred_at: Some(second * 1_000_000_000) }
}

/// An item of bob's, changed last at a second, due on a day or not.
fn item_of_bob(
    fixture: &Fixture,
    world: &World,
    key: &str,
    second: i64,
    due: Option<&str>,
) -> domain::ItemId {
    let id = world.item_with(&fixture.store, key, "i", key, None, &["bob"], BTreeMap::new(), at(second));
    if let Some(due) = due {
        let changes = [("dueDate".to_owned(), Change::between(None, due.into()))];
        world.happens(&fixture.store, id, item::Updated { changes: changes.into() }.into(), at(second));
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_in_the_order_in_which_they_are_due() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    item_of_bob(&fixture, &world, "undated-old", 1, None);
    item_of_bob(&fixture, &world, "undated-new", 9, None);
    item_of_bob(&fixture, &world, "late", 2, Some("2026-12-24"));
    item_of_bob(&fixture, &world, "soon-old", 3, Some("2026-01-01"));
    item_of_bob(&fixture, &world, "soon-new", 4, Some("2026-01-01"));
    world.item(&fixture.store, "nobodys", "i", "x", NOW);
    let path = "/api/v1/users/bob/items";
    let page = fixture.json(path).await;
    assert_eq!(keys(&page), ["soon-new", "soon-old", "late", "undated-new", "undated-old"]);
    assert_eq!((&page["total"], &page["next"]), (&json!(5), &Value::Null));
    assert_eq!(page["items"][0]["assignees"], json!(["bob"]));
    assert_eq!(page["items"][0]["boardId"], json!(world.board));
    let page = fixture.json(&format!("{path}?limit=2&offset=1")).await;
    assert_eq!((keys(&page), &page["next"]), (vec!["soon-old", "late"], &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_items_than_are_looked_at_under_one_lock_come_once_each_and_in_order() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let count = 2_200_u32;
    for number in 0..count {
        // In an order that is not that of their creation.
        item_of_bob(&fixture, &world, &format!("K-{number}"), i64::from(number * 999 % count), None);
    }
    let (mut offset, mut seconds) = (0, Vec::new());
    loop {
        let page = fixture.json(&format!("/api/v1/users/bob/items?limit=500&offset={offset}")).await;
        assert_eq!(page["total"], count);
        for item in page["items"].as_array().unwrap() {
            seconds.push(item["updatedAt"].as_str().unwrap().to_owned());
        }
        match page["next"].as_u64() {
            Some(next) => offset = next,
            None => break,
        }
    }
    assert_eq!(seconds.len(), 2_200);
    assert!(seconds.windows(2).all(|pair| pair[0] > pair[1]), "what changed last comes first, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_has_what_they_are_assigned_to_and_what_is_there() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let [one, two, three] = ["one", "two", "three"].map(|key| item_of_bob(&fixture, &world, key, 1, None));
    let bobs = async |query: &str| {
        let page = fixture.json(&format!("/api/v1/users/bob/items{query}")).await;
        let mut keys: Vec<String> = keys(&page).into_iter().map(str::to_owned).collect();
        keys.sort();
        keys
    };
    assert_eq!(bobs("").await, ["one", "three", "two"]);
    world.happens(&fixture.store, one, item::Completed { resolution: None }.into(), NOW);
    assert_eq!(bobs("?completed=true").await, ["one"]);
    assert_eq!(bobs("?completed=false").await, ["three", "two"]);
    world.happens(&fixture.store, two, item::Unassigned { assignees: vec!["bob".into()] }.into(), NOW);
    assert_eq!(bobs("").await, ["one", "three"]);
    let people = vec!["bob".into(), "Çelik & Söhne/1".into()];
    world.happens(&fixture.store, two, item::Assigned { assignees: people }.into(), NOW);
    assert_eq!(bobs("").await, ["one", "three", "two"]);
    let page = fixture.json("/api/v1/users/%C3%87elik%20%26%20S%C3%B6hne%2F1/items").await;
    assert_eq!(keys(&page), ["two"]);
    world.happens(&fixture.store, three, item::Deleted { column_id: world.open }.into(), NOW);
    assert_eq!(bobs("").await, ["one", "two"]);
    assert_eq!(bobs(&format!("?boardId={}", world.board)).await, ["one", "two"]);
    assert_eq!(bobs(&format!("?workspaceId={}", world.workspace)).await, ["one", "two"]);
    let other = World::create(&fixture.store, "rival");
    assert_eq!(bobs(&format!("?boardId={}", other.board)).await, [""; 0]);
    assert_eq!(bobs(&format!("?workspaceId={}", other.workspace)).await, [""; 0]);
    let deleted = board::Event::from(board::Deleted {});
    append(&fixture.store, &world.board.stream_id(), &world.scope(None), NOW, vec![deleted.into()]);
    assert_eq!(bobs("").await, [""; 0]);
    let nobody = fixture.json("/api/v1/users/nobody/items").await;
    assert_eq!(nobody, json!({"total": 0, "items": [], "next": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_what_they_are_said_to_be() {
    let fixture = Fixture::new();
    for query in ["completed=yes", "boardId=x", "workspaceId=x", "limit=501", "offset=-1"] {
        let refused = fixture.refused(&format!("/api/v1/users/bob/items?{query}")).await;
        assert_eq!(refused, (400, "invalid_parameter".into()), "{query}");
    }
    let refused = fixture.refused("/api/v1/users/bob/items?done=true").await;
    assert_eq!(refused, (400, "unknown_parameter".into()));
}
