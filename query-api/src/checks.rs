//! Checks of this process's read models: the one that somebody asked for, and those that go on by themselves.
//!
//! Invariant: one check is asked for at a time. It ends by itself, when the service ends, or when it has taken too long; the next
//! one forgets what it found.

use eventstore::{Log, Timestamp};
use parking_lot::Mutex;
use projector::ReadModels;
use projector::checker::{Background, CheckFigures, CheckSettings, Checked, Manner, Scope, Subjects, check};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A check that was asked for ends after this long, done or not.
pub(crate) const RUN_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// It works every other moment: requests come first.
const SHARE: u32 = 2;

/// What is known of checks.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    asked: Arc<Mutex<Asked>>,
    is_ending: Arc<AtomicBool>,
    ongoing: Mutex<Ongoing>,
}

/// The checks that go on by themselves.
#[derive(Debug, Default)]
struct Ongoing {
    figures: Option<CheckFigures>,
    /// Where this service runs them itself.
    _thread: Option<Background>,
}

/// How the check is that was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) enum Asked {
    /// Nobody asked for any.
    #[default]
    Never,
    Running {
        scope: Scope,
        began: Timestamp,
    },
    Ended {
        scope: Scope,
        began: Timestamp,
        took: Duration,
        /// What was found, or why it did not come to its end.
        outcome: Arc<Result<Vec<Checked>, String>>,
    },
}

impl Checks {
    /// How the check is that was asked for last.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.lock().clone()
    }

    /// Begins a check in a thread of its own; false when one is going on.
    pub(crate) fn begin(&self, scope: Scope, log: Log, read_models: ReadModels) -> io::Result<bool> {
        let mut asked = self.asked.lock();
        if matches!(*asked, Asked::Running { .. }) {
            return Ok(false);
        }
        let began = Timestamp::now();
        let (state, is_ending) = (Arc::clone(&self.asked), Arc::clone(&self.is_ending));
        let running = Asked::Running { scope: scope.clone(), began };
        std::thread::Builder::new().name("check-asked".to_owned()).spawn(move || {
            let started = Instant::now();
            // Whatever becomes of this thread, the next check can begin.
            let mut ended =
                Ended { state, scope, began, started, outcome: Err("it ended unexpectedly".to_owned()) };
            let is_late = || started.elapsed() > RUN_TIME_MAX;
            let is_stopped = || is_ending.load(Ordering::Relaxed) || is_late();
            let subjects = Subjects { read_models: Some(&read_models), index_of: None };
            let manner = Manner { share: SHARE, is_stopped: &is_stopped };
            ended.outcome = check(&log, &subjects, &ended.scope, &manner).map_err(|error| {
                if is_late() {
                    let seconds = RUN_TIME_MAX.as_secs();
                    return format!("it took more than {seconds} s; ask for a sample, or run `sunday check`");
                }
                error.to_string()
            });
        })?;
        *asked = running;
        Ok(true)
    }

    /// What the checks have found that go on by themselves.
    pub(crate) fn figures(&self) -> Option<CheckFigures> {
        self.ongoing.lock().figures.clone()
    }

    /// Somebody else in this process checks the same read models.
    pub(crate) fn tell(&self, figures: CheckFigures) {
        self.ongoing.lock().figures = Some(figures);
    }

    /// Checks samples from now on.
    pub(crate) fn go_on(&self, settings: CheckSettings, log: Log, read_models: ReadModels) -> io::Result<()> {
        let thread = Background::start(settings, log, read_models, None)?;
        *self.ongoing.lock() = Ongoing { figures: Some(thread.figures()), _thread: Some(thread) };
        Ok(())
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }
}

/// Tells how a check ended, however it did.
struct Ended {
    state: Arc<Mutex<Asked>>,
    scope: Scope,
    began: Timestamp,
    started: Instant,
    outcome: Result<Vec<Checked>, String>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(Vec::new()));
        *self.state.lock() = Asked::Ended {
            scope: self.scope.clone(),
            began: self.began,
            took: self.started.elapsed(),
            outcome: Arc::new(outcome),
        };
    }
}
