//! `sunday rebuild`: read models and search index made of the log anew, beside the live ones, then swapped.
//!
//! Invariant: the exit code is 0 only when everything that was there before had the digest of what is there now.

use crate::decisions::reason;
use crate::failure::Failure;
use crate::progress;
use command_api::ProjectionControl;
use domain::system::projections::{
    self as control, ControlEvent, RebuildCancelled, RebuildFinished, RebuildOutcome, RebuildRequested,
};
use eventstore::{Log, OpenError, Position, Store, StoreOptions};
use projector::rebuild::{Built, Progress, ProjectionName, RebuildError, RebuildReport, Rebuilt};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use uuid::Uuid;

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
    /// In how many entities they differ.
    differing: u64,
    seconds: f64,
}

/// One side of the comparison.
#[derive(Serialize)]
struct Side {
    position: u64,
    digest: String,
    count: u64,
}

/// Rebuilds what is named (everything, when nothing is) of a data directory that nobody works on, writes the digests to `out`,
/// and returns the exit code. What is asked for and what becomes of it is recorded in the log, as when it is asked of
/// running processes. With `shadow` what is in use stays in use.
///
/// # Errors
/// When somebody is at work there, the log cannot be read or written, or `out` cannot be written.
pub fn rebuild(
    data_dir: &Path,
    names: &[ProjectionName],
    shadow: bool,
    json: bool,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let store = open(data_dir)?;
    let control = ProjectionControl::new(store.clone());
    let done = recorded(data_dir, names, shadow, &control);
    drop(control);
    store.close();
    let report = done?;
    let equal = report.projections.iter().all(|rebuilt| rebuilt.is_equal() != Some(false));
    let written = if json { as_json(&report, equal, out) } else { as_text(&report, shadow, out) };
    written.map_err(Failure::Output)?;
    Ok(if equal { EQUAL } else { DIFFERENT })
}

/// The writer's place at a log that is there.
fn open(data_dir: &Path) -> Result<Store, Failure> {
    // Looked at first: a rebuild begins no log, and none of which only a part can be read is rebuilt from.
    let log = Log::open_offline(data_dir)?;
    if let Some(damage) = log.damage() {
        return Err(Failure::Damage(damage.clone()));
    }
    drop(log);
    Store::open(data_dir, &StoreOptions::default()).map_err(|error| match error {
        OpenError::Locked { .. } => Failure::Part(format!(
            "{error}; ask those at work: sunday rebuild --command-url URL --query-url URL"
        )),
        error => Failure::Open(error),
    })
}

/// Asks for a rebuild in the log, carries it out, and records what became of it.
fn recorded(
    data_dir: &Path,
    names: &[ProjectionName],
    shadow: bool,
    control: &ProjectionControl,
) -> Result<RebuildReport, Failure> {
    let append = |name: ProjectionName, event: ControlEvent| {
        let appended = control.append(name.as_str(), event);
        appended.map_err(|problem| Failure::Part(reason(&problem)))
    };
    let mut asked = Vec::new();
    for name in ProjectionName::ALL.into_iter().filter(|name| names.is_empty() || names.contains(name)) {
        let state = control.state(name.as_str()).map_err(|problem| Failure::Part(reason(&problem)))?;
        // One that was asked for before and never came to its end is overtaken by this one.
        if let Some(open) = state.rebuild {
            let overtaken = if open.is_swapping {
                let reason = "it was being put into use and never came to its end; a later one overtook it";
                ControlEvent::RebuildFinished(RebuildFinished::failed(open.id, 0, reason))
            } else {
                ControlEvent::RebuildCancelled(RebuildCancelled { rebuild_id: open.id })
            };
            append(name, overtaken)?;
        }
        let rebuild_id = Uuid::new_v4();
        append(name, ControlEvent::RebuildRequested(RebuildRequested { rebuild_id, shadow }))?;
        asked.push((name, rebuild_id));
    }
    let built = build(data_dir, names, shadow, &append);
    for (name, rebuild_id) in asked {
        let finished = match &built {
            Ok(report) => {
                report.projections.iter().find(|rebuilt| rebuilt.projection == name).map(|rebuilt| {
                    let outcome = if shadow { RebuildOutcome::Compared } else { RebuildOutcome::Swapped };
                    finished(rebuild_id, outcome, rebuilt)
                })
            }
            Err(error) => Some(RebuildFinished::failed(rebuild_id, 0, &error.to_string())),
        };
        if let Some(finished) = finished {
            append(name, ControlEvent::RebuildFinished(finished))?;
        }
    }
    built
}

fn build(
    data_dir: &Path,
    names: &[ProjectionName],
    shadow: bool,
    append: &dyn Fn(ProjectionName, ControlEvent) -> Result<Position, Failure>,
) -> Result<RebuildReport, Failure> {
    loop {
        let bar = progress::bar(0, "events or documents");
        let mut tell = |Progress { projection, done, total }| {
            bar.set_message(projection.as_str());
            bar.set_length(total);
            bar.set_position(done);
        };
        let built = match shadow {
            true => projector::rebuild::shadow(data_dir, names, &mut tell),
            false => projector::rebuild(data_dir, names, &mut tell),
        };
        bar.finish_and_clear();
        return match built {
            Ok(report) => Ok(report),
            // Whoever holds both locks decides, as a projector would. The number of dead letters is bounded, so this ends.
            Err(RebuildError::Undecided { projection, waiting }) => {
                append(projection, waiting.decision())?;
                continue;
            }
            Err(RebuildError::Open(error)) => Err(Failure::Open(error)),
            Err(RebuildError::Damage(damage)) => Err(Failure::Damage(damage)),
            Err(error) => Err(Failure::Part(error.to_string())),
        };
    }
}

fn finished(rebuild_id: Uuid, outcome: RebuildOutcome, rebuilt: &Rebuilt) -> RebuildFinished {
    let told = |built: &Built| control::Built { digest: built.digest.to_string(), count: built.count };
    RebuildFinished {
        rebuild_id,
        outcome,
        position: rebuilt.new.position.get(),
        old: rebuilt.old.as_ref().map(told),
        new: Some(told(&rebuilt.new)),
        differing: rebuilt.differing,
        differences: rebuilt.differences.clone(),
        reason: None,
    }
}

fn as_json(report: &RebuildReport, equal: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let projections = report.projections.iter().map(|rebuilt| Projection {
        projection: rebuilt.projection.as_str(),
        old: rebuilt.old.as_ref().map(side),
        new: side(&rebuilt.new),
        equal: rebuilt.is_equal(),
        differing: rebuilt.differing,
        seconds: rebuilt.took.as_secs_f64(),
    });
    let report = Report { equal, events: report.events, projections: projections.collect() };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)
}

fn side(built: &Built) -> Side {
    Side { position: built.position.get(), digest: built.digest.to_string(), count: built.count }
}

fn as_text(report: &RebuildReport, shadow: bool, out: &mut dyn Write) -> std::io::Result<()> {
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
            Some(false) if shadow => ": different; the old one stays in use",
            Some(false) => ": different, the new one is in use now",
            None => "",
        };
        writeln!(out, "  new {} at position {}{verdict}", new.digest, new.position)?;
        for difference in &rebuilt.differences {
            writeln!(out, "    {}", difference.entity)?;
        }
        if rebuilt.differing > rebuilt.differences.len() as u64 {
            writeln!(out, "    and {} more", rebuilt.differing - rebuilt.differences.len() as u64)?;
        }
    }
    Ok(())
}
