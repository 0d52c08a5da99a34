//! The verification of the data directory that somebody asked for, and the scrub that goes on by itself.
//!
//! Invariant: one verification is asked for at a time, on one thread that rests as long as it works. It ends by itself, when the
//! service ends, or when it has taken too long; the next one forgets what it found.

use eventstore::Timestamp;
use parking_lot::Mutex;
use projector::audit::{Audit, AuditOptions, Scrub, ScrubFigures, ScrubSettings, Stage, audit};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A verification ends after this long, done or not.
const RUN_TIME_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// It rests as long as it has worked, and no longer than this at once.
const REST_MAX: Duration = Duration::from_millis(50);

/// What is known of verifications.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    asked: Arc<Mutex<Verification>>,
    progress: Arc<Progress>,
    is_ending: Arc<AtomicBool>,
    scrub: Mutex<Option<Scrub>>,
}

/// How far the one is that goes on, bytes of the log.
#[derive(Debug, Default)]
struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

/// How the verification is that was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) enum Verification {
    /// Nobody asked for any.
    #[default]
    Never,
    Running {
        began: Timestamp,
        /// Bytes of the log that were looked at, and all of them.
        done: u64,
        total: u64,
    },
    Ended {
        began: Timestamp,
        took: Duration,
        /// What was found, or why it did not come to its end.
        outcome: Arc<Result<Audit, String>>,
    },
}

impl Verifications {
    /// How the one is that was asked for last.
    pub(crate) fn asked(&self) -> Verification {
        let mut asked = self.asked.lock().clone();
        if let Verification::Running { done, total, .. } = &mut asked {
            *done = self.progress.done.load(Ordering::Relaxed);
            *total = self.progress.total.load(Ordering::Relaxed);
        }
        asked
    }

    /// Begins one in a thread of its own; false when one is going on.
    pub(crate) fn begin(&self, data_dir: PathBuf, options: AuditOptions) -> io::Result<bool> {
        let mut asked = self.asked.lock();
        if matches!(*asked, Verification::Running { .. }) {
            return Ok(false);
        }
        let began = Timestamp::now();
        self.progress.done.store(0, Ordering::Relaxed);
        self.progress.total.store(0, Ordering::Relaxed);
        let (state, is_ending) = (Arc::clone(&self.asked), Arc::clone(&self.is_ending));
        let progress = Arc::clone(&self.progress);
        std::thread::Builder::new().name("verify-asked".to_owned()).spawn(move || {
            let started = Instant::now();
            // Whatever becomes of this thread, the next one can begin.
            let mut ended = Ended { state, began, started, outcome: Err("it ended unexpectedly".to_owned()) };
            let mut worked = Instant::now();
            let mut pace = |stage| {
                if let Stage::Log { done, total } = stage {
                    progress.done.store(done, Ordering::Relaxed);
                    progress.total.store(total, Ordering::Relaxed);
                }
                // Requests come first.
                std::thread::sleep(worked.elapsed().min(REST_MAX));
                worked = Instant::now();
                !is_ending.load(Ordering::Relaxed) && started.elapsed() < RUN_TIME_MAX
            };
            ended.outcome = audit(&data_dir, &options, &mut pace).map_err(|error| {
                if started.elapsed() >= RUN_TIME_MAX {
                    let hours = RUN_TIME_MAX.as_secs() / 3_600;
                    return format!("it took more than {hours} hours; run `sunday verify`");
                }
                error.to_string()
            });
        })?;
        *asked = Verification::Running { began, done: 0, total: 0 };
        Ok(true)
    }

    /// Scrubs the log from now on.
    pub(crate) fn scrub(&self, data_dir: &Path, settings: ScrubSettings) -> io::Result<()> {
        let scrub = Scrub::start(data_dir, settings)?;
        *self.scrub.lock() = Some(scrub);
        Ok(())
    }

    /// What the scrub has found.
    pub(crate) fn scrubbed(&self) -> Option<ScrubFigures> {
        self.scrub.lock().as_ref().map(Scrub::figures)
    }
}

impl Drop for Verifications {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }
}

/// Tells how one ended, however it did.
struct Ended {
    state: Arc<Mutex<Verification>>,
    began: Timestamp,
    started: Instant,
    outcome: Result<Audit, String>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(String::new()));
        let (began, took) = (self.began, self.started.elapsed());
        *self.state.lock() = Verification::Ended { began, took, outcome: Arc::new(outcome) };
    }
}
