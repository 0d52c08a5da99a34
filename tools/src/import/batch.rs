//! Bodies for the command API's `/batch`, written as they go: one growing buffer, no tree in between.
//!
//! Invariant: the buffer is always the valid beginning of a body; a command that cannot be finished is taken back.

use bytes::Bytes;
use eventstore::CommandId;
use std::ops::Range;
use uuid::Uuid;

const HEAD: &[u8] = b"{\"atomic\":false,\"commands\":[";
const TAIL: &[u8] = b"]}";

/// One command in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Line of the history that it stands for; 0 for set-up.
    line: u64,
    start: usize,
    end: usize,
}

/// Commands that are sent together, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Batch {
    /// How many commands.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes of all commands.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The line that a command stands for.
    pub(super) fn line(&self, index: usize) -> u64 {
        self.pieces[index].line
    }

    /// The body that sends a range of the commands.
    pub(super) fn body(&self, range: Range<usize>) -> Bytes {
        let commands = match self.pieces.get(range) {
            Some([only]) => &self.buffer[only.start..only.end],
            Some([first, .., last]) => &self.buffer[first.start..last.end],
            _ => &[],
        };
        let mut body = Vec::with_capacity(HEAD.len() + commands.len() + TAIL.len());
        body.extend_from_slice(HEAD);
        body.extend_from_slice(commands);
        body.extend_from_slice(TAIL);
        body.into()
    }

    /// Adds the command that `write` writes; nothing, when it fails.
    ///
    /// # Errors
    /// When `write` does.
    pub(super) fn add<E>(
        &mut self,
        line: u64,
        write: impl FnOnce(&mut Body<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.buffer.len();
        if before > 0 {
            self.buffer.push(b',');
        }
        let start = self.buffer.len();
        let result = write(&mut Body(&mut self.buffer));
        if result.is_ok() {
            self.pieces.push(Piece { line, start, end: self.buffer.len() });
        } else {
            self.buffer.truncate(before);
        }
        result
    }
}

/// Who does something, when, and under which key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    /// Idempotency key.
    pub key: CommandId,
    /// A JSON string.
    pub actor: Option<&'a str>,
    /// RFC 3339; checked.
    pub at: &'a str,
}

/// Writes one command.
#[derive(Debug)]
pub(super) struct Body<'a>(&'a mut Vec<u8>);

impl Body<'_> {
    /// Begins the command, up to its data.
    pub(super) fn open(&mut self, command: &str, id: Uuid, header: Header<'_>) {
        self.raw("{\"command\":\"");
        self.raw(command);
        self.raw("\",\"id\":");
        self.uuid(id);
        self.raw(",\"idempotencyKey\":\"");
        self.hex(header.key.as_bytes());
        self.raw("\"");
        if let Some(actor) = header.actor {
            self.raw(",\"onBehalfOf\":");
            self.raw(actor);
        }
        self.raw(",\"occurredAt\":\"");
        self.raw(header.at);
        self.raw("\",\"source\":\"import\",\"data\":{");
    }

    /// Ends the command.
    pub(super) fn close(&mut self) {
        // A member is followed by a comma, the last one too until here.
        if self.0.last() == Some(&b',') {
            self.0.pop();
        }
        self.raw("}}");
    }

    /// A member whose value is JSON already; `name` needs no escapes.
    pub(super) fn member(&mut self, name: &str, json: &str) {
        self.name(name);
        self.raw(json);
        self.raw(",");
    }

    /// A member that is an id.
    pub(super) fn member_id(&mut self, name: &str, id: Uuid) {
        self.name(name);
        self.uuid(id);
        self.raw(",");
    }

    /// A member that is a text.
    pub(super) fn member_text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text(text);
        self.raw(",");
    }

    /// A member that is a list of one value, which is JSON already.
    pub(super) fn member_list_of(&mut self, name: &str, json: &str) {
        self.name(name);
        self.raw("[");
        self.raw(json);
        self.raw("],");
    }

    /// Begins a member that is an object.
    pub(super) fn open_object(&mut self, name: &str) {
        self.name(name);
        self.raw("{");
    }

    /// Ends the member that is an object.
    pub(super) fn close_object(&mut self) {
        if self.0.last() == Some(&b',') {
            self.0.pop();
        }
        self.raw("},");
    }

    /// A member with a foreign name, whose value is JSON already.
    pub(super) fn foreign_member(&mut self, name: &str, json: &str) {
        self.text(name);
        self.raw(":");
        self.raw(json);
        self.raw(",");
    }

    /// Begins a member with a foreign name that is an object.
    pub(super) fn open_foreign(&mut self, name: &str) {
        self.text(name);
        self.raw(":{");
    }

    fn name(&mut self, name: &str) {
        self.raw("\"");
        self.raw(name);
        self.raw("\":");
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &str) {
        // Writing a string into a vector cannot fail.
        let _ = serde_json::to_writer(&mut *self.0, text);
    }

    fn uuid(&mut self, id: Uuid) {
        let mut buffer = Uuid::encode_buffer();
        self.raw("\"");
        self.raw(id.hyphenated().encode_lower(&mut buffer));
        self.raw("\"");
    }

    fn hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            self.0.push(DIGITS[usize::from(byte >> 4)]);
            self.0.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn header(actor: Option<&str>) -> Header<'_> {
        Header { key: CommandId::from_bytes([0xab; 16]), actor, at: "2010-03-31T15:45:48Z" }
    }

    #[test]
    fn a_body_is_json_and_can_be_split() {
        let mut batch = Batch::default();
        batch
            .add(7, |body| {
                body.open("item.update", Uuid::nil(), header(Some("\"a\"")));
                body.open_object("fields");
                body.open_foreign("x\"y");
                body.member("set", "[1]");
                body.close_object();
                body.close_object();
                body.close();
                Ok::<_, ()>(())
            })
            .unwrap();
        let refused = batch.add(8, |body| {
            body.open("item.update", Uuid::nil(), header(None));
            Err("no")
        });
        assert_eq!(refused, Err("no"));
        batch
            .add(9, |body| {
                body.open("item.reopen", Uuid::nil(), header(None));
                body.close();
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!((batch.len(), batch.line(0), batch.line(1)), (2, 7, 9));
        let whole: Value = serde_json::from_slice(&batch.body(0..2)).unwrap();
        let first = json!({"command": "item.update", "id": Uuid::nil(), "idempotencyKey": "ab".repeat(16),
            "onBehalfOf": "a", "occurredAt": "2010-03-31T15:45:48Z", "source": "import",
            "data": {"fields": {"x\"y": {"set": [1]}}}});
        assert_eq!(whole["commands"][0], first);
        assert_eq!(whole["commands"].as_array().unwrap().len(), 2);
        assert_eq!(whole["atomic"], json!(false));
        let last: Value = serde_json::from_slice(&batch.body(1..2)).unwrap();
        assert_eq!(last["commands"], json!([whole["commands"][1]]));
        let none: Value = serde_json::from_slice(&batch.body(1..1)).unwrap();
        assert_eq!(none["commands"], json!([]));
    }
}
