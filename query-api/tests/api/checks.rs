//! Checks of the read models that an auditor asks for.

use crate::fixture::{Answer, Fixture, router, send};
use crate::history::{NOW, World};
use axum::body::Body;
use axum::http::Request;
use projector::checker::CheckSettings;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/api/v1/projections/check";

async fn begin(fixture: &Fixture, query: &str) -> Answer {
    fixture.send(Request::post(format!("{PATH}{query}")).body(Body::empty()).unwrap()).await
}

/// The state, once nothing is going on any more.
async fn ended(fixture: &Fixture) -> Value {
    loop {
        let state = fixture.json(PATH).await;
        if state["state"] != "running" {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_after_the_answer_and_says_what_it_found() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    for number in 0..20 {
        world.item(&fixture.store, &format!("A-{number}"), "i", "x", NOW);
    }
    let idle = fixture.json(PATH).await;
    assert_eq!((&idle["state"], &idle["projections"]), (&json!("idle"), &json!([])));

    let begun = begin(&fixture, "").await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    assert!(begun.headers.contains_key("sunday-position"));
    assert_eq!(begun.json()["sample"], 1);
    let done = ended(&fixture).await;
    assert_eq!(
        (&done["state"], &done["failure"], &done["seed"]),
        (&json!("done"), &Value::Null, &Value::Null)
    );
    let names: Vec<_> =
        done["projections"].as_array().unwrap().iter().map(|projection| &projection["projection"]).collect();
    assert_eq!(names, ["models", "activity", "analytics"]);
    for projection in done["projections"].as_array().unwrap() {
        assert!(projection["compared"].as_u64().unwrap() >= 20, "{projection}");
        assert_eq!(projection["findings"], json!([]), "{projection}");
        let none = json!({"missing": 0, "stale": 0, "duplicate": 0, "orphaned": 0});
        assert_eq!(projection["counts"], none, "{projection}");
    }

    assert_eq!(begin(&fixture, "?sample=4&seed=11").await.status, 202);
    let sampled = ended(&fixture).await;
    assert_eq!(
        (&sampled["state"], &sampled["sample"], &sampled["seed"]),
        (&json!("done"), &json!(4), &json!(11))
    );
    let compared = |state: &Value| state["projections"][0]["compared"].as_u64().unwrap();
    assert!(compared(&sampled) < compared(&done), "{sampled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_goes_on_at_a_time() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    for number in 0..300 {
        world.item(&fixture.store, &format!("A-{number}"), "i", "x", NOW);
    }
    fixture.get("/api/v1/workspaces").await;
    // Some of these come while the one before goes on.
    let mut refused = 0;
    for _ in 0..50 {
        let answer = begin(&fixture, "").await;
        if answer.status != 202 {
            assert_eq!(answer.problem(), (409, "check_running".into()));
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(ended(&fixture).await["state"], "done");
    assert_eq!(begin(&fixture, "").await.status, 202, "and the next one can begin");
    for query in ["?sample=0", "?sample=x", "?sample=1000001", "?seed=-1"] {
        assert_eq!(begin(&fixture, query).await.problem(), (400, "invalid_parameter".into()), "{query}");
    }
    assert_eq!(begin(&fixture, "?smaple=7").await.problem(), (400, "unknown_parameter".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_by_itself_is_told_with_the_projections_and_in_metrics() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    world.item(&fixture.store, "A-1", "i", "x", NOW);
    assert_eq!(fixture.json("/api/v1/projections").await.get("checks"), None);
    let settings = CheckSettings { every: Duration::from_millis(1), one_in: 1 };
    fixture.get("/api/v1/workspaces").await;
    fixture.service.check_in_background(settings).unwrap();
    let checks = loop {
        let checks = fixture.json("/api/v1/projections").await["checks"].clone();
        if checks["passes"].as_u64().unwrap() > 1 {
            break checks;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(checks["compared"].as_u64().unwrap() > 4, "{checks}");
    assert_eq!(checks["findings"], json!({"missing": 0, "stale": 0, "duplicate": 0, "orphaned": 0}));
    assert_eq!(checks["last"]["failure"], Value::Null);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let metrics = send(&router(fixture.service.clone()), request).await.body;
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        line.split(' ').next_back().unwrap().parse().unwrap()
    };
    assert!(value("sunday_check_passes_total ") > 1.0 && value("sunday_check_compared_total ") > 4.0);
    assert!(value("sunday_check_last_time_seconds ") > 1.7e9);
    for class in ["missing", "stale", "duplicate", "orphaned"] {
        assert_eq!(value(&format!("sunday_check_{class}_total ")), 0.0);
    }
}
