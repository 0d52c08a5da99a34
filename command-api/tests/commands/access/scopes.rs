//! A token permits kinds of things.

use super::world::*;
use crate::common::Api;
use http_kit::auth::{Principal, Scope};
use serde_json::json;
use uuid::Uuid;

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
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(
            challenge.contains(&format!("error=\"insufficient_scope\", scope=\"{needs}\"")),
            "{challenge}"
        );
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
