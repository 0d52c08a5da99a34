//! A command API over a store of its own, asked without a socket.

// Each test uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod document;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use command_api::{AppState, CommandService};
use eventstore::{Direction, Position, Store, StoreOptions, StreamId, Version};
use http_body_util::BodyExt;
use http_kit::auth::Authentication;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tower::ServiceExt;

pub struct Api {
    pub dir: TempDir,
    pub store: Store,
    pub service: CommandService,
    pub router: Router,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_else(|| panic!("an id in {self:?}"))
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_else(|| panic!("a code in {self:?}"))
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Everything that the first and every later answer to one command have in common, byte for byte.
    pub fn lasting(&self) -> (u16, Vec<(String, String)>, &str) {
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        (self.status, headers, &self.text)
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        self
    }
}

fn open(dir: &Path) -> (Store, CommandService, Router) {
    let store =
        Store::open(dir, &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() }).unwrap();
    let service = CommandService::open(store.clone());
    let router = command_api::router(AppState::new(service.clone()), Authentication::SameMachineOnly);
    (store, service, router)
}

impl Api {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, service, router) = open(dir.path());
        Self { dir, store, service, router }
    }

    /// The same data directory in a new process, as far as a process can be one.
    pub fn reopen(self) -> Self {
        let Self { dir, store, service, router } = self;
        drop((service, router));
        store.close();
        drop(store);
        let (store, service, router) = open(dir.path());
        Self { dir, store, service, router }
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = body.collect().await.unwrap().to_bytes();
        let request = request.body(Body::from(sent.clone())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body, text };
        document::judge(method, &format!("/api/v1{path}"), &sent, &answer);
        answer
    }

    pub async fn with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(method, path, &all, Body::from(body.to_string())).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.with("POST", path, &[], &body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.with("PATCH", path, &[], &body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], Body::empty()).await
    }

    pub async fn batch(&self, commands: Vec<Value>) -> Answer {
        self.post("/batch", json!({ "commands": commands })).await
    }

    pub async fn atomic(&self, commands: Vec<Value>) -> Answer {
        self.post("/batch", json!({ "atomic": true, "commands": commands })).await
    }

    /// A workspace, a project and a board with the columns "todo" and "done".
    pub async fn board(&self) -> Place {
        let workspace = self.post("/workspaces", json!({"name": "Acme"})).await.is(201);
        let project = json!({"workspaceId": workspace.id(), "name": "Rocket"});
        let project = self.post("/projects", project).await.is(201);
        let board = json!({"projectId": project.id(), "name": "Board"});
        let board = self.post("/boards", board).await.is(201);
        let mut columns = Vec::new();
        for name in ["todo", "done"] {
            let column =
                self.post(&format!("/boards/{}/columns", board.id()), json!({"name": name})).await.is(201);
            columns.push(column.body["columnId"].as_str().unwrap().to_owned());
        }
        let text = |answer: &Answer| answer.id().to_owned();
        Place {
            workspace: text(&workspace),
            project: text(&project),
            board: text(&board),
            todo: columns[0].clone(),
            done: columns[1].clone(),
        }
    }

    pub async fn item(&self, place: &Place) -> String {
        let item = json!({"boardId": place.board, "columnId": place.todo, "title": "An item"});
        self.post("/items", item).await.is(201).id().to_owned()
    }

    /// Types of the events of a stream.
    pub fn events(&self, stream: &str) -> Vec<String> {
        self.payloads(stream).into_iter().map(|(event_type, _)| event_type).collect()
    }

    /// Types and payloads of the events of a stream.
    pub fn payloads(&self, stream: &str) -> Vec<(String, Value)> {
        let stream = StreamId::new(stream).unwrap();
        let events = self.store.read_stream(&stream, Version::ZERO, Direction::Forward, usize::MAX).unwrap();
        events
            .iter()
            .map(|event| {
                let view = event.get().unwrap();
                (view.event_type().to_owned(), serde_json::from_slice(view.payload()).unwrap())
            })
            .collect()
    }

    pub fn watermark(&self) -> Position {
        self.store.watermark()
    }
}

#[derive(Debug, Clone)]
pub struct Place {
    pub workspace: String,
    pub project: String,
    pub board: String,
    pub todo: String,
    pub done: String,
}
