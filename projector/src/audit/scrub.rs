//! The scrub: segments that have ended are read and verified again and again, slowly, for what rots while nobody looks.
//!
//! Invariant: it reads at most so many bytes a second, on one thread, and an alarm stays until a later pass finds nothing.

use crate::tail::guarded;
use crate::worker::{StopSignal, Worker};
use eventstore::Timestamp;
use eventstore::storage::Environment;
use eventstore::verify::{Finding, Progress, Severity, VerifyOptions, verify_with};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Findings of a pass that are logged one by one.
const FINDINGS_TOLD: usize = 20;
/// A mebibyte.
const MIB: u64 = 1 << 20;

/// How fast, and how long it rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubSettings {
    /// Bytes a second at most; nothing is scrubbed where it is 0.
    pub bytes_per_second: u64,
    /// From the start to the first pass, and from the end of one to the beginning of the next.
    pub rest: Duration,
}

impl ScrubSettings {
    /// Mebibytes a second unless something else is said.
    pub const MIB_PER_SECOND_DEFAULT: u64 = 8;
    /// The time between two passes.
    pub const REST: Duration = Duration::from_secs(60);

    /// As settings have it; what is not said is the default, and 0 is off.
    #[must_use]
    pub fn new(mib_per_second: Option<u64>) -> Self {
        let rate = mib_per_second.unwrap_or(Self::MIB_PER_SECOND_DEFAULT);
        Self { bytes_per_second: rate.saturating_mul(MIB), rest: Self::REST }
    }
}

/// How the last pass went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubPass {
    /// When it ended.
    pub at: Timestamp,
    /// Bytes of the segments that it looked at.
    pub bytes: u64,
    /// What it found.
    pub findings: Vec<Finding>,
    /// Why it did not come to its end.
    pub failure: Option<String>,
}

/// What was found since the process began. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct ScrubFigures {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: AtomicU64,
    passes: AtomicU64,
    findings: AtomicU64,
    last: Mutex<Option<ScrubPass>>,
}

impl ScrubFigures {
    /// Bytes that were read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    /// Passes that have ended.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.inner.passes.load(Ordering::Relaxed)
    }

    /// Findings of all passes.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.inner.findings.load(Ordering::Relaxed)
    }

    /// How the last pass went.
    #[must_use]
    pub fn last(&self) -> Option<ScrubPass> {
        self.inner.last.lock().clone()
    }

    /// What the last pass found, in a sentence; nothing when all was well.
    #[must_use]
    pub fn alarm(&self) -> Option<String> {
        let last = self.inner.last.lock();
        let findings = &last.as_ref()?.findings;
        let first = findings.iter().find(|finding| finding.severity > Severity::Warning)?;
        let Finding { class, segment, offset, position, .. } = first;
        Some(format!(
            "the log is damaged: {} in segment {segment} at offset {offset}, position {position} ({} findings); run `sunday verify`",
            class.name(),
            findings.len()
        ))
    }

    fn note(&self, pass: ScrubPass) {
        self.inner.findings.fetch_add(pass.findings.len() as u64, Ordering::Relaxed);
        *self.inner.last.lock() = Some(pass);
        self.inner.passes.fetch_add(1, Ordering::Relaxed);
    }
}

/// The thread that scrubs. Dropping it ends it.
#[derive(Debug)]
pub struct Scrub {
    /// None where nothing is scrubbed.
    _worker: Option<Worker>,
    figures: ScrubFigures,
}

impl Scrub {
    /// Starts it over the log of a data directory.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(data_dir: &Path, settings: ScrubSettings) -> io::Result<Self> {
        let figures = ScrubFigures::default();
        if settings.bytes_per_second == 0 {
            return Ok(Self { _worker: None, figures });
        }
        let work = Work { data_dir: data_dir.to_owned(), settings, figures: figures.clone() };
        let worker = Worker::start("scrub", move |stop| {
            while stop.rest(settings.rest) {
                if let Err(panic) = guarded(|| work.pass(stop)) {
                    tracing::error!(error = panic, "the log is not scrubbed any more");
                    return;
                }
            }
        })?;
        Ok(Self { _worker: Some(worker), figures })
    }

    /// What it has found so far.
    #[must_use]
    pub fn figures(&self) -> ScrubFigures {
        self.figures.clone()
    }
}

struct Work {
    data_dir: PathBuf,
    settings: ScrubSettings,
    figures: ScrubFigures,
}

impl Work {
    fn pass(&self, stop: &StopSignal) {
        let began = Instant::now();
        let mut read = 0;
        let mut pace = |Progress { done, .. }: Progress| {
            let more = done.saturating_sub(read);
            self.figures.inner.bytes.fetch_add(more, Ordering::Relaxed);
            read = done.max(read);
            // Never longer than a second at once: the end is not to wait for it.
            let due = Duration::from_millis(read.saturating_mul(1_000) / self.settings.bytes_per_second);
            while let Some(early) = due.checked_sub(began.elapsed()).filter(|early| !early.is_zero()) {
                if !stop.rest(early.min(Duration::from_secs(1))) {
                    return false;
                }
            }
            !stop.is_stopped()
        };
        let options = VerifyOptions { threads: 1, ended_only: true, ..VerifyOptions::default() };
        match verify_with(&Environment::default(), &self.data_dir, &options, &mut pace) {
            Ok(report) if report.is_stopped => {}
            Ok(report) => {
                for finding in report.findings.iter().take(FINDINGS_TOLD) {
                    let Finding { class, segment, offset, position, message, .. } = finding;
                    let class = class.name();
                    tracing::error!(
                        class,
                        segment,
                        offset,
                        position = position.get(),
                        message,
                        "the log is not sound"
                    );
                }
                let findings = report.findings;
                self.figures.note(ScrubPass { at: Timestamp::now(), bytes: read, findings, failure: None });
            }
            Err(error) => {
                tracing::warn!(%error, "the log cannot be scrubbed");
                let failure = Some(error.to_string());
                // What was found before is still true.
                let findings = self.figures.last().map(|last| last.findings).unwrap_or_default();
                self.figures.note(ScrubPass { at: Timestamp::now(), bytes: read, findings, failure });
            }
        }
    }
}
