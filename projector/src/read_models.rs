//! All read models of a process, fed by one tail with one decode, and the thread that does so where no projector does.
//!
//! Invariant: each has its own lock, its own checkpoint and its own image. What is wrong with one image costs the
//! replay of that model alone; the tail begins at the oldest checkpoint, and the others pass over what they have.

use crate::activity::Activity;
use crate::analytics::Analytics;
use crate::checker::RepairQueue;
use crate::control::{Permit, Role, Steered, Waiting};
use crate::models::Models;
use crate::projection::Projection;
use crate::read_model::ReadModel;
use crate::run::Repairs;
use crate::shared::{Shared, SharedModels};
use crate::tail::{self, Condition, Stop};
use eventstore::{Log, Position};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{JoinHandle, ScopedJoinHandle};
use std::time::Duration;
use uuid::Uuid;

/// What a thread made; its panic is this thread's.
fn finished<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Everything that is kept in memory and answered from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadModels {
    /// Items, boards, projects, workspaces and comments.
    pub models: SharedModels,
    /// Which events concern what, newest first.
    pub activity: Shared<Activity>,
    /// What happened on each board, day by day.
    pub analytics: Shared<Analytics>,
    /// How the tail is that feeds them.
    condition: Condition,
    /// Where images are.
    data_dir: Option<PathBuf>,
}

impl ReadModels {
    /// Read models that have taken in nothing of a store's log.
    #[must_use]
    pub fn begin(store: Uuid) -> Self {
        Self {
            models: Shared::new(Models::begin(store)),
            activity: Shared::new(Activity::begin(store)),
            analytics: Shared::new(Analytics::begin(store)),
            condition: Condition::default(),
            data_dir: None,
        }
    }

    /// Each from the newest image of its own that this log confirms, or else with everything to come. Reads files: call
    /// it from a thread that may block.
    #[must_use]
    pub fn open(data_dir: &Path, log: &Log) -> Self {
        // Whoever starts waits for the largest of them and not for all.
        let (models, activity, analytics) = std::thread::scope(|scope| {
            let activity = scope.spawn(|| Shared::open(data_dir, log));
            let analytics = scope.spawn(|| Shared::open(data_dir, log));
            let models = Shared::open(data_dir, log);
            (models, finished(activity), finished(analytics))
        });
        Self {
            models,
            activity,
            analytics,
            condition: Condition::default(),
            data_dir: Some(data_dir.to_owned()),
        }
    }

    /// The next position of whichever is furthest behind.
    #[must_use]
    pub fn checkpoint(&self) -> Position {
        self.models.checkpoint().min(self.activity.checkpoint()).min(self.analytics.checkpoint())
    }

    /// Waits until everything before `position` is in all of them; false when `timeout` passes first.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        let all = async {
            self.models.wait_for(position, timeout).await
                && self.activity.wait_for(position, timeout).await
                && self.analytics.wait_for(position, timeout).await
        };
        tokio::time::timeout(timeout, all).await.unwrap_or(false)
    }

    /// What one of them waits for, when it cannot take in the next event; with its name.
    #[must_use]
    pub fn waiting(&self) -> Option<(&'static str, Waiting)> {
        let models = self.models.waiting().map(|waiting| (Models::NAME, waiting));
        models
            .or_else(|| Some((Activity::NAME, self.activity.waiting()?)))
            .or_else(|| Some((Analytics::NAME, self.analytics.waiting()?)))
    }

    /// Why they do not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.condition.failure()
    }

    /// What was wrong last, whether it still is or not.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.condition.last_error()
    }

    /// Keeps them up to date with a log, and does what is asked of them there, in a thread that ends when the returned handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn follow(&self, log: Log) -> io::Result<Following> {
        let Self { models, activity, analytics, condition, data_dir } = self.clone();
        let of_log = log.clone();
        let repairs = RepairQueue::start(Repairs::of(log.clone(), self.clone()))?.into_hook();
        Following::start(log, condition, move |tail| {
            let permit = Permit::default();
            let role = || Role::Reader { data_dir: data_dir.clone() };
            let mut models = Steered::new(models, &of_log, role(), permit.clone());
            let mut activity = Steered::new(activity, &of_log, role(), permit.clone());
            let mut analytics = Steered::new(analytics, &of_log, role(), permit);
            models.repair_with(Arc::clone(&repairs));
            activity.repair_with(Arc::clone(&repairs));
            analytics.repair_with(repairs);
            tail(&mut [&mut models, &mut activity, &mut analytics]);
        })
    }

    pub(crate) fn condition(&self) -> Condition {
        self.condition.clone()
    }
}

/// The thread that keeps read models up to date. Dropping it ends the thread.
#[derive(Debug)]
pub struct Following {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// `feed` gives its projections to the tail that it is handed.
    pub(crate) fn start(
        log: Log,
        condition: Condition,
        feed: impl FnOnce(&mut dyn FnMut(&mut [&mut dyn Projection])) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Stop::telling(condition);
        let thread = {
            let stop = stop.clone();
            std::thread::Builder::new().name("models-follow".to_owned()).spawn(move || {
                feed(&mut |projections| {
                    tail::run(&log, projections, &stop);
                });
            })?
        };
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Why the models do not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.stop.failure()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // The thread ends by the flag, or by a panic that it has told as its failure.
            let _ = thread.join();
        }
    }
}
