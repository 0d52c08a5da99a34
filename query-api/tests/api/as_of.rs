//! Things as they were: every answer that was ever given is given again when its moment is asked for.

mod differences;
mod life;
mod passed_over;
mod refusals;

use crate::fixture::{Answer, Fixture};
use crate::history::{NOW, World, append, append_raw};
use domain::{Change, Changes, DomainEvent, board, item};
use eventstore::{ContentType, Position, RecordedEvent, Store};
use life::Life;
use query_api::rfc3339::Rfc3339;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An answer as it is compared: status, and body or code.
type Said = (u16, String);

fn said(answer: &Answer) -> Said {
    match answer.status.as_u16() {
        200 => (200, answer.body.clone()),
        status => (status, answer.problem().1),
    }
}

/// The number of events, when the answer covers exactly those.
async fn ask_at(fixture: &Fixture, path: &str, as_of: &str, position: u64) -> Said {
    let separator = if path.contains('?') { '&' } else { '?' };
    let end = fixture.store.watermark();
    let answer = fixture.ask(&format!("{path}{separator}asOf={as_of}&minPosition={end}")).await;
    assert_eq!(answer.position(), position, "{path} as of {as_of}: {}", answer.body);
    if answer.status == 200 {
        let tag = answer.headers["etag"].to_str().unwrap();
        assert!(tag.starts_with("W/"), "no version of the past is a condition: {tag}");
    }
    said(&answer)
}

fn change(field: &str, to: Value) -> Changes {
    Changes::from([(field.to_owned(), Change { from: None, to })])
}

/// How many events were recorded at or before the moment at which the event before `position` was, counted one by one; and
/// that moment.
fn recorded_with(store: &Store, position: u64) -> (u64, Rfc3339) {
    let at = |position: u64| {
        let event = store.log().event(Position::new(position)).unwrap();
        event.as_ref().and_then(RecordedEvent::get).map(|event| event.recorded_at())
    };
    let moment = at(position - 1);
    let same = (position..).take_while(|next| at(*next) == moment).count();
    (position + u64::try_from(same).unwrap(), Rfc3339(moment.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_once_is_answered_again() {
    let fixture = Fixture::new();
    let mut life = Life::begin(&fixture.store);
    let paths = life.paths();
    let mut told: BTreeMap<u64, Vec<Said>> = BTreeMap::new();
    for round in 0..100 {
        match round {
            40 => drop(World::create(&fixture.store, "rival").item(&fixture.store, "0", "i", "theirs", NOW)),
            70 => drop(append_raw(&fixture.store, "orders-1", ContentType::Json, b"", b"{}")),
            90 => {
                let world = &life.worlds[1];
                let deleted = board::Event::from(board::Deleted {});
                append(
                    &fixture.store,
                    &world.board.stream_id(),
                    &world.scope(None),
                    NOW,
                    vec![deleted.into()],
                );
            }
            _ => life.goes_on(&fixture.store),
        }
        let position = fixture.store.watermark().get();
        let mut answers = Vec::new();
        for path in &paths {
            let separator = if path.contains('?') { '&' } else { '?' };
            let answer = fixture.ask(&format!("{path}{separator}minPosition={position}")).await;
            assert_eq!(answer.position(), position, "{path}");
            answers.push(said(&answer));
        }
        told.insert(position, answers);
    }
    let mut kinds: BTreeMap<u16, usize> = BTreeMap::new();
    for (position, answers) in &told {
        let (recorded_by, moment) = recorded_with(&fixture.store, *position);
        for (path, then) in paths.iter().zip(answers) {
            let now = ask_at(&fixture, path, &position.to_string(), *position).await;
            assert_eq!(&now, then, "{path} as of {position}");
            *kinds.entry(now.0).or_default() += 1;
            if recorded_by == *position {
                let now = ask_at(&fixture, path, &moment.to_string(), *position).await;
                assert_eq!(&now, then, "{path} as of {moment}");
            }
        }
    }
    assert!(kinds[&200] > 500 && kinds[&404] > 10 && kinds[&410] > 10, "{kinds:?}");
    // A nanosecond before the first event nothing was there; and nothing has happened since, whatever the time.
    let world = &life.worlds[0];
    let project = format!("/api/v1/projects/{}", world.project);
    assert_eq!(ask_at(&fixture, &project, "1970-01-01T00:00:00Z", 0).await, (404, "not_found".into()));
    let end = fixture.store.watermark().get();
    let now = ask_at(&fixture, &project, "9999-12-31T23:59:59%2B01:00", end).await;
    assert_eq!(Some(&now), told[&end].last());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_may_be_within_a_commit() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let retitled = |to: &str| -> DomainEvent {
        item::Event::from(item::Updated { changes: change("title", json!(to)) }).into()
    };
    let events = vec![retitled("Second"), retitled("Third")];
    append(&fixture.store, &item.stream_id(), &world.scope(Some(item)), NOW, events);
    let path = format!("/api/v1/items/{item}");
    for (position, title) in [(4, "First"), (5, "Second"), (6, "Third")] {
        let (status, body) = ask_at(&fixture, &path, &position.to_string(), position).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["title"]), (200, &json!(title)), "{position}");
    }
    assert_eq!(ask_at(&fixture, &path, "3", 3).await, (404, "not_found".into()));
}

/// More than is read of a source at a time.
#[tokio::test(flavor = "multi_thread")]
async fn long_histories_are_read_page_by_page() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let begin = fixture.store.watermark().get();
    for number in 0..600 {
        world.comment(&fixture.store, item, &number.to_string(), "again", NOW);
    }
    for count in [0, 1, 255, 256, 257, 300, 512, 599, 600] {
        let position = begin + count;
        for thing in [format!("items/{item}"), format!("boards/{}/view", world.board)] {
            let (_, body) =
                ask_at(&fixture, &format!("/api/v1/{thing}"), &position.to_string(), position).await;
            assert!(body.contains(&format!("\"commentCount\":{count},")), "{thing} {count}: {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_have_happened_can_be_waited_for() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let next = fixture.store.watermark().get() + 1;
    let item = world.item_id("A-1");
    let path = format!("/api/v1/items/{item}?asOf={next}&minPosition={next}&timeoutMs=30000");
    let asked = fixture.ask(&path);
    let created = async {
        tokio::task::yield_now().await;
        world.item(&fixture.store, "A-1", "i", "First", NOW)
    };
    let (answer, _) = tokio::join!(asked, created);
    assert_eq!((answer.status.as_u16(), answer.position()), (200, next), "{}", answer.body);
}
