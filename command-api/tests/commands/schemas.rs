//! The schema registry: what can be registered, whom it binds, and that the log is its memory.

use crate::common::{Answer, Api};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

fn somebody(tenants: &[Uuid]) -> Principal {
    Principal::new(
        "somebody",
        Tenants::These(tenants.into()),
        [Scope::StreamsWrite, Scope::SchemasWrite].into_iter().collect(),
    )
}

async fn ask(
    api: &Api,
    who: &Principal,
    path: &str,
    key: Option<&str>,
    body: Option<Value>,
) -> (Answer, String) {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut request = Request::builder().method(method).uri(format!("/api/v1{path}")).extension(who.clone());
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    let (parts, body) = api.router.clone().oneshot(request.body(body).unwrap()).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    (Answer { status: parts.status.as_u16(), headers: parts.headers, body, text: text.clone() }, text)
}

async fn post(api: &Api, path: &str, body: Value) -> Answer {
    ask(api, &Principal::local(), path, None, Some(body)).await.0
}

async fn get(api: &Api, path: &str) -> Answer {
    ask(api, &Principal::local(), path, None, None).await.0
}

fn order(members: Value) -> Value {
    json!({"type": "object", "properties": members, "required": ["total"]})
}

fn registering(event_type: &str, schema: Value) -> Value {
    json!({"type": event_type, "schema": schema})
}

fn event(event_type: &str, version: u16, data: Value) -> Value {
    json!({"events": [{"type": event_type, "schemaVersion": version, "data": data}]})
}

#[tokio::test]
async fn versions_keep_what_they_promise() {
    let api = Api::new();
    let first = order(json!({"total": {"type": "integer"}}));
    let answer = post(&api, "/schemas", registering("order.placed", first.clone())).await.is(201);
    assert_eq!(answer.headers["location"], "/api/v1/schemas/order.placed/1");
    assert_eq!(
        answer.body,
        json!({"type": "order.placed", "version": 1, "compatibility": "backward",
        "status": "applied", "position": 1})
    );
    // The same again changes nothing, and says so.
    let again = post(&api, "/schemas", registering("order.placed", first.clone())).await.is(200);
    assert_eq!((&again.body["status"], &again.body["version"]), (&json!("unchanged"), &json!(1)));
    assert_eq!(api.watermark().get(), 1);

    let broken = order(json!({"total": {"type": "string"}}));
    let refused = post(&api, "/schemas", registering("order.placed", broken.clone())).await;
    let refused = refused.refused(409, "schema_incompatible");
    assert_eq!(
        refused.body["differences"],
        json!([{"breaks": "backward", "pointer": "/properties/total/type",
        "reason": "values of the type integer are not taken any more"}])
    );
    let wider = order(json!({"total": {"type": "number"}, "note": {"type": "string"}}));
    post(&api, "/schemas", registering("order.placed", wider.clone())).await.is(201);
    let mut full = registering("order.placed", first.clone());
    full["compatibility"] = json!("full");
    let refused = post(&api, "/schemas", full).await.refused(409, "schema_incompatible");
    assert_eq!(refused.body["differences"][0]["breaks"], "backward");
    let mut none = registering("order.placed", broken.clone());
    none["compatibility"] = json!("none");
    none["version"] = json!(2);
    let refused = post(&api, "/schemas", none.clone()).await.refused(409, "version_conflict");
    assert_eq!((&refused.body["expectedVersion"], &refused.body["currentVersion"]), (&json!(2), &json!(2)));
    none["version"] = json!(3);
    post(&api, "/schemas", none).await.is(201);

    let api = api.reopen();
    let newest = get(&api, "/schemas/order.placed").await.is(200).body;
    assert_eq!(
        (&newest["version"], &newest["versions"], &newest["schema"]),
        (&json!(3), &json!([1, 2, 3]), &broken)
    );
    assert_eq!(
        get(&api, "/schemas/order.placed/2").await.is(200).body,
        json!({"type": "order.placed",
        "version": 2, "compatibility": "backward", "origin": "registered", "schema": wider})
    );
    get(&api, "/schemas/order.placed/4").await.refused(404, "not_found");
    get(&api, "/schemas/order.sent").await.refused(404, "not_found");
    get(&api, "/schemas/order.placed/x").await.refused(400, "invalid_parameter");
    assert_eq!(api.events("sys-schemas"), ["schema.registered"; 3]);
}

