//! What has been recorded: commits and events as handles that keep their segment mapped.

use crate::commit::Outcome;
use crate::error::ReadError;
use crate::format::body::Body;
use crate::format::event::{EventIter, EventView};
use crate::format::frame::{Frame, FrameHeader};
use crate::names::{CommandId, Fingerprint, StreamId};
use crate::numbers::{Digest, Lineage, LogOffset, Position, Timestamp, Version};
use crate::receipt::{Durability, Receipt};
use crate::segment::Segment;
use std::sync::Arc;

/// A command that the log remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCommand {
    /// What it said.
    pub fingerprint: Fingerprint,
    /// What became of this command; the receipt speaks of the whole commit.
    pub outcome: Outcome,
    /// Position of the first of its own events; without any, of the event after those of the commands before it.
    pub first: Position,
    /// The position after its own events.
    pub next: Position,
    /// Last version of each stream that its own events are in; the receipt's are those of the whole commit.
    pub versions: Vec<(StreamId, Version)>,
    /// Chain head after its commit, which names that commit among all others.
    pub chain: Digest,
    /// What its caller was told; `duplicate` is set.
    pub receipt: Receipt,
}

/// A commit in the log. Keeps its segment mapped; cheap to clone.
#[derive(Debug, Clone)]
pub struct RecordedCommit {
    segment: Arc<Segment>,
    place: LogOffset,
    header: FrameHeader,
}

impl RecordedCommit {
    /// The commit at `place`, whose header and CRCs the caller has just checked.
    pub(crate) fn new(segment: Arc<Segment>, place: LogOffset, header: FrameHeader) -> Self {
        Self { segment, place, header }
    }

    /// Position of its first event; of a commit without events, the next position.
    #[must_use]
    pub fn first(&self) -> Position {
        self.header.first
    }

    /// The next position after it.
    #[must_use]
    pub fn next(&self) -> Position {
        self.header.next()
    }

