//! What all handlers share: the log, the models that follow it, and the index.
//!
//! Invariant: a read that was asked for a position happens after its source has reached it, and tells a position
//! that was read under the same lock (or before), so an answer never covers less than it says.

use crate::freshness::{Freshness, stamp};
use crate::problems::{interrupted, not_caught_up};
use axum::response::{IntoResponse, Response};
use eventstore::{Log, Position};
use http_kit::problem::Problem;
use projector::models::Models;
use projector::search::Searcher;
use projector::{Following, SharedModels};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Reads that run at one time; the next ones wait. It bounds threads, and the memory of answers that are being made.
const READS_MAX: usize = 64;
/// How often a request that waits for the index looks whether it has come.
const INDEX_LOOK: Duration = Duration::from_millis(5);

/// The query side of one data directory. Cheap to clone; all clones share one set of models.
#[derive(Debug, Clone)]
pub struct QueryService {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    models: SharedModels,
    searcher: Searcher,
    /// The thread that keeps the models fresh, where it is ours.
    following: Option<Following>,
    /// What the log had when this service began: until the models have that, answers would be of the past.
    began_at: Position,
    caught_up: AtomicBool,
    reads: Semaphore,
}

impl QueryService {
    /// Serves a data directory: the models start from the newest image, when there is one, and follow the log in a
    /// thread of their own; the index is read as the projector writes it. Blocks while an image is read.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(data_dir: &Path, log: Log) -> io::Result<Self> {
        let models = SharedModels::open(data_dir, &log);
        let following = models.follow(log.clone())?;
        let searcher = Searcher::open(data_dir, log.clone());
        Ok(Self::new(log, models, searcher, Some(following)))
    }

    /// Serves models that somebody else in this process keeps up to date, such as its projector.
    #[must_use]
    pub fn over(data_dir: &Path, log: Log, models: SharedModels) -> Self {
        let searcher = Searcher::open(data_dir, log.clone());
        Self::new(log, models, searcher, None)
    }

    fn new(log: Log, models: SharedModels, searcher: Searcher, following: Option<Following>) -> Self {
        let began_at = log.watermark();
        let caught_up = AtomicBool::new(false);
        let reads = Semaphore::new(READS_MAX);
        Self { shared: Arc::new(Shared { log, models, searcher, following, began_at, caught_up, reads }) }
    }

    /// The log that answers come from.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// The models that answers come from.
    #[must_use]
    pub fn models(&self) -> &SharedModels {
        &self.shared.models
    }

    /// The index that searches are made in.
    #[must_use]
    pub fn searcher(&self) -> &Searcher {
        &self.shared.searcher
    }

    /// Why the models do not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.following.as_ref().and_then(Following::failure)
    }

    /// Whether it can do its work: the models have taken in what the log had at the start, and go on.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn readiness(&self) -> Result<(), String> {
        let shared = &self.shared;
        if let Some(failure) = self.failure() {
            return Err(format!("the read models stand still: {failure}"));
        }
        if shared.caught_up.load(Ordering::Relaxed) {
            return Ok(());
        }
        let reached = shared.models.checkpoint();
        if reached < shared.began_at {
            return Err(format!("the read models have taken in {reached} of {} events", shared.began_at));
        }
        shared.caught_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Answers from the models: `copy` takes out what is needed while they are locked, `finish` makes the answer of
    /// it and may read the log. Answers and refusals tell the position that they rest on.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        freshness: Freshness,
        copy: impl FnOnce(&Models) -> Result<T, Problem> + Send + 'static,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        self.models_reach(&freshness).await?;
        let service = self.clone();
        self.blocking(move || {
            let (copied, position) = {
                let models = service.models().read();
                (copy(&models), models.checkpoint().next)
            };
            let answer = copied.and_then(|copied| finish(copied, service.log()));
            stamp(answer.unwrap_or_else(IntoResponse::into_response), position)
        })
        .await
    }

    /// Waits until the models are as far as was asked.
    pub(crate) async fn models_reach(&self, freshness: &Freshness) -> Result<(), Problem> {
        let (wanted, models) = (freshness.min_position, self.models());
        if models.checkpoint() >= wanted || models.wait_for(wanted, freshness.timeout).await {
            Ok(())
        } else {
            Err(not_caught_up(wanted, models.checkpoint()))
        }
    }

    /// Waits until the log itself is as far as was asked.
    pub(crate) async fn log_reaches(&self, freshness: &Freshness) -> Result<(), Problem> {
        let wanted = freshness.min_position;
        let mut watermark = self.log().watch();
        match tokio::time::timeout(freshness.timeout, watermark.wait_for(|at| *at >= wanted)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(not_caught_up(wanted, self.log().watermark())),
        }
    }

    /// Waits until the index is as far as was asked.
    pub(crate) async fn index_reaches(&self, freshness: &Freshness) -> Result<(), Problem> {
        let wanted = freshness.min_position;
        if wanted == Position::ZERO {
            return Ok(());
        }
        let deadline = Instant::now() + freshness.timeout;
        loop {
            // Looking may load a new index, which reads files.
            let searcher = self.searcher().clone();
            let reached = self.blocking(move || searcher.checkpoint()).await?;
            if reached >= wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(not_caught_up(wanted, reached));
            }
            tokio::time::sleep(INDEX_LOOK).await;
        }
    }

    /// Runs a read that may have to wait for the disk where waiting is allowed.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        // It fails only when the semaphore is closed, which nobody does.
        let place = self.shared.reads.acquire().await;
        let result = tokio::task::spawn_blocking(read).await;
        drop(place);
        result.map_err(|error| interrupted(&error))
    }
}
