//! The commits of one stream or tag, through what [`Log`] offers to everybody.

use crate::error::ReadError;
use crate::log::{Direction, Log};
use crate::names::{StreamId, Tag};
use crate::numbers::{Position, Version};
use crate::recorded::{RecordedCommit, RecordedEvent};

/// The commits that hold the up to `limit` versions of a stream from `from` on; whole, so the last may hold more.
pub(crate) fn commits_from(
    log: &Log,
    stream: &StreamId,
    from: Version,
    limit: usize,
) -> Result<Vec<RecordedCommit>, ReadError> {
    Ok(commits_of(log.read_stream(stream, from, Direction::Forward, limit)?))
}

/// The commits that hold the up to `limit` events with a tag from `from` on; whole.
pub(crate) fn tagged_from(
    log: &Log,
    tag: &Tag,
    from: Position,
    limit: usize,
) -> Result<Vec<RecordedCommit>, ReadError> {
    Ok(commits_of(log.read_tag(tag, from, Direction::Forward, limit)?))
}

fn commits_of(events: Vec<RecordedEvent>) -> Vec<RecordedCommit> {
    let mut commits: Vec<RecordedCommit> = Vec::new();
    for event in events {
        if commits.last().is_none_or(|last| last.place() != event.commit().place()) {
            commits.push(event.commit().clone());
        }
    }
    commits
}

/// The event at a version of a stream; `None` beyond its head. Reads its commit and no other, so damage elsewhere
/// does not matter.
pub(crate) fn event_at(
    log: &Log,
    stream: &StreamId,
    version: Version,
) -> Result<Option<RecordedEvent>, ReadError> {
    // Forward, the commit after it would be read too.
    let found = log.read_stream(stream, version, Direction::Backward, 1)?;
    let is_it = |event: &RecordedEvent| event.get().is_some_and(|event| event.version() == version);
    Ok(found.into_iter().find(is_it))
}

/// The version that follows a commit in a stream; `None` when the commit does not hold the stream.
pub(crate) fn version_after(commit: &RecordedCommit, stream: &StreamId) -> Option<Version> {
    let of_stream = commit.events().filter(|event| event.stream() == stream.as_str());
    of_stream.last().map(|event| event.version().plus(1))
}

/// Damage in a commit whose sum was right when it was read.
pub(crate) fn rotted(commit: &RecordedCommit) -> ReadError {
    let place = commit.place();
    let reason = "its events cannot be read to the end".to_owned();
    ReadError::Damaged { segment: place.segment(), offset: place.offset(), reason }
}
