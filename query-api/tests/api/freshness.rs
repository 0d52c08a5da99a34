//! `minPosition`: served when the source is there, awaited while it comes, refused when it does not come in time.

use crate::fixture::Fixture;
use crate::history::{NOW, World, append_many};
use eventstore::{Position, Store, StoreOptions};
use projector::Projector;
use query_api::QueryService;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_in_time_is_504_everywhere() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "x", NOW);
    for path in [
        format!("items/{item}?"),
        format!("items/{item}/comments?"),
        "items?externalKey=A-1&".to_owned(),
        format!("boards/{}?", world.board),
        format!("boards/{}/view?", world.board),
        "boards?".to_owned(),
        format!("projects/{}?", world.project),
        format!("projects/{}/statistics?", world.project),
        "projects?".to_owned(),
        "workspaces?".to_owned(),
        format!("workspaces/{}?", world.workspace),
        "search?q=x&".to_owned(),
        "events?".to_owned(),
        format!("streams/item-{item}/events?"),
        "projections?".to_owned(),
        format!("activity?itemId={item}&"),
        format!("items/{item}/history?"),
        "users/bob/items?".to_owned(),
        format!("boards/{}/analytics?", world.board),
    ] {
        fixture.get(&format!("/api/v1/{}", path.trim_end_matches(['?', '&']))).await;
        let began = Instant::now();
        let refusal = fixture.ask(&format!("/api/v1/{path}minPosition=1000&timeoutMs=30")).await;
        assert_eq!(refusal.problem(), (504, "not_caught_up".into()), "{path}");
        assert_eq!(
            (&refusal.json()["minPosition"], &refusal.json()["position"]),
            (&1000.into(), &4.into()),
            "{path}"
        );
        assert_eq!(refusal.position(), 4, "{path}");
        assert!(began.elapsed() >= Duration::from_millis(30), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_what_is_still_to_come() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item_id("A-1");
    let path = format!("/api/v1/items/{item}?minPosition=4&timeoutMs=20000");
    // In a thread of its own: an append that blocks this task's thread would swallow the wake-up it waits for.
    let store = fixture.store.clone();
    let writing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        world.item(&store, "A-1", "i", "late", NOW);
    });
    let began = Instant::now();
    let answer = fixture.ask(&path).await;
    writing.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "it was woken, not timed out: {:?}", began.elapsed());
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["title"], "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn projections_tell_how_far_they_are() {
    let fixture = Fixture::projected();
    World::create(&fixture.store, "acme");
    let body = fixture.json("/api/v1/projections").await;
    assert_eq!(body["watermark"], 3);
    let projections = body["projections"].as_array().unwrap();
    assert_eq!((&projections[0]["name"], &projections[1]["name"]), (&"models".into(), &"search".into()));
    for projection in projections {
        assert_eq!((&projection["position"], &projection["lag"]), (&3.into(), &0.into()));
    }
    assert_eq!(projections[1]["documents"], 2, "a project and a board");
    assert_eq!(projections[0]["entities"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_and_counts_what_it_does() {
    let fixture = Fixture::new();
    World::create(&fixture.store, "acme");
    fixture.get("/api/v1/workspaces").await;
    assert_eq!(fixture.ask("/readyz").await.status, 200);
    let figures = fixture.ask("/metrics").await.body;
    assert!(figures.contains("sunday_models_position 3"), "{figures}");
    assert!(fixture.service.readiness().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn models_start_from_the_newest_image_or_are_shared() {
    let dir = tempfile::tempdir().unwrap();
    let store =
        Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() }).unwrap();
    for _ in 0..20 {
        append_many(&store, "raw-1", 2_000);
    }
    let end = Position::new(40_000);
    let projector = Projector::start(dir.path(), store.log()).unwrap();
    assert!(projector.read_models().wait_for(end, Duration::from_secs(30)).await);
    let shared = QueryService::over(dir.path(), store.log(), projector.read_models().clone(), || None);
    assert_eq!(shared.models().checkpoint(), end);
    assert!(shared.readiness().is_ok());
    drop(shared);
    tokio::task::block_in_place(|| projector.stop().unwrap());

    // Taking in that many events again would take far longer than asking for the checkpoint.
    let imaged = QueryService::start(dir.path(), store.log()).unwrap();
    assert_eq!(imaged.models().checkpoint(), end);
}
