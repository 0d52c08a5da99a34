//! `sunday archive`: old segments move to an archive and stay part of the log.
//!
//! Beside running processes or alone. What was moved is recorded in the log: by the writer, if one is at work, else here.

use super::{Data, restore::moment, write_json};
use crate::decisions::reason;
use crate::failure::Failure;
use crate::progress;
use clap::Args;
use command_api::{problem, record_archived};
use eventstore::archive::{ArchiveError, ArchiveOptions, Archived, archive, references};
use eventstore::storage::Environment;
use eventstore::{Log, OpenError, Position, Store, StoreOptions, Timestamp};
use http_kit::config::Settings;
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// What is moved, and where to.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The archive: file:///DIR, or s3://BUCKET/PREFIX with the usual AWS_ variables. The first time it is noted in the log's directory
    #[arg(long, value_name = "URL")]
    to: String,
    /// Only segments all of whose events are below this position
    #[arg(long, value_name = "P", required_unless_present = "before", conflicts_with = "before")]
    below: Option<u64>,
    /// Only segments that hold nothing recorded at this time or later (RFC 3339), such as 2026-01-01T00:00:00Z
    #[arg(long, value_name = "T", value_parser = moment)]
    before: Option<Timestamp>,
    /// Also what no signed checkpoint covers yet
    #[arg(long)]
    unsigned: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    url: &'a str,
    segments: Vec<Segment>,
    /// Whether the log says so already; otherwise the writer that is at work sees to it.
    recorded: bool,
}

#[derive(Debug, Serialize)]
struct Segment {
    segment: u32,
    first: u64,
    next: u64,
    bytes: u64,
    sha256: String,
    /// Whether it was moved now.
    moved: bool,
}

/// Moves what may be moved and says what is in the archive then.
///
/// # Errors
/// When the log cannot be read, the archive does not take or give back a segment, or files cannot be written.
pub fn run(arguments: Arguments, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let Arguments { data, to: url, below, before, unsigned, json } = arguments;
    let data_dir = data.or(settings);
    let below = match before {
        Some(time) => recorded_at_or_after(&data_dir, time)?,
        None => Position::new(below.unwrap_or(0)),
    };
    let options = ArchiveOptions { url, below, unsigned };
    let bar = progress::byte_bar(0);
    let told = archive(&Environment::default(), &data_dir, &options, |one| {
        bar.set_message(format!("segment {}", one.segment));
        if one.moved {
            bar.inc_length(one.bytes);
            bar.inc(one.bytes);
        }
    });
    bar.finish_and_clear();
    // What was moved before an error is recorded, too.
    let recorded = record(&data_dir);
    let all = told.map_err(failure)?;
    let recorded = recorded?;
    if json {
        let segments = all.iter().map(Segment::of).collect();
        return write_json(&Report { url: &options.url, segments, recorded }, out);
    }
    out.write_all(text_of(&all, recorded).as_bytes()).map_err(Failure::Output)
}

impl Segment {
    fn of(one: &Archived) -> Self {
        Self {
            segment: one.segment,
            first: one.first.get(),
            next: one.next.get(),
            bytes: one.bytes,
            sha256: one.digest.to_string(),
            moved: one.moved,
        }
    }
}

fn text_of(all: &[Archived], recorded: bool) -> String {
    let mut text = String::new();
    let moved: Vec<_> = all.iter().filter(|one| one.moved).collect();
    for one in &moved {
        let last = one.next.get().saturating_sub(1);
        text += &format!("segment {}: positions {} to {last}, {} bytes\n", one.segment, one.first, one.bytes);
    }
    text += &format!("{} segments moved, {} are in the archive\n", moved.len(), all.len());
    if moved.is_empty() {
        text += "a segment stays while it is written, has an event that is not old enough, no signed checkpoint covers it \
                 (--unsigned), or its index is not written yet\n";
    } else if !recorded {
        text += "the writer that is at work records it within a minute\n";
    }
    text
}

/// The first position whose event was recorded at a time or after it.
fn recorded_at_or_after(data_dir: &Path, time: Timestamp) -> Result<Position, Failure> {
    let log = Log::open_offline(data_dir)?;
    let at = |position: u64| -> Result<bool, Failure> {
        let commit = log.commit_at(Position::new(position)).map_err(Failure::Read)?;
        Ok(commit.is_some_and(|commit| commit.recorded_at() < time))
    };
    // Recorded times never fall, so they can be searched by halves.
    let (mut low, mut high) = (0, log.watermark().get());
    while low < high {
        let middle = low + (high - low) / 2;
        if at(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Position::new(low))
}

/// Whether it was recorded here; the writer does it if one is at work. Without anything to record no writer is begun, which
/// would make a log where there is none.
fn record(data_dir: &Path) -> Result<bool, Failure> {
    let unreadable = |source| Failure::Io { action: "cannot list the log's directory".to_owned(), source };
    if references(&Environment::default(), data_dir).map_err(unreadable)? == 0 {
        return Ok(false);
    }
    let store = match Store::open(data_dir, &StoreOptions::default()) {
        Ok(store) => store,
        Err(OpenError::Locked { .. }) => return Ok(false),
        Err(error) => return Err(Failure::Open(error)),
    };
    let recorded = record_archived(&store, data_dir);
    store.close();
    recorded.map(|_| true).map_err(|refusal| Failure::Part(reason(&problem(&refusal))))
}

fn failure(error: ArchiveError) -> Failure {
    match error {
        ArchiveError::Open(error) => Failure::Open(error),
        ArchiveError::Url | ArchiveError::OtherArchive { .. } => Failure::Usage(error.to_string()),
        error => Failure::Part(error.to_string()),
    }
}
