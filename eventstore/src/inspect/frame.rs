//! One frame, byte by byte, as `FORMAT.md` lays it out.

use super::fields::{Field, Names, number};
use crate::error::OpenError;
use crate::format::frame::{self, CrcSeed, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameKind};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::limits::{COMMIT_COMMANDS_MAX, COMMIT_EVENTS_MAX, COMMIT_STREAMS_MAX};
use crate::numbers::LogOffset;
use crate::segment::{self, Segment, SegmentFile};
use crate::storage::Environment;
use serde::Serialize;
use std::path::Path;
use uuid::Uuid;

/// A frame, or what stands where one should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FrameFacts {
    /// The segment.
    pub segment: u32,
    /// Where it begins in the segment's file.
    pub offset: u64,
    /// How long it is, as its header says, bytes.
    pub length: u64,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its bytes, named. Of what is not sound they are what they would be.
    pub fields: Vec<Field>,
}

/// The frame that begins at a place.
///
/// # Errors
/// When there is no such segment, its header cannot be used, or the place is not one where a frame could begin.
pub fn frame(environment: &Environment, data_dir: &Path, place: LogOffset) -> Result<FrameFacts, OpenError> {
    let log_dir = data_dir.join("log");
    let (sequence, offset) = (place.segment(), place.offset());
    let bad = |reason: String| OpenError::BadSegment { segment: sequence, reason };
    let segment = match Segment::open(&environment.storage, &log_dir, sequence)? {
        SegmentFile::Used(segment) => segment,
        SegmentFile::Prepared => return Err(bad("it is prepared and holds no frames".to_owned())),
        SegmentFile::Broken(error) => return Err(bad(error.to_string())),
    };
    if offset < SEGMENT_HEADER_BYTES as u64 || offset >= segment.len() {
        let (first, end) = (SEGMENT_HEADER_BYTES, segment.len());
        return Err(OpenError::Setting(format!(
            "{}: frames are at multiples of 8 from {first} to {end}",
            segment::path(&log_dir, sequence).display()
        )));
    }
    let need = |length| {
        segment
            .fault_in(offset, length)
            .map_err(|error| OpenError::no_bytes(sequence, error))
            .map(|()| length)
    };
    let header = need((FRAME_HEADER_BYTES as u64).min(segment.len() - offset))?;
    let length = need(frame::claimed_len(segment.bytes(), offset).max(header).min(segment.len() - offset))?;
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    let bytes = segment.bytes().get(at..).unwrap_or_default();
    let bytes = &bytes[..bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
    let seed = CrcSeed::new(&segment.header.salt);
    let problem = match frame::decode(segment.bytes(), &seed, offset) {
        Ok(Some(_)) => None,
        Ok(None) => Some("nothing has been written here".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let mut names = Names::new(bytes, offset);
    named(&mut names);
    Ok(FrameFacts { segment: sequence, offset, length, problem, fields: names.fields })
}

fn named(names: &mut Names<'_>) {
    names.take(
        4,
        "magic",
        |bytes| {
            if bytes == FRAME_MAGIC { "SFRM".to_owned() } else { "not SFRM".to_owned() }
        },
    );
    names.take(4, "header CRC", |bytes| format!("{:08x}", number(bytes)));
    names.take(4, "body CRC", |bytes| format!("{:08x}", number(bytes)));
    let body_len = names.number(4, "body length");
    let kind = names.take(1, "kind", |bytes| {
        match bytes.first() {
            Some(1) => "commit",
            Some(2) => "mark",
            Some(3) => "seal",
            _ => "unknown",
        }
        .to_owned()
    });
    let is_commit = kind.first() == Some(&(FrameKind::Commit as u8));
    names.number(1, "flags");
    let streams = names.number(2, "streams touched");
    let events = names.number(4, "events");
    names.number(4, "writer epoch");
    names.number(4, "zero");
    let first = names.number(8, "first position");
    names.take(8, "recorded at, ns since 1970", |bytes| number(bytes).cast_signed().to_string());
    names.number(8, "durable upto");
    names.take(8, "durable end", |bytes| LogOffset::from_bits(number(bytes)).to_string());
    names.take(32, "chain", |bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    for index in 0..streams.min(COMMIT_STREAMS_MAX as u64) {
        names.number(8, format!("base version of stream {index}"));
    }
    let body_end = names.at() + usize::try_from(body_len).unwrap_or(usize::MAX - names.at());
    if is_commit {
        body(names, first, events, body_end);
    }
    let rest = body_end.saturating_sub(names.at());
    if rest > 0 {
        names.opaque(rest, "rest of the body");
    }
    names.opaque(usize::MAX - names.at(), "padding");
}

fn body(names: &mut Names<'_>, first: u64, events: u64, end: usize) {
    let streams_len = names.number(4, "length of the stream table");
    let commands_len = names.number(4, "length of the command table");
    let table_end = names.at() + usize::try_from(streams_len).unwrap_or(0);
    for index in 0..COMMIT_STREAMS_MAX {
        if names.at() >= table_end.min(end) {
            break;
        }
        let len = names.number(1, format!("stream {index}: length"));
        names.text(usize::try_from(len).unwrap_or(0), format!("stream {index}: name"));
    }
    let commands_end = names.at() + usize::try_from(commands_len).unwrap_or(0);
    if commands_len > 0 {
        names.number(8, "number of commands");
        for index in 0..COMMIT_COMMANDS_MAX {
            if names.at() >= commands_end.min(end) {
                break;
            }
            names.take(16, format!("command {index}: id"), uuid);
            names.take(16, format!("command {index}: fingerprint"), uuid);
            names.take(1, format!("command {index}: outcome"), |bytes| {
                match bytes.first() {
                    Some(0) => "applied",
                    Some(1) => "unchanged",
                    _ => "unknown",
                }
                .to_owned()
            });
            names.number(4, format!("command {index}: first event"));
            names.number(4, format!("command {index}: events"));
        }
    }
    for index in 0..events.min(COMMIT_EVENTS_MAX as u64) {
        if names.at() >= end {
            break;
        }
        event(names, first.wrapping_add(index));
    }
}

fn event(names: &mut Names<'_>, position: u64) {
    let of = |name: &str| format!("event {position}: {name}");
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    names.number(4, of("record length"));
    let payload_len = names.number(4, of("payload length"));
    names.take(16, of("id"), uuid);
    names.number(2, of("index of its stream"));
    names.number(2, of("schema version"));
    names.number(4, of("ordinal in its stream"));
    names.take(1, of("content type"), |bytes| {
        if bytes == [1] { "JSON".to_owned() } else { number(bytes).to_string() }
    });
    let type_len = names.number(1, of("type length"));
    let tags = names.number(1, of("tags"));
    let presence = names.number(1, of("metadata presence bits"));
    names.number(4, of("key id"));
    names.number(4, of("tags length"));
    let metadata_len = names.number(4, of("metadata length"));
    names.text(size(type_len), of("type"));
    for tag in 0..tags {
        let len = names.number(1, of(&format!("tag {tag}: length")));
        names.text(size(len), of(&format!("tag {tag}")));
    }
    let metadata_end = names.at().saturating_add(size(metadata_len));
    for (bit, len, name) in [
        (0, 16, "correlation id"),
        (1, 16, "causation id"),
        (2, 16, "command id"),
        (3, 25, "traceparent"),
        (4, 8, "occurred at, ns since 1970"),
    ] {
        if presence & 1 << bit != 0 && names.at() + len <= metadata_end {
            names.take(len, of(name), |bytes| match bytes.len() {
                16 => uuid(bytes),
                8 => number(bytes).cast_signed().to_string(),
                _ => format!("{} bytes", bytes.len()),
            });
        }
    }
    names.text(metadata_end.saturating_sub(names.at()), of("extras"));
    names.text(size(payload_len), of("payload"));
}

fn uuid(bytes: &[u8]) -> String {
    Uuid::from_slice(bytes).map_or_else(|_| "cut off".to_owned(), |uuid| uuid.to_string())
}
