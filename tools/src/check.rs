//! `sunday check`: images of the read models and the search index compared with a replay of the log, thing by thing; beside
//! running processes or alone. It changes nothing.
//!
//! Invariant: the exit code is 0 only when nothing was found.

use crate::failure::Failure;
use crate::progress;
use eventstore::{Log, OpenError, Timestamp};
use projector::checker::{CheckError, Checked, Class, Finding, Manner, Scope, check_data_dir};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Exit code: nothing was found.
pub const CONSISTENT: u8 = 0;
/// Exit code: something is not what the log says.
pub const INCONSISTENT: u8 = 1;

/// Findings of a projection that are written for people.
const FINDINGS_SHOWN: usize = 20;
/// How often a person at a terminal sees that it is still at work.
const TICK: Duration = Duration::from_millis(200);

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// One item in so many; 1 is everything.
    pub one_in: u32,
    /// Decides which ones.
    pub seed: Option<u64>,
}

impl Extent {
    fn scope(self) -> Scope {
        match self.one_in {
            0 | 1 => Scope::All,
            one_in => {
                let seed = self.seed.unwrap_or_else(|| Timestamp::now().get().unsigned_abs());
                Scope::Sample { one_in, seed }
            }
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    consistent: bool,
    sample: u32,
    seed: Option<u64>,
    projections: Vec<Projection<'a>>,
}

#[derive(Serialize)]
struct Projection<'a> {
    projection: &'static str,
    position: u64,
    compared: u64,
    missing: u64,
    stale: u64,
    duplicate: u64,
    orphaned: u64,
    findings: Vec<Told<'a>>,
    seconds: f64,
}

#[derive(Serialize)]
struct Told<'a> {
    class: &'static str,
    entity: String,
    part: Option<&'a str>,
    expected: Option<String>,
    actual: Option<String>,
}

/// Compares, writes what was found to `out`, and returns the exit code.
///
/// # Errors
/// When the log cannot be read, or only in part, or `out` cannot be written.
pub fn check(data_dir: &Path, extent: Extent, json: bool, out: &mut dyn Write) -> Result<u8, Failure> {
    // A log that is being written is followed: what is compared may be newer than this moment.
    let log = match Log::open(data_dir) {
        Ok(log) => log,
        Err(OpenError::NoLog { .. }) => Log::open_offline(data_dir)?,
        Err(error) => return Err(error.into()),
    };
    if let Some(damage) = log.damage() {
        return Err(damage.clone().into());
    }
    let bar = progress::spinner("comparing with a replay of the log");
    bar.enable_steady_tick(TICK);
    let scope = extent.scope();
    let manner = Manner { share: 1, is_stopped: &|| false };
    let checked = check_data_dir(data_dir, &log, &scope, &manner).map_err(|error| match error {
        CheckError::Projection(projector::projection::ProjectionError::Read(error)) => Failure::Read(error),
        error => Failure::Part(error.to_string()),
    })?;
    bar.finish_and_clear();
    let consistent = checked.iter().all(|checked| checked.total() == 0);
    let written =
        if json { as_json(&checked, &scope, consistent, out) } else { as_text(&checked, &scope, out) };
    written.map_err(Failure::Output)?;
    Ok(if consistent { CONSISTENT } else { INCONSISTENT })
}

fn as_json(checked: &[Checked], scope: &Scope, consistent: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let (sample, seed) = match scope {
        Scope::Sample { one_in, seed } => (*one_in, Some(*seed)),
        _ => (1, None),
    };
    let projections = checked.iter().map(projection).collect();
    serde_json::to_writer(&mut *out, &Report { consistent, sample, seed, projections })?;
    writeln!(out)
}

fn projection(checked: &Checked) -> Projection<'_> {
    let [missing, stale, duplicate, orphaned] = checked.counts;
    Projection {
        projection: checked.projection.as_str(),
        position: checked.position.get(),
        compared: checked.compared,
        missing,
        stale,
        duplicate,
        orphaned,
        findings: checked.findings.iter().map(told).collect(),
        seconds: checked.took.as_secs_f64(),
    }
}

fn told(finding: &Finding) -> Told<'_> {
    Told {
        class: finding.class.as_str(),
        entity: finding.entity.to_string(),
        part: finding.part.as_deref(),
        expected: finding.expected.map(|digest| digest.to_string()),
        actual: finding.actual.map(|digest| digest.to_string()),
    }
}

fn as_text(checked: &[Checked], scope: &Scope, out: &mut dyn Write) -> std::io::Result<()> {
    if let Scope::Sample { one_in, seed } = scope {
        writeln!(out, "a sample of one in {one_in} (--seed {seed})")?;
    }
    if checked.is_empty() {
        writeln!(out, "there is nothing to compare: no image and no index that the log confirms")?;
    }
    for Checked { projection, position, compared, findings, counts, took } in checked {
        let name = projection.as_str();
        write!(out, "{name}: {compared} compared at position {position} in {:.1} s", took.as_secs_f64())?;
        let found: Vec<_> = Class::ALL.into_iter().zip(counts).filter(|(_, count)| **count > 0).collect();
        if found.is_empty() {
            writeln!(out, ": as the log says")?;
            continue;
        }
        let found: Vec<_> =
            found.into_iter().map(|(class, count)| format!("{count} {}", class.as_str())).collect();
        writeln!(out, ": {}", found.join(", "))?;
        for finding in findings.iter().take(FINDINGS_SHOWN) {
            let part = finding.part.as_ref().map_or_else(String::new, |part| format!(" ({part})"));
            writeln!(out, "  {} {}{part}", finding.class.as_str(), finding.entity)?;
        }
        let total: u64 = counts.iter().sum();
        if total > FINDINGS_SHOWN as u64 {
            writeln!(out, "  and {} more", total - FINDINGS_SHOWN as u64)?;
        }
    }
    Ok(())
}
