//! An event as the API gives it out: one JSON object, written straight from the log's bytes.
//!
//! Invariant: `data` is the payload byte for byte as stored, never parsed and printed again (but for line ends between its
//! tokens, where an envelope has to be one line). A payload that is not
//! JSON (bytes of a raw stream, or ones that only claim to be JSON) is given as `dataBase64` instead, so that the
//! envelope is valid JSON whatever stands in the log.
//!
//! What a payload means is not known here.

use crate::rfc3339::Rfc3339;
use domain::Extras;
use eventstore::{ContentType, EventView, MetadataView, TraceParent};
use serde::Serialize;
use serde_json::value::RawValue;
use std::fmt;

mod members;

pub use members::Members;

/// Appends the event's envelope to `out`, without a line end.
pub fn write_event(out: &mut Vec<u8>, event: &EventView<'_>) {
    write_members(out, event, Members::ALL);
}

/// Appends the members of the event's envelope to `out` as one line, its end included.
pub fn write_line(out: &mut Vec<u8>, event: &EventView<'_>, members: Members) {
    let start = out.len();
    write_members(out, event, members);
    in_one_line(&mut out[start..]);
    out.push(b'\n');
}

/// In JSON a line end stands between tokens only, where a space is as good.
pub(crate) fn in_one_line(json: &mut [u8]) {
    let mut rest = json;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        rest[at] = b' ';
        rest = &mut rest[at + 1..];
    }
}

fn write_members(out: &mut Vec<u8>, event: &EventView<'_>, members: Members) {
    out.reserve(512 + event.payload().len());
    let stream = event.stream();
    // Every member begins with a comma; the first one's becomes the brace.
    let start = out.len();
    let wants = |member| members.contain(member);
    if wants(Members::EVENT_ID) {
        member(out, b",\"eventId\":", &event.id());
    }
    if wants(Members::TYPE) {
        member(out, b",\"type\":", event.event_type());
    }
    if wants(Members::STREAM_ID) {
        member(out, b",\"streamId\":", stream);
    }
    if wants(Members::AGGREGATE_TYPE) || wants(Members::AGGREGATE_ID) {
        let (category, id) = stream.split_once('-').unwrap_or((stream, ""));
        if wants(Members::AGGREGATE_TYPE) {
            member(out, b",\"aggregateType\":", category);
        }
        if wants(Members::AGGREGATE_ID) {
            member(out, b",\"aggregateId\":", id);
        }
    }
    if wants(Members::VERSION) {
        member(out, b",\"version\":", &event.version());
    }
    if wants(Members::POSITION) {
        member(out, b",\"position\":", &event.position());
    }
    if wants(Members::TIME) {
        member(out, b",\"time\":", &Rfc3339(event.recorded_at()));
    }
    if wants(Members::SCHEMA_VERSION) {
        member(out, b",\"schemaVersion\":", &event.schema_version());
    }
    if wants(Members::TAGS) {
        write_tags(out, event);
    }
    if wants(Members::DATA) {
        write_payload(out, event);
    }
    if wants(Members::METADATA) {
        out.extend_from_slice(b",\"metadata\":");
        write_metadata(out, &event.metadata());
    }
    match out.get_mut(start) {
        Some(first) => *first = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

fn write_tags(out: &mut Vec<u8>, event: &EventView<'_>) {
    out.extend_from_slice(b",\"tags\":[");
    for (index, tag) in event.tags().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value(out, tag);
    }
    out.push(b']');
}

fn write_payload(out: &mut Vec<u8>, event: &EventView<'_>) {
    let payload = event.payload();
    // An encrypted payload is not JSON any more, whatever it was; and the log never looked inside a plain one.
    let is_json = event.content_type() == ContentType::Json
        && event.key_id() == 0
        && serde_json::from_slice::<&RawValue>(payload).is_ok();
    if is_json {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(payload);
    } else {
        out.extend_from_slice(b",\"dataBase64\":\"");
        write_base64(out, payload);
        out.push(b'"');
    }
}

fn write_metadata(out: &mut Vec<u8>, metadata: &MetadataView<'_>) {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Members<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        correlation_id: Option<uuid::Uuid>,
        #[serde(skip_serializing_if = "Option::is_none")]
        causation_id: Option<uuid::Uuid>,
        #[serde(skip_serializing_if = "Option::is_none")]
        command_id: Option<Text<eventstore::CommandId>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<Text<W3cTrace>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        occurred_at: Option<Rfc3339>,
    }
    // The extras of raw streams are their producer's own and may be anything; then nobody is named.
    let extras = Extras::decode(metadata.extras()).ok();
    let members = Members {
        actor: extras.as_ref().map(Extras::actor),
        on_behalf_of: extras.as_ref().and_then(Extras::on_behalf_of),
        correlation_id: metadata.correlation_id(),
        causation_id: metadata.causation_id(),
        command_id: metadata.command_id().map(Text),
        source: extras.as_ref().and_then(Extras::source),
        traceparent: metadata.traceparent().map(|trace| Text(W3cTrace(trace))),
        occurred_at: metadata.occurred_at().map(Rfc3339),
    };
    value(out, &members);
}

/// Anything that is shown as text, as a JSON string.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A trace context in the form of the W3C's `traceparent` header, version 00.
struct W3cTrace(TraceParent);

impl fmt::Display for W3cTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex =
            |f: &mut fmt::Formatter<'_>, bytes: &[u8]| bytes.iter().try_for_each(|b| write!(f, "{b:02x}"));
        f.write_str("00-")?;
        hex(f, &self.0[..16])?;
        f.write_str("-")?;
        hex(f, &self.0[16..24])?;
        f.write_str("-")?;
        hex(f, &self.0[24..])
    }
}

/// `name` with the comma before it, in quotation marks, and with its colon: names are ours, plain letters.
fn member<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &[u8], content: &T) {
    out.extend_from_slice(name);
    value(out, content);
}

fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, content: &T) {
    let start = out.len();
    // A vector takes all bytes and what comes here are texts and numbers, so this cannot fail; if it ever did, the
    // envelope would still be JSON.
    if serde_json::to_writer(&mut *out, content).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// RFC 4648 §4 with padding.
fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| DIGITS[(bits & 63) as usize];
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        out.push(digit(bits >> 18));
        out.push(digit(bits >> 12));
        out.push(if chunk.len() > 1 { digit(bits >> 6) } else { b'=' });
        out.push(if chunk.len() > 2 { digit(bits) } else { b'=' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            write_base64(&mut out, bytes.as_bytes());
            assert_eq!(out, text.as_bytes());
        }
        let mut out = Vec::new();
        write_base64(&mut out, &[0xff, 0xfe, 0xfb]);
        assert_eq!(out, b"//77");
    }

    #[test]
    fn a_trace_is_written_as_its_header() {
        let mut trace = [0x11; 25];
        trace[16..24].fill(0x22);
        trace[24] = 1;
        let text = W3cTrace(trace).to_string();
        assert_eq!(text, "00-11111111111111111111111111111111-2222222222222222-01");
    }
}
