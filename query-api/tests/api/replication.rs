//! `/log`: a standby is fed from it; what cannot be given has a code.

use crate::fixture::Fixture;
use crate::history::append_raw;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use eventstore::storage::Environment;
use eventstore::{ContentType, Replica, SegmentPiece};
use http_body_util::BodyExt;
use serde_json::Value;
use std::time::{Duration, Instant};
use tower::ServiceExt;

async fn bytes(fixture: &Fixture, path: &str) -> (u16, HeaderMap, Vec<u8>) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = crate::fixture::router(fixture.service.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

/// A piece as a standby gets it.
async fn piece(fixture: &Fixture, segment: u32, offset: u64) -> SegmentPiece {
    let path = format!("/api/v1/log/segments/{segment}?offset={offset}");
    let (status, headers, bytes) = bytes(fixture, &path).await;
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(headers["sunday-position"], *fixture.store.watermark().to_string());
    let is_true = |name: &str| headers[name] == "true";
    SegmentPiece {
        store: headers["sunday-store"].to_str().unwrap().parse().unwrap(),
        segment,
        offset,
        bytes,
        is_tail: is_true("sunday-segment-tail"),
        ended: is_true("sunday-segment-ended"),
    }
}

async fn feed(fixture: &Fixture, standby: &mut Replica) {
    loop {
        let place = standby.place();
        let piece = piece(fixture, place.segment(), place.offset()).await;
        if piece.bytes.is_empty() && !piece.ended {
            return;
        }
        standby.take(&piece).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_gets_all_of_the_log() {
    let fixture = Fixture::new();
    let large = "x".repeat(300_000);
    for number in 0..12 {
        append_raw(&fixture.store, "raw-1", ContentType::Bytes, b"", format!("{number}{large}").as_bytes());
    }
    let dir = tempfile::tempdir().unwrap();
    let mut standby = Replica::open(&Environment::default(), dir.path(), "a test").unwrap();
    feed(&fixture, &mut standby).await;
    assert!(standby.place().segment() >= 3, "it rolled over: {}", standby.place());
    assert_eq!(standby.lineage(), Some(fixture.store.lineage()));

    let place: Value = fixture.json("/api/v1/log").await;
    let lineage = fixture.store.lineage();
    let end = fixture.store.durable_end();
    assert_eq!(place["store"], lineage.store.to_string());
    assert_eq!((&place["position"], &place["chain"]), (&12.into(), &lineage.chain.to_string().into()));
    assert_eq!(place["durableEnd"], serde_json::json!({ "segment": end.segment(), "offset": end.offset() }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_at_the_end_waits_for_what_comes() {
    let fixture = Fixture::new();
    append_raw(&fixture.store, "raw-1", ContentType::Bytes, b"", b"1");
    // A mark may still come; after it the log is quiet.
    let mut quiet = fixture.store.durable_end();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let end = fixture.store.durable_end();
        if end == quiet {
            break;
        }
        quiet = end;
    }
    let path = |wait: u64| format!("/api/v1/log/segments/0?offset={}&waitMs={wait}", quiet.offset());
    let (status, headers, nothing) = bytes(&fixture, &path(50)).await;
    assert_eq!((status, nothing.len()), (200, 0));
    assert_eq!(headers["sunday-segment-ended"], "false");

    let waiting = tokio::spawn({
        let (router, path) = (crate::fixture::router(fixture.service.clone()), path(5_000));
        async move {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        }
    });
    let started = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    append_raw(&fixture.store, "raw-1", ContentType::Bytes, b"", b"2");
    let came = waiting.await.unwrap();
    assert!(came.starts_with(b"SFRM"), "{} bytes after {:?}", came.len(), started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_given_has_a_code() {
    let fixture = Fixture::new();
    append_raw(&fixture.store, "raw-1", ContentType::Bytes, b"", b"1");
    for (path, status, code) in [
        ("/segments/7", 404, "no_such_segment"),
        ("/segments/0?offset=4104", 400, "not_a_frame"),
        ("/segments/0?offset=4099", 400, "not_a_frame"),
        ("/segments/0?offset=80000", 416, "beyond_end"),
        ("/segments/0?offset=99999999999999", 400, "invalid_parameter"),
        ("/segments/0?waitMs=60000", 400, "invalid_parameter"),
        ("/segments/0?length=1", 400, "unknown_parameter"),
        ("/segments/x", 400, "invalid_parameter"),
        ("?position=1", 400, "invalid_parameter"),
        ("?store=x&position=1&chain=x", 400, "invalid_parameter"),
    ] {
        assert_eq!(
            fixture.ask(&format!("/api/v1/log{path}")).await.problem(),
            (status, code.to_owned()),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_not_the_logs_own_is_refused_with_the_reason() {
    let fixture = Fixture::new();
    append_raw(&fixture.store, "raw-1", ContentType::Bytes, b"", b"1");
    let own = fixture.store.lineage();
    let ask = |store: String, position: u64, chain: String| {
        let path = format!("/api/v1/log?store={store}&position={position}&chain={chain}");
        let fixture = &fixture;
        async move { fixture.ask(&path).await }
    };
    let chain = own.chain.to_string();
    assert_eq!(ask(own.store.to_string(), 1, chain.clone()).await.status, 200);
    assert_eq!(ask(own.store.to_string(), 0, "0".repeat(64)).await.status, 200, "the beginning");
    let diverged = ask(own.store.to_string(), 1, "a".repeat(64)).await;
    assert_eq!(diverged.problem(), (409, "diverged".to_owned()));
    assert_eq!(diverged.json()["chain"], chain);
    let beyond = ask(own.store.to_string(), 2, chain.clone()).await;
    assert_eq!(beyond.problem(), (416, "beyond_end".to_owned()));
    let other = ask(uuid::Uuid::nil().to_string(), 1, chain).await;
    assert_eq!(other.problem(), (409, "other_store".to_owned()));
}
