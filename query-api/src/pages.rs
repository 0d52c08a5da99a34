//! Pages of events, read from the log: everything by position, or one stream by version.
//!
//! Invariants: a page ends after its limit of events, after [`PAGE_BYTES_MAX`] (but never before its first event),
//! or after [`SCAN_EVENTS_MAX`] events were looked at, so that no filter makes one request read the whole log.
//! `next` always lies behind what was looked at: who follows it gets everything once and comes to the end.
//!
//! Everything here touches mapped pages, which may have to come from the disk: call it on blocking threads.

use crate::audience::Audience;
use crate::envelope::{Event, write_event};
use eventstore::{
    Direction, EventType, EventView, Log, Position, ReadError, RecordedEvent, StreamId, Tag, Version,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::io::Write;

/// A page is closed once it has this many bytes.
pub(crate) const PAGE_BYTES_MAX: usize = 8 << 20;
/// A page is closed once this many events were looked at.
pub(crate) const SCAN_EVENTS_MAX: usize = 50_000;
/// Events of one stream that are fetched at a time.
const STREAM_CHUNK: usize = 1_000;

/// Which events are wanted; what is not said does not matter.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) event_type: Option<EventType>,
    pub(crate) stream: Option<StreamId>,
    pub(crate) tag: Option<Tag>,
}

impl Filter {
    fn wants(&self, event: &EventView<'_>) -> bool {
        self.event_type.as_ref().is_none_or(|wanted| wanted.as_str() == event.event_type())
            && self.stream.as_ref().is_none_or(|wanted| wanted.as_str() == event.stream())
            && self.tag.as_ref().is_none_or(|wanted| event.tags().any(|tag| tag == wanted.as_str()))
    }
}

/// A page as JSON, and how many events the log had when it was read.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    pub(crate) position: Position,
}

/// What [`events`] writes.
pub(crate) struct EventPage;

impl JsonSchema for EventPage {
    fn schema_name() -> Cow<'static, str> {
        "EventPage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["events", "next", "end"],
            "properties": {
                "events": {"type": "array", "items": generator.subschema_for::<Event>()},
                "next": {"type": "integer", "minimum": 0, "description": "The position to go on from."},
                "end": {"type": "boolean", "description": "Whether the log ends there, for now."},
            },
        })
    }
}

/// What [`stream`] writes.
pub(crate) struct StreamPage;

impl JsonSchema for StreamPage {
    fn schema_name() -> Cow<'static, str> {
        "StreamPage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["streamId", "version", "events", "next", "end"],
            "properties": {
                "streamId": {"type": "string"},
                "version": {"type": "integer", "minimum": 0, "description": "The newest one of the stream."},
                "events": {"type": "array", "items": generator.subschema_for::<Event>()},
                "next": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "description": "The version to go on from; nothing below version 0.",
                },
                "end": {"type": "boolean", "description": "Whether the stream ends there, for now."},
            },
        })
    }
}

/// `{"events":[…],"next":<position>,"end":<whether the log ends here>}`.
///
/// Nothing in it, `next` included, depends on events that the audience does not see.
pub(crate) fn events(
    log: &Log,
    from: Position,
    limit: usize,
    filter: &Filter,
    audience: &Audience,
) -> Result<Page, ReadError> {
    let watermark = log.watermark();
    let mut page = Open::new(limit, b"{\"events\":[".to_vec(), audience);
    let is_empty = match (&filter.tag, &filter.stream) {
        // Whether there is such a tag would tell of other tenants' things.
        (Some(tag), _) if audience.sees_all() => log.newest_with_tag(tag)?.is_none_or(|newest| newest < from),
        (_, Some(stream)) => !audience.sees_stream(log, stream)?,
        _ => false,
    };
    let (next, end) = if from >= watermark || is_empty {
        (from.max(watermark), true)
    } else if let Some(stream) = &filter.stream {
        stream_events_by_position(log, stream, from, filter, watermark, &mut page)?
    } else {
        all_events(log, from, filter, &mut page)?
    };
    let mut body = page.body;
    // A vector takes all bytes.
    let _ = write!(body, "],\"next\":{next},\"end\":{end}}}");
    Ok(Page { body, position: if from >= watermark { watermark } else { watermark.max(next) } })
}

/// `{"streamId":…,"version":<the newest>,"events":[…],"next":<version or null>,"end":<bool>}`; nothing where there is
/// no such stream. Without `from` it starts at the end that the direction comes from.
pub(crate) fn stream(
    log: &Log,
    stream: &StreamId,
    from: Option<Version>,
    direction: Direction,
    limit: usize,
    audience: &Audience,
) -> Result<Result<Page, Position>, ReadError> {
    let position = log.watermark();
    let head = if audience.sees_stream(log, stream)? { log.stream_version(stream)? } else { None };
    let Some(head) = head else { return Ok(Err(position)) };
    let mut page = Open::new(limit, Vec::new(), audience);
    let name = serde_json::to_string(stream.as_str()).unwrap_or_default();
    let _ = write!(page.body, "{{\"streamId\":{name},\"version\":{head},\"events\":[");
    let filter = Filter::default();
    let next = match direction {
        Direction::Forward => {
            let from = from.unwrap_or(Version::ZERO);
            let stop = head.plus(1);
            Some(page.take_forward(log, stream, from, stop, &filter)?.unwrap_or(from.max(stop)))
        }
        Direction::Backward => page.take_backward(log, stream, from.unwrap_or(head).min(head))?,
    };
    let end = next.is_none_or(|next| next > head);
    let next = next.map_or_else(|| "null".to_owned(), |next| next.to_string());
    let _ = write!(page.body, "],\"next\":{next},\"end\":{end}}}");
    Ok(Ok(Page { body: page.body, position: position.max(page.covered) }))
}

