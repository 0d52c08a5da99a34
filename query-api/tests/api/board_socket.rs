//! `/boards/{id}/ws`: a board's state and everything after it, once; the others who look at it; and why it closes.

use crate::fixture::{Fixture, router};
use crate::history::{NOW, World, append_many};
use axum::Extension;
use futures_util::{SinkExt, StreamExt};
use http_kit::auth::{Principal, Protection, Scopes, Tenants};
use http_kit::server;
use http_kit::shutdown::Shutdown;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// What has to come comes long before.
const DEADLINE: Duration = Duration::from_secs(60);

/// A served fixture.
struct Served {
    fixture: Fixture,
    world: World,
    addr: SocketAddr,
    shutdown: Shutdown,
}

impl Served {
    /// One that every request comes to from `principal`.
    async fn to(principal: Principal) -> Self {
        let fixture = Fixture::new();
        let world = World::create(&fixture.store, "acme");
        world.item(&fixture.store, "A-1", "i", "first", NOW);
        let shutdown = Shutdown::new();
        let listener = server::bind("127.0.0.1:0".parse().unwrap(), Protection::Development).await.unwrap();
        let addr = listener.local_addr().unwrap();
        fixture.service.end_live_streams_at(shutdown.clone());
        let router = router(fixture.service.clone()).layer(Extension(principal));
        tokio::spawn(server::serve(listener, router, shutdown.clone()));
        Self { fixture, world, addr, shutdown }
    }

    fn path(&self) -> String {
        let position = self.fixture.store.watermark();
        format!("ws://{}/api/v1/boards/{}/ws?minPosition={position}", self.addr, self.world.board)
    }

    async fn open(&self, query: &str) -> Client {
        let (socket, _) = connect_async(format!("{}{query}", self.path())).await.unwrap();
        Client(socket)
    }

