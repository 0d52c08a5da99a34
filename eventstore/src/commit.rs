//! Making a commit: what is expected, what is guarded, what is appended. All encoding and hashing of the body
//! happens here, on the caller's thread, so that the one writer only has to stamp a header and link the chain.

use crate::codec;
use crate::digest::Batch;
use crate::error::CommitError;
use crate::event::{EventRef, Metadata, NewEvent};
use crate::format::body::{BODY_HEADER_BYTES, Body, CommandRecord};
use crate::format::event::{EVENT_HEADER_BYTES, EventIter};
use crate::format::frame::{Frame, FrameHeader, FrameKind, frame_len};
use crate::format::metadata::presence;
use crate::index::CommitSummary;
use crate::limits::{
    COMMIT_BYTES_MAX, COMMIT_COMMANDS_MAX, COMMIT_EVENTS_MAX, COMMIT_STREAMS_MAX, EVENT_BYTES_MAX, TAGS_MAX,
};
use crate::names::{CommandId, Fingerprint, StreamId, Tag};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::scratch;
use rustc_hash::FxHashMap;
use std::fmt;
use uuid::Uuid;

/// What the writer of a stream believes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpectedVersion {
    /// Nothing.
    #[default]
    Any,
    /// It does not exist.
    NoStream,
    /// It exists.
    StreamExists,
    /// Its last version is this one.
    Exact(Version),
}

impl ExpectedVersion {
    pub(crate) fn holds(self, current: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => current.is_none(),
            Self::StreamExists => current.is_some(),
            Self::Exact(version) => current == Some(version),
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no version"),
            Self::StreamExists => f.write_str("some version"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}

/// A condition on something that the commit does not write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Guard {
    /// The stream's last version is this one; `None` = it does not exist.
    StreamAt(StreamId, Option<Version>),
    /// No event with this tag is at or after this position: a dynamic consistency boundary.
    NoNewer(Tag, Position),
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamAt(stream, Some(version)) => write!(f, "guard: stream {stream} at version {version}"),
            Self::StreamAt(stream, None) => write!(f, "guard: no stream {stream}"),
            Self::NoNewer(tag, position) => write!(f, "guard: nothing tagged {tag} from position {position}"),
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It appended events.
    Applied,
    /// There was nothing to change; its id is remembered all the same.
    Unchanged,
}

/// A command's entry in the log's permanent memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Its id.
    pub id: CommandId,
    /// What it said.
    pub fingerprint: Fingerprint,
    /// What became of it.
    pub outcome: Outcome,
}

/// Collects one atomic append. Events are encoded as they come, so that nothing of theirs has to be kept.
#[derive(Debug, Default)]
pub struct CommitBuilder {
    expectations: Vec<(StreamId, ExpectedVersion)>,
    guards: Vec<Guard>,
    streams: TouchedStreams,
    /// The events' records, one after the other.
    records: Vec<u8>,
    ids: Vec<Uuid>,
    tags: Vec<(Tag, u64)>,
    tags_on_one: usize,
    commands: Vec<CommandRecord>,
    claimed: usize,
    /// The first limit that an event broke; it is told when the commit is prepared.
    broken: Option<CommitError>,
}

impl CommitBuilder {
    /// An empty commit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is believed about a stream that the commit writes.
    pub fn expect(&mut self, stream: StreamId, expected: ExpectedVersion) -> &mut Self {
        self.expectations.push((stream, expected));
        self
    }

    /// A condition on something that the commit does not write.
    pub fn guard(&mut self, guard: Guard) -> &mut Self {
        self.guards.push(guard);
        self
    }

    /// An event; events keep their order.
    #[expect(clippy::needless_pass_by_value, reason = "who makes an event for one commit is done with it")]
    pub fn event(&mut self, event: NewEvent) -> &mut Self {
        self.event_ref(&event.borrowed())
    }

    /// As [`CommitBuilder::event`], of what is at hand as slices: nothing is copied but into the commit.
    pub fn event_ref(&mut self, event: &EventRef<'_>) -> &mut Self {
        let index = self.ids.len();
        self.ids.push(event.id);
        self.tags_on_one = self.tags_on_one.max(event.tags.len());
        // What cannot become a commit any more is only counted.
        if self.broken.is_none() && index < COMMIT_EVENTS_MAX {
            self.broken = self.encode(event, index).err();
        }
        self
    }

