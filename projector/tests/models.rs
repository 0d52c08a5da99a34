//! Given events, expect models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use eventstore::{Position, Timestamp, Version};
use projector::models::FieldValue;
use projector::{SharedModels, texts};
use serde_json::json;
use support::*;

fn titles(models: &projector::Models, name: &str) -> Vec<String> {
    models.column_items(board(), column(name)).unwrap().map(|item| item.title.to_string()).collect()
}

#[test]
fn an_item_is_what_its_events_say() {
    let world = World::with_board();
    let stream = item("A-1").stream_id();
    let mut payload = created("A-1", "Engine", "5a", "Open");
    let long = "x".repeat(400);
    payload["description"] = json!("It burns.");
    payload["assignees"] = json!(["ann"]);
    payload["fields"] = json!({"priority": "high", "log": long, "parts": ["a", "b"]});
    let created_at = world.append_as("ann", Some(SECOND), &stream, "item.created", payload);
    world.append(&stream, "item.assigned", json!({"assignees": ["bob", "ann"]}));
    world.append(&stream, "item.unassigned", json!({"assignees": ["ann"]}));
    let changes = json!({"title": {"from": "Engine", "to": "Motor"}, "priority": {"from": "high", "to": null},
        "description": {"to": "It hums."}, "zone": {"to": 7}});
    let updated = world.append(&stream, "item.updated", json!({"changes": changes}));
    world.append_as("bob", Some(9 * SECOND), &stream, "item.completed", json!({"resolution": "fixed"}));
    let models = world.models();
    let log = world.log();
    let found = models.item(item("A-1")).unwrap();

    assert_eq!(found.title.as_str(), "Motor");
    assert_eq!(found.external_key.as_deref(), Some("A-1"));
    assert_eq!(found.version, Version::new(4));
    assert_eq!(found.created_at, Timestamp::new(SECOND));
    assert_eq!(found.assignees.iter().map(projector::models::Name::as_str).collect::<Vec<_>>(), ["bob"]);
    let completion = found.completion.as_ref().unwrap();
    assert_eq!(
        (completion.at, completion.resolution.as_deref()),
        (Timestamp::new(9 * SECOND), Some("fixed"))
    );
    assert_eq!(found.field("priority"), None);
    assert_eq!(found.field("zone"), Some(&FieldValue::Json(projector::models::Name::new("7"))));
    assert_eq!(found.field("parts"), Some(&FieldValue::Json(projector::models::Name::new(r#"["a","b"]"#))));
    let Some(FieldValue::At(at)) = found.field("log") else { panic!("a long value is a reference") };
    assert_eq!(at.plus(1), created_at);
    assert_eq!(texts::field_value(&log, *at, "log").unwrap(), Some(json!(long)));
    assert_eq!(found.description_at.unwrap().plus(1), updated);
    assert_eq!(texts::description(&log, found.description_at.unwrap()).unwrap().as_deref(), Some("It hums."));
    assert_eq!(models.items_by_external_key("A-1", Some(workspace())).count(), 1);
    assert_eq!(models.items_by_external_key("A-1", Some(domain::WorkspaceId::derive("other"))).count(), 0);
    assert_eq!(models.items_by_external_key("a-1", None).count(), 0);
}

#[test]
fn members_are_who_events_say_in_their_last_role() {
    let world = World::with_board();
    let stream = workspace().stream_id();
    world.append(&stream, "workspace.member_added", json!({"member": "ann", "role": "owner"}));
    world.append(&stream, "workspace.member_added", json!({"member": "bob", "role": "viewer"}));
    let changed = json!({"member": "bob", "from": "viewer", "to": "admin"});
    world.append(&stream, "workspace.member_role_changed", changed);
    world.append(&stream, "workspace.member_added", json!({"member": "eve", "role": "member"}));
    world.append(&stream, "workspace.member_removed", json!({"member": "eve"}));
    let models = world.models();
    let members = models.workspace(workspace()).unwrap().members.iter();
    let members: Vec<_> = members.map(|(member, role)| (member.as_str(), *role)).collect();
    assert_eq!(members, [("ann", domain::Role::Owner), ("bob", domain::Role::Admin)]);
}

#[test]
fn columns_are_ordered_by_rank_then_id() {
    let world = World::with_board();
    for (key, rank) in [("1", "5"), ("2", "3"), ("3", "4"), ("4", "4")] {
        world.create_item(key, key, rank);
    }
    let move_to = |key: &str, name: &str, rank: &str| {
        let payload =
            json!({"fromColumn": column("Open"), "toColumn": column(name), "fromRank": "x", "toRank": rank});
        world.append(&item(key).stream_id(), "item.moved", payload);
    };
    let mut twins = ["3", "4"];
    twins.sort_by_key(|key| item(key));
    assert_eq!(titles(&world.models(), "Open"), ["2", twins[0], twins[1], "5".replace('5', "1").as_str()]);
    move_to("3", "Doing", "9");
    move_to("1", "Doing", "1");
    move_to("4", "Doing", "5");
    world.append(&item("1").stream_id(), "item.ranked", json!({"fromRank": "1", "toRank": "7"}));
    let models = world.models();
    assert_eq!(titles(&models, "Open"), ["2"]);
    assert_eq!(titles(&models, "Doing"), ["4", "1", "3"]);
    assert_eq!(models.item(item("1")).unwrap().column_id, column("Doing"));
    assert_eq!(models.board(board()).unwrap().item_count(), 4);
}

#[test]
fn a_removed_columns_items_are_in_the_column_that_took_them_over() {
    let world = World::with_board();
    world.create_item("1", "one", "1");
    world.create_item("2", "two", "2");
    let remove = |name: &str, to: &str| {
        let payload = json!({"columnId": column(name), "itemsTo": column(to)});
        world.append(&board().stream_id(), "board.column_removed", payload);
    };
    remove("Open", "Doing");
    remove("Doing", "Done");
    // A placement that was decided before the removal.
    let late = created("3", "three", "0a", "Open");
    world.append(&item("3").stream_id(), "item.created", late);
    let models = world.models();
    assert_eq!(titles(&models, "Done"), ["three", "one", "two"]);
    assert_eq!(models.item(item("1")).unwrap().column_id, column("Done"));
    assert_eq!(models.item(item("3")).unwrap().column_id, column("Done"));
    assert!(models.column_items(board(), column("Open")).is_none());
}

#[test]
fn comments_count_until_they_are_deleted() {
    let world = World::with_board();
    world.create_item("1", "one", "1");
    let first = world.comment("1", "a", "hello");
    world.comment("1", "b", "bye");
    let stream = comment("1", "a").stream_id();
    let edited = world.append(&stream, "comment.edited", json!({"itemId": item("1"), "body": "hello again"}));
    let models = world.models();
    let found = models.comment(comment("1", "a")).unwrap();
    assert_ne!(found.body_at.plus(1), first);
    assert_eq!(found.body_at.plus(1), edited);
    assert_eq!(found.author.as_deref(), Some("ann"));
    assert_eq!(texts::body(&world.log(), found.body_at).unwrap().as_deref(), Some("hello again"));
    assert_eq!(models.item(item("1")).unwrap().comments, [comment("1", "a"), comment("1", "b")]);
    // Comments are not the item's own events.
    assert_eq!(models.item(item("1")).unwrap().version, Version::ZERO);
    world.append(&stream, "comment.deleted", json!({"itemId": item("1")}));
    let models = world.models();
    assert_eq!(models.item(item("1")).unwrap().comment_count(), 1);
    assert!(models.comment(comment("1", "a")).unwrap().deleted);
}

#[test]
fn statistics_count_work_and_those_who_did_it() {
    let world = World::with_board();
    world.create_item("1", "one", "1");
    world.create_item("2", "two", "2");
    let act = |person: &str, at: i64, key: &str, event_type: &str, payload| {
        world.append_as(person, Some(at * SECOND), &item(key).stream_id(), event_type, payload);
    };
    act("bob", 5, "1", "item.completed", json!({}));
    act("bob", 6, "1", "item.completed", json!({}));
    act("cleo", 4, "2", "item.completed", json!({}));
    act("cleo", 4, "2", "item.reopened", json!({}));
    let models = world.models();
    let statistics = &models.project(project()).unwrap().statistics;
    assert_eq!((statistics.total, statistics.completed), (2, 1));
    let mut people: Vec<_> = statistics.active_members.iter().map(projector::models::Name::as_str).collect();
    people.sort_unstable();
    assert_eq!(people, ["ann", "bob", "cleo"]);
    // Ann's creations carry no time of their own: they count when they were recorded, which is now.
    assert!(statistics.last_activity.unwrap() > Timestamp::new(1_700_000_000 * SECOND));
    act("dan", 7, "1", "item.deleted", json!({"columnId": column("Open")}));
    let models = world.models();
    let statistics = &models.project(project()).unwrap().statistics;
    assert_eq!((statistics.total, statistics.completed), (1, 0));
    let gone = models.item(item("1")).unwrap();
    assert!(gone.deleted && gone.title.is_empty());
    assert_eq!(models.items_by_external_key("1", None).next().unwrap().id, item("1"));
    assert_eq!(titles(&models, "Open"), ["two"]);
}

#[test]
fn lists_are_by_name_and_leave_deleted_boards_out() {
    let world = World::with_board();
    let other = domain::BoardId::derive(project(), "other");
    let payload = json!({"workspaceId": workspace(), "projectId": project(), "name": "Alpha"});
    world.append(&other.stream_id(), "board.created", payload);
    let models = world.models();
    let names: Vec<_> = models.boards(Some(project())).iter().map(|board| board.name.to_string()).collect();
    assert_eq!(names, ["Alpha", "Main"]);
    assert_eq!(models.projects(Some(workspace())).len(), 1);
    assert_eq!(models.workspaces()[0].projects, [project()]);
    world.append(&other.stream_id(), "board.deleted", json!({}));
    let models = world.models();
    assert_eq!(models.boards(None).len(), 1);
    assert!(models.board(other).unwrap().deleted);
}

#[test]
fn what_is_not_known_is_counted_and_passed_over() {
    let world = World::with_board();
    world.create_item("1", "one", "1");
    let stream = item("1").stream_id();
    world.append(&stream, "item.exploded", json!({}));
    world.append(&stream, "item.moved", json!({"nonsense": true}));
    world.append("sys-retention", "sys.ran", json!({}));
    world.append("item-not-a-uuid", "item.created", created("x", "x", "1", "Open"));
    // Of an item that was never created.
    world.append(&item("9").stream_id(), "item.completed", json!({}));
    let models = world.models();
    let counts = models.counts();
    assert_eq!((counts.events, counts.unknown, counts.unreadable), (9, 2, 1));
    // The version is the stream's, whatever stands in it.
    assert_eq!(models.item(item("1")).unwrap().version, Version::new(2));
    assert!(models.item(item("9")).is_none());
}

#[test]
fn followed_models_equal_replayed_ones_and_miss_nothing_between_catch_up_and_live() {
    let mut random = Random::from_environment();
    let world = World::with_board();
    random_history(&world, &mut random, 300);
    let shared = SharedModels::new(projector::Models::new(world.log().store_id()));
    // As another process would: through the writer's control page.
    let log = eventstore::Log::open(world.data_dir()).unwrap();
    let following = shared.follow(log).unwrap();
    random_history(&world, &mut random, 300);
    assert!(wait(&shared, world.log().watermark()), "{:?}", following.failure());
    let (lineage, digest) = shared.digest();
    assert_eq!(lineage.next, world.log().watermark());
    assert_eq!(digest, world.models().digest());
    assert!(!wait_briefly(&shared, lineage.next.plus(1)));
}

fn wait_briefly(models: &SharedModels, position: Position) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(models.wait_for(position, std::time::Duration::from_millis(20)))
}

#[test]
fn a_digest_tells_models_apart_and_is_kept_as_they_change() {
    let world = World::with_board();
    world.create_item("1", "one", "1");
    let log = world.log();
    let mut kept = projector::Models::new(log.store_id());
    let mut digests = std::collections::HashSet::new();
    let mut commits = log.commits(Position::ZERO);
    for step in 0..3 {
        for commit in commits.by_ref() {
            kept.apply(&projector::decode::DecodedCommit::decode(&commit.unwrap())).unwrap();
            assert!(digests.insert(kept.digest()), "every one of these events changes the digest");
        }
        assert_eq!(kept.digest(), world.models().digest());
        let changes = json!({"changes": {"title": {"to": format!("title {step}")}}});
        world.append(&item("1").stream_id(), "item.updated", changes);
    }
}

#[test]
fn a_gap_is_refused() {
    let world = World::with_board();
    let log = world.log();
    let second = log.commits(Position::new(1)).next().unwrap().unwrap();
    let mut models = projector::Models::new(log.store_id());
    let error = models.apply(&projector::decode::DecodedCommit::decode(&second)).unwrap_err();
    assert_eq!(error.to_string(), "expected position 0, was given 1");
}

#[test]
fn the_items_of_a_deleted_board_are_gone_and_counted_no_more() {
    let world = World::with_board();
    for key in ["1", "2", "3"] {
        world.create_item(key, key, key);
    }
    let complete = |key: &str| world.append(&item(key).stream_id(), "item.completed", json!({}));
    let delete = |key: &str| {
        world.append(&item(key).stream_id(), "item.deleted", json!({"columnId": column("Open")}));
    };
    complete("1");
    delete("3");
    let counts = |models: &projector::Models| {
        let statistics = &models.project(project()).unwrap().statistics;
        (statistics.total, statistics.completed)
    };
    // Models that digest as they go, beside one that replays everything at the end.
    let shared = SharedModels::new(projector::Models::new(world.log().store_id()));
    let _following = shared.follow(world.log()).unwrap();
    assert!(wait(&shared, world.log().watermark()));
    assert_eq!(counts(&shared.read()), (2, 1));
    assert_eq!(shared.digest().1, world.models().digest());

    world.append(&board().stream_id(), "board.deleted", json!({}));
    assert!(wait(&shared, world.log().watermark()));
    assert_eq!(counts(&shared.read()), (0, 0));
    assert_eq!(shared.digest().1, world.models().digest());

    // A log may have more of them: it changes nothing that counts.
    world.append(&board().stream_id(), "board.deleted", json!({}));
    complete("2");
    world.append(&item("1").stream_id(), "item.reopened", json!({}));
    delete("1");
    world.create_item("4", "four", "4");
    complete("4");
    assert!(wait(&shared, world.log().watermark()));
    let models = world.models();
    assert_eq!(counts(&models), (0, 0));
    assert!(["1", "2", "3", "4"].iter().all(|key| models.is_gone(models.item(item(key)).unwrap())));
    assert_eq!(shared.digest().1, world.models().digest());
}
