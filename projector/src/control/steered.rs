//! A read model that does what its stream says: passes over dead letters, is built anew, and keeps its image.
//!
//! Everything happens in the thread that feeds the model, between two batches; only what takes long is somebody else's:
//! building (a thread per build) and writing decisions (the clerk's). So a swap needs no more than that the thread of
//! the live one takes another one up.

use super::builder::{Building, Comparison, Permit, Site, Stage, Wanted};
use super::decisions::Clerk;
use super::followed::Followed;
use super::progress::Reporter;
use super::{RepairHook, Waiting};
use crate::backoff::Backoff;
use crate::decode::DecodedCommit;
use crate::generation::Generations;
use crate::image::{self, IMAGES_DIR, ImageError};
use crate::models::Models;
use crate::projection::{Projection, ProjectionError};
use crate::read_model::ReadModel;
use crate::shared::Shared;
use crate::tail;
use domain::system::projections::{ControlEvent, RebuildFinished, RebuildOutcome};
use eventstore::{Lineage, Log};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// An image is written when it is this old and the model has moved …
const IMAGE_EVERY: Duration = Duration::from_secs(30);
/// … or when this many events have been taken in since.
const IMAGE_EVENTS: u64 = 200_000;
/// A decision that is not in the log yet is handed over again after this.
const DECIDE_AGAIN: Duration = Duration::from_secs(5);

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
        generations.sweep().map_err(io)
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
    decided: Option<(ControlEvent, Instant)>,
    /// What the last image has, as far as this process knows.
    imaged: Lineage,
    written: Instant,
    repairs: Option<RepairHook>,
}

impl<M: ReadModel> std::fmt::Debug for Steered<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steered").field("model", &M::NAME).field("role", &self.role).finish_non_exhaustive()
    }
}

impl<M: ReadModel> Steered<M> {
    pub(crate) fn new(model: Shared<M>, log: &Log, role: Role, permit: Permit) -> Self {
        let imaged = model.read().checkpoint();
        let mut steered = Self {
            model,
            log: log.clone(),
            followed: Followed::of(M::NAME),
            is_stale: true,
            role,
            permit,
            building: None,
            adopted: None,
            not_before: None,
            backoff: Backoff::default(),
            decided: None,
            imaged,
            written: Instant::now(),
            repairs: None,
        };
        steered.read_on();
        steered.adopted = steered.swapped();
        steered
    }

    /// What to do when a repair is asked for.
    pub(crate) fn repair_with(&mut self, hook: RepairHook) {
        self.repairs = Some(hook);
    }

    /// The last rebuild that was put into use.
    fn swapped(&self) -> Option<Uuid> {
        let (_, finished) = self.followed.state().finished.as_ref()?;
        (finished.outcome == RebuildOutcome::Swapped).then_some(finished.rebuild_id)
    }

    fn read_on(&mut self) {
        match self.followed.read_on(&self.log) {
            Ok(_) => self.is_stale = false,
            // It is tried again at the next rest.
            Err(error) => {
                tracing::warn!(projection = M::NAME, %error, "what is asked of a projection cannot be read");
            }
        }
        for (position, repair) in self.followed.take_repairs() {
            match &self.repairs {
                Some(hook) => hook(M::NAME, position, &repair),
                None => tracing::debug!(projection = M::NAME, entity = repair.entity, "nobody repairs here"),
            }
        }
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
                let is_ended = matches!(&self.decided, Some((ControlEvent::RebuildFinished(finished), _)) if finished.rebuild_id == open.id);
                (clerk.is_manned() && !is_ended)
                    .then_some(Wanted::Rebuild { id: open.id, shadow: open.shadow })
            }
            Role::Reader { .. } => {
                let swapped = self.swapped()?;
                (self.adopted != Some(swapped)).then_some(Wanted::Adopt { id: swapped })
            }
        }
    }

    fn steer(&mut self) {
        // Whoever waits sees nothing of what comes, the decision included.
        if self.is_stale || self.model.waiting().is_some() || self.decided.is_some() {
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
        let Some(end) = building.end() else { return };
        let wanted = building.wanted.clone();
        match end {
            Stage::Ready { candidate, comparison, generation } => {
                self.building = None;
                if let Err(reason) = self.finish(&wanted, candidate, comparison, generation.as_deref()) {
                    self.leave_alone(&reason);
                } else {
                    self.backoff.succeeded();
                    self.not_before = None;
                }
            }
            Stage::Stuck(waiting) => {
                self.building = None;
                self.stuck(&waiting);
            }
            Stage::Failed(reason) => {
                self.building = None;
                self.sweep();
                self.leave_alone(&reason);
                if let Wanted::Rebuild { id, .. } = wanted {
                    // Whoever asked may ask again; a rebuild for ever would be nobody's wish.
                    let position = self.model.checkpoint().get();
                    self.hand_over(ControlEvent::RebuildFinished(RebuildFinished::failed(
                        id, position, &reason,
                    )));
                }
            }
            _ => {}
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
        // What has come into the log is not said again.
        let state = self.followed.state();
        let is_told = match &self.decided {
            Some((ControlEvent::DeadLetterAdded(added), _)) => {
                state.dead_letters.contains_key(&added.position)
            }
            Some((ControlEvent::RebuildFinished(finished), _)) => {
                state.rebuild.as_ref().is_none_or(|open| open.id != finished.rebuild_id)
            }
            _ => false,
        };
        if is_told {
            self.decided = None;
        } else if let Some((event, at)) = &self.decided
            && at.elapsed() > DECIDE_AGAIN
        {
            let event = event.clone();
            self.decided = None;
            self.hand_over(event);
        }
    }

    fn hand_over(&mut self, event: ControlEvent) {
        let Role::Projector { clerk, .. } = &self.role else { return };
        if !clerk.is_manned() || self.decided.as_ref().is_some_and(|(handed, _)| *handed == event) {
            return;
        }
        clerk.hand_over(M::NAME, event.clone());
        self.decided = Some((event, Instant::now()));
    }

    /// Writes an image, if the model has moved and is whole.
    pub(crate) fn save(&mut self) -> Result<(), ImageError> {
        let Role::Projector { images, .. } = &self.role else { return Ok(()) };
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
