//! Checks of this process's read models: the one that somebody asked for, and those that go on by themselves.

use crate::jobs::{Job, Jobs};
use eventstore::Log;
use parking_lot::Mutex;
use projector::ReadModels;
use projector::checker::{Background, CheckFigures, CheckSettings, Checked, Manner, Scope, Subjects, check};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A check that was asked for ends after this long, done or not.
const RUN_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// It works every other moment: requests come first.
const SHARE: u32 = 2;

/// The check that was asked for.
pub(crate) type Asked = Job<Scope, Vec<Checked>>;

/// What is known of checks.
#[derive(Debug)]
pub(crate) struct Checks {
    jobs: Jobs<Scope, Vec<Checked>>,
    ongoing: Mutex<Ongoing>,
}

/// The checks that go on by themselves.
#[derive(Debug, Default)]
struct Ongoing {
    figures: Option<CheckFigures>,
    /// Where this service runs them itself.
    _thread: Option<Background>,
}

impl Checks {
    pub(crate) fn new() -> Self {
        Self { jobs: Jobs::new("check-asked", RUN_TIME_MAX), ongoing: Mutex::default() }
    }

    /// The check that was asked for last.
    pub(crate) fn asked(&self) -> Option<Arc<Asked>> {
        self.jobs.newest()
    }

    /// Begins a check; false when one is going on.
    pub(crate) fn begin(&self, scope: Scope, log: Log, read_models: ReadModels) -> io::Result<bool> {
        self.jobs.begin(scope, move |scope, course| {
            let subjects = Subjects { read_models: Some(&read_models), index_of: None };
            let manner = Manner { share: SHARE, is_stopped: &|| course.is_stopped() };
            check(&log, &subjects, scope, &manner).map_err(|error| {
                if course.is_late() {
                    let seconds = RUN_TIME_MAX.as_secs();
                    return format!("it took more than {seconds} s; ask for a sample, or run `sunday check`");
                }
                error.to_string()
            })
        })
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
