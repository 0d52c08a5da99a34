//! Who may do what: scopes, tenants and roles, for every route, for batches and atomic batches alike.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::body::Body;
use axum::http::Request;
use common::{Answer, Api, Place};
use http_body_util::BodyExt;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// Every route about something that exists: method, path (`W`, `P`, `B`, `I`, `C` stand for ids), name in a batch,
/// body, and the lowest role that may.
fn operations() -> Vec<(&'static str, &'static str, &'static str, Value, &'static str)> {
    let column = "00000000-0000-4000-8000-000000000001";
    vec![
        ("PATCH", "/workspaces/W", "workspace.rename", json!({"name": "x"}), "admin"),
        ("POST", "/workspaces/W/members", "workspace.add_member", json!({"member": "new"}), "admin"),
        (
            "PATCH",
            "/workspaces/W/members/nobody",
            "workspace.change_member_role",
            json!({"role": "viewer"}),
            "admin",
        ),
        ("DELETE", "/workspaces/W/members/nobody", "workspace.remove_member", Value::Null, "admin"),
        ("PATCH", "/projects/P", "project.update", json!({"name": "x"}), "member"),
        ("POST", "/projects/P/restore", "project.restore", Value::Null, "admin"),
        ("PATCH", "/boards/B", "board.update", json!({"name": "x"}), "member"),
        ("POST", "/boards/B/columns", "board.add_column", json!({"name": "x"}), "member"),
        (
            "PATCH",
            "/boards/B/columns/00000000-0000-4000-8000-000000000001",
            "board.change_column",
            json!({"name": "x"}),
            "member",
        ),
        (
            "POST",
            "/boards/B/columns/00000000-0000-4000-8000-000000000001/move",
            "board.move_column",
            json!({"index": 0}),
            "member",
        ),
        (
            "DELETE",
            "/boards/B/columns/00000000-0000-4000-8000-000000000001",
            "board.remove_column",
            json!({"itemsTo": column}),
            "member",
        ),
        ("PATCH", "/boards/B/members/nobody", "board.change_member_role", json!({"role": "viewer"}), "admin"),
        ("DELETE", "/boards/B/members/nobody", "board.remove_member", Value::Null, "admin"),
        ("POST", "/boards/B/fields", "board.define_field", json!({"name": "f", "kind": "text"}), "member"),
        ("DELETE", "/boards/B/fields/f", "board.remove_field", Value::Null, "member"),
        ("PATCH", "/items/I", "item.update", json!({"title": "x"}), "member"),
        ("POST", "/items/I/move", "item.move", json!({"columnId": column}), "member"),
        ("POST", "/items/I/rank", "item.rank", json!({"rank": "i"}), "member"),
        ("POST", "/items/I/assign", "item.assign", json!({"assignees": ["x"]}), "member"),
        ("POST", "/items/I/unassign", "item.unassign", json!({"assignees": ["x"]}), "member"),
        ("POST", "/items/I/complete", "item.complete", json!({}), "member"),
        ("POST", "/items/I/reopen", "item.reopen", Value::Null, "member"),
        ("POST", "/items/I/links", "item.link", json!({"kind": "k", "itemId": column}), "member"),
        ("POST", "/items/I/unlink", "item.unlink", json!({"kind": "k", "itemId": column}), "member"),
        ("POST", "/items/I/attachments", "item.add_attachment", json!({"name": "f"}), "member"),
        (
            "DELETE",
            "/items/I/attachments/00000000-0000-4000-8000-000000000001",
            "item.remove_attachment",
            Value::Null,
            "member",
        ),
        ("POST", "/items/I/comments", "comment.add", json!({"body": "x"}), "member"),
        // What "local" has written is nobody's own here.
        ("PATCH", "/comments/C", "comment.edit", json!({"body": "y"}), "admin"),
        ("DELETE", "/comments/C", "comment.delete", Value::Null, "admin"),
        ("DELETE", "/items/I", "item.delete", Value::Null, "member"),
        ("DELETE", "/boards/B", "board.delete", Value::Null, "admin"),
        // Behind its deletion, because the first member of a board closes it to the others.
        ("POST", "/boards/B/members", "board.add_member", json!({"member": "new"}), "admin"),
        ("POST", "/projects/P/archive", "project.archive", Value::Null, "admin"),
        ("DELETE", "/projects/P", "project.archive", Value::Null, "admin"),
        ("POST", "/workspaces/W/archive", "workspace.archive", Value::Null, "owner"),
    ]
}

