//! Nothing that a client can send gives a 5xx, and nothing of it reaches the log by accident.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "commands/common/mod.rs"]
mod common;

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use command_api::AppState;
use common::{Api, Place};
use http_body_util::BodyExt;
use http_kit::auth::{Authentication, Principal};
use http_kit::json::DEPTH_MAX;
use http_kit::limits::{LimitSettings, Limits, Party};
use serde_json::{Value, json};
use tower::ServiceExt;

const JSON: (&str, &str) = ("content-type", "application/json");

fn routes(place: &Place, item: &str) -> Vec<(&'static str, String)> {
    let (board, todo) = (&place.board, &place.todo);
    vec![
        ("POST", "/workspaces".into()),
        ("PATCH", format!("/workspaces/{}", place.workspace)),
        ("POST", format!("/workspaces/{}/members", place.workspace)),
        ("POST", "/projects".into()),
        ("PATCH", format!("/projects/{}", place.project)),
        ("POST", "/boards".into()),
        ("PATCH", format!("/boards/{board}")),
        ("POST", format!("/boards/{board}/columns")),
        ("PATCH", format!("/boards/{board}/columns/{todo}")),
        ("POST", format!("/boards/{board}/columns/{todo}/move")),
        ("DELETE", format!("/boards/{board}/columns/{todo}")),
        ("POST", format!("/boards/{board}/members")),
        ("POST", format!("/boards/{board}/fields")),
        ("POST", "/items".into()),
        ("PATCH", format!("/items/{item}")),
        ("POST", format!("/items/{item}/move")),
        ("POST", format!("/items/{item}/rank")),
        ("POST", format!("/items/{item}/assign")),
        ("POST", format!("/items/{item}/unassign")),
        ("POST", format!("/items/{item}/links")),
        ("POST", format!("/items/{item}/comments")),
        ("POST", format!("/items/{item}/attachments")),
        ("PATCH", format!("/comments/{item}")),
        ("POST", "/batch".into()),
    ]
}

fn bodies(place: &Place) -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str, levels: usize| open.repeat(levels) + &close.repeat(levels);
    let long = "x".repeat(2_000_000);
    vec![
        b"".to_vec(),
        b"\0".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"7".to_vec(),
        b"\"text\"".to_vec(),
        b"[{}]".to_vec(),
        b"{\"name\":\"\xff\xfe\"}".to_vec(),
        b"{\"name\":\"\\ud800\"}".to_vec(),
        b"{\"name\":1e999}".to_vec(),
        b"{\"name\":\"a\",\"name\":\"b\"}".to_vec(),
        (0..=255).collect(),
        deep("[", "]", 100_000).into_bytes(),
        format!("{{\"fields\":{{\"a\":{{\"set\":{}}}}}}}", deep("[", "]", 100)).into_bytes(),
        format!("{{\"fields\":{{\"a\":{{\"set\":{}}}}}}}", deep("[", "]", 120_000)).into_bytes(),
        deep("{\"a\":", "}", 50_000).into_bytes(),
        json!({"name": long, "title": "x", "boardId": place.board}).to_string().into_bytes(),
        json!({"name": long}).to_string().into_bytes(),
        json!({"title": long}).to_string().into_bytes(),
        json!({"body": "\u{0}\u{1}\u{7f}\u{202e}"}).to_string().into_bytes(),
        json!({"boardId": "not-a-uuid", "title": "x"}).to_string().into_bytes(),
        json!({"boardId": "{00000000-0000-0000-0000-000000000000}", "title": "x"}).to_string().into_bytes(),
        json!({"assignees": vec!["p"; 50_000]}).to_string().into_bytes(),
        json!({"expectedVersion": -1}).to_string().into_bytes(),
        json!({"expectedVersion": 18_446_744_073_709_551_615_u64}).to_string().into_bytes(),
        json!({"index": 4_294_967_295_u64, "wipLimit": 0}).to_string().into_bytes(),
        json!({"after": "zz", "before": "aa"}).to_string().into_bytes(),
        json!({"commands": null}).to_string().into_bytes(),
        json!({"commands": [null, 1, "x"]}).to_string().into_bytes(),
        json!({"commands": [{"command": "", "data": 7}, {"command": "item.create", "data": [[[]]]}]}).to_string().into_bytes(),
        format!("{{\"commands\":[{{\"command\":\"item.update\",\"data\":{}}}]}}", deep("[", "]", 100_000)).into_bytes(),
        json!({"commands": [{"command": "item.create", "occurredAt": "9999-12-31T23:59:59Z", "data": {"boardId": place.board, "title": "x"}},
            {"command": "item.create", "occurredAt": "0000-01-01T00:00:00Z", "data": {"boardId": place.board, "title": "x"}},
            {"command": "item.create", "onBehalfOf": "x".repeat(300), "data": {"boardId": place.board, "title": "x"}}]})
        .to_string()
        .into_bytes(),
        json!({"atomic": true, "commands": [{"command": "item.create", "data": {"boardId": place.project, "title": "x"}}]})
            .to_string()
            .into_bytes(),
        json!({"atomic": true, "commands": []}).to_string().into_bytes(),
        json!({"atomic": true, "commands": [{"command": "workspace.create", "idempotencyKey": "k", "data": {"name": "a"}},
            {"command": "workspace.create", "idempotencyKey": "k", "data": {"name": "a"}}]})
        .to_string()
        .into_bytes(),
    ]
}