#[tokio::test]
async fn what_is_appended_keeps_to_its_schema() {
    let api = Api::new();
    let schema = order(json!({"total": {"type": "integer", "minimum": 0}}));
    let before = event("order.placed", 1, json!({"total": "x"}));
    let (_, text) =
        ask(&api, &Principal::local(), "/streams/o-1/events", Some("k"), Some(before.clone())).await;
    post(&api, "/schemas", registering("order.placed", schema)).await.is(201);
    for _ in 0..2 {
        post(&api, "/streams/o-1/events", event("order.placed", 1, json!({"total": 3}))).await.is(201);
        post(&api, "/streams/o-1/events", event("order.sent", 9, json!({"anything": "goes"}))).await.is(201);
        let body = json!({"events": [
            {"type": "order.placed", "data": {"total": 3}},
            {"type": "order.placed", "data": {"total": -3}},
            {"type": "order.placed", "data": {}},
        ]});
        let refused = post(&api, "/streams/o-1/events", body).await.refused(422, "schema_violation");
        assert_eq!(refused.body["field"], "events[1].data");
        let violations = refused.body["violations"].as_array().unwrap();
        assert_eq!(
            (violations.len(), &violations[0]["event"], &violations[1]["event"]),
            (2, &json!(1), &json!(2))
        );
        assert_eq!(
            (&violations[0]["instancePath"], &violations[0]["schemaPath"]),
            (&json!("/total"), &json!("/properties/total/minimum"))
        );
        let refused = post(&api, "/streams/o-1/events", event("order.placed", 2, json!({"total": 3}))).await;
        assert_eq!(refused.refused(422, "unknown_schema_version").body["currentVersion"], 1);
        let many = json!({"events": vec![json!({"type": "order.placed", "data": {}}); 50]});
        let refused = post(&api, "/streams/o-1/events", many).await.refused(422, "schema_violation");
        assert_eq!(refused.body["violations"].as_array().unwrap().len(), 10);
        // A schema can be followed only in what can be read.
        let deep = format!(
            r#"{{"events":[{{"type":"order.placed","data":{}1{}}}]}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        let request = Request::post("/api/v1/streams/o-1/events").header("content-type", "application/json");
        let response = api.router.clone().oneshot(request.body(Body::from(deep)).unwrap()).await.unwrap();
        assert_eq!(response.status(), 400);
    }
    // What was recorded before there was a schema gets its first answer again.
    let again = ask(&api, &Principal::local(), "/streams/o-1/events", Some("k"), Some(before)).await;
    assert_eq!((again.0.status, again.1), (201, text));
    let api = api.reopen();
    post(&api, "/streams/o-1/events", event("order.placed", 1, json!({})))
        .await
        .refused(422, "schema_violation");
}

#[tokio::test]
async fn a_schema_binds_its_tenant_only() {
    let api = Api::new();
    let (a, b) = (somebody(&[A]), somebody(&[B]));
    let numbers = json!({"type": "number"});
    let (answer, _) = ask(&api, &a, "/schemas", None, Some(registering("x", numbers.clone()))).await;
    assert_eq!(answer.is(201).body["workspaceId"], json!(A));
    let append = async |who: &Principal, data: Value| {
        let stream = if who == &a { "/streams/a-1/events" } else { "/streams/b-1/events" };
        ask(&api, who, stream, None, Some(event("x", 1, data))).await.0
    };
    append(&a, json!("text")).await.refused(422, "schema_violation");
    append(&b, json!("text")).await.is(201);
    ask(&api, &b, "/schemas/x", None, None).await.0.refused(404, "not_found");
    ask(&api, &b, &format!("/schemas/x?workspaceId={A}"), None, None).await.0.refused(404, "not_found");
    assert_eq!(
        ask(&api, &b, "/schemas", None, None).await.0.body["schemas"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["origin"] == "registered")
            .count(),
        0
    );
    ask(&api, &a, "/schemas/x/1", None, None).await.0.is(200);
    // One for everybody binds who has none of their own.
    post(&api, "/schemas", registering("x", json!({"type": "null"}))).await.is(201);
    append(&b, json!("text")).await.refused(422, "schema_violation");
    append(&b, json!(null)).await.is(201);
    append(&a, json!(7)).await.is(201);
    assert_eq!(get(&api, &format!("/schemas/x?workspaceId={A}")).await.is(200).body["schema"], numbers);
    assert_eq!(get(&api, "/schemas/x").await.is(200).body["schema"], json!({"type": "null"}));
    let events = api.store.read_tag(
        &eventstore::Tag::new(format!("workspace:{A}")).unwrap(),
        eventstore::Position::ZERO,
        eventstore::Direction::Forward,
        9,
    );
    assert_eq!(events.unwrap()[0].get().unwrap().event_type(), "schema.registered");
    let nobody = Principal::new("n", Tenants::All, Scopes::default());
    let refused = ask(&api, &nobody, "/schemas", None, Some(registering("y", json!({})))).await.0;
    assert_eq!(refused.refused(403, "insufficient_scope").body["scope"], "schemas:write");
}

#[tokio::test]
async fn a_registration_sent_again_gets_its_first_answer() {
    let api = Api::new();
    let local = Principal::local();
    let (first, second) = (registering("x", json!({"minimum": 2})), registering("x", json!({"minimum": 1})));
    let (_, one) = ask(&api, &local, "/schemas", Some("1"), Some(first.clone())).await;
    let (same, unchanged) = ask(&api, &local, "/schemas", Some("2"), Some(first.clone())).await;
    same.is(200);
    let (answer, two) = ask(&api, &local, "/schemas", Some("3"), Some(second.clone())).await;
    answer.is(201);
    let api = api.reopen();
    for (key, body, text) in [("1", &first, &one), ("2", &first, &unchanged), ("3", &second, &two)] {
        assert_eq!(&ask(&api, &local, "/schemas", Some(key), Some(body.clone())).await.1, text);
    }
    ask(&api, &local, "/schemas", Some("1"), Some(second)).await.0.refused(422, "idempotency_key_reused");
    assert_eq!(api.watermark().get(), 2);
}

#[tokio::test]
async fn what_is_no_schema_is_refused() {
    let api = Api::new();
    for (body, status, code) in [
        (registering("item.created", json!({})), 403, "reserved_type"),
        (registering("sys.x", json!({})), 403, "reserved_type"),
        (registering("", json!({})), 400, "invalid_body"),
        (registering("x", json!(7)), 422, "invalid_schema"),
        (registering("x", json!({"type": "nothing"})), 422, "invalid_schema"),
        (registering("x", json!({"$ref": "http://127.0.0.1:1/x"})), 422, "invalid_schema"),
        (registering("x", json!({"$ref": "#"})), 422, "invalid_schema"),
        (registering("x", json!({"pattern": "(?<=a)b"})), 422, "invalid_schema"),
        (registering("x", json!({"title": "x".repeat(300_000)})), 413, "schema_too_large"),
        (json!({"type": "x", "schema": {}, "compatibility": "sideways"}), 400, "invalid_body"),
        (json!({"type": "x", "schema": {}, "version": 2}), 409, "version_conflict"),
        (json!({"type": "x"}), 400, "invalid_body"),
    ] {
        post(&api, "/schemas", body).await.refused(status, code);
    }
    assert_eq!(api.watermark().get(), 0);
}

#[tokio::test]
async fn the_list_is_paged_by_type() {
    let api = Api::new();
    for name in ["x.a", "x.b", "x.c", "x.d"] {
        post(&api, "/schemas", registering(name, json!({}))).await.is(201);
    }
    let (answer, _) = ask(&api, &somebody(&[A]), "/schemas", None, Some(registering("x.b", json!({})))).await;
    answer.is(201);
    let page = get(&api, "/schemas?after=x.&limit=2").await.is(200).body;
    let names = |page: &Value| {
        page["schemas"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&page), &page["next"]),
        (vec!["x.a".into(), "x.b".into(), "x.b".into()], &json!("x.b"))
    );
    let page = get(&api, "/schemas?after=x.b&limit=2").await.is(200).body;
    assert_eq!((names(&page), page.get("next")), (vec!["x.c".into(), "x.d".into()], None));
    get(&api, "/schemas?limit=0").await.refused(400, "invalid_parameter");
}

