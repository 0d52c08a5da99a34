//! A read model that does what its stream says: passes over dead letters, is built anew, and keeps its image.
//!
//! Everything happens in the thread that feeds the model, between two batches; only what takes long is somebody else's:
//! building (a thread per build) and writing decisions (the clerk's). So a swap needs no more than that the thread of
//! the live one takes another one up.

use super::builder::{Building, Comparison, Permit, Site, Stage, Wanted};
use super::decisions::{Clerk, Handed};
use super::followed::Followed;
use super::progress::Reporter;
use super::{RepairHook, RepairPending, Waiting};
use crate::backoff::Backoff;
use crate::decode::DecodedCommit;
use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR, ImageError};
use crate::models::Models;
use crate::projection::{Projection, ProjectionError};
use crate::read_model::ReadModel;
use crate::shared::Shared;
use crate::tail;
use domain::system::projections::{ControlEvent, RebuildFinished, RebuildOutcome, RebuildSwapBegun};
use eventstore::{Lineage, Log, Position};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// An image is written when it is this old and the model has moved …
const IMAGE_EVERY: Duration = Duration::from_secs(30);
/// … or when this many events have been taken in since.
const IMAGE_EVENTS: u64 = 200_000;

/// The generation that images are written to; all models of a process share it.
#[derive(Debug, Clone)]
pub(crate) struct ImageDir {
    data_dir: PathBuf,
    generation: Arc<Mutex<PathBuf>>,
}

impl ImageDir {
    pub(crate) fn new(data_dir: &Path, generation: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), generation: Arc::new(Mutex::new(generation.to_owned())) }
    }

    fn path(&self) -> PathBuf {
        self.generation.lock().clone()
    }

    /// Puts a generation into use that has one image of its own; the others are taken over as they are.
    fn put_into_use(&self, generation: &Path) -> Result<(), ImageError> {
        let io = |source| ImageError::Io { path: generation.to_owned(), source };
        let generations = Generations::new(&self.data_dir, IMAGES_DIR);
        let mut current = self.generation.lock();
        generations.link_missing(&current, generation).map_err(io)?;
        generations.make_current(generation).map_err(io)?;
        *current = generation.to_owned();
        if let Err(error) = generations.sweep() {
            tracing::warn!(%error, "older images are left until the next start");
        }
        Ok(())
    }
}

/// What this process is to the model.
#[derive(Debug)]
pub(crate) enum Role {
    /// It decides and keeps the image.
    Projector { clerk: Clerk, images: ImageDir },
    /// It obeys.
    Reader { data_dir: Option<PathBuf> },
}

/// A projection that feeds a read model and steers it.
pub(crate) struct Steered<M: ReadModel> {
    model: Shared<M>,
    log: Log,
    followed: Followed,
    /// Something was said in the stream that has not been read.
    is_stale: bool,
    role: Role,
    permit: Permit,
    building: Option<Building<M>>,
    /// The end of the rebuild that was adopted last, or was there at the start.
    adopted: Option<Uuid>,
    not_before: Option<Instant>,
    backoff: Backoff,
    handed: Handed,
    /// What the last image has, as far as this process knows.
    imaged: Lineage,
    written: Instant,
    repairs: Option<RepairHook>,
    /// Held by whoever has a repair to do.
    repairing: RepairPending,
}

impl<M: ReadModel> std::fmt::Debug for Steered<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steered").field("model", &M::NAME).field("role", &self.role).finish_non_exhaustive()
    }
}

impl<M: ReadModel> Steered<M> {
    pub(crate) fn new(model: Shared<M>, log: &Log, role: Role, permit: Permit) -> Self {
        let imaged = model.read().checkpoint();
        // An image has the repairs that were asked for before its position, as none is written while one is pending. What
        // is replayed from now on needs none of those that were asked for until now.
        let is_replayed = imaged.next == Position::ZERO;
        let repairs_from = if is_replayed { log.watermark() } else { imaged.next };
        let adopted = model.swapped();
        let mut steered = Self {
            model,
            log: log.clone(),
            followed: Followed::with_repairs(M::NAME, repairs_from),
            is_stale: true,
            role,
            permit,
            building: None,
            adopted,
            not_before: None,
            backoff: Backoff::default(),
            handed: Handed::default(),
            imaged,
            written: Instant::now(),
            repairs: None,
            repairing: RepairPending::default(),
        };
        steered.read_on();
        if is_replayed {
            steered.adopted = steered.followed.state().swapped;
        }
        steered
    }

