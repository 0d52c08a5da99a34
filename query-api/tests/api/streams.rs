//! `/streams/{id}/events`: one stream by version, forward and backward.

use crate::fixture::Fixture;
use crate::history::{NOW, World, append, append_raw};
use domain::{DomainEvent, Rank, item};
use eventstore::ContentType;
use serde_json::Value;

fn versions(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()).collect()
}

/// A stream whose twelve versions lie in commits of one and of several events, with others in between.
fn build(fixture: &Fixture) -> String {
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "b", "x", NOW);
    let ranked = |from: &str, to: &str| -> DomainEvent {
        let event = item::Ranked { from_rank: Rank::new(from).unwrap(), to_rank: Rank::new(to).unwrap() };
        item::Event::from(event).into()
    };
    let scope = world.scope(Some(item));
    append(&fixture.store, &item.stream_id(), &scope, NOW, vec![ranked("b", "c")]);
    append(
        &fixture.store,
        &item.stream_id(),
        &scope,
        NOW,
        vec![ranked("c", "d"), ranked("d", "e"), ranked("e", "f")],
    );
    world.item(&fixture.store, "A-2", "i", "other", NOW);
    append(&fixture.store, &item.stream_id(), &scope, NOW, (0..7).map(|_| ranked("f", "g")).collect());
    item.stream_id()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_forward_in_pages() {
    let fixture = Fixture::new();
    let stream = build(&fixture);
    for limit in [1, 2, 3, 5, 11, 12, 13] {
        let (mut seen, mut from) = (Vec::new(), 0);
        loop {
            let page =
                fixture.json(&format!("/api/v1/streams/{stream}/events?from={from}&limit={limit}")).await;
            assert_eq!((&page["streamId"], &page["version"]), (&stream.as_str().into(), &11.into()));
            assert!(versions(&page).len() <= limit);
            seen.extend(versions(&page));
            from = page["next"].as_u64().unwrap();
            if page["end"].as_bool().unwrap() {
                break;
            }
        }
        assert_eq!(seen, (0..12).collect::<Vec<_>>(), "limit {limit}");
        assert_eq!(from, 12, "where a reader who waits for more goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_backward_in_pages() {
    let fixture = Fixture::new();
    let stream = build(&fixture);
    for limit in [1, 2, 3, 5, 11, 12, 13] {
        let (mut seen, mut from) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/streams/{stream}/events?direction=backward{from}&limit={limit}");
            let page = fixture.json(&path).await;
            assert!(versions(&page).len() <= limit);
            seen.extend(versions(&page));
            if page["end"].as_bool().unwrap() {
                assert_eq!(page["next"], Value::Null);
                break;
            }
            from = format!("&from={}", page["next"]);
        }
        assert_eq!(seen, (0..12).rev().collect::<Vec<_>>(), "limit {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_give_the_same_bytes() {
    let fixture = Fixture::new();
    let payload = r#"{ "odd" : 1.50 }"#;
    append_raw(&fixture.store, "raw-ü", ContentType::Json, b"", payload.as_bytes());
    for direction in ["forward", "backward"] {
        let answer = fixture.get(&format!("/api/v1/streams/raw-%C3%BC/events?direction={direction}")).await;
        assert!(answer.body.contains(&format!("\"data\":{payload},")), "{}", answer.body);
    }
    let refusal = fixture.ask("/api/v1/streams/raw-none/events?minPosition=1").await;
    assert_eq!((refusal.problem(), refusal.position()), ((404, "not_found".into()), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_newest_version_there_is_an_empty_page() {
    let fixture = Fixture::new();
    let stream = build(&fixture);
    let page = fixture.json(&format!("/api/v1/streams/{stream}/events?from=12")).await;
    assert_eq!((versions(&page), &page["next"], &page["end"]), (vec![], &12.into(), &true.into()));
    let page = fixture.json(&format!("/api/v1/streams/{stream}/events?from={}&limit=1", u64::MAX)).await;
    assert_eq!(versions(&page), [] as [u64; 0]);
    let page =
        fixture.json(&format!("/api/v1/streams/{stream}/events?direction=backward&from=999&limit=1")).await;
    assert_eq!(versions(&page), [11]);
}
