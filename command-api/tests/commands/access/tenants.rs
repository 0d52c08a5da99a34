//! What is another tenant's is not there.

use super::world::*;
use crate::common::Api;
use http_kit::auth::{Principal, Scopes, Tenants};
use serde_json::{Value, json};
use uuid::Uuid;

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

/// So that no route is forgotten here.
#[tokio::test]
async fn every_route_about_something_is_asked_here() {
    let api = Api::new();
    let document: Value = serde_json::from_str(&api.document().await).unwrap();
    let operations = operations();
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        if !(path.contains("/{id}") || path.contains("/{itemId}")) {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let is_asked = operations.iter().any(|(verb, template, ..)| {
                let (said, asked) = (path.split('/'), template.split('/'));
                verb.eq_ignore_ascii_case(method)
                    && said.clone().count() == asked.clone().count()
                    && said.zip(asked).all(|(said, asked)| said.starts_with('{') || said == asked)
            });
            assert!(is_asked, "{method} {path} is not among the operations of these tests");
            count += 1;
        }
    }
    assert_eq!(count, operations.len());
}

#[tokio::test]
async fn many_items_at_once_are_asked_one_by_one() {
    let api = Api::new();
    let theirs = World::new(&api).await;
    let own = World::new(&api).await;
    own.member(&api, "bob", "member").await;
    own.member(&api, "eve", "viewer").await;
    let bulk = |ids: &[&str], is_atomic: bool, command: &str| json!({"ids": ids, "atomic": is_atomic, "command": command, "data": {}});
    let absent = Uuid::from_u128(0xdead).to_string();
    let [bob, eve] = ["bob", "eve"].map(|subject| person(subject, &own.place.workspace));
    for is_atomic in [true, false] {
        let [foreign, absent] =
            [&theirs.item, &absent].map(|id| bulk(&[&own.item, id], is_atomic, "item.complete"));
        let answer = api.raw(&eve, "POST", "/items/bulk", &[], &foreign).await;
        assert!(answer.body.contains("\"not_permitted\"") && answer.body.contains("\"not_found\""));
        // The first of them changes something, and may say so only once.
        api.raw(&bob, "POST", "/items/bulk", &[], &bulk(&[&own.item], true, "item.complete")).await;
        let answer = api.raw(&bob, "POST", "/items/bulk", &[], &foreign).await;
        assert!(answer.body.contains("\"not_found\""), "{answer:?}");
        assert_eq!(answer, api.raw(&bob, "POST", "/items/bulk", &[], &absent).await);
    }
    assert_eq!(api.events(&format!("item-{}", theirs.item)), ["item.created"]);
}

type Body = fn(Value) -> Value;

#[tokio::test]
async fn references_to_another_tenants_things_lead_nowhere() {
    let api = Api::new();
    let theirs = World::new(&api).await;
    let own = api.board().await;
    let bob = Principal::new("bob", tenants(&[&own.workspace]), Scopes::all());
    let nobody = Uuid::from_u128(0xdead);
    let bodies: [(_, _, _, Body); 4] = [
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
    assert_eq!(unsaid.refused(400, "invalid_body").body["field"], "id");
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
