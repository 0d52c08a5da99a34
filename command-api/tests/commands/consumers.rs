//! Named consumers as the command API keeps them: what can be said of them, what the log holds then, and whose they are.

use crate::common::{Answer, Api};
use axum::body::Body;
use axum::http::Request;
use eventstore::Position;
use http_body_util::BodyExt;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;
use uuid::Uuid;

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);
const STREAM: &str = "sys-consumer-all-billing";

/// What has to come comes long before.
const DEADLINE: Duration = Duration::from_secs(60);

fn of_tenants(tenants: &[Uuid]) -> Principal {
    let scopes = [Scope::ConsumersWrite, Scope::StreamsWrite].into_iter().collect();
    Principal::new("somebody", Tenants::These(tenants.into()), scopes)
}

async fn ask(api: &Api, who: &Principal, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder().method(method).uri(format!("/api/v1{path}")).extension(who.clone());
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
    let (parts, body) = api.router.clone().oneshot(request.unwrap()).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status: parts.status.as_u16(), headers: parts.headers, body, text }
}

/// Twenty orders, positions 0 to 19, and a consumer of all of them.
async fn billing(settings: Value) -> Api {
    let api = Api::new();
    let events: Vec<Value> = (0..20).map(|n| json!({"type": "order.placed", "data": {"n": n}})).collect();
    api.post("/streams/order-1/events", json!({"events": events})).await.is(201);
    let mut body = json!({"name": "billing", "filter": {"category": "order"}, "from": 0});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let made = api.post("/consumers", body).await.is(201);
    assert_eq!(made.body, json!({"name": "billing", "status": "applied", "position": 21}));
    api
}

async fn say(api: &Api, what: &str, body: Value) -> Answer {
    api.post(&format!("/consumers/billing/{what}"), body).await
}

/// The state that the newest event with one tells.
fn state(api: &Api) -> Value {
    let mut states =
        api.payloads(STREAM).into_iter().rev().filter_map(|(_, payload)| payload.get("consumer").cloned());
    states.next().unwrap()
}

