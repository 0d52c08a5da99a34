//! The document that the API serves: it is what the specification asks for, and what the handlers know.
//!
//! That answers are what it says is looked at in every other test: see [`judge`].

use crate::fixture::{Answer, Fixture};
use crate::history::{NOW, World};
use axum::http::Method;
use axum::http::response::Parts;
use http_kit::openapi::judge::{Exchange, Judge};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The document as it is checked in, which a test holds to be what is served.
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

// Read when it is needed, so that a snapshot that was just written counts.
static JUDGE: LazyLock<Judge> =
    LazyLock::new(|| Judge::strict(serde_json::from_slice(&std::fs::read(SNAPSHOT).unwrap()).unwrap()));

/// Compares a request and its answer with the document. Coded answers are looked at as they were.
#[track_caller]
pub(crate) fn judge(method: &Method, path: &str, parts: &Parts, body: &[u8]) {
    if parts.headers.contains_key("content-encoding") {
        return;
    }
    let (status, headers) = (parts.status.as_u16(), &parts.headers);
    let exchange = Exchange { method: method.as_str(), path, sent: &[], status, headers, body };
    if let Err(fault) = JUDGE.judge(&exchange) {
        panic!("{fault}, {method} {path}: {status} {}", String::from_utf8_lossy(body));
    }
}

/// Operations of the API proper, with the parameters of their queries. In the paths stand ids that may be there.
fn operations(world: &World) -> Vec<(String, Vec<&'static Value>)> {
    let found = JUDGE.operations().filter(|(method, path, _)| *method == "get" && path.starts_with("/api/"));
    let found = found.map(|(_, path, operation)| {
        let item = world.item_id("A-1").to_string();
        let ids = [
            ("/workspaces/{id}", world.workspace.to_string()),
            ("/projects/{id}", world.project.to_string()),
            ("/boards/{id}", world.board.to_string()),
            ("/streams/{id}", format!("item-{item}")),
            ("/segments/{segment}", "0".to_owned()),
        ];
        let known = ids.iter().find(|(part, _)| path.contains(part));
        let id = known.map_or(item.as_str(), |(_, id)| id);
        let path = path.replace("{id}", id).replace("{segment}", id).replace("{name}", "ledger");
        let parameters = operation["parameters"].as_array().unwrap().iter().map(|part| JUDGE.resolve(part));
        (path, parameters.filter(|parameter| parameter["in"] == "query").collect())
    });
    found.collect()
}

async fn world() -> (Fixture, World) {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    world.item(&fixture.store, "A-1", "i", "x", NOW);
    fixture.get("/api/v1/search").await;
    (fixture, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_the_parameters_that_the_handlers_know() {
    let (fixture, world) = world().await;
    let operations = operations(&world);
    assert!(operations.len() >= 19, "{}", operations.len());
    for (path, parameters) in operations {
        let refusal = fixture.ask(&format!("{path}?nonsense=1")).await;
        assert_eq!(refusal.problem(), (400, "unknown_parameter".into()), "{path}");
        let names = |list: &[&Value]| -> BTreeSet<String> {
            list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let refusal = refusal.json();
        let known = names(&refusal["known"].as_array().unwrap().iter().collect::<Vec<_>>());
        let told = names(&parameters.iter().map(|parameter| &parameter["name"]).collect::<Vec<_>>());
        assert_eq!(told, known, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_bounds_are_those_that_decide() {
    let (fixture, world) = world().await;
    let is_refused = |answer: &Answer, name: &Value| {
        answer.status == 400
            && answer.json()["code"] == "invalid_parameter"
            && answer.json()["field"] == *name
    };
    let mut tried = 0;
    for (path, parameters) in operations(&world) {
        let live = path.ends_with("/live");
        // What has to be there for the others to be looked at.
        let required = parameters.iter().filter(|parameter| parameter["required"] == true);
        let required: String =
            required.map(|parameter| format!("&{}=x", parameter["name"].as_str().unwrap())).collect();
        for parameter in parameters {
            let name = &parameter["name"];
            let ask = async |value: &str| {
                // Nobody waits long for what does not come.
                let patience = if name == "timeoutMs" { "" } else { "&timeoutMs=1" };
                let required = if parameter["required"] == true { "" } else { &required };
                let path = format!("{path}?{}={value}{required}{patience}", name.as_str().unwrap());
                fixture.ask(&path).await
            };
            let schema = &parameter["schema"];
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            if let (Some(min), Some(max)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
                good.extend([min.to_string(), max.to_string()]);
                bad.extend(["-1".to_owned(), "x".to_owned(), (u128::from(max) + 1).to_string()]);
                bad.extend(min.checked_sub(1).map(|below| below.to_string()));
            }
            for word in schema["enum"].as_array().into_iter().flatten() {
                good.push(word.as_str().unwrap().to_owned());
                bad.push("other".to_owned());
            }
            if schema["format"] == "uuid" {
                good.push(world.board.to_string());
                bad.push("x".to_owned());
            }
            if let (Some("string"), Some(max)) = (schema["type"].as_str(), schema["maxLength"].as_u64()) {
                let max = usize::try_from(max).unwrap();
                good.push("a".repeat(max));
                bad.extend([String::new(), "a".repeat(max + 1), "%07".to_owned()]);
            }
            if let Some(default) = schema.get("default") {
                good.push(default.as_str().map_or_else(|| default.to_string(), str::to_owned));
            }
            for value in bad {
                let answer = ask(&value).await;
                assert!(
                    is_refused(&answer, name),
                    "{path}: {name}={value}: {} {}",
                    answer.status,
                    answer.body
                );
                tried += 1;
            }
            // A stream does not end; and what goes together is wrong alone.
            let is_alone =
                path.ends_with("/log") && ["store", "position", "chain"].contains(&name.as_str().unwrap());
            for value in good.iter().filter(|_| !live && !is_alone && name != "waitMs") {
                let answer = ask(value).await;
                assert!(!is_refused(&answer, name), "{path}: {name}={value}: {}", answer.body);
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn it_has_the_shape_of_openapi_3_1() {
    assert_eq!(JUDGE.shape(), Vec::<String>::new());
    assert!(JUDGE.document()["components"]["schemas"].as_object().unwrap().len() > 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_the_snapshot() {
    let fixture = Fixture::new();
    let response =
        fixture.open(axum::http::Request::get("/openapi.json").body(axum::body::Body::empty()).unwrap());
    let response = response.await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let served = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    if std::env::var_os("SUNDAY_WRITE_OPENAPI").is_some() {
        std::fs::write(SNAPSHOT, &served).unwrap();
    }
    let snapshot = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let served = std::str::from_utf8(&served).unwrap();
    let first = snapshot.lines().zip(served.lines()).position(|(then, now)| then != now);
    assert!(
        snapshot == served,
        "query-api/openapi.json is not what is served (first difference: line {:?}). If the API is meant to change: \
         SUNDAY_WRITE_OPENAPI=1 cargo test --workspace --test api what_is_served",
        first.map(|line| line + 1)
    );
}
