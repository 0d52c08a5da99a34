//! Rebuilding: models and search index made of the log anew, beside the live ones, then put into use.
//!
//! The old ones are brought to the same position first, so that their digests can be compared: equal digests say that
//! what was kept up to date event by event is what the log says as a whole.

use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR, ImageError};
use crate::lock::{LockError, ProjectorLock};
use crate::models::{Models, SharedModels};
use crate::projection::{Projection, ProjectionError};
use crate::search::{DocumentKey, Effort, INDEX_DIR, IndexStore, SearchError, SearchProjection};
use crate::tail;
use eventstore::{Damage, Digest, Log, OpenError, Position};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// What can be rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProjectionName {
    /// The read models and their image.
    Models,
    /// The search index.
    Search,
}

impl ProjectionName {
    /// Everything that can be rebuilt.
    pub const ALL: [Self; 2] = [Self::Models, Self::Search];

    /// Its name in commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Search => "search",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being made.
    pub projection: ProjectionName,
    /// Events of the models, documents of the search index.
    pub done: u64,
    /// How many there will be.
    pub total: u64,
}

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// The next position.
    pub position: Position,
    /// Digest of everything in it.
    pub digest: Digest,
    /// Entities of the models, documents of the search index.
    pub count: u64,
}

/// What a rebuild made of one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Which one.
    pub projection: ProjectionName,
    /// What was there, brought to the same position; `None` when there was nothing usable.
    pub old: Option<Built>,
    /// What there is now.
    pub new: Built,
    /// How long making the new one took.
    pub took: Duration,
}

impl Rebuilt {
    /// Whether old and new are equal; `None` without an old one.
    #[must_use]
    pub fn is_equal(&self) -> Option<bool> {
        self.old.map(|old| old == self.new)
    }
}

/// What a rebuild made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    /// Events that were replayed.
    pub events: u64,
    /// One entry per projection that was asked for.
    pub projections: Vec<Rebuilt>,
}

/// Why a rebuild failed. The live ones are still in use then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// A projector is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log can only be read in part; what is live knows more than a rebuild would.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The log cannot be replayed.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The new image could not be written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The new index could not be written.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Directories could not be made or swapped.
    #[error("generations cannot be swapped: {0}")]
    Io(#[from] io::Error),
}

/// Rebuilds projections of a data directory (all of them when `names` is empty) up to what its log holds now. No
/// projector may be at work; writers and readers may.
///
/// # Errors
/// See [`RebuildError`]. What was in use stays in use then.
pub fn rebuild(
    data_dir: &Path,
    names: &[ProjectionName],
    progress: &mut dyn FnMut(Progress),
) -> Result<RebuildReport, RebuildError> {
    let _lock = ProjectorLock::acquire(data_dir)?;
    let log = Log::open_offline(data_dir)?;
    if let Some(damage) = log.damage() {
        return Err(damage.clone().into());
    }
    let wanted = |name| names.is_empty() || names.contains(&name);

    // Documents are made of the models, so these are replayed in any case.
    let began = Instant::now();
    let total = log.watermark().get();
    let mut models = SharedModels::new(Models::new(log.store_id()));
    tail::catch_up(&log, &mut [&mut models], |position| {
        progress(Progress { projection: ProjectionName::Models, done: position.get(), total });
    })?;
    let took = began.elapsed();

    let mut projections = Vec::new();
    if wanted(ProjectionName::Models) {
        projections.push(rebuild_models(data_dir, &log, &models, took)?);
    }
    if wanted(ProjectionName::Search) {
        projections.push(rebuild_search(data_dir, &log, &models, progress)?);
    }
    Ok(RebuildReport { events: total, projections })
}

fn rebuild_models(
    data_dir: &Path,
    log: &Log,
    new: &SharedModels,
    took: Duration,
) -> Result<Rebuilt, RebuildError> {
    let old = match image::load(data_dir, log) {
        Ok(models) => {
            let mut old = SharedModels::new(models);
            tail::catch_up(log, &mut [&mut old], |_| {})?;
            Some(built(&old))
        }
        Err(error) => {
            tracing::info!(%error, "there are no models to compare with");
            None
        }
    };
    let generations = Generations::new(data_dir, IMAGES_DIR);
    let generation = generations.begin()?;
    image::write(&generation, &new.read())?;
    generations.make_current(&generation)?;
    generations.sweep()?;
    Ok(Rebuilt { projection: ProjectionName::Models, old, new: built(new), took })
}

fn built(models: &SharedModels) -> Built {
    let (lineage, digest) = models.digest();
    Built { position: lineage.next, digest, count: models.read().len() as u64 }
}

fn rebuild_search(
    data_dir: &Path,
    log: &Log,
    models: &SharedModels,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, RebuildError> {
    let lineage = Projection::checkpoint(models);
    let built = |store: &IndexStore| -> Result<Built, SearchError> {
        let census = store.census()?;
        Ok(Built { position: lineage.next, digest: census.digest, count: census.documents })
    };
    let old = match IndexStore::open(data_dir, log) {
        None => None,
        Some((store, taken_in)) => {
            // What changed since is marked while the log is replayed and worked off at the end.
            let mut search = SearchProjection::start(store, taken_in, models.clone(), log.clone())?;
            tail::catch_up(log, &mut [&mut search], |_| {})?;
            search.finish()?;
            IndexStore::open(data_dir, log).map(|(store, _)| built(&store)).transpose()?
        }
    };

    let began = Instant::now();
    let store = IndexStore::begin(data_dir)?;
    let keys = DocumentKey::all(&models.read());
    let total = keys.len() as u64;
    let mut done = 0;
    let mut writer = store.writer(Effort::REBUILD)?;
    writer.write(&keys, models, log, |written| {
        done += written as u64;
        progress(Progress { projection: ProjectionName::Search, done, total });
    })?;
    writer.commit(&lineage)?;
    drop(writer);
    let new = built(&store)?;
    store.make_current(data_dir)?;
    Generations::new(data_dir, INDEX_DIR).sweep()?;
    Ok(Rebuilt { projection: ProjectionName::Search, old, new, took: began.elapsed() })
}
