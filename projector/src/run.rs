//! The projector: models, images and search index kept up to date, in threads of their own.

use crate::decode::DecodedCommit;
use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR, ImageError};
use crate::lock::{LockError, ProjectorLock};
use crate::models::SharedModels;
use crate::projection::{Projection, ProjectionError};
use crate::search::{INDEX_DIR, IndexStore, SearchError, SearchProjection, SearchStatus};
use crate::tail::{self, Stop};
use eventstore::{Lineage, Log, Position};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An image is written when it is this old and the models have moved …
const IMAGE_EVERY: Duration = Duration::from_secs(30);
/// … or when this many events have been taken in since.
const IMAGE_EVENTS: u64 = 200_000;

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
    models: SharedModels,
    health: Health,
    /// What it leaves to be saved; nothing after a panic.
    thread: Option<JoinHandle<Option<(ImagedModels, SearchProjection)>>>,
    _lock: ProjectorLock,
}

impl Projector {
    /// Starts: from the newest image and index that the log confirms, or else from the beginning. Blocks while the
    /// image is read.
    ///
    /// # Errors
    /// When another projector is at work on this data directory, or it cannot be written.
    pub fn start(data_dir: &Path, log: Log) -> Result<Self, StartError> {
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
        let models = SharedModels::open(data_dir, &log);
        let (store, lineage) = IndexStore::open_or_begin(data_dir, &log)?;
        Generations::new(data_dir, INDEX_DIR).sweep()?;
        tracing::info!(
            models = models.checkpoint().get(),
            search = lineage.next.get(),
            log = log.watermark().get(),
            "the projector starts"
        );
        let mut search = SearchProjection::start(store, lineage, models.clone(), log.clone())?;
        let status = search.status();
        let mut imaged = ImagedModels::new(models.clone(), generation);
        let stop = Stop::new();
        let thread = {
            let stop = stop.clone();
            std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
                // Documents are made of the models, so these come first.
                tail::run(&log, &mut [&mut imaged, &mut search], &stop).then_some((imaged, search))
            })?
        };
        Ok(Self { models, health: Health { stop, search: status }, thread: Some(thread), _lock: lock })
    }

    /// The models that it keeps up to date, to be read in the same process.
    #[must_use]
    pub fn models(&self) -> &SharedModels {
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

    /// Tells what is wrong with it, wherever that is asked.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Ends it and saves: works off what the search index lacks and writes an image. Blocks.
    ///
    /// # Errors
    /// When something could not be saved; it is made of the log at the next start.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.health.stop.stop();
        let Some(ended) = self.thread.take() else { return Ok(()) };
        let Ok(Some((mut imaged, search))) = ended.join() else {
            let reason = self.failure().unwrap_or_else(|| "nobody knows why".to_owned());
            return Err(StopError::Ended { reason });
        };
        // The image first: it is quick, and whoever stops us may lose patience.
        let saved = imaged.save();
        search.finish()?;
        saved.map_err(StopError::from)
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

/// The models, with an image that is never much older than they are.
#[derive(Debug)]
struct ImagedModels {
    models: SharedModels,
    generation: PathBuf,
    /// What the last image has, as far as this process knows.
    imaged: Lineage,
    written: Instant,
}

impl ImagedModels {
    fn new(models: SharedModels, generation: PathBuf) -> Self {
        let imaged = models.read().checkpoint();
        Self { models, generation, imaged, written: Instant::now() }
    }

    fn save(&mut self) -> Result<(), ImageError> {
        let (checkpoint, image) = {
            let models = self.models.read();
            if models.checkpoint() == self.imaged {
                return Ok(());
            }
            (models.checkpoint(), image::encode(&models)?)
        };
        self.written = Instant::now();
        image::write_bytes(&self.generation, &image)?;
        self.imaged = checkpoint;
        Ok(())
    }
}

impl Projection for ImagedModels {
    fn name(&self) -> &'static str {
        self.models.name()
    }

    fn version(&self) -> u32 {
        self.models.version()
    }

    fn checkpoint(&self) -> Lineage {
        Projection::checkpoint(&self.models)
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        self.models.apply(commits)
    }

    fn rest(&mut self) {
        let behind = self.models.checkpoint().get().saturating_sub(self.imaged.next.get());
        let due = behind >= IMAGE_EVENTS || (behind > 0 && self.written.elapsed() >= IMAGE_EVERY);
        if due && let Err(error) = self.save() {
            // Only the next start is slower; the next image may well succeed.
            tracing::error!(%error, "no image of the models was written");
            self.written = Instant::now();
        }
    }
}
