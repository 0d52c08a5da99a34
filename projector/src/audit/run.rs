//! One audit from its beginning to its end.

use super::derived::{self, Derived};
use super::sources::Sources;
use super::{Audit, AuditError, AuditOptions, REPORT_VERSION, Stage};
use eventstore::storage::Environment;
use eventstore::transparency::TreeHead;
use eventstore::verify::{
    Anchors, Class, Finding, Progress, Severity, Start, TreeChecked, Trust, VerifyOptions, check_tree_files,
    is_live, verify_with,
};
use eventstore::{Position, Timestamp, TreeSize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Audits a data directory, beside running processes or alone. `progress` is told how far it is, and says whether to go on.
///
/// # Errors
/// See [`AuditError`]. What is wrong with the data is no error but a finding.
pub fn audit(
    data_dir: &Path,
    options: &AuditOptions,
    progress: &mut dyn FnMut(Stage) -> bool,
) -> Result<Audit, AuditError> {
    let (began, started_at) = (Instant::now(), Timestamp::now());
    let environment = Environment::default();
    let is_live = is_live(&environment, data_dir);
    // What was signed is read before the log: a log that is being written has all of it then.
    let sources = Sources::read(data_dir, options)?;
    let since = options.since.as_ref().map(|since| sources.since(since)).transpose()?;
    let keys: Vec<_> = sources.keys.iter().collect();
    let trust = Trust { keys: &keys, policy: options.policy.as_ref(), has_tree: sources.has_tree, is_live };
    let anchors = Anchors::gather(&sources.journal, &sources.given, &trust);

    let edge_at = |size| sources.edge_at(size);
    if let Some(head) = since {
        begins_with(&sources, &head)?;
    }
    let start = since.map(|head| Start { position: Position::new(head.size.get()), edge_at: &edge_at });
    let verify = VerifyOptions {
        threads: options.threads,
        asked: anchors.asked(),
        from: start,
        ..VerifyOptions::default()
    };
    let mut tell = |Progress { done, total }| progress(Stage::Log { done, total });
    let mut log = verify_with(&environment, data_dir, &verify, &mut tell)?;
    if log.is_stopped {
        return Err(AuditError::Stopped);
    }
    let mut findings = std::mem::take(&mut log.findings);
    findings.extend(sources.findings.iter().cloned());
    log.findings = findings.clone();
    let checkpoints = anchors.judge(&log, &trust, &mut findings);

    let mut unchecked = Vec::new();
    if checkpoints.unproven > 0 && since.is_none() {
        let unproven = checkpoints.unproven;
        unchecked.push(format!(
            "{unproven} checkpoints: the log is damaged before them, so its root there is not known"
        ));
    }
    let derived = match since {
        Some(head) => {
            unchecked.extend(left_out(&log.extents, head.size));
            Derived::default()
        }
        None if options.log_only => {
            unchecked.push("tiles, index runs, snapshots, read models and search index".to_owned());
            Derived::default()
        }
        None => derived::check(data_dir, options, progress)?,
    };
    let tree = match sources.newest().filter(|_| since.is_none() && !options.log_only) {
        Some(head) => tree(data_dir, &sources, &head, &mut findings, progress),
        None => None,
    };
    let Derived { index, snapshots, projections, unchecked: more, findings: mut others, untold } = derived;
    unchecked.extend(more);
    findings.append(&mut others);
    let mut counts = BTreeMap::new();
    for finding in &findings {
        *counts.entry(finding.class.name()).or_default() += 1;
    }
    if untold > 0 {
        *counts.entry(Class::ReadmodelMismatch.name()).or_default() += untold;
    }
    let gravest = findings.iter().map(|finding| finding.severity).max();
    log.findings = findings;
    Ok(Audit {
        report_version: REPORT_VERSION,
        software: env!("CARGO_PKG_VERSION"),
        started_at: rfc3339(started_at),
        seconds: began.elapsed().as_secs_f64(),
        intact: gravest <= Some(Severity::Warning),
        exit: gravest.map_or(0, Severity::exit_code),
        log,
        counts,
        checkpoints,
        tree,
        index,
        snapshots,
        projections,
        unchecked,
    })
}

/// Whether the tiles on disk lead to the head that is to be begun with.
fn begins_with(sources: &Sources, head: &TreeHead) -> Result<(), AuditError> {
    let edge = sources.edge_at(head.size).map_err(AuditError::Since)?;
    if edge.root() == head.root {
        return Ok(());
    }
    let (size, root, found) = (head.size, head.root, edge.root());
    Err(AuditError::Since(format!(
        "the tiles on disk have the root {found} for {size} events, and {root} was signed: verify all of the log instead"
    )))
}

fn left_out(extents: &[eventstore::verify::Extent], size: TreeSize) -> Vec<String> {
    let first = extents.iter().find(|extent| extent.is_checked);
    let (segment, position) = first.map_or((0, Position::ZERO), |first| (first.segment, first.first));
    if segment == 0 {
        return vec!["tiles, index runs, snapshots, read models and search index".to_owned()];
    }
    vec![
        format!(
            "the bytes of segments 0 to {}, which hold the events before position {position}: that they are what led to the \
             checkpoint of {size} events rests on the verification that was made then",
            segment - 1
        ),
        "whether an id or a command of what was checked stands in what was left out, and whether streams that began there go on \
         without a gap"
            .to_owned(),
        format!("the chain across the border: segment {segment} is believed about the head before it"),
        "tiles, index runs, snapshots, read models and search index".to_owned(),
    ]
}

fn tree(
    data_dir: &Path,
    sources: &Sources,
    head: &TreeHead,
    findings: &mut Vec<Finding>,
    progress: &mut dyn FnMut(Stage) -> bool,
) -> Option<TreeChecked> {
    let Some(dir) = &sources.tree else {
        let message = "the tree has no generation in use: it is built anew when the projector starts";
        let found = Finding::in_file(Class::TreeMismatch, "tree/CURRENT", 0, Position::ZERO, message);
        findings.push(found.warning());
        return None;
    };
    let name = dir.strip_prefix(data_dir).unwrap_or(dir).display().to_string();
    let storage = Environment::default().storage;
    let mut checked = check_tree_files(&storage, dir, &name, head, &mut || progress(Stage::Tree));
    findings.append(&mut checked.findings);
    Some(checked)
}

fn rfc3339(at: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at.get().div_euclid(1_000_000_000)).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}
