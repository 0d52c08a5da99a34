//! Events of a commit, decoded: views into the mapped bytes, checked once so that access cannot fail.

use super::FormatError;
use super::body::{Body, StreamTable};
use super::bytes::{array, slice, u16_at, u32_at};
use super::frame::Frame;
use super::metadata::{MetadataView, presence};
use crate::event::ContentType;
use crate::limits::TAGS_MAX;
use crate::numbers::{Position, Timestamp, Version};
use uuid::Uuid;

/// Length of the fixed part of an event's record, bytes.
pub const EVENT_HEADER_BYTES: usize = 48;

/// A recorded event, as a view of the mapped log. Cheap to copy; every access is a slice.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    record: &'a [u8],
    /// With its length prefix.
    stream: &'a [u8],
    position: Position,
    version: Version,
    recorded_at: Timestamp,
    content_type: ContentType,
    tags_at: u32,
    metadata_at: u32,
    payload_at: u32,
}

impl<'a> EventView<'a> {
    /// Checks the record at the start of `bytes`; returns it with the rest.
    fn decode(
        bytes: &'a [u8],
        frame: &Frame<'a>,
        index: u32,
        streams: &StreamList<'a>,
    ) -> Result<(Self, &'a [u8]), FormatError> {
        let record_len = u32_at(bytes, 0)? as usize;
        let record = slice(bytes, 0, record_len)?;
        let stream_index = usize::from(u16_at(record, 24)?);
        let stream =
            streams.get(stream_index).ok_or(FormatError("an event of a stream that is not in the table"))?;
        let base = frame.base_version(stream_index).ok_or(FormatError("a stream without a base version"))?;
        let header: [u8; EVENT_HEADER_BYTES] = array(record, 0)?;
        let content_type =
            ContentType::from_byte(header[32]).ok_or(FormatError("an unknown content type"))?;
        if usize::from(header[34]) > TAGS_MAX {
            return Err(FormatError("an event with too many tags"));
        }
        if header[35] & !presence::ALL != 0 {
            return Err(FormatError("an event with unknown metadata"));
        }
        let ordinal = u32_at(record, 28)?;
        let tags_at = EVENT_HEADER_BYTES + usize::from(header[33]);
        let metadata_at =
            tags_at.checked_add(u32_at(record, 40)? as usize).ok_or(FormatError("a length overflows"))?;
        let payload_at =
            metadata_at.checked_add(u32_at(record, 44)? as usize).ok_or(FormatError("a length overflows"))?;
        if payload_at.checked_add(u32_at(record, 4)? as usize) != Some(record_len) {
            return Err(FormatError("the parts of an event do not add up to its length"));
        }
        // One look at all names: nearly all are ASCII, and so are their lengths.
        let is_ascii = slice(record, EVENT_HEADER_BYTES, metadata_at - EVENT_HEADER_BYTES)?.is_ascii();
        let event_type = slice(record, EVENT_HEADER_BYTES, tags_at - EVENT_HEADER_BYTES)?;
        if !is_ascii && std::str::from_utf8(event_type).is_err() {
            return Err(FormatError("an event type is not UTF-8"));
        }
        let mut tags = slice(record, tags_at, metadata_at - tags_at)?;
        for _ in 0..header[34] {
            let len = usize::from(*tags.first().ok_or(FormatError("the tags end early"))?);
            let (tag, rest) = tags.split_at_checked(len + 1).ok_or(FormatError("the tags end early"))?;
            if !is_ascii && std::str::from_utf8(&tag[1..]).is_err() {
                return Err(FormatError("a tag is not UTF-8"));
            }
            tags = rest;
        }
        if !tags.is_empty() {
            return Err(FormatError("bytes are left over after the tags"));
        }
        let metadata = MetadataView::new(header[35], slice(record, metadata_at, payload_at - metadata_at)?);
        metadata.check()?;
        let narrow = |at: usize| u32::try_from(at).map_err(|_| FormatError("an event is too long"));
        let view = Self {
            record,
            stream,
            position: frame.header.first.plus(u64::from(index)),
            version: base.plus(u64::from(ordinal)),
            recorded_at: frame.header.recorded_at,
            content_type,
            tags_at: narrow(tags_at)?,
            metadata_at: narrow(metadata_at)?,
            payload_at: narrow(payload_at)?,
        };
        Ok((view, &bytes[record_len..]))
    }

    /// The record at `at` of a body that was checked before, without checking everything again. `stream` is where its
    /// stream's entry is.
    pub(crate) fn again(frame: &Frame<'a>, at: usize, index: u32, stream: usize) -> Option<Self> {
        let record = frame.body.get(at..)?;
        let header = record.first_chunk::<EVENT_HEADER_BYTES>()?;
        let record = record.get(..u32_at(header, 0).ok()? as usize)?;
        let stream_len = usize::from(*frame.body.get(stream)?) + 1;
        let tags_at = EVENT_HEADER_BYTES + usize::from(header[33]);
        let metadata_at = tags_at + u32_at(header, 40).ok()? as usize;
        let payload_at = metadata_at + u32_at(header, 44).ok()? as usize;
        if payload_at > record.len() {
            return None;
        }
        let base = frame.base_version(usize::from(u16_at(header, 24).ok()?))?;
        Some(Self {
            record,
            stream: frame.body.get(stream..stream + stream_len)?,
            position: frame.header.first.plus(u64::from(index)),
            version: base.plus(u64::from(u32_at(header, 28).ok()?)),
            recorded_at: frame.header.recorded_at,
            content_type: ContentType::from_byte(header[32])?,
            tags_at: u32::try_from(tags_at).ok()?,
            metadata_at: u32::try_from(metadata_at).ok()?,
            payload_at: u32::try_from(payload_at).ok()?,
        })
    }

