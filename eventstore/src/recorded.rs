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

    fn frame(&self) -> Frame<'_> {
        let at = usize::try_from(self.place.offset()).unwrap_or(usize::MAX);
        let body_at = at + self.header.header_len();
        let bytes = self.segment.bytes();
        let versions = &bytes[body_at - 8 * usize::from(self.header.streams)..body_at];
        Frame::around(self.header, versions, &bytes[body_at..body_at + self.header.body_len as usize])
    }

    /// Its events in order. All of them: their form was checked when the commit was indexed, their CRC when it was read.
    pub fn events(&self) -> impl Iterator<Item = EventView<'_>> {
        EventIter::new(self.frame()).into_iter().flatten().map_while(Result::ok)
    }

    pub(crate) fn found_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError> {
        let damaged = |reason: String| ReadError::Damaged {
            segment: self.place.segment(),
            offset: self.place.offset(),
            reason,
        };
        let commands = Body::decode(self.frame().body)
            .and_then(|body| body.commands())
            .map_err(|error| damaged(error.0.to_owned()))?;
        let Some(record) = commands.iter().find(|record| record.id == *command) else {
            return Err(damaged(format!("the commit does not hold command {command}")));
        };
        let mut versions: Vec<(StreamId, Version)> = Vec::new();
        for event in self.events() {
            let id = StreamId::new(event.stream()).map_err(|error| damaged(error.to_string()))?;
            match versions.iter_mut().find(|(stream, _)| *stream == id) {
                Some((_, version)) => *version = event.version(),
                None => versions.push((id, event.version())),
            }
        }
        let receipt = Receipt {
            first: self.first(),
            next: self.next(),
            recorded_at: self.recorded_at(),
            versions,
            outcome: if self.is_empty() { Outcome::Unchanged } else { Outcome::Applied },
            duplicate: true,
            // Whoever answers with it knows what it promises.
            durability: Durability::default(),
        };
        let outcome = if record.outcome == 0 { Outcome::Applied } else { Outcome::Unchanged };
        Ok(Some(FoundCommand { fingerprint: record.fingerprint, outcome, chain: self.chain(), receipt }))
    }
}

/// One event in the log, with what keeps it mapped.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    commit: RecordedCommit,
    index: usize,
}

impl RecordedEvent {
    pub(crate) fn new(commit: RecordedCommit, index: usize) -> Option<Self> {
        (index < commit.len()).then_some(Self { commit, index })
    }

    /// The commit that it is part of.
    #[must_use]
    pub fn commit(&self) -> &RecordedCommit {
        &self.commit
    }

    /// The event. `None` cannot happen for events that were indexed; it stands for memory that rots under us.
    #[must_use]
    pub fn get(&self) -> Option<EventView<'_>> {
        self.commit.events().nth(self.index)
    }
}
