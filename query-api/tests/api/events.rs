//! `/events`: everything by position, filtered, the payloads byte for byte.

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World, append_many, append_raw};
use eventstore::{ContentType, Position};
use serde_json::Value;

fn events(page: &Value) -> &[Value] {
    page["events"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_its_whole_envelope() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let deed = Deed {
        actor: "importer",
        on_behalf_of: Some("grace \"g\""),
        occurred_at: Some(1_302_838_217_000_000_001),
    };
    let item = world.item(&fixture.store, "A-1", "i", "First", deed);

    let page = fixture.json("/api/v1/events?from=3").await;
    assert_eq!(events(&page).len(), 1);
    let event = &events(&page)[0];
    assert_eq!(event["type"], "item.created");
    assert_eq!(event["streamId"], format!("item-{item}"));
    assert_eq!((&event["aggregateType"], &event["aggregateId"]), (&"item".into(), &item.to_string().into()));
    assert_eq!(
        (&event["version"], &event["position"], &event["schemaVersion"]),
        (&0.into(), &3.into(), &1.into())
    );
    let time = event["time"].as_str().unwrap();
    assert!(time.len() == 30 && time.ends_with('Z'), "{time}");
    assert!(event["tags"].as_array().unwrap().contains(&format!("item:{item}").into()));
    assert_eq!(event["data"]["title"], "First");
    assert_eq!(
        event["metadata"],
        serde_json::json!({
            "actor": "importer", "onBehalfOf": "grace \"g\"", "source": "test",
            "occurredAt": "2011-04-15T03:30:17.000000001Z",
        })
    );
    assert_eq!((&page["next"], &page["end"]), (&4.into(), &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_given_out_byte_for_byte() {
    let fixture = Fixture::new();
    let odd = br#"{"b" :1.0, "a":	[1e2,"\u00e4\/"],"a":10000000000000000000000}"#;
    append_raw(&fixture.store, "raw-1", ContentType::Json, b"no json", odd);
    append_raw(&fixture.store, "raw-1", ContentType::Bytes, br#"{"actor":"x"}"#, &[0, 0xff, b'"']);
    append_raw(&fixture.store, "lonely", ContentType::Json, b"", b"{\"broken\":");
    append_raw(&fixture.store, "raw-1", ContentType::Json, b"", b"\"\xff\"");

    let answer = fixture.get("/api/v1/events").await;
    assert!(
        answer.body.contains(&format!("\"data\":{},\"metadata\":{{}}", std::str::from_utf8(odd).unwrap()))
    );
    let page = answer.json();
    assert_eq!(events(&page)[1]["dataBase64"], "AP8i");
    assert_eq!(events(&page)[1]["metadata"], serde_json::json!({"actor": "x"}));
    assert_eq!(events(&page)[2]["dataBase64"], "eyJicm9rZW4iOg==");
    assert_eq!(
        (&events(&page)[2]["aggregateType"], &events(&page)[2]["aggregateId"]),
        (&"lonely".into(), &"".into())
    );
    assert_eq!(events(&page)[3]["dataBase64"], "Iv8i");
    assert!(events(&page)[1].get("data").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_give_everything_once_whatever_their_size() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    for number in 0..20 {
        world.item(&fixture.store, &format!("A-{number}"), "i", "x", NOW);
    }
    let all: Vec<u64> = (0..fixture.store.watermark().get()).collect();
    for limit in [1, 2, 7, 23, 24, 1000] {
        let (mut seen, mut from) = (Vec::new(), 0);
        loop {
            let page = fixture.json(&format!("/api/v1/events?from={from}&limit={limit}")).await;
            assert!(events(&page).len() <= limit);
            seen.extend(events(&page).iter().map(|event| event["position"].as_u64().unwrap()));
            from = page["next"].as_u64().unwrap();
            if page["end"].as_bool().unwrap() {
                break;
            }
        }
        assert_eq!(seen, all, "limit {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_combined_and_paged() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let mut items = Vec::new();
    for number in 0..6 {
        let item = world.item(&fixture.store, &format!("A-{number}"), "i", "x", NOW);
        world.move_to_done(&fixture.store, item, "i", "k");
        items.push(item);
    }
    let positions = async |query: &str| {
        let (mut seen, mut from) = (Vec::new(), 0);
        loop {
            let page = fixture.json(&format!("/api/v1/events?from={from}&limit=2&{query}")).await;
            seen.extend(events(&page).iter().map(|event| event["position"].as_u64().unwrap()));
            from = page["next"].as_u64().unwrap();
            if page["end"].as_bool().unwrap() {
                return seen;
            }
        }
    };
    assert_eq!(positions("type=item.moved").await, [4, 6, 8, 10, 12, 14]);
    assert_eq!(positions(&format!("stream=item-{}", items[2])).await, [7, 8]);
    assert_eq!(positions(&format!("stream=item-{}&type=item.moved", items[2])).await, [8]);
    assert_eq!(positions(&format!("tag=item:{}", items[5])).await, [13, 14]);
    assert_eq!(positions(&format!("tag=column:{}&type=item.created", world.done)).await, [] as [u64; 0]);
    assert_eq!(positions("stream=item-none").await, [] as [u64; 0]);
    assert_eq!(positions("tag=none").await, [] as [u64; 0]);
    let page = fixture.json(&format!("/api/v1/events?from=8&stream=item-{}", items[2])).await;
    assert_eq!(events(&page).len(), 1, "a stream's events can be had from a position on");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_end_there_is_an_empty_page() {
    let fixture = Fixture::new();
    let empty = fixture.ask("/api/v1/events").await;
    assert_eq!(empty.json(), serde_json::json!({"events": [], "next": 0, "end": true}));
    assert_eq!(empty.position(), 0);
    World::create(&fixture.store, "acme");
    let page = fixture.json("/api/v1/events?from=1000").await;
    assert_eq!(page, serde_json::json!({"events": [], "next": 1000, "end": true}));
    assert_eq!(fixture.store.watermark(), Position::new(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_after_eight_mebibytes() {
    let fixture = Fixture::new();
    let payload = format!("\"{}\"", "x".repeat(900 << 10));
    for _ in 0..12 {
        append_raw(&fixture.store, "raw-1", ContentType::Json, b"", payload.as_bytes());
    }
    let stream = "/api/v1/streams/raw-1/events";
    for path in ["/api/v1/events?", "/api/v1/events?stream=raw-1&", &format!("{stream}?")] {
        let page = fixture.json(&format!("{path}limit=1000")).await;
        assert_eq!(
            (events(&page).len(), &page["next"], &page["end"]),
            (10, &10.into(), &false.into()),
            "{path}"
        );
        let page = fixture.json(&format!("{path}limit=1000&from=10")).await;
        assert_eq!(
            (events(&page).len(), &page["next"], &page["end"]),
            (2, &12.into(), &true.into()),
            "{path}"
        );
    }
    let page = fixture.json(&format!("{stream}?limit=1000&direction=backward")).await;
    assert_eq!((events(&page).len(), &page["next"], &page["end"]), (10, &1.into(), &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_finds_nothing_reads_the_log_piece_by_piece() {
    let fixture = Fixture::new();
    for _ in 0..26 {
        append_many(&fixture.store, "raw-1", 2_000);
    }
    append_raw(&fixture.store, "raw-2", ContentType::Json, b"", b"{}");
    for filter in ["type=other.type", "tag=raw:1", "stream=raw-1&type=other.type"] {
        let page = fixture.json(&format!("/api/v1/events?{filter}")).await;
        assert_eq!((&page["next"], &page["end"]), (&50_000.into(), &false.into()), "{filter}");
        assert_eq!(events(&page).len(), 0, "{filter}");
        let page = fixture.json(&format!("/api/v1/events?{filter}&from=50000")).await;
        assert_eq!((&page["next"], &page["end"]), (&52_001.into(), &true.into()), "{filter}");
    }
}
