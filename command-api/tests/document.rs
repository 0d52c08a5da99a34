//! The document that the API serves: its examples work, and it is what the specification asks for.
//!
//! That answers are what it says is looked at in every other test, see `common::document`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::body::Body;
use axum::http::Request;
use common::Api;
use common::document::{SNAPSHOT, document, faults, resolve};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    document()["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(|(method, operation)| (method.as_str(), path.as_str(), operation))
    })
}

#[tokio::test]
async fn every_example_works() {
    let api = Api::new();
    let world: Value = serde_json::from_str(include_str!("world.json")).unwrap();
    let made = api.post("/batch", world).await.is(200);
    for result in made.body["results"].as_array().unwrap() {
        assert_eq!(result["status"], "applied", "{made:?}");
    }
    let mut tried = 0;
    for (method, path, operation) in operations() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
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
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut names = Vec::new();
    for (method, path, operation) in operations() {
        names.push(operation["operationId"].as_str().unwrap());
        for tag in operation["tags"].as_array().unwrap() {
            assert!(tags.contains(&tag), "{method} {path}: {tag} is not explained");
        }
        let parameters = operation["parameters"].as_array().unwrap().iter().map(resolve);
        let in_path: Vec<&str> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| {
                assert_eq!(parameter["required"], true);
                parameter["name"].as_str().unwrap()
            })
            .collect();
        let in_template: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(in_path, in_template, "{method} {path}");
        assert!(operation["security"].is_array(), "{method} {path}");
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "operationId is unique");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::meta::is_valid(schema), "{name} is no JSON Schema");
        // That references resolve and patterns compile.
        faults(&json!({"$ref": format!("#/components/schemas/{name}")}), &json!({}));
    }
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
         SUNDAY_WRITE_OPENAPI=1 cargo test --workspace --test document",
        first.map(|line| line + 1)
    );
}
