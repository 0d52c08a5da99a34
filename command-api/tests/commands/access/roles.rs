//! A role decides what may be done with what is there.

use super::world::*;
use crate::common::Api;
use http_kit::auth::{Principal, Scope, Scopes};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn every_route_needs_its_role() {
    const ROLES: [&str; 4] = ["viewer", "member", "admin", "owner"];
    let api = Api::new();
    let world = World::new(&api).await;
    let people = ROLES.map(|role| person(role, &world.place.workspace));
    for role in ROLES {
        world.member(&api, role, role).await;
    }
    let stranger = person("stranger", &world.place.workspace);
    for (method, template, name, body, needs) in operations() {
        let path = world.path(template);
        let (lower, rest) = people.split_at(ROLES.iter().position(|role| *role == needs).unwrap());
        for who in lower.iter().chain([&stranger]) {
            let answer = api.ask(who, method, &path, &body).await.refused(403, "not_permitted");
            assert_eq!(answer.body["needs"], needs, "{name}");
            let has = if *who == stranger { Value::Null } else { json!(&**who.subject()) };
            assert_eq!(answer.body["has"], has, "{name}");
            for is_atomic in [false, true] {
                let command = command(&path, name, &body);
                let answer = api.ask(who, "POST", "/batch", &batch(is_atomic, &command)).await;
                assert_eq!(first_problem(&answer)["code"], "not_permitted", "{name}: {answer:?}");
            }
        }
        let answer = api.ask(&rest[0], method, &path, &body).await;
        assert_ne!(answer.status, 403, "{name} as {needs}: {answer:?}");
    }
    let archived = api.events(&format!("workspace-{}", world.place.workspace));
    assert_eq!(archived.last().unwrap(), "workspace.archived");
}

#[tokio::test]
async fn creating_needs_a_role_where_it_is_created() {
    let api = Api::new();
    let world = World::new(&api).await;
    let place = &world.place;
    for role in ["viewer", "member"] {
        world.member(&api, role, role).await;
    }
    let [viewer, member] = ["viewer", "member"].map(|role| person(role, &place.workspace));
    for (path, body) in [
        ("/projects", json!({"workspaceId": place.workspace, "name": "p"})),
        ("/boards", json!({"projectId": place.project, "name": "b"})),
        ("/items", json!({"boardId": place.board, "title": "t"})),
        (&world.path("/items/I/comments"), json!({"body": "c"})),
    ] {
        api.ask(&viewer, "POST", path, &body).await.refused(403, "not_permitted");
        api.ask(&member, "POST", path, &body).await.is(201);
    }
}

#[tokio::test]
async fn a_board_with_members_is_theirs_and_its_guests() {
    let api = Api::new();
    let world = World::new(&api).await;
    let workspace = &world.place.workspace;
    world.member(&api, "mia", "member").await;
    let [mia, guest, looker] = ["mia", "guest", "looker"].map(|subject| person(subject, workspace));
    let (item, title) = (world.path("/items/I"), json!({"title": "x"}));
    api.ask(&mia, "PATCH", &item, &title).await.is(200);
    api.ask(&guest, "PATCH", &item, &title).await.refused(403, "not_permitted");
    world.guest(&api, "guest", "member").await;
    world.guest(&api, "looker", "viewer").await;
    // From now on the board is closed to whoever is not on it; the same commands, the other way round.
    api.ask(&guest, "PATCH", &item, &json!({"title": "y"})).await.is(200);
    api.ask(&mia, "PATCH", &item, &title).await.refused(403, "not_permitted");
    api.ask(&looker, "PATCH", &item, &title).await.refused(403, "not_permitted");
    let other = json!({"projectId": world.place.project, "name": "Other"});
    api.ask(&guest, "POST", "/boards", &other).await.refused(403, "not_permitted");
    api.ask(&guest, "DELETE", &world.path("/boards/B"), &Value::Null).await.refused(403, "not_permitted");
    // Without the tenant in the token, being a guest is worth nothing.
    let elsewhere = person("guest", &Uuid::from_u128(5).to_string());
    api.ask(&elsewhere, "PATCH", &item, &title).await.refused(404, "not_found");

    let comments = world.path("/items/I/comments");
    let comment = api.ask(&guest, "POST", &comments, &json!({"body": "mine"})).await.is(201);
    let comment = format!("/comments/{}", comment.id());
    world.guest(&api, "mia", "member").await;
    api.ask(&mia, "PATCH", &comment, &json!({"body": "not mine"})).await.refused(403, "not_permitted");
    api.ask(&guest, "PATCH", &comment, &json!({"body": "mine, again"})).await.is(200);
    let path = world.path("/boards/B/members/mia");
    api.patch(&path, json!({"role": "admin"})).await.is(200);
    api.ask(&mia, "DELETE", &comment, &Value::Null).await.is(200);
    api.ask(&mia, "PATCH", &path, &json!({"role": "owner"})).await.refused(403, "not_permitted");
}

