//! Digests of the bodies of commits, as many side by side as are given: what does not depend on one another is hashed
//! two at a time. First all payloads and metadata, then all events, then all bodies.

use super::lanes::sha256_each;
use crate::format::event::EventView;
use crate::numbers::Digest;
use std::ops::Range;

/// The digest of metadata without any field: SHA-256 of one zero byte. Most events have this one.
const NO_METADATA: [u8; 32] = [
    0x6e, 0x34, 0x0b, 0x9c, 0xff, 0xb3, 0x7a, 0x98, 0x9c, 0xa5, 0x44, 0xe6, 0xbb, 0x78, 0x0a, 0x2c, 0x78,
    0x90, 0x1d, 0x3f, 0xb3, 0x37, 0x38, 0x76, 0x85, 0x11, 0xa3, 0x06, 0x17, 0xaf, 0xa0, 0x1d,
];

/// Bytes of a digest.
const WIDTH: usize = 32;

/// A payload, or metadata that has been copied behind its presence bits, and where in `events` its digest belongs.
enum Part<'a> {
    Payload(&'a [u8], usize),
    Metadata(Range<usize>, usize),
}

/// Commits whose bodies are to be hashed. Each is begun, given its events and ended; then all are hashed at once.
///
/// What is hashed is put together in one piece with the places of inner digests left open: one piece of 300 bytes is
/// hashed faster than ten small ones.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    parts: Vec<Part<'a>>,
    metadata: Vec<u8>,
    /// Where the metadata hashed last stands in `metadata`, and where in `events` its digest belongs.
    last_metadata: Option<(Range<usize>, usize)>,
    /// Events with the same metadata as one before: where in `events` its digest belongs, and where it is found.
    same_metadata: Vec<(usize, usize)>,
    /// The texts of event digests back to back, and where each ends.
    events: Vec<u8>,
    event_ends: Vec<usize>,
    /// Where in `bodies` each event's digest belongs.
    event_places: Vec<usize>,
    /// The texts of body digests back to back, and where each ends.
    bodies: Vec<u8>,
    body_ends: Vec<usize>,
}

impl<'a> Batch<'a> {
    /// One whose longest text is put together in a buffer that is there already.
    pub(crate) fn written_into(text: Vec<u8>) -> Self {
        Self { events: text, ..Self::default() }
    }

    /// The buffer, to be used again.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.events
    }

    /// Begins a commit of so many events.
    pub(crate) fn begin(&mut self, events: u32) {
        self.bodies.extend_from_slice(&events.to_le_bytes());
    }

    /// The commit's next event.
    pub(crate) fn event(&mut self, view: &EventView<'a>) {
        self.event_places.push(self.bodies.len());
        self.bodies.extend_from_slice(&[0; WIDTH]);

        let text = &mut self.events;
        let mut fixed = [0; 16 + 1 + 2 + 4];
        fixed[..16].copy_from_slice(view.id().as_bytes());
        fixed[16] = view.content_type() as u8;
        fixed[17..19].copy_from_slice(&view.schema_version().to_le_bytes());
        fixed[19..].copy_from_slice(&view.key_id().to_le_bytes());
        text.extend_from_slice(&fixed);
        // Stored names carry their one-byte length prefix already, except the type, whose length stands in the record.
        text.extend_from_slice(view.prefixed_stream());
        text.push(view.type_len());
        text.extend_from_slice(view.type_bytes());
        text.push(view.tag_count());
        text.extend_from_slice(view.prefixed_tags());
        let (metadata_at, payload_at) = (text.len(), text.len() + WIDTH);
        text.extend_from_slice(&NO_METADATA);
        text.extend_from_slice(&[0; WIDTH]);
        self.event_ends.push(text.len());

        self.parts.push(Part::Payload(view.payload(), payload_at));
        let metadata = view.metadata();
        if metadata.presence() != 0 {
            let start = self.metadata.len();
            self.metadata.push(metadata.presence());
            self.metadata.extend_from_slice(metadata.bytes());
            let own = start..self.metadata.len();
            match &self.last_metadata {
                // The events of an append have all been asked for by the same request.
                Some((last, found_at)) if self.metadata[last.clone()] == self.metadata[own.clone()] => {
                    self.same_metadata.push((metadata_at, *found_at));
                    self.metadata.truncate(start);
                }
                _ => {
                    self.parts.push(Part::Metadata(own.clone(), metadata_at));
                    self.last_metadata = Some((own, metadata_at));
                }
            }
        }
    }

    /// Ends the commit.
    pub(crate) fn end(&mut self, command_table: &[u8]) {
        // A command table is far below 4 GiB: the body that holds it is limited to 16 MiB.
        let len = u32::try_from(command_table.len()).unwrap_or(u32::MAX);
        self.bodies.extend_from_slice(&len.to_le_bytes());
        self.bodies.extend_from_slice(command_table);
        self.body_ends.push(self.bodies.len());
    }

    /// Hands `done` the body digest of each commit, by its number in order of `begin`, and empties the batch.
    pub(crate) fn hash(&mut self, done: impl FnMut(usize, Digest)) {
        self.hash_with(|_, _| {}, done);
    }

    /// As [`Batch::hash`]; hands `event` the digest of each event before, by its number in order of `event`.
    pub(crate) fn hash_with(
        &mut self,
        mut event: impl FnMut(usize, Digest),
        done: impl FnMut(usize, Digest),
    ) {
        self.fill_events();
        let Self { events, event_ends, event_places, bodies, body_ends, .. } = self;
        sha256_each(
            event_ends.len(),
            |index| piece(events, event_ends, index),
            |index, digest| {
                let place = event_places[index];
                bodies[place..place + WIDTH].copy_from_slice(&digest.0);
                event(index, digest);
            },
        );
        sha256_each(body_ends.len(), |index| piece(bodies, body_ends, index), done);
        self.clear();
    }

    /// Hands `done` the digest of each event, by its number in order of `event`, and empties the batch.
    pub(crate) fn hash_events(&mut self, done: impl FnMut(usize, Digest)) {
        self.fill_events();
        sha256_each(self.event_ends.len(), |index| piece(&self.events, &self.event_ends, index), done);
        self.clear();
    }

    /// Puts the digests of payloads and metadata into the texts of the events.
    fn fill_events(&mut self) {
        let Self { parts, metadata, same_metadata, events, .. } = self;
        let part = |index: usize| match &parts[index] {
            Part::Payload(payload, _) => *payload,
            Part::Metadata(range, _) => &metadata[range.clone()],
        };
        sha256_each(parts.len(), part, |index, digest| {
            let (Part::Payload(_, place) | Part::Metadata(_, place)) = &parts[index];
            events[*place..place + WIDTH].copy_from_slice(&digest.0);
        });
        for (place, found_at) in same_metadata {
            events.copy_within(*found_at..*found_at + WIDTH, *place);
        }
    }

    fn clear(&mut self) {
        let Self {
            parts,
            metadata,
            last_metadata,
            same_metadata,
            events,
            event_ends,
            event_places,
            bodies,
            body_ends,
        } = self;
        parts.clear();
        metadata.clear();
        *last_metadata = None;
        same_metadata.clear();
        events.clear();
        event_ends.clear();
        event_places.clear();
        bodies.clear();
        body_ends.clear();
    }
}

