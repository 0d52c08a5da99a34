//! A read model made beside the live one, in a thread of its own.
//!
//! ```text
//! replay (or image) ──▶ as far as the live one ──▶ the live one's rows ──▶ compared at their checkpoint ──▶ image ──▶ ready
//! ```
//!
//! Invariant: it is never further than the live one when it asks for the live one's rows, so it can come to exactly there.

use super::Waiting;
use super::compare::{Differences, differences, told_digest};
use super::letters::Letters;
use super::progress::{Phase, Reporter};
use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR};
use crate::read_model::ReadModel;
use crate::shared::Shared;
use crate::tail;
use domain::system::projections::Built;
use eventstore::{Lineage, Log, Position};
use parking_lot::{Condvar, Mutex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use uuid::Uuid;

/// Events that may be left for the thread of the live ones to do.
const NEAR: u64 = 2_000;
/// How often it goes after the live one while it waits to be put into use.
const KEEP_UP_EVERY: Duration = Duration::from_millis(250);

/// What is to be built, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Somebody asked for it.
    Rebuild { id: Uuid, shadow: bool },
    /// Something that was taken in is passed over now, or the other way round.
    Remake,
    /// The projector has put another one into use.
    Adopt { id: Uuid },
}

/// One build at a time in a process: each takes the memory of a whole model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permit {
    is_taken: Arc<AtomicBool>,
}

impl Permit {
    pub(crate) fn take(&self) -> Option<Taken> {
        let was_taken = self.is_taken.swap(true, Ordering::AcqRel);
        (!was_taken).then(|| Taken(Self::clone(self)))
    }
}

/// Gives the permit back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken(Permit);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.is_taken.store(false, Ordering::Release);
    }
}

/// What was compared.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) position: Position,
    pub(crate) old: Option<Built>,
    pub(crate) new: Built,
    pub(crate) differences: Differences,
}

/// Where a build has come to.
#[derive(Debug)]
pub(crate) enum Stage<M> {
    Building,
    /// The rows of the live model are wanted; it stands still at that event where it does.
    WantsRows,
    Rows(Lineage, Vec<u8>),
    Comparing,
    /// It may be put into use, once the log says that nobody can cancel it any more.
    WantsLeave,
    Leave,
    Ready {
        candidate: Shared<M>,
        comparison: Option<Box<Comparison>>,
        generation: Option<PathBuf>,
    },
    /// It came to an event that it cannot take in either.
    Stuck(Waiting),
    Failed(String),
    /// Its end was taken away.
    Over,
}

#[derive(Debug)]
struct Desk<M> {
    stage: Mutex<Stage<M>>,
    changed: Condvar,
    is_cancelled: AtomicBool,
}

/// A build that is under way. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Building<M> {
    pub(crate) wanted: Wanted,
    pub(crate) letters: Arc<Letters>,
    desk: Arc<Desk<M>>,
    thread: Option<JoinHandle<()>>,
    _taken: Taken,
}

/// What a build needs.
pub(crate) struct Site<M> {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) log: Log,
    pub(crate) live: Shared<M>,
    /// Whether an image is to be written in a generation of its own.
    pub(crate) writes_image: bool,
    pub(crate) reporter: Option<Reporter>,
}

impl<M: ReadModel> Building<M> {
    pub(crate) fn start(
        wanted: Wanted,
        letters: Arc<Letters>,
        site: Site<M>,
        taken: Taken,
    ) -> std::io::Result<Self> {
        let desk = Arc::new(Desk {
            stage: Mutex::new(Stage::Building),
            changed: Condvar::new(),
            is_cancelled: AtomicBool::new(false),
        });
        let thread = {
            let (desk, wanted, letters) = (Arc::clone(&desk), wanted.clone(), Arc::clone(&letters));
            std::thread::Builder::new().name(format!("build-{}", M::NAME)).spawn(move || {
                if let Err(panic) = tail::guarded(|| {
                    let end = build(&wanted, &letters, &site, &desk);
                    desk.reach(end);
                }) {
                    desk.reach(Stage::Failed(panic));
                }
            })?
        };
        Ok(Self { wanted, letters, desk, thread: Some(thread), _taken: taken })
    }

