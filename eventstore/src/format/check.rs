//! What must hold for any bytes whatever, for tests and fuzzers: decoding never panics, and what decodes as sound is
//! encoded to the very same bytes again, so that no bit of it goes unseen.
//!
//! Each check looks at the bytes as they are and once more with their CRCs put right, so that what lies behind a CRC is
//! reached as well. It answers whether anything sound was found, or what does not hold.

use super::body::Body;
use super::bytes::{align8, put, u16_at, u32_at};
use super::event::{EventIter, EventView};
use super::frame::{self, CrcSeed, FRAME_HEADER_BYTES, FRAME_MAGIC, Frame, FrameKind};
use super::metadata::presence;
use super::segment_header::{FORMAT_VERSION, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::codec;
use crate::numbers::Version;

/// The salt of the frames that are checked; their offset is 0.
pub const SALT: [u8; 16] = [7; 16];

fn twice(
    bytes: &[u8],
    right: fn(&mut Vec<u8>),
    check: fn(&[u8]) -> Result<bool, String>,
) -> Result<bool, String> {
    let as_is = check(bytes)?;
    let mut bytes = bytes.to_vec();
    right(&mut bytes);
    Ok(check(&bytes)? || as_is)
}

/// A frame at the start of the bytes, with its events and commands.
///
/// # Errors
/// What does not hold.
pub fn frame(bytes: &[u8]) -> Result<bool, String> {
    twice(bytes, right_frame, frame_as_is)
}

/// Puts magic and CRCs of a frame right, as far as its lengths lie within the bytes.
pub fn right_frame(bytes: &mut Vec<u8>) {
    if bytes.len() < FRAME_HEADER_BYTES {
        return;
    }
    put(bytes, 0, &FRAME_MAGIC);
    let header_len = FRAME_HEADER_BYTES + 8 * usize::from(u16_at(bytes, 18).unwrap_or_default());
    let body_len = u32_at(bytes, 12).unwrap_or_default() as usize;
    let Some(body) = bytes.get(header_len..).and_then(|rest| rest.get(..body_len)) else { return };
    let crc = crc32fast::hash(body);
    put(bytes, 8, &crc.to_le_bytes());
    let crc = CrcSeed::new(&SALT).header_crc(0, &bytes[..header_len]);
    put(bytes, 4, &crc.to_le_bytes());
    // Padding is part of what is written; bytes that end before it are only short of zeros.
    let padded = align8(header_len + body_len);
    if bytes.len() < padded {
        bytes.resize(padded, 0);
    }
}

fn frame_as_is(bytes: &[u8]) -> Result<bool, String> {
    let seed = CrcSeed::new(&SALT);
    let Ok(Some(frame)) = frame::decode(bytes, &seed, 0) else { return Ok(false) };
    let header = &frame.header;
    let base_versions: Option<Vec<Version>> =
        (0..usize::from(header.streams)).map(|stream| frame.base_version(stream)).collect();
    let base_versions = base_versions.ok_or("a sound frame lacks a base version")?;
    let mut again = Vec::new();
    frame::encode(&mut again, header, &base_versions, frame.body);
    let fixed = &mut again[..header.header_len()];
    frame::stamp(fixed, &seed, 0, header.durable_upto, header.durable_end);
    if bytes.get(..again.len()) != Some(&again) {
        return Err("a sound frame is encoded to other bytes".to_owned());
    }
    // The same bytes in another place, or behind another salt, are no frame.
    let mut moved = vec![0; 8];
    moved.extend_from_slice(&again);
    let elsewhere = frame::decode(&moved, &seed, 8);
    let other_life = frame::decode(&again, &CrcSeed::new(&[8; 16]), 0);
    if matches!(elsewhere, Ok(Some(_))) || matches!(other_life, Ok(Some(_))) {
        return Err("a frame passes for one in another place or of another life".to_owned());
    }
    match header.kind {
        FrameKind::Commit => body(frame),
        FrameKind::Mark | FrameKind::Seal => Ok(true),
    }
}

fn body(frame: Frame<'_>) -> Result<bool, String> {
    let Ok(body) = Body::decode(frame.body) else { return Ok(false) };
    let (commands, checked) = (body.commands(), body.check_commands(frame.header.events));
    if let Ok(commands) = &commands {
        let again = codec::encode(commands).map_err(|error| error.to_string())?;
        if !body.command_table.is_empty() && again != body.command_table {
            return Err("a sound command table is encoded to other bytes".to_owned());
        }
    }
    if checked.is_ok() && commands.is_err() {
        return Err("a sound command table cannot be read".to_owned());
    }
    if commands.iter().flatten().any(|command| command.outcome > 1) {
        return Err("a command of no known outcome can be read".to_owned());
    }
    let Ok(events) = EventIter::new(frame) else { return Ok(false) };
    let Ok(events) = events.collect::<Result<Vec<_>, _>>() else { return Ok(false) };
    if events.len() != frame.header.events as usize {
        return Err(format!("{} events, but the header says {}", events.len(), frame.header.events));
    }
    let mut again = Vec::with_capacity(frame.body.len());
    let mut streams = Vec::new();
    for entry in body.streams() {
        streams.extend_from_slice(entry.map_err(|error| format!("a sound stream table: {error}"))?);
    }
    let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    again.extend(narrow(streams.len()));
    again.extend(narrow(body.command_table.len()));
    again.extend(streams);
    again.extend(body.command_table);
    events.iter().for_each(|event| put_event(&mut again, event));
    if again == frame.body {
        Ok(commands.is_ok())
    } else {
        Err("sound events are encoded to other bytes".to_owned())
    }
}

/// Encodes an event by what its view tells of it.
fn put_event(out: &mut Vec<u8>, event: &EventView<'_>) {
    let metadata = event.metadata().to_owned();
    let mut present = 0;
    let mut metadata_bytes = Vec::new();
    let mut field = |bit, bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            present |= bit;
            metadata_bytes.extend_from_slice(bytes);
        }
    };
    field(presence::CORRELATION, metadata.correlation_id.as_ref().map(|id| &id.as_bytes()[..]));
    field(presence::CAUSATION, metadata.causation_id.as_ref().map(|id| &id.as_bytes()[..]));
    field(presence::COMMAND, metadata.command_id.as_ref().map(|id| &id.as_bytes()[..]));
    field(presence::TRACEPARENT, metadata.traceparent.as_ref().map(|trace| &trace[..]));
    let occurred = metadata.occurred_at.map(|at| at.get().to_le_bytes());
    field(presence::OCCURRED_AT, occurred.as_ref().map(|at| &at[..]));
    field(presence::EXTRAS, Some(&metadata.extras[..]).filter(|extras| !extras.is_empty()));

    let mut tags = Vec::new();
    let mut count = 0_u8;
    for tag in event.tags() {
        tags.push(u8::try_from(tag.len()).unwrap_or(u8::MAX));
        tags.extend_from_slice(tag.as_bytes());
        count += 1;
    }
    let name = event.event_type();
    let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let len = super::event::EVENT_HEADER_BYTES
        + name.len()
        + tags.len()
        + metadata_bytes.len()
        + event.payload().len();
    out.extend(narrow(len));
    out.extend(narrow(event.payload().len()));
    out.extend(event.id().as_bytes());
    out.extend(u16::try_from(event.stream_index()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(event.schema_version().to_le_bytes());
    out.extend(event.ordinal().to_le_bytes());
    out.push(event.content_type() as u8);
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend([count, present]);
    out.extend(event.key_id().to_le_bytes());
    out.extend(narrow(tags.len()));
    out.extend(narrow(metadata_bytes.len()));
    out.extend(name.as_bytes());
    out.extend(tags);
    out.extend(metadata_bytes);
    out.extend(event.payload());
}

/// A segment header at the start of the bytes.
///
/// # Errors
/// What does not hold.
pub fn segment_header(bytes: &[u8]) -> Result<bool, String> {
    twice(bytes, |bytes| right_segment_header(bytes), segment_header_as_is)
}

/// Puts the CRC of a segment header right.
pub fn right_segment_header(bytes: &mut [u8]) {
    if let Some(header) = bytes.get_mut(..SEGMENT_HEADER_BYTES) {
        let crc_at = SEGMENT_HEADER_BYTES - 4;
        let crc = crc32fast::hash(&header[..crc_at]);
        put(header, crc_at, &crc.to_le_bytes());
    }
}

fn segment_header_as_is(bytes: &[u8]) -> Result<bool, String> {
    let Ok(Some(header)) = SegmentHeader::decode(bytes) else { return Ok(false) };
    let again = header.encode();
    // Another version than ours may be readable all the same; everything else must be the same.
    let is_ours = u32_at(bytes, 8) == Ok(FORMAT_VERSION) && u32_at(bytes, 12) == Ok(FORMAT_VERSION);
    let same = again[16..SEGMENT_HEADER_BYTES - 4] == bytes[16..SEGMENT_HEADER_BYTES - 4]
        && (!is_ours || again == bytes[..SEGMENT_HEADER_BYTES]);
    if same { Ok(true) } else { Err("a sound segment header is encoded to other bytes".to_owned()) }
}
