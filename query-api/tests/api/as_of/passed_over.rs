//! Dead letters: what the models pass over, the past passes over, too.

use super::{ask_at, change, said};
use crate::fixture::Fixture;
use crate::history::{NOW, World};
use domain::system::projections::{
    ControlEvent, DeadLetterAdded, DeadLettersRetried, SCHEMA_VERSION, stream_of,
};
use domain::{ItemId, item};
use eventstore::{CommitBuilder, ContentType, EventType, Metadata, NewEvent, Store, StreamId};
use serde_json::json;
use uuid::Uuid;

/// Appends an event of a projection's stream.
fn control(store: &Store, event: &ControlEvent) {
    let mut commit = CommitBuilder::new();
    commit.event(NewEvent {
        id: Uuid::now_v7(),
        stream: StreamId::new(stream_of("models")).unwrap(),
        event_type: EventType::new(event.event_type()).unwrap(),
        content_type: ContentType::Json,
        schema_version: SCHEMA_VERSION,
        tags: Vec::new(),
        metadata: Metadata::default(),
        payload: event.payload().unwrap(),
    });
    tokio::task::block_in_place(|| store.append(commit.prepare().unwrap()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_models_pass_over_was_not_there_in_the_past_either() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let world = World::create(store, "acme");
    let [one, other] = ["1", "2"].map(|key| world.item(store, key, "i", "as it began", NOW));
    let titled = |id: ItemId, title: &str| {
        let changes = change("title", json!(title));
        world.happens(store, id, item::Updated { changes }.into(), NOW)
    };
    let before = store.watermark();
    let poison = titled(one, "never taken in");
    titled(other, "taken in");
    titled(one, "held back");
    let end = store.watermark();
    let event = store.event(poison.first).unwrap().unwrap();
    let view = event.get().unwrap();
    control(
        store,
        &ControlEvent::DeadLetterAdded(DeadLetterAdded {
            position: poison.first.get(),
            event_id: view.id(),
            stream_id: view.stream().to_owned(),
            version: view.version().get(),
            reason: "an older build could not read it".to_owned(),
        }),
    );
    let title = async |path: &str| fixture.json(path).await["title"].as_str().unwrap().to_owned();
    let became = async |id: ItemId, expected: &str| {
        let path = format!("/api/v1/items/{id}");
        let began = std::time::Instant::now();
        while title(&path).await != expected {
            assert!(began.elapsed().as_secs() < 30, "never {expected}: {}", title(&path).await);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    became(one, "as it began").await;
    became(other, "taken in").await;
    // Wherever the decision stands, it is about the event: the past is what the models would have had then.
    for path in [
        format!("/api/v1/items/{one}"),
        format!("/api/v1/items/{other}"),
        format!("/api/v1/boards/{}/view", world.board),
    ] {
        let today = said(&fixture.get(&path).await);
        assert_eq!(ask_at(&fixture, &path, &end.to_string(), end.get()).await, today, "{path}");
    }
    let path = format!("/api/v1/items/{one}");
    let untouched = ask_at(&fixture, &path, &before.to_string(), before.get()).await;
    assert_eq!(ask_at(&fixture, &path, &end.to_string(), end.get()).await, untouched);
    let diff = fixture.ask(&format!("{path}/diff?from={before}&to={end}")).await.json();
    assert!(
        !diff.to_string().contains("held back") && !diff.to_string().contains("never taken in"),
        "{diff}"
    );

    control(store, &ControlEvent::DeadLettersRetried(DeadLettersRetried { positions: None }));
    became(one, "held back").await;
    let after_poison = poison.next;
    for (at, expected) in [(before, "as it began"), (after_poison, "never taken in"), (end, "held back")] {
        let (_, body) = ask_at(&fixture, &path, &at.to_string(), at.get()).await;
        assert!(body.contains(&format!("\"title\":\"{expected}\"")), "{at}: {body}");
    }
}
