//! Things as they once were, made anew of the events that concern them, which the log's index finds.
//!
//! ```text
//! Sources (streams, tags) ─▶ cursors, a page each ─▶ merged by position ─▶ PastModels ─▶ the same answers as of today
//! ```
//!
//! Invariant: the work is bounded by events, and memory by pages and by what there was; whoever may not see a thing makes
//! nobody read a history.

use eventstore::{Direction, Log, Position, ReadError, RecordedEvent, StreamId, Tag, Version};
use projector::SharedModels;
use projector::models::{Models, PastModels};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::IntoIter;

/// What asking a source costs, in events.
const SOURCE_COST: usize = 16;
/// Events that are held at a time, over all sources of one answer.
const HELD_MAX: usize = 4_096;
/// Events that a source is asked for at a time: at most, and at least where there are many sources.
const PAGE_MAX: usize = 256;
const PAGE_MIN: usize = 4;

/// A place where events of a thing are found.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A stream, whole.
    Stream(StreamId),
    /// Everything with a tag.
    Tag(Tag),
}

/// Why there is no past.
#[derive(Debug)]
pub(crate) enum Failure {
    /// More happened than may be read.
    TooMuch,
    /// The log cannot be read.
    Read(ReadError),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// A thing's past, which is gone through from its beginning.
#[derive(Debug)]
pub(crate) struct Past<'l> {
    log: &'l Log,
    cursors: Vec<Cursor>,
    /// The cursors that have something, by the position of that.
    waiting: BinaryHeap<Reverse<(Position, usize)>>,
    page: usize,
    /// Events that may still be read.
    left: usize,
    models: PastModels,
}

impl<'l> Past<'l> {
    /// Before anything happened. Blocks.
    pub(crate) fn of(
        log: &'l Log,
        today: &SharedModels,
        sources: Vec<Source>,
        events_max: usize,
    ) -> Result<Self, Failure> {
        let left =
            events_max.checked_sub(sources.len().saturating_mul(SOURCE_COST)).ok_or(Failure::TooMuch)?;
        let page = (HELD_MAX / sources.len().max(1)).clamp(PAGE_MIN, PAGE_MAX);
        let mut past = Self {
            log,
            cursors: sources.into_iter().map(Cursor::new).collect(),
            waiting: BinaryHeap::new(),
            page,
            left,
            models: PastModels::beside(today),
        };
        for index in 0..past.cursors.len() {
            past.wait(index)?;
        }
        Ok(past)
    }

    /// What there was when the log held `end` events: at least as many as when this was asked before. Blocks.
    pub(crate) fn at(&mut self, end: Position) -> Result<&Models, Failure> {
        while let Some(Reverse((position, index))) = self.waiting.peek().copied() {
            if position >= end {
                break;
            }
            self.waiting.pop();
            if let Some(event) = self.cursors[index].next.take() {
                self.left = self.left.checked_sub(1).ok_or(Failure::TooMuch)?;
                self.models.take_in(&event);
            }
            self.wait(index)?;
        }
        Ok(self.models.models())
    }

    /// Puts a cursor among the others by its next event.
    fn wait(&mut self, index: usize) -> Result<(), Failure> {
        if let Some(position) = self.cursors[index].advance(self.log, self.page)? {
            self.waiting.push(Reverse((position, index)));
        }
        Ok(())
    }
}

/// How far a source has been read.
#[derive(Debug)]
struct Cursor {
    source: Source,
    /// The event that is next.
    next: Option<RecordedEvent>,
    /// Those behind it that were read with it.
    page: IntoIter<RecordedEvent>,
    /// The version or position to read on from; nothing at the end.
    from: Option<u64>,
}

impl Cursor {
    fn new(source: Source) -> Self {
        Self { source, next: None, page: Vec::new().into_iter(), from: Some(0) }
    }

    /// Goes to the next event; its position.
    fn advance(&mut self, log: &Log, limit: usize) -> Result<Option<Position>, ReadError> {
        self.next = self.page.next();
        if self.next.is_none()
            && let Some(from) = self.from
        {
            let page = match &self.source {
                Source::Stream(stream) => {
                    log.read_stream(stream, Version::new(from), Direction::Forward, limit)?
                }
                Source::Tag(tag) => log.read_tag(tag, Position::new(from), Direction::Forward, limit)?,
            };
            // What was not full is over.
            self.from = match page.last().filter(|_| page.len() >= limit) {
                None => None,
                Some(last) => {
                    let last = last.get().ok_or_else(|| rotted(last))?;
                    Some(match self.source {
                        Source::Stream(_) => last.version().plus(1).get(),
                        Source::Tag(_) => last.position().plus(1).get(),
                    })
                }
            };
            self.page = page.into_iter();
            self.next = self.page.next();
        }
        let position = |event: &RecordedEvent| Ok(event.get().ok_or_else(|| rotted(event))?.position());
        self.next.as_ref().map(position).transpose()
    }
}

/// An event that could be read when it was found, and cannot be now.
fn rotted(event: &RecordedEvent) -> ReadError {
    let place = event.commit().place();
    let reason = "an event cannot be read any more".to_owned();
    ReadError::Damaged { segment: place.segment(), offset: place.offset(), reason }
}
