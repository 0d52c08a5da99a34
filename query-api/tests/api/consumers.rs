//! `/consumers`: what a consumer is given, how often, and to whom. What the command API writes is written here by hand.

use crate::fixture::{Answer, Fixture};
use crate::history::{NOW, World, append_many, append_raw};
use crate::tenants::{ask_as, reader};
use axum::body::Body;
use axum::http::Request;
use domain::WorkspaceId;
use domain::system::consumers::{
    self, ACKNOWLEDGED, Acknowledged, Advance, Change, Filter, Happening, Refuse, Settings, State, Which,
    directory_tag,
};
use eventstore::{CommitBuilder, ContentType, EventType, Metadata, NewEvent, Store, StreamId, Tag};
use http_body_util::BodyExt;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// What has to come comes long before.
const DEADLINE: Duration = Duration::from_secs(60);

/// A consumer, as its only writer keeps it.
struct Ledger {
    store: Store,
    state: State,
    decided: u64,
    version: u64,
}

impl Ledger {
    fn create(store: &Store, workspace_id: Option<WorkspaceId>, filter: Filter, in_flight_max: u32) -> Self {
        let settings = Settings { filter, ack_timeout_ms: 1_000, attempts_max: 2, in_flight_max };
        let state = State {
            name: "ledger".parse().unwrap(),
            workspace_id,
            settings,
            cursor: 0,
            generation: 0,
            refused: vec![],
            retried: vec![],
            parked: vec![],
            discarded: vec![],
        };
        let mut ledger = Self { store: store.clone(), state, decided: 0, version: 0 };
        let names = Some(vec![ledger.state.name.clone()]);
        let payload = Change { positions: vec![], names, consumer: Some(ledger.state.clone()) };
        let tag = Some(directory_tag(workspace_id));
        ledger.append(Happening::Created.event_type(), tag, &payload);
        ledger.version = 0;
        ledger
    }

    fn append(&mut self, event_type: &str, tag: Option<String>, payload: &impl serde::Serialize) {
        let mut commit = CommitBuilder::new();
        commit.event(NewEvent {
            id: Uuid::now_v7(),
            stream: StreamId::new(consumers::stream(self.state.workspace_id, &self.state.name)).unwrap(),
            event_type: EventType::new(event_type).unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: tag.map(|tag| Tag::new(tag).unwrap()).into_iter().collect(),
            metadata: Metadata::default(),
            payload: serde_json::to_vec(payload).unwrap(),
        });
        tokio::task::block_in_place(|| self.store.append(commit.prepare().unwrap()).unwrap());
        self.version += 1;
    }

    fn end(&self) -> u64 {
        self.store.watermark().get()
    }

    fn change(&mut self, happening: Happening, next: Option<State>) {
        self.append(
            happening.event_type(),
            None,
            &Change { positions: vec![], names: None, consumer: next.clone() },
        );
        self.decided = self.version;
        self.state = next.unwrap_or_else(|| self.state.clone());
    }

    fn acknowledge(&mut self, position: u64) {
        match self.state.acknowledge(position, self.end()).unwrap() {
            Acknowledged::Before => {}
            Acknowledged::Cursor(cursor) => {
                self.append(ACKNOWLEDGED, None, &Advance { cursor, decided: self.decided });
                self.state.advance(cursor);
            }
            Acknowledged::Settled(next) => self.change(Happening::Settled, Some(*next)),
        }
    }

    fn refuse(&mut self, position: u64, park: bool) {
        let refuse =
            Refuse { position, park, not_before_ms: 0, reason: Some("no".into()), now_ms: 0, attempts: 0 };
        let (happening, next) = self.state.refuse(refuse, self.end()).unwrap().unwrap();
        self.change(happening, Some(next));
    }

    fn retry(&mut self) {
        let (_, next) = self.state.retry(Which::All).unwrap().unwrap();
        self.change(Happening::Retried, Some(next));
    }
}