#[tokio::test]
async fn bodies_of_every_kind_on_every_route() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    for (method, path) in routes(&place, &item) {
        for body in bodies(&place) {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let answer = api.send(method, &path, &[JSON], Body::from(body)).await;
            assert!(answer.status < 500, "{method} {path} {shown}: {answer:?}");
            if answer.status >= 400 {
                assert!(answer.body["code"].is_string(), "{method} {path} {shown}: {answer:?}");
            }
            // Nor does a result within a batch.
            for result in answer.body["results"].as_array().into_iter().flatten() {
                assert!(result["problem"]["status"].as_u64().unwrap_or(0) < 500, "{shown}: {result}");
            }
        }
    }
    // The service is as sound as before.
    api.patch(&format!("/items/{item}"), json!({"title": "still here"})).await.is(200);
}

#[tokio::test]
async fn headers_and_paths_of_every_kind() {
    let api = Api::new();
    let place = api.board().await;
    let item = api.item(&place).await;
    let long = "k".repeat(256);
    for (name, value) in [
        ("if-match", "\"99999999999999999999999\""),
        ("if-match", "\"-1\""),
        ("if-match", ",,,"),
        ("if-match", "\"\""),
        ("if-none-match", "\"0\""),
        ("idempotency-key", long.as_str()),
        ("idempotency-key", "caf\u{e9}"),
        ("idempotency-key", " "),
        ("traceparent", "00-zz"),
        ("x-request-id", "\u{e9}"),
        ("content-type", "application/json; charset"),
        ("content-type", "application/jsonx"),
        ("content-type", "multipart/form-data"),
        ("content-length", "5"),
    ] {
        let mut headers = vec![(name, value)];
        if name != "content-type" {
            headers.push(JSON);
        }
        let body = Body::from(json!({"title": "x"}).to_string());
        let answer = api.send("PATCH", &format!("/items/{item}"), &headers, body).await;
        assert!(answer.status < 500, "{name}: {value}: {answer:?}");
    }
    for path in [
        "/items/",
        "/items/%00",
        "/items/%ff%fe",
        "/items/..%2f..%2fetc%2fpasswd",
        "/items/00000000-0000-0000-0000-000000000000",
        "/items/{00000000-0000-0000-0000-000000000000}",
        "/items/urn:uuid:00000000-0000-0000-0000-000000000000",
        "/boards/x/columns/y",
        "/comments/%F0%9F%98%80",
    ] {
        for method in ["POST", "PATCH", "DELETE", "PUT", "GET", "OPTIONS", "BREW"] {
            let Ok(path) = path.replace('{', "%7B").replace('}', "%7D").parse::<axum::http::Uri>() else {
                continue;
            };
            let answer = api.send(method, &path.to_string(), &[JSON], Body::from("{}")).await;
            assert!((400..500).contains(&answer.status), "{method} {path}: {answer:?}");
        }
    }
    let member = format!("/workspaces/{}/members/%FF", place.workspace);
    assert_eq!(api.delete(&member).await.status, 400);
}

/// The same service within other limits, asked by the development principal.
fn within(api: &mut Api, settings: LimitSettings) -> AppState {
    let state = AppState::new(api.service.clone()).within(Limits::new(settings));
    api.router = command_api::router(state.clone(), Authentication::SameMachineOnly)
        .layer(Extension(Principal::local()));
    state
}