/// What stands in the path elsewhere stands in the data of a batch's command.
fn command(path: &str, name: &str, body: &Value) -> Value {
    let mut data = body.as_object().cloned().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    if let ["", _, id, part, rest @ ..] = &parts[..] {
        match (*part, rest) {
            ("members", [member]) => data.insert("member".into(), json!(member)),
            ("columns", [column, ..]) => data.insert("columnId".into(), json!(column)),
            ("fields", [field]) => data.insert("name".into(), json!(field)),
            ("attachments", [attachment]) => data.insert("attachmentId".into(), json!(attachment)),
            ("comments", []) => data.insert("itemId".into(), json!(id)),
            _ => None,
        };
    }
    let mut command = json!({"command": name, "data": data});
    if name != "comment.add" {
        command["id"] = json!(parts[2]);
    }
    command
}

fn scope(name: &str) -> Scope {
    match name.split('.').next().unwrap() {
        "workspace" => Scope::WorkspacesWrite,
        "project" => Scope::ProjectsWrite,
        "board" => Scope::BoardsWrite,
        "item" => Scope::ItemsWrite,
        _ => Scope::CommentsWrite,
    }
}

fn tenants(ids: &[&str]) -> Tenants {
    Tenants::These(ids.iter().map(|id| id.parse().unwrap()).collect())
}

/// Everything but the scopes that go beyond one's role.
fn plain() -> Scopes {
    Scope::ALL.into_iter().filter(|scope| !matches!(scope, Scope::Admin | Scope::Import)).collect()
}

/// Somebody of one tenant, with a member's token.
fn person(subject: &str, workspace: &str) -> Principal {
    Principal::new(subject, tenants(&[workspace]), plain())
}