    async fn refused(&self, url: &str) -> u16 {
        match connect_async(url).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            other => panic!("{other:?}"),
        }
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("something comes");
        next.expect("it is not over").unwrap()
    }

    /// The next message that is not for the socket itself.
    async fn told(&mut self) -> Value {
        loop {
            match self.next().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The events of the next messages, until there are so many.
    async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            let told = self.told().await;
            assert_eq!(told["type"], "events", "{told}");
            events.extend(told["events"].as_array().unwrap().iter().cloned());
            let last = events.last().unwrap()["position"].as_u64().unwrap();
            assert!(told["position"].as_u64().unwrap() > last);
        }
        events
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The code that it is closed with.
    async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Text(_) | Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_comes_first_and_then_every_change_once() {
    let served = Served::to(Principal::local()).await;
    let Served { fixture, world, .. } = &served;
    let mut client = served.open("").await;
    let state = client.told().await;
    assert_eq!((&state["type"], &state["position"]), (&json!("state"), &json!(4)));
    assert_eq!(state["board"]["columns"][0]["items"][0]["title"], "first");

    let other = World::create(&fixture.store, "other");
    other.item(&fixture.store, "B-1", "i", "elsewhere", NOW);
    append_many(&fixture.store, "raw-1", 5);
    let item = world.item(&fixture.store, "A-2", "j", "second", NOW);
    world.move_to_done(&fixture.store, item, "j", "i");
    world.comment(&fixture.store, item, "c", "well", NOW);
    let events = client.events(3).await;
    assert_eq!(types(&events), ["item.created", "item.moved", "comment.added"]);
    assert_eq!(events[0]["data"]["title"], "second");

    // Whoever was away goes on where he was.
    let from = events[0]["position"].as_u64().unwrap() + 1;
    let mut again = served.open(&format!("&from={from}")).await;
    let state = again.told().await;
    assert_eq!((&state["position"], state.get("board")), (&json!(from), None));
    assert_eq!(again.events(2).await, events[1..]);
    // Both hear of what comes next; the first of the other one, too.
    assert_eq!(client.told().await["type"], "presence");
    assert_eq!(again.told().await["type"], "presence");
    world.item(&fixture.store, "A-3", "k", "third", NOW);
    assert_eq!(client.events(1).await, again.events(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_at_a_board_sees_the_others() {
    let served = Served::to(Principal::local()).await;
    let mut one = served.open("").await;
    let own = one.told().await["session"].clone();
    let mut other = served.open("").await;
    let others = other.told().await["session"].clone();
    let joined = one.told().await;
    let cursor = Value::Null;
    assert_eq!(joined["joined"], json!([{"session": others, "person": "local", "cursor": cursor}]));
    assert_eq!(other.told().await["joined"][0]["session"], own);
    let before = served.fixture.store.watermark();
    one.say(r#"{"type":"cursor","cursor":{"item":"A-1","x":[1,2]}}"#).await;
    let moved = other.told().await;
    assert_eq!(moved["moved"], json!([{"session": own, "cursor": {"item": "A-1", "x": [1, 2]}}]), "{moved}");
    assert_eq!(served.fixture.store.watermark(), before, "none of it is in the log");
    one.say(r#"{"type":"cursor","cursor":null}"#).await;
    assert_eq!(other.told().await["moved"][0]["cursor"], Value::Null);
    drop(one);
    assert_eq!(other.told().await["left"], json!([own]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_read_the_board_is_let_in() {
    let stranger =
        Principal::new("eve", Tenants::These([uuid::Uuid::from_u128(7)].into()), Scopes::default());
    let served = Served::to(stranger).await;
    assert_eq!(served.refused(&served.path()).await, 404);
    let served = Served::to(Principal::local()).await;
    let unknown = served.path().replace(&served.world.board.to_string(), &uuid::Uuid::nil().to_string());
    assert_eq!(served.refused(&unknown).await, 404);
    let path = format!("/api/v1/boards/{}/ws", served.world.board);
    assert_eq!(served.fixture.refused(&path).await, (426, "no_websocket".to_owned()));
    assert_eq!(
        served.fixture.refused(&format!("{path}?from=x")).await,
        (400, "invalid_parameter".to_owned())
    );
    let deleted = domain::board::Event::Deleted(domain::board::Deleted {});
    let scope = served.world.scope(None);
    let stream = served.world.board.stream_id();
    crate::history::append(&served.fixture.store, &stream, &scope, NOW, vec![deleted.into()]);
    assert_eq!(served.refused(&served.path()).await, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_closes_with_a_code_that_says_why() {
    let served = Served::to(Principal::local()).await;
    let long = format!(r#"{{"type":"cursor","cursor":"{}"}}"#, "x".repeat(1_100));
    for nonsense in ["", "hello", r#"{"type":"cursor"}x"#, r#"{"type":"shout","cursor":1}"#, &long] {
        let mut client = served.open("").await;
        client.say(nonsense).await;
        assert_eq!(client.closed().await, 1008, "{nonsense}");
    }
    let mut client = served.open("").await;
    client.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.closed().await, 1008);
    let mut client = served.open("").await;
    for _ in 0..1_000 {
        if client.0.send(Message::text(r#"{"type":"cursor","cursor":1}"#)).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await, 1008, "too many messages");

    let mut client = served.open("").await;
    assert_eq!(client.told().await["type"], "state");
    served.shutdown.trigger();
    assert_eq!(client.closed().await, 1001);

    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let served = Served::to(Principal::local().until(now_s + 1)).await;
    assert_eq!(served.open("").await.closed().await, 4001);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_closed_and_nobody_waits_for_him() {
    let served = Served::to(Principal::local()).await;
    let mut client = served.open("").await;
    let mut reader = served.open("").await;
    assert_eq!(reader.told().await["type"], "state");
    let count = 2_000;
    let writing = {
        let (store, world) = (served.fixture.store.clone(), World { ..served.world });
        let item = world.item_id("A-1");
        // More than the buffers between two sockets take.
        let body = "x".repeat(20_000);
        tokio::task::spawn_blocking(move || {
            for number in 0..count {
                world.comment(&store, item, &number.to_string(), &body, NOW);
            }
        })
    };
    let (mut seen, mut told) = (0, 0);
    while seen < count {
        let message = reader.told().await;
        seen += message["events"].as_array().map_or(0, Vec::len);
        told += 1;
    }
    assert!(told > 10);
    writing.await.unwrap();
    // Long after everything was there he takes what was on the way, and finds the end of it.
    let figure = async || {
        let metrics = served.fixture.ask("/metrics").await.body;
        let line =
            metrics.lines().find(|line| line.starts_with("sunday_live_subscribers ")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while figure().await > 1.5 {
        assert!(tokio::time::Instant::now() < deadline, "he is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut messages = 0;
    while let Ok(Some(Ok(_))) = tokio::time::timeout(DEADLINE, client.0.next()).await {
        messages += 1;
    }
    assert!(messages < told, "he did not get everything");
}
