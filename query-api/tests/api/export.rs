//! `/events/export`: every event once, as a line; only what is wanted and may be seen; and never a part that looks whole.

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World, append_many, append_raw};
use axum::body::Body;
use axum::http::Request;
use eventstore::{ContentType, Position};
use http_body_util::BodyExt;
use serde_json::Value;
use std::os::unix::fs::FileExt;

/// The lines of an export.
async fn lines(fixture: &Fixture, query: &str) -> Vec<Value> {
    let answer = fixture.ask(&format!("/api/v1/events/export?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    assert!(answer.body.is_empty() || answer.body.ends_with('\n'));
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same events, page by page.
async fn paged(fixture: &Fixture, query: &str) -> Vec<Value> {
    let (mut events, mut from) = (Vec::new(), 0);
    loop {
        let page = fixture.json(&format!("/api/v1/events?limit=1000&from={from}&{query}")).await;
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        from = page["next"].as_u64().unwrap();
        if page["end"] == true {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_what_the_pages_give_whatever_is_asked_for() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    for number in 0..40 {
        let deed = Deed { on_behalf_of: (number % 3 == 0).then_some("grace"), ..NOW };
        let item = world.item(&fixture.store, &format!("A-{number}"), "i", "x", deed);
        if number % 4 == 0 {
            world.move_to_done(&fixture.store, item, "i", "i");
        }
        // Commits that are longer than a chunk, and of which only a part may be wanted.
        append_many(&fixture.store, "raw-1", 700);
    }
    let item = world.item_id("A-8");
    let filters = [
        String::new(),
        "type=item.moved".to_owned(),
        format!("stream=item-{item}"),
        "stream=raw-1".to_owned(),
        "stream=raw-2".to_owned(),
        format!("tag=board:{}", world.board),
    ];
    for filter in &filters {
        let expected = paged(&fixture, filter).await;
        assert_eq!(expected.is_empty(), filter == "stream=raw-2");
        assert_eq!(lines(&fixture, filter).await, expected, "{filter}");
        // From the middle to somewhere, and no more than so many.
        let position = |event: &Value| event["position"].as_u64().unwrap();
        let mut part = expected.clone();
        part.retain(|event| (9_000..20_011).contains(&position(event)));
        assert_eq!(lines(&fixture, &format!("{filter}&from=9000&to=20011")).await, part, "{filter}");
        part.truncate(5);
        assert_eq!(lines(&fixture, &format!("{filter}&from=9000&to=20011&limit=5")).await, part, "{filter}");
    }
    let of_item = lines(&fixture, &format!("item={item}")).await;
    assert_eq!(of_item, lines(&fixture, &format!("stream=item-{item}&board={}", world.board)).await);
    assert_eq!(of_item.len(), 2);
    let of_grace = lines(&fixture, "person=grace").await;
    assert_eq!(of_grace.len(), 14);
    assert!(of_grace.iter().all(|event| event["metadata"]["onBehalfOf"] == "grace"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_the_members_that_were_asked_for() {
    let fixture = Fixture::new();
    append_raw(&fixture.store, "raw-1", ContentType::Json, b"", b"{\"a\":\r\n1,\n\"b\":[ ]\n}");
    append_raw(&fixture.store, "raw-1", ContentType::Bytes, b"", b"\n\xff");
    let answer = fixture.ask("/api/v1/events/export?fields=position,streamId,version,type,data").await;
    assert_eq!(
        answer.body,
        concat!(
            r#"{"type":"raw.happened","streamId":"raw-1","version":0,"position":0,"data":{"a":  1, "b":[ ] }}"#,
            "\n",
            r#"{"type":"raw.happened","streamId":"raw-1","version":1,"position":1,"dataBase64":"Cv8="}"#,
            "\n",
        )
    );
    assert_eq!(answer.position(), 2);
    let whole = &lines(&fixture, "").await[0];
    assert_eq!(whole.as_object().unwrap().len(), 12);
    for (query, field) in [
        ("fields=position,colour", "fields"),
        ("fields=", "fields"),
        ("limit=0", "limit"),
        ("from=-1", "from"),
        ("item=7", "item"),
        ("colour=red", "colour"),
    ] {
        let refused = fixture.ask(&format!("/api/v1/events/export?{query}")).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["field"]), (400, &field.into()), "{query}");
    }
    // Beyond the end there is nothing, and that is told.
    let beyond = fixture.ask("/api/v1/events/export?from=7&to=9").await;
    assert_eq!((beyond.status.as_u16(), beyond.body.as_str(), beyond.position()), (200, "", 2));
    let early = fixture.ask("/api/v1/events/export?minPosition=3&timeoutMs=1").await;
    assert_eq!(early.problem(), (504, "not_caught_up".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_to_its_end_breaks_off() {
    let fixture = Fixture::new();
    for _ in 0..20 {
        append_many(&fixture.store, "raw-1", 700);
    }
    let place = fixture.service.log().commits(Position::new(9_800)).next().unwrap().unwrap().place();
    let segment = fixture.data_dir().join("log");
    let segment = std::fs::read_dir(segment).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = segment.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    segments.sort();
    let file = std::fs::OpenOptions::new().write(true).open(&segments[place.segment() as usize]).unwrap();
    file.write_all_at(b"rot", place.offset() + 500).unwrap();

    let request = Request::get("/api/v1/events/export").body(Body::empty()).unwrap();
    let mut body = fixture.open(request).await.into_body();
    let mut text = String::new();
    let error = loop {
        match body.frame().await.expect("it does not end as if it were whole") {
            Ok(frame) => text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap()),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(text.lines().count() <= 9_800 && text.ends_with('\n'), "whole lines, none behind the damage");
    assert!(body.frame().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_few_and_come_back() {
    let fixture = Fixture::new();
    for _ in 0..10 {
        append_many(&fixture.store, "raw-1", 1_000);
    }
    let open = async || {
        let request = Request::get("/api/v1/events/export").body(Body::empty()).unwrap();
        fixture.open(request).await
    };
    let mut held = Vec::new();
    loop {
        let response = open().await;
        if response.status() != 200 {
            assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &5.into()));
            break;
        }
        held.push(response);
    }
    assert_eq!(held.len(), 4, "one principal's");
    // Read to its end, or given up: either frees a place.
    let body = held.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.iter().filter(|byte| **byte == b'\n').count(), 10_000);
    assert_eq!(open().await.status(), 200);
    drop(held);
    assert_eq!(open().await.status(), 200);
}