    /// What to do when a repair is asked for, and when one was while this process was not there.
    pub(crate) fn repair_with(&mut self, hook: RepairHook) {
        self.repairs = Some(hook);
        self.ask_for_repairs();
    }

    fn ask_for_repairs(&mut self) {
        // Until there is somebody, they are kept.
        let Some(hook) = &self.repairs else { return };
        for (position, repair) in self.followed.take_repairs() {
            hook(M::NAME, position, &repair, self.repairing.clone());
        }
    }

    fn read_on(&mut self) {
        match self.followed.read_on(&self.log) {
            Ok(_) => self.is_stale = false,
            // It is tried again at the next rest.
            Err(error) => {
                tracing::warn!(projection = M::NAME, %error, "what is asked of a projection cannot be read");
            }
        }
        self.ask_for_repairs();
    }

    /// What is to be built now.
    fn wanted(&self) -> Option<Wanted> {
        let (letters, obeyed) = (self.followed.letters(), self.model.letters());
        let is_torn = self.model.waiting().is_some_and(|waiting| {
            let is_decided = self.followed.state().dead_letters.contains_key(&waiting.position.get());
            waiting.is_torn && is_decided
        });
        if is_torn || !obeyed.agree_before(letters, self.model.checkpoint()) {
            return Some(Wanted::Remake);
        }
        match &self.role {
            Role::Projector { clerk, .. } => {
                let open = self.followed.state().rebuild.as_ref()?;
                // Its end is on the way into the log already.
                (clerk.is_manned() && !self.handed.ends(open.id))
                    .then_some(Wanted::Rebuild { id: open.id, shadow: open.shadow })
            }
            Role::Reader { .. } => {
                let swapped = self.followed.state().swapped?;
                (self.adopted != Some(swapped)).then_some(Wanted::Adopt { id: swapped })
            }
        }
    }

    fn steer(&mut self) {
        // Whoever waits sees nothing of what comes, the decision included.
        if self.is_stale || self.model.waiting().is_some() || !self.handed.is_empty() {
            self.read_on();
        }
        let letters = Arc::clone(self.followed.letters());
        let obeyed = self.model.letters();
        let is_waiting_torn = self.model.waiting().is_some_and(|waiting| waiting.is_torn);
        if *obeyed != *letters && !is_waiting_torn && obeyed.agree_before(&letters, self.model.checkpoint()) {
            self.model.obey(Arc::clone(&letters));
        }
        let wanted = self.wanted();
        if let Some(building) = &self.building
            && (wanted.as_ref() != Some(&building.wanted) || building.letters != letters)
        {
            tracing::info!(projection = M::NAME, "what was being built is not wanted any more");
            self.building = None;
            self.sweep();
        }
        match (wanted, &self.building) {
            (Some(wanted), None) if self.not_before.is_none_or(|at| Instant::now() >= at) => {
                self.begin(wanted, letters);
            }
            (Some(_), Some(_)) => self.look_at_building(),
            _ => {}
        }
        self.decide();
    }

    fn begin(&mut self, wanted: Wanted, letters: Arc<super::Letters>) {
        let Some(taken) = self.permit.take() else { return };
        let (data_dir, writes_image) = match &self.role {
            Role::Projector { images, .. } => (Some(images.data_dir.clone()), true),
            Role::Reader { data_dir } => (data_dir.clone(), false),
        };
        let reporter = match (&wanted, &data_dir) {
            (Wanted::Rebuild { id, .. }, Some(data_dir)) => Some(Reporter::new(data_dir, M::NAME, *id)),
            _ => None,
        };
        tracing::info!(projection = M::NAME, ?wanted, "a projection is built beside the live one");
        let site = Site { data_dir, log: self.log.clone(), live: self.model.clone(), writes_image, reporter };
        match Building::start(wanted, letters, site, taken) {
            Ok(building) => self.building = Some(building),
            Err(error) => self.leave_alone(&error.to_string()),
        }
    }