#[tokio::test]
async fn the_domain_registers_its_own_once() {
    let api = Api::new();
    let types: Vec<_> = domain::DomainEvent::types().collect();
    let registry = command_api::Registry::new(api.store.clone());
    assert_eq!(registry.register_domain().unwrap(), types.len());
    assert_eq!(registry.register_domain().unwrap(), 0);
    assert_eq!(api.watermark().get(), types.len() as u64);
    drop(registry);
    let api = api.reopen();
    let registry = command_api::Registry::new(api.store.clone());
    assert_eq!(registry.register_domain().unwrap(), 0);
    let created = get(&api, "/schemas/item.created").await.is(200).body;
    assert_eq!((&created["origin"], &created["compatibility"]), (&json!("domain"), &json!("backward")));
    let logged = &api.payloads("sys-schemas");
    let logged = logged.iter().find(|(_, payload)| payload["type"] == "item.created").unwrap();
    assert_eq!(logged.1["schema"], created["schema"]);
    let page = get(&api, "/schemas?limit=1000").await.is(200).body;
    assert_eq!(page["schemas"].as_array().unwrap().len(), types.len());
    post(&api, "/schemas", registering("x", json!({}))).await.is(201);
}

#[tokio::test]
async fn the_schemas_of_a_tenant_have_room_for_so_much_text() {
    let api = Api::new();
    // Little that counts when events are checked, and much to remember.
    let schema = |number: usize| json!({"type": "object", "examples": vec![number % 10; 120_000]});
    let mut taken = 0;
    while taken < 40 {
        let answer = post(&api, "/schemas", registering(&format!("order.kind{taken}"), schema(taken))).await;
        if answer.status != 201 {
            answer.refused(422, "too_many_schemas");
            break;
        }
        taken += 1;
    }
    assert_eq!(taken, 17, "4 MiB at 240,000 bytes each");
}
