//! Finding things: heads of streams, newest events of tags, commands, histories. All indexes are asked, newest first;
//! what they say is checked against the names in the log, because they only know hashes.
//!
//! Invariant: no answer rests on bytes that nothing has vouched for. Names that match are their own proof; names that do
//! not match count only once the CRC of their commit is right. A rotten index is built anew and asked again.

use crate::error::ReadError;
use crate::format::FormatError;
use crate::format::body::Body;
use crate::format::event::EventIter;
use crate::format::frame::{Frame, Unchecked};
use crate::index::{Candidate, Found, Part, Rotten, View, hash_command, hash_name};
use crate::log::Direction;
use crate::names::{CommandId, StreamId, Tag};
use crate::numbers::{LogOffset, Position, Version};
use crate::recorded::{FoundCommand, RecordedCommit, RecordedEvent};
use crate::segment::Segment;
use crate::tail::Shared;
use std::sync::Arc;

/// Candidates that are fetched at a time.
const PAGE: u64 = 128;
/// Most events that room is made for in advance.
const RESERVED: usize = 1024;

/// Why a look-up in one view came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An index is rotten: build it anew and ask again.
    Rotten(Rotten),
    Read(ReadError),
}

impl From<Rotten> for Failure {
    fn from(rotten: Rotten) -> Self {
        Self::Rotten(rotten)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// What a history is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    Stream(&'a str),
    Tag(&'a str),
}

impl Key<'_> {
    fn part(self) -> Part {
        match self {
            Self::Stream(_) => Part::Streams,
            Self::Tag(_) => Part::Tags,
        }
    }

    fn hash(self) -> u64 {
        let (Self::Stream(name) | Self::Tag(name)) = self;
        hash_name(name)
    }
}

impl Shared {
    /// Asks the present view; has a rotten index built anew as often as one turns up.
    fn ask<T>(&self, look_up: impl Fn(&View) -> Result<T, Failure>) -> Result<T, ReadError> {
        loop {
            match look_up(&self.view()) {
                Ok(found) => return Ok(found),
                Err(Failure::Read(error)) => return Err(error),
                Err(Failure::Rotten(rotten)) => self.repair(rotten)?,
            }
        }
    }

    /// Last version of a stream.
    pub(crate) fn stream_version(&self, stream: &StreamId) -> Result<Option<Version>, ReadError> {
        self.head_of(stream.as_str())
    }

    pub(crate) fn head_of(&self, stream: &str) -> Result<Option<Version>, ReadError> {
        let hash = hash_name(stream);
        self.ask(|view| newest(view, Part::Streams, hash, |found| self.last_version_in(found, stream)))
    }

    /// Position of the newest event with a tag.
    pub(crate) fn newest_with_tag(&self, tag: &Tag) -> Result<Option<Position>, ReadError> {
        let hash = hash_name(tag.as_str());
        self.ask(|view| newest(view, Part::Tags, hash, |found| self.newest_in(found, tag.as_str())))
    }

    pub(crate) fn find_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError> {
        let hash = hash_command(command);
        let of_command = |found: Candidate| self.commit_at(found.place)?.found_command(command);
        self.ask(|view| newest(view, Part::Commands, hash, of_command))
    }

    /// Where to begin walking for the commit that holds `from`, and the first position there.
    pub(crate) fn before(&self, from: Position) -> Result<(Position, LogOffset), ReadError> {
        let noted = self.ask(|view| Ok(view.before(from)?))?;
        let beginning = self.beginning_before(from);
        // The later one. Walking from a note over the end of a segment could mean fetching it from the archive for nothing.
        Ok(noted.filter(|(_, place)| *place > beginning.1).unwrap_or(beginning))
    }

    /// Up to `limit` events of a stream or with a tag, from a version or position (included) on.
    pub(crate) fn history(
        &self,
        key: Key<'_>,
        from: u64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.ask(|view| {
            let mut history = History {
                shared: self,
                key,
                from,
                direction,
                limit,
                segment: None,
                events: Vec::new(),
                taken: None,
            };
            match direction {
                Direction::Forward => history.forward(view)?,
                Direction::Backward => history.backward(view)?,
            }
            Ok(history.events)
        })
    }