    /// Gives the rows of the live model to a build that waits for them.
    pub(crate) fn give_rows(&self, rows: impl FnOnce() -> Option<(Lineage, Vec<u8>)>) {
        let is_wanted = matches!(*self.desk.stage.lock(), Stage::WantsRows);
        if is_wanted && let Some((lineage, rows)) = rows() {
            self.desk.reach(Stage::Rows(lineage, rows));
        }
    }

    /// Whether it waits until it may be put into use.
    pub(crate) fn wants_leave(&self) -> bool {
        matches!(*self.desk.stage.lock(), Stage::WantsLeave)
    }

    /// It may.
    pub(crate) fn give_leave(&self) {
        self.desk.reach(Stage::Leave);
    }

    /// What it came to, once.
    pub(crate) fn end(&self) -> Option<Stage<M>> {
        let mut stage = self.desk.stage.lock();
        match *stage {
            Stage::Ready { .. } | Stage::Stuck(_) | Stage::Failed(_) => {
                Some(std::mem::replace(&mut *stage, Stage::Over))
            }
            _ => None,
        }
    }
}

impl<M> Drop for Building<M> {
    fn drop(&mut self) {
        self.desk.is_cancelled.store(true, Ordering::Relaxed);
        // Under the lock, so that nobody misses it between looking and waiting.
        drop(self.desk.stage.lock());
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<M> Desk<M> {
    fn reach(&self, stage: Stage<M>) {
        *self.stage.lock() = stage;
        self.changed.notify_all();
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Asks for the live model's rows; nothing when they come no more.
    fn rows(&self) -> Option<(Lineage, Vec<u8>)> {
        let mut stage = self.stage.lock();
        *stage = Stage::WantsRows;
        loop {
            if self.is_cancelled() {
                return None;
            }
            if matches!(*stage, Stage::Rows(..))
                && let Stage::Rows(lineage, rows) = std::mem::replace(&mut *stage, Stage::Comparing)
            {
                return Some((lineage, rows));
            }
            self.changed.wait(&mut stage);
        }
    }
}

/// Waits until it may be put into use, and keeps up meanwhile.
fn ask_for_leave<M: ReadModel>(
    candidate: &mut Shared<M>,
    site: &Site<M>,
    desk: &Desk<M>,
) -> Result<(), Stage<M>> {
    desk.reach(Stage::WantsLeave);
    loop {
        {
            let mut stage = desk.stage.lock();
            // Looked at under the lock, under which it is given or taken away.
            if !matches!(*stage, Stage::Leave) && !desk.is_cancelled() {
                desk.changed.wait_for(&mut stage, KEEP_UP_EVERY);
            }
            if desk.is_cancelled() {
                return Err(Stage::Over);
            }
            if matches!(*stage, Stage::Leave) {
                return Ok(());
            }
        }
        keep_up(candidate, site, desk, || site.live.checkpoint())?;
    }
}

/// Everything up to where the live one is; `None` when it cannot go on.
fn keep_up<M: ReadModel>(
    candidate: &mut Shared<M>,
    site: &Site<M>,
    desk: &Desk<M>,
    upto: impl Fn() -> Position,
) -> Result<(), Stage<M>> {
    loop {
        let limit = upto();
        let total = site.log.watermark().get();
        let go_on = |reached: Position| {
            if let Some(reporter) = &site.reporter {
                reporter.tell(Phase::Building, reached.get(), total);
            }
            !desk.is_cancelled()
        };
        tail::catch_up_to(&site.log, &mut [candidate], limit, go_on)
            .map_err(|error| Stage::Failed(error.to_string()))?;
        if let Some(waiting) = candidate.waiting() {
            return Err(Stage::Stuck(waiting));
        }
        if desk.is_cancelled() {
            return Err(Stage::Over);
        }
        if upto().get().saturating_sub(candidate.checkpoint().get()) <= NEAR {
            return Ok(());
        }
    }
}

fn build<M: ReadModel>(wanted: &Wanted, letters: &Arc<Letters>, site: &Site<M>, desk: &Desk<M>) -> Stage<M> {
    build_to_end(wanted, letters, site, desk).unwrap_or_else(|stage| stage)
}

fn build_to_end<M: ReadModel>(
    wanted: &Wanted,
    letters: &Arc<Letters>,
    site: &Site<M>,
    desk: &Desk<M>,
) -> Result<Stage<M>, Stage<M>> {
    let failed = |error: &dyn std::fmt::Display| Stage::Failed(error.to_string());
    let mut begun = None;
    if let (Wanted::Adopt { .. }, Some(data_dir)) = (wanted, &site.data_dir) {
        match image::load_under::<M>(data_dir, &site.log, letters) {
            // One that is ahead of the live one could not be compared, but here nothing is.
            Ok(model) => begun = Some(model),
            Err(error) => {
                tracing::info!(model = M::NAME, %error, "the new image is not used; the log is replayed");
            }
        }
    }
    let model = begun.unwrap_or_else(|| M::begin(site.log.store_id()));
    let mut candidate = Shared::obeying(model, Arc::clone(letters));
    let live = || site.live.checkpoint();
    keep_up(&mut candidate, site, desk, live)?;

    let mut comparison = None;
    if !matches!(wanted, Wanted::Adopt { .. }) && site.writes_image {
        let Some((lineage, rows)) = desk.rows() else { return Ok(Stage::Over) };
        let tell = |phase| {
            if let Some(reporter) = &site.reporter {
                reporter.tell(phase, lineage.next.get(), site.log.watermark().get());
            }
        };
        tell(Phase::Comparing);
        tail::catch_up_to(&site.log, &mut [&mut candidate], lineage.next, |_| !desk.is_cancelled())
            .map_err(|error| failed(&error))?;
        if let Some(waiting) = candidate.waiting() {
            return Err(Stage::Stuck(waiting));
        }
        if desk.is_cancelled() {
            return Ok(Stage::Over);
        }
        comparison = Some(Box::new(compare(&candidate, lineage, &rows).map_err(|error| failed(&error))?));
        tell(Phase::Swapping);
    }
    let is_kept = !matches!(wanted, Wanted::Rebuild { shadow: true, .. });
    let mut generation = None;
    if let (true, true, Some(data_dir)) = (is_kept, site.writes_image, &site.data_dir) {
        generation = Some(write_image(data_dir, &candidate, letters).map_err(|error| failed(&error))?);
        if matches!(wanted, Wanted::Rebuild { .. }) {
            ask_for_leave(&mut candidate, site, desk)?;
        }
        keep_up(&mut candidate, site, desk, live)?;
    }
    Ok(Stage::Ready { candidate, comparison, generation })
}

fn compare<M: ReadModel>(
    candidate: &Shared<M>,
    lineage: Lineage,
    rows: &[u8],
) -> Result<Comparison, eventstore::codec::CodecError> {
    // A copy, so that readers of the live one do not wait for its digest.
    let mut old = M::from_rows(rows, lineage)?;
    let mut new = candidate.write();
    let differences = differences(&mut old, &mut *new);
    let (old, new) = (told_digest(&mut old), told_digest(&mut *new));
    Ok(Comparison { position: lineage.next, old: Some(old), new, differences })
}

fn write_image<M: ReadModel>(
    data_dir: &Path,
    candidate: &Shared<M>,
    letters: &Letters,
) -> Result<PathBuf, image::ImageError> {
    let generations = Generations::new(data_dir, IMAGES_DIR);
    let generation = generations
        .begin()
        .map_err(|source| image::ImageError::Io { path: data_dir.join(IMAGES_DIR), source })?;
    image::write(&generation, &*candidate.read(), letters)?;
    Ok(generation)
}
