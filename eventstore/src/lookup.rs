//! Finding things: heads of streams, newest events of tags, commands, histories. All indexes are asked, newest first;
//! what they say is checked against the names in the log, because they only know hashes.
//!
//! Invariant: no answer rests on bytes that nothing has vouched for. Names that match are their own proof; names that do
//! not match count only once the CRC of their commit is right. A rotten index is built anew and asked again.

use crate::error::ReadError;
use crate::format::FormatError;
use crate::format::body::Body;
use crate::format::bytes::{u16_at, u32_at};
use crate::format::event::{EventIter, EventView};
use crate::format::frame::{Frame, Unchecked};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
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

    /// What the history is ordered by.
    fn number(self, event: &EventView<'_>) -> u64 {
        match self {
            Self::Stream(_) => event.version().get(),
            Self::Tag(_) => event.position().get(),
        }
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
        let beginning = (Position::ZERO, LogOffset::new(0, SEGMENT_HEADER_BYTES as u64));
        Ok(self.ask(|view| Ok(view.before(from)?))?.unwrap_or(beginning))
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
                of_commit: Vec::new(),
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
        let own = Some(Version::new(found.number));
        if last == Ok(own) {
            return Ok(own);
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
    ReadError::Damaged { segment: place.segment(), offset: place.offset(), reason: error.0.to_owned() }
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
fn last_version(frame: &Frame<'_>, stream: &str) -> Result<Option<Version>, FormatError> {
    let body = Body::decode(frame.body)?;
    let Some((index, _)) = body.find_stream(stream) else { return Ok(None) };
    let base = frame.base_version(index).ok_or(FormatError("a stream without a base version"))?;
    let count = if frame.header.streams == 1 {
        u64::from(frame.header.events)
    } else {
        let mut count = 0;
        let mut rest = body.events();
        for _ in 0..frame.header.events {
            count += u64::from(usize::from(u16_at(rest, 24)?) == index);
            rest = after_record(rest)?;
        }
        count
    };
    Ok(count.checked_sub(1).map(|above| base.plus(above)))
}

/// Whether the commit's event at a position has the tag. The body need not have been checked.
fn has_tag(frame: &Frame<'_>, position: u64, tag: &str) -> bool {
    let header = &frame.header;
    let Some(index) = position.checked_sub(header.first.get()).filter(|at| *at < u64::from(header.events))
    else {
        return false;
    };
    let found = || -> Result<bool, FormatError> {
        let mut rest = Body::decode(frame.body)?.events();
        for _ in 0..index {
            rest = after_record(rest)?;
        }
        let at = crate::format::event::EVENT_HEADER_BYTES
            + usize::from(*rest.get(33).ok_or(FormatError("the bytes end early"))?);
        let mut tags = crate::format::bytes::slice(rest, at, u32_at(rest, 40)? as usize)?;
        while let Some((len, after)) = tags.split_first() {
            let (name, after) =
                after.split_at_checked(usize::from(*len)).ok_or(FormatError("the tags end early"))?;
            if name == tag.as_bytes() {
                return Ok(true);
            }
            tags = after;
        }
        Ok(false)
    };
    found().unwrap_or(false)
}

fn after_record(records: &[u8]) -> Result<&[u8], FormatError> {
    let len = u32_at(records, 0)? as usize;
    records.get(len.max(1)..).ok_or(FormatError("the bytes end early"))
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
    /// Of one commit, before their order and the limit are seen to.
    of_commit: Vec<RecordedEvent>,
    /// What was taken last.
    taken: Option<Candidate>,
}

impl History<'_> {
    fn forward(&mut self, view: &View) -> Result<(), Failure> {
        let mut page = Vec::new();
        for layer in view.layers() {
            let Some(mut found) = layer.find(self.key.part(), self.key.hash())? else { continue };
            let mut at = found.lower_bound(self.from)?;
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
            self.select(found.get(at)?)?;
            at += 1;
            if !self.of_commit.is_empty() {
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
        self.select(candidate)?;
        let (key, from) = (self.key, self.from);
        let number = |event: &RecordedEvent| event.get().map(|view| key.number(&view));
        let room = self.limit - self.events.len();
        let events = self.of_commit.drain(..);
        match self.direction {
            Direction::Forward => {
                self.events.extend(events.filter(|event| number(event) >= Some(from)).take(room));
            }
            Direction::Backward => {
                self.events.extend(events.rev().filter(|event| number(event) <= Some(from)).take(room));
            }
        }
        Ok(())
    }

    /// Puts the events that a candidate stands for into `of_commit`: none, if it is another's with the same hash.
    fn select(&mut self, candidate: Candidate) -> Result<(), ReadError> {
        self.of_commit.clear();
        let commit = self.commit(candidate.place)?;
        match self.key {
            Key::Stream(name) => {
                let body = Body::decode(commit.frame().body);
                let Some((index, _)) = body.ok().and_then(|body| body.find_stream(name)) else {
                    return Ok(());
                };
                commit.select(Some(index), |_| true, &mut self.of_commit);
                let last = self.of_commit.last().and_then(RecordedEvent::get);
                if last.map(|event| event.version().get()) != Some(candidate.number) {
                    self.of_commit.clear();
                }
            }
            Key::Tag(name) => {
                commit.select(None, |event| event.tags().any(|tag| tag == name), &mut self.of_commit);
            }
        }
        Ok(())
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
