//! Promise: a named consumer is given everything that it wants, in order and at least once, whatever becomes of it and of the
//! server: what it has acknowledged stays acknowledged, what is parked stays parked, and nothing is lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tests::{Sunday, random::Random};

/// What has to come comes long before.
const DEADLINE: Duration = Duration::from_secs(60);

fn say(sunday: &Sunday, path: &str, body: &Value, statuses: &[u16]) -> Value {
    let answer = sunday.command.post(&format!("/api/v1{path}"), body).unwrap();
    let text = String::from_utf8_lossy(&answer.body);
    assert!(statuses.contains(&answer.status), "{path} {body}: {} {text}", answer.status);
    answer.json()
}

/// Events on their way: positions, with the numbers of their attempts and what they carry.
fn poll(sunday: &Sunday, query: &str) -> Vec<(u64, u64, Value)> {
    let page = sunday.query.get(&format!("/api/v1/consumers/mirror/events?{query}")).json();
    assert!(page.get("exhausted").is_none(), "here it is parked without anybody's doing: {page}");
    let events = page["events"].as_array().unwrap().iter();
    let delivery = |one: &Value| {
        let number = |name: &str| one[name].as_u64().unwrap();
        (number("position"), number("attempt"), one["event"]["data"].clone())
    };
    events.map(delivery).collect()
}

fn consumer(sunday: &Sunday) -> Value {
    sunday.query.get("/api/v1/consumers/mirror").json()
}

fn parked(sunday: &Sunday) -> BTreeSet<u64> {
    let page = sunday.query.get("/api/v1/consumers/mirror/parked").json();
    page["parked"].as_array().unwrap().iter().map(|one| one["position"].as_u64().unwrap()).collect()
}

#[test]
fn an_event_that_is_never_acknowledged_is_parked_and_the_others_come() {
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    let settings =
        json!({"name": "mirror", "filter": {"category": "thing"}, "ackTimeoutMs": 1000, "attemptsMax": 2});
    say(&sunday, "/consumers", &settings, &[201]);
    let events: Vec<Value> = (0..3).map(|n| json!({"type": "thing.made", "data": n})).collect();
    say(&sunday, "/streams/thing-1/events", &json!({"events": events}), &[201]);
    // Whoever falls over the first one, and says nothing, is given it twice and then the rest.
    let started = Instant::now();
    let mut given = Vec::new();
    while given.last() != Some(&(1, 1)) {
        assert!(started.elapsed() < DEADLINE, "{given:?}");
        let events = poll(&sunday, "limit=1&waitMs=5000");
        given.extend(events.iter().map(|(_, attempt, data)| (data.as_u64().unwrap(), *attempt)));
        if given.len() == 1 {
            // Only this one is on its way when the time is up.
            std::thread::sleep(Duration::from_millis(1_100));
        }
    }
    assert_eq!(given, [(0, 1), (0, 2), (1, 1)]);
    let page = sunday.query.get("/api/v1/consumers/mirror/parked").json();
    assert_eq!((&page["total"], &page["parked"][0]["attempts"]), (&json!(1), &json!(2)), "{page}");
    assert!(page["parked"][0]["reason"].as_str().unwrap().contains("never acknowledged"), "{page}");
    sunday.stop();
}

