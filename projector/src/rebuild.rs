//! Rebuilding: read models and search index made of the log anew, beside the live ones, then put into use.
//!
//! The old ones are brought to the same position first, so that their digests can be compared: equal digests say that
//! what was kept up to date event by event is what the log says as a whole.

use crate::activity::Activity;
use crate::analytics::Analytics;
use crate::control::{Differences, Waiting, differences, letters_of};
use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR, ImageError};
use crate::lock::{LockError, ProjectorLock};
use crate::models::Models;
use crate::projection::{Projection, ProjectionError};
use crate::read_model::ReadModel;
use crate::search::{DocumentKey, Effort, INDEX_DIR, IndexStore, SearchError, SearchProjection};
use crate::shared::{Shared, SharedModels};
use crate::tail;
use domain::system::projections::Difference;
use eventstore::{Damage, Digest, Log, OpenError, Position, ReadError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// What can be rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProjectionName {
    /// The items, boards, projects, workspaces and comments.
    Models,
    /// The search index.
    Search,
    /// Which events concern what.
    Activity,
    /// What happened on each board, day by day.
    Analytics,
}

impl ProjectionName {
    /// Everything that can be rebuilt.
    pub const ALL: [Self; 4] = [Self::Models, Self::Search, Self::Activity, Self::Analytics];

    /// Those that images are written of.
    pub(crate) const IMAGES: [Self; 3] = [Self::Models, Self::Activity, Self::Analytics];

