//! Things to be asked for, people who ask, and every route by which they can.

use crate::common::{Answer, Api, Place};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use http_kit::auth::{Principal, Scope, Scopes, Tenants};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// Every route about something that exists: method, path (`W`, `P`, `B`, `I`, `C` stand for ids), name in a batch,
/// body, and the lowest role that may.
pub(crate) fn operations() -> Vec<(&'static str, &'static str, &'static str, Value, &'static str)> {
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
pub(crate) fn command(path: &str, name: &str, body: &Value) -> Value {
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

pub(crate) fn scope(name: &str) -> Scope {
    match name.split('.').next().unwrap() {
        "workspace" => Scope::WorkspacesWrite,
        "project" => Scope::ProjectsWrite,
        "board" => Scope::BoardsWrite,
        "item" => Scope::ItemsWrite,
        _ => Scope::CommentsWrite,
    }
}

pub(crate) fn tenants(ids: &[&str]) -> Tenants {
    Tenants::These(ids.iter().map(|id| id.parse().unwrap()).collect())
}

/// Everything but the scopes that go beyond one's role.
pub(crate) fn plain() -> Scopes {
    Scope::ALL.into_iter().filter(|scope| !matches!(scope, Scope::Admin | Scope::Import)).collect()
}

/// Somebody of one tenant, with a member's token.
pub(crate) fn person(subject: &str, workspace: &str) -> Principal {
    Principal::new(subject, tenants(&[workspace]), plain())
}

/// An answer to the last byte, without what is different every time.
#[derive(Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

pub(crate) trait Ask {
    /// What the API says of itself.
    async fn document(&self) -> String;
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
    async fn document(&self) -> String {
        let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

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
            .filter(|(name, _)| {
                !matches!(name.as_str(), "x-request-id" | "date" | "traceparent" | "ratelimit")
            })
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
        Answer { status: raw.status, headers: headers.collect(), body, text: raw.body }
    }
}

/// A place with an item and a comment, all made by "local".
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) item: String,
    pub(crate) comment: String,
}

impl World {
    pub(crate) async fn new(api: &Api) -> Self {
        let place = api.board().await;
        let item = api.item(&place).await;
        let comment = api.post(&format!("/items/{item}/comments"), json!({"body": "c"})).await.is(201);
        Self { place, item, comment: comment.id().to_owned() }
    }

    /// Makes somebody a member of the workspace.
    pub(crate) async fn member(&self, api: &Api, member: &str, role: &str) {
        let path = format!("/workspaces/{}/members", self.place.workspace);
        api.post(&path, json!({"member": member, "role": role})).await.is(200);
    }

    pub(crate) async fn guest(&self, api: &Api, member: &str, role: &str) {
        let path = format!("/boards/{}/members", self.place.board);
        api.post(&path, json!({"member": member, "role": role})).await.is(200);
    }

    pub(crate) fn path(&self, template: &str) -> String {
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
pub(crate) fn nowhere(template: &str) -> String {
    let mut parts: Vec<&str> = template.split('/').collect();
    let id = Uuid::from_u128(0xdead).to_string();
    parts[2] = &id;
    parts.join("/")
}

pub(crate) fn batch(is_atomic: bool, command: &Value) -> Value {
    json!({"atomic": is_atomic, "commands": [command]})
}

pub(crate) fn first_problem(answer: &Answer) -> &Value {
    &answer.body["results"][0]["problem"]
}