    fn encode(&mut self, event: &EventRef<'_>, index: usize) -> Result<(), CommitError> {
        if self.records.capacity() == 0 {
            self.records = scratch::take();
        }
        let (stream, ordinal) = self.streams.place(event.stream)?;
        encode_event(&mut self.records, event, stream, ordinal, index)?;
        if self.records.len() > COMMIT_BYTES_MAX {
            return Err(CommitError::TooLarge { bytes: self.records.len(), max: COMMIT_BYTES_MAX });
        }
        self.tags.extend(event.tags.iter().map(|tag| (tag.clone(), index as u64)));
        Ok(())
    }

    /// A command to be remembered, with the events added since the last one.
    pub fn command(&mut self, command: Command) -> &mut Self {
        // Counts beyond u32 fail the limits in `prepare` long before they could be stored.
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.commands.push(CommandRecord {
            id: command.id,
            fingerprint: command.fingerprint,
            outcome: match command.outcome {
                Outcome::Applied => 0,
                Outcome::Unchanged => 1,
            },
            first_event: narrow(self.claimed),
            events: narrow(self.ids.len() - self.claimed),
        });
        self.claimed = self.ids.len();
        self
    }

    /// Encodes and hashes the commit's body.
    ///
    /// # Errors
    /// When a limit is broken, or an expectation names a stream that the commit does not write.
    pub fn prepare(self) -> Result<PreparedCommit, CommitError> {
        self.check_counts()?;
        let Self { expectations, guards, mut streams, records, ids, tags, commands, broken, .. } = self;
        if let Some(error) = broken {
            return Err(error);
        }
        for (stream, expected) in expectations {
            match streams.get_mut(&stream) {
                // The last word on a stream counts.
                Some(touched) => touched.expected = expected,
                None => return Err(CommitError::ExpectationWithoutEvent { stream }),
            }
        }
        let streams = streams.list;

        let body = encode_body(&streams, &commands, &records);
        scratch::give_back(records);
        if body.len() > COMMIT_BYTES_MAX {
            return Err(CommitError::TooLarge { bytes: body.len(), max: COMMIT_BYTES_MAX });
        }
        let mut prepared = PreparedCommit {
            body_crc: crc32fast::hash(&body),
            body,
            body_digest: Digest::default(),
            events: ids.len(),
            summary: CommitSummary::of_parts(
                streams.iter().map(|touched| (touched.id.as_str(), touched.events)),
                tags.iter().map(|(tag, index)| {
                    // The number of events is limited.
                    (tag.as_str(), u32::try_from(*index).unwrap_or(u32::MAX))
                }),
                commands.iter().map(|command| &command.id),
            ),
            streams,
            guards,
            commands,
            tags,
        };
        prepared.body_digest = prepared.digest_body();
        Ok(prepared)
    }

    fn check_counts(&self) -> Result<(), CommitError> {
        if self.ids.is_empty() && self.commands.is_empty() {
            return Err(CommitError::Empty);
        }
        for (what, count, max) in [
            ("events", self.ids.len(), COMMIT_EVENTS_MAX),
            ("commands", self.commands.len(), COMMIT_COMMANDS_MAX),
            ("tags on one event", self.tags_on_one, TAGS_MAX),
        ] {
            if count > max {
                return Err(CommitError::TooMany { what, count, max });
            }
        }
        for command in &self.commands {
            if (command.outcome == 0) == (command.events == 0) {
                let outcome = if command.outcome == 0 { "applied" } else { "unchanged" };
                return Err(CommitError::OutcomeMismatch {
                    command: command.id,
                    outcome,
                    events: command.events,
                });
            }
        }
        if let Some(command) = first_twice(self.commands.iter().map(|command| command.id)) {
            return Err(CommitError::CommandTwice { command });
        }
        // Ids are UUIDv7 by contract, so they cannot meet by chance; one event given twice is caught where it costs
        // nothing.
        if let Some(event) = first_twice(self.ids.iter().copied()) {
            return Err(CommitError::EventTwice { event });
        }
        Ok(())
    }
}