fn all_events(
    log: &Log,
    from: Position,
    filter: &Filter,
    page: &mut Open<'_>,
) -> Result<(Position, bool), ReadError> {
    let mut next = from;
    for commit in log.commits(from) {
        let commit = commit?;
        for event in commit.events().skip_while(|event| event.position() < from) {
            if page.is_closed() {
                return Ok((event.position(), false));
            }
            page.look_at(&event, filter);
        }
        next = next.max(commit.next());
    }
    Ok((next, true))
}

fn stream_events_by_position(
    log: &Log,
    stream: &StreamId,
    from: Position,
    filter: &Filter,
    watermark: Position,
    page: &mut Open<'_>,
) -> Result<(Position, bool), ReadError> {
    let Some(head) = log.stream_version(stream)? else { return Ok((watermark, true)) };
    let start = first_version_at(log, stream, from, head)?;
    let Some(open) = page.take_forward(log, stream, start, head.plus(1), filter)? else {
        return Ok((watermark.max(page.covered), true));
    };
    let next = position_of(log, stream, open)?.unwrap_or(watermark);
    Ok((next, false))
}

/// The stream's first version at or after a position, by bisection: versions and positions rise together.
fn first_version_at(
    log: &Log,
    stream: &StreamId,
    from: Position,
    head: Version,
) -> Result<Version, ReadError> {
    let (mut low, mut high) = (0, head.get() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match position_of(log, stream, Version::new(middle))? {
            Some(position) if position < from => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(Version::new(low))
}

fn position_of(log: &Log, stream: &StreamId, version: Version) -> Result<Option<Position>, ReadError> {
    let found = log.read_stream(stream, version, Direction::Forward, 1)?;
    Ok(found.first().and_then(RecordedEvent::get).map(|event| event.position()))
}

/// A page that is being written.
#[derive(Debug)]
struct Open<'a> {
    audience: &'a Audience,
    body: Vec<u8>,
    limit: usize,
    taken: usize,
    scanned: usize,
    /// The position after the last event that was looked at.
    covered: Position,
}

impl<'a> Open<'a> {
    fn new(limit: usize, body: Vec<u8>, audience: &'a Audience) -> Self {
        Self { audience, body, limit, taken: 0, scanned: 0, covered: Position::ZERO }
    }

    fn is_closed(&self) -> bool {
        self.taken >= self.limit
            || (self.taken > 0 && self.body.len() >= PAGE_BYTES_MAX)
            || self.scanned >= SCAN_EVENTS_MAX
    }

    fn look_at(&mut self, event: &EventView<'_>, filter: &Filter) {
        self.scanned += 1;
        self.covered = self.covered.max(event.position().plus(1));
        if filter.wants(event) && self.audience.sees_event(event) {
            if self.taken > 0 {
                self.body.push(b',');
            }
            self.taken += 1;
            write_event(&mut self.body, event);
        }
    }

    /// Takes a stream's events from `from` up to `stop`; says where to go on if the page was closed before.
    fn take_forward(
        &mut self,
        log: &Log,
        stream: &StreamId,
        from: Version,
        stop: Version,
        filter: &Filter,
    ) -> Result<Option<Version>, ReadError> {
        let mut next = from;
        while next < stop {
            let found = log.read_stream(stream, next, Direction::Forward, self.fetch())?;
            let before = next;
            for commit in commits_of(&found) {
                for event in of_stream(commit, stream).skip_while(|event| event.version() < before) {
                    if self.is_closed() {
                        return Ok(Some(event.version()));
                    }
                    if event.version() >= stop {
                        return Ok(None);
                    }
                    self.look_at(&event, filter);
                    next = event.version().plus(1);
                }
            }
            if next == before {
                break;
            }
        }
        Ok(None)
    }

    /// Takes a stream's events from `from` down; says where to go on if the page was closed before version 0.
    fn take_backward(
        &mut self,
        log: &Log,
        stream: &StreamId,
        from: Version,
    ) -> Result<Option<Version>, ReadError> {
        let filter = Filter::default();
        let mut from = from;
        loop {
            let found = log.read_stream(stream, from, Direction::Backward, self.fetch())?;
            let mut last = None;
            for commit in commits_of(&found) {
                let events: Vec<_> =
                    of_stream(commit, stream).filter(|event| event.version() <= from).collect();
                for event in events.iter().rev() {
                    if self.is_closed() {
                        return Ok(Some(event.version()));
                    }
                    self.look_at(event, &filter);
                    last = Some(event.version().get());
                }
            }
            match last.and_then(|version| version.checked_sub(1)) {
                Some(below) => from = Version::new(below),
                None => return Ok(None),
            }
        }
    }

    /// One more than the page needs, so that it is seen to be closed where the stream goes on.
    fn fetch(&self) -> usize {
        (self.limit - self.taken.min(self.limit)).saturating_add(1).min(STREAM_CHUNK)
    }
}

/// The commits that the events come from, each once: one walk through a commit finds all of its events.
fn commits_of(events: &[RecordedEvent]) -> impl Iterator<Item = &eventstore::RecordedCommit> {
    let mut last = None;
    events
        .iter()
        .map(RecordedEvent::commit)
        .filter(move |commit| last.replace(commit.place()) != Some(commit.place()))
}

fn of_stream<'a>(
    commit: &'a eventstore::RecordedCommit,
    stream: &'a StreamId,
) -> impl Iterator<Item = EventView<'a>> {
    commit.events().filter(|event| event.stream() == stream.as_str())
}
