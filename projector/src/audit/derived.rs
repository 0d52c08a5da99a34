//! What is derived from the log, against the log: index runs, snapshots, images of read models, the search index.

use super::{AuditError, AuditOptions, Stage, states};
use crate::checker::{CheckError, Checked, Manner, Scope, Unusable, inspect_data_dir};
use eventstore::storage::Environment;
use eventstore::verify::{Class, Finding, Runs, check_runs};
use eventstore::{Log, OpenError, Position, SnapshotsChecked, Timestamp, check_snapshots};
use serde::Serialize;
use std::cell::RefCell;
use std::path::Path;

/// What was compared of a projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectionChecked {
    /// Its name.
    pub projection: &'static str,
    /// Where the comparison was made.
    pub position: Position,
    /// How many parts or documents were compared.
    pub compared: u64,
    /// How many of them are not what the log says.
    pub differing: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What was found in all that is derived.
#[derive(Default)]
pub(super) struct Derived {
    pub(super) index: Option<Runs>,
    pub(super) snapshots: Option<SnapshotsChecked>,
    pub(super) projections: Vec<ProjectionChecked>,
    pub(super) unchecked: Vec<String>,
    pub(super) findings: Vec<Finding>,
    /// Findings that are counted and not told one by one.
    pub(super) untold: u64,
}

pub(super) fn check(
    data_dir: &Path,
    options: &AuditOptions,
    progress: &mut dyn FnMut(Stage) -> bool,
) -> Result<Derived, AuditError> {
    let mut derived = Derived::default();
    let environment = Environment::default();
    let mut runs = check_runs(&environment, data_dir, options.threads, &mut || progress(Stage::Index))?;
    derived.findings.append(&mut runs.findings);
    if runs.passed_over > 0 {
        let passed = runs.passed_over;
        derived
            .unchecked
            .push(format!("{passed} index runs: of another version, or of segments that are damaged"));
    }
    derived.index = Some(runs);
    let Some(log) = opened(data_dir, &mut derived)? else { return Ok(derived) };
    let mut going = || progress(Stage::Snapshots);
    let snapshots = check_snapshots(&environment, data_dir, &log, &states::judge, &mut going);
    let mut snapshots = snapshots
        .map_err(|source| AuditError::Io { path: data_dir.join("snapshots/snapshots.dat"), source })?;
    derived.findings.append(&mut snapshots.findings);
    if snapshots.passed_over > 0 {
        let passed = snapshots.passed_over;
        derived.unchecked.push(format!("{passed} snapshots of states that this build does not know"));
    }
    derived.snapshots = Some(snapshots);
    projections(data_dir, &log, options, progress, &mut derived)?;
    Ok(derived)
}

/// The log to replay; none where it is damaged itself.
fn opened(data_dir: &Path, derived: &mut Derived) -> Result<Option<Log>, AuditError> {
    // A log that is being written is followed: what is compared may be newer than this moment.
    let log = match Log::open(data_dir) {
        Ok(log) => Ok(log),
        Err(_) => Log::open_offline(data_dir),
    };
    let reason = match log {
        Ok(log) => match log.damage() {
            None => return Ok(Some(log)),
            Some(damage) => damage.to_string(),
        },
        Err(error @ OpenError::Io { .. }) => return Err(error.into()),
        Err(error) => error.to_string(),
    };
    let text = format!("snapshots, read models and search index: the log cannot be replayed ({reason})");
    derived.unchecked.push(text);
    Ok(None)
}

fn projections(
    data_dir: &Path,
    log: &Log,
    options: &AuditOptions,
    progress: &mut dyn FnMut(Stage) -> bool,
    derived: &mut Derived,
) -> Result<(), AuditError> {
    let scope = match options.one_in {
        0 | 1 => Scope::All,
        one_in => Scope::Sample { one_in, seed: Timestamp::now().get().unsigned_abs() },
    };
    if let Scope::Sample { one_in, seed } = scope {
        derived.unchecked.push(format!(
            "of the read models and the search index all but one item in {one_in} (seed {seed})"
        ));
    }
    let progress = RefCell::new(progress);
    let is_stopped = || !(progress.borrow_mut())(Stage::Projections);
    let inspected = inspect_data_dir(data_dir, log, &scope, &Manner { share: 1, is_stopped: &is_stopped });
    for (projection, outcome) in inspected {
        let name = projection.as_str();
        match outcome {
            Ok(checked) => told(&checked, derived),
            Err(Unusable::None) => {}
            Err(Unusable::Other(reason)) => {
                derived.unchecked.push(format!("{name}: {reason}; it is made anew when it is needed"));
            }
            Err(Unusable::Damaged { file, reason }) => {
                derived.findings.push(Finding::in_file(Class::Bitrot, file, 0, Position::ZERO, reason));
            }
            Err(Unusable::Unreadable { file, reason }) => {
                derived.findings.push(Finding::in_file(Class::Unreadable, file, 0, Position::ZERO, reason));
            }
            Err(Unusable::Foreign { file, reason }) => {
                derived.findings.push(Finding::in_file(
                    Class::ReadmodelMismatch,
                    file,
                    0,
                    Position::ZERO,
                    reason,
                ));
            }
            Err(Unusable::Failed(CheckError::Stopped)) => return Err(AuditError::Stopped),
            Err(Unusable::Failed(error)) => derived.unchecked.push(format!("{name}: {error}")),
        }
    }
    Ok(())
}

fn told(checked: &Checked, derived: &mut Derived) {
    let name = checked.projection.as_str();
    let file = if name == "search" { "search".to_owned() } else { format!("images ({name})") };
    for finding in &checked.findings {
        let part = finding.part.as_ref().map_or_else(String::new, |part| format!(" ({part})"));
        let message = format!("{name}: {} is {}{part}", finding.entity, finding.class.as_str());
        let mut told = Finding::in_file(Class::ReadmodelMismatch, &*file, 0, checked.position, message)
            .stream(&finding.entity.to_string());
        told.expected = finding.expected.map(|digest| digest.to_string());
        told.actual = finding.actual.map(|digest| digest.to_string());
        derived.findings.push(told);
    }
    derived.untold += checked.total().saturating_sub(checked.findings.len() as u64);
    derived.projections.push(ProjectionChecked {
        projection: name,
        position: checked.position,
        compared: checked.compared,
        differing: checked.total(),
        seconds: checked.took.as_secs_f64(),
    });
}
