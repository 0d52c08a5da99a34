//! Where a subscription's commits come from: all of them in order, or those that the index knows of.
//!
//! Invariant: a source may give commits of which nothing matches, and never leaves one out that holds a match: the
//! filter is applied to what it gives. So the index changes what a subscription costs, not what it delivers.

use super::filter::Filter;
use crate::by_stream::{commits_from, event_at, tagged_from, version_after};
use crate::commits::Commits;
use crate::error::ReadError;
use crate::log::Log;
use crate::names::{StreamId, Tag};
use crate::numbers::{Position, Version};
use crate::recorded::{RecordedCommit, RecordedEvent};
use std::collections::VecDeque;

/// Events that are asked for at a time.
const EVENTS_AT_A_TIME: usize = 64;

/// Gives commits in order of position.
#[derive(Debug)]
pub(super) struct Source {
    way: Way,
    /// Read, and not given out yet.
    held: VecDeque<RecordedCommit>,
}

/// How the commits are found.
#[derive(Debug)]
enum Way {
    /// One after the other.
    Scan(Commits),
    /// By the index of a stream, from a version on; `None` until it has been looked for.
    Stream { stream: StreamId, from: Position, next: Option<Version> },
    /// By the index of a tag, from a position on.
    Tag { tag: Tag, next: Position },
}

impl Source {
    /// What may hold events at or after `from` that `filter` wants.
    pub(super) fn new(log: &Log, filter: &Filter, from: Position) -> Self {
        let way = match (filter.stream(), filter.tag()) {
            (Some(stream), _) => Way::Stream { stream: stream.clone(), from, next: None },
            (None, Some(tag)) => Way::Tag { tag: tag.clone(), next: from },
            (None, None) => Way::Scan(log.commits(from)),
        };
        Self { way, held: VecDeque::new() }
    }

    /// The next commit, if it ends at or before `upto`. `None` means that all of them have been given, if the log had
    /// been at `upto` before the call.
    pub(super) fn next(&mut self, log: &Log, upto: Position) -> Result<Option<RecordedCommit>, ReadError> {
        if self.held.is_empty() {
            self.fetch(log)?;
        }
        // The index may be ahead of what has been published to readers.
        let is_due = self.held.front().is_some_and(|commit| commit.next() <= upto);
        Ok(if is_due { self.held.pop_front() } else { None })
    }

    fn fetch(&mut self, log: &Log) -> Result<(), ReadError> {
        match &mut self.way {
            Way::Scan(commits) => self.held.extend(commits.next().transpose()?),
            Way::Stream { stream, from, next } => {
                let at = match *next {
                    Some(next) => next,
                    None => match version_from(log, stream, *from) {
                        Ok(first) => *next.insert(first),
                        Err(_) => {
                            // Damage in the way of looking for the place need not be in the way of reading on from it.
                            self.way = Way::Scan(log.commits(*from));
                            return self.fetch(log);
                        }
                    },
                };
                // Past the head, the commit of the head would be read again at every look. If the head cannot be read,
                // what comes before it still can.
                if log.stream_version(stream).is_ok_and(|head| head.is_none_or(|head| head < at)) {
                    return Ok(());
                }
                match commits_from(log, stream, at, EVENTS_AT_A_TIME) {
                    Ok(commits) => self.held.extend(commits),
                    // One of them is damaged; those before it still count.
                    Err(_) => {
                        self.held.extend(event_at(log, stream, at)?.map(|event| event.commit().clone()));
                    }
                }
                if let Some(after) = self.held.back().and_then(|last| version_after(last, stream)) {
                    *next = Some(after);
                }
            }
            Way::Tag { tag, next } => match tagged_from(log, tag, *next, EVENTS_AT_A_TIME) {
                Ok(commits) => {
                    self.held.extend(commits);
                    *next = self.held.back().map_or(*next, RecordedCommit::next);
                }
                Err(_) => {
                    // One of them is damaged. The scan gives those before it, and comes to the same end.
                    self.way = Way::Scan(log.commits(*next));
                    return self.fetch(log);
                }
            },
        }
        Ok(())
    }
}

/// The first version of a stream that stands at or after a position.
fn version_from(log: &Log, stream: &StreamId, from: Position) -> Result<Version, ReadError> {
    let mut low = 0;
    let mut high = log.stream_version(stream)?.map_or(0, |head| head.get().saturating_add(1));
    if from == Position::ZERO {
        return Ok(Version::ZERO);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        let event = event_at(log, stream, Version::new(middle))?;
        let position = event.as_ref().and_then(RecordedEvent::get).map(|event| event.position());
        // What is not there any more is as good as later: the search then ends too early, which only costs.
        if position.is_some_and(|position| position < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Version::new(low))
}
