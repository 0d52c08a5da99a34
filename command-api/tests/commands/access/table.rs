//! Every operation that there is, and the scope that it needs: a new one has no line here, and fails.

use super::world::*;
use crate::common::Api;
use axum::body::Body;
use axum::http::Request;
use command_api::AppState;
use http_kit::auth::{Authentication, Authenticator, DevelopmentToken, Principal, Scope, Scopes, Tenants};
use serde_json::{Value, json};
use tower::ServiceExt;

/// By its name the scope that an operation needs, nothing for what every token may, and a body that is read.
fn table() -> Vec<(&'static str, Option<Scope>, Value)> {
    let id = "00000000-0000-4000-8000-000000000001";
    let command = |name: &'static str, body| (name, Some(scope(name)), body);
    let needs = |name, scope, body| (name, Some(scope), body);
    let any = |name, body| (name, None, body);
    vec![
        command("workspace.create", json!({"name": "x"})),
        command("workspace.rename", json!({"name": "x"})),
        command("workspace.archive", Value::Null),
        command("workspace.add_member", json!({"member": "new"})),
        command("workspace.change_member_role", json!({"role": "viewer"})),
        command("workspace.remove_member", Value::Null),
        command("project.create", json!({"workspaceId": id, "name": "x"})),
        command("project.update", json!({"name": "x"})),
        command("project.archive", Value::Null),
        command("project.delete", Value::Null),
        command("project.restore", Value::Null),
        command("board.create", json!({"projectId": id, "name": "x"})),
        command("board.update", json!({"name": "x"})),
        command("board.delete", Value::Null),
        command("board.add_column", json!({"name": "x"})),
        command("board.change_column", json!({"name": "x"})),
        command("board.move_column", json!({"index": 0})),
        command("board.remove_column", json!({"itemsTo": id})),
        command("board.define_field", json!({"name": "f", "kind": "text"})),
        command("board.remove_field", Value::Null),
        command("board.add_member", json!({"member": "new"})),
        command("board.change_member_role", json!({"role": "viewer"})),
        command("board.remove_member", Value::Null),
        command("item.create", json!({"boardId": id, "title": "x"})),
        command("item.update", json!({"title": "x"})),
        command("item.delete", Value::Null),
        command("item.move", json!({"columnId": id})),
        command("item.rank", json!({"rank": "i"})),
        command("item.assign", json!({"assignees": ["x"]})),
        command("item.unassign", json!({"assignees": ["x"]})),
        command("item.complete", json!({})),
        command("item.reopen", Value::Null),
        command("item.link", json!({"kind": "k", "itemId": id})),
        command("item.unlink", json!({"kind": "k", "itemId": id})),
        command("item.add_attachment", json!({"name": "f"})),
        command("item.remove_attachment", Value::Null),
        command("comment.add", json!({"body": "x"})),
        command("comment.edit", json!({"body": "x"})),
        command("comment.delete", Value::Null),
        // Each of their commands needs its own, which the test beside this one asks for.
        any("batch", json!({"commands": []})),
        any("item.bulk", json!({"commands": []})),
        needs(
            "stream.append",
            Scope::StreamsWrite,
            json!({"events": [{"type": "order.placed", "data": {}}], "workspaceId": id}),
        ),
        needs("schema.register", Scope::SchemasWrite, json!({"type": "order.placed", "schema": {}})),
        any("schema.list", Value::Null),
        any("schema.newest", Value::Null),
        any("schema.one", Value::Null),
        needs("projection.rebuild", Scope::ProjectionsOperate, json!({})),
        needs("projection.cancel_rebuild", Scope::ProjectionsOperate, json!({})),
        needs("projection.retry_dead_letters", Scope::ProjectionsOperate, json!({})),
        needs("projection.retry_dead_letter", Scope::ProjectionsOperate, Value::Null),
        needs("projection.repair", Scope::ProjectionsOperate, json!({"entity": "item:x"})),
        needs(
            "projection.decide",
            Scope::ProjectionsDecide,
            json!({"type": "sys.rebuild_swap_begun", "data": {"rebuildId": id}}),
        ),
        needs("consumer.create", Scope::ConsumersWrite, json!({"name": "x", "workspaceId": id})),
        needs("consumer.delete", Scope::ConsumersWrite, Value::Null),
        needs("consumer.acknowledge", Scope::ConsumersWrite, json!({"position": 0})),
        needs("consumer.refuse", Scope::ConsumersWrite, json!({"position": 0, "reason": "x"})),
        needs("consumer.reset", Scope::ConsumersWrite, json!({"position": 0})),
        needs("consumer.retry_parked", Scope::ConsumersWrite, json!({})),
        needs("consumer.discard_parked", Scope::ConsumersWrite, json!({})),
    ]
}

/// A path that an operation is asked by.
fn filled(path: &str) -> String {
    let name = if path.contains("/projections/") { "models" } else { "x" };
    let known = [
        ("{name}", name),
        ("{member}", "x"),
        ("{streamId}", "orders-1"),
        ("{type}", "order.placed"),
        ("{version}", "1"),
        ("{position}", "0"),
    ];
    let path = known.into_iter().fold(path.to_owned(), |path, (part, value)| path.replace(part, value));
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => "00000000-0000-4000-8000-000000000001",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_operation_needs_its_scope_and_a_token() {
    let api = Api::new();
    let document: Value = serde_json::from_str(&api.document().await).unwrap();
    let token = DevelopmentToken::keep(api.dir.path()).unwrap();
    let closed = Authentication::Required(Authenticator::development(token));
    let closed = command_api::router(AppState::new(api.service.clone()), closed);
    let mut table: std::collections::BTreeMap<_, _> =
        table().into_iter().map(|(name, scope, body)| (name, (scope, body))).collect();
    let of = |scopes: Scopes| Principal::new("eve", Tenants::All, scopes);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let what = format!("{id}, {method} {path}");
            if id.starts_with("process.") {
                continue;
            }
            let (needs, body) =
                table.remove(id).unwrap_or_else(|| panic!("{what}: which scope does it need?"));
            let (method, path) = (method.to_uppercase(), filled(path));

            let request = Request::builder().method(method.as_str()).uri(&path).body(Body::empty()).unwrap();
            assert_eq!(closed.clone().oneshot(request).await.unwrap().status(), 401, "{what}");

            let below = path.strip_prefix("/api/v1").unwrap();
            let said = operation["security"][0]["bearer"].as_array().unwrap();
            assert_eq!(said.first().map(|scope| scope.as_str().unwrap()), needs.map(Scope::name), "{what}");
            let Some(needs) = needs else {
                let answer = api.ask(&of(Scopes::default()), &method, below, &body).await;
                assert!(![401, 403].contains(&answer.status), "{what}: {answer:?}");
                continue;
            };
            let others = Scope::ALL.into_iter().filter(|scope| *scope != needs).collect();
            let answer = api.ask(&of(others), &method, below, &body).await.refused(403, "insufficient_scope");
            assert_eq!(answer.body["scope"], needs.name(), "{what}");
            let answer = api.ask(&of([needs].into_iter().collect()), &method, below, &body).await;
            assert!(![401, 403].contains(&answer.status), "{what}: {answer:?}");
        }
    }
    assert!(table.is_empty(), "no operations any more: {:?}", table.keys());
}