    /// It failed: again, later.
    fn leave_alone(&mut self, reason: &str) {
        let pause = self.backoff.failed();
        tracing::error!(projection = M::NAME, reason, ?pause, "a projection could not be built");
        self.not_before = Some(Instant::now() + pause);
    }

    fn look_at_building(&mut self) {
        let Some(building) = &self.building else { return };
        let model = &self.model;
        building.give_rows(|| {
            let model = model.read();
            let rows = model.to_rows().inspect_err(|error| tracing::error!(%error, "a model has no rows"));
            Some((model.checkpoint(), rows.ok()?))
        });
        if building.wants_leave()
            && let Wanted::Rebuild { id, .. } = building.wanted
        {
            if self.followed.state().is_swapping(id) {
                building.give_leave();
            } else {
                // Once that stands in the log, nobody can cancel it any more; if it was cancelled before, that never will.
                self.hand_over(ControlEvent::RebuildSwapBegun(RebuildSwapBegun { rebuild_id: id }));
                return;
            }
        }
        let Some(building) = &self.building else { return };
        let Some(end) = building.end() else { return };
        let wanted = building.wanted.clone();
        match end {
            Stage::Ready { candidate, comparison, generation } => {
                self.building = None;
                if let Err(reason) = self.finish(&wanted, candidate, comparison, generation.as_deref()) {
                    self.failed(&wanted, &reason);
                } else {
                    self.backoff.succeeded();
                    self.not_before = None;
                }
            }
            Stage::Stuck(waiting) => {
                self.building = None;
                self.sweep();
                self.stuck(&waiting);
            }
            Stage::Failed(reason) => {
                self.building = None;
                self.failed(&wanted, &reason);
            }
            _ => {}
        }
    }

    fn failed(&mut self, wanted: &Wanted, reason: &str) {
        self.sweep();
        self.leave_alone(reason);
        if let Wanted::Rebuild { id, .. } = wanted {
            // Whoever asked may ask again; a rebuild for ever would be nobody's wish.
            let position = self.model.checkpoint().get();
            self.hand_over(ControlEvent::RebuildFinished(RebuildFinished::failed(*id, position, reason)));
        }
    }

    /// What is built meets an event that it cannot take in: that is decided like any other.
    fn stuck(&mut self, waiting: &Waiting) {
        self.not_before = Some(Instant::now() + self.backoff.failed());
        match &self.role {
            Role::Projector { .. } => self.hand_over(waiting.decision()),
            Role::Reader { .. } => {
                tracing::warn!(projection = M::NAME, %waiting, "what is in use stays in use until then");
            }
        }
    }

    fn finish(
        &mut self,
        wanted: &Wanted,
        mut candidate: Shared<M>,
        comparison: Option<Box<Comparison>>,
        generation: Option<&Path>,
    ) -> Result<(), String> {
        if let Wanted::Rebuild { id, shadow: true } = wanted {
            if let Some(comparison) = comparison {
                self.hand_over(finished(*id, RebuildOutcome::Compared, *comparison));
            }
            return Ok(());
        }
        // The last of the way, while nobody else moves.
        let live = self.model.checkpoint();
        tail::catch_up_to(&self.log, &mut [&mut candidate], live, |_| true)
            .map_err(|error| error.to_string())?;
        if let Some(waiting) = candidate.waiting() {
            self.stuck(&waiting);
            return Ok(());
        }
        if candidate.checkpoint() < live {
            return Err("it did not come as far as the one in use".to_owned());
        }
        if let (Role::Projector { images, .. }, Some(generation)) = (&self.role, generation) {
            images.put_into_use(generation).map_err(|error| error.to_string())?;
        }
        let changed =
            comparison.as_ref().map(|comparison| (comparison.position, comparison.differences.clone()));
        self.model.replace(candidate);
        // Of the other models nothing else is made.
        if M::NAME == Models::NAME
            && let (Role::Projector { .. }, Some((position, differences))) = (&self.role, changed)
        {
            self.model.note_replaced(position, differences.into_entities());
        }
        tracing::info!(projection = M::NAME, position = %self.model.checkpoint(), "what was built is in use");
        match (wanted, comparison) {
            (Wanted::Rebuild { id, .. }, Some(comparison)) => {
                self.hand_over(finished(*id, RebuildOutcome::Swapped, *comparison));
            }
            (Wanted::Adopt { id }, _) => self.adopted = Some(*id),
            _ => {}
        }
        Ok(())
    }

