//! The consistency checker: read models and search index compared with a replay of the log, and repaired thing by thing.
//!
//! ```text
//!           ┌─ compare: models, activity, analytics ── the same parts at the same position ─┐
//! log ──────┤                                                                               ├─▶ findings ─▶ (a person) ─▶ repair
//! (replayed └─ documents: the index ── what the log says somewhere between commit and now ──┘
//!  by scope)
//! ```
//!
//! Invariant: a finding is a fault. Whatever moves on while it is checked is compared with what the log says there and then.
//!
//! Invariant: a check changes nothing, and takes no lock but a read lock for a few hundred parts at a time; a repair changes the
//! thing that it names, and nothing else. Nothing is repaired that nobody asked for.
//!
//! A replay needs memory: of everything as much as the model that is checked, one model after the other; of a sample its
//! part.

mod background;
mod compare;
mod documents;
mod entity;
mod gait;
mod inspect;
mod queue;
mod repair;
mod replay;
mod report;
#[cfg(test)]
mod tests;

pub use background::{Background, CheckFigures, CheckSettings, LastPass};
pub(crate) use entity::tagged;
pub use entity::{Entity, Scope};
pub(crate) use inspect::{Inspect, Observed};
pub use queue::RepairQueue;
pub use replay::CheckError;
pub use report::{Checked, Class, FINDINGS_MAX, Finding};

use crate::activity::Activity;
use crate::analytics::Analytics;
use crate::control::letters_of;
use crate::image::{self, ImageError};
use crate::models::Models;
use crate::read_model::ReadModel;
use crate::read_models::ReadModels;
use crate::rebuild::ProjectionName;
use crate::shared::Shared;
use eventstore::Log;
use gait::Gait;
use std::path::Path;
use std::time::Duration;

/// How long a check waits for the log to come to where an image is.
const FOLLOW_TIME_MAX: Duration = Duration::from_secs(2);

/// What there is to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Subjects<'a> {
    /// The read models of this process.
    pub read_models: Option<&'a ReadModels>,
    /// The data directory whose index is checked, if it is.
    pub index_of: Option<&'a Path>,
}

/// How a check goes about it.
pub struct Manner<'a> {
    /// It works one part in so many of the time, and rests the others; 1 is without rest.
    pub share: u32,
    /// Whether it is to end early.
    pub is_stopped: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Manner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manner").field("share", &self.share).finish_non_exhaustive()
    }
}

/// Compares what is there with the log, one projection after the other. Blocks.
///
/// # Errors
/// See [`CheckError`]; there is no report of a part then.
pub fn check(
    log: &Log,
    subjects: &Subjects<'_>,
    scope: &Scope,
    manner: &Manner<'_>,
) -> Result<Vec<Checked>, CheckError> {
    let mut gait = Gait::new(manner.share, manner.is_stopped);
    let mut checked = Vec::new();
    if let Some(ReadModels { models, activity, analytics, .. }) = subjects.read_models {
        checked.push(compare::compare(ProjectionName::Models, log, models, scope, &mut gait)?);
        checked.push(compare::compare(ProjectionName::Activity, log, activity, scope, &mut gait)?);
        checked.push(compare::compare(ProjectionName::Analytics, log, analytics, scope, &mut gait)?);
    }
    if let Some(data_dir) = subjects.index_of {
        checked.push(documents::compare(data_dir, log, scope, &mut gait)?);
    }
    Ok(checked)
}

/// Compares what a data directory holds (the images in use and the index) with its log, whether processes are at work there or
/// not. What is not there is not compared: it is made of the log when it is needed. Blocks.
///
/// # Errors
/// See [`CheckError`].
pub fn check_data_dir(
    data_dir: &Path,
    log: &Log,
    scope: &Scope,
    manner: &Manner<'_>,
) -> Result<Vec<Checked>, CheckError> {
    let mut gait = Gait::new(manner.share, manner.is_stopped);
    let mut checked = Vec::new();
    for (projection, check) in ProjectionName::IMAGES.into_iter().zip(IMAGES) {
        match check(projection, data_dir, log, scope, &mut gait) {
            Ok(image) => checked.push(image),
            Err(Unusable::Failed(error)) => return Err(error),
            Err(error) => {
                let model = projection.as_str();
                tracing::info!(model, %error, "there is no image that the log confirms: it is not compared");
            }
        }
    }
    match documents::compare(data_dir, log, scope, &mut gait) {
        Ok(index) => checked.push(index),
        Err(CheckError::Search(crate::search::SearchError::NoIndex)) => {
            tracing::info!("there is no search index that the log confirms: it is not compared");
        }
        Err(error) => return Err(error),
    }
    Ok(checked)
}

