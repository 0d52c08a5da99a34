//! Requests that nobody means well with: a 4xx that names what is wrong, never a 5xx.

use crate::fixture::Fixture;
use crate::history::{NOW, World};
use axum::body::Body;
use axum::http::Request;

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_named() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let stream = format!("/api/v1/streams/board-{}/events", world.board);
    let view = format!("/api/v1/boards/{}/view", world.board);
    for (path, field) in [
        ("/api/v1/items/7", "id"),
        ("/api/v1/items/%FF", "id"),
        ("/api/v1/items/%00", "id"),
        ("/api/v1/items", "externalKey"),
        ("/api/v1/items?externalKey=a&workspaceId=b", "workspaceId"),
        ("/api/v1/items?externalKey=a&externalKey=b", "externalKey"),
        ("/api/v1/boards?limit=0", "limit"),
        ("/api/v1/boards?limit=501", "limit"),
        ("/api/v1/boards?offset=-1", "offset"),
        ("/api/v1/boards?projectId=", "projectId"),
        (&format!("{view}?limit=501"), "limit"),
        (&format!("{view}?column=x"), "column"),
        ("/api/v1/projects?workspaceId=%F0%9F%92%A9", "workspaceId"),
        ("/api/v1/search?q=a&limit=101", "limit"),
        ("/api/v1/search?q=a&offset=10001", "offset"),
        ("/api/v1/search?q=a&kind=thing", "kind"),
        ("/api/v1/search?q=a&state=done", "state"),
        ("/api/v1/search?q=a&board=b", "board"),
        ("/api/v1/events?from=x", "from"),
        ("/api/v1/events?from=18446744073709551616", "from"),
        ("/api/v1/events?from=%2B1", "from"),
        ("/api/v1/events?limit=1001", "limit"),
        ("/api/v1/events?limit=", "limit"),
        ("/api/v1/events?type=", "type"),
        ("/api/v1/events?tag=%00", "tag"),
        (&format!("/api/v1/events?stream={}", "s".repeat(256)), "stream"),
        (&format!("{stream}?direction=sideways"), "direction"),
        (&format!("{stream}?from=1.5"), "from"),
        (&format!("/api/v1/streams/{}/events", "s".repeat(300)), "id"),
        ("/api/v1/workspaces?minPosition=soon", "minPosition"),
        ("/api/v1/workspaces?timeoutMs=30001", "timeoutMs"),
    ] {
        let refusal = fixture.ask(path).await;
        assert_eq!(refusal.problem(), (400, "invalid_parameter".into()), "{path}");
        assert_eq!(refusal.json()["field"], field, "{path}");
    }
    for path in [
        "/api/v1/events?form=3",
        "/api/v1/events/live?limit=3",
        "/api/v1/boards?workspace=x",
        "/api/v1/workspaces?=",
        "/api/v1/projections?%00",
    ] {
        assert_eq!(fixture.ask(path).await.problem(), (400, "unknown_parameter".into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_numbers_are_only_numbers() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let stream = format!("/api/v1/streams/board-{}/events", world.board);
    let max = u64::MAX;
    for path in [
        format!("/api/v1/events?from={max}&limit=1000"),
        format!("/api/v1/events?from={max}&stream=board-{}", world.board),
        format!("/api/v1/events?from={max}&tag=board:{}", world.board),
        format!("{stream}?from={max}"),
        format!("{stream}?from={max}&direction=backward"),
        "/api/v1/boards?offset=1000000&limit=500".to_owned(),
        format!("/api/v1/boards/{}/view?offset=1000000", world.board),
        "/api/v1/search?offset=9900&limit=100".to_owned(),
        format!("/api/v1/activity?boardId={}&before={max}", world.board),
        format!("/api/v1/boards/{}/history?from={max}", world.board),
        format!("/api/v1/boards/{}/history?from={max}&direction=backward", world.board),
        format!("/api/v1/boards/{}/analytics?from=9999-12-31", world.board),
        format!("/api/v1/boards/{}/analytics?to=0000-01-01", world.board),
        "/api/v1/users/bob/items?offset=1000000&limit=500".to_owned(),
    ] {
        fixture.get(&path).await;
    }
    let refusal = fixture.ask(&format!("/api/v1/workspaces?minPosition={max}&timeoutMs=0")).await;
    assert_eq!(refusal.problem(), (504, "not_caught_up".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_routes_and_methods_are_problems() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask("/api/v1/nothing").await.problem(), (404, "no_such_route".into()));
    assert_eq!(fixture.ask("/api/v1/items/").await.problem().0, 404);
    assert_eq!(fixture.ask("/api/v1/streams/a/b/events").await.problem().0, 404);
    let post = Request::post("/api/v1/boards").body(Body::from("x")).unwrap();
    assert_eq!(fixture.send(post).await.problem(), (405, "method_not_allowed".into()));
}

/// Any mixture of known names and nasty values is answered, and never with a 5xx.
#[tokio::test(flavor = "multi_thread")]
async fn random_parameters_never_break_anything() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "x", NOW);
    fixture.get("/api/v1/search?q=x").await;
    let paths = [
        "items".to_owned(),
        format!("items/{item}"),
        format!("items/{item}/comments"),
        "boards".to_owned(),
        format!("boards/{}/view", world.board),
        "projects".to_owned(),
        "workspaces".to_owned(),
        "search".to_owned(),
        "search/suggest".to_owned(),
        "events".to_owned(),
        "activity".to_owned(),
        format!("items/{item}/history"),
        format!("boards/{}/analytics", world.board),
        "users/ada/items".to_owned(),
        format!("streams/item-{item}/events"),
    ];
    let names = [
        "q",
        "limit",
        "offset",
        "from",
        "type",
        "stream",
        "tag",
        "direction",
        "kind",
        "state",
        "externalKey",
        "boardId",
        "workspaceId",
        "person",
        "before",
        "completed",
        "to",
        "sort",
        "after",
        "facets",
        "stem",
    ];
    let id = world.board.to_string();
    let values = [
        "",
        "0",
        "1",
        "-1",
        "1000",
        "18446744073709551615",
        "a%20b",
        "%22",
        "%00",
        "%FF",
        "%",
        "&",
        "=",
        "+",
        "null",
        "%F0%9F%92%A9",
        "AND",
        "OR+NOT",
        "a*",
        "%5B1+TO+2%5D",
        "forward",
        "backward",
        "item",
        "open",
        &id,
        "item.created",
        "2026-02-28",
        "-updated",
        "en",
        "state,field.x",
        "-a+%28title%3Ab+OR+due%3A%3E2024-01-01%29",
        "column%3Aopen~",
    ];
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("seed {seed}");
    let mut state = u64::from(seed) | 1;
    let mut pick = |from: usize| {
        // xorshift64 (Marsaglia 2003): enough to mix parameters.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(from).unwrap()).unwrap()
    };
    for _ in 0..600 {
        let mut path = format!("/api/v1/{}?timeoutMs=1", paths[pick(paths.len())]);
        for _ in 0..=pick(3) {
            path = format!("{path}&{}={}", names[pick(names.len())], values[pick(values.len())]);
        }
        let answer = fixture.ask(&path).await;
        assert!(answer.status.as_u16() < 500, "seed {seed}: {path}: {} {}", answer.status, answer.body);
        answer.json();
    }
}
