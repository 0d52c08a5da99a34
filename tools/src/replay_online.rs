//! `sunday replay --into URL`: events of a log appended to another Sunday, through its raw append.
//!
//! What arrives has the ids, types, tags, payloads and times that it had; positions, versions and commits are those of the other log.
//! An append without a key is named by its first event, so each event goes alone: then it is recorded once, however often and in
//! whatever selection it is sent. Streams of the domain and of the system are written by commands only, there as here: they
//! are passed over and counted; a whole log goes elsewhere by `backup` and `restore`, or by `follow`.

use crate::asking::Asking;
use crate::failure::Failure;
use crate::import::Token;
use crate::progress;
use crate::replay::{Selection, replay};
use bytes::Bytes;
use domain::tags;
use eventstore::StreamId;
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// Whom to send to.
#[derive(Debug)]
pub struct Target {
    /// Where its command API is.
    pub url: String,
    /// A token with the scopes `events:append`, and `import` for times.
    pub token: Option<Token>,
}

/// What became of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Events that are in the other log now.
    pub events: u64,
    /// Events of streams that only commands write, and such as are no JSON.
    pub passed_over: u64,
}

/// A line of a replay, as far as it is sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event_id: uuid::Uuid,
    stream_id: String,
    #[serde(rename = "type")]
    event_type: String,
    schema_version: u16,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: Value,
    /// Nothing where the payload is no JSON.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The same as an append has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    event_id: uuid::Uuid,
    #[serde(rename = "type")]
    event_type: &'a str,
    schema_version: u16,
    tags: Vec<&'a str>,
    metadata: serde_json::Map<String, Value>,
    // As it stands: parsed and written again it could be another one.
    data: &'a RawValue,
}

/// Sends the selected events, in order, and says how many.
///
/// # Errors
/// When the log cannot be read, or the other side does not take an event.
pub fn replay_into(data_dir: &Path, selection: &Selection, target: &Target) -> Result<Sent, Failure> {
    let asking = Asking::new(&target.url, target.token.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|source| Failure::Io { action: "cannot start a runtime".to_owned(), source })?;
    let (reader, mut writer) =
        io::pipe().map_err(|source| Failure::Io { action: "cannot make a pipe".to_owned(), source })?;
    let bar = progress::bar(0, "events");
    let sent = std::thread::scope(|scope| {
        let read = scope.spawn(move || {
            let read = replay(data_dir, selection, &mut writer);
            let _ = writer.flush();
            read
        });
        let mut sender = Sender { asking: &asking, reserved: BTreeSet::new(), sent: Sent::default() };
        let sent = runtime.block_on(async {
            for line in BufReader::new(reader).lines() {
                let line =
                    line.map_err(|source| Failure::Io { action: "cannot read on".to_owned(), source })?;
                sender.take(&line).await?;
                bar.set_position(sender.sent.events + sender.sent.passed_over);
            }
            Ok::<_, Failure>(())
        });
        // With the reader gone the thread ends, too.
        let read =
            read.join().unwrap_or_else(|_| Err(Failure::Part("reading the log has panicked".to_owned())));
        sent?;
        read.map(|_| sender.sent)
    });
    bar.finish_and_clear();
    sent
}

struct Sender<'a> {
    asking: &'a Asking<'a>,
    /// Categories that the other side does not let anybody write.
    reserved: BTreeSet<String>,
    sent: Sent,
}

impl Sender<'_> {
    async fn take(&mut self, text: &str) -> Result<(), Failure> {
        let line: Line<'_> = serde_json::from_str(text)
            .map_err(|error| Failure::Part(format!("an event has another shape than expected: {error}")))?;
        // What is no JSON cannot be said in an append.
        let data = line.data.filter(|_| !self.reserved.contains(StreamId::category_of(&line.stream_id)));
        let Some(data) = data else {
            self.sent.passed_over += 1;
            return Ok(());
        };
        let mut metadata = serde_json::Map::new();
        for member in ["correlationId", "causationId", "occurredAt"] {
            if let Some(value) = line.metadata.get(member).filter(|value| !value.is_null()) {
                metadata.insert(member.to_owned(), value.clone());
            }
        }
        let event = Event {
            event_id: line.event_id,
            event_type: &line.event_type,
            schema_version: line.schema_version,
            // The other side puts the tenant's there itself.
            tags: line
                .tags
                .iter()
                .map(String::as_str)
                .filter(|tag| !tag.starts_with(tags::WORKSPACE))
                .collect(),
            metadata,
            data,
        };
        let event = serde_json::to_string(&event).map_err(|error| Failure::Part(error.to_string()))?;
        let tenant = line.tags.iter().find_map(|tag| tag.strip_prefix(tags::WORKSPACE));
        let tenant = tenant.map_or_else(String::new, |tenant| format!(",\"workspaceId\":\"{tenant}\""));
        let body = format!("{{\"events\":[{event}]{tenant}}}");
        let path = format!("/api/v1/streams/{}/events", escaped(&line.stream_id));
        let (status, answer) = self.asking.answer(Method::POST, &path, Some(Bytes::from(body))).await?;
        match status {
            status if status.is_success() => self.sent.events += 1,
            StatusCode::FORBIDDEN if answer["code"] == "reserved_stream" => {
                self.reserved.insert(StreamId::category_of(&line.stream_id).to_owned());
                self.sent.passed_over += 1;
            }
            status => return Err(self.asking.refused(status, &answer)),
        }
        Ok(())
    }
}

/// A name as a segment of a path.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path += &format!("%{byte:02X}");
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_paths() {
        assert_eq!(escaped("order-7"), "order-7");
        assert_eq!(escaped("a/b ü%"), "a%2Fb%20%C3%BC%25");
    }
}
