//! `sunday doctor`: how a data directory is, in plain words, and what to do.
//!
//! Invariant: it writes nothing and takes no lock; it may be asked at any time, about anything.

use super::surroundings::UNREACHABLE;
use super::{Data, write_json};
use crate::failure::Failure;
use clap::Args;
use eventstore::inspect::{self, Outlook, Page};
use eventstore::storage::Environment;
use eventstore::transparency::journal;
use eventstore::{Log, OpenError, Position, Timestamp};
use http_kit::config::Settings;
use query_api::rfc3339::Rfc3339;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A writer that has not shown itself for so long is not at work, whatever its page says, nanoseconds.
const SILENT_NS: i64 = 10_000_000_000;
/// Where repairs keep what they remove.
pub(super) const SET_ASIDE: &str = "set-aside";
/// Where a restore builds.
const RESTORING: &str = ".restoring";
/// What is looked at.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Somebody should do something, and everything works until then.
    Warning,
    /// Something does not work until somebody does something.
    Fault,
}

/// What `sunday repair` can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Move these away, below the data directory.
    SetAside(Vec<PathBuf>),
    /// Recover the log as a writer would: what a crash tore is set aside for good.
    Recover,
    /// Begin a log anew with what is sound: what follows is lost.
    AcceptLoss,
    /// Bring a repair to its end.
    Finish(PathBuf),
}

/// Something to know about a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is called.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// What to do about it.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What `sunday repair` would do.
    #[serde(skip)]
    pub remedy: Option<Remedy>,
}

/// Something that is derived from the log.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DerivedFacts {
    pub(super) name: &'static str,
    pub(super) position: Option<Position>,
    pub(super) behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// All that there is to say.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    data_dir: String,
    /// Whether a writer could open the log, or has it open.
    pub opens: bool,
    store: Option<Uuid>,
    /// The number of its events.
    pub next: Option<Position>,
    segments: Option<u32>,
    /// Who has the writer's lock.
    pub writer: Option<String>,
    /// Whether a projector or a rebuild is at work.
    pub projector: bool,
    pub(super) derived: Vec<DerivedFacts>,
    pub(super) free_bytes: Option<u64>,
    /// What there is to know, worst first.
    pub findings: Vec<Finding>,
}

/// Looks at a data directory, writes what it finds to `out`, and returns the exit code.
///
/// # Errors
/// When `out` cannot be written: whatever is wrong with the directory is an answer.
pub fn doctor(arguments: Arguments, settings: &Settings, out: &mut dyn Write) -> Result<u8, Failure> {
    let diagnosis = diagnose(&arguments.data.or(settings));
    if arguments.json {
        write_json(&diagnosis, out)?;
    } else {
        out.write_all(said(&diagnosis).as_bytes()).map_err(Failure::Output)?;
    }
    let worst = diagnosis.findings.first().map_or(Severity::Note, |finding| finding.severity);
    Ok(match worst {
        _ if !diagnosis.opens => 4,
        Severity::Note => 0,
        _ => 1,
    })
}

/// Looks at a data directory.
#[must_use]
pub fn diagnose(data_dir: &Path) -> Diagnosis {
    let mut diagnosis = Diagnosis { data_dir: data_dir.display().to_string(), ..Diagnosis::default() };
    diagnosis.look(data_dir);
    diagnosis.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    diagnosis
}

impl Diagnosis {
    pub(super) fn find(
        &mut self,
        code: &'static str,
        severity: Severity,
        what: impl Into<String>,
        advice: &str,
    ) {
        let advice = (!advice.is_empty()).then(|| advice.to_owned());
        self.findings.push(Finding { code, severity, what: what.into(), advice, remedy: None });
    }

    pub(super) fn remedy(&mut self, remedy: Remedy) {
        if let Some(last) = self.findings.last_mut() {
            last.remedy = Some(remedy);
        }
    }