/// The newest cursor in the log.
fn cursor(api: &Api) -> u64 {
    let (_, newest) = api.payloads(STREAM).pop().unwrap();
    newest.get("cursor").or_else(|| newest["consumer"].get("cursor")).unwrap().as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_acknowledgements_are_few_events_and_none_is_lost() {
    let api = billing(json!({})).await;
    let first = say(&api, "acknowledge", json!({"position": 0})).await.is(200);
    assert_eq!(first.body["status"], "applied");
    assert_eq!(first.headers["sunday-position"], "22");
    let mut pending = 0;
    for position in 1..20 {
        let answer = say(&api, "acknowledge", json!({"position": position})).await;
        match answer.status {
            202 => {
                assert_eq!(answer.body, json!({"name": "billing", "status": "pending"}));
                assert!(!answer.headers.contains_key("sunday-position"), "nothing is there yet");
                pending += 1;
            }
            status => assert_eq!(status, 200, "{answer:?}"),
        }
    }
    let started = Instant::now();
    while cursor(&api) < 20 {
        assert!(started.elapsed() < DEADLINE, "what was pending is never written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let written = api.events(STREAM).iter().filter(|name| *name == "sys.consumer_acknowledged").count();
    // Each that was not pending stands there, and each that did stand for several.
    assert!(written <= 20 - pending + 2 && written < 20, "{written} events, {pending} pending");
    assert!(pending > 0);
    assert_eq!(say(&api, "acknowledge", json!({"position": 5})).await.is(200).body["status"], "unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gets_the_first_answer_also_while_it_waits() {
    let api = billing(json!({})).await;
    let with = async |key: &str, position: u64| {
        let body = json!({"position": position});
        api.with("POST", "/consumers/billing/acknowledge", &[("idempotency-key", key)], &body).await
    };
    let first = with("a", 0).await.is(200);
    assert_eq!(with("a", 0).await.body, first.body);
    with("a", 1).await.refused(422, "idempotency_key_reused");
    let mut number = 1;
    // It would take more than a quarter of a second between two of them for none ever to wait.
    let key = loop {
        let key = format!("k{number}");
        if with(&key, number).await.status == 202 {
            break key;
        }
        number += 1;
        assert!(number < 19, "none ever waits");
    };
    let again = with(&key, number).await;
    assert!(matches!(again.status, 200 | 202), "{again:?}");
    with(&key, 0).await.refused(422, "idempotency_key_reused");
    // Whatever else is said writes what waits, before itself.
    say(&api, "refuse", json!({"position": 19, "action": "park"})).await.is(200);
    let names = api.events(STREAM);
    assert_eq!(&names[names.len() - 2..], ["sys.consumer_acknowledged", "sys.consumer_parked"]);
    assert_eq!(state(&api)["cursor"], number + 1);
    let kept = with(&key, number).await.is(200);
    let api = api.reopen();
    let body = json!({"position": number});
    let again = api.with("POST", "/consumers/billing/acknowledge", &[("idempotency-key", &key)], &body).await;
    assert_eq!(again.body, kept.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_there_after_a_restart() {
    let api = billing(json!({"attemptsMax": 2})).await;
    say(&api, "acknowledge", json!({"position": 2})).await.is(200);
    let refused = json!({"position": 5, "reason": "the ledger is closed", "delayMs": 60_000});
    say(&api, "refuse", refused.clone()).await.is(200);
    say(&api, "refuse", json!({"position": 4, "action": "park", "reason": "no total"})).await.is(200);
    let api = api.reopen();
    // The second time is once too often.
    say(&api, "refuse", refused).await.is(200);
    let known = state(&api);
    let parked: Vec<_> = known["parked"].as_array().unwrap().iter().map(|one| &one["position"]).collect();
    assert_eq!(parked, [4, 5], "{known}");
    assert_eq!(
        (&known["parked"][0]["reason"], &known["parked"][1]["attempts"]),
        (&json!("no total"), &json!(2))
    );
    assert!(known.get("refused").is_none(), "it is parked now: {known}");
    assert_eq!(known["cursor"], 3);
    let again = json!({"position": 4, "action": "park"});
    assert_eq!(say(&api, "refuse", again).await.is(200).body["status"], "unchanged", "parked once");
    say(&api, "acknowledge", json!({"position": 9})).await;
    say(&api, "parked/retry", json!({"positions": [4]})).await.is(200);
    assert_eq!(state(&api)["retried"][0]["position"], 4);
    let api = api.reopen();
    say(&api, "acknowledge", json!({"position": 4})).await.is(200);
    assert!(state(&api).get("retried").is_none());
    say(&api, "parked/discard", json!({"all": true})).await.is(200);
    assert!(state(&api).get("parked").is_none());
    say(&api, "reset", json!({"position": 1})).await.is(200);
    assert_eq!((state(&api)["cursor"].clone(), state(&api)["generation"].clone()), (json!(1), json!(1)));
    let late = json!({"position": 9, "generation": 0});
    say(&api, "acknowledge", late).await.refused(409, "stale_generation");
    // Gone is gone, and the name is free.
    api.delete("/consumers/billing").await.is(200);
    say(&api, "acknowledge", json!({"position": 9})).await.refused(404, "not_found");
    api.delete("/consumers/billing").await.refused(404, "not_found");
    let api = api.reopen();
    say(&api, "reset", json!({"position": 9})).await.refused(404, "not_found");
    let created = api.post("/consumers", json!({"name": "billing"})).await.is(201);
    assert_eq!(state(&api)["cursor"].as_u64().unwrap() + 1, created.body["position"].as_u64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_name() {
    let api = billing(json!({})).await;
    for (what, body, status, code) in [
        ("acknowledge", json!({"position": 1_000}), 422, "beyond_end"),
        ("acknowledge", json!({"position": -1}), 400, "invalid_body"),
        ("acknowledge", json!({}), 400, "invalid_body"),
        ("acknowledge", json!({"position": 1, "x": 1}), 400, "invalid_body"),
        ("refuse", json!({"position": 20}), 422, "not_its_own"),
        ("refuse", json!({"position": 1_000}), 422, "beyond_end"),
        ("refuse", json!({"position": 1, "action": "eat"}), 400, "invalid_body"),
        ("refuse", json!({"position": 1, "reason": "x".repeat(257)}), 422, "too_long"),
        ("refuse", json!({"position": 1, "delayMs": 3_600_001}), 400, "invalid_body"),
        ("parked/retry", json!({}), 400, "invalid_body"),
        ("parked/retry", json!({"positions": []}), 400, "invalid_body"),
        ("parked/retry", json!({"positions": [1], "all": true}), 400, "invalid_body"),
        ("parked/retry", json!({"positions": [1]}), 422, "not_parked"),
        ("parked/discard", json!({"positions": [1]}), 422, "not_parked"),
        ("reset", json!({"position": 1_000}), 422, "beyond_end"),
    ] {
        say(&api, what, body.clone()).await.refused(status, code);
    }
    for (member, value) in [
        ("name", json!("a/b")),
        ("name", json!("x".repeat(65))),
        ("name", json!("")),
        ("filter", json!({"category": "a-b"})),
        ("filter", json!({"types": vec!["a"; 65]})),
        ("filter", json!({"tag": "x".repeat(200)})),
        ("filter", json!({"stream": ""})),
        ("filter", json!({"streams": "a"})),
        ("ackTimeoutMs", json!(999)),
        ("attemptsMax", json!(0)),
        ("inFlightMax", json!(10_001)),
        ("from", json!("now")),
    ] {
        let mut body = json!({"name": "other"});
        body[member] = value;
        api.post("/consumers", body).await.refused(400, "invalid_body");
    }
    api.post("/consumers", json!({"name": "other", "from": 1_000})).await.refused(422, "beyond_end");
    let same = json!({"name": "billing", "filter": {"category": "order"}});
    assert_eq!(api.post("/consumers", same).await.is(200).body["status"], "unchanged");
    api.post("/consumers", json!({"name": "billing"})).await.refused(409, "already_exists");
    api.post("/consumers/-/reset", json!({"position": 0})).await.refused(400, "invalid_parameter");
    // Nobody writes there from outside.
    let forged = json!({"events": [{"type": "x.y", "data": {}}]});
    api.post(&format!("/streams/{STREAM}/events"), forged).await.refused(403, "reserved_stream");
    let forged = json!({"events": [{"type": "x.y", "data": {}, "tags": ["sys:consumers:all"]}]});
    api.post("/streams/mine-1/events", forged).await.refused(403, "reserved_tag");
    assert_eq!(api.events(STREAM), ["sys.consumer_created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_belong_to_a_tenant_and_are_so_many_at_most() {
    let api = Api::new();
    let (ann, bob, both) = (of_tenants(&[A]), of_tenants(&[B]), of_tenants(&[A, B]));
    let place = json!({"events": [{"type": "order.placed", "data": {}}]});
    ask(&api, &ann, "POST", "/streams/order-1/events", place.clone()).await.is(201); // 0
    ask(&api, &bob, "POST", "/streams/order-2/events", place).await.is(201); // 1
    let made = ask(&api, &ann, "POST", "/consumers", json!({"name": "x", "from": 0})).await.is(201);
    assert_eq!(made.body["workspaceId"], A.to_string());
    // The same name is another consumer of another tenant's; and neither is there for who follows everything.
    let mut absent = Vec::new();
    for (who, path) in [
        (&bob, "/consumers/x/reset".to_owned()),
        (&bob, format!("/consumers/x/reset?workspaceId={A}")),
        (&bob, format!("/consumers/x/reset?workspaceId={}", Uuid::from_u128(9))),
        (&Principal::local(), "/consumers/x/reset".to_owned()),
    ] {
        let answer = ask(&api, who, "POST", &path, json!({"position": 0})).await.refused(404, "not_found");
        absent.push(answer.body);
    }
    assert!(absent.iter().all(|body| *body == absent[0]), "{absent:?}");
    ask(&api, &both, "POST", "/consumers/x/reset", json!({"position": 0}))
        .await
        .refused(400, "invalid_parameter");
    let path = format!("/consumers/x/reset?workspaceId={A}");
    ask(&api, &both, "POST", &path, json!({"position": 0})).await.is(200);
    ask(&api, &Principal::local(), "POST", &path, json!({"position": 0})).await.is(200);
    // What is another tenant's cannot be parked, and says no more than what is nobody's.
    let park = |position: u64| json!({"position": position, "action": "park"});
    ask(&api, &ann, "POST", "/consumers/x/refuse", park(1)).await.refused(422, "not_its_own");
    ask(&api, &ann, "POST", "/consumers/x/refuse", park(2)).await.refused(422, "not_its_own");
    ask(&api, &ann, "POST", "/consumers/x/refuse", park(0)).await.is(200);
    let reader = Principal::new("reader", Tenants::These([A].into()), Scopes::default());
    ask(&api, &reader, "POST", "/consumers/x/reset", json!({"position": 0}))
        .await
        .refused(403, "insufficient_scope");
    for number in 1..100 {
        ask(&api, &ann, "POST", "/consumers", json!({"name": format!("n{number}")})).await.is(201);
    }
    let one_more = json!({"name": "n100"});
    ask(&api, &ann, "POST", "/consumers", one_more.clone()).await.refused(422, "too_many_consumers");
    ask(&api, &bob, "POST", "/consumers", one_more.clone()).await.is(201);
    ask(&api, &ann, "DELETE", "/consumers/n7", Value::Null).await.is(200);
    ask(&api, &ann, "POST", "/consumers", one_more).await.is(201);
    // None of it carries a tenant's tag: the system's own events are no tenant's to read.
    let mut from = Position::ZERO;
    while let Some(event) = api.store.event(from).unwrap() {
        let view = event.get().unwrap();
        let is_tagged = view.tags().any(|tag| tag.starts_with("workspace:"));
        assert_eq!(is_tagged, !view.stream().starts_with("sys-"), "{}", view.stream());
        from = from.plus(1);
    }
}