/// One of the texts that stand back to back.
pub(super) fn piece<'t>(text: &'t [u8], ends: &[usize], index: usize) -> &'t [u8] {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &text[start..ends[index]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::CommitBuilder;
    use crate::digest::sha256;
    use crate::event::{ContentType, Metadata, NewEvent};
    use crate::format::event::EventIter;
    use crate::format::frame::{Frame, FrameHeader, FrameKind};
    use crate::names::{EventType, StreamId};
    use crate::numbers::{LogOffset, Position, Timestamp};
    use std::collections::HashSet;
    use uuid::Uuid;

    #[test]
    fn the_digest_of_no_metadata_is_that_of_one_zero_byte() {
        assert_eq!(Digest(NO_METADATA), sha256(&[0]));
    }

    /// Metadata that stands on several events is hashed once: each event has the digest that it has alone, whoever has the same.
    #[test]
    fn events_have_the_digests_that_they_have_alone() {
        let mut commit = CommitBuilder::new();
        for (number, subject) in (0..).zip(["", "ann", "ann", "bob", "bob", "", "ann", "bob"]) {
            commit.event(NewEvent {
                id: Uuid::from_u128(number),
                stream: StreamId::new("note-1").unwrap(),
                event_type: EventType::new("noted").unwrap(),
                content_type: ContentType::Json,
                schema_version: 1,
                tags: Vec::new(),
                metadata: Metadata { extras: subject.as_bytes().to_vec(), ..Metadata::default() },
                payload: format!("{number}").into_bytes(),
            });
        }
        let commit = commit.prepare().unwrap();
        let header = FrameHeader {
            kind: FrameKind::Commit,
            streams: 1,
            events: 8,
            body_len: 0,
            body_crc: 0,
            epoch: 0,
            first: Position::ZERO,
            recorded_at: Timestamp::ZERO,
            durable_upto: Position::ZERO,
            durable_end: LogOffset::default(),
            chain: Digest::default(),
        };
        let frame = Frame::around(header, &[0; 8], &commit.body);
        let views: Vec<_> = EventIter::new(frame).unwrap().map(Result::unwrap).collect();
        let digests = |views: &[EventView<'_>]| {
            let (mut batch, mut digests) = (Batch::default(), vec![Digest::default(); views.len()]);
            views.iter().for_each(|view| batch.event(view));
            // Not in their order: some are hashed side by side.
            batch.hash_events(|index, digest| digests[index] = digest);
            digests
        };
        let alone: Vec<_> = views.chunks(1).flat_map(digests).collect();
        assert_eq!(digests(&views), alone);
        assert_eq!(alone.iter().collect::<HashSet<_>>().len(), 8);
    }
}
