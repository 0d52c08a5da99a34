//! Events of a log are sent into another Sunday.

use crate::archives::filled;
use crate::command::{json, lines, path};
use serde_json::Value;
use std::collections::BTreeMap;
use tests::Sunday;

/// Of the events of other services: by id what arrives of them.
fn orders(lines: &[String]) -> BTreeMap<String, Value> {
    let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let orders = events.filter(|event| event["streamId"].as_str().unwrap().starts_with("order-"));
    let told = orders.map(|event| {
        let arrives =
            ["streamId", "type", "schemaVersion", "tags", "data"].map(|member| event[member].clone());
        (event["eventId"].as_str().unwrap().to_owned(), Value::from(arrives.to_vec()))
    });
    told.collect()
}

#[test]
fn events_of_other_services_arrive_once_and_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&other).unwrap();
    filled(&data);
    // A server adds events of the system.
    Sunday::serve(&data).stop();
    let sunday = Sunday::serve(&other);
    let url = sunday.command_url();
    let send = |more: &[&str]| json(&[&["replay", "--data-dir", path(&data), "--into", &url], more].concat());
    let (code, sent) = send(&["--stream", "order-3"]);
    assert_eq!(
        (code, sent["events"].as_u64(), sent["passedOver"].as_u64()),
        (0, Some(20), Some(0)),
        "{sent}"
    );
    for _ in 0..2 {
        let (code, sent) = send(&[]);
        assert_eq!((code, sent["events"].as_u64()), (0, Some(400)), "{sent}");
        assert!(sent["passedOver"].as_u64().unwrap() > 0, "what the system says to itself: {sent}");
    }
    sunday.stop();
    let (before, after) = (orders(&lines(&data)), orders(&lines(&other)));
    assert_eq!(before.len(), 400);
    assert_eq!(before, after);
    assert_eq!(lines(&other).iter().filter(|line| line.contains("order.placed")).count(), 400, "once each");

    let (code, said) = json(&["replay", "--data-dir", path(&data), "--into", "ftp://x"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = json(&["replay", "--data-dir", path(&data), "--into", "http://127.0.0.1:1"]);
    assert_eq!(code, 1, "{said}");
}
