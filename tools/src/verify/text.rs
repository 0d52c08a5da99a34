//! The report of a verification as text for people.

use super::{place, verdict};
use eventstore::verify::{Finding, Severity};
use projector::audit::Audit;
use std::io::{self, Write};

/// Findings that are told one by one.
const FINDINGS_TOLD: usize = 1_000;

pub(super) fn write(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    let (warnings, findings): (Vec<&Finding>, Vec<&Finding>) =
        audit.log.findings.iter().partition(|finding| finding.severity == Severity::Warning);
    for finding in findings.iter().chain(&warnings).take(FINDINGS_TOLD) {
        one(finding, out)?;
    }
    let untold = (findings.len() + warnings.len()).saturating_sub(FINDINGS_TOLD);
    if untold > 0 {
        writeln!(out, "and {untold} more, which --json tells")?;
    }
    let log = &audit.log;
    let (events, streams, segments, bytes) = (log.events, log.streams, log.segments, log.bytes);
    writeln!(out, "log: {events} events of {streams} streams in {segments} segments ({bytes} bytes)")?;
    let signed = &audit.checkpoints;
    write!(out, "signed: the log leads to {} of {} checkpoints", signed.proven, signed.checkpoints)?;
    match signed.newest {
        Some(newest) => writeln!(out, "; the newest covers {newest} events of {}", log.next)?,
        None => writeln!(out)?,
    }
    if let Some(witnessed) = signed.witnessed {
        writeln!(out, "witnessed: {witnessed} events")?;
    }
    if let Some(tree) = &audit.tree {
        writeln!(out, "tree: {} leaves on disk", tree.leaves)?;
    }
    if let Some(index) = &audit.index {
        writeln!(out, "index: {} runs with {} entries", index.compared, index.entries)?;
    }
    if let Some(snapshots) = &audit.snapshots {
        writeln!(out, "snapshots: {} compared", snapshots.compared)?;
    }
    for projection in &audit.projections {
        let name = projection.projection;
        let (compared, position, differing) =
            (projection.compared, projection.position, projection.differing);
        writeln!(out, "{name}: {compared} compared at position {position}, {differing} differ")?;
    }
    for unchecked in &audit.unchecked {
        writeln!(out, "not checked: {unchecked}")?;
    }
    let seconds = audit.seconds;
    if audit.intact {
        let with = match warnings.len() {
            0 => String::new(),
            1 => " (1 warning)".to_owned(),
            count => format!(" ({count} warnings)"),
        };
        writeln!(out, "intact{with}: next position {}, chain {}, in {seconds:.1} s", log.next, log.chain)
    } else {
        let verdict = verdict(audit);
        writeln!(
            out,
            "not intact: {verdict}; {} findings, {} warnings, in {seconds:.1} s",
            findings.len(),
            warnings.len()
        )
    }
}

fn one(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    if finding.severity == Severity::Warning {
        write!(out, "warning: ")?;
    }
    write!(out, "{}: {}: {}", finding.class.name(), place(finding), finding.message)?;
    if let Some(stream) = &finding.stream {
        write!(out, " ({stream})")?;
    }
    if let (Some(expected), Some(actual)) = (&finding.expected, &finding.actual) {
        write!(out, ": expected {expected}, found {actual}")?;
    }
    writeln!(out)
}