    /// Its name in commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Models => Models::NAME,
            Self::Search => "search",
            Self::Activity => Activity::NAME,
            Self::Analytics => Analytics::NAME,
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
    /// Events of a read model, documents of the search index.
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
    /// Entities of a read model, documents of the search index.
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
    /// How long making the new one took; the read models are made by one replay.
    pub took: Duration,
    /// In how many entities old and new differ.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
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
    /// An event cannot be taken in, and nothing in the log says what to do about it. Whoever may decide appends the
    /// [`decision`](Waiting::decision) to the projection's stream and rebuilds once more.
    #[error("{}: {waiting}", .projection.as_str())]
    Undecided {
        /// The projection.
        projection: ProjectionName,
        /// The event.
        waiting: Box<Waiting>,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
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
    build(data_dir, names, false, progress)
}

/// The same, but what is in use stays in use: what was built is compared and put away.
///
/// # Errors
/// See [`RebuildError`].
pub fn shadow(
    data_dir: &Path,
    names: &[ProjectionName],
    progress: &mut dyn FnMut(Progress),
) -> Result<RebuildReport, RebuildError> {
    build(data_dir, names, true, progress)
}

fn build(
    data_dir: &Path,
    names: &[ProjectionName],
    shadow: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<RebuildReport, RebuildError> {
    let _lock = ProjectorLock::acquire(data_dir)?;
    let log = Log::open_offline(data_dir)?;
    if let Some(damage) = log.damage() {
        return Err(damage.clone().into());
    }
    let is_wanted = |name| names.is_empty() || names.contains(&name);
    let wanted: Vec<_> = ProjectionName::ALL.into_iter().filter(|name| is_wanted(*name)).collect();

    let replay = Replay::run(&log, &wanted, progress)?;
    // The images are put into use together, by one rename, before the index, which takes longest.
    let mut projections = replay.put_into_use(data_dir, &log, &wanted, shadow)?;
    if is_wanted(ProjectionName::Search) {
        projections.push(rebuild_search(data_dir, &log, &replay.models, shadow, progress)?);
    }
    projections.sort_by_key(|rebuilt| wanted.iter().position(|name| *name == rebuilt.projection));
    Ok(RebuildReport { events: log.watermark().get(), projections })
}

/// The read models as the log has them, made by one replay.
struct Replay {
    models: SharedModels,
    activity: Shared<Activity>,
    analytics: Shared<Analytics>,
    took: Duration,
}

impl Replay {
    fn run(
        log: &Log,
        wanted: &[ProjectionName],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, RebuildError> {
        let began = Instant::now();
        let (store, total) = (log.store_id(), log.watermark().get());
        let (mut models, mut activity, mut analytics) = (
            Shared::obeying(Models::begin(store), letters_of(Models::NAME, log)?),
            Shared::obeying(Activity::begin(store), letters_of(Activity::NAME, log)?),
            Shared::obeying(Analytics::begin(store), letters_of(Analytics::NAME, log)?),
        );
        // Documents are made of the models, so these are replayed for the search index, too.
        let mut fed: Vec<(ProjectionName, &mut dyn Projection)> = Vec::new();
        if wanted.contains(&ProjectionName::Models) || wanted.contains(&ProjectionName::Search) {
            fed.push((ProjectionName::Models, &mut models));
        }
        if wanted.contains(&ProjectionName::Activity) {
            fed.push((ProjectionName::Activity, &mut activity));
        }
        if wanted.contains(&ProjectionName::Analytics) {
            fed.push((ProjectionName::Analytics, &mut analytics));
        }
        let (names, mut fed): (Vec<_>, Vec<_>) = fed.into_iter().unzip();
        let mut tell = |projection, done| progress(Progress { projection, done, total });
        // All of them move together: the first one speaks for them until they are done.
        tail::catch_up(log, &mut fed, |position| tell(names[0], position.get()))?;
        let waiting = [
            (ProjectionName::Models, models.waiting()),
            (ProjectionName::Activity, activity.waiting()),
            (ProjectionName::Analytics, analytics.waiting()),
        ];
        for (projection, waiting) in waiting {
            if let Some(waiting) = waiting {
                return Err(RebuildError::Undecided { projection, waiting: Box::new(waiting) });
            }
        }
        names.iter().for_each(|name| tell(*name, total));
        Ok(Self { models, activity, analytics, took: began.elapsed() })
    }

    /// Writes a generation of images with what is wanted of the new ones, and the rest as it was.
    fn put_into_use(
        &self,
        data_dir: &Path,
        log: &Log,
        wanted: &[ProjectionName],
        shadow: bool,
    ) -> Result<Vec<Rebuilt>, RebuildError> {
        let is_wanted = |name| wanted.contains(&name);
        let mut rebuilt = Vec::new();
        if ![ProjectionName::Models, ProjectionName::Activity, ProjectionName::Analytics]
            .map(is_wanted)
            .contains(&true)
        {
            return Ok(rebuilt);
        }
        let generations = Generations::new(data_dir, IMAGES_DIR);
        let (old, generation) = (generations.current(), generations.begin()?);
        let images = Images { data_dir, log, old: old.as_deref(), generation: &generation, took: self.took };
        rebuilt.extend(images.write(ProjectionName::Models, &self.models, is_wanted)?);
        rebuilt.extend(images.write(ProjectionName::Activity, &self.activity, is_wanted)?);
        rebuilt.extend(images.write(ProjectionName::Analytics, &self.analytics, is_wanted)?);
        if shadow {
            std::fs::remove_dir_all(&generation)?;
        } else {
            generations.make_current(&generation)?;
            generations.sweep()?;
        }
        Ok(rebuilt)
    }
}

/// A generation of images that is being written beside the one in use.
struct Images<'a> {
    data_dir: &'a Path,
    log: &'a Log,
    old: Option<&'a Path>,
    generation: &'a Path,
    took: Duration,
}

impl Images<'_> {
    fn write<M: ReadModel>(
        &self,
        projection: ProjectionName,
        new: &Shared<M>,
        is_wanted: impl Fn(ProjectionName) -> bool,
    ) -> Result<Option<Rebuilt>, RebuildError> {
        if !is_wanted(projection) {
            if let Some(old) = self.old {
                image::keep::<M>(old, self.generation)?;
            }
            return Ok(None);
        }
        let (mut differing, mut listed) = (0, Vec::new());
        let old = match image::load::<M>(self.data_dir, self.log) {
            Ok(model) => {
                let mut old = Shared::obeying(model, new.letters());
                tail::catch_up(self.log, &mut [&mut old], |_| {})?;
                let found = differences(&mut *old.write(), &mut *new.write());
                (differing, listed) = (found.len() as u64, found.listed());
                Some(built(&old))
            }
            Err(error) => {
                tracing::info!(model = M::NAME, %error, "there is no read model to compare with");
                None
            }
        };
        image::write(self.generation, &*new.read(), &new.letters())?;
        let (new, took) = (built(new), self.took);
        Ok(Some(Rebuilt { projection, old, new, took, differing, differences: listed }))
    }
}

fn built<M: ReadModel>(model: &Shared<M>) -> Built {
    let (lineage, digest) = model.digest();
    Built { position: lineage.next, digest, count: model.read().count() as u64 }
}

fn rebuild_search(
    data_dir: &Path,
    log: &Log,
    models: &SharedModels,
    shadow: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, RebuildError> {
    let lineage = Projection::checkpoint(models);
    let built = |store: &IndexStore| -> Result<Built, SearchError> {
        let census = store.census()?;
        Ok(Built { position: lineage.next, digest: census.digest, count: census.documents })
    };
    let old = match IndexStore::open_under(data_dir, log, Some(&models.letters())) {
        None => None,
        Some((store, taken_in, is_whole)) => {
            // What changed since is marked while the log is replayed and worked off at the end.
            let mut search = SearchProjection::start(store, taken_in, models.clone(), log.clone(), is_whole)?;
            tail::catch_up(log, &mut [&mut search], |_| {})?;
            search.finish()?;
            match IndexStore::open(data_dir, log) {
                None => None,
                Some((store, _)) => Some((built(&store)?, store)),
            }
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
    writer.commit(&lineage, Some(&models.letters()))?;
    drop(writer);
    let (new, took) = (built(&store)?, began.elapsed());
    let differences = match &old {
        Some((old, old_store)) if *old != new => {
            Differences::of(old_store.by_name()?, store.by_name()?.into_iter())
        }
        _ => Differences::default(),
    };
    if shadow {
        std::fs::remove_dir_all(store.dir())?;
    } else {
        store.make_current(data_dir)?;
        Generations::new(data_dir, INDEX_DIR).sweep()?;
    }
    Ok(Rebuilt {
        projection: ProjectionName::Search,
        old: old.map(|(old, _)| old),
        new,
        took,
        differing: differences.len() as u64,
        differences: differences.listed(),
    })
}
