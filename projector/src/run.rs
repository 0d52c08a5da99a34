//! The projector: models, images and search index kept up to date, in threads of their own.

use crate::activity::Activity;
use crate::analytics::Analytics;
use crate::generation::Generations;
use crate::image::{IMAGES_DIR, ImageError};
use crate::imaged::Imaged;
use crate::lock::{LockError, ProjectorLock};
use crate::models::Models;
use crate::notary::{Notary, NotaryOptions, NotaryStatus};
use crate::read_models::ReadModels;
use crate::search::{INDEX_DIR, IndexStore, SearchError, SearchProjection, SearchStatus};
use crate::shared::SharedModels;
use crate::tail::{self, Stop};
use eventstore::{Log, Position};
use std::io;
use std::path::Path;
use std::thread::JoinHandle;

/// Why the projector cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Somebody else is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Directories or threads could not be made.
    #[error("the projector cannot start: {0}")]
    Io(#[from] io::Error),
    /// The search index could not be opened or begun.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// Why the last of the work could not be saved. Nothing is lost: it is made of the log again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// The image could not be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The search index could not be committed.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// It had come to an end before it was stopped.
    #[error("the projector had ended before: {reason}")]
    Ended {
        /// Why.
        reason: String,
    },
}

/// Tells from any thread, and for as long as anybody likes, what is wrong with a projector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    stop: Stop,
    search: SearchStatus,
}

impl Health {
    /// Why it does not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.stop.failure().or_else(|| self.search.failure())
    }
}

/// A running projector. Dropping it ends it without saving, as a crash would; see [`Projector::stop`].
#[derive(Debug)]
pub struct Projector {
    models: ReadModels,
    health: Health,
    /// What it leaves to be saved; nothing after a panic.
    thread: Option<JoinHandle<Option<Work>>>,
    notary: Notary,
    _lock: ProjectorLock,
}

/// What one tail feeds.
#[derive(Debug)]
struct Work {
    models: Imaged<Models>,
    activity: Imaged<Activity>,
    analytics: Imaged<Analytics>,
    search: SearchProjection,
}

impl Projector {
    /// Starts: from the newest image and index that the log confirms, or else from the beginning. Blocks while the
    /// image is read.
    ///
    /// # Errors
    /// When another projector is at work on this data directory, or it cannot be written.
    pub fn start(data_dir: &Path, log: Log) -> Result<Self, StartError> {
        Self::start_with(data_dir, log, NotaryOptions::default())
    }

    /// As [`Projector::start`], with a notary that works as is said.
    ///
    /// # Errors
    /// As [`Projector::start`].
    pub fn start_with(data_dir: &Path, log: Log, notary: NotaryOptions) -> Result<Self, StartError> {
        let lock = ProjectorLock::acquire(data_dir)?;
        let images = Generations::new(data_dir, IMAGES_DIR);
        let generation = match images.current() {
            Some(current) => current,
            None => {
                let begun = images.begin()?;
                images.make_current(&begun)?;
                begun
            }
        };
        images.sweep()?;
        let models = ReadModels::open(data_dir, &log);
        let (store, lineage) = IndexStore::open_or_begin(data_dir, &log)?;
        Generations::new(data_dir, INDEX_DIR).sweep()?;
        tracing::info!(
            models = models.checkpoint().get(),
            search = lineage.next.get(),
            log = log.watermark().get(),
            "the projector starts"
        );
        let search = SearchProjection::start(store, lineage, models.models.clone(), log.clone())?;
        let status = search.status();
        let mut work = Work {
            models: Imaged::new(models.models.clone(), &generation),
            activity: Imaged::new(models.activity.clone(), &generation),
            analytics: Imaged::new(models.analytics.clone(), &generation),
            search,
        };
        let notary = Notary::start(data_dir, log.clone(), notary)?;
        let stop = Stop::telling(models.condition());
        let thread = {
            let stop = stop.clone();
            std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
                let Work { models, activity, analytics, search } = &mut work;
                // Documents are made of the models, so these come first.
                tail::run(&log, &mut [models, activity, analytics, search], &stop).then_some(work)
            })?
        };
        let health = Health { stop, search: status };
        Ok(Self { models, health, thread: Some(thread), notary, _lock: lock })
    }

    /// The items and boards that it keeps up to date, to be read in the same process.
    #[must_use]
    pub fn models(&self) -> &SharedModels {
        &self.models.models
    }

    /// All that it keeps up to date in memory, to be read in the same process.
    #[must_use]
    pub fn read_models(&self) -> &ReadModels {
        &self.models
    }

    /// The next position that its models will take in.
    #[must_use]
    pub fn checkpoint(&self) -> Position {
        self.models.checkpoint()
    }

    /// The next position that its search index will take in.
    #[must_use]
    pub fn search_checkpoint(&self) -> Position {
        self.health.search.committed()
    }

    /// Why it does not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.health.failure()
    }

    /// How the signing of checkpoints goes. What is wrong there does not keep the projections from going on.
    #[must_use]
    pub fn notary(&self) -> NotaryStatus {
        self.notary.status()
    }

    /// Tells what is wrong with it, wherever that is asked.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Ends it and saves: works off what the search index lacks and writes images. Blocks.
    ///
    /// # Errors
    /// When something could not be saved; it is made of the log at the next start.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.health.stop.stop();
        let Some(ended) = self.thread.take() else { return Ok(()) };
        let Ok(Some(mut work)) = ended.join() else {
            let reason = self.failure().unwrap_or_else(|| "nobody knows why".to_owned());
            return Err(StopError::Ended { reason });
        };
        // The images first: they are quick, and whoever stops us may lose patience. Each is tried, whatever became of
        // the others.
        let saved = [work.models.save(), work.activity.save(), work.analytics.save()];
        work.search.finish()?;
        saved.into_iter().collect::<Result<(), _>>().map_err(StopError::from)
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.health.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}