    fn look(&mut self, data_dir: &Path) {
        let environment = Environment::default();
        if !data_dir.is_dir() {
            let advice = "`sunday serve --data-dir` makes it, `sunday restore` makes it of a backup";
            return self.find("no_directory", Severity::Fault, "there is no such directory", advice);
        }
        if data_dir.join("MANIFEST").is_file() {
            let what = "this is a backup, not a data directory";
            let advice =
                "`sunday restore --from` makes a data directory of it; `sunday verify` checks its log";
            self.find("backup", Severity::Note, what, advice);
        }
        if self.unfinished(data_dir) {
            // All else follows from that.
            return;
        }
        self.writer = inspect::writer(&environment, data_dir);
        self.projector = environment.storage.is_locked(&data_dir.join("control/projector.lock"));
        match inspect::standby(&environment, data_dir) {
            Ok(Some(_)) if data_dir.join("MANIFEST").is_file() => {}
            Ok(Some(follows)) => {
                let advice = "while that is there, nothing; once it is gone for good, `sunday promote` makes this the log that is \
                              written";
                self.find(
                    "standby",
                    Severity::Note,
                    format!("the log is a standby that follows {follows}"),
                    advice,
                );
            }
            Ok(None) => {}
            Err(error) => self.find("unreadable", Severity::Fault, error.to_string(), ""),
        }
        let page = inspect::page(&environment, data_dir).ok().flatten();
        match self.writer.clone() {
            Some(_) => self.beside_a_writer(data_dir, page),
            None => self.at_rest(&environment, data_dir, page),
        }
        self.archive(&environment, data_dir);
        self.leftovers(data_dir);
        if let (true, Ok(log)) = (self.opens, Log::open_offline(data_dir)) {
            self.derived(data_dir, &log);
        }
        self.keys(data_dir);
        self.room(data_dir);
    }

    /// What a restore or a repair has left that was cut short.
    fn unfinished(&mut self, data_dir: &Path) -> bool {
        if data_dir.join("log").exists() {
            return false;
        }
        let before = self.findings.len();
        if data_dir.join(RESTORING).is_dir() {
            let advice = "run `sunday restore` again: it begins anew; nothing else is here yet";
            self.find("restore_unfinished", Severity::Fault, "a restore was cut short", advice);
        }
        let dirs = fs::read_dir(data_dir.join(SET_ASIDE)).into_iter().flatten().flatten();
        if let Some(made) = dirs.map(|dir| dir.path()).filter(|dir| dir.join("new/log").is_dir()).max() {
            let advice = "run `sunday repair`: it brings that to its end";
            self.find("repair_unfinished", Severity::Fault, "a repair was cut short", advice);
            self.remedy(Remedy::Finish(made));
        }
        self.findings.len() > before
    }

    fn beside_a_writer(&mut self, data_dir: &Path, page: Option<Page>) {
        self.opens = true;
        match page {
            Some(page) => {
                (self.store, self.next) = (Some(page.store), Some(page.published));
                self.segments = Some(page.published_end.segment() + 1);
                let silent = Timestamp::now().get().saturating_sub(page.heartbeat.get());
                if silent > SILENT_NS {
                    let what = format!(
                        "the writer has the log open, and has not shown itself since {}",
                        Rfc3339(page.heartbeat)
                    );
                    let advice = "see whether that process is stopped, or its disk stands still";
                    self.find("writer_silent", Severity::Warning, what, advice);
                }
            }
            None => {
                let what = "somebody has the writer's lock, and has published nothing yet";
                self.find("writer_starting", Severity::Note, what, "look again in a moment");
            }
        }
        self.hold_against_journal(data_dir);
    }

    fn at_rest(&mut self, environment: &Environment, data_dir: &Path, page: Option<Page>) {
        match inspect::outlook(environment, data_dir) {
            Ok(Some(outlook)) => self.recoverable(data_dir, &outlook, page),
            Ok(None) => {
                self.opens = self.findings.is_empty();
                let advice = "`sunday serve` begins one, `sunday restore` makes one of a backup";
                self.find("no_log", Severity::Warning, "there is no log here", advice);
            }
            Err(error) => self.refused(&error, page),
        }
    }

    fn recoverable(&mut self, data_dir: &Path, outlook: &Outlook, page: Option<Page>) {
        self.opens = true;
        self.store = Some(outlook.lineage.store);
        self.next = Some(outlook.lineage.next);
        self.segments = Some(outlook.segments);
        if page.is_some_and(|page| page.is_open && page.store == outlook.lineage.store) {
            let what = "the last writer did not close the log: it was killed, or the machine went down";
            let advice = "nothing: the next start recovers it";
            self.find("not_closed", Severity::Note, what, advice);
        }
        if outlook.end > outlook.vouched_for {
            let what = format!(
                "what is behind {} is whole, and nobody vouches that it is on disk: the next start writes it again and syncs it",
                outlook.vouched_for
            );
            self.find("not_vouched_for", Severity::Note, what, "");
        }
        if let Some(torn) = outlook.torn {
            let what = format!(
                "a crash has torn what was being written at segment {} offset {}: nobody was told that it was done",
                torn.segment, torn.offset
            );
            let advice = "nothing: the next start leaves it where it is and goes on in a new segment; `sunday repair` does that now";
            self.find("torn_tail", Severity::Warning, what, advice);
            self.remedy(Remedy::Recover);
        }
        if let Some(segment) = outlook.torn_header {
            let what = format!("a crash has torn the header of segment {segment} before anything was in it");
            let advice = "nothing: the next start sets that file aside; `sunday repair` does it now";
            self.find("torn_header", Severity::Warning, what, advice);
            self.remedy(Remedy::Recover);
        }
        self.hold_against_journal(data_dir);
    }