/// An answer to the last byte, without what is different every time.
#[derive(Debug, PartialEq)]
struct Raw {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

trait Ask {
    async fn raw(
        &self,
        who: &Principal,
        method: &str,
        path: &str,
        with: &[(&str, &str)],
        body: &Value,
    ) -> Raw;
    async fn ask(&self, who: &Principal, method: &str, path: &str, body: &Value) -> Answer;
}

impl Ask for Api {
    async fn raw(
        &self,
        who: &Principal,
        method: &str,
        path: &str,
        with: &[(&str, &str)],
        body: &Value,
    ) -> Raw {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        for (name, value) in with {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        let response =
            self.router.clone().oneshot(request.extension(who.clone()).body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let mut headers: Vec<_> = parts
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date" | "traceparent"))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        let body = body.collect().await.unwrap().to_bytes();
        Raw { status: parts.status.as_u16(), headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn ask(&self, who: &Principal, method: &str, path: &str, body: &Value) -> Answer {
        let raw = self.raw(who, method, path, &[], body).await;
        let headers = raw
            .headers
            .iter()
            .map(|(name, value)| (name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap()));
        let body = serde_json::from_str(&raw.body).unwrap_or(Value::Null);
        Answer { status: raw.status, headers: headers.collect(), body }
    }
}

/// A place with an item and a comment, all made by "local".
struct World {
    place: Place,
    item: String,
    comment: String,
}

impl World {
    async fn new(api: &Api) -> Self {
        let place = api.board().await;
        let item = api.item(&place).await;
        let comment = api.post(&format!("/items/{item}/comments"), json!({"body": "c"})).await.is(201);
        Self { place, item, comment: comment.id().to_owned() }
    }

    /// Makes somebody a member of the workspace.
    async fn member(&self, api: &Api, member: &str, role: &str) {
        let path = format!("/workspaces/{}/members", self.place.workspace);
        api.post(&path, json!({"member": member, "role": role})).await.is(200);
    }

    async fn guest(&self, api: &Api, member: &str, role: &str) {
        let path = format!("/boards/{}/members", self.place.board);
        api.post(&path, json!({"member": member, "role": role})).await.is(200);
    }

    fn path(&self, template: &str) -> String {
        let (place, mut parts) = (&self.place, template.split('/').collect::<Vec<_>>());
        parts[2] = match parts[2] {
            "W" => &place.workspace,
            "P" => &place.project,
            "B" => &place.board,
            "I" => &self.item,
            _ => &self.comment,
        };
        parts.join("/")
    }
}

/// The same path about something that does not exist.
fn nowhere(template: &str) -> String {
    let mut parts: Vec<&str> = template.split('/').collect();
    let id = Uuid::from_u128(0xdead).to_string();
    parts[2] = &id;
    parts.join("/")
}

fn batch(is_atomic: bool, command: &Value) -> Value {
    json!({"atomic": is_atomic, "commands": [command]})
}

fn first_problem(answer: &Answer) -> &Value {
    &answer.body["results"][0]["problem"]
}

#[tokio::test]
async fn what_is_another_tenants_is_answered_like_what_does_not_exist() {
    let api = Api::new();
    let theirs = World::new(&api).await;
    let own = api.board().await;
    // A second world, whose things are deleted: gone for its own people, and not there for others.
    let gone = World::new(&api).await;
    for template in ["/comments/C", "/items/I", "/boards/B"] {
        api.delete(&gone.path(template)).await.is(200);
    }
    let bob = person("bob", &own.workspace);
    let operator = Principal::new("op", tenants(&[&own.workspace]), Scopes::all());
    for who in [&bob, &operator] {
        for (method, template, name, body, _) in operations() {
            let absent = nowhere(template);
            for world in [&theirs, &gone] {
                let path = world.path(template);
                for with in
                    [&[][..], &[("if-match", "\"0\"")], &[("if-match", "*")], &[("if-none-match", "*")]]
                {
                    let answer = api.raw(who, method, &path, with, &body).await;
                    assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
                    assert_eq!(answer, api.raw(who, method, &absent, with, &body).await, "{method} {path}");
                }
                if let Some(members) = body.as_object() {
                    let mut body = members.clone();
                    body.insert("expectedVersion".into(), json!(99));
                    let body = Value::Object(body);
                    let answer = api.raw(who, method, &path, &[], &body).await;
                    assert_eq!(answer, api.raw(who, method, &absent, &[], &body).await, "{method} {path}");
                }
                for is_atomic in [false, true] {
                    let [foreign, absent] =
                        [&path, &absent].map(|path| batch(is_atomic, &command(path, name, &body)));
                    let answer = api.raw(who, "POST", "/batch", &[], &foreign).await;
                    assert!(answer.body.contains("\"not_found\""), "{name}: {answer:?}");
                    assert_eq!(answer, api.raw(who, "POST", "/batch", &[], &absent).await, "{name}");
                }
            }
        }
    }
    assert_eq!(api.events(&format!("item-{}", theirs.item)), ["item.created"]);
}

#[tokio::test]
async fn references_to_another_tenants_things_lead_nowhere() {
    let api = Api::new();
    let theirs = World::new(&api).await;
    let own = api.board().await;
    let bob = Principal::new("bob", tenants(&[&own.workspace]), Scopes::all());
    let nobody = Uuid::from_u128(0xdead);
    let bodies: [(&str, &str, &str, fn(Value) -> Value); 4] = [
        ("board.create", "/boards", &theirs.place.project, |id| json!({"projectId": id, "name": "b"})),
        ("item.create", "/items", &theirs.place.board, |id| json!({"boardId": id, "title": "t"})),
        (
            "item.create",
            "/items",
            &theirs.place.board,
            |id| json!({"boardId": id, "title": "t", "externalKey": "K-1"}),
        ),
        ("comment.add", "", &theirs.item, |id| json!({"itemId": id, "body": "c"})),
    ];
    for (name, path, foreign, body) in bodies {
        for is_atomic in [false, true] {
            let [foreign, absent] = [json!(foreign), json!(nobody)]
                .map(|id| batch(is_atomic, &json!({"command": name, "data": body(id)})));
            let answer = api.raw(&bob, "POST", "/batch", &[], &foreign).await;
            assert!(answer.body.contains("\"not_found\""), "{answer:?}");
            assert_eq!(answer, api.raw(&bob, "POST", "/batch", &[], &absent).await);
        }
        if !path.is_empty() {
            let answer = api.raw(&bob, "POST", path, &[], &body(json!(foreign))).await;
            assert_eq!(answer.status, 404);
            assert_eq!(answer, api.raw(&bob, "POST", path, &[], &body(json!(nobody))).await);
        }
    }
    // A board that would be made below a foreign project, and an item on it, whose id needs the workspace.
    let chain = |project: Value| {
        let board = Uuid::from_u128(7);
        json!({"atomic": true, "commands": [
            {"command": "board.create", "id": board, "data": {"projectId": project, "name": "b"}},
            {"command": "item.create", "data": {"boardId": board, "title": "t", "externalKey": "K-1"}},
        ]})
    };
    let answer = api.raw(&bob, "POST", "/batch", &[], &chain(json!(theirs.place.project))).await;
    assert_eq!(answer, api.raw(&bob, "POST", "/batch", &[], &chain(json!(nobody))).await);

    // A workspace that is named outright is refused as such, whether it exists or not.
    let project = |workspace: Value| json!({"workspaceId": workspace, "name": "p"});
    let answer = api.raw(&bob, "POST", "/projects", &[], &project(json!(theirs.place.workspace))).await;
    assert!(answer.status == 403 && answer.body.contains("tenant_mismatch"), "{answer:?}");
    assert_eq!(answer, api.raw(&bob, "POST", "/projects", &[], &project(json!(nobody))).await);
    let item = json!({"boardId": own.board, "title": "t", "workspaceId": theirs.place.workspace});
    api.ask(&bob, "POST", "/items", &item).await.refused(403, "tenant_mismatch");
}

#[tokio::test]
async fn an_id_that_is_taken_elsewhere_is_taken_and_nothing_more_is_said() {
    let api = Api::new();
    let theirs = World::new(&api).await;
    let own = api.board().await;
    let bob = Principal::new("bob", tenants(&[&own.workspace]), Scopes::all());
    let deleted = api.item(&theirs.place).await;
    api.delete(&format!("/items/{deleted}")).await.is(200);
    let mut answers = Vec::new();
    for (id, with) in [
        (&theirs.item, ("if-match", "\"7\"")),
        (&theirs.item, ("if-none-match", "*")),
        (&deleted, ("a", "b")),
    ] {
        let item = json!({"id": id, "boardId": own.board, "title": "t"});
        answers.push(api.raw(&bob, "POST", "/items", &[with], &item).await);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].status, 409);
    assert!(answers[0].body.contains("already_exists") && !answers[0].body.contains("ersion"), "{answers:?}");
}

#[tokio::test]
async fn every_route_needs_its_scope() {
    let api = Api::new();
    let world = World::new(&api).await;
    let mut operations = operations();
    let place = &world.place;
    operations.extend([
        ("POST", "/workspaces", "workspace.create", json!({"name": "w", "id": place.workspace}), ""),
        ("POST", "/projects", "project.create", json!({"workspaceId": place.workspace, "name": "p"}), ""),
        ("POST", "/boards", "board.create", json!({"projectId": place.project, "name": "b"}), ""),
        ("POST", "/items", "item.create", json!({"boardId": place.board, "title": "t"}), ""),
    ]);
    for (method, template, name, body, _) in operations {
        let path = if template.matches('/').count() > 1 { world.path(template) } else { template.to_owned() };
        let needs = scope(name);
        let others = Scope::ALL.into_iter().filter(|scope| *scope != needs);
        let without = Principal::new("eve", tenants(&[&place.workspace]), others.collect());
        let answer = api.ask(&without, method, &path, &body).await.refused(403, "insufficient_scope");
        assert_eq!(answer.body["scope"], needs.name());
        let command = if template.matches('/').count() > 1 {
            command(&path, name, &body)
        } else {
            json!({"command": name, "data": body})
        };
        for is_atomic in [false, true] {
            let answer = api.ask(&without, "POST", "/batch", &batch(is_atomic, &command)).await;
            assert_eq!(first_problem(&answer)["code"], "insufficient_scope", "{name}: {answer:?}");
            assert_eq!(first_problem(&answer)["scope"], needs.name());
        }
        let only = Principal::new("eve", tenants(&[&place.workspace]), [needs].into_iter().collect());
        let answer = api.ask(&only, method, &path, &body).await;
        assert_ne!(answer.body["code"], "insufficient_scope", "{name}: {answer:?}");
    }
    assert_eq!(api.events(&format!("item-{}", world.item)), ["item.created"], "a scope is no role");
}

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
async fn a_workspace_is_made_for_a_tenant_and_owned_by_who_made_it() {
    let api = Api::new();
    let [a, b, other] = [1, 2, 3].map(|n| Uuid::from_u128(n).to_string());
    let name = json!({"name": "Acme"});
    let of = |ids: &[&str]| Principal::new("ann", tenants(ids), plain());
    // One tenant: that one. Several: it has to be said. None: none.
    let made = api.ask(&of(&[&a, &a]), "POST", "/workspaces", &name).await.is(201);
    assert_eq!((made.id(), &made.body["version"]), (a.as_str(), &json!(1)));
    let expected = [
        ("workspace.created".to_owned(), json!({"name": "Acme"})),
        ("workspace.member_added".to_owned(), json!({"member": "ann", "role": "owner"})),
    ];
    assert_eq!(api.payloads(&format!("workspace-{a}")), expected);
    let unsaid = api.ask(&of(&[&a, &b]), "POST", "/workspaces", &name).await;
    assert_eq!(unsaid.refused(422, "tenant_unsaid").body["field"], "id");
    let said = |id: &str| json!({"name": "Acme", "id": id});
    api.ask(&of(&[&a, &b]), "POST", "/workspaces", &said(&b)).await.is(201);
    for (ids, body) in [
        (&[][..], &name),
        (&[&a[..], &b[..]], &said(&other)),
        (&[&a[..]], &json!({"name": "Acme", "externalKey": "acme"})),
    ] {
        let answer = api.ask(&of(ids), "POST", "/workspaces", body).await.refused(403, "tenant_mismatch");
        assert_eq!(answer.body["field"], "id");
        for is_atomic in [false, true] {
            let command = json!({"command": "workspace.create", "data": body});
            let answer = api.ask(&of(ids), "POST", "/batch", &batch(is_atomic, &command)).await;
            assert_eq!(first_problem(&answer)["code"], "tenant_mismatch", "{answer:?}");
        }
    }
    api.ask(&of(&[&a]), "POST", "/workspaces", &name).await.refused(409, "already_exists");
    let all = Principal::new("ann", Tenants::All, plain());
    let one = api.ask(&all, "POST", "/workspaces", &name).await.is(201);
    let two = api.ask(&all, "POST", "/workspaces", &name).await.is(201);
    assert_ne!(one.id(), two.id());
    // Its creator goes on at once, in one commit even.
    let chain = json!({"atomic": true, "commands": [
        {"command": "workspace.create", "id": other, "data": {"name": "w"}},
        {"command": "project.create", "data": {"workspaceId": other, "name": "p"}},
    ]});
    api.ask(&of(&[&other]), "POST", "/batch", &chain).await.is(200);
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
async fn only_importers_say_whose_and_when() {
    let api = Api::new();
    let world = World::new(&api).await;
    let members = [("onBehalfOf", "jane"), ("occurredAt", "2011-04-15T03:30:17.000Z"), ("source", "import")];
    let of = |scopes: &[Scope]| {
        Principal::new("svc", tenants(&[&world.place.workspace]), scopes.iter().copied().collect())
    };
    let plain = of(&[Scope::ItemsWrite, Scope::Admin]);
    let importer = of(&[Scope::ItemsWrite, Scope::Admin, Scope::Import]);
    for (round, (member, value)) in members.into_iter().enumerate() {
        for is_atomic in [false, true] {
            let title = format!("{round} {is_atomic}");
            let mut command = json!({"command": "item.update", "id": world.item, "data": {"title": title}});
            command[member] = json!(value);
            let answer = api.ask(&plain, "POST", "/batch", &batch(is_atomic, &command)).await;
            assert_eq!(first_problem(&answer)["code"], "insufficient_scope", "{answer:?}");
            assert_eq!(first_problem(&answer)["scope"], "import");
            let answer = api.ask(&importer, "POST", "/batch", &batch(is_atomic, &command)).await.is(200);
            assert_eq!(answer.body["results"][0]["status"], "applied", "{answer:?}");
        }
    }
    let mut command = json!({"command": "item.update", "id": world.item, "data": {"title": "cli"}});
    command["source"] = json!("cli");
    api.ask(&plain, "POST", "/batch", &batch(true, &command)).await.is(200);
    // The import of a workspace makes nobody a member; without the scope `admin` nobody could go on.
    let id = Uuid::from_u128(9);
    let command = json!({"command": "workspace.create", "id": id, "source": "import", "data": {"name": "w"}});
    api.batch(vec![command]).await.is(200);
    assert_eq!(api.events(&format!("workspace-{id}")), ["workspace.created"]);
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

#[tokio::test]
async fn keys_are_nobody_elses() {
    let api = Api::new();
    let world = World::new(&api).await;
    let workspace = &world.place.workspace;
    let [ann, bob] =
        ["ann", "bob"].map(|subject| Principal::new(subject, tenants(&[workspace]), Scopes::all()));
    let elsewhere = Principal::new("ann", tenants(&[&Uuid::from_u128(5).to_string()]), Scopes::all());
    let key = [("idempotency-key", "one")];
    let (path, body) = ("/items", json!({"boardId": world.place.board, "title": "t"}));
    let first = api.raw(&ann, "POST", path, &key, &body).await;
    assert_eq!(first.status, 201);
    let again = api.raw(&ann, "POST", path, &key, &body).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = api.raw(&bob, "POST", path, &key, &body).await;
    assert!(other.status == 201 && other.body != first.body, "{other:?}");
    // Not even the same subject hears of it under another tenant.
    let foreign = api.raw(&elsewhere, "POST", path, &key, &body).await;
    assert_eq!(foreign, api.raw(&elsewhere, "POST", path, &[], &body).await);
    assert_eq!(foreign.status, 404);
}