/// Compares an image that is in use with the log.
type CheckImage = fn(ProjectionName, &Path, &Log, &Scope, &mut Gait<'_>) -> Result<Checked, Unusable>;

/// In the order of [`ProjectionName::IMAGES`].
const IMAGES: [CheckImage; 3] = [check_image::<Models>, check_image::<Activity>, check_image::<Analytics>];

/// Why something was not compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is not there.
    #[error("there is none")]
    None,
    /// Its checksums fail.
    #[error("{file}: {reason}")]
    Damaged { file: String, reason: String },
    /// The disk cannot read it.
    #[error("{file}: {reason}")]
    Unreadable { file: String, reason: String },
    /// It is of another log, or of another past.
    #[error("{file}: {reason}")]
    Foreign { file: String, reason: String },
    /// It is not used, and nothing is wrong with that.
    #[error("{0}")]
    Other(String),
    /// The comparison did not come to its end.
    #[error(transparent)]
    Failed(#[from] CheckError),
}

/// As [`check_data_dir`], for whoever wants to know of each of them why it was not compared.
pub(crate) fn inspect_data_dir(
    data_dir: &Path,
    log: &Log,
    scope: &Scope,
    manner: &Manner<'_>,
) -> Vec<(ProjectionName, Result<Checked, Unusable>)> {
    let mut gait = Gait::new(manner.share, manner.is_stopped);
    let mut inspected = Vec::new();
    for (projection, check) in ProjectionName::IMAGES.into_iter().zip(IMAGES) {
        inspected.push((projection, check(projection, data_dir, log, scope, &mut gait)));
    }
    inspected.push((ProjectionName::Search, documents::inspect(data_dir, log, scope, &mut gait)));
    inspected
}

fn check_image<M: Inspect>(
    projection: ProjectionName,
    data_dir: &Path,
    log: &Log,
    scope: &Scope,
    gait: &mut Gait<'_>,
) -> Result<Checked, Unusable> {
    let mut loaded = image::load::<M>(data_dir, log);
    // A log that somebody else writes is known here a moment later than to whoever writes images of it.
    if let Err(ImageError::Foreign(lineage)) = &loaded
        && lineage.store == log.store_id()
        && log.wait_for(lineage.next, FOLLOW_TIME_MAX)
    {
        loaded = image::load::<M>(data_dir, log);
    }
    let model = loaded.map_err(|error| {
        let file = format!("{}/{}.img", image::IMAGES_DIR, <M as ReadModel>::NAME);
        let reason = error.to_string();
        match error {
            ImageError::None => Unusable::None,
            ImageError::Io { .. } => Unusable::Unreadable { file, reason },
            ImageError::Damaged { .. } => Unusable::Damaged { file, reason },
            ImageError::Foreign(_) => Unusable::Foreign { file, reason },
            ImageError::OtherVersion { .. } | ImageError::OtherLetters => Unusable::Other(reason),
            ImageError::Read(error) => Unusable::Failed(error.into()),
        }
    })?;
    // It stands still, so it is a model that does not move on. It was made under what the log says now, or it would not have
    // been loaded.
    let letters = letters_of(<M as ReadModel>::NAME, log).map_err(CheckError::from)?;
    let live = Shared::obeying(model, letters);
    Ok(compare::compare(projection, log, &live, scope, gait)?)
}

/// Puts one thing of one read model in order, by what the log says; true when something was wrong with it. The index is
/// repaired by its projector: see [`Projector::repair`](crate::Projector::repair). Blocks.
///
/// # Errors
/// See [`CheckError`]; the model is as it was then.
pub fn repair(
    log: &Log,
    read_models: &ReadModels,
    projection: ProjectionName,
    entity: &Entity,
    manner: &Manner<'_>,
) -> Result<bool, CheckError> {
    let mut gait = Gait::new(manner.share, manner.is_stopped);
    match projection {
        ProjectionName::Models => repair::repair(log, &read_models.models, entity, &mut gait),
        ProjectionName::Activity => repair::repair(log, &read_models.activity, entity, &mut gait),
        ProjectionName::Analytics => repair::repair(log, &read_models.analytics, entity, &mut gait),
        ProjectionName::Search => Ok(false),
    }
}