/// A client that does anything, a server that is killed now and then, and a model that knows what has to come of it.
#[test]
fn whatever_happens_everything_comes_and_stays_dealt_with() {
    let data = tempfile::tempdir().unwrap();
    let mut random = Random::seeded();
    let mut sunday = Sunday::serve(data.path());
    let settings = json!({
        "name": "mirror", "from": 0, "filter": {"types": ["thing.made"]},
        "ackTimeoutMs": 1000, "attemptsMax": 1000, "inFlightMax": 20,
    });
    say(&sunday, "/consumers", &settings, &[201]);
    let (mut written, mut seen) = (0_u64, BTreeMap::<u64, u64>::new());
    // What is durable for certain: the cursor at least here, and exactly these parked.
    let (mut cursor, mut aside) = (0_u64, BTreeSet::<u64>::new());
    let (mut held, mut kills, mut last) = (Vec::<u64>::new(), 0, 0_u64);
    for round in 0..160 {
        match random.below(10) {
            0..=2 => {
                let count = 1 + random.below(6);
                let events: Vec<Value> = (written..written + count)
                    .flat_map(|n| {
                        [json!({"type": "thing.made", "data": n}), json!({"type": "thing.other", "data": n})]
                    })
                    .collect();
                say(&sunday, "/streams/thing-1/events", &json!({"events": events}), &[201]);
                written += count;
            }
            3..=5 => {
                for (position, _, data) in poll(&sunday, &format!("limit={}&waitMs=0", 1 + random.below(8))) {
                    assert!(
                        position >= cursor,
                        "round {round}: {position} comes again, {cursor} is acknowledged"
                    );
                    assert!(!aside.contains(&position), "round {round}: {position} is parked");
                    let data = data.as_u64().unwrap();
                    assert_eq!(*seen.entry(data).or_insert(position), position, "one place for ever");
                    // In order, and none is left out: whatever comes for the first time is the next one.
                    assert!(data <= last, "round {round}: {data} comes before {last}");
                    last = last.max(data + 1);
                    held.push(position);
                }
            }
            6 | 7 if !held.is_empty() => {
                let position = held[usize::try_from(random.below(held.len() as u64)).unwrap()];
                let done = say(
                    &sunday,
                    "/consumers/mirror/acknowledge",
                    &json!({"position": position}),
                    &[200, 202],
                );
                if done["status"] == "applied" {
                    cursor = cursor.max(position + 1);
                }
                held.retain(|one| *one > position);
            }
            8 if !held.is_empty() => {
                let position = held[usize::try_from(random.below(held.len() as u64)).unwrap()];
                let park = random.below(2) == 0;
                let body = json!({"position": position, "action": if park { "park" } else { "retry" }});
                let answer = sunday.command.post("/api/v1/consumers/mirror/refuse", &body).unwrap();
                match answer.status {
                    200 if park => drop(aside.insert(position)),
                    200 => {}
                    // One that was pending when it was acknowledged is acknowledged.
                    409 => assert_eq!(answer.json()["code"], "already_acknowledged"),
                    status => panic!("{status}"),
                }
                held.retain(|one| *one < position);
            }
            9 if random.below(3) == 0 && kills < 5 => {
                sunday.kill();
                sunday = Sunday::serve(data.path());
                let known = consumer(&sunday);
                assert!(
                    known["cursor"].as_u64().unwrap() >= cursor,
                    "round {round}: {known}, {cursor} was answered"
                );
                assert_eq!(parked(&sunday), aside, "round {round}");
                held.clear();
                kills += 1;
            }
            _ => {}
        }
    }
    // From now on everything is acknowledged, what is parked included.
    if !aside.is_empty() {
        say(&sunday, "/consumers/mirror/parked/retry", &json!({"all": true}), &[200]);
        aside.clear();
    }
    let started = Instant::now();
    let end = sunday.settled_position();
    loop {
        assert!(started.elapsed() < DEADLINE, "{}", consumer(&sunday));
        let events = poll(&sunday, "waitMs=100");
        for (position, _, data) in &events {
            let data = data.as_u64().unwrap();
            assert_eq!(*seen.entry(data).or_insert(*position), *position);
            say(&sunday, "/consumers/mirror/acknowledge", &json!({"position": position}), &[200, 202]);
        }
        let known = consumer(&sunday);
        let newest = seen.values().max().copied().unwrap_or(0);
        let is_over = known.get("retried").is_none() && known["cursor"].as_u64().unwrap() > newest;
        if events.is_empty() && is_over && seen.len() as u64 == written {
            break;
        }
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (0..written).collect::<Vec<_>>(), "nothing is lost");
    assert!(parked(&sunday).is_empty());
    assert!(written > 20 && kills > 0, "{written} events, {kills} kills, {end} positions");
    sunday.stop();
}
