//! Where things are: streams, tags, commands and commits to log offsets, in memory.
//!
//! It is built from the frames alone, in every process, by the same code. It grows with the log (some 16 bytes a
//! commit and stream, the names once); sealed indexes on disk are to bound it.

use crate::format::FormatError;
use crate::format::body::Body;
use crate::format::event::{EventIter, EventView};
use crate::format::frame::Frame;
use crate::names::{CommandId, StreamId, Tag};
use crate::numbers::{LogOffset, Position, Version};
use rustc_hash::FxHashMap;

#[derive(Debug)]
struct StreamEntry {
    head: Version,
    /// Base version and place of every commit that wrote the stream.
    commits: Vec<(Version, LogOffset)>,
}

/// The index of what has been published.
#[derive(Debug, Default)]
pub(crate) struct Index {
    streams: FxHashMap<StreamId, StreamEntry>,
    newest_with_tag: FxHashMap<Tag, Position>,
    commands: FxHashMap<CommandId, LogOffset>,
    /// First position and place of every commit.
    commits: Vec<(Position, LogOffset)>,
}

impl Index {
    /// Takes in the commit at `place`. Everything is checked before anything is changed.
    pub(crate) fn add(&mut self, place: LogOffset, frame: &Frame<'_>) -> Result<(), FormatError> {
        let body = Body::decode(frame.body)?;
        let commands = body.commands()?;
        let events = EventIter::new(*frame)?.collect::<Result<Vec<_>, _>>()?;
        let mut counts = vec![0_u32; usize::from(frame.header.streams)];
        for event in &events {
            let count =
                counts.get_mut(event.stream_index()).ok_or(FormatError("an event of an unknown stream"))?;
            if event.ordinal() != *count {
                return Err(FormatError("an event's ordinal does not continue its stream"));
            }
            *count += 1;
        }
        for ((index, count), entry) in counts.iter().enumerate().zip(body.streams()) {
            if *count == 0 {
                return Err(FormatError("a stream in the table without events"));
            }
            let entry = entry?;
            let base = frame.base_version(index).ok_or(FormatError("a stream without a base version"))?;
            let known = std::str::from_utf8(&entry[1..]).ok().and_then(|stream| self.streams.get(stream));
            if base != known.map_or(Version::ZERO, |entry| entry.head.plus(1)) {
                return Err(FormatError("a commit does not continue its stream"));
            }
        }

        for event in &events {
            for tag in event.tags() {
                if let Some(newest) = self.newest_with_tag.get_mut(tag) {
                    *newest = event.position();
                } else if let Ok(tag) = Tag::new(tag) {
                    self.newest_with_tag.insert(tag, event.position());
                }
            }
            if event.ordinal() > 0 {
                self.raise(event);
                continue;
            }
            if let Some(entry) = self.streams.get_mut(event.stream()) {
                entry.head = event.version();
                entry.commits.push((event.version(), place));
            } else if let Ok(stream) = StreamId::new(event.stream()) {
                let entry = StreamEntry { head: event.version(), commits: vec![(event.version(), place)] };
                self.streams.insert(stream, entry);
            }
        }
        for command in commands {
            self.commands.insert(command.id, place);
        }
        self.commits.push((frame.header.first, place));
        Ok(())
    }

    fn raise(&mut self, event: &EventView<'_>) {
        if let Some(entry) = self.streams.get_mut(event.stream()) {
            entry.head = event.version();
        }
    }

    pub(crate) fn stream_version(&self, stream: &str) -> Option<Version> {
        self.streams.get(stream).map(|entry| entry.head)
    }

    pub(crate) fn newest_with_tag(&self, tag: &str) -> Option<Position> {
        self.newest_with_tag.get(tag).copied()
    }

    pub(crate) fn command(&self, command: &CommandId) -> Option<LogOffset> {
        self.commands.get(command).copied()
    }

    /// Number of the first commit that has something at or after `from`.
    pub(crate) fn commit_from(&self, from: Position) -> usize {
        let after = self.commits.partition_point(|(first, _)| *first < from);
        match self.commits.get(after) {
            Some((first, _)) if *first == from => after,
            // `from` lies within the commit before, or at the end of the log; who reads on from there skips it.
            _ => after.saturating_sub(1),
        }
    }

    /// Places of up to `limit` commits from number `commit` on.
    pub(crate) fn commits(&self, commit: usize, limit: usize) -> &[(Position, LogOffset)] {
        let rest = self.commits.get(commit..).unwrap_or_default();
        &rest[..rest.len().min(limit)]
    }

    /// Places of the commits that hold versions of the stream from `from` on, with their base versions.
    pub(crate) fn stream_forward(&self, stream: &str, from: Version, limit: usize) -> Vec<LogOffset> {
        let Some(entry) = self.streams.get(stream) else {
            return Vec::new();
        };
        let start = entry.commits.partition_point(|(base, _)| *base <= from).saturating_sub(1);
        entry.commits[start..].iter().take(limit).map(|(_, place)| *place).collect()
    }

    /// Places of the commits that hold versions of the stream down from `from`, newest first.
    pub(crate) fn stream_backward(&self, stream: &str, from: Version, limit: usize) -> Vec<LogOffset> {
        let Some(entry) = self.streams.get(stream) else {
            return Vec::new();
        };
        let end = entry.commits.partition_point(|(base, _)| *base <= from);
        entry.commits[..end].iter().rev().take(limit).map(|(_, place)| *place).collect()
    }
}