/// A stream that a commit writes.
#[derive(Debug, Clone)]
pub(crate) struct TouchedStream {
    pub(crate) id: StreamId,
    pub(crate) expected: ExpectedVersion,
    pub(crate) events: u32,
}

/// The streams of a commit under construction, numbered in order of first touch.
#[derive(Debug, Default)]
struct TouchedStreams {
    list: Vec<TouchedStream>,
    /// Kept only once there are many: nearly every commit touches one or two.
    by_id: FxHashMap<StreamId, u16>,
}

impl TouchedStreams {
    const MANY: usize = 16;

    fn index(&self, id: &StreamId) -> Option<u16> {
        if self.by_id.is_empty() {
            let index = self.list.iter().position(|touched| touched.id == *id)?;
            return u16::try_from(index).ok();
        }
        self.by_id.get(id).copied()
    }

    fn get_mut(&mut self, id: &StreamId) -> Option<&mut TouchedStream> {
        let index = self.index(id)?;
        self.list.get_mut(usize::from(index))
    }

    /// Number of the stream, and of its next event in this commit.
    fn place(&mut self, id: &StreamId) -> Result<(u16, u32), CommitError> {
        let count = self.list.len();
        let index = match self.index(id) {
            Some(index) => index,
            None => u16::try_from(count)
                .ok()
                .filter(|_| count < COMMIT_STREAMS_MAX)
                .ok_or(CommitError::TooMany { what: "streams", count: count + 1, max: COMMIT_STREAMS_MAX })?,
        };
        if usize::from(index) == count {
            self.list.push(TouchedStream { id: id.clone(), expected: ExpectedVersion::Any, events: 0 });
            if count == Self::MANY {
                self.by_id =
                    (0..).zip(&self.list).map(|(index, touched)| (touched.id.clone(), index)).collect();
            } else if count > Self::MANY {
                self.by_id.insert(id.clone(), index);
            }
        }
        let touched = &mut self.list[usize::from(index)];
        touched.events += 1;
        Ok((index, touched.events - 1))
    }
}

/// A commit that only waits for its place in the log.
#[derive(Debug, Clone)]
pub struct PreparedCommit {
    pub(crate) body: Vec<u8>,
    pub(crate) body_crc: u32,
    pub(crate) body_digest: Digest,
    pub(crate) events: usize,
    pub(crate) streams: Vec<TouchedStream>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) commands: Vec<CommandRecord>,
    /// Of all events, with the event's number in the commit: for the checks of guards within a group.
    pub(crate) tags: Vec<(Tag, u64)>,
    /// What the index will need of it.
    pub(crate) summary: CommitSummary,
}

impl PreparedCommit {
    /// Length of the frame that it will be, bytes.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        frame_len(self.streams.len(), self.body.len())
    }

    /// Digest of the body, computed from the encoded bytes by the code that verifies them: what is hashed is what is
    /// stored, by construction.
    fn digest_body(&self) -> Digest {
        let count = u32::try_from(self.events).unwrap_or(u32::MAX);
        // The views need a frame around the body; positions and versions are not part of the digest.
        let header = FrameHeader {
            kind: FrameKind::Commit,
            streams: u16::try_from(self.streams.len()).unwrap_or(u16::MAX),
            events: count,
            body_len: 0,
            body_crc: 0,
            epoch: 0,
            first: Position::ZERO,
            recorded_at: Timestamp::ZERO,
            durable_upto: Position::ZERO,
            durable_end: LogOffset::default(),
            chain: Digest::default(),
        };
        let base_versions = vec![0; 8 * self.streams.len()];
        let mut batch = Batch::written_into(scratch::take());
        batch.begin(count);
        let frame = Frame::around(header, &base_versions, &self.body);
        if let Ok(events) = EventIter::new(frame) {
            for view in events.map_while(Result::ok) {
                batch.event(&view);
            }
        }
        batch.end(command_table_of(&self.body));
        let mut digest = Digest::default();
        batch.hash(|_, body| digest = body);
        scratch::give_back(batch.into_text());
        digest
    }
}