    /// The commit at a place that an index has named.
    pub(crate) fn commit_at(&self, place: LogOffset) -> Result<RecordedCommit, ReadError> {
        checked_commit(self.segment(place.segment())?, place)
    }

    /// Last version that the commit gives the stream, if it is the stream's.
    fn last_version_in(&self, found: Candidate, stream: &str) -> Result<Option<Version>, ReadError> {
        let segment = self.segment(found.place.segment())?;
        let unchecked = peek(&segment, found.place)?;
        let last = last_version(&unchecked.frame, stream);
        if last == Some(Version::new(found.number)) {
            return Ok(last);
        }
        // Two streams with one hash, or rot: the CRC knows.
        unchecked.check().map_err(|error| damaged_at(found.place, error))?;
        // Should the commit hold this stream too, the stream has an entry of its own.
        Ok(None)
    }

    /// Position of the commit's newest event with the tag, if it has one.
    fn newest_in(&self, found: Candidate, tag: &str) -> Result<Option<Position>, ReadError> {
        let segment = self.segment(found.place.segment())?;
        let unchecked = peek(&segment, found.place)?;
        if has_tag(&unchecked.frame, found.number, tag) {
            return Ok(Some(Position::new(found.number)));
        }
        let damaged = |error| damaged_at(found.place, error);
        let frame = unchecked.check().map_err(damaged)?;
        let mut newest = None;
        for event in EventIter::new(frame).map_err(damaged)? {
            let event = event.map_err(damaged)?;
            if event.tags().any(|found| found == tag) {
                newest = Some(event.position());
            }
        }
        Ok(newest)
    }
}

/// The newest candidate under a hash that `check` confirms.
fn newest<T>(
    view: &View,
    part: Part,
    hash: u64,
    check: impl Fn(Candidate) -> Result<Option<T>, ReadError>,
) -> Result<Option<T>, Failure> {
    for layer in view.layers().rev() {
        let Some(mut found) = layer.find(part, hash)? else { continue };
        for at in (0..found.len()).rev() {
            let candidate = found.get(at)?;
            if let Some(confirmed) = check(candidate)? {
                return Ok(Some(confirmed));
            }
        }
    }
    Ok(None)
}

fn damaged_at(place: LogOffset, error: FormatError) -> ReadError {
    ReadError::at(place, error)
}

fn peek(segment: &Segment, place: LogOffset) -> Result<Unchecked<'_>, ReadError> {
    segment
        .peek(place.offset())
        .and_then(|frame| frame.ok_or(FormatError("a frame has become zero")))
        .map_err(|error| damaged_at(place, error))
}

/// The CRCs are checked at every read: bytes that were sound when they were indexed may have rotted since.
fn checked_commit(segment: Arc<Segment>, place: LogOffset) -> Result<RecordedCommit, ReadError> {
    let frame = peek(&segment, place)?.check().map_err(|error| damaged_at(place, error))?;
    let header = frame.header;
    Ok(RecordedCommit::new(segment, place, header))
}

/// Last version that a commit gives a stream. The body need not have been checked.
fn last_version(frame: &Frame<'_>, stream: &str) -> Option<Version> {
    let body = Body::decode(frame.body).ok()?;
    let (index, _) = body.find_stream(stream)?;
    let events = frame.header.events as usize;
    let count = if frame.header.streams == 1 {
        events
    } else {
        body.records().take(events).filter(|record| record.stream() == Some(index)).count()
    };
    Some(frame.base_version(index)?.plus(count.checked_sub(1)? as u64))
}

/// Whether the commit's event at a position has the tag. The body need not have been checked.
fn has_tag(frame: &Frame<'_>, position: u64, tag: &str) -> bool {
    let index = position.checked_sub(frame.header.first.get());
    let index = index.filter(|index| *index < u64::from(frame.header.events));
    let record =
        index.and_then(|index| Body::decode(frame.body).ok()?.records().nth(usize::try_from(index).ok()?));
    record.is_some_and(|record| record.has_tag(tag))
}

