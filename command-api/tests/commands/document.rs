//! The document that the API serves: its examples work, and it is what the specification asks for.
//!
//! That answers are what it says is looked at in every other test, see `common::document`.

use crate::common::Api;
use crate::common::document::{SNAPSHOT, faults, judge_of_all};
use axum::body::Body;
use axum::http::Request;
use eventstore::Position;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

#[tokio::test]
async fn every_example_works() {
    let api = Api::new();
    let world: Value = serde_json::from_str(include_str!("../world.json")).unwrap();
    let made = api.post("/batch", world).await.is(200);
    for result in made.body["results"].as_array().unwrap() {
        assert_eq!(result["status"], "applied", "{made:?}");
    }
    for name in ["ledger", "old-ledger"] {
        api.post("/consumers", serde_json::json!({"name": name, "from": 0})).await.is(201);
    }
    // An event's id is another one in every log.
    for position in 0..2 {
        let event = api.store.commits(Position::new(position)).next().unwrap().unwrap();
        let view = event.events().find(|event| event.position().get() == position).unwrap();
        let data = serde_json::json!({
            "position": position, "eventId": view.id(), "streamId": view.stream(), "version": view.version(), "reason": "none"
        });
        let decision = serde_json::json!({"type": "sys.dead_letter_added", "data": data});
        api.post("/projections/models/decisions", decision).await.is(202);
    }
    let mut tried = 0;
    for (method, path, operation) in judge_of_all().operations() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        if path == "/projections/{name}/decisions" {
            // It was tried above, with an event that there is.
            continue;
        }
        let mut path = path.to_owned();
        for parameter in operation["parameters"].as_array().unwrap() {
            if parameter["in"] == "path" {
                let value = &parameter["examples"]["plain"]["value"];
                assert!(!value.is_null(), "{method} {path}: no example of {parameter}");
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                path = path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), &value);
            }
        }
        let content = &operation["requestBody"]["content"]["application/json"];
        let example = &content["examples"]["plain"]["value"];
        assert!(
            !example.is_null() || operation["requestBody"]["required"] != true,
            "{method} {path}: a body is required and there is no example"
        );
        let method = method.to_ascii_uppercase();
        let answer = if example.is_null() {
            api.send(&method, &path, &[], Body::empty()).await
        } else {
            assert_eq!(faults(&content["schema"], example), Vec::<String>::new(), "{method} {path}");
            api.with(&method, &path, &[], example).await
        };
        assert!(answer.status < 300, "{method} {path} {example}: {answer:?}");
        if let Some(results) = answer.body["results"].as_array() {
            assert!(results.iter().all(|result| result["status"] == "applied"), "{answer:?}");
        }
        tried += 1;
    }
    assert!(tried >= 38, "{tried}");
}

#[test]
fn it_has_the_shape_of_openapi_3_1() {
    assert_eq!(judge_of_all().shape(), Vec::<String>::new());
    assert!(judge_of_all().document()["components"]["schemas"].as_object().unwrap().len() > 20);
}

#[tokio::test]
async fn what_is_served_is_the_snapshot() {
    let api = Api::new();
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let served = response.into_body().collect().await.unwrap().to_bytes();
    if std::env::var_os("SUNDAY_WRITE_OPENAPI").is_some() {
        std::fs::write(SNAPSHOT, &served).unwrap();
    }
    let snapshot = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let served = std::str::from_utf8(&served).unwrap();
    let first = snapshot.lines().zip(served.lines()).position(|(then, now)| then != now);
    assert!(
        snapshot == served,
        "command-api/openapi.json is not what is served (first difference: line {:?}). If the API is meant to change: \
         SUNDAY_WRITE_OPENAPI=1 cargo test --workspace --test commands document",
        first.map(|line| line + 1)
    );
}