/// An id that stands twice.
fn first_twice<I: Ord + Copy>(ids: impl ExactSizeIterator<Item = I>) -> Option<I> {
    // Nearly every commit has one event and one command.
    if ids.len() < 2 {
        return None;
    }
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn command_table_of(body: &[u8]) -> &[u8] {
    Body::decode(body).map(|body| body.command_table).unwrap_or_default()
}

fn encode_body(streams: &[TouchedStream], commands: &[CommandRecord], records: &[u8]) -> Vec<u8> {
    let names: usize = streams.iter().map(|stream| stream.id.as_str().len() + 1).sum();
    let mut body = Vec::with_capacity(records.len() + names + 64 * commands.len() + 64);
    body.resize(BODY_HEADER_BYTES, 0);
    for stream in streams {
        push_short(&mut body, stream.id.as_str());
    }
    let stream_table = body.len() - BODY_HEADER_BYTES;
    if !commands.is_empty() {
        // Plain fixed-width structs: encoding them cannot fail.
        body.extend_from_slice(&codec::encode(&commands).unwrap_or_default());
    }
    let command_table = body.len() - BODY_HEADER_BYTES - stream_table;
    let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    body[0..4].copy_from_slice(&narrow(stream_table));
    body[4..8].copy_from_slice(&narrow(command_table));
    body.extend_from_slice(records);
    body
}

fn encode_event(
    body: &mut Vec<u8>,
    event: &EventRef<'_>,
    stream: u16,
    ordinal: u32,
    index: usize,
) -> Result<(), CommitError> {
    // Names, tags and metadata of most events fit.
    body.reserve(event.payload.len() + 512);
    let start = body.len();
    let mut header = [0; EVENT_HEADER_BYTES];
    header[8..24].copy_from_slice(event.id.as_bytes());
    header[24..26].copy_from_slice(&stream.to_le_bytes());
    header[26..28].copy_from_slice(&event.schema_version.to_le_bytes());
    header[28..32].copy_from_slice(&ordinal.to_le_bytes());
    header[32] = event.content_type as u8;
    // Names are checked when they are made: their lengths fit one byte.
    header[33] = short_len(event.event_type.as_str());
    header[34] = u8::try_from(event.tags.len()).unwrap_or(u8::MAX);
    body.extend_from_slice(&header);
    body.extend_from_slice(event.event_type.as_str().as_bytes());
    let tags_at = body.len();
    for tag in event.tags {
        push_short(body, tag.as_str());
    }
    let metadata_at = body.len();
    body[start + 35] = push_metadata(body, event.metadata);
    let payload_at = body.len();
    let record_len = payload_at - start + event.payload.len();
    if record_len > EVENT_BYTES_MAX {
        return Err(CommitError::EventTooLarge { index, bytes: record_len, max: EVENT_BYTES_MAX });
    }
    body.extend_from_slice(event.payload);
    let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    body[start..start + 4].copy_from_slice(&narrow(record_len));
    body[start + 4..start + 8].copy_from_slice(&narrow(event.payload.len()));
    body[start + 40..start + 44].copy_from_slice(&narrow(metadata_at - tags_at));
    body[start + 44..start + 48].copy_from_slice(&narrow(payload_at - metadata_at));
    Ok(())
}

fn short_len(text: &str) -> u8 {
    u8::try_from(text.len()).unwrap_or(u8::MAX)
}

fn push_short(body: &mut Vec<u8>, text: &str) {
    body.push(short_len(text));
    body.extend_from_slice(text.as_bytes());
}

fn push_metadata(body: &mut Vec<u8>, metadata: &Metadata) -> u8 {
    let mut bits = 0;
    let mut field = |bit: u8, bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            bits |= bit;
            body.extend_from_slice(bytes);
        }
    };
    field(presence::CORRELATION, metadata.correlation_id.as_ref().map(|id| &id.as_bytes()[..]));
    field(presence::CAUSATION, metadata.causation_id.as_ref().map(|id| &id.as_bytes()[..]));
    field(presence::COMMAND, metadata.command_id.as_ref().map(|id| &id.as_bytes()[..]));
    field(presence::TRACEPARENT, metadata.traceparent.as_ref().map(|trace| &trace[..]));
    let occurred_at = metadata.occurred_at.map(|at| at.get().to_le_bytes());
    field(presence::OCCURRED_AT, occurred_at.as_ref().map(|bytes| &bytes[..]));
    field(presence::EXTRAS, (!metadata.extras.is_empty()).then_some(&metadata.extras[..]));
    bits
}
