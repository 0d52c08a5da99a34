//! The check that goes on by itself: now and then a sample, slowly, and what it has found so far.

use crate::checker::entity::Scope;
use crate::checker::report::{Checked, Class};
use crate::checker::{Manner, Subjects, check};
use crate::read_models::ReadModels;
use crate::tail::guarded;
use crate::worker::Worker;
use eventstore::{Log, Position, Timestamp};
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// It works this part of the time: five hundredths of one core.
const SHARE: u32 = 20;
/// Findings that are logged one by one in a pass.
const FINDINGS_TOLD: usize = 20;

/// When, and of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckSettings {
    /// From the end of one pass to the beginning of the next; nothing is checked where it is zero.
    pub every: Duration,
    /// One item in so many.
    pub one_in: u32,
}

impl CheckSettings {
    /// No passes.
    pub const OFF: Self = Self { every: Duration::ZERO, one_in: 1 };

    /// Seconds between two passes unless something else is said.
    pub const EVERY_SECONDS_DEFAULT: u64 = 3_600;
    /// One item in so many unless something else is said.
    pub const ONE_IN_DEFAULT: u32 = 100;

    /// As settings have it; what is not said is the default.
    #[must_use]
    pub fn new(every_seconds: Option<u64>, one_in: Option<u32>) -> Self {
        Self {
            every: Duration::from_secs(every_seconds.unwrap_or(Self::EVERY_SECONDS_DEFAULT)),
            one_in: one_in.unwrap_or(Self::ONE_IN_DEFAULT).max(1),
        }
    }
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self::new(None, None)
    }
}

/// What was found since the process began. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct CheckFigures {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    compared: AtomicU64,
    findings: [AtomicU64; 4],
    passes: AtomicU64,
    last: Mutex<Option<LastPass>>,
}

/// How the last pass went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPass {
    /// When it ended.
    pub at: Timestamp,
    /// What it was about.
    pub scope: Scope,
    /// The lowest position that it began at.
    pub position: Position,
    /// Parts that it compared.
    pub compared: u64,
    /// What it found, in the order of [`Class::ALL`].
    pub counts: [u64; 4],
    /// Why it did not come to its end.
    pub failure: Option<String>,
}

impl CheckFigures {
    /// Parts that were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.inner.compared.load(Ordering::Relaxed)
    }

    /// Findings of a class.
    #[must_use]
    pub fn findings(&self, class: Class) -> u64 {
        let place = Class::ALL.iter().position(|known| *known == class).unwrap_or(0);
        self.inner.findings[place].load(Ordering::Relaxed)
    }

    /// Passes that have ended.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.inner.passes.load(Ordering::Relaxed)
    }

    /// How the last one went.
    #[must_use]
    pub fn last(&self) -> Option<LastPass> {
        self.inner.last.lock().clone()
    }

    /// Notes what somebody found.
    pub fn note(&self, scope: &Scope, checked: &[Checked], failure: Option<String>) {
        let counts = checked.iter().fold([0; 4], |mut sums: [u64; 4], checked| {
            sums.iter_mut().zip(checked.counts).for_each(|(sum, count)| *sum += count);
            sums
        });
        let compared = checked.iter().map(|checked| checked.compared).sum();
        self.inner.compared.fetch_add(compared, Ordering::Relaxed);
        for (all, count) in self.inner.findings.iter().zip(counts) {
            all.fetch_add(count, Ordering::Relaxed);
        }
        let position = checked.iter().map(|checked| checked.position).min().unwrap_or_default();
        *self.inner.last.lock() = Some(LastPass {
            at: Timestamp::now(),
            scope: scope.clone(),
            position,
            compared,
            counts,
            failure,
        });
        self.inner.passes.fetch_add(1, Ordering::Relaxed);
    }
}

/// The thread that checks. Dropping it ends it, within a stride.
#[derive(Debug)]
pub struct Background {
    /// None where nothing is checked.
    _worker: Option<Worker>,
    figures: CheckFigures,
}

impl Background {
    /// Checks read models, and the index of a data directory where that is given.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        settings: CheckSettings,
        log: Log,
        read_models: ReadModels,
        index_of: Option<PathBuf>,
    ) -> io::Result<Self> {
        let figures = CheckFigures::default();
        if settings.every.is_zero() {
            return Ok(Self { _worker: None, figures });
        }
        let found = figures.clone();
        let worker = Worker::start("check", move |stop| {
            let mut seed = seed();
            while stop.rest(settings.every) {
                seed = seed.wrapping_add(1);
                let scope = Scope::Sample { one_in: settings.one_in, seed };
                let pass = || {
                    let subjects =
                        Subjects { read_models: Some(&read_models), index_of: index_of.as_deref() };
                    let manner = Manner { share: SHARE, is_stopped: &|| stop.is_stopped() };
                    match check(&log, &subjects, &scope, &manner) {
                        Ok(checked) => {
                            tell(&checked, &scope);
                            found.note(&scope, &checked, None);
                        }
                        Err(_) if stop.is_stopped() => {}
                        Err(error) => {
                            tracing::warn!(%error, "a check did not come to its end");
                            found.note(&scope, &[], Some(error.to_string()));
                        }
                    }
                };
                if let Err(panic) = guarded(pass) {
                    tracing::error!(error = panic, "no more checks");
                    found.note(&scope, &[], Some(panic));
                    return;
                }
            }
        })?;
        Ok(Self { _worker: Some(worker), figures })
    }

    /// What it has found so far.
    #[must_use]
    pub fn figures(&self) -> CheckFigures {
        self.figures.clone()
    }
}

/// Another sample in every process, each time.
fn seed() -> u64 {
    u64::from(std::process::id()) ^ Timestamp::now().get().unsigned_abs()
}

fn tell(checked: &[Checked], scope: &Scope) {
    for checked in checked {
        for finding in checked.findings.iter().take(FINDINGS_TOLD) {
            tracing::error!(
                projection = checked.projection.as_str(),
                class = finding.class.as_str(),
                entity = %finding.entity,
                part = finding.part.as_deref(),
                "a projection is not what the log says"
            );
        }
        let (findings, compared) = (checked.total(), checked.compared);
        tracing::debug!(projection = checked.projection.as_str(), ?scope, compared, findings, "checked");
    }
}
