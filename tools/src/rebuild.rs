//! `sunday rebuild`: read models and search index made of the log anew, beside the live ones, then swapped.
//!
//! Invariant: the exit code is 0 only when everything that was there before had the digest of what is there now.

use crate::failure::Failure;
use crate::progress;
use projector::rebuild::{Built, Progress, ProjectionName, RebuildError, RebuildReport, Rebuilt};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// Exit code: old and new are equal, or there was no old one.
pub const EQUAL: u8 = 0;
/// Exit code: the old one was not what the log says. The new one is in use.
pub const DIFFERENT: u8 = 1;

#[derive(Serialize)]
struct Report<'a> {
    equal: bool,
    events: u64,
    projections: Vec<Projection<'a>>,
}

#[derive(Serialize)]
struct Projection<'a> {
    projection: &'a str,
    old: Option<Side>,
    new: Side,
    equal: Option<bool>,
    seconds: f64,
}

/// One side of the comparison.
#[derive(Serialize)]
struct Side {
    position: u64,
    digest: String,
    count: u64,
}

/// Rebuilds what is named (everything, when nothing is), writes the digests to `out`, and returns the exit code.
///
/// # Errors
/// When a projector is at work, the log cannot be read, or `out` cannot be written.
pub fn rebuild(
    data_dir: &Path,
    names: &[ProjectionName],
    json: bool,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let bar = progress::bar(0, "events or documents");
    let report = projector::rebuild(data_dir, names, &mut |Progress { projection, done, total }| {
        bar.set_message(projection.as_str());
        bar.set_length(total);
        bar.set_position(done);
    })
    .map_err(|error| match error {
        RebuildError::Open(error) => Failure::Open(error),
        RebuildError::Damage(damage) => Failure::Damage(damage),
        error => Failure::Part(error.to_string()),
    })?;
    bar.finish_and_clear();
    let equal = report.projections.iter().all(|rebuilt| rebuilt.is_equal() != Some(false));
    let written = if json { as_json(&report, equal, out) } else { as_text(&report, out) };
    written.map_err(Failure::Output)?;
    Ok(if equal { EQUAL } else { DIFFERENT })
}

fn as_json(report: &RebuildReport, equal: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let projections = report.projections.iter().map(|rebuilt| Projection {
        projection: rebuilt.projection.as_str(),
        old: rebuilt.old.as_ref().map(side),
        new: side(&rebuilt.new),
        equal: rebuilt.is_equal(),
        seconds: rebuilt.took.as_secs_f64(),
    });
    let report = Report { equal, events: report.events, projections: projections.collect() };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)
}

fn side(built: &Built) -> Side {
    Side { position: built.position.get(), digest: built.digest.to_string(), count: built.count }
}

fn as_text(report: &RebuildReport, out: &mut dyn Write) -> std::io::Result<()> {
    for rebuilt in &report.projections {
        let Rebuilt { projection, old, new, took, .. } = rebuilt;
        let name = projection.as_str();
        writeln!(
            out,
            "{name}: {} entries at position {} in {:.1} s",
            new.count,
            new.position,
            took.as_secs_f64()
        )?;
        match old {
            Some(old) => writeln!(out, "  old {} at position {}", old.digest, old.position)?,
            None => writeln!(out, "  old: there was none to compare with")?,
        }
        let verdict = match rebuilt.is_equal() {
            Some(true) => ": equal",
            Some(false) => ": different, the new one is in use now",
            None => "",
        };
        writeln!(out, "  new {} at position {}{verdict}", new.digest, new.position)?;
    }
    Ok(())
}
