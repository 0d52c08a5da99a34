//! Moments that are none, that have not come yet, or that are too long ago.

use super::ask_at;
use crate::fixture::Fixture;
use crate::history::{NOW, World, append_many};
use crate::tenants::{ask_as, reader};
use domain::WorkspaceId;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_moment_is_refused() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let end = fixture.store.watermark().get();
    let World { project, board, .. } = &world;
    let things = [
        format!("items/{item}"),
        format!("boards/{board}"),
        format!("boards/{board}/view"),
        format!("projects/{project}"),
    ];
    for bad in [
        "",
        "-1",
        "x",
        "1.0",
        "2026-11-21",
        "2026-11-21T08:30:00",
        "2026-11-21T08:30:00+01:00",
        "18446744073709551616",
    ] {
        for thing in &things {
            let answer = fixture.ask(&format!("/api/v1/{thing}?asOf={bad}")).await;
            assert_eq!(answer.problem(), (400, "invalid_parameter".into()), "{thing} {bad}");
            assert_eq!(answer.json()["field"], "asOf", "{thing} {bad}");
        }
        for (query, field) in [(format!("from={bad}"), "from"), (format!("from=0&to={bad}"), "to")] {
            let answer = fixture.ask(&format!("/api/v1/items/{item}/diff?{query}")).await;
            assert_eq!((answer.problem().0, &answer.json()["field"]), (400, &json!(field)), "{query}");
        }
    }
    let missing = fixture.ask(&format!("/api/v1/items/{item}/diff?to=1")).await;
    assert_eq!((missing.problem().0, &missing.json()["field"]), (400, &json!("from")));
    // Behind the end there is nothing yet, and it is told where that is.
    let beyond = end + 1;
    for (query, field) in [
        (format!("items/{item}?asOf={beyond}"), "asOf"),
        (format!("items/{item}/diff?from={beyond}"), "from"),
        (format!("items/{item}/diff?from=0&to={beyond}"), "to"),
    ] {
        let answer = fixture.ask(&format!("/api/v1/{query}")).await;
        assert_eq!(answer.problem(), (400, "invalid_parameter".into()), "{query}");
        assert_eq!(answer.json()["field"], field, "{query}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(&format!("position {end}")),
            "{}",
            answer.body
        );
    }
    let late =
        fixture.ask(&format!("/api/v1/items/{item}?asOf={beyond}&minPosition={beyond}&timeoutMs=1")).await;
    assert_eq!(late.problem(), (504, "not_caught_up".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_endless_histories_read() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let path = format!("/api/v1/items/{item}");
    let early = fixture.store.watermark().get();
    // Nothing that the models would know, so they have little to do.
    for _ in 0..20 {
        append_many(&fixture.store, &item.stream_id(), 10_000);
    }
    let end = fixture.store.watermark().get();
    let problem = fixture.refused(&format!("{path}?asOf={end}")).await;
    assert_eq!(problem, (422, "too_much_history".into()));
    let problem = fixture.refused(&format!("{path}/diff?from=1")).await;
    assert_eq!(problem, (422, "too_much_history".into()));
    assert_eq!(ask_at(&fixture, &path, &early.to_string(), early).await.0, 200);
    // Whose it is not, learns nothing of that.
    let stranger = reader(&[WorkspaceId::derive("rival")]);
    for query in [format!("asOf={end}"), format!("asOf={early}")] {
        let answer = ask_as(&fixture, &stranger, &format!("/items/{item}?{query}")).await;
        assert_eq!(answer.problem(), (404, "not_found".into()), "{query}");
    }
}
