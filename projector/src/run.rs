//! The projector: models, images and search index kept up to date, in threads of their own.

use crate::activity::Activity;
use crate::analytics::Analytics;
use crate::checker::{
    self, Background, CheckError, CheckFigures, CheckSettings, Entity, Manner, RepairQueue,
};
use crate::control::{Clerk, ClerkThread, Decisions, ImageDir, Permit, RepairHook, Role, Steered};
use crate::generation::Generations;
use crate::image::{IMAGES_DIR, ImageError};
use crate::lock::{LockError, ProjectorLock};
use crate::models::Models;
use crate::notary::{Notary, NotaryOptions, NotaryStatus};
use crate::read_models::ReadModels;
use crate::rebuild::ProjectionName;
use crate::search::{
    DocumentKey, INDEX_DIR, IndexStore, SearchError, SearchProjection, SearchStatus, SteeredSearch,
    comments_of,
};
use crate::shared::SharedModels;
use crate::tail::{self, Stop};
use eventstore::{Log, Position};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    clerk: Clerk,
}

impl Health {
    /// Why it does not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let unwritten =
            || Some(format!("a decision cannot be written into the log: {}", self.clerk.failure()?));
        self.stop.failure().or_else(|| self.search.failure()).or_else(unwritten)
    }
}

/// Puts single things in order, in the read models of a process and, where it has one, in the index that it writes. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Repairs {
    log: Log,
    models: ReadModels,
    search: Option<SearchStatus>,
}

impl Repairs {
    /// Of a process that writes no index.
    #[must_use]
    pub fn of(log: Log, models: ReadModels) -> Self {
        Self { log, models, search: None }
    }

    /// Puts a thing in order in one projection: in a read model it is replaced by what a replay of the log says, in the index
    /// its documents are written anew from the models, within a second. True when something was wrong with it; of the index
    /// that is not known, and only a process that writes one does anything there. Blocks.
    ///
    /// # Errors
    /// See [`CheckError`]; everything is as it was then.
    pub fn repair(&self, projection: ProjectionName, entity: &Entity) -> Result<bool, CheckError> {
        if projection != ProjectionName::Search {
            let manner = Manner { share: 1, is_stopped: &|| false };
            return checker::repair(&self.log, &self.models, projection, entity, &manner);
        }
        let Some(search) = &self.search else { return Ok(false) };
        let comments: Vec<_> = match entity {
            Entity::Item(id) => {
                self.models.models.read().item(*id).into_iter().flat_map(comments_of).collect()
            }
            _ => Vec::new(),
        };
        search.renew(DocumentKey::of_entity(entity).into_iter().chain(comments));
        Ok(true)
    }
}

/// A running projector. Dropping it ends it without saving, as a crash would; see [`Projector::stop`].
#[derive(Debug)]
pub struct Projector {
    models: ReadModels,
    log: Log,
    health: Health,
    /// What it leaves to be saved; nothing after a panic.
    thread: Option<JoinHandle<Option<Work>>>,
    data_dir: PathBuf,
    checks: Option<Background>,
    _clerk: ClerkThread,
    notary: Notary,
    _lock: ProjectorLock,
}

/// What one tail feeds.
#[derive(Debug)]
struct Work {
    models: Steered<Models>,
    activity: Steered<Activity>,
    analytics: Steered<Analytics>,
    search: SteeredSearch,
}

/// What a projector has to do with others.
#[derive(Clone, Default)]
pub struct Connections {
    /// Who writes its decisions; without, it decides nothing, and what needs a decision waits.
    pub decisions: Option<Arc<dyn Decisions>>,
    /// What is done when an entity is to be repaired, where it is not done by a thread of the projector's own.
    pub repairs: Option<RepairHook>,
    /// How checkpoints are signed, and which witnesses are asked.
    pub notary: NotaryOptions,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("decisions", &self.decisions).finish_non_exhaustive()
    }
}

impl Projector {
    /// Starts: from the newest image and index that the log confirms, or else from the beginning. Blocks while the
    /// image is read.
    ///
    /// # Errors
    /// When another projector is at work on this data directory, or it cannot be written.
    pub fn start(data_dir: &Path, log: Log) -> Result<Self, StartError> {
        Self::start_with(data_dir, log, Connections::default())
    }

    /// The same, with somebody who writes its decisions into the log, say.
    ///
    /// # Errors
    /// See [`Projector::start`].
    pub fn start_with(data_dir: &Path, log: Log, connections: Connections) -> Result<Self, StartError> {
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
        let letters = models.models.letters();
        let (store, lineage, is_whole) = IndexStore::open_or_begin(data_dir, &log, &letters)?;
        Generations::new(data_dir, INDEX_DIR).sweep()?;
        tracing::info!(
            models = models.checkpoint().get(),
            search = lineage.next.get(),
            log = log.watermark().get(),
            "the projector starts"
        );
        let (clerk, clerk_thread) = Clerk::start(connections.decisions)?;
        let permit = Permit::default();
        let search = SearchProjection::start(store, lineage, models.models.clone(), log.clone(), is_whole)?;
        let search =
            SteeredSearch::new(search, &models.models, &log, data_dir, clerk.clone(), permit.clone());
        let status = search.status();
        let images = ImageDir::new(data_dir, &generation);
        let role = || Role::Projector { clerk: clerk.clone(), images: images.clone() };
        let mut work = Work {
            models: Steered::new(models.models.clone(), &log, role(), permit.clone()),
            activity: Steered::new(models.activity.clone(), &log, role(), permit.clone()),
            analytics: Steered::new(models.analytics.clone(), &log, role(), permit),
            search,
        };
        let repairs = match connections.repairs {
            Some(repairs) => repairs,
            None => RepairQueue::start(Repairs {
                log: log.clone(),
                models: models.clone(),
                search: Some(status.clone()),
            })?
            .into_hook(),
        };
        work.models.repair_with(Arc::clone(&repairs));
        work.activity.repair_with(Arc::clone(&repairs));
        work.analytics.repair_with(Arc::clone(&repairs));
        work.search.repair_with(repairs);
        let notary = Notary::start(data_dir, log.clone(), connections.notary)?;
        let stop = Stop::telling(models.condition());
        let kept = log.clone();
        let thread = {
            let stop = stop.clone();
            std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
                let Work { models, activity, analytics, search } = &mut work;
                // Documents are made of the models, so these come first.
                tail::run(&log, &mut [models, activity, analytics, search], &stop).then_some(work)
            })?
        };
        let health = Health { stop, search: status, clerk };
        Ok(Self {
            models,
            log: kept,
            health,
            thread: Some(thread),
            data_dir: data_dir.to_owned(),
            checks: None,
            notary,
            _clerk: clerk_thread,
            _lock: lock,
        })
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

    /// Compares samples of its read models and its index with the log from now on; what it finds.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn check_in_background(&mut self, settings: CheckSettings) -> io::Result<CheckFigures> {
        let (log, models) = (self.log.clone(), self.models.clone());
        let background = Background::start(settings, log, models, Some(self.data_dir.clone()))?;
        let figures = background.figures();
        self.checks = Some(background);
        Ok(figures)
    }

    /// Puts single things in order, wherever that is asked.
    #[must_use]
    pub fn repairs(&self) -> Repairs {
        let (log, models) = (self.log.clone(), self.models.clone());
        Repairs { log, models, search: Some(self.health.search.clone()) }
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
        self.checks = None;
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