/// The positions and attempts of an answer.
fn given(answer: &Answer) -> Vec<(u64, u64)> {
    let json = answer.json();
    let events = json["events"].as_array().unwrap_or_else(|| panic!("{json}")).iter();
    events
        .map(|delivery| {
            assert_eq!(delivery["position"], delivery["event"]["position"]);
            (delivery["position"].as_u64().unwrap(), delivery["attempt"].as_u64().unwrap())
        })
        .collect()
}

fn firsts(positions: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    positions.into_iter().map(|position| (position, 1)).collect()
}

async fn poll(fixture: &Fixture, query: &str) -> Answer {
    fixture.ask(&format!("/api/v1/consumers/ledger/events?{query}")).await
}

async fn figure(fixture: &Fixture, name: &str) -> u64 {
    let metrics = fixture.ask("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

/// A reader of a stream of events.
struct Client {
    body: Body,
    text: String,
}

impl Client {
    async fn open(fixture: &Fixture, query: &str) -> Self {
        let path = format!("/api/v1/consumers/ledger/events?{query}");
        let request = Request::get(path).header("accept", "text/event-stream").body(Body::empty()).unwrap();
        let response = fixture.open(request).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        let mut client = Self { body: response.into_body(), text: String::new() };
        assert!(client.block().await.unwrap().starts_with("retry: 1000\n: at "));
        client
    }

    /// What stands before the next empty line; nothing at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.expect("something comes")?;
            self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }

    /// The next message: its event and its data.
    async fn message(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(event), Some(data)) = (field("event: "), field("data: ")) {
                return Some((event.to_owned(), serde_json::from_str(data).unwrap()));
            }
        }
    }

    async fn deliveries(&mut self, count: usize) -> Vec<(u64, u64)> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let (event, data) = self.message().await.unwrap();
            assert_eq!(event, "delivery", "{data}");
            seen.push((data["position"].as_u64().unwrap(), data["attempt"].as_u64().unwrap()));
        }
        seen
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_on_where_the_last_one_ended_and_begin_again_where_nothing_was_acknowledged() {
    let fixture = Fixture::new();
    append_many(&fixture.store, "raw-1", 10); // 0 to 9
    let filter = Filter { category: Some("raw".into()), ..Filter::default() };
    let mut ledger = Ledger::create(&fixture.store, None, filter, 6); // 10
    assert_eq!(given(&poll(&fixture, "limit=4&waitMs=0").await), firsts(0..4));
    assert_eq!(
        given(&poll(&fixture, "limit=4&waitMs=0").await),
        firsts(4..6),
        "no more than six are on their way"
    );
    assert_eq!(given(&poll(&fixture, "waitMs=0").await), []);
    ledger.acknowledge(1);
    assert_eq!(given(&poll(&fixture, "waitMs=10000").await), firsts(6..8));
    // A second passes, and nothing is acknowledged: the first of them comes again, by itself.
    assert_eq!(given(&poll(&fixture, "waitMs=10000").await), [(2, 2)]);
    ledger.acknowledge(2);
    assert_eq!(given(&poll(&fixture, "waitMs=0").await), firsts([3]));
    ledger.acknowledge(7);
    assert_eq!(given(&poll(&fixture, "waitMs=0").await), firsts(8..10), "and then they come as before");
    // The list of its owner, and what it is.
    let one = fixture.json("/api/v1/consumers/ledger").await;
    assert_eq!((&one["cursor"], &one["filter"]["category"]), (&8.into(), &"raw".into()));
    assert_eq!(fixture.json("/api/v1/consumers").await["consumers"][0], one);
    ledger.acknowledge(9);
    ledger.change(Happening::Deleted, None);
    assert_eq!(poll(&fixture, "waitMs=0").await.problem(), (404, "not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_passed_over_and_comes_when_it_is_retried() {
    let fixture = Fixture::new();
    append_many(&fixture.store, "raw-1", 6); // 0 to 5
    let mut ledger = Ledger::create(&fixture.store, None, Filter::default(), 100); // 6
    ledger.refuse(1, true);
    assert_eq!(given(&poll(&fixture, "waitMs=0").await), firsts([0, 2, 3, 4, 5]));
    let parked = fixture.json("/api/v1/consumers/ledger/parked").await;
    assert_eq!((&parked["total"], &parked["parked"][0]["position"]), (&1.into(), &1.into()));
    assert_eq!((&parked["parked"][0]["reason"], &parked["parked"][0]["attempts"]), (&"no".into(), &1.into()));
    // Once refused it comes again with all that is behind it, one by one; the second time it is put aside.
    ledger.refuse(3, false);
    ledger.acknowledge(2);
    assert_eq!(given(&poll(&fixture, "waitMs=10000").await), [(3, 2)]);
    ledger.refuse(3, false);
    assert_eq!(given(&poll(&fixture, "waitMs=10000").await), firsts([4]));
    ledger.acknowledge(5);
    ledger.retry();
    assert_eq!(given(&poll(&fixture, "waitMs=10000").await), firsts([1]));
    append_many(&fixture.store, "raw-1", 1);
    assert_eq!(given(&poll(&fixture, "waitMs=0").await), [], "a retried one comes by itself");
    ledger.acknowledge(1);
    assert_eq!(given(&poll(&fixture, "waitMs=10000").await), firsts([3]));
    let last = ledger.end() - 1;
    ledger.acknowledge(3);
    // None of the system's own events was ever among them.
    assert_eq!(given(&poll(&fixture, "waitMs=10000").await).len(), 1);
    ledger.acknowledge(last);
    assert_eq!(fixture.json("/api/v1/consumers/ledger/parked").await["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_one_reader_and_says_how_it_ends() {
    let fixture = Fixture::new();
    append_many(&fixture.store, "raw-1", 3); // 0 to 2
    let mut ledger = Ledger::create(&fixture.store, None, Filter::default(), 100);
    let mut first = Client::open(&fixture, "").await;
    assert_eq!(first.deliveries(3).await, firsts(0..3));
    ledger.acknowledge(0);
    assert_eq!(poll(&fixture, "waitMs=0").await.problem(), (409, "consumer_busy".into()));
    // Whoever takes over is given again what was not acknowledged, and the other is told.
    let mut second = Client::open(&fixture, "takeover=true").await;
    let (event, data) = first.message().await.unwrap();
    assert_eq!((event.as_str(), &data["reason"]), ("ended", &"taken_over".into()));
    assert_eq!(first.message().await, None);
    assert_eq!(second.deliveries(1).await, [(1, 2)]);
    ledger.acknowledge(1);
    assert_eq!(second.deliveries(1).await, firsts([2]));
    // A reader that went away is nobody, and what it has not acknowledged comes to the next one.
    drop(second);
    let mut third = Client::open(&fixture, "").await;
    assert_eq!(third.deliveries(1).await, [(2, 2)]);
    // It was tried twice, which is as often as may be: it has to be parked.
    let (event, data) = third.message().await.unwrap();
    assert_eq!((event.as_str(), &data["position"], &data["attempts"]), ("exhausted", &2.into(), &2.into()));
    append_many(&fixture.store, "raw-1", 1);
    ledger.refuse(2, true);
    assert_eq!(third.deliveries(1).await, firsts([ledger.end() - 2]));
    ledger.change(Happening::Reset, Some(ledger.state.reset(0, 3).unwrap()));
    assert_eq!(third.deliveries(3).await, firsts(0..3));
    fixture.service.end_live_streams();
    while let Some((event, data)) = third.message().await {
        assert!(event == "delivery" || data["reason"] == "stopping", "{event} {data}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_woken_by_an_acknowledgement_who_does_not_wait_for_one() {
    let fixture = Fixture::new();
    append_many(&fixture.store, "raw-1", 50); // 0 to 49
    let mut ledger = Ledger::create(&fixture.store, None, Filter::default(), 100);
    let mut client = Client::open(&fixture, "").await;
    assert_eq!(client.deliveries(50).await, firsts(0..50));
    let before = figure(&fixture, "sunday_live_wakes_total ").await;
    for position in 0..50 {
        ledger.acknowledge(position);
    }
    append_many(&fixture.store, "raw-1", 1);
    assert_eq!(client.deliveries(1).await, firsts([ledger.end() - 1]));
    // The hub looks at commits in their order: it has seen all of the acknowledgements by now.
    assert_eq!(figure(&fixture, "sunday_live_wakes_total ").await - before, 1, "by the event alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_sees_its_tenant_only_and_only_its_tenant_sees_it() {
    let fixture = Fixture::new();
    let [acme, rival] = ["acme", "rival"].map(|name| World::create(&fixture.store, name));
    let item = acme.item(&fixture.store, "A-1", "i", "x", NOW);
    rival.item(&fixture.store, "B-1", "i", "x", NOW);
    append_raw(&fixture.store, "raw-1", ContentType::Json, b"", b"{}");
    Ledger::create(&fixture.store, Some(acme.workspace), Filter::default(), 100);
    let scopes: Scopes = [Scope::ConsumersWrite].into_iter().collect();
    let as_of = |workspaces: &[WorkspaceId]| {
        let tenants: Vec<Uuid> = workspaces.iter().map(|workspace| workspace.uuid()).collect();
        Principal::new("service", Tenants::These(tenants.into()), scopes)
    };
    let ours = as_of(&[acme.workspace]);
    let answer = ask_as(&fixture, &ours, "/consumers/ledger/events?waitMs=0").await;
    assert_eq!(given(&answer), firsts([0, 1, 2, 6]), "{item}");
    assert!(!answer.body.contains(&rival.workspace.to_string()));
    let by_name = format!("workspaceId={}", acme.workspace);
    for (who, query) in [
        (as_of(&[rival.workspace]), String::new()),
        (as_of(&[rival.workspace]), by_name.clone()),
        (Principal::new("everything", Tenants::All, scopes), String::new()),
        (as_of(&[]), String::new()),
    ] {
        for path in ["/consumers/ledger", "/consumers/ledger/parked", "/consumers/ledger/events"] {
            let (foreign, unknown) =
                (format!("{path}?{query}"), path.replace("ledger", "nobody") + "?" + &query);
            let answer = ask_as(&fixture, &who, &foreign).await;
            assert_eq!(answer.problem(), (404, "not_found".into()), "{foreign}");
            assert_eq!(answer.body, ask_as(&fixture, &who, &unknown).await.body, "{foreign}");
        }
        let listed = ask_as(&fixture, &who, &format!("/consumers?{query}")).await.json();
        assert_eq!(listed["consumers"].as_array().unwrap().len(), 0, "{who:?}");
    }
    let both = as_of(&[acme.workspace, rival.workspace]);
    assert_eq!(
        ask_as(&fixture, &both, "/consumers/ledger").await.problem(),
        (400, "invalid_parameter".into())
    );
    let path = format!("/consumers/ledger/events?waitMs=0&takeover=true&{by_name}");
    assert_eq!(given(&ask_as(&fixture, &both, &path).await), [(0, 2)]);
    // Whoever may only read sees where it is, and takes nothing from it.
    let may_read = reader(&[acme.workspace]);
    assert_eq!(ask_as(&fixture, &may_read, "/consumers/ledger").await.status, 200);
    let refused = ask_as(&fixture, &may_read, "/consumers/ledger/events?waitMs=0").await;
    assert_eq!(refused.problem(), (403, "insufficient_scope".into()));
    for (query, code) in [
        ("waitMs=30001", "invalid_parameter"),
        ("limit=0", "invalid_parameter"),
        ("takeover=yes", "invalid_parameter"),
        ("workspaceId=x", "invalid_parameter"),
        ("from=3", "unknown_parameter"),
    ] {
        assert_eq!(poll(&fixture, query).await.problem(), (400, code.into()), "{query}");
    }
    let strange = fixture.ask("/api/v1/consumers/a%2Fb/events").await;
    assert_eq!(strange.problem(), (400, "invalid_parameter".into()));
}
