//! `/events/live`: everything once and in order, from wherever one goes on; only what one may see; and nobody waits for
//! anybody.

mod crowd;
mod endings;

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World, append_many, append_raw};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use eventstore::ContentType;
use http_body_util::BodyExt;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// What has to come comes long before.
const DEADLINE: Duration = Duration::from_secs(60);

/// Somebody who has opened a stream.
struct Client {
    headers: HeaderMap,
    body: Body,
    text: String,
}

/// What stands between two empty lines.
#[derive(Debug, Default, Clone, PartialEq)]
struct Message {
    id: Option<u64>,
    event: Option<String>,
    data: Option<String>,
    retry: Option<u64>,
    comments: Vec<String>,
}

impl Client {
    async fn open(fixture: &Fixture, query: &str) -> Self {
        Self::send(fixture, request(query)).await
    }

    async fn send(fixture: &Fixture, request: Request<Body>) -> Self {
        let response = fixture.open(request).await;
        assert_eq!(response.status(), 200);
        let (parts, body) = response.into_parts();
        let mut client = Self { headers: parts.headers, body, text: String::new() };
        let head = client.message().await.unwrap();
        assert_eq!((head.retry, head.data), (Some(1_000), None));
        client
    }

    fn position(&self) -> u64 {
        self.headers["sunday-position"].to_str().unwrap().parse().unwrap()
    }

    /// The next bytes; none when the stream has ended.
    async fn frame(&mut self) -> Option<usize> {
        let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.expect("something comes")?;
        let data = frame.unwrap().into_data().unwrap();
        self.text.push_str(std::str::from_utf8(&data).unwrap());
        Some(data.len())
    }

    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let parsed = parse(message);
                self.text = rest.to_owned();
                return Some(parsed);
            }
            self.frame().await?;
        }
    }

    /// The next message that has data.
    async fn event(&mut self) -> (u64, Value) {
        loop {
            let message = self.message().await.expect("the stream goes on");
            if let Some(data) = &message.data {
                let event: Value = serde_json::from_str(data).unwrap();
                let id = message.id.unwrap();
                assert_eq!(event["position"], id);
                assert_eq!(event["type"].as_str(), message.event.as_deref());
                return (id, event);
            }
        }
    }

    async fn positions(&mut self, count: usize) -> Vec<u64> {
        let mut positions = Vec::with_capacity(count);
        while positions.len() < count {
            positions.push(self.event().await.0);
        }
        positions
    }
}

fn request(query: &str) -> Request<Body> {
    Request::get(format!("/api/v1/events/live?{query}")).body(Body::empty()).unwrap()
}

fn parse(block: &str) -> Message {
    let mut message = Message::default();
    for line in block.lines() {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.strip_prefix(' ').unwrap().to_owned();
        assert!(!value.contains('\r'), "that would end the line, too");
        match name {
            "" => message.comments.push(value),
            "id" => message.id = Some(value.parse().unwrap()),
            "event" => message.event = Some(value),
            "data" => assert!(message.data.replace(value).is_none(), "one line"),
            "retry" => message.retry = Some(value.parse().unwrap()),
            _ => panic!("{line}"),
        }
    }
    message
}

/// The positions and the JSON of all events from a position on, as `/events` gives them.
async fn recorded(fixture: &Fixture, from: u64, query: &str) -> Vec<(u64, Value)> {
    let (mut seen, mut from) = (Vec::new(), from);
    loop {
        let page = fixture.json(&format!("/api/v1/events?from={from}&limit=1000&{query}")).await;
        let events = page["events"].as_array().unwrap().iter();
        seen.extend(events.map(|event| (event["position"].as_u64().unwrap(), event.clone())));
        from = page["next"].as_u64().unwrap();
        if page["end"].as_bool().unwrap() {
            return seen;
        }
    }
}

/// Xorshift: enough to be different every time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        let (_, seed) = Uuid::new_v4().as_u64_pair();
        eprintln!("seed {seed}");
        Self(seed | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    pub(crate) fn pick(&mut self, among: usize) -> usize {
        usize::try_from(self.roll(u64::MAX)).unwrap() % among
    }
}

