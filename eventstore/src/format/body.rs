//! The body of a commit, split into stream table, command table and events.

use super::FormatError;
use super::bytes::{slice, u16_at, u32_at, u64_at};
use super::event::EVENT_HEADER_BYTES;
use crate::codec;
use crate::names::{CommandId, Fingerprint};
use serde::{Deserialize, Serialize};

/// Length of the fixed part of a body, bytes.
pub const BODY_HEADER_BYTES: usize = 8;
/// Length of a command's record in the table, bytes.
pub const COMMAND_RECORD_BYTES: usize = 41;
/// Where the outcome stands in a command's record.
const OUTCOME_AT: usize = 32;

/// One command in a commit's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommandRecord {
    pub(crate) id: CommandId,
    pub(crate) fingerprint: Fingerprint,
    /// 0 applied, 1 unchanged.
    pub(crate) outcome: u8,
    /// First of its events, counted within the commit.
    pub(crate) first_event: u32,
    pub(crate) events: u32,
}

/// A commit's body, split into its parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    stream_table: &'a [u8],
    pub(crate) command_table: &'a [u8],
    events: &'a [u8],
    /// Where in the body the events begin.
    events_at: usize,
}

impl<'a> Body<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let streams = u32_at(bytes, 0)? as usize;
        let commands = u32_at(bytes, 4)? as usize;
        let stream_table = slice(bytes, BODY_HEADER_BYTES, streams)?;
        let command_table = slice(bytes, BODY_HEADER_BYTES + streams, commands)?;
        let events_at = BODY_HEADER_BYTES + streams + commands;
        let events = bytes.get(events_at..).ok_or(FormatError("the bytes end early"))?;
        Ok(Self { stream_table, command_table, events, events_at })
    }

    /// The streams touched, each with its one-byte length prefix.
    pub(crate) fn streams(&self) -> StreamTable<'a> {
        StreamTable { rest: self.stream_table }
    }

    /// Number of a stream in the table, and where in the body its entry is; the bytes need not have been checked.
    pub(crate) fn find_stream(&self, name: &str) -> Option<(usize, usize)> {
        self.stream_entries()
            .enumerate()
            .find_map(|(index, (at, entry))| (entry == name.as_bytes()).then_some((index, at)))
    }

    /// Where in the body the entry of a stream is.
    pub(crate) fn stream_at(&self, index: usize) -> Option<usize> {
        self.stream_entries().nth(index).map(|(at, _)| at)
    }

    /// The names of the streams, in the order of their numbers; of a body that has been checked.
    pub(crate) fn stream_names(&self) -> impl Iterator<Item = &'a str> {
        self.stream_entries().map(|(_, name)| std::str::from_utf8(name).unwrap_or_default())
    }

    fn stream_entries(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let (mut rest, mut at) = (self.stream_table, BODY_HEADER_BYTES);
        std::iter::from_fn(move || {
            let (entry, after) = rest.split_at_checked(usize::from(*rest.first()?) + 1)?;
            let found = (at, &entry[1..]);
            (rest, at) = (after, at + entry.len());
            Some(found)
        })
    }

    pub(crate) fn commands(&self) -> Result<Vec<CommandRecord>, FormatError> {
        if self.command_table.is_empty() {
            return Ok(Vec::new());
        }
        let unreadable = FormatError("the command table cannot be read");
        let commands: Vec<CommandRecord> = codec::decode(self.command_table).map_err(|_| unreadable)?;
        // An outcome that is neither decodes all the same.
        if commands.iter().all(|command| command.outcome <= 1) { Ok(commands) } else { Err(unreadable) }
    }

    /// Whether the command table is what its encoder makes of commands and `events` events: it is fixed-width, none
    /// is no table, and the commands share the events out in order.
    pub(crate) fn check_commands(&self, events: u32) -> Result<(), FormatError> {
        let table = self.command_table;
        if table.is_empty() {
            return Ok(());
        }
        let records = table.get(8..).unwrap_or_default();
        let count = u64_at(table, 0)?;
        if count == 0
            || !records.len().is_multiple_of(COMMAND_RECORD_BYTES)
            || (records.len() / COMMAND_RECORD_BYTES) as u64 != count
        {
            return Err(FormatError("the command table cannot be read"));
        }
        let mut claimed = 0;
        for record in records.chunks_exact(COMMAND_RECORD_BYTES) {
            let (outcome, first, count) = (record[OUTCOME_AT], u32_at(record, 33)?, u32_at(record, 37)?);
            if outcome > 1 || (outcome == 0) == (count == 0) {
                return Err(FormatError("a command's outcome does not fit its events"));
            }
            let next = first.checked_add(count).filter(|next| first == claimed && *next <= events);
            claimed = next.ok_or(FormatError("a command's events are not those after its predecessor's"))?;
        }
        Ok(())
    }

    /// Ids of the commands of a table that has been checked.
    pub(crate) fn command_ids(&self) -> impl Iterator<Item = &'a [u8; 16]> + use<'a> {
        let records = self.command_table.get(8..).unwrap_or_default();
        records.chunks_exact(COMMAND_RECORD_BYTES).filter_map(|record| record.first_chunk())
    }

    pub(crate) fn events(&self) -> &'a [u8] {
        self.events
    }

    /// The records of the events one after the other, by their lengths only: nothing in them has been checked.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let (mut rest, mut at) = (self.events, self.events_at);
        std::iter::from_fn(move || {
            let len = u32_at(rest, 0).ok()? as usize;
            let (bytes, after) = rest.split_at_checked(len).filter(|_| len > 0)?;
            let record = Record { at, bytes };
            (rest, at) = (after, at + len);
            Some(record)
        })
    }
}

/// An event's record of which nothing but the length has been looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Where in the body it begins.
    pub(crate) at: usize,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Number of its stream in the table.
    pub(crate) fn stream(&self) -> Option<usize> {
        u16_at(self.bytes, 24).ok().map(usize::from)
    }

    /// Its number among the commit's events of the same stream.
    pub(crate) fn ordinal(&self) -> Option<u32> {
        u32_at(self.bytes, 28).ok()
    }

    /// Whether it has a tag.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags().is_some_and(|mut tags| tags.any(|found| found == tag.as_bytes()))
    }

    fn tags(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let at = EVENT_HEADER_BYTES + usize::from(*self.bytes.get(33)?);
        let mut rest = slice(self.bytes, at, u32_at(self.bytes, 40).ok()? as usize).ok()?;
        Some(std::iter::from_fn(move || {
            let (len, after) = rest.split_first()?;
            let (tag, after) = after.split_at_checked(usize::from(*len))?;
            rest = after;
            Some(tag)
        }))
    }
}

/// Iterates over the stream table.
#[derive(Debug, Clone)]
pub(crate) struct StreamTable<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for StreamTable<'a> {
    type Item = Result<&'a [u8], FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = usize::from(*self.rest.first()?);
        let Some((entry, rest)) = self.rest.split_at_checked(len + 1) else {
            self.rest = &[];
            return Some(Err(FormatError("the stream table ends early")));
        };
        if std::str::from_utf8(&entry[1..]).is_err() {
            self.rest = &[];
            return Some(Err(FormatError("a stream id is not UTF-8")));
        }
        self.rest = rest;
        Some(Ok(entry))
    }
}
