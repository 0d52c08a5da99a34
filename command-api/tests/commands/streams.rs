//! Raw appends: whose a stream is, what is demanded, what is refused, and the same answer again.

use crate::common::{Answer, Api};
use axum::body::Body;
use axum::http::Request;
use eventstore::{Direction, RecordedEvent, StreamId, Version};
use http_body_util::BodyExt;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

/// Somebody with every scope but `import` and `admin`, in these tenants.
fn somebody(tenants: &[Uuid]) -> Principal {
    Principal::new(
        "somebody",
        Tenants::These(tenants.into()),
        [Scope::StreamsWrite, Scope::SchemasWrite].into_iter().collect(),
    )
}

async fn raw(
    api: &Api,
    who: &Principal,
    stream: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (Answer, String) {
    let mut request = Request::post(format!("/api/v1/streams/{stream}/events"))
        .header("content-type", "application/json")
        .extension(who.clone());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = api.router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    (Answer { status: parts.status.as_u16(), headers: parts.headers, body, text: text.clone() }, text)
}

async fn append(api: &Api, who: &Principal, stream: &str, body: Value) -> Answer {
    raw(api, who, stream, &[], &body.to_string()).await.0
}

async fn with(api: &Api, headers: &[(&str, &str)], stream: &str, body: Value) -> Answer {
    raw(api, &Principal::local(), stream, headers, &body.to_string()).await.0
}

fn one(event_type: &str) -> Value {
    json!({"events": [{"type": event_type, "data": {"n": 1}}]})
}

fn read(api: &Api, stream: &str) -> Vec<RecordedEvent> {
    let stream = StreamId::new(stream).unwrap();
    api.store.read_stream(&stream, Version::ZERO, Direction::Forward, usize::MAX).unwrap()
}

fn tags(event: &RecordedEvent) -> Vec<String> {
    event.get().unwrap().tags().map(str::to_owned).collect()
}

#[tokio::test]
async fn events_are_recorded_as_they_are_sent() {
    let api = Api::new();
    let id = Uuid::from_u128(77);
    let occurred = "2011-04-15T03:30:17.5Z";
    let body = format!(
        r#"{{"events":[
            {{"eventId":"{id}","type":"order.placed","data": {{"b" : 1.50, "a":"\u00e4"}} ,"tags":["customer:9","customer:9"],
              "schemaVersion":3,"metadata":{{"correlationId":"{A}","causationId":"{B}","occurredAt":"{occurred}"}}}},
            {{"type":"order.paid","data":null}}]}}"#
    );
    let (answer, _) = raw(&api, &Principal::local(), "order-1", &[], &body).await;
    let answer = answer.is(201);
    let events = read(&api, "order-1");
    let [first, second] = [events[0].get().unwrap(), events[1].get().unwrap()];
    assert_eq!(first.payload(), br#"{"b" : 1.50, "a":"\u00e4"}"#);
    assert_eq!(second.payload(), b"null");
    assert_eq!((first.id(), first.event_type(), first.schema_version()), (id, "order.placed", 3));
    assert_eq!((second.event_type(), second.schema_version()), ("order.paid", 1));
    assert_eq!(tags(&events[0]), ["customer:9"]);
    assert!(tags(&events[1]).is_empty());
    let metadata = first.metadata();
    assert_eq!((metadata.correlation_id(), metadata.causation_id()), (Some(A), Some(B)));
    assert_eq!(metadata.occurred_at().unwrap().get(), 1_302_838_217_500_000_000);
    assert_eq!(domain::Extras::decode(second.metadata().extras()).unwrap().actor(), "local");
    let wanted = json!({"streamId": "order-1", "version": 1, "firstVersion": 0, "position": 2,
        "eventIds": [id, second.id()]});
    assert_eq!(answer.body, wanted);
    assert_eq!(
        (&answer.headers["etag"], &answer.headers["sunday-position"]),
        (&"\"1\"".parse().unwrap(), &2.into())
    );

    let more = append(&api, &Principal::local(), "order-1", one("order.sent")).await.is(201);
    assert_eq!((&more.body["version"], &more.body["firstVersion"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn what_is_demanded_of_the_version_holds() {
    let api = Api::new();
    let local = Principal::local();
    let demand = |expected: Value| json!({"events": [{"type": "a", "data": 1}], "expectedVersion": expected});
    let conflict = append(&api, &local, "order-1", demand(json!("streamExists"))).await;
    let conflict = conflict.refused(409, "version_conflict");
    assert_eq!(conflict.body["expectedVersion"], "streamExists");
    assert_eq!(
        (&conflict.body["currentVersion"], &conflict.body["streamId"]),
        (&Value::Null, &json!("order-1"))
    );
    append(&api, &local, "order-1", demand(json!(0))).await.refused(409, "version_conflict");
    with(&api, &[("if-match", "*")], "order-1", one("a")).await.refused(412, "version_conflict");
    append(&api, &local, "order-1", demand(json!("noStream"))).await.is(201);
    append(&api, &local, "order-1", demand(json!("noStream"))).await.refused(409, "version_conflict");
    with(&api, &[("if-none-match", "*")], "order-1", one("a")).await.refused(412, "version_conflict");
    append(&api, &local, "order-1", demand(json!("streamExists"))).await.is(201);
    append(&api, &local, "order-1", demand(json!("any"))).await.is(201);
    let conflict = append(&api, &local, "order-1", demand(json!(1))).await.refused(409, "version_conflict");
    assert_eq!((&conflict.body["expectedVersion"], &conflict.body["currentVersion"]), (&json!(1), &json!(2)));
    append(&api, &local, "order-1", demand(json!(2))).await.is(201);
    with(&api, &[("if-match", "\"2\"")], "order-1", one("a")).await.refused(412, "version_conflict");
    with(&api, &[("if-match", "\"3\"")], "order-1", one("a")).await.is(201);
    with(&api, &[("if-match", "\"1\", \"4\"")], "order-1", one("a")).await.is(201);
    with(&api, &[("if-match", "\"1\", \"4\"")], "order-1", one("a")).await.refused(412, "version_conflict");
    with(&api, &[("if-match", "W/\"5\"")], "order-1", one("a")).await.refused(412, "version_conflict");
    let twice = with(&api, &[("if-match", "\"5\"")], "order-1", demand(json!(4))).await;
    assert_eq!(twice.refused(422, "contradiction").body["field"], "expectedVersion");
    assert_eq!(read(&api, "order-1").len(), 6);
}

#[tokio::test]
async fn guards_name_what_does_not_hold() {
    let api = Api::new();
    let local = Principal::local();
    append(&api, &local, "stock-1", json!({"events": [{"type": "a", "data": 1, "tags": ["sku:1"]}]}))
        .await
        .is(201);
    let guarded = |guards: Value| json!({"events": [{"type": "a", "data": 1}], "guards": guards});
    let held = json!([{"stream": "stock-1", "version": 0}, {"stream": "other", "version": null},
        {"tag": "sku:1", "position": 1}]);
    append(&api, &local, "order-1", guarded(held)).await.is(201);
    let broken = json!([{"stream": "stock-1", "version": 0}, {"stream": "stock-1", "version": null}]);
    let refused = append(&api, &local, "order-1", guarded(broken)).await.refused(409, "guard_failed");
    assert_eq!((&refused.body["field"], &refused.body["currentVersion"]), (&json!("guards[1]"), &json!(0)));
    assert_eq!(refused.body["guard"], json!({"stream": "stock-1", "version": null}));
    let broken = json!([{"tag": "sku:1", "position": 0}]);
    let refused = append(&api, &local, "order-1", guarded(broken.clone())).await.refused(409, "guard_failed");
    assert_eq!((&refused.body["field"], &refused.body["newestPosition"]), (&json!("guards[0]"), &json!(0)));
    let many = Value::Array(vec![json!({"stream": "x", "version": null}); 65]);
    append(&api, &local, "order-1", guarded(many)).await.refused(400, "invalid_body");
    assert_eq!(read(&api, "order-1").len(), 1);

    // What belongs to another tenant is as if it were not there, and nothing tells where it is.
    let (a, b) = (somebody(&[A]), somebody(&[B]));
    append(&api, &a, "mine", json!({"events": [{"type": "a", "data": 1, "tags": ["x:1"]}]})).await.is(201);
    append(&api, &b, "b-1", guarded(json!([{"stream": "mine", "version": null}]))).await.is(201);
    let refused = append(&api, &b, "b-1", guarded(json!([{"stream": "mine", "version": 0}]))).await;
    assert_eq!(refused.refused(409, "guard_failed").body["currentVersion"], Value::Null);
    append(&api, &a, "mine", guarded(json!([{"stream": "mine", "version": 0}]))).await.is(201);
    let refused = append(&api, &b, "b-1", guarded(json!([{"tag": "x:1", "position": 0}]))).await;
    assert!(refused.refused(409, "guard_failed").body.get("newestPosition").is_none());
    for tag in [format!("workspace:{A}"), format!("column:{A}"), format!("board:{A}")] {
        let refused = append(&api, &b, "b-1", guarded(json!([{"tag": tag, "position": 0}]))).await;
        assert_eq!(refused.refused(403, "reserved_tag").body["field"], "guards[0].tag");
    }
    append(&api, &b, "b-1", guarded(json!([{"tag": format!("workspace:{B}"), "position": 9}]))).await.is(201);
}

#[tokio::test]
async fn the_same_append_again_gets_the_same_answer() {
    let api = Api::new();
    let local = Principal::local();
    let key = [("idempotency-key", "k-1")];
    let body = one("a").to_string();
    let (first, text) = raw(&api, &local, "order-1", &key, &body).await;
    let first = first.is(201);
    append(&api, &local, "order-1", one("b")).await.is(201);
    // Named by its first event.
    let id = Uuid::from_u128(5);
    let by_id = json!({"events": [{"eventId": id, "type": "a", "data": 1}, {"type": "b", "data": 2}],
        "expectedVersion": 1})
    .to_string();
    let (_, named) = raw(&api, &local, "order-1", &[], &by_id).await;

    let api = api.reopen();
    let (again, again_text) = raw(&api, &local, "order-1", &key, &body).await;
    assert_eq!(again_text, text);
    assert_eq!((again.status, &again.headers["etag"]), (201, &first.headers["etag"]));
    assert_eq!(again.headers["sunday-position"], first.headers["sunday-position"]);
    // The version that it expected is long gone; it was recorded all the same.
    assert_eq!(raw(&api, &local, "order-1", &[], &by_id).await.1, named);
    assert_eq!(read(&api, "order-1").len(), 4);

    raw(&api, &local, "order-1", &key, &one("c").to_string()).await.0.refused(422, "idempotency_key_reused");
    raw(&api, &local, "order-2", &key, &body).await.0.refused(422, "idempotency_key_reused");
    let other = by_id.replace("\"data\":1", "\"data\":3");
    raw(&api, &local, "order-1", &[], &other).await.0.refused(422, "idempotency_key_reused");
    // A key is its principal's own.
    raw(&api, &somebody(&[A]), "order-3", &key, &body).await.0.is(201);
    raw(&api, &somebody(&[B]), "order-4", &key, &body).await.0.is(201);
}

#[tokio::test]
async fn a_repeated_append_is_known_whatever_would_refuse_it_now() {
    let api = Api::new();
    let local = Principal::local();
    append(&api, &local, "order-1", one("a")).await.is(201);
    let headers = [("idempotency-key", "k"), ("if-match", "\"0\", \"7\"")];
    let (_, text) = raw(&api, &local, "order-1", &headers, &one("b").to_string()).await;
    assert_eq!(raw(&api, &local, "order-1", &headers, &one("b").to_string()).await.1, text);
    let headers = [("idempotency-key", "l"), ("if-match", "\"0\", \"7\"")];
    raw(&api, &local, "order-1", &headers, &one("b").to_string()).await.0.refused(412, "version_conflict");
}

#[tokio::test]
async fn a_stream_belongs_to_the_tenant_that_began_it() {
    let api = Api::new();
    let (a, b, both) = (somebody(&[A]), somebody(&[B]), somebody(&[A, B]));
    append(&api, &a, "order-1", one("a")).await.is(201);
    assert_eq!(tags(&read(&api, "order-1")[0]), [format!("workspace:{A}")]);
    let refused = append(&api, &b, "order-1", one("a")).await.refused(403, "tenant_mismatch");
    assert_eq!(refused.body["streamId"], "order-1");
    let said = |workspace: Uuid| json!({"workspaceId": workspace, "events": [{"type": "a", "data": 1}]});
    append(&api, &a, "order-2", said(B)).await.refused(403, "tenant_mismatch");
    assert_eq!(
        append(&api, &both, "order-2", one("a")).await.refused(400, "invalid_body").body["field"],
        "workspaceId"
    );
    append(&api, &both, "order-2", said(B)).await.is(201);
    append(&api, &both, "order-2", said(A)).await.refused(403, "tenant_mismatch");
    append(&api, &somebody(&[]), "order-9", one("a")).await.refused(403, "tenant_mismatch");

    // Whoever may touch everything leaves it open, and a stream that is somebody's stays theirs.
    let local = Principal::local();
    append(&api, &local, "order-1", one("a")).await.is(201);
    assert_eq!(tags(&read(&api, "order-1")[1]), [format!("workspace:{A}")]);
    append(&api, &local, "order-1", said(B)).await.refused(403, "tenant_mismatch");
    append(&api, &local, "log-1", one("a")).await.is(201);
    assert!(tags(&read(&api, "log-1")[0]).is_empty());
    append(&api, &a, "log-1", one("a")).await.refused(403, "tenant_mismatch");

    // After a restart it is known from the log.
    let api = api.reopen();
    append(&api, &b, "order-1", one("a")).await.refused(403, "tenant_mismatch");
    append(&api, &a, "order-1", one("a")).await.is(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_tenants_who_begin_a_stream_at_once_do_not_share_it() {
    let api = std::sync::Arc::new(Api::new());
    for round in 0..20 {
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let api = std::sync::Arc::clone(&api);
                tokio::spawn(async move {
                    let who = somebody(&[if number % 2 == 0 { A } else { B }]);
                    append(&api, &who, &format!("race-{round}"), one("a")).await.status
                })
            })
            .collect();
        let mut statuses = Vec::new();
        for task in tasks {
            statuses.push(task.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 201, 201, 201, 403, 403, 403, 403]);
        let events = read(&api, &format!("race-{round}"));
        assert!(events.iter().all(|event| tags(event) == tags(&events[0])));
    }
}

#[tokio::test]
async fn nothing_of_the_domain_can_be_forged() {
    let api = Api::new();
    let local = Principal::local();
    for stream in ["item-1", "board-x", "workspace", "sys-schemas", "schema-order.placed"] {
        append(&api, &local, stream, one("a")).await.refused(403, "reserved_stream");
    }
    for event_type in ["item.created", "schema.registered", "sys.anything", "board.new_one"] {
        let refused = append(&api, &local, "order-1", one(event_type)).await.refused(403, "reserved_type");
        assert_eq!(refused.body["field"], "events[0].type");
    }
    for tag in [format!("workspace:{A}"), format!("board-shape:{A}"), "column:x".into(), "item:1".into()] {
        let body =
            json!({"events": [{"type": "a", "data": 1}, {"type": "a", "data": 1, "tags": ["ok", tag]}]});
        let refused = append(&api, &local, "order-1", body).await.refused(403, "reserved_tag");
        assert_eq!(refused.body["field"], "events[1].tags[1]");
    }
    // One's own tenant may be said, and changes nothing.
    let body = json!({"events": [{"type": "a", "data": 1, "tags": [format!("workspace:{A}")]}]});
    append(&api, &somebody(&[A]), "order-1", body).await.is(201);
    assert_eq!(tags(&read(&api, "order-1")[0]), [format!("workspace:{A}")]);
    assert_eq!(api.watermark().get(), 1);
}

#[tokio::test]
async fn scopes_are_needed() {
    let api = Api::new();
    let nobody = Principal::new("n", Tenants::All, Scopes::default());
    let refused = append(&api, &nobody, "order-1", one("a")).await.refused(403, "insufficient_scope");
    assert_eq!(refused.body["scope"], "streams:write");
    let body =
        json!({"events": [{"type": "a", "data": 1, "metadata": {"occurredAt": "2011-04-15T03:30:17Z"}}]});
    let refused = append(&api, &somebody(&[A]), "order-1", body).await.refused(403, "insufficient_scope");
    assert_eq!(
        (&refused.body["scope"], &refused.body["field"]),
        (&json!("import"), &json!("events[0].metadata.occurredAt"))
    );
}

#[tokio::test]
async fn limits_name_the_event_and_the_member() {
    let api = Api::new();
    let local = Principal::local();
    let second = |event: Value| json!({"events": [{"type": "a", "data": 1}, event]});
    for (body, status, field) in [
        (json!({"events": []}), 400, "events"),
        (second(json!({"type": "", "data": 1})), 400, "events[1].type"),
        (second(json!({"type": "x".repeat(128), "data": 1})), 400, "events[1].type"),
        (second(json!({"type": "a\u{7}", "data": 1})), 400, "events[1].type"),
        (second(json!({"type": "a"})), 400, "events[1]"),
        (second(json!({"type": "a", "data": 1, "schemaVersion": 0})), 400, "events[1].schemaVersion"),
        (second(json!({"type": "a", "data": 1, "schemaVersion": 65_536})), 400, "events[1].schemaVersion"),
        (second(json!({"type": "a", "data": 1, "eventId": Uuid::nil()})), 400, "events[1].eventId"),
        (second(json!({"type": "a", "data": 1, "eventId": "x"})), 400, "events[1].eventId"),
        (second(json!({"type": "a", "data": 1, "tags": ["ok", ""]})), 400, "events[1].tags[1]"),
        (
            second(
                json!({"type": "a", "data": 1, "tags": (0..33).map(|n| n.to_string()).collect::<Vec<_>>()}),
            ),
            400,
            "events[1].tags",
        ),
        (
            second(json!({"type": "a", "data": 1, "metadata": {"occurredAt": "now"}})),
            400,
            "events[1].metadata.occurredAt",
        ),
        (second(json!({"type": "a", "data": "x".repeat(4 << 20)})), 413, "events[1].data"),
        (json!({"events": vec![json!({"type": "a", "data": 1}); 10_001]}), 413, "events"),
        (
            json!({"events": [{"type": "a", "data": 1, "eventId": A}, {"type": "a", "data": 1, "eventId": A}]}),
            400,
            "events[1].eventId",
        ),
    ] {
        let answer = append(&api, &local, "order-1", body).await;
        assert_eq!((answer.status, &answer.body["field"]), (status, &json!(field)), "{answer:?}");
    }
    let answer = append(&api, &local, &"x".repeat(256), one("a")).await.refused(400, "invalid_parameter");
    assert_eq!(answer.body["field"], "streamId");
    append(&api, &local, "order%00", one("a")).await.refused(400, "invalid_parameter");
    // Of the tenant's own tag and 32 others, one is too many.
    let many = json!({"events": [{"type": "a", "data": 1, "tags": (0..32).map(|n| n.to_string()).collect::<Vec<_>>()}]});
    append(&api, &somebody(&[A]), "order-1", many.clone()).await.refused(400, "invalid_body");
    append(&api, &local, "order-1", many).await.is(201);
    assert_eq!(api.watermark().get(), 1);
    let most = json!({"events": vec![json!({"type": "a", "data": 1}); 10_000]});
    let answer = append(&api, &local, "order-1", most).await.is(201);
    assert_eq!(
        (&answer.body["version"], answer.body["eventIds"].as_array().unwrap().len()),
        (&json!(10_000), 10_000)
    );
}

#[tokio::test]
async fn an_event_id_uses_up_nobodys_key() {
    let api = Api::new();
    let key = "order-123";
    // What the key of somebody is known as, which anybody can compute.
    let name = eventstore::CommandId::derive(&[b"", b"local", key.as_bytes()]);
    let id = Uuid::from_bytes(*name.as_bytes());
    let event = json!({"events": [{"type": "order.placed", "eventId": id, "data": {}}]});
    append(&api, &somebody(&[Uuid::from_u128(7)]), "orders-9", event).await.is(201);
    let answer = with(&api, &[("idempotency-key", key)], "orders-1", one("order.placed")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn no_id_stands_in_the_log_twice() {
    let api = Api::new();
    let key = |key: &'static str| [("idempotency-key", key)];
    let chosen = Uuid::from_u128(0x1234);
    let event = json!({"events": [{"type": "a", "data": 0}, {"type": "order.placed", "eventId": chosen, "data": {}}]});
    let first = with(&api, &key("k-1"), "orders-1", event.clone()).await.is(201);
    // As made here: by an append, and by a command.
    let made = first.body["eventIds"][0].as_str().unwrap().to_owned();
    let place = api.board().await;
    let board = StreamId::new(format!("board-{}", place.board)).unwrap();
    let command = api.store.read_stream(&board, Version::ZERO, Direction::Forward, 1).unwrap();
    let command = command[0].get().unwrap().id().to_string();

    let api = api.reopen();
    let one = |id: &str| json!({"events": [{"type": "x", "eventId": id, "data": {}}]});
    for id in [chosen.to_string(), made, command] {
        let before = api.watermark();
        let sent = with(&api, &key("k-2"), "orders-2", one(&id)).await.refused(409, "event_id_taken");
        assert_eq!(sent.body["field"], "events[0].eventId");
        // Not under another name for the request either, nor by another tenant, nor together with a new one.
        append(&api, &somebody(&[A]), "orders-3", one(&id)).await.refused(409, "event_id_taken");
        let both =
            json!({"events": [{"type": "x", "eventId": Uuid::now_v7(), "data": {}}, one(&id)["events"][0]]});
        let sent = append(&api, &Principal::local(), "orders-2", both).await.refused(409, "event_id_taken");
        assert_eq!(sent.body["field"], "events[1].eventId");
        assert_eq!(api.watermark(), before);
    }
    with(&api, &key("k-2"), "orders-1", event.clone()).await.refused(409, "event_id_taken");
    // The same once more is no other event.
    let again = with(&api, &key("k-1"), "orders-1", event).await;
    assert_eq!((again.status, again.text), (201, first.text));
}
