//! What is sent: items of a board, one at a time or a hundred, and events of streams outside the domain.

use crate::server::Server;
use benches::load::{CONNECTION, NUMBER, Template, VERSION};
use serde_json::{Value, json};

/// Commands of a batch and events of an append.
pub(crate) const BATCH: usize = 100;

/// Bytes of an event's payload, nearly.
pub(crate) const PAYLOAD_BYTES: usize = 256;

/// A board to put items on.
pub(crate) struct Place {
    board: String,
    column: String,
}

impl Place {
    pub(crate) fn make(server: &Server) -> Self {
        let text = |answer: &Value, member: &str| answer[member].as_str().unwrap().to_owned();
        let workspace = text(&server.post("/api/v1/workspaces", &json!({"name": "Acme"})), "id");
        let project = json!({"workspaceId": workspace, "name": "Rocket"});
        let project = text(&server.post("/api/v1/projects", &project), "id");
        let board =
            text(&server.post("/api/v1/boards", &json!({"projectId": project, "name": "Board"})), "id");
        let column = server.post(&format!("/api/v1/boards/{board}/columns"), &json!({"name": "todo"}));
        Self { board, column: text(&column, "columnId") }
    }

    fn item(&self) -> Value {
        // The event holds four ids besides, so that its payload is PAYLOAD_BYTES long.
        json!({"boardId": self.board, "columnId": self.column, "title": format!("Task {NUMBER}")})
    }

    /// One command that creates an item.
    pub(crate) fn create(&self, token: Option<&str>) -> Template {
        let key = format!("key-{NUMBER}");
        Template::post("/api/v1/items", token, Some(("idempotency-key", &key)), &self.item().to_string())
    }

    /// A batch of commands that each create an item.
    pub(crate) fn creates(&self, token: Option<&str>) -> Template {
        let command =
            json!({"command": "item.create", "idempotencyKey": format!("key-{NUMBER}"), "data": self.item()});
        let commands: Vec<Value> = (0..BATCH).map(|_| command.clone()).collect();
        Template::post("/api/v1/batch", token, None, &json!({"commands": commands}).to_string())
    }
}

/// The type of the events of an append.
fn event_type(registered: bool) -> &'static str {
    if registered { "order.placed" } else { "order.noted" }
}

fn event(registered: bool) -> Value {
    let mut note = String::new();
    while note.len() < PAYLOAD_BYTES - 48 {
        note.push_str("noise ");
    }
    note.truncate(PAYLOAD_BYTES - 48);
    json!({"type": event_type(registered), "data": {"note": note, "number": NUMBER}})
}

/// A schema for the events of one of the two types.
pub(crate) fn register(server: &Server) {
    let schema = json!({"type": "object", "required": ["note", "number"], "additionalProperties": false,
        "properties": {"note": {"type": "string"}, "number": {"type": "string", "maxLength": 16}}});
    server.post("/api/v1/schemas", &json!({"type": event_type(true), "version": 1, "schema": schema}));
}

fn stream(registered: bool) -> &'static str {
    if registered { "placed" } else { "noted" }
}

/// Begins the streams of so many connections, so that each has a version to be expected.
pub(crate) fn begin_streams(server: &Server, connections: usize, registered: bool) {
    for connection in 0..connections {
        let path = format!("/api/v1/streams/{}-{connection:016x}/events", stream(registered));
        server.post(&path, &json!({"events": [event(registered)]}));
    }
}

/// An append of many events to the connection's stream, which must be where the last one has left it.
pub(crate) fn append(token: Option<&str>, registered: bool) -> Template {
    let path = format!("/api/v1/streams/{}-{CONNECTION}/events", stream(registered));
    let events: Vec<Value> = (0..BATCH).map(|_| event(registered)).collect();
    let body = json!({"expectedVersion": VERSION, "events": events}).to_string();
    Template::post(&path, token, None, &body.replace(&format!("\"{VERSION}\""), VERSION))
}

/// The same without a version, for a server that keeps none.
pub(crate) fn append_anywhere(token: Option<&str>) -> Template {
    let path = format!("/api/v1/streams/noted-{CONNECTION}/events");
    let events: Vec<Value> = (0..BATCH).map(|_| event(false)).collect();
    Template::post(&path, token, None, &json!({"events": events}).to_string())
}
