//! The verification of the data directory that somebody asked for, and the scrub that goes on by itself.

use crate::jobs::{Job, Jobs};
use parking_lot::Mutex;
use projector::audit::{Audit, AuditOptions, Scrub, ScrubFigures, ScrubSettings, Stage, audit};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A verification ends after this long, done or not.
const RUN_TIME_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// It rests as long as it has worked, and no longer than this at once.
const REST_MAX: Duration = Duration::from_millis(50);

/// The verification that was asked for.
pub(crate) type Asked = Job<Progress, Audit>;

/// What is known of verifications.
#[derive(Debug)]
pub(crate) struct Verifications {
    jobs: Jobs<Progress, Audit>,
    scrub: Mutex<Option<Scrub>>,
}

/// How far a verification is, bytes of the log.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Bytes that were looked at, and all of them.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

impl Verifications {
    pub(crate) fn new() -> Self {
        Self { jobs: Jobs::new("verify-asked", RUN_TIME_MAX), scrub: Mutex::default() }
    }

    /// The one that was asked for last.
    pub(crate) fn asked(&self) -> Option<Arc<Asked>> {
        self.jobs.newest()
    }

    /// Begins one, which rests as long as it works; false when one is going on.
    pub(crate) fn begin(&self, data_dir: PathBuf, options: AuditOptions) -> io::Result<bool> {
        self.jobs.begin(Progress::default(), move |progress, course| {
            let mut worked = Instant::now();
            let mut pace = |stage| {
                if let Stage::Log { done, total } = stage {
                    progress.done.store(done, Ordering::Relaxed);
                    progress.total.store(total, Ordering::Relaxed);
                }
                // Requests come first.
                std::thread::sleep(worked.elapsed().min(REST_MAX));
                worked = Instant::now();
                !course.is_stopped()
            };
            audit(&data_dir, &options, &mut pace).map_err(|error| {
                if course.is_late() {
                    let hours = RUN_TIME_MAX.as_secs() / 3_600;
                    return format!("it took more than {hours} hours; run `sunday verify`");
                }
                error.to_string()
            })
        })
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