    /// Global position.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Version in its stream.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// When the log took it in.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The event's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        Uuid::from_bytes(array(self.record, 8).unwrap_or_default())
    }

    /// The stream's id.
    #[must_use]
    pub fn stream(&self) -> &'a str {
        text(&self.stream[1..])
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &'a str {
        text(self.type_bytes())
    }

    /// How the payload is to be read.
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        self.content_type
    }

    /// Version of the payload's shape.
    #[must_use]
    pub fn schema_version(&self) -> u16 {
        u16_at(self.record, 26).unwrap_or_default()
    }

    /// Key that the payload is encrypted with; 0 = plain.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        u32_at(self.record, 36).unwrap_or_default()
    }

    /// Its tags, in the order they were given.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.prefixed_tags();
        std::iter::from_fn(move || {
            let len = usize::from(*rest.first()?);
            let (tag, after) = rest.split_at_checked(len + 1)?;
            rest = after;
            Some(text(&tag[1..]))
        })
    }

    /// What is known besides.
    #[must_use]
    pub fn metadata(&self) -> MetadataView<'a> {
        MetadataView::new(self.record[35], &self.record[self.metadata_at as usize..self.payload_at as usize])
    }

    /// The event itself, byte for byte as stored.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.record[self.payload_at as usize..]
    }

    /// Number among this commit's events of the same stream.
    pub(crate) fn ordinal(&self) -> u32 {
        u32_at(self.record, 28).unwrap_or_default()
    }

    pub(crate) fn stream_index(&self) -> usize {
        usize::from(u16_at(self.record, 24).unwrap_or_default())
    }

    pub(crate) fn prefixed_stream(&self) -> &'a [u8] {
        self.stream
    }

    pub(crate) fn prefixed_tags(&self) -> &'a [u8] {
        &self.record[self.tags_at as usize..self.metadata_at as usize]
    }

    pub(crate) fn tag_count(&self) -> u8 {
        self.record[34]
    }

    pub(crate) fn type_bytes(&self) -> &'a [u8] {
        &self.record[EVENT_HEADER_BYTES..self.tags_at as usize]
    }

    pub(crate) fn type_len(&self) -> u8 {
        self.record[33]
    }
}

/// UTF-8 that was checked when the record was decoded. Should memory rot under us, an empty text is still no panic.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// The stream table of one commit. Nearly every commit touches one stream, which then costs no allocation.
#[derive(Debug, Clone)]
enum StreamList<'a> {
    One(&'a [u8]),
    Many(Vec<&'a [u8]>),
}

impl<'a> StreamList<'a> {
    fn new(mut table: StreamTable<'a>, count: usize) -> Result<Self, FormatError> {
        if count == 1 {
            let only = table.next().ok_or(FormatError("the stream table ends early"))??;
            return if table.next().is_none() {
                Ok(Self::One(only))
            } else {
                Err(FormatError(EXTRA_STREAMS))
            };
        }
        let all = table.collect::<Result<Vec<_>, _>>()?;
        if all.len() == count { Ok(Self::Many(all)) } else { Err(FormatError(EXTRA_STREAMS)) }
    }

    fn get(&self, index: usize) -> Option<&'a [u8]> {
        match self {
            Self::One(only) => (index == 0).then_some(*only),
            Self::Many(all) => all.get(index).copied(),
        }
    }
}

const EXTRA_STREAMS: &str = "the stream table does not have as many streams as the header says";

/// Iterates over a commit's events; a malformed one ends it with an error.
#[derive(Debug, Clone)]
pub(crate) struct EventIter<'a> {
    frame: Frame<'a>,
    streams: StreamList<'a>,
    rest: &'a [u8],
    index: u32,
}

impl<'a> EventIter<'a> {
    pub(crate) fn new(frame: Frame<'a>) -> Result<Self, FormatError> {
        let body = Body::decode(frame.body)?;
        let streams = StreamList::new(body.streams(), usize::from(frame.header.streams))?;
        Ok(Self { frame, streams, rest: body.events(), index: 0 })
    }
}

impl<'a> Iterator for EventIter<'a> {
    type Item = Result<EventView<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.frame.header.events {
            if self.rest.is_empty() {
                return None;
            }
            self.rest = &[];
            return Some(Err(FormatError("bytes are left over after the events")));
        }
        match EventView::decode(self.rest, &self.frame, self.index, &self.streams) {
            Ok((view, rest)) => {
                self.rest = rest;
                self.index += 1;
                Some(Ok(view))
            }
            Err(error) => {
                self.index = self.frame.header.events;
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}
