//! Verifications that an auditor asks for, and the scrub.

use crate::fixture::{Answer, Fixture};
use crate::history::{NOW, World};
use axum::body::Body;
use axum::http::Request;
use projector::audit::ScrubSettings;
use serde_json::{Value, json};
use std::os::unix::fs::FileExt;
use std::time::Duration;

const PATH: &str = "/api/v1/audit/verify";

async fn begin(fixture: &Fixture, query: &str) -> Answer {
    fixture.send(Request::post(format!("{PATH}{query}")).body(Body::empty()).unwrap()).await
}

/// The state, once nothing is going on any more.
async fn ended(fixture: &Fixture) -> Value {
    loop {
        let state = fixture.json(PATH).await;
        if state["state"] != "running" {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Changes a byte of the first segment.
fn flip(fixture: &Fixture, offset: u64) {
    let path = fixture.data_dir().join("log/0000000000.seg");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_after_the_answer_and_says_what_it_found() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    for number in 0..20 {
        world.item(&fixture.store, &format!("A-{number}"), "i", "x", NOW);
    }
    assert_eq!(fixture.json(PATH).await["state"], "idle");
    let begun = begin(&fixture, "").await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    assert_eq!(begun.json()["state"], "running");
    let done = ended(&fixture).await;
    let report = &done["report"];
    assert_eq!(
        (&done["state"], &report["intact"], &report["exit"]),
        (&json!("done"), &json!(true), &json!(0)),
        "{done}"
    );
    assert_eq!(report["next"], fixture.store.watermark().get());

    flip(&fixture, 4_500);
    assert_eq!(begin(&fixture, "?logOnly=true").await.status, 202);
    let done = ended(&fixture).await;
    let report = &done["report"];
    assert_eq!((&done["state"], &report["exit"]), (&json!("done"), &json!(4)), "{done}");
    let found = report["findings"].as_array().unwrap().iter().find(|it| it["class"] == "bitrot").unwrap();
    assert_eq!((&found["segment"], &found["file"]), (&json!(0), &Value::Null), "{found}");
    assert!(found["offset"].as_u64().unwrap() <= 4_500);
    assert!(!report["unchecked"].as_array().unwrap().is_empty());
    for query in ["?sample=0", "?logOnly=perhaps"] {
        assert_eq!(begin(&fixture, query).await.problem(), (400, "invalid_parameter".into()), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_goes_on_at_a_time() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    for number in 0..300 {
        world.item(&fixture.store, &format!("A-{number}"), "i", "x", NOW);
    }
    let mut refused = 0;
    for _ in 0..20 {
        let answer = begin(&fixture, "").await;
        if answer.status != 202 {
            assert_eq!(answer.problem(), (409, "verification_running".into()));
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(ended(&fixture).await["state"], "done");
    assert_eq!(begin(&fixture, "").await.status, 202, "and the next one can begin");
    assert_eq!(ended(&fixture).await["state"], "done");
}

/// What `/readyz` says.
async fn ready(fixture: &Fixture) -> (u16, String) {
    let answer = fixture.send(Request::get("/readyz").body(Body::empty()).unwrap()).await;
    (answer.status.into(), answer.body.clone())
}

/// Passes of the scrub that have ended.
async fn passes(fixture: &Fixture) -> u64 {
    let metrics = fixture.send(Request::get("/metrics").body(Body::empty()).unwrap()).await.body.clone();
    let line = metrics.lines().find_map(|line| line.strip_prefix("sunday_scrub_passes_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_scrub_finds_is_an_alarm_until_it_is_gone() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    // Enough for a segment to have ended.
    let long = "x".repeat(10_000);
    for number in 0..150 {
        world.item(&fixture.store, &format!("A-{number}"), "i", &long, NOW);
    }
    assert!(fixture.data_dir().join("log/0000000001.seg").exists());
    fixture.get("/api/v1/workspaces").await;
    let settings = ScrubSettings { bytes_per_second: 1 << 30, rest: Duration::from_millis(5) };
    fixture.service.scrub_in_background(settings).unwrap();
    // A pass that has begun before a change may not have seen it; the ones after it have.
    let until = async |is_alarmed: bool| {
        let first = passes(&fixture).await;
        loop {
            let (status, said) = ready(&fixture).await;
            if (status == 503) == is_alarmed {
                return said;
            }
            assert!(passes(&fixture).await < first + 5, "alarmed {is_alarmed} was expected: {said}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    flip(&fixture, 5_000);
    let said = until(true).await;
    assert!(said.contains("the log is damaged") && said.contains("segment 0"), "{said}");
    let metrics = fixture.send(Request::get("/metrics").body(Body::empty()).unwrap()).await.body.clone();
    assert!(metrics.contains("sunday_scrub_alarm 1"), "{metrics}");
    flip(&fixture, 5_000);
    until(false).await;
}
