//! `sunday verify`: every byte of the log checked, and the exit code that scripts go by.
//!
//! Invariant: 0 intact, 1 tampering, 3 input or output, 4 corruption. Tampering outranks the others: it is proven.
//! What the disk cannot read outranks corruption: it may be the cause of it.

use crate::failure::Failure;
use crate::progress;
use eventstore::verify::{Progress, Report};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// Exit code: nothing was found.
pub const INTACT: u8 = 0;
/// Exit code: somebody changed the log and made it look right.
pub const TAMPERED: u8 = 1;
/// Exit code: the disk could not read some of it.
pub const UNREADABLE: u8 = 3;
/// Exit code: bytes are not what they were, or missing.
pub const CORRUPT: u8 = 4;

/// As JSON: the report, and what it comes down to.
#[derive(Serialize)]
struct Verdict<'a> {
    intact: bool,
    exit: u8,
    #[serde(flatten)]
    report: &'a Report,
}

/// Verifies the log of a data directory, writes what was found to `out`, and returns the exit code.
///
/// # Errors
/// When there is no log, its files cannot be read, or `out` cannot be written.
pub fn verify(data_dir: &Path, json: bool, out: &mut dyn Write) -> Result<u8, Failure> {
    let bar = progress::byte_bar(0);
    bar.set_message("verifying");
    let report = eventstore::verify(data_dir, &mut |Progress { done, total }| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let exit = exit_code(&report);
    let written = if json { as_json(&report, exit, out) } else { as_text(&report, out) };
    written.map_err(Failure::Output)?;
    Ok(exit)
}

/// What a report means to scripts.
#[must_use]
pub fn exit_code(report: &Report) -> u8 {
    if report.is_intact() {
        INTACT
    } else if report.is_tampered() {
        TAMPERED
    } else if report.is_unreadable() {
        UNREADABLE
    } else {
        CORRUPT
    }
}

fn as_json(report: &Report, exit: u8, out: &mut dyn Write) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, &Verdict { intact: report.is_intact(), exit, report })?;
    writeln!(out)
}

fn as_text(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    for finding in &report.findings {
        let place =
            format!("segment {} offset {} position {}", finding.segment, finding.offset, finding.position);
        write!(out, "{}: {place}: {}", finding.class.name(), finding.message)?;
        if let Some(stream) = &finding.stream {
            write!(out, " (stream {stream})")?;
        }
        if let (Some(expected), Some(actual)) = (&finding.expected, &finding.actual) {
            write!(out, ": expected {expected}, found {actual}")?;
        }
        writeln!(out)?;
    }
    let Report { events, streams, segments, bytes, next, chain, findings, .. } = report;
    let what = format!("{events} events of {streams} streams in {segments} segments ({bytes} bytes)");
    if findings.is_empty() {
        writeln!(out, "intact: {what}, next position {next}, chain {chain}")
    } else {
        writeln!(out, "not intact: {} findings in {what}", findings.len())
    }
}
