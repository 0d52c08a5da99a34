//! What is told of the projections themselves.

use crate::fixture::{Fixture, router, send};
use crate::history::{NOW, World};
use axum::body::Body;
use axum::http::Request;
use projector::ReadModels;
use query_api::QueryService;
use serde_json::{Value, json};

fn named<'a>(body: &'a Value, name: &str) -> &'a Value {
    let projections = body["projections"].as_array().unwrap();
    projections.iter().find(|projection| projection["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_says_how_it_is() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    world.item(&fixture.store, "A-1", "i", "x", NOW);
    let body = fixture.json("/api/v1/projections").await;
    let names: Vec<_> =
        body["projections"].as_array().unwrap().iter().map(|projection| projection["name"].clone()).collect();
    assert_eq!(names, ["models", "search", "activity", "analytics"]);
    for name in ["models", "search", "activity", "analytics"] {
        let projection = named(&body, name);
        assert_eq!(
            (&projection["state"], &projection["position"], &projection["lag"], &projection["lagSeconds"]),
            (&json!("live"), &json!(4), &json!(0), &json!(0.0)),
            "{projection}"
        );
        assert!(projection["version"].as_u64().unwrap() > 0, "{projection}");
        assert_eq!((&projection["failure"], &projection["lastError"]), (&Value::Null, &Value::Null));
        assert_eq!(projection.get("digest"), None);
        // An index of another process does not say how fast it is written.
        assert_eq!(projection["eventsPerSecond"].is_null(), name == "search", "{projection}");
    }
    assert!(named(&body, "models")["eventsPerSecond"].as_f64().unwrap() > 0.0);
    // The workspace, the project, the board, the item, and whoever did it.
    assert_eq!(named(&body, "activity")["feeds"], 5);
    assert_eq!(named(&body, "analytics")["days"], 1);

    let digests = fixture.json("/api/v1/projections?digest=true").await;
    let service = &fixture.service;
    for (name, digest) in [
        ("models", service.models().digest().1),
        ("activity", service.activity().digest().1),
        ("analytics", service.analytics().digest().1),
    ] {
        assert_eq!(named(&digests, name)["digest"], digest.to_string(), "{name}");
    }
    assert_eq!(named(&digests, "search").get("digest"), None);
    let refused = fixture.refused("/api/v1/projections?digest=1").await;
    assert_eq!(refused, (400, "invalid_parameter".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_move_says_how_far_behind_it_is_and_why() {
    let fixture = Fixture::projected();
    World::create(&fixture.store, "acme");
    fixture.get("/api/v1/projections").await;
    // Read models that nobody feeds, of a service whose projector says what is wrong.
    let log = fixture.store.log();
    let models = ReadModels::begin(log.store_id());
    let service = QueryService::over(fixture.data_dir(), log, models, || Some("the disk is full".into()));
    let request = Request::get("/api/v1/projections").body(Body::empty()).unwrap();
    let answer = send(&router(service), request).await;
    assert_eq!(answer.position(), 0);
    let body = answer.json();
    let models = named(&body, "models");
    assert_eq!((&models["position"], &models["lag"]), (&json!(0), &json!(3)));
    assert!(models["lagSeconds"].as_f64().unwrap() > 0.0, "{models}");
    let search = named(&body, "search");
    assert_eq!((&search["state"], &search["failure"]), (&json!("failed"), &json!("the disk is full")));
}
