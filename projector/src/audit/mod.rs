//! An audit: everything that a data directory holds, verified. The log's bytes, what was signed of it, and all that is derived from it.
//!
//! ```text
//!  keys, journal, given checkpoints ──signatures──▶ what is remembered of the log ─┐
//!  log ── frames, digests, chain, versions, ids, tree ─────────────────────────────┼─▶ findings ─▶ Audit
//!  tiles · index runs · snapshots · images · search index ── against the log ──────┘
//! ```
//!
//! Invariant: it writes nothing, takes no lock that a writer waits for, and works on a directory that cannot be written.
//!
//! Invariant: what was not checked is said (`unchecked`); nothing is called intact because nobody looked.

mod derived;
mod run;
mod scrub;
mod sources;
mod states;

pub use derived::ProjectionChecked;
pub use run::audit;
pub use scrub::{Scrub, ScrubFigures, ScrubPass, ScrubSettings};

use eventstore::transparency::journal::JournalError;
use eventstore::transparency::{Policy, VerifierKey};
use eventstore::verify::{Anchored, Class, Given, Report, Runs, TreeChecked};
use eventstore::{OpenError, ReadError, SnapshotsChecked, TreeSize};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The shape of the report as JSON. It is raised when a member goes or changes its meaning, not when one comes.
pub const REPORT_VERSION: u32 = 1;

/// Where an audit begins.
#[derive(Debug, Clone)]
pub enum Since {
    /// After the checkpoint of this size in the journal.
    Size(TreeSize),
    /// After a checkpoint that somebody has kept.
    Checkpoint(Given),
}

/// What is audited, and whom to believe.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// Keys of the log that the auditor knows from elsewhere; without any those in the data directory are believed.
    pub keys: Vec<VerifierKey>,
    /// Witnesses that have to have cosigned.
    pub policy: Option<Policy>,
    /// Checkpoints that the auditor has kept: the log must lead to each of them.
    pub checkpoints: Vec<Given>,
    /// Leaves out what was verified before.
    pub since: Option<Since>,
    /// Nothing but the log and what was signed of it.
    pub log_only: bool,
    /// One item in so many of the read models and the search index; 0 and 1 are all.
    pub one_in: u32,
    /// Threads that check the log; 0 for as many as there are cores.
    pub threads: usize,
}

/// How far an audit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The log: bytes of all segments, and how many were looked at.
    Log {
        /// Bytes looked at.
        done: u64,
        /// Bytes of all segments.
        total: u64,
    },
    /// The files of the tree.
    Tree,
    /// The index of the log.
    Index,
    /// Snapshots.
    Snapshots,
    /// Read models and search index.
    Projections,
}

/// What an audit found. `docs/verify.md` explains it member by member.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// [`REPORT_VERSION`].
    #[serde(rename = "reportVersion")]
    pub report_version: u32,
    /// Version of this program.
    pub software: &'static str,
    /// When it began, RFC 3339.
    #[serde(rename = "startedAt")]
    pub started_at: String,
    /// How long it took.
    pub seconds: f64,
    /// Whether nothing was found but warnings.
    pub intact: bool,
    /// The exit code that this comes to.
    pub exit: u8,
    /// The log, with all findings: those about what was signed and what is derived as well.
    #[serde(flatten)]
    pub log: Report,
    /// Findings by class, all of them.
    pub counts: BTreeMap<&'static str, u64>,
    /// What was signed.
    pub checkpoints: Anchored,
    /// The files of the tree.
    pub tree: Option<TreeChecked>,
    /// The index of the log.
    pub index: Option<Runs>,
    /// Snapshots of states.
    pub snapshots: Option<SnapshotsChecked>,
    /// Images of read models, and the search index.
    pub projections: Vec<ProjectionChecked>,
    /// What was not checked, in sentences.
    pub unchecked: Vec<String>,
}

impl Audit {
    /// How many findings of a class there are.
    #[must_use]
    pub fn count(&self, class: Class) -> u64 {
        self.counts.get(class.name()).copied().unwrap_or(0)
    }
}

/// Why there is no audit. Damage is none of these: that is what an audit tells of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is no log, or it cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something could not be read that the audit goes by.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The log could not be read although it was opened.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot begin there.
    #[error("it cannot begin at that checkpoint: {0}")]
    Since(String),
    /// It was stopped.
    #[error("it was stopped before its end")]
    Stopped,
}

impl From<JournalError> for AuditError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io { path, source } => Self::Io { path, source },
            error => Self::Io {
                path: PathBuf::from("tree/checkpoints"),
                source: io::Error::other(error.to_string()),
            },
        }
    }
}