    /// When the log took it in.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.header.recorded_at
    }

    /// Chain head after it.
    #[must_use]
    pub fn chain(&self) -> Digest {
        self.header.chain
    }

    /// Where the log is after it.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        Lineage { store: self.segment.header.store, next: self.next(), chain: self.chain() }
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.events as usize
    }

    /// Whether it only records commands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.events == 0
    }

    /// Where it stands on disk.
    #[must_use]
    pub fn place(&self) -> LogOffset {
        self.place
    }

    pub(crate) fn frame(&self) -> Frame<'_> {
        let at = usize::try_from(self.place.offset()).unwrap_or(usize::MAX);
        let body_at = at + self.header.header_len();
        let bytes = self.segment.bytes();
        let versions = &bytes[body_at - 8 * usize::from(self.header.streams)..body_at];
        Frame::around(self.header, versions, &bytes[body_at..body_at + self.header.body_len as usize])
    }

    /// Its events in order. All of them: their CRC was checked when the commit was read, their form when it was indexed.
    pub fn events(&self) -> impl Iterator<Item = EventView<'_>> {
        EventIter::new(self.frame()).into_iter().flatten().map_while(Result::ok)
    }

    /// Appends the events of a stream whose versions are wanted to `out`, oldest first; answers with the last version that
    /// the commit gives the stream. Records are stepped through by their lengths, not decoded.
    pub(crate) fn of_stream(
        &self,
        stream: &str,
        wanted: impl Fn(Version) -> bool,
        out: &mut Vec<RecordedEvent>,
    ) -> Option<Version> {
        let frame = self.frame();
        let body = Body::decode(frame.body).ok()?;
        let (number, stream_at) = body.find_stream(stream)?;
        let base = frame.base_version(number)?;
        let mut last = None;
        for (index, record) in (0..).zip(body.records().take(self.header.events as usize)) {
            if record.stream()? != number {
                continue;
            }
            let version = base.plus(u64::from(record.ordinal()?));
            if wanted(version) {
                out.push(self.handle(index, record.at, stream_at));
            }
            last = Some(version);
        }
        last
    }

    /// Appends the events with a tag whose positions are wanted to `out`, oldest first; answers whether any has the tag.
    pub(crate) fn of_tag(
        &self,
        tag: &str,
        wanted: impl Fn(Position) -> bool,
        out: &mut Vec<RecordedEvent>,
    ) -> bool {
        let frame = self.frame();
        let Ok(body) = Body::decode(frame.body) else { return false };
        let mut any = false;
        for (index, (event, record)) in (0..).zip(self.events().zip(body.records())) {
            if !event.tags().any(|found| found == tag) {
                continue;
            }
            any = true;
            if wanted(event.position())
                && let Some(stream_at) = body.stream_at(event.stream_index())
            {
                out.push(self.handle(index, record.at, stream_at));
            }
        }
        any
    }

    /// Its event at a position.
    #[must_use]
    pub fn event(&self, position: Position) -> Option<RecordedEvent> {
        let index = u32::try_from(position.get().checked_sub(self.first().get())?).ok()?;
        let body = Body::decode(self.frame().body).ok()?;
        let record = body.records().nth(index as usize).filter(|_| index < self.header.events)?;
        Some(self.handle(index, record.at, body.stream_at(record.stream()?)?))
    }

    fn handle(&self, index: u32, record_at: usize, stream_at: usize) -> RecordedEvent {
        // A body is limited to 16 MiB.
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        RecordedEvent {
            commit: self.clone(),
            index,
            record_at: narrow(record_at),
            stream_at: narrow(stream_at),
        }
    }

    /// What it says of a command; `None` if it is another command's.
    pub(crate) fn found_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError> {
        let damaged = |reason: String| ReadError::Damaged {
            segment: self.place.segment(),
            offset: self.place.offset(),
            reason,
        };
        let body = Body::decode(self.frame().body).map_err(|error| damaged(error.0.to_owned()))?;
        let commands = body.commands().map_err(|error| damaged(error.0.to_owned()))?;
        let Some(record) = commands.iter().find(|record| record.id == *command) else {
            return Ok(None);
        };
        let own = record.first_event..record.first_event.saturating_add(record.events);
        let frame = self.frame();
        // By the number of the stream in the commit; the last event of a stream wins.
        let mut of_commit = vec![None; usize::from(self.header.streams)];
        let mut of_command = of_commit.clone();
        for (index, event) in (0..self.header.events).zip(body.records()) {
            let last = event.stream().and_then(|number| {
                let base = frame.base_version(number)?;
                Some((number, base.plus(u64::from(event.ordinal()?))))
            });
            let (number, version) = last.ok_or_else(|| damaged("an event's record ends early".to_owned()))?;
            for versions in [Some(&mut of_commit), own.contains(&index).then_some(&mut of_command)] {
                if let Some(place) = versions.and_then(|versions| versions.get_mut(number)) {
                    *place = Some(version);
                }
            }
        }
        let named = |versions: Vec<Option<Version>>| {
            let names = body.stream_names().zip(versions);
            names
                .filter_map(|(name, version)| Some((name, version?)))
                .map(|(name, version)| match StreamId::new(name) {
                    Ok(id) => Ok((id, version)),
                    Err(error) => Err(damaged(error.to_string())),
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let receipt = Receipt {
            first: self.first(),
            next: self.next(),
            recorded_at: self.recorded_at(),
            versions: named(of_commit)?,
            outcome: if self.is_empty() { Outcome::Unchanged } else { Outcome::Applied },
            duplicate: true,
            // Whoever answers with it knows what it promises.
            durability: Durability::default(),
        };
        let outcome = if record.outcome == 0 { Outcome::Applied } else { Outcome::Unchanged };
        Ok(Some(FoundCommand {
            fingerprint: record.fingerprint,
            outcome,
            first: self.first().plus(u64::from(own.start)),
            next: self.first().plus(u64::from(own.end)),
            versions: named(of_command)?,
            chain: self.chain(),
            receipt,
        }))
    }
}

/// One event in the log, with what keeps it mapped.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    commit: RecordedCommit,
    /// Number of the event in its commit.
    index: u32,
    /// Where in the commit's body its record and its stream's name are.
    record_at: u32,
    stream_at: u32,
}

impl RecordedEvent {
    /// The commit that it is part of.
    #[must_use]
    pub fn commit(&self) -> &RecordedCommit {
        &self.commit
    }

    /// The event. `None` cannot happen for events that were indexed; it stands for memory that rots under us.
    #[must_use]
    pub fn get(&self) -> Option<EventView<'_>> {
        let frame = self.commit.frame();
        EventView::again(&frame, self.record_at as usize, self.index, self.stream_at as usize)
    }
}
