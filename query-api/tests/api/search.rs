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
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = fixture.json(&format!("/api/v1/search?q=gasket&limit=10{after}")).await;
        assert_eq!(page["total"], 25);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 25);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_lead_where_cursors_do() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    for number in 0..9 {
        world.item(&fixture.store, &format!("A-{number}"), "i", "gasket", NOW);
    }
    let ids = |page: Value| -> Vec<Value> {
        page["hits"].as_array().unwrap().iter().map(|hit| hit["id"].clone()).collect()
    };
    for sort in ["relevance", "updated", "-updated", "created", "-created", "due", "-due"] {
        let path = format!("/api/v1/search?q=gasket&sort={sort}");
        let all = fixture.json(&path).await;
        assert_eq!(all["next"], Value::Null);
        let all = ids(all);
        let first = fixture.json(&format!("{path}&limit=4")).await;
        let next = first["next"].as_str().unwrap().to_owned();
        assert_eq!(ids(first), all[..4], "{sort}");
        assert_eq!(ids(fixture.json(&format!("{path}&limit=100&after={next}")).await), all[4..], "{sort}");
        assert_eq!(ids(fixture.json(&format!("{path}&limit=4&offset=4")).await), all[4..8], "{sort}");
        let other = fixture.ask(&format!("/api/v1/search?q=valve&sort={sort}&after={next}")).await;
        assert_eq!(
            (other.problem(), &other.json()["field"]),
            ((400, "invalid_parameter".into()), &json!("after"))
        );
        let both = fixture.ask(&format!("{path}&after={next}&offset=1")).await;
        assert_eq!(both.json()["field"], "after");
    }
    for (parameter, field) in [
        ("after=zz", "after"),
        ("after=", "after"),
        ("sort=rank", "sort"),
        ("stem=xx", "stem"),
        ("facets=rank", "facets"),
    ] {
        let refusal = fixture.ask(&format!("/api/v1/search?q=a&{parameter}")).await;
        assert_eq!((refusal.problem().0, &refusal.json()["field"]), (400, &json!(field)), "{parameter}");
    }
    let many: Vec<_> = (0..11).map(|number| format!("field.f{number}")).collect();
    let refusal = fixture.ask(&format!("/api/v1/search?facets={}", many.join(","))).await;
    assert_eq!((refusal.problem().0, &refusal.json()["field"]), (400, &json!("facets")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_language_filters_and_facets_count_what_it_finds() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let other = World::create(&fixture.store, "other");
    let fields = |priority: &str| BTreeMap::from([("priority".to_owned(), json!(priority))]);
    let first =
        world.item_with(&fixture.store, "A-1", "b", "Valve stuck", None, &["ada"], fields("High"), NOW);
    let second =
        world.item_with(&fixture.store, "A-2", "c", "valves", None, &["ada", "bob"], fields("low"), NOW);
    let third = other.item_with(&fixture.store, "A-3", "d", "valve", None, &[], fields("High"), NOW);
    world.move_to_done(&fixture.store, second, "c", "k");
    world.happens(&fixture.store, second, item::Completed { resolution: None }.into(), NOW);
    for (query, expected) in [
        ("valv* -is:completed", vec![first, third]),
        ("valve&stem=en", vec![first, second, third]),
        ("valve&stem=none", vec![first, third]),
        ("(stuck OR valves) assignee:ada", vec![first, second]),
        ("vlave~", vec![first, third]),
        ("field.priority:high AND NOT key:A-3", vec![first]),
        ("column:\"done\"", vec![second]),
        ("board:\"Main board\" kind", vec![]),
        ("board:\"Main board\" is:unassigned", vec![third]),
        ("workspace:other valve", vec![third]),
        ("A-2*", vec![second]),
    ] {
        let query = query.replace(' ', "%20").replace('"', "%22");
        let page = fixture.json(&format!("/api/v1/search?kind=item&q={query}")).await;
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        expected.sort_unstable();
        assert_eq!(ids(&page), expected, "{query}");
    }
    let facets = "facets=assignee,state,column,board,project,field.priority,field.none";
    let page =
        fixture.json(&format!("/api/v1/search?q=valv*&limit=1&workspace={}&{facets}", world.workspace)).await;
    assert_eq!(page["total"], 2);
    let named =
        |value: String, name: &str, count: u64| json!([{"value": value, "name": name, "count": count}]);
    let mut columns = vec![(world.open.to_string(), "Open"), (world.done.to_string(), "Done")];
    columns.sort_unstable();
    let columns: Vec<_> =
        columns.into_iter().map(|(id, name)| json!({"value": id, "name": name, "count": 1})).collect();
    assert_eq!(
        page["facets"],
        json!({
            "assignee": [{"value": "ada", "count": 2}, {"value": "bob", "count": 1}],
            "state": [{"value": "completed", "count": 1}, {"value": "open", "count": 1}],
            "column": columns,
            "board": named(world.board.to_string(), "Main board", 2),
            "project": named(world.project.to_string(), "Engine", 2),
            "field.priority": [{"value": "High", "count": 1}, {"value": "low", "count": 1}],
            "field.none": [],
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn suggestions_come_with_keys() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-17", "b", "Valve <stuck>", NOW);
    let expected = json!({"suggestions": [
        {"itemId": item, "key": "A-17", "title": "Valve <stuck>", "highlight": "<b>Valve</b> &lt;stuck&gt;"},
    ]});
    assert_eq!(fixture.json("/api/v1/search/suggest?q=val").await, expected);
    assert_eq!(fixture.json("/api/v1/search/suggest?q=a-1&limit=1").await["suggestions"][0]["key"], "A-17");
    assert_eq!(fixture.json("/api/v1/search/suggest").await, json!({"suggestions": []}));
    for (path, field) in [("limit=51", "limit"), (&format!("q={}", "x".repeat(501)), "q")] {
        let refusal = fixture.ask(&format!("/api/v1/search/suggest?{path}")).await;
        assert_eq!((refusal.problem().0, &refusal.json()["field"]), (400, &json!(field)));
    }
    assert_eq!(
        Fixture::new().ask("/api/v1/search/suggest?q=a").await.problem(),
        (503, "no_search_index".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_none_are_400_and_say_where_and_what_is_expected() {
    let fixture = Fixture::projected();
    World::create(&fixture.store, "acme");
    let long = "x".repeat(2_000);
    let many = "x+".repeat(50);
    for (q, at, expected) in [
        ("%22open", 0, "\""),
        ("a+%22open", 2, "\""),
        ("%C3%A4+%22open", 2, "\""),
        ("%21%21", 0, "letter"),
        (&long, 0, "at most 1000"),
        (&many, 64, "at most 32"),
        ("a+OR", 4, "a word"),
        ("colour:red", 0, "title, text"),
        ("due:soon", 4, "2024-01-31"),
    ] {
        let refusal = fixture.ask(&format!("/api/v1/search?q={q}")).await;
        assert_eq!(refusal.problem(), (400, "invalid_query".into()), "{q}");
        let json = refusal.json();
        assert_eq!((&json["field"], &json["at"]), (&json!("q"), &json!(at)), "{q}");
        assert!(json["expected"].as_str().unwrap().contains(expected), "{json}");
    }
    let refusal = fixture.ask("/api/v1/search?q=%22open&minPosition=3").await;
    assert_eq!((refusal.status.as_u16(), refusal.position()), (400, 3), "refusals tell what they rest on");
    // Where offsets lead with any limit: the page is as short as what is left.
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
