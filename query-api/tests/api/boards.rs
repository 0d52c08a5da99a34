//! Boards and their views, projects and their statistics, workspaces.

use crate::fixture::Fixture;
use crate::history::{Deed, NOW, World, append};
use domain::board::{self, FieldKind};
use domain::{BoardId, ColumnId, ProjectId, item};
use serde_json::{Value, json};

fn titles(column: &Value) -> Vec<&str> {
    column["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_has_the_items_in_order_of_rank() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    for (key, rank) in [("third", "m"), ("first", "b"), ("second", "bb"), ("fourth", "x")] {
        world.item(&fixture.store, key, rank, key, NOW);
    }
    let path = format!("/api/v1/boards/{}/view", world.board);
    let view = fixture.json(&path).await;
    assert_eq!(view["columns"].as_array().unwrap().len(), 2);
    assert_eq!(titles(&view["columns"][0]), ["first", "second", "third", "fourth"]);
    assert_eq!(view["columns"][0]["total"], 4);
    assert_eq!((&view["columns"][1]["name"], &view["columns"][1]["wipLimit"]), (&json!("Done"), &json!(9)));

    let answer = fixture.get(&path).await;
    assert!(answer.headers["etag"].to_str().unwrap().starts_with("W/"), "it is composed of many things");
    world.move_to_done(&fixture.store, world.item_id("first"), "b", "i");
    let view = fixture.json(&path).await;
    assert_eq!(titles(&view["columns"][0]), ["second", "third", "fourth"]);
    assert_eq!(titles(&view["columns"][1]), ["first"]);
    world.happens(
        &fixture.store,
        world.item_id("third"),
        item::Deleted { column_id: world.open }.into(),
        NOW,
    );
    let view = fixture.json(&path).await;
    assert_eq!(titles(&view["columns"][0]), ["second", "fourth"]);
    assert_eq!(view["itemCount"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_paged_column_by_column() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    for number in 0..60 {
        world.item(
            &fixture.store,
            &format!("A-{number}"),
            &format!("r{number:02}x"),
            &format!("{number}"),
            NOW,
        );
    }
    let path = format!("/api/v1/boards/{}/view", world.board);
    let view = fixture.json(&path).await;
    assert_eq!((titles(&view["columns"][0]).len(), &view["columns"][0]["next"]), (50, &json!(50)));
    assert_eq!(view["columns"][1]["next"], Value::Null);
    let view = fixture.json(&format!("{path}?column={}&offset=50&limit=7", world.open)).await;
    assert_eq!(view["columns"].as_array().unwrap().len(), 1);
    assert_eq!(titles(&view["columns"][0]), ["50", "51", "52", "53", "54", "55", "56"]);
    assert_eq!((&view["columns"][0]["next"], &view["columns"][0]["total"]), (&json!(57), &json!(60)));
    let view = fixture.json(&format!("{path}?limit=500")).await;
    assert_eq!((titles(&view["columns"][0]).len(), &view["columns"][0]["next"]), (60, &Value::Null));
    let other = ColumnId::derive(world.board, "none");
    assert_eq!(fixture.refused(&format!("{path}?column={other}")).await, (404, "not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_is_told_until_it_is_deleted() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    world.item(&fixture.store, "A-1", "i", "x", NOW);
    let path = format!("/api/v1/boards/{}", world.board);
    let answer = fixture.get(&path).await;
    assert_eq!(answer.version_in_tag(), 0);
    let body = answer.json();
    assert_eq!((&body["name"], &body["projectId"]), (&json!("Main board"), &json!(world.project)));
    assert_eq!(
        body["columns"][0],
        json!({"id": world.open, "name": "Open", "wipLimit": null, "itemCount": 1})
    );
    let list = fixture.json(&format!("/api/v1/boards?projectId={}", world.project)).await;
    assert_eq!((&list["total"], &list["boards"][0]["id"]), (&1.into(), &json!(world.board)));
    let other = World::create(&fixture.store, "other");
    assert_eq!(fixture.json("/api/v1/boards").await["total"], 2);
    let list = fixture.json(&format!("/api/v1/boards?workspaceId={}", other.workspace)).await;
    assert_eq!((&list["total"], &list["boards"][0]["id"]), (&1.into(), &json!(other.board)));

    let define = |kind, options: &[&str]| {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let defined = board::Event::from(board::FieldDefined { name: "priority".to_owned(), kind, options });
        append(&fixture.store, &world.board.stream_id(), &world.scope(None), NOW, vec![defined.into()]);
    };
    define(FieldKind::Choice, &["low", "high"]);
    let body = fixture.json(&path).await;
    assert_eq!(
        (&body["fields"], &body["fieldOptions"]),
        (&json!({"priority": "choice"}), &json!({"priority": ["low", "high"]}))
    );
    define(FieldKind::Text, &[]);
    let body = fixture.json(&path).await;
    assert_eq!((&body["fields"], &body["fieldOptions"]), (&json!({"priority": "text"}), &json!({})));

    let deleted = board::Event::from(board::Deleted {});
    append(&fixture.store, &world.board.stream_id(), &world.scope(None), NOW, vec![deleted.into()]);
    assert_eq!(fixture.refused(&path).await, (410, "gone".into()));
    assert_eq!(fixture.refused(&format!("{path}/view")).await, (410, "gone".into()));
    assert_eq!(fixture.json("/api/v1/boards").await["total"], 1);
    let none = BoardId::derive(world.project, "none");
    assert_eq!(fixture.refused(&format!("/api/v1/boards/{none}/view")).await, (404, "not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_count_people_at_the_business_time() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let path = format!("/api/v1/projects/{}/statistics", world.project);
    let statistics = fixture.json(&path).await;
    assert_eq!(
        statistics,
        json!({"projectId": world.project, "total": 0, "completed": 0, "activeMembers": 0, "lastActivity": null})
    );
    let deed = |person, second: i64| Deed {
        actor: "import",
        on_behalf_of: Some(person),
        occurred_at: Some(second * 1_000_000_000),
    };
    let first = world.item(&fixture.store, "A-1", "b", "x", deed("ada", 100));
    let second = world.item(&fixture.store, "A-2", "c", "x", deed("bob", 300));
    world.happens(&fixture.store, first, item::Completed { resolution: None }.into(), deed("ada", 200));
    world.comment(&fixture.store, second, "c1", "text", deed("grace", 250));
    let statistics = fixture.json(&path).await;
    assert_eq!(
        statistics,
        json!({
            "projectId": world.project, "total": 2, "completed": 1, "activeMembers": 3,
            "lastActivity": "1970-01-01T00:05:00.000000000Z",
        })
    );
    world.happens(&fixture.store, first, item::Deleted { column_id: world.open }.into(), deed("ada", 400));
    let statistics = fixture.json(&path).await;
    assert_eq!((&statistics["total"], &statistics["completed"]), (&1.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_and_workspaces_are_told_and_listed() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "b-team");
    let other = World::create(&fixture.store, "a-team");
    let answer = fixture.get(&format!("/api/v1/projects/{}", world.project)).await;
    assert_eq!(answer.version_in_tag(), 0);
    let body = answer.json();
    assert_eq!((&body["name"], &body["description"]), (&json!("Engine"), &json!("what makes it go")));
    assert_eq!((&body["boards"], &body["archived"]), (&json!([world.board]), &json!(false)));
    assert_eq!(body["statistics"]["total"], 0);
    assert_eq!(fixture.json("/api/v1/projects").await["total"], 2);
    let list = fixture.json(&format!("/api/v1/projects?workspaceId={}", other.workspace)).await;
    assert_eq!((&list["total"], &list["projects"][0]["id"]), (&1.into(), &json!(other.project)));

    let list = fixture.json("/api/v1/workspaces").await;
    let names: Vec<_> = list["workspaces"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
    assert_eq!(names, ["a-team", "b-team"]);
    let body = fixture.json(&format!("/api/v1/workspaces/{}", world.workspace)).await;
    assert_eq!((&body["name"], &body["projects"]), (&json!("b-team"), &json!([world.project])));
    let none = ProjectId::derive(world.workspace, "none");
    for path in
        [format!("projects/{none}"), format!("projects/{none}/statistics"), format!("workspaces/{none}")]
    {
        assert_eq!(fixture.refused(&format!("/api/v1/{path}")).await, (404, "not_found".into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_a_deleted_board_is_gone() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "gasket", NOW);
    let comment = world.comment(&fixture.store, item, "c", "a gasket of rubber", NOW);
    let statistics = format!("/api/v1/projects/{}/statistics", world.project);
    assert_eq!(fixture.json("/api/v1/search?q=gasket").await["total"], 2);
    assert_eq!(fixture.json(&statistics).await["total"], 1);
    let deleted = board::Event::from(board::Deleted {});
    append(&fixture.store, &world.board.stream_id(), &world.scope(None), NOW, vec![deleted.into()]);
    for path in [format!("items/{item}"), format!("items/{item}/comments"), format!("comments/{comment}")] {
        assert_eq!(fixture.refused(&format!("/api/v1/{path}")).await, (410, "gone".into()), "{path}");
    }
    assert_eq!(fixture.json("/api/v1/items?externalKey=A-1").await["total"], 0);
    assert_eq!(fixture.json("/api/v1/search?q=gasket").await["total"], 0);
    assert_eq!(fixture.json(&statistics).await["total"], 0);
}