/// Collects the events of one stream or tag.
struct History<'a> {
    shared: &'a Shared,
    key: Key<'a>,
    from: u64,
    direction: Direction,
    limit: usize,
    /// The segment read last: histories stay in one for a while.
    segment: Option<Arc<Segment>>,
    events: Vec<RecordedEvent>,
    /// What was taken last.
    taken: Option<Candidate>,
}

impl History<'_> {
    fn forward(&mut self, view: &View) -> Result<(), Failure> {
        let mut page = Vec::new();
        for layer in view.layers() {
            let Some(mut found) = layer.find(self.key.part(), self.key.hash())? else { continue };
            let mut at = found.lower_bound(self.from)?;
            // Commits mostly have one event of a stream.
            let expected = usize::try_from(found.len() - at).unwrap_or(usize::MAX);
            self.events.reserve(expected.min(self.limit - self.events.len()).min(RESERVED));
            while at < found.len() {
                let to = (at + self.page()).min(found.len());
                page.clear();
                found.read(at..to, &mut page)?;
                at = to;
                for candidate in &page {
                    self.take(*candidate)?;
                    if self.events.len() >= self.limit {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn backward(&mut self, view: &View) -> Result<(), Failure> {
        let mut page = Vec::new();
        for layer in view.layers().rev() {
            let Some(mut found) = layer.find(self.key.part(), self.key.hash())? else { continue };
            let mut end = self.last_wanted(&mut found)?;
            while end > 0 {
                let start = end.saturating_sub(self.page());
                page.clear();
                found.read(start..end, &mut page)?;
                end = start;
                for candidate in page.iter().rev() {
                    self.take(*candidate)?;
                    if self.events.len() >= self.limit {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Candidates to be fetched at once: no more than could be needed.
    fn page(&self) -> u64 {
        (self.limit - self.events.len()).min(usize::try_from(PAGE).unwrap_or(usize::MAX)) as u64
    }

    /// Going backward, the end of the candidates that count: the first commit that reaches `from` is the last one of
    /// interest. Commits of others with the same hash are passed over.
    fn last_wanted(&mut self, found: &mut Found<'_>) -> Result<u64, Failure> {
        let mut at = found.lower_bound(self.from)?;
        while at < found.len() {
            let is_ours = self.select(found.get(at)?, |_| false)?;
            at += 1;
            if is_ours {
                break;
            }
        }
        Ok(at)
    }

    /// Takes the wanted events of a commit, up to the limit.
    fn take(&mut self, candidate: Candidate) -> Result<(), ReadError> {
        // Two streams with one hash and one version in one commit have the same entry twice.
        if self.taken.replace(candidate) == Some(candidate) {
            return Ok(());
        }
        let (before, from) = (self.events.len(), self.from);
        match self.direction {
            Direction::Forward => self.select(candidate, |number| number >= from)?,
            Direction::Backward => self.select(candidate, |number| number <= from)?,
        };
        if self.direction == Direction::Backward {
            self.events[before..].reverse();
        }
        self.events.truncate(self.limit);
        Ok(())
    }

    /// Collects the wanted ones of the events that a candidate stands for. False, and nothing is collected, if it is
    /// another's with the same hash.
    fn select(&mut self, candidate: Candidate, wanted: impl Fn(u64) -> bool) -> Result<bool, ReadError> {
        let commit = self.commit(candidate.place)?;
        let before = self.events.len();
        match self.key {
            Key::Stream(name) => {
                let last = commit.of_stream(name, |version| wanted(version.get()), &mut self.events);
                let is_ours = last == Some(Version::new(candidate.number));
                if !is_ours {
                    self.events.truncate(before);
                }
                Ok(is_ours)
            }
            Key::Tag(name) => Ok(commit.of_tag(name, |position| wanted(position.get()), &mut self.events)),
        }
    }

    fn commit(&mut self, place: LogOffset) -> Result<RecordedCommit, ReadError> {
        let segment = match self.segment.take() {
            Some(segment) if segment.header.sequence == place.segment() => segment,
            _ => self.shared.segment(place.segment())?,
        };
        self.segment = Some(Arc::clone(&segment));
        checked_commit(segment, place)
    }
}
