//! `sunday inspect`: what is in a log, down to the byte.
//!
//! Invariant: it reads what is there, beside a writer and without one, and writes nothing.

use super::{Data, write_json};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use eventstore::inspect::{Field, FrameFacts, SegmentFacts, SegmentState};
use eventstore::storage::Environment;
use eventstore::{Log, LogOffset, Position, RecordedCommit};
use http_kit::config::Settings;
use query_api::envelope::write_event;
use query_api::rfc3339::Rfc3339;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use uuid::Uuid;

/// Bytes on a line of a frame.
const LINE_BYTES: usize = 16;

/// What is looked at.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every segment file: its state, positions, commits, bytes, times
    Segments,
    /// Streams in order of their names, with how many events each has
    Streams {
        /// Only those whose names begin so
        #[arg(long, default_value = "")]
        prefix: String,
        /// Most that are listed; all of them are counted
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// One event, and where it stands
    Event {
        /// Its position or its id
        event: String,
    },
    /// One frame in hex with its fields named
    Frame {
        /// Where it begins, such as 0:4096 (segment:offset), or the position of an event in it
        place: String,
    },
}

/// Looks at what is asked for and writes it to `out`.
///
/// # Errors
/// When there is no such thing, or the log cannot be read there.
pub fn inspect(arguments: Arguments, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let Arguments { data, json, what } = arguments;
    let data_dir = data.or(settings);
    let written = match what {
        What::Segments => segments(&data_dir, json, out),
        What::Streams { prefix, limit } => streams(&data_dir, &prefix, limit, json, out),
        What::Event { event } => one_event(&data_dir, &event, json, out),
        What::Frame { place } => frame(&data_dir, &place, json, out),
    };
    match written {
        // Whoever reads has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[derive(Serialize)]
struct Segments<'a> {
    segments: &'a [SegmentFacts],
}

fn segments(data_dir: &Path, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let all = eventstore::inspect::segments(&Environment::default(), data_dir)?;
    if json {
        return write_json(&Segments { segments: &all }, out);
    }
    let mut text =
        "segment state      first position  next position    commits        bytes     capacity  recorded\n"
            .to_owned();
    for segment in &all {
        let state = match segment.state {
            SegmentState::Prepared => "prepared",
            SegmentState::Open => "open",
            SegmentState::Sealed => "sealed",
            SegmentState::Abandoned => "abandoned",
            SegmentState::Damaged => "damaged",
            _ => "unusable",
        };
        let SegmentFacts { segment: number, first, next, commits, bytes, capacity, reason, .. } = segment;
        let recorded = match (segment.recorded_from, segment.recorded_to) {
            (Some(from), Some(to)) => format!("{} to {}", Rfc3339(from), Rfc3339(to)),
            _ => "-".to_owned(),
        };
        text.push_str(&format!(
            "{number:>7} {state:<9} {first:>15} {next:>14} {commits:>10} {bytes:>12} {capacity:>12}  {recorded}\n"
        ));
        if let Some(reason) = reason {
            text.push_str(&format!("        {reason}\n"));
        }
    }
    out.write_all(text.as_bytes()).map_err(Failure::Output)
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamFacts {
    events: u64,
    first_position: u64,
    last_position: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Streams<'a> {
    /// How many there are.
    total: usize,
    streams: BTreeMap<&'a str, &'a StreamFacts>,
}

fn streams(
    data_dir: &Path,
    prefix: &str,
    limit: usize,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let log = Log::open_offline(data_dir)?;
    let mut all: BTreeMap<String, StreamFacts> = BTreeMap::new();
    for commit in log.commits(Position::ZERO) {
        for event in commit?.events().filter(|event| event.stream().starts_with(prefix)) {
            let position = event.position().get();
            if !all.contains_key(event.stream()) {
                let new = StreamFacts { first_position: position, ..StreamFacts::default() };
                all.insert(event.stream().to_owned(), new);
            }
            if let Some(facts) = all.get_mut(event.stream()) {
                facts.events += 1;
                facts.last_position = position;
            }
        }
    }
    let listed = all.iter().take(limit).map(|(name, facts)| (name.as_str(), facts));
    let found = Streams { total: all.len(), streams: listed.collect() };
    if json {
        write_json(&found, out)?;
    } else {
        for (name, StreamFacts { events, first_position, last_position }) in &found.streams {
            writeln!(out, "{name}  {events} events, positions {first_position} to {last_position}")
                .map_err(Failure::Output)?;
        }
        writeln!(out, "{} of {} streams", found.streams.len(), found.total).map_err(Failure::Output)?;
    }
    log.damage().map_or(Ok(()), |damage| Err(damage.clone().into()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventFacts {
    segment: u32,
    /// Of the frame that it is in.
    offset: u64,
    commit_first: Position,
    commit_next: Position,
    /// After its commit.
    chain: String,
    event: Box<RawValue>,
}

fn one_event(data_dir: &Path, asked: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let log = Log::open_offline(data_dir)?;
    let none =
        || Failure::Usage(format!("there is no event {asked} in this log of {} events", log.watermark()));
    let (commit, position) = if let Ok(position) = asked.parse() {
        let position = Position::new(position);
        (log.commit_at(position)?.ok_or_else(none)?, position)
    } else {
        let id: Uuid = asked
            .parse()
            .map_err(|_| Failure::Usage(format!("{asked} is neither a position nor an event id")))?;
        find(&log, id)?.ok_or_else(none)?
    };
    let event = commit.event(position).ok_or_else(none)?;
    let mut text = Vec::new();
    if let Some(view) = event.get() {
        write_event(&mut text, &view);
    }
    let text = String::from_utf8(text).map_err(|error| Failure::Part(error.to_string()))?;
    let facts = EventFacts {
        segment: commit.place().segment(),
        offset: commit.place().offset(),
        commit_first: commit.first(),
        commit_next: commit.next(),
        chain: commit.chain().to_string(),
        event: RawValue::from_string(text).map_err(|error| Failure::Part(error.to_string()))?,
    };
    if json {
        return write_json(&facts, out);
    }
    let EventFacts { segment, offset, commit_first, commit_next, chain, event } = &facts;
    writeln!(
        out,
        "segment {segment}, frame at {offset}: a commit of the positions {commit_first} to {commit_next} (exclusive), chain {chain}\n{event}"
    )
    .map_err(Failure::Output)
}

/// No index knows the ids of events: all of them are looked at.
fn find(log: &Log, id: Uuid) -> Result<Option<(RecordedCommit, Position)>, Failure> {
    for commit in log.commits(Position::ZERO) {
        let commit = commit?;
        let position = commit.events().find(|event| event.id() == id).map(|event| event.position());
        if let Some(position) = position {
            return Ok(Some((commit, position)));
        }
    }
    Ok(None)
}

fn frame(data_dir: &Path, asked: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let place = match asked.split_once(':') {
        Some((segment, offset)) => {
            let wanted = || {
                let what = "is expected as segment:offset, the offset a multiple of 8, such as 0:4096";
                Failure::Usage(format!("{asked}: a place {what}"))
            };
            let (segment, offset): (u32, u64) =
                (segment.parse().map_err(|_| wanted())?, offset.parse().map_err(|_| wanted())?);
            if !offset.is_multiple_of(8) || offset >> 3 > u64::from(u32::MAX) {
                return Err(wanted());
            }
            LogOffset::new(segment, offset)
        }
        None => {
            let log = Log::open_offline(data_dir)?;
            let position = asked.parse().map(Position::new);
            let position = position.map_err(|_| Failure::Usage(format!("{asked} is no position")))?;
            let commit = log.commit_at(position)?;
            let none = || {
                Failure::Usage(format!(
                    "there is no event {position} in this log of {} events",
                    log.watermark()
                ))
            };
            commit.ok_or_else(none)?.place()
        }
    };
    let facts = eventstore::inspect::frame(&Environment::default(), data_dir, place)?;
    if json {
        return write_json(&facts, out);
    }
    let FrameFacts { segment, offset, length, problem, fields } = &facts;
    writeln!(out, "segment {segment} offset {offset}: {length} bytes").map_err(Failure::Output)?;
    if let Some(problem) = problem {
        writeln!(out, "not sound: {problem}").map_err(Failure::Output)?;
    }
    fields.iter().try_for_each(|field| write_field(field, out)).map_err(Failure::Output)
}

fn write_field(field: &Field, out: &mut dyn Write) -> io::Result<()> {
    let Field { offset, bytes, name, value } = field;
    for (number, line) in bytes.chunks(LINE_BYTES).enumerate() {
        let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let at = offset + (number * LINE_BYTES) as u64;
        write!(out, "{at:>10}  {hex:<32}")?;
        if number == 0 { writeln!(out, "  {name} = {value}")? } else { writeln!(out)? }
    }
    Ok(())
}