    fn refused(&mut self, error: &OpenError, page: Option<Page>) {
        self.opens = false;
        let what = format!("the log cannot be opened: {error}");
        let (code, advice) = match error {
            OpenError::Damaged { .. } => (
                "damaged",
                "leave everything as it is and copy it first. If a standby or a backup has what is missing, use that. Otherwise \
                 `sunday repair --accept-loss` begins a log anew with what is sound, and keeps the rest aside",
            ),
            OpenError::BadSegment { .. } => (
                "bad_segment",
                "if the file was moved, put it back; if it is in a backup, take it from there (same name, same store). Otherwise \
                 `sunday repair --accept-loss` begins a log anew with what is before it, and keeps the rest aside",
            ),
            OpenError::InArchive { .. } => ("archive_unreachable", UNREACHABLE),
            _ => ("unreadable", "see that the files can be read by this user, and that the disk is sound"),
        };
        self.find(code, Severity::Fault, what, advice);
        if !matches!(code, "unreadable" | "archive_unreachable") {
            self.remedy(Remedy::AcceptLoss);
        }
        if let Some(page) = page {
            self.store = Some(page.store);
            let what = format!("the control page says that {} events were on disk", page.durable);
            self.find("known_durable", Severity::Note, what, "");
        }
    }

    fn hold_against_journal(&mut self, data_dir: &Path) {
        match journal::newest(&*Environment::default().storage, data_dir) {
            Ok(Some(newest)) if Some(newest.lineage.store) != self.store => {
                let what = format!(
                    "the journal of checkpoints is of store {}, the log is not",
                    newest.lineage.store
                );
                let advice = "put back the tree/ and keys/ of this log, or move those away to begin a history of its own";
                self.find("foreign_journal", Severity::Fault, what, advice);
            }
            Ok(Some(newest)) if self.next.is_some_and(|next| next < newest.lineage.next) => {
                let size = newest.checkpoint.head.size;
                let what = format!(
                    "a checkpoint of {size} events was signed, and the log has fewer: events are missing"
                );
                let advice = "put the missing segments back, or restore a backup: it becomes a new store if it has less than that. \
                              Otherwise `sunday repair --accept-loss` makes a new store of what is here";
                self.opens = false;
                self.find("shorter_than_checkpoint", Severity::Fault, what, advice);
                self.remedy(Remedy::AcceptLoss);
            }
            Ok(_) => {}
            Err(error) => {
                let advice = "take tree/checkpoints/ from a backup; until then nothing more is signed";
                self.find("journal_damaged", Severity::Fault, error.to_string(), advice);
            }
        }
    }
}

fn said(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{}\n", diagnosis.data_dir);
    if let (Some(store), Some(next)) = (diagnosis.store, diagnosis.next) {
        let segments = diagnosis.segments.unwrap_or(0);
        text.push_str(&format!("  log        store {store}, {next} events in {segments} segments\n"));
    }
    match &diagnosis.writer {
        Some(note) => text.push_str(&format!("  writer     at work ({note})\n")),
        None => text.push_str("  writer     none\n"),
    }
    text.push_str(if diagnosis.projector { "  projector  at work\n" } else { "  projector  none\n" });
    for DerivedFacts { name, position, behind, problem } in &diagnosis.derived {
        let how = match (position, behind, problem) {
            (_, _, Some(_)) => "cannot be used".to_owned(),
            (None, ..) => "not there yet: it will be made from the log".to_owned(),
            (Some(_), Some(0), _) => "up to date on disk".to_owned(),
            (Some(position), behind, _) => {
                format!("at {position} on disk, {} events behind the log", behind.unwrap_or(0))
            }
        };
        text.push_str(&format!("  {name:<10} {how}\n"));
    }
    if let Some(free) = diagnosis.free_bytes {
        text.push_str(&format!("  free       {} MiB\n", free >> 20));
    }
    for Finding { code, severity, what, advice, .. } in &diagnosis.findings {
        let mark = match severity {
            Severity::Fault => "FAULT",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        text.push_str(&format!("\n{mark}: {what} [{code}]\n"));
        if let Some(advice) = advice {
            text.push_str(&format!("  do: {advice}\n"));
        }
    }
    if diagnosis.findings.iter().all(|finding| finding.severity == Severity::Note) {
        text.push_str("\nnothing needs to be done\n");
    }
    text
}