fn figure(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_missed_or_given_twice_while_somebody_writes() {
    let fixture = Fixture::new();
    let mut dice = Dice::new();
    let world = World::create(&fixture.store, "acme");
    append_many(&fixture.store, "raw-0", 300);
    let enough = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, mut dice) = (fixture.store.clone(), Dice(dice.roll(u64::MAX) | 1));
        let enough = Arc::clone(&enough);
        std::thread::spawn(move || {
            let mut number = 0;
            while !enough.load(Ordering::Relaxed) || number < 400 {
                number += 1;
                match dice.roll(4) {
                    0 => drop(world.item(&store, &format!("A-{number}"), "i", "x", NOW)),
                    1 => drop(append_raw(&store, "raw-1", ContentType::Json, b"", b"{}")),
                    stream => drop(append_many(&store, &format!("raw-{stream}"), 1 + dice.pick(5))),
                }
                if dice.roll(8) == 0 {
                    std::thread::sleep(Duration::from_micros(dice.roll(3_000)));
                }
            }
            append_raw(&store, "raw-1", ContentType::Json, b"", b"\"end\"");
        })
    };
    let mut reading = Vec::new();
    for _ in 0..24 {
        let query = ["", "stream=raw-1&", "tag=raw:1&", "type=raw.happened&"][dice.pick(4)];
        let from = dice.roll(fixture.store.watermark().get() + 1);
        let mut client = match dice.roll(3) {
            0 => Client::open(&fixture, query).await,
            _ => Client::open(&fixture, &format!("{query}from={from}")).await,
        };
        let start = client.position();
        reading.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            loop {
                let (id, event) = client.event().await;
                let is_end = event["data"] == "end";
                seen.push((id, event));
                if is_end {
                    return (query, start, seen);
                }
            }
        }));
        tokio::time::sleep(Duration::from_micros(dice.roll(5_000))).await;
    }
    enough.store(true, Ordering::Relaxed);
    tokio::task::block_in_place(|| writer.join().unwrap());
    for task in reading {
        let (query, start, seen) = task.await.unwrap();
        assert_eq!(seen, recorded(&fixture, start, query).await, "{query} from {start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_id_goes_on_right_after_it() {
    let fixture = Fixture::new();
    for _ in 0..5 {
        append_many(&fixture.store, "raw-1", 7);
    }
    for last in 0..35 {
        let request = Request::get("/api/v1/events/live?from=3").header("last-event-id", last.to_string());
        let mut client = Client::send(&fixture, request.body(Body::empty()).unwrap()).await;
        assert_eq!(client.position(), last + 1, "it wins over from");
        let expected: Vec<u64> = (last + 1..35).collect();
        assert_eq!(client.positions(expected.len()).await, expected);
    }
    // Everybody is told where to go on before anything has come, and says so when he comes again.
    let request = Request::get("/api/v1/events/live").body(Body::empty()).unwrap();
    let response = fixture.open(request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.headers()["sunday-position"], "35");
    let head = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(head, "retry: 1000\n: at 35\nid: 34\n\n");
    append_many(&fixture.store, "raw-2", 1);
    let request = Request::get("/api/v1/events/live").header("last-event-id", "34");
    let mut client = Client::send(&fixture, request.body(Body::empty()).unwrap()).await;
    assert_eq!(client.positions(1).await, [35]);

    for wrong in ["", "x", "-1", "+1", "18446744073709551616"] {
        let request = Request::get("/api/v1/events/live").header("last-event-id", wrong);
        let refusal = fixture.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(refusal.problem(), (400, "invalid_header".into()), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_narrows_and_all_are_combined() {
    let fixture = Fixture::new();
    let (acme, other) = (World::create(&fixture.store, "acme"), World::create(&fixture.store, "other"));
    let imported = Deed { actor: "importer", on_behalf_of: Some("grace"), occurred_at: None };
    let grace = Deed { actor: "grace", on_behalf_of: None, occurred_at: None };
    let one = acme.item(&fixture.store, "A-1", "i", "x", imported); // 6
    let two = acme.item(&fixture.store, "A-2", "i", "x", grace); // 7
    other.item(&fixture.store, "B-1", "i", "x", grace); // 8
    acme.move_to_done(&fixture.store, one, "i", "k"); // 9
    acme.comment(&fixture.store, two, "c", "hello", grace); // 10
    append_raw(&fixture.store, "raw-1", ContentType::Json, b"no json", b"{}"); // 11
    acme.move_to_done(&fixture.store, two, "i", "k"); // 12
    let cases = [
        ("type=item.moved".to_owned(), vec![9, 12]),
        (format!("stream=item-{one}"), vec![6, 9]),
        (format!("tag=column:{}", acme.done), vec![9, 12]),
        (format!("board={}", acme.board), vec![2, 6, 7, 9, 10, 12]),
        (format!("item={two}"), vec![7, 10, 12]),
        ("person=grace".to_owned(), vec![6, 7, 8, 10]),
        ("person=importer".to_owned(), vec![6]),
        ("person=nobody".to_owned(), vec![]),
        (format!("person=grace&board={}&type=item.created", acme.board), vec![6, 7]),
        (format!("item={two}&board={}", other.board), vec![]),
        (format!("item={two}&tag=column:{}&person=ada", acme.done), vec![12]),
        (format!("stream=item-{one}&item={two}"), vec![]),
    ];
    // Those who look back, and those who have been there before.
    let mut clients = Vec::new();
    for (query, expected) in cases {
        for from in [0, 9] {
            let client = Client::open(&fixture, &format!("{query}&from={from}")).await;
            let expected: Vec<u64> = expected.iter().copied().filter(|at| *at >= from).collect();
            clients.push((query.clone(), client, expected));
        }
    }
    let end = fixture.store.watermark().get();
    for (query, client, expected) in &mut clients {
        assert_eq!(client.positions(expected.len()).await, *expected, "{query}");
    }
    // The same events once more: what matched then comes again, and nothing before it.
    let three = acme.item(&fixture.store, "A-3", "i", "x", grace); // 13
    assert_eq!(end, 13);
    acme.move_to_done(&fixture.store, one, "k", "l"); // 14
    acme.move_to_done(&fixture.store, two, "k", "l"); // 15
    acme.move_to_done(&fixture.store, three, "i", "k"); // 16
    for (query, client, _) in &mut clients {
        let expected: &[u64] = match query.split_once('=').unwrap() {
            ("type" | "tag", _) => &[14, 15, 16],
            ("stream", rest) if !rest.contains('&') => &[14],
            ("board", _) => &[13, 14, 15, 16],
            ("item", rest) if !rest.contains(&other.board.to_string()) => &[15],
            ("person", rest) if rest.starts_with("grace") => &[13],
            _ => &[],
        };
        assert_eq!(client.positions(expected.len()).await, expected, "{query}");
    }
    fixture.service.end_live_streams();
    for (query, client, _) in &mut clients {
        while let Some(message) = client.message().await {
            assert_eq!(message.data, None, "{query}");
        }
    }
    for (query, code) in [
        ("board=x", "invalid_parameter"),
        ("item=", "invalid_parameter"),
        ("from=-1", "invalid_parameter"),
        ("limit=3", "unknown_parameter"),
        ("boards=x", "unknown_parameter"),
    ] {
        assert_eq!(fixture.send(request(query)).await.problem(), (400, code.into()), "{query}");
    }
    let late = fixture.send(request("minPosition=1000&timeoutMs=10")).await;
    assert_eq!(late.problem(), (504, "not_caught_up".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_others_never_comes() {
    let fixture = Fixture::new();
    let (acme, other) = (World::create(&fixture.store, "acme"), World::create(&fixture.store, "other"));
    let as_ann = |query: &str| {
        let mut request = request(query);
        let tenants = Tenants::These([acme.workspace.uuid()].into());
        request.extensions_mut().insert(Principal::new("ann", tenants, Scopes::default()));
        request
    };
    let item = other.item(&fixture.store, "B-1", "i", "x", NOW); // 6
    let mut all = Client::send(&fixture, as_ann("from=0")).await;
    let mut moved = Client::send(&fixture, as_ann("type=item.created")).await;
    let mut foreign = Vec::new();
    for query in [
        format!("from=0&item={item}"),
        format!("from=0&board={}", other.board),
        format!("from=0&stream=item-{item}"),
        format!("from=0&tag=workspace:{}", other.workspace),
        "from=0&stream=sys-things".to_owned(),
    ] {
        foreign.push(Client::send(&fixture, as_ann(&query)).await);
    }
    for number in 0..20 {
        other.item(&fixture.store, &format!("B-{number}"), "i", "x", NOW);
        append_many(&fixture.store, "sys-things", 2);
        acme.item(&fixture.store, &format!("A-{number}"), "i", "x", NOW);
    }
    let own = |number: u64| 7 + 4 * number + 3;
    let expected: Vec<u64> = (0..3).chain((0..20).map(own)).collect();
    assert_eq!(all.positions(expected.len()).await, expected);
    assert_eq!(moved.positions(20).await, expected[3..]);
    fixture.service.end_live_streams();
    for client in &mut foreign {
        while let Some(message) = client.message().await {
            assert_eq!(message.data, None);
        }
    }
    // The system's own events are an auditor's.
    let fixture = Fixture::new();
    append_many(&fixture.store, "sys-things", 1);
    append_many(&fixture.store, "raw-1", 1);
    for (scopes, expected) in
        [(Scopes::default(), vec![1]), ([Scope::Audit].into_iter().collect(), vec![0, 1])]
    {
        let mut request = request("from=0");
        request.extensions_mut().insert(Principal::new("ann", Tenants::All, scopes));
        let mut client = Client::send(&fixture, request).await;
        assert_eq!(client.positions(expected.len()).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_stops_nobody_and_loses_nothing() {
    let fixture = Fixture::new();
    let mut slow = Client::open(&fixture, "from=0").await;
    let mut quick = Client::open(&fixture, "from=0").await;
    let payload = format!("\"{}\"", "x".repeat(10_000));
    let large = format!("\"{}\"", "x".repeat(300_000));
    let count = 400;
    for number in 0..count {
        let payload = if number % 100 == 50 { &large } else { &payload };
        append_raw(&fixture.store, "raw-1", ContentType::Json, b"", payload.as_bytes());
    }
    let all: Vec<u64> = (0..count).collect();
    assert_eq!(quick.positions(400).await, all);
    // Nothing waits for it but the log: it gets one bounded piece after the other, as often as it asks.
    let mut seen = Vec::new();
    while seen.len() < 400 {
        let bytes = slow.frame().await.unwrap();
        let messages: Vec<Message> = slow.text.split_terminator("\n\n").map(parse).collect();
        assert!(bytes <= 64 << 10 || messages.len() == 1, "{bytes} bytes, {} messages", messages.len());
        seen.extend(
            messages.iter().filter(|message| message.data.is_some()).map(|message| message.id.unwrap()),
        );
        slow.text.clear();
    }
    assert_eq!(seen, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_one_line_whatever_was_stored() {
    let fixture = Fixture::new();
    let payload = "{\n  \"a\":\r\n\t\"\\n\u{2028}\"\r}\n";
    append_raw(&fixture.store, "raw-1", ContentType::Json, b"", payload.as_bytes());
    let mut client = Client::open(&fixture, "from=0").await;
    let (_, event) = client.event().await;
    assert_eq!(event, recorded(&fixture, 0, "").await[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_only_those_whom_it_concerns() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-0", "i", "x", NOW);
    let mut idle = Vec::new();
    for number in 0..1_000 {
        let id = Uuid::from_u128(number);
        let query = match number % 3 {
            0 => format!("item={id}"),
            1 => format!("board={id}&type=item.moved"),
            _ => format!("stream=item-{id}"),
        };
        let mut client = Client::open(&fixture, &query).await;
        idle.push(tokio::spawn(async move { client.message().await }));
    }
    let mut client = Client::open(&fixture, &format!("item={item}")).await;
    let figures = fixture.ask("/metrics").await.body;
    assert_eq!(figure(&figures, "sunday_live_subscribers "), 1_001);
    let rounds = 20;
    for number in 0..rounds {
        for foreign in 1..10 {
            world.item(&fixture.store, &format!("A-{number}-{foreign}"), "i", "x", NOW);
        }
        world.move_to_done(&fixture.store, item, "i", "k");
        client.event().await;
    }
    let figures = fixture.ask("/metrics").await.body;
    let wakes = figure(&figures, "sunday_live_wakes_total ");
    assert!(
        (1..=rounds).contains(&wakes),
        "{wakes} wakes of 1,001 subscribers by 200 commits, 20 of them wanted"
    );
    fixture.service.end_live_streams();
    for task in idle {
        assert_eq!(task.await.unwrap().unwrap().data, None);
    }
    drop(client);
    let gone = async {
        while figure(&fixture.ask("/metrics").await.body, "sunday_live_subscribers ") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("who is gone is counted no more");
}
