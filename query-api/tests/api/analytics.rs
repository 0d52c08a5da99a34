//! How work flows on a board.

use crate::fixture::Fixture;
use crate::history::{Deed, World, append};
use domain::{Rank, board, item};
use serde_json::{Value, json};

/// 2026-02-01T00:00:00Z, seconds.
const FEBRUARY: i64 = 1_769_904_000;
const DAY: i64 = 86_400;

/// So many seconds into a day of February, from 1.
fn on(day: i64, second: i64) -> Deed<'static> {
    let at = FEBRUARY + (day - 1) * DAY + second;
    Deed { actor: "ada", on_behalf_of: None, occurred_at: Some(at * 1_000_000_000) }
}

/// Two items: one created on the 2nd, begun on the 3rd, done on the 5th and reopened on the 6th; one created on the 4th
/// and done on the 5th without having been begun. They are recorded in no order of time.
fn work(fixture: &Fixture) -> World {
    let (store, world) = (&fixture.store, World::create(&fixture.store, "acme"));
    let quick = world.item(store, "quick", "i", "quick", on(4, 0));
    world.happens(store, quick, item::Completed { resolution: None }.into(), on(5, 600));
    let slow = world.item(store, "slow", "i", "slow", on(2, 0));
    let moved = item::Moved {
        from_column: world.open,
        to_column: world.done,
        from_rank: Rank::new("i").unwrap(),
        to_rank: Rank::new("i").unwrap(),
    };
    world.happens(store, slow, moved.into(), on(3, 30));
    world.happens(store, slow, item::Completed { resolution: None }.into(), on(5, 90));
    world.happens(store, slow, item::Reopened {}.into(), on(6, 0));
    world
}

fn row(day: &Value) -> (&str, [u64; 5], Vec<u64>) {
    let count = |name: &str| day[name].as_u64().unwrap();
    let columns = day["columns"].as_array().unwrap();
    (
        day["date"].as_str().unwrap(),
        ["created", "completed", "reopened", "deleted", "workInProgress"].map(count),
        columns.iter().map(|column| column["items"].as_u64().unwrap()).collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn days_sum_up_to_what_there_is() {
    let fixture = Fixture::new();
    let world = work(&fixture);
    let path = format!("/api/v1/boards/{}/analytics", world.board);
    let answer = fixture.json(&format!("{path}?from=2026-02-01&to=2026-02-06")).await;
    assert_eq!(
        (&answer["boardId"], &answer["from"], &answer["to"]),
        (&json!(world.board), &json!("2026-02-01"), &json!("2026-02-06"))
    );
    let days: Vec<_> = answer["days"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(
        days,
        [
            ("2026-02-01", [0, 0, 0, 0, 0], vec![0, 0]),
            ("2026-02-02", [1, 0, 0, 0, 1], vec![1, 0]),
            ("2026-02-03", [0, 0, 0, 0, 1], vec![0, 1]),
            ("2026-02-04", [1, 0, 0, 0, 2], vec![1, 1]),
            ("2026-02-05", [0, 2, 0, 0, 0], vec![1, 1]),
            ("2026-02-06", [0, 0, 1, 0, 1], vec![1, 1]),
        ]
    );
    let columns = &answer["days"][0]["columns"];
    assert_eq!(columns[0], json!({"id": world.open, "name": "Open", "items": 0}));
    assert_eq!(answer["throughput"], json!({"total": 2, "perDay": 2.0 / 6.0}));
    // The slow one was begun with its move, the quick one with its creation.
    let (slow, quick) = (2 * DAY + 60, DAY + 600);
    assert_eq!(
        answer["cycleTime"],
        json!({"count": 2, "p50Seconds": quick, "p85Seconds": slow, "p95Seconds": slow})
    );
    let slow = 3 * DAY + 90;
    assert_eq!(
        answer["leadTime"],
        json!({"count": 2, "p50Seconds": quick, "p85Seconds": slow, "p95Seconds": slow})
    );
    // What came before the first day counts, what came after the last does not.
    let answer = fixture.json(&format!("{path}?from=2026-02-04&to=2026-02-04")).await;
    let days: Vec<_> = answer["days"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(days, [("2026-02-04", [1, 0, 0, 0, 2], vec![1, 1])]);
    assert_eq!(
        answer["cycleTime"],
        json!({"count": 0, "p50Seconds": null, "p85Seconds": null, "p95Seconds": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_column_keeps_its_past() {
    let fixture = Fixture::new();
    let world = work(&fixture);
    let removed = board::ColumnRemoved { column_id: world.open, items_to: world.done };
    let removed = board::Event::from(removed);
    append(&fixture.store, &world.board.stream_id(), &world.scope(None), on(8, 0), vec![removed.into()]);
    // The item that was never moved by anybody is deleted where it stands now.
    let deleted = item::Deleted { column_id: world.open };
    world.happens(&fixture.store, world.item_id("quick"), deleted.into(), on(9, 0));
    let path = format!("/api/v1/boards/{}/analytics?from=2026-02-07&to=2026-02-09", world.board);
    let answer = fixture.json(&path).await;
    let days: Vec<_> = answer["days"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(
        days,
        [
            ("2026-02-07", [0, 0, 0, 0, 1], vec![1, 1]),
            ("2026-02-08", [0, 0, 0, 0, 1], vec![2]),
            ("2026-02-09", [0, 0, 0, 1, 1], vec![1]),
        ]
    );
    // Behind the board's columns of today stands what is not there any more.
    assert_eq!(answer["days"][0]["columns"][1], json!({"id": world.open, "name": "Open", "items": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_asked_for_within_reason() {
    let fixture = Fixture::new();
    let world = work(&fixture);
    let path = format!("/api/v1/boards/{}/analytics", world.board);
    // The board itself was created when it was recorded, which is its newest day.
    let answer = fixture.json(&path).await;
    assert_eq!(answer["days"].as_array().unwrap().len(), 30);
    assert_eq!(
        fixture.json(&format!("{path}?from=2026-01-01&to=2027-01-01")).await["days"]
            .as_array()
            .unwrap()
            .len(),
        366
    );
    for query in
        ["from=2026-01-01&to=2027-01-02", "from=2026-01-02&to=2026-01-01", "from=2026-02-30", "to=yesterday"]
    {
        let refused = fixture.refused(&format!("{path}?{query}")).await;
        assert_eq!(refused, (400, "invalid_parameter".into()), "{query}");
    }
    assert_eq!(fixture.refused(&format!("{path}?days=3")).await, (400, "unknown_parameter".into()));
    let none = domain::BoardId::derive(world.project, "none");
    let refused = fixture.refused(&format!("/api/v1/boards/{none}/analytics")).await;
    assert_eq!(refused, (404, "not_found".into()));
    let deleted = board::Event::from(board::Deleted {});
    append(&fixture.store, &world.board.stream_id(), &world.scope(None), on(9, 0), vec![deleted.into()]);
    assert_eq!(fixture.refused(&path).await, (410, "gone".into()));
}
