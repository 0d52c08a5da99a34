//! `/search`: words, filters, paging, totals and snippets, over an index that a projector writes.

use crate::fixture::{Fixture, send};
use crate::history::{NOW, World};
use axum::body::Body;
use axum::http::Request;
use domain::item;
use projector::ReadModels;
use query_api::QueryService;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn ids(page: &Value) -> Vec<&str> {
    let mut ids: Vec<_> =
        page["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_in_titles_texts_and_comments() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let text = Some("The turbine <stalls> when it is cold");
    let item = world.item_with(&fixture.store, "A-1", "i", "Rotor speed", text, &[], BTreeMap::new(), NOW);
    let comment = world.comment(&fixture.store, item, "c1", "a cold turbine is a bad turbine", NOW);

    let page = fixture.json("/api/v1/search?q=turbine+cold").await;
    assert_eq!(page["total"], 2);
    assert_eq!(page["next"], Value::Null);
    let hits = page["hits"].as_array().unwrap();
    let of_item = hits.iter().find(|hit| hit["kind"] == "item").unwrap();
    assert_eq!((&of_item["id"], &of_item["itemId"]), (&json!(item), &json!(item)));
    assert_eq!((&of_item["title"], &of_item["externalKey"]), (&json!("Rotor speed"), &json!("A-1")));
    let snippet = of_item["snippet"].as_str().unwrap();
    assert!(snippet.contains("<b>turbine</b>") && snippet.contains("&lt;stalls&gt;"), "{snippet}");
    assert!(of_item["score"].as_f64().unwrap() > 0.0);
    let of_comment = hits.iter().find(|hit| hit["kind"] == "comment").unwrap();
    assert_eq!((&of_comment["id"], &of_comment["itemId"]), (&json!(comment), &json!(item)));
    assert_eq!(of_comment["externalKey"], "A-1");

    assert_eq!(ids(&fixture.json("/api/v1/search?q=rotor").await), [item.to_string()]);
    assert_eq!(fixture.json("/api/v1/search?q=%22cold+turbine%22").await["total"], 1);
    assert_eq!(fixture.json("/api/v1/search?q=engine&kind=project").await["total"], 1);
    assert_eq!(fixture.json("/api/v1/search?q=main&kind=board").await["total"], 1);
    assert_eq!(fixture.json("/api/v1/search?q=nowhere").await, json!({"total": 0, "hits": [], "next": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_and_follow_the_newest_state() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let other = World::create(&fixture.store, "other");
    let first = world.item_with(&fixture.store, "A-1", "b", "valve", None, &["ada"], BTreeMap::new(), NOW);
    let second = world.item_with(&fixture.store, "A-2", "c", "valve", None, &["bob"], BTreeMap::new(), NOW);
    let third = other.item(&fixture.store, "A-3", "d", "valve", NOW);
    world.move_to_done(&fixture.store, second, "c", "k");
    world.happens(&fixture.store, second, item::Completed { resolution: None }.into(), NOW);
    for (filter, expected) in [
        (format!("workspace={}", world.workspace), vec![first, second]),
        (format!("workspace={}", other.workspace), vec![third]),
        (format!("project={}", other.project), vec![third]),
        (format!("board={}", world.board), vec![first, second]),
        (format!("column={}", world.done), vec![second]),
        ("assignee=ada".to_owned(), vec![first]),
        ("state=completed".to_owned(), vec![second]),
        ("state=open".to_owned(), vec![first, third]),
        (format!("item={third}"), vec![third]),
        ("kind=comment".to_owned(), vec![]),
        (format!("board={}&state=open", world.board), vec![first]),
    ] {
        let page = fixture.json(&format!("/api/v1/search?q=valve&{filter}")).await;
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        expected.sort_unstable();
        assert_eq!(ids(&page), expected, "{filter}");
        assert_eq!(page["total"], expected.len(), "{filter}");
    }
    world.happens(&fixture.store, first, item::Deleted { column_id: world.open }.into(), NOW);
    assert_eq!(fixture.json("/api/v1/search?q=valve").await["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_overlap() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    for number in 0..25 {
        world.item(&fixture.store, &format!("A-{number}"), "i", "gasket", NOW);
    }
    let (mut seen, mut offset) = (Vec::new(), 0);
    loop {
        let page = fixture.json(&format!("/api/v1/search?q=gasket&limit=10&offset={offset}")).await;
        assert_eq!(page["total"], 25);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next"].as_u64() {
            Some(next) => offset = next,
            None => break,
        }
    }
    assert_eq!(seen.len(), 25);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_cannot_be_searched_for_are_400() {
    let fixture = Fixture::projected();
    World::create(&fixture.store, "acme");
    let long = "x".repeat(2_000);
    let many = "x+".repeat(50);
    for q in ["%22open", "%21%21", &long, &many] {
        let refusal = fixture.ask(&format!("/api/v1/search?q={q}")).await;
        assert_eq!(refusal.problem(), (400, "invalid_parameter".into()), "{q}");
        assert_eq!(refusal.json()["field"], "q");
    }
    assert_eq!(fixture.ask("/api/v1/search?q=a+%22open").await.json()["at"], 2);
    let refusal = fixture.ask("/api/v1/search?q=%22open&minPosition=3").await;
    assert_eq!((refusal.status.as_u16(), refusal.position()), (400, 3), "refusals tell what they rest on");
    // Where `next` may lead with any limit: the page is as short as what is left.
    assert_eq!(fixture.json("/api/v1/search?q=a&offset=9999&limit=100").await["hits"], json!([]));
    let refusal = fixture.ask("/api/v1/search?q=a&offset=10000&limit=1").await;
    assert_eq!((refusal.problem().0, &refusal.json()["field"]), (400, &json!("offset")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_index_only_search_is_out() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let refusal = fixture.ask("/api/v1/search?q=a").await;
    assert_eq!(refusal.problem(), (503, "no_search_index".into()));
    assert!(refusal.headers.contains_key("retry-after"));
    fixture.get(&format!("/api/v1/boards/{}", world.board)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_covers_what_both_the_index_and_the_models_do() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    world.item(&fixture.store, "A-1", "i", "gasket", NOW);
    fixture.get("/api/v1/search?q=gasket").await;
    // The index of a projector, beside models that have taken in nothing.
    let log = fixture.store.log();
    let models = ReadModels::begin(log.store_id());
    let service = QueryService::over(fixture.data_dir(), log, models, || None);
    let router = crate::fixture::router(service);
    let ask = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let answer = send(&router, ask("/api/v1/search?q=gasket")).await;
    assert_eq!((answer.status.as_u16(), answer.position()), (200, 0));
    let late = send(&router, ask("/api/v1/search?q=gasket&minPosition=4&timeoutMs=20")).await;
    assert_eq!((late.problem(), late.position()), ((504, "not_caught_up".into()), 0));
}
