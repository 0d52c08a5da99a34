//! Promise: projections are built anew while everybody goes on reading, whoever is killed meanwhile; and one event that cannot
//! be taken in stops nobody but its own stream.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::{Sunday, history, import, oracle, run};

const NAMES: [&str; 4] = ["models", "search", "activity", "analytics"];

/// `/projections` says so of one.
fn projection(sunday: &Sunday, name: &str) -> Value {
    let answer = sunday.query.get("/api/v1/projections").json();
    let found = answer["projections"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("{answer}"))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ask(sunday: &Sunday, path: &str, body: &Value) -> Value {
    let answer = sunday.command.post(&format!("/api/v1/projections/{path}"), body).unwrap();
    assert_eq!(answer.status, 202, "{path}: {}", answer.json());
    answer.json()
}

/// Waits for the end of a rebuild.
fn end(sunday: &Sunday, name: &str, id: &Value) -> Value {
    let mut found = Value::Null;
    until(&format!("an end of the rebuild of {name}"), || {
        found = projection(sunday, name)["control"]["lastRebuild"].take();
        found["rebuildId"] == *id
    });
    found
}

/// Lets those who read all the time end, also when a test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads all the time, and says how often.
fn read_while(sunday: &Sunday, is_done: &AtomicBool, path: &str) -> u64 {
    let (mut newest, mut count) = (0, 0);
    while !is_done.load(Ordering::Relaxed) {
        let answer = sunday.query.get(path);
        assert!(answer.position() >= newest, "{path}: {} after {newest}", answer.position());
        assert!(answer.json()["total"].as_u64().unwrap() > 0, "{path}: {}", answer.json());
        newest = answer.position();
        count += 1;
    }
    count
}

#[test]
fn readers_see_no_gap_while_everything_is_built_anew() {
    let history = history("service-desk.jsonl.gz");
    let expected = oracle::read(&history);
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::three_processes(data.path(), ["command-api", "projector", "query-api"]);
    let _ = import(&history, &sunday.command_url());
    let position = sunday.settled_position();
    let search = format!("/api/v1/search?q=customer&limit=1&minPosition={position}&timeoutMs=30000");
    assert!(sunday.query.get(&search).json()["total"].as_u64().unwrap() > 0);
    let item = expected.items.keys().next().unwrap();
    let item = format!("/api/v1/items?externalKey={item}");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = [&item, &"/api/v1/search?q=customer&limit=1".to_owned()].map(|path| {
            let (path, sunday, is_done) = (path.clone(), &sunday, &is_done);
            scope.spawn(move || read_while(sunday, is_done, &path))
        });
        let writer = scope.spawn(|| {
            let mut count = 0;
            while !is_done.load(Ordering::Relaxed) {
                let answer =
                    sunday.command.post("/api/v1/workspaces", &json!({"name": format!("w{count}")})).unwrap();
                assert_eq!(answer.status, 201);
                count += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            count
        });
        let done = Done(&is_done);
        for name in NAMES {
            let asked = ask(&sunday, &format!("{name}/rebuild"), &json!({}));
            let end = end(&sunday, name, &asked["id"]);
            assert_eq!((&end["outcome"], &end["equal"]), (&"swapped".into(), &true.into()), "{name}: {end}");
            assert_eq!(end["old"]["digest"].as_str().unwrap().len(), 64);
            assert!(end["position"].as_u64().unwrap() >= position, "{end}");
        }
        drop(done);
        assert!(writer.join().unwrap() > 0);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    let _ = sunday.settled_position();
    expected.compare(sunday.query);
    // The same by the command that people use, which watches.
    let urls = ["rebuild", "--command-url", &sunday.command_url(), "--query-url", &sunday.query_url()];
    let token = data.path().join("keys/development.token");
    let shadow = ["--shadow", "--json", "--projection", "models", "--token-file", token.to_str().unwrap()];
    let output = run(&[&urls[..], &shadow[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["equal"], true, "{report}");
    assert_eq!(report["projections"][0]["outcome"], "compared", "{report}");
    sunday.stop();
}

#[test]
fn a_projector_that_is_killed_finishes_what_was_asked_for_after_its_restart() {
    let data = tempfile::tempdir().unwrap();
    let mut sunday = Sunday::three_processes(data.path(), ["command-api", "projector", "query-api"]);
    let _ = import(&history("issues-small.jsonl.gz"), &sunday.command_url());
    let _ = sunday.settled_position();
    for (turn, name) in NAMES.into_iter().cycle().take(8).enumerate() {
        let asked = ask(&sunday, &format!("{name}/rebuild"), &json!({}));
        // At some point of it; what is written by then is found again by whoever starts.
        std::thread::sleep(Duration::from_millis(15 * turn as u64));
        sunday.kill_and_restart("projector");
        let end = end(&sunday, name, &asked["id"]);
        assert_eq!((&end["outcome"], &end["equal"]), (&"swapped".into(), &true.into()), "{name}: {end}");
        assert!(projection(&sunday, name)["control"]["rebuild"].is_null());
    }
    for kind in ["images", "search"] {
        until("half a generation is swept", || generations(&data.path().join(kind)) == 1);
    }
    sunday.stop();
}

fn generations(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

#[test]
fn what_is_asked_is_refused_where_it_makes_no_sense() {
    let data = tempfile::tempdir().unwrap();
    let sunday = Sunday::serve(data.path());
    let refused = |path: &str, body: &Value, status: u16, code: &str| {
        let answer = sunday.command.post(&format!("/api/v1/projections/{path}"), body).unwrap();
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (status, &json!(code)),
            "{path}: {}",
            answer.json()
        );
    };
    refused("nothing/rebuild", &json!({}), 404, "not_found");
    refused("models/rebuild", &json!({"shadows": true}), 400, "invalid_body");
    refused("models/rebuild/cancel", &json!({}), 409, "no_rebuild");
    refused("models/dead-letters/retry", &json!({}), 409, "no_dead_letter");
    refused("models/dead-letters/7/retry", &json!({}), 409, "no_dead_letter");
    refused("models/dead-letters/retry", &json!({"positions": []}), 400, "invalid_body");
    let letter = json!({"position": 0, "eventId": "01920000-0000-7000-8000-000000000001", "streamId": "item-x", "version": 0, "reason": "x"});
    let decision = json!({"type": "sys.dead_letter_added", "data": letter});
    refused("models/decisions", &decision, 409, "no_such_event");
    let letters = sunday.query.get("/api/v1/projections/models/dead-letters").json();
    assert_eq!((&letters["total"], &letters["next"]), (&0.into(), &Value::Null));
    assert_eq!(sunday.query.try_get("/api/v1/projections/nothing/dead-letters").unwrap().status, 404);
    sunday.stop();
}

/// How many dead letters a projection has, as the query API says.
fn letters(sunday: &Sunday, name: &str) -> Value {
    sunday.query.get(&format!("/api/v1/projections/{name}/dead-letters")).json()
}

/// Somebody creates a thing.
fn create(sunday: &Sunday, kind: &str, body: &Value) -> String {
    let answer = sunday.command.post(&format!("/api/v1/{kind}"), body).unwrap();
    assert_eq!(answer.status, 201, "{kind}: {}", answer.json());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Gives an item a title; the position of the event.
fn title(sunday: &Sunday, item: &str, title: &str) -> u64 {
    let answer = sunday
        .command
        .send_json("PATCH", &format!("/api/v1/items/{item}"), &json!({"title": title}))
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.position() - 1
}

#[test]
fn a_dead_letter_holds_back_its_own_item_in_every_process_until_it_is_retried() {
    let data = tempfile::tempdir().unwrap();
    let mut sunday = Sunday::three_processes(data.path(), ["command-api", "projector", "query-api"]);
    let workspace = create(&sunday, "workspaces", &json!({"name": "w"}));
    let project = create(&sunday, "projects", &json!({"workspaceId": workspace, "name": "p"}));
    let board = create(&sunday, "boards", &json!({"projectId": project, "name": "b"}));
    let column =
        sunday.command.post(&format!("/api/v1/boards/{board}/columns"), &json!({"name": "todo"})).unwrap();
    assert_eq!(column.status, 201, "{}", column.json());
    let [one, two, other] = ["alpha", "beta", "gamma"]
        .map(|title| create(&sunday, "items", &json!({"boardId": board, "title": title})));
    let passed_over = [title(&sunday, &one, "unreadable once"), title(&sunday, &two, "unreadable twice")];
    let _ = (
        title(&sunday, &one, "heldback one"),
        title(&sunday, &other, "reached"),
        title(&sunday, &two, "heldback two"),
    );
    let _ = sunday.settled_position();

    // The decisions of a build that could not read two of these events.
    let reason = "the payload is none that this build can read";
    for position in passed_over {
        let event = sunday.query.get(&format!("/api/v1/events?from={position}&limit=1")).json();
        let event = &event["events"][0];
        assert_eq!(event["position"], position, "{event}");
        let letter = json!({"position": position, "eventId": event["eventId"], "streamId": event["streamId"],
            "version": event["version"], "reason": reason});
        let decision = json!({"type": "sys.dead_letter_added", "data": letter});
        for name in ["models", "activity"] {
            assert_eq!(ask(&sunday, &format!("{name}/decisions"), &decision)["status"], "applied");
            assert_eq!(ask(&sunday, &format!("{name}/decisions"), &decision)["status"], "unchanged");
        }
    }
    let titles = |sunday: &Sunday| {
        let of = |item: &str| sunday.query.get(&format!("/api/v1/items/{item}")).json()["title"].clone();
        [&one, &two, &other].map(|item| of(item).as_str().unwrap().to_owned())
    };
    // Until the projector has made one there is no index.
    let found = |sunday: &Sunday, word: &str| {
        let answer = sunday.query.try_get(&format!("/api/v1/search?q={word}&limit=1")).unwrap();
        (answer.status == 200).then(|| answer.json()["total"].as_u64().unwrap())
    };
    let agree = |sunday: &Sunday, expected: [&str; 3]| {
        until(&format!("the query API has {expected:?}"), || titles(sunday) == expected);
        // The index is made of the projector's models.
        for word in ["alpha", "beta", "heldback", "reached"] {
            let count = expected.iter().filter(|title| title.contains(word)).count() as u64;
            until(&format!("{count} have {word}"), || found(sunday, word) == Some(count));
        }
    };
    agree(&sunday, ["alpha", "beta", "reached"]);
    let listed = letters(&sunday, "models");
    assert_eq!(listed["total"], 2, "{listed}");
    for (letter, position) in listed["deadLetters"].as_array().unwrap().iter().zip(passed_over) {
        assert_eq!((&letter["position"], &letter["reason"]), (&json!(position), &json!(reason)), "{letter}");
        assert_eq!((&letter["attempts"], &letter["heldBack"]), (&json!(1), &json!(1)), "{letter}");
    }
    assert_eq!(projection(&sunday, "models")["control"]["deadLetters"], 2);
    assert_eq!(letters(&sunday, "analytics")["total"], 0, "each projection has its own");

    // Who starts from what is on disk, or from the log, agrees.
    sunday.kill_and_restart("projector");
    sunday.kill_and_restart("query-api");
    until("the query API", || sunday.query.try_get("/readyz").is_ok_and(|answer| answer.status == 200));
    agree(&sunday, ["alpha", "beta", "reached"]);

    ask(&sunday, &format!("models/dead-letters/{}/retry", passed_over[0]), &json!({}));
    agree(&sunday, ["heldback one", "beta", "reached"]);
    assert_eq!(letters(&sunday, "models")["deadLetters"][0]["position"], passed_over[1]);
    ask(&sunday, "models/dead-letters/retry", &json!({}));
    agree(&sunday, ["heldback one", "heldback two", "reached"]);
    assert_eq!(
        (&letters(&sunday, "models")["total"], &letters(&sunday, "activity")["total"]),
        (&json!(0), &json!(2))
    );
    let feed = |sunday: &Sunday| {
        let feed = sunday.query.get(&format!("/api/v1/activity?itemId={one}&limit=100")).json();
        feed["entries"].as_array().unwrap().len()
    };
    assert_eq!(feed(&sunday), 1);
    ask(&sunday, "activity/dead-letters/retry", &json!({"positions": passed_over}));
    until("the feed to be whole", || feed(&sunday) == 3);
    let path = data.path().to_str().unwrap().to_owned();
    sunday.stop();
    // And what was left on disk is what the log says.
    let output = run(&["check", "--data-dir", &path]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