    /// Takes away generations that were half made.
    fn sweep(&self) {
        if let Role::Projector { images, .. } = &self.role
            && let Some(_alone) = self.permit.take()
            && let Err(error) = Generations::new(&images.data_dir, IMAGES_DIR).sweep()
        {
            tracing::warn!(%error, "what was half built is left until the next start");
        }
    }

    /// Decides about an event that cannot be taken in.
    fn decide(&mut self) {
        if let Some(waiting) = self.model.waiting()
            && matches!(self.role, Role::Projector { .. })
            && !self.followed.state().dead_letters.contains_key(&waiting.position.get())
        {
            self.hand_over(waiting.decision());
        }
        if let Role::Projector { clerk, .. } = &self.role {
            self.handed.look_again(clerk, M::NAME, self.followed.state());
        }
    }

    fn hand_over(&mut self, event: ControlEvent) {
        let Role::Projector { clerk, .. } = &self.role else { return };
        self.handed.hand_over(clerk, M::NAME, event);
    }

    /// Writes an image, if the model has moved and is whole.
    pub(crate) fn save(&mut self) -> Result<(), ImageError> {
        if matches!(self.role, Role::Projector { .. }) && self.is_stale {
            self.read_on();
        }
        let Role::Projector { images, .. } = &self.role else { return Ok(()) };
        // Whoever starts from an image takes everything before it for repaired.
        if self.is_stale || self.repairing.is_shared() {
            return Ok(());
        }
        if self.model.waiting().is_some_and(|waiting| waiting.is_torn) {
            return Ok(());
        }
        let letters = self.model.letters();
        let (checkpoint, image) = {
            let model = self.model.read();
            if model.checkpoint() == self.imaged {
                return Ok(());
            }
            (model.checkpoint(), image::encode(&*model, &letters)?)
        };
        self.written = Instant::now();
        image::write_bytes::<M>(&images.path(), &image)?;
        self.imaged = checkpoint;
        Ok(())
    }

    fn save_if_due(&mut self) {
        if !matches!(self.role, Role::Projector { .. }) {
            return;
        }
        let behind = self.model.checkpoint().get().saturating_sub(self.imaged.next.get());
        let due = behind >= IMAGE_EVENTS || (behind > 0 && self.written.elapsed() >= IMAGE_EVERY);
        if due && let Err(error) = self.save() {
            // Only the next start is slower; the next image may well succeed.
            tracing::error!(model = M::NAME, %error, "no image of a read model was written");
            self.written = Instant::now();
        }
    }
}

fn finished(id: Uuid, outcome: RebuildOutcome, comparison: Comparison) -> ControlEvent {
    let Comparison { position, old, new, differences } = comparison;
    ControlEvent::RebuildFinished(RebuildFinished {
        rebuild_id: id,
        outcome,
        position: position.get(),
        old,
        new: Some(new),
        differing: differences.len() as u64,
        differences: differences.listed(),
        reason: None,
    })
}

impl<M: ReadModel> Projection for Steered<M> {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn version(&self) -> u32 {
        self.model.version()
    }

    fn checkpoint(&self) -> Lineage {
        Projection::checkpoint(&self.model)
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        let mut events = commits.iter().flat_map(|commit| &commit.events);
        if !self.is_stale && events.any(|event| self.followed.is_of(event.view.stream())) {
            self.is_stale = true;
        }
        self.model.apply(commits)
    }

    fn is_waiting(&self) -> bool {
        self.model.is_waiting()
    }

    fn rest(&mut self) {
        self.steer();
        self.save_if_due();
    }
}