/// Status, headers and code of an answer.
async fn ask(api: &Api, path: &str, body: &Value) -> (u16, HeaderMap, Value) {
    let request = Request::post(format!("/api/v1{path}")).header(JSON.0, JSON.1);
    let request = request.body(Body::from(body.to_string())).unwrap();
    let (parts, body) = api.router.clone().oneshot(request).await.unwrap().into_parts();
    let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    (parts.status.as_u16(), parts.headers, body["code"].clone())
}

#[tokio::test]
async fn requests_are_charged_by_what_they_ask_for() {
    let mut api = Api::new();
    let place = api.board().await;
    let renames = |count: usize| {
        let rename = json!({"command": "board.update", "id": place.board, "data": {"name": "Other"}});
        json!({"commands": vec![rename; count]})
    };
    let events = |count: usize| {
        let events: Vec<_> = (0..count).map(|number| json!({"type": "x.happened", "data": number})).collect();
        json!({ "events": events })
    };
    let ids: Vec<_> = (1..=600_u128).map(uuid::Uuid::from_u128).collect();
    let bulk = json!({"command": "item.reopen", "ids": ids});
    // An answer of each of them is enough to be charged, whatever becomes of the commands.
    for (path, body) in
        [("/batch", renames(600)), ("/items/bulk", bulk), ("/streams/x-1/events", events(600))]
    {
        // Nothing comes back within a test: one a second, and a thousand to begin with.
        within(&mut api, LimitSettings { local_rate: 1, local_burst: 1_000, ..LimitSettings::default() });
        let (status, headers, code) = ask(&api, path, &body).await;
        assert!(status < 300, "{path}: {status} {code}");
        let told = headers["ratelimit"].to_str().unwrap();
        assert!(told.starts_with("\"principal\";r=40"), "{path}: {told}");
        let before = api.watermark();
        let (status, headers, code) = ask(&api, path, &body).await;
        assert_eq!((status, code), (429, json!("rate_limited")), "{path}");
        assert_eq!(api.watermark(), before, "{path}: nothing of it was carried out");
        let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((190..=201).contains(&seconds), "{path}: {seconds}");
    }
}

#[tokio::test]
async fn who_finds_the_lines_full_is_refused_at_once_and_told_to_come_again() {
    let mut api = Api::new();
    let place = api.board().await;
    let settings = |waiting, waiting_per_tenant| LimitSettings {
        places: 1,
        waiting,
        waiting_per_tenant,
        ..LimitSettings::default()
    };
    let item = json!({"boardId": place.board, "columnId": place.todo, "title": "An item"});
    for (waiting, per_tenant, status, code) in [(0, 1, 503, "overloaded"), (1, 0, 429, "tenant_busy")] {
        let state = within(&mut api, settings(waiting, per_tenant));
        let held = state.places().try_enter(&Party::of(&Principal::local())).unwrap();
        for (path, body) in [
            ("/items", item.clone()),
            ("/batch", json!({"commands": []})),
            ("/items/bulk", json!({"command": "item.reopen", "ids": []})),
            ("/streams/x-1/events", json!({"events": [{"type": "x.happened", "data": {}}]})),
        ] {
            let (actual, headers, said) = ask(&api, path, &body).await;
            assert_eq!((actual, said), (status, json!(code)), "{path}");
            assert_eq!(headers["retry-after"], "1");
        }
        assert_eq!(state.places().refused(), 4);
        drop(held);
        api.post("/items", item.clone()).await.is(201);
        assert_eq!(state.places().running(), 0, "every place is given back");
    }
}

#[tokio::test]
async fn what_is_only_passed_on_is_not_nested_any_deeper_either() {
    let api = Api::new();
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let append = |levels: usize| {
        let body = format!("{{\"events\":[{{\"type\":\"x.happened\",\"data\":{}}}]}}", nested(levels));
        api.send("POST", "/streams/x-1/events", &[JSON], Body::from(body))
    };
    append(DEPTH_MAX).await.is(201);
    for levels in [DEPTH_MAX + 1, 100_000] {
        let refused = append(levels).await.refused(400, "invalid_body");
        assert_eq!(refused.body["field"], "events[0].data");
    }
    let body = format!("{{\"commands\":[{{\"command\":\"item.create\",\"data\":{}}}]}}", nested(100_000));
    let answer = api.send("POST", "/batch", &[JSON], Body::from(body)).await.is(200);
    assert_eq!(answer.body["results"][0]["problem"]["status"], 400, "{answer:?}");
}
