//! `sunday verify`: everything that a data directory holds, verified; a report for people, programs and files; and the exit code
//! that scripts go by.
//!
//! Invariant: 0 intact, 1 tampering, 2 usage, 3 input or output, 4 corruption, 5 policy unmet. Tampering outranks the others: it
//! is proven. What the disk cannot read outranks corruption: it may be the cause of it. Warnings change nothing.

mod html;
mod text;

use crate::failure::Failure;
use crate::progress;
use clap::Args;
use eventstore::TreeSize;
use eventstore::transparency::{Policy, SignedNote, VerifierKey};
use eventstore::verify::{Class, Given, Severity};
use projector::audit::{self, Audit, AuditError, AuditOptions, Since, Stage};
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is verified, whom to believe, and where the report goes.
#[derive(Debug, Clone, Default, Args)]
pub struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Write a report for people into a file: one page with a picture of the log, which needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Verifier key of the log (name+id+key, or a file with it) that you know from elsewhere; without one the directory's own
    /// keys are believed
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// Checkpoint that you have kept (a signed note); the log has to lead to it. Several times for several
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub checkpoints: Vec<PathBuf>,
    /// File with the witnesses that have to have cosigned (C2SP tlog-policy); exit code 5 where they have not
    #[arg(long, env = "SUNDAY_WITNESS_POLICY", value_name = "FILE")]
    pub witness_policy: Option<PathBuf>,
    /// Leave out what was verified before: begin after this checkpoint, a file or a size in the journal
    #[arg(long, value_name = "FILE|SIZE")]
    pub from_checkpoint: Option<String>,
    /// Only the log and what was signed of it, nothing that is derived from it
    #[arg(long)]
    pub log_only: bool,
    /// Compare one item of the read models and the search index in so many; 1 is everything
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: u32,
}

/// The classes of findings as a table, for `--help`.
#[must_use]
pub fn classes() -> String {
    let mut table = String::from(
        "Findings, what they mean, and the exit code that they come to (1 outranks 3, 3 outranks 4, 4 outranks 5):\n",
    );
    for class in Class::ALL {
        let _ =
            write!(table, "\n  {:<27}{}  {}", class.name(), class.severity().exit_code(), class.meaning());
    }
    table.push_str(
        "\n\nExit codes: 0 intact, 1 tampering, 2 usage, 3 cannot be read, 4 corruption, 5 policy not met",
    );
    table
}

impl Arguments {
    /// What they come to.
    ///
    /// # Errors
    /// When a key, a checkpoint or the policy cannot be read.
    fn options(&self) -> Result<AuditOptions, Failure> {
        let keys = self.keys.iter().map(|key| read_key(key)).collect::<Result<_, _>>()?;
        let checkpoints =
            self.checkpoints.iter().map(|path| read_checkpoint(path)).collect::<Result<_, _>>()?;
        let policy = self.witness_policy.as_deref().map(read_policy).transpose()?;
        let since = match &self.from_checkpoint {
            None => None,
            Some(size) if !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit()) => {
                let size = size
                    .parse()
                    .map_err(|_| Failure::Usage(format!("--from-checkpoint: {size} is too large")))?;
                Some(Since::Size(TreeSize::new(size)))
            }
            Some(path) => Some(Since::Checkpoint(read_checkpoint(Path::new(path))?)),
        };
        let (log_only, one_in) = (self.log_only, self.sample);
        Ok(AuditOptions { keys, policy, checkpoints, since, log_only, one_in, threads: 0 })
    }
}

fn read_file(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|source| Failure::Io { action: format!("cannot read {}", path.display()), source })
}

fn read_key(key: &str) -> Result<VerifierKey, Failure> {
    let of_file = Path::new(key).is_file().then(|| read_file(Path::new(key))).transpose()?;
    let text = of_file.as_deref().unwrap_or(key).trim_end();
    text.parse().map_err(|error| Failure::Usage(format!("--key {key}: {error}")))
}

fn read_checkpoint(path: &Path) -> Result<Given, Failure> {
    let name = path.display().to_string();
    let note = SignedNote::parse(read_file(path)?.as_bytes());
    let note = note.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    Ok(Given { name, note, is_published: false })
}

fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let policy = read_file(path)?.parse::<Policy>();
    policy.map_err(|error| Failure::Usage(format!("--witness-policy {}: {error}", path.display())))
}

/// Verifies a data directory, writes what was found to `out` and where it was asked for, and returns the exit code.
///
/// # Errors
/// When there is no log, files cannot be read, or a report cannot be written.
pub fn verify(data_dir: &Path, arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let options = arguments.options()?;
    let bar = progress::byte_bar(0);
    bar.set_message("the log");
    let mut stage = |stage| {
        let message = match stage {
            Stage::Log { done, total } => {
                bar.set_length(total);
                bar.set_position(done);
                return true;
            }
            Stage::Tree => "the tree's files",
            Stage::Index => "the index of the log",
            Stage::Snapshots => "snapshots",
            Stage::Projections => "read models and search index",
        };
        bar.set_message(message);
        true
    };
    let audit = audit::audit(data_dir, &options, &mut stage)?;
    bar.finish_and_clear();
    if let Some(path) = &arguments.html {
        let command: Vec<_> = std::env::args().collect();
        let page = html::page(&audit, data_dir, &command);
        fs::write(path, page)
            .map_err(|source| Failure::Io { action: format!("cannot write {}", path.display()), source })?;
    }
    let written = if arguments.json { as_json(&audit, out) } else { text::write(&audit, out) };
    written.map_err(Failure::Output)?;
    Ok(audit.exit)
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Open(error) => Self::Open(error),
            AuditError::Read(error) => Self::Read(error),
            AuditError::Io { path, source } => Self::Io { action: path.display().to_string(), source },
            AuditError::Since(reason) => Self::Usage(format!("--from-checkpoint: {reason}")),
            error => Self::Part(error.to_string()),
        }
    }
}

fn as_json(audit: &Audit, out: &mut dyn Write) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, audit)?;
    writeln!(out)
}

/// How a finding's place is told.
fn place(finding: &eventstore::verify::Finding) -> String {
    match &finding.file {
        Some(file) if finding.offset > 0 => {
            format!("{file} offset {} position {}", finding.offset, finding.position)
        }
        Some(file) => format!("{file} position {}", finding.position),
        None => {
            format!("segment {} offset {} position {}", finding.segment, finding.offset, finding.position)
        }
    }
}

/// What it comes to, in a few words.
fn verdict(audit: &Audit) -> &'static str {
    match audit.log.findings.iter().map(|finding| finding.severity).max() {
        None => "intact",
        Some(Severity::Warning) => "intact, with warnings",
        Some(Severity::Policy) => "intact, but not witnessed as the policy asks",
        Some(Severity::Corruption) => "damaged",
        Some(Severity::Unreadable) => "not readable as a whole",
        Some(Severity::Tampering) => "tampered with",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_table_is_the_codes() {
        let page = include_str!("../../../docs/verify.md");
        for class in Class::ALL {
            let row =
                format!("| `{}` | {} | {} |", class.name(), class.severity().exit_code(), class.meaning());
            assert!(page.contains(&row), "docs/verify.md lacks\n{row}");
            assert!(classes().contains(class.name()));
        }
    }
}
