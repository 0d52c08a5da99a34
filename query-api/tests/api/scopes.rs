//! Every operation that there is, and the scope that it needs: a new one has no line here, and fails.

use crate::fixture::Fixture;
use crate::history::{NOW, World};
use axum::body::Body;
use axum::http::Request;
use http_kit::auth::{Authentication, Authenticator, DevelopmentToken, Principal, Scope, Scopes, Tenants};
use http_kit::limits::Limits;
use serde_json::Value;
use std::collections::BTreeMap;
use tower::ServiceExt;

/// What every token may ask, as far as its tenants go.
const ANY: [&str; 39] = [
    "activity",
    "audit.checkpoint",
    "audit.consistency",
    "audit.inclusion",
    "audit.keys",
    "audit.tile",
    "board.analytics",
    "board.diff",
    "board.follow",
    "board.get",
    "board.history",
    "board.list",
    "board.view",
    "comment.get",
    "comment.history",
    "comment.list",
    "consumer.get",
    "consumer.list",
    "consumer.parked",
    "event.export",
    "event.list",
    "event.live",
    "item.diff",
    "item.get",
    "item.history",
    "item.list",
    "project.diff",
    "project.get",
    "project.history",
    "project.list",
    "project.statistics",
    "projection.list",
    "search",
    "search.suggest",
    "stream.events",
    "user.items",
    "workspace.get",
    "workspace.history",
    "workspace.list",
];

/// What needs a scope.
const SCOPED: [(&str, Scope); 9] = [
    ("audit.entries", Scope::Audit),
    ("audit.verified", Scope::Audit),
    ("audit.verify", Scope::Audit),
    ("consumer.events", Scope::ConsumersWrite),
    ("log.place", Scope::Audit),
    ("log.segment", Scope::Audit),
    ("projection.check", Scope::Audit),
    ("projection.checked", Scope::Audit),
    ("projection.dead_letters", Scope::Audit),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_needs_its_scope_and_a_token() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "x", NOW);
    let document: Value = fixture.ask("/openapi.json").await.json();
    let token = DevelopmentToken::keep(fixture.data_dir()).unwrap();
    let closed = Authentication::Required(Authenticator::development(token));
    let closed = query_api::router(fixture.service.clone(), closed, Limits::default());
    let any = ANY.into_iter().map(|id| (id, None));
    let mut table: BTreeMap<_, _> = any.chain(SCOPED.map(|(id, scope)| (id, Some(scope)))).collect();
    let of = |scopes: Scopes| Principal::new("eve", Tenants::All, scopes);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let what = format!("{id}, {method} {path}");
            if id.starts_with("process.") {
                continue;
            }
            let needs = table.remove(id).unwrap_or_else(|| panic!("{what}: which scope does it need?"));
            let said = operation["security"][0]["bearer"].as_array().unwrap();
            assert_eq!(said.first().map(|scope| scope.as_str().unwrap()), needs.map(Scope::name), "{what}");
            let project = if path.contains("/projections/") { "models" } else { "x" };
            let known = [
                ("/workspaces/{id}", format!("/workspaces/{}", world.workspace)),
                ("/projects/{id}", format!("/projects/{}", world.project)),
                ("/boards/{id}", format!("/boards/{}", world.board)),
                ("/streams/{id}", format!("/streams/item-{item}")),
                ("{id}", item.to_string()),
                ("{name}", project.to_owned()),
                ("{segment}", "0".to_owned()),
                ("{level}", "0".to_owned()),
                ("{index}", "000".to_owned()),
            ];
            let path = known.iter().fold(path.clone(), |path, (part, value)| path.replace(part, value));
            let ask = |who: Option<Principal>| {
                let request = Request::builder().method(method.to_uppercase().as_str()).uri(&path);
                let mut request = request.body(Body::empty()).unwrap();
                if let Some(who) = who {
                    request.extensions_mut().insert(who);
                }
                request
            };
            assert_eq!(closed.clone().oneshot(ask(None)).await.unwrap().status(), 401, "{what}");

            // Only the head is read: some of these answers never end.
            let status = async |scopes: Scopes| fixture.open(ask(Some(of(scopes)))).await.status().as_u16();
            let Some(needs) = needs else {
                let status = status(Scopes::default()).await;
                assert!(![401, 403].contains(&status), "{what}: {status}");
                continue;
            };
            let others = Scope::ALL.into_iter().filter(|scope| *scope != needs).collect();
            let (code, answer) = {
                let answer = fixture.send(ask(Some(of(others)))).await;
                (answer.problem(), answer.json())
            };
            assert_eq!(code, (403, "insufficient_scope".to_owned()), "{what}");
            assert_eq!(answer["scope"], needs.name(), "{what}");
            let status = status([needs].into_iter().collect()).await;
            assert!(![401, 403].contains(&status), "{what}: {status}");
        }
    }
    assert!(table.is_empty(), "no operations any more: {:?}", table.keys());
}
