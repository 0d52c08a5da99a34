//! What is sent: items of a board, one at a time or a hundred, and events of streams outside the domain.

use crate::load::{NUMBER, Template};
use crate::server::Server;
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
        Template::post("/api/v1/items", token, Some(&format!("key-{NUMBER}")), &self.item().to_string())
    }

    /// A batch of commands that each create an item.
    pub(crate) fn creates(&self, token: Option<&str>) -> Template {
        let command =
            json!({"command": "item.create", "idempotencyKey": format!("key-{NUMBER}"), "data": self.item()});
        let commands: Vec<Value> = (0..BATCH).map(|_| command.clone()).collect();
        Template::post("/api/v1/batch", token, None, &json!({"commands": commands}).to_string())
    }
}