#[tokio::test]
async fn a_change_of_roles_counts_at_once() {
    let api = Api::new();
    let world = World::new(&api).await;
    let mia = person("mia", &world.place.workspace);
    let item = world.path("/items/I");
    let title = |round: usize| json!({"title": format!("{round}")});
    for round in 0..20 {
        api.ask(&mia, "PATCH", &item, &title(round)).await.refused(403, "not_permitted");
        world.member(&api, "mia", "member").await;
        api.ask(&mia, "PATCH", &item, &title(round)).await.is(200);
        let path = format!("{}/members/mia", world.path("/workspaces/W"));
        if round % 2 == 0 {
            api.patch(&path, json!({"role": "viewer"})).await.is(200);
            api.ask(&mia, "PATCH", &item, &title(round)).await.refused(403, "not_permitted");
        }
        api.delete(&path).await.is(200);
    }
    // Also within a batch, where nothing of it is durable yet.
    let boss = person("boss", &world.place.workspace);
    world.member(&api, "boss", "owner").await;
    let member = |command: &str, role: &str| {
        json!({"command": format!("board.{command}"), "id": world.place.board,
               "data": {"member": "boss", "role": role}})
    };
    let update = json!({"command": "item.update", "id": world.item, "data": {"title": "batch"}});
    let path = world.path("/workspaces/W/members/boss");
    api.patch(&path, json!({"role": "admin"})).await.is(200);
    let leave = json!({"command": "workspace.change_member_role", "id": world.place.workspace,
                       "data": {"member": "boss", "role": "viewer"}});
    let commands = [member("add_member", "member"), leave, update, member("change_member_role", "admin")];
    let body = json!({"commands": commands});
    let answer = api.ask(&boss, "POST", "/batch", &body).await.is(200);
    let statuses: Vec<_> = answer.body["results"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
    assert_eq!(statuses, ["applied", "applied", "applied", "rejected"], "{answer:?}");
    assert_eq!(answer.body["results"][3]["problem"]["code"], "not_permitted");
}

#[tokio::test]
async fn the_last_owner_stays_unless_an_operator_says_so() {
    let api = Api::new();
    let id = Uuid::from_u128(1).to_string();
    let ann = person("ann", &id);
    api.ask(&ann, "POST", "/workspaces", &json!({"name": "w"})).await.is(201);
    let path = |member: &str| format!("/workspaces/{id}/members/{member}");
    api.ask(&ann, "DELETE", &path("ann"), &Value::Null).await.refused(422, "last_owner");
    api.ask(&ann, "PATCH", &path("ann"), &json!({"role": "admin"})).await.refused(422, "last_owner");
    let bob = json!({"member": "bob", "role": "owner"});
    api.ask(&ann, "POST", &format!("/workspaces/{id}/members"), &bob).await.is(200);
    let lowered = api.ask(&ann, "PATCH", &path("ann"), &json!({"role": "admin"})).await.is(200);
    assert_eq!(lowered.headers["etag"], "\"3\"");
    let unmake = json!({"role": "member"});
    api.ask(&ann, "PATCH", &path("bob"), &unmake).await.refused(403, "not_permitted");
    api.ask(&ann, "PATCH", &path("ann"), &json!({"role": "owner"})).await.refused(403, "not_permitted");
    let operator = Principal::new("op", tenants(&[&id]), Scopes::all());
    api.ask(&operator, "PATCH", &path("bob"), &unmake).await.is(200);
    let last = api.payloads(&format!("workspace-{id}")).pop().unwrap();
    let expected = json!({"member": "bob", "from": "owner", "to": "member"});
    assert_eq!(last, ("workspace.member_role_changed".to_owned(), expected));
}

#[tokio::test]
async fn roles_are_the_subjects_whomever_it_acts_for() {
    let api = Api::new();
    let world = World::new(&api).await;
    world.member(&api, "mia", "owner").await;
    let scopes = [Scope::ItemsWrite, Scope::Import].into_iter().collect();
    let service = Principal::new("svc", tenants(&[&world.place.workspace]), scopes);
    let command = json!({"command": "item.update", "id": world.item, "onBehalfOf": "mia",
                         "data": {"title": "x"}});
    let answer = api.ask(&service, "POST", "/batch", &batch(false, &command)).await;
    assert_eq!(first_problem(&answer)["code"], "not_permitted", "{answer:?}");
}

#[tokio::test]
async fn what_is_below_something_archived_or_deleted_is_left_alone() {
    let api = Api::new();
    let world = World::new(&api).await;
    let (item, comment) = (world.path("/items/I"), world.path("/comments/C"));
    let below = [
        ("PATCH", item.clone(), json!({"title": "late"})),
        ("POST", format!("{item}/move"), json!({"columnId": world.place.done})),
        ("DELETE", item.clone(), Value::Null),
        ("POST", format!("{item}/comments"), json!({"body": "late"})),
        ("PATCH", comment.clone(), json!({"body": "late"})),
        ("DELETE", comment, Value::Null),
    ];
    let board = ("PATCH", world.path("/boards/B"), json!({"name": "late"}));
    let local = Principal::local();
    api.delete(&world.path("/projects/P")).await.is(200);
    for (method, path, body) in below.iter().chain([&board]) {
        let answer = api.ask(&local, method, path, body).await.refused(422, "archived");
        assert!(answer.body["detail"].as_str().unwrap().contains("project"), "{answer:?}");
    }
    api.post(&world.path("/projects/P/restore"), json!({})).await.is(200);
    api.ask(&local, "PATCH", &item, &json!({"title": "in time"})).await.is(200);
    api.delete(&world.path("/boards/B")).await.is(200);
    for (method, path, body) in &below {
        let answer = api.ask(&local, method, path, body).await.refused(410, "gone");
        assert!(answer.body["detail"].as_str().unwrap().contains("board"), "{answer:?}");
    }
    api.post(&world.path("/workspaces/W/archive"), json!({})).await.is(200);
    for path in ["/projects/P/restore", "/projects/P/archive"] {
        let answer = api.post(&world.path(path), json!({})).await.refused(422, "archived");
        assert!(answer.body["detail"].as_str().unwrap().contains("workspace"), "{answer:?}");
    }
    assert_eq!(api.events(&format!("item-{}", world.item)), ["item.created", "item.updated"]);
}
