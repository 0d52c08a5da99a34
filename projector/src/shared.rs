//! A read model that one thread keeps up to date and many read.
//!
//! The lock is a reader-writer lock because reads are short and many; it is fair, and the writer lets waiting readers in after
//! every commit, so neither side starves the other. Decoding happens outside of it. Each model has a
//! lock of its own, so whoever reads one never waits for another.

use crate::control::{Letters, Waiting};
use crate::decode::{DecodedCommit, DecodedEvent};
use crate::image;
use crate::models::Models;
use crate::pace::Pace;
use crate::projection::{Projection, ProjectionError, Step, step};
use crate::read_model::ReadModel;
use crate::read_models::Following;
use crate::tail;
use eventstore::{Lineage, Log, Position};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// The items, boards, projects, workspaces and comments that are kept up to date.
pub type SharedModels = Shared<Models>;

/// A handle to a read model that is kept up to date. Cheap to clone.
#[derive(Debug)]
pub struct Shared<M> {
    inner: Arc<Inner<M>>,
}

#[derive(Debug)]
struct Inner<M> {
    model: RwLock<M>,
    /// Moves after the model has, never before.
    checkpoint: watch::Sender<Position>,
    pace: Pace,
    steering: Mutex<Steering>,
    /// The rebuild that had been put into use last before the image was opened, which is of that one or a later one.
    swapped: Option<Uuid>,
    /// What is made of the model has to be made anew for these.
    replaced: Mutex<Option<(Position, Vec<String>)>>,
}

/// What the model is told to pass over, and what it waits for. Never locked while the model is waited for.
#[derive(Debug, Default)]
struct Steering {
    letters: Arc<Letters>,
    waiting: Option<Waiting>,
}

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M: ReadModel> Shared<M> {
    /// Shares a model.
    #[must_use]
    pub fn new(model: M) -> Self {
        Self::obeying(model, Arc::default())
    }

    /// Shares a model that was made under these dead letters.
    pub(crate) fn obeying(model: M, letters: Arc<Letters>) -> Self {
        Self::begun(model, letters, None)
    }

    fn begun(model: M, letters: Arc<Letters>, swapped: Option<Uuid>) -> Self {
        let checkpoint = watch::Sender::new(model.checkpoint().next);
        let steering = Mutex::new(Steering { letters, waiting: None });
        Self {
            inner: Arc::new(Inner {
                model: RwLock::new(model),
                checkpoint,
                pace: Pace::new(),
                steering,
                swapped,
                replaced: Mutex::default(),
            }),
        }
    }

    /// The model of the newest image that this log confirms, or else one that has everything to come. Reads files:
    /// call it from a thread that may block.
    #[must_use]
    pub fn open(data_dir: &Path, log: &Log) -> Self {
        let (model, followed) = image::load_or_new(data_dir, log);
        Self::begun(model, Arc::clone(followed.letters()), followed.state().swapped)
    }

    /// The model, to be read: the guard keeps the writer out, so hold it for as long as an answer takes to copy out.
    pub fn read(&self) -> RwLockReadGuard<'_, M> {
        self.inner.model.read()
    }

    /// The digest of the model with the checkpoint that it stands for. What a digest works off is work under the lock,
    /// which keeps readers out.
    #[must_use]
    pub fn digest(&self) -> (Lineage, eventstore::Digest) {
        let mut model = self.inner.model.write();
        let digest = model.digest();
        (model.checkpoint(), digest)
    }

    /// The next position that the model will take in.
    #[must_use]
    pub fn checkpoint(&self) -> Position {
        *self.inner.checkpoint.borrow()
    }

    /// Events that it has taken in per second, over the last few seconds.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        self.inner.pace.per_second()
    }

    /// Changes whenever the checkpoint moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.inner.checkpoint.subscribe()
    }

    /// Waits until everything before `position` is in the model; false when `timeout` passes first.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        let mut watch = self.watch();
        // The sender lives as long as `self`.
        tokio::time::timeout(timeout, watch.wait_for(|checkpoint| *checkpoint >= position))
            .await
            .is_ok_and(|reached| reached.is_ok())
    }

    /// The model, to be digested by whoever has it alone, or to be repaired.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, M> {
        self.inner.model.write()
    }

    /// Remembers which entities are others since the model was replaced by one that was compared with it at `position`.
    pub(crate) fn note_replaced(&self, position: Position, entities: Vec<String>) {
        if entities.is_empty() {
            return;
        }
        let mut replaced = self.inner.replaced.lock();
        let (from, all) = replaced.get_or_insert((position, Vec::new()));
        *from = position.min(*from);
        all.extend(entities);
    }

    /// The entities that are others since the model was replaced, with the position from which on the same is to be asked of
    /// every event; once.
    pub(crate) fn take_replaced(&self) -> Option<(Position, Vec<String>)> {
        self.inner.replaced.lock().take()
    }

    /// What it waits for, when it cannot take in the next event.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        self.inner.steering.lock().waiting.clone()
    }

    /// The newest rebuild that the model is known to have come after when it was opened.
    pub(crate) fn swapped(&self) -> Option<Uuid> {
        self.inner.swapped
    }

    /// What it passes over.
    pub(crate) fn letters(&self) -> Arc<Letters> {
        Arc::clone(&self.inner.steering.lock().letters)
    }

    /// Tells it what to pass over from now on, which MUST be the same as until now before its checkpoint. What it waits for may
    /// be decided by that.
    pub(crate) fn obey(&self, letters: Arc<Letters>) {
        let mut steering = self.inner.steering.lock();
        if steering.waiting.as_ref().is_some_and(|waiting| !waiting.is_torn) {
            // Looked at once more: it stands still again if nothing was said of that event.
            steering.waiting = None;
        }
        steering.letters = letters;
    }

    /// Puts another model into the place of this one, at the same checkpoint or a later one. Readers see the one or the other.
    pub(crate) fn replace(&self, other: Self) {
        let Ok(inner) = Arc::try_unwrap(other.inner) else {
            // Whoever builds one hands it over for good.
            tracing::error!(model = M::NAME, "a model that is still in use elsewhere is not put into use");
            return;
        };
        let (mut new, letters) = (inner.model.into_inner(), inner.steering.into_inner().letters);
        let reached = new.checkpoint().next;
        let old = {
            let mut model = self.inner.model.write();
            new.replaces(&model);
            // Under the lock, so that nothing is taken in under other letters than the model was made with.
            *self.inner.steering.lock() = Steering { letters, waiting: None };
            std::mem::replace(&mut *model, new)
        };
        self.tell(reached);
        drop(old);
    }

    fn tell(&self, reached: Position) {
        self.inner
            .checkpoint
            .send_if_modified(|checkpoint| std::mem::replace(checkpoint, reached) != reached);
    }

    /// Takes in a commit, or says why it cannot.
    fn take_in(model: &mut M, commit: &DecodedCommit<'_>, letters: &Letters) -> Result<(), Waiting> {
        let wanted = || commit.events.iter().filter(|event| !letters.pass_over(&event.view));
        // All of them are asked first, so that whoever waits has nothing of the commit.
        for event in wanted() {
            if let Some(reason) = model.refuses(event) {
                return Err(Waiting::at(event, &reason, false));
            }
        }
        for event in wanted() {
            let event: &DecodedEvent<'_> = event;
            if let Err(reason) = tail::guarded(|| model.take_in(event)) {
                // Nobody knows what it has done until then.
                return Err(Waiting::at(event, &reason, true));
            }
        }
        model.advance(commit.lineage);
        Ok(())
    }

    /// Keeps this model alone up to date with a log, in a thread that ends when the returned handle is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn follow(&self, log: Log) -> io::Result<Following> {
        let mut model = self.clone();
        Following::start(log, Default::default(), move |tail| tail(&mut [&mut model]))
    }
}

impl<M: ReadModel> Projection for Shared<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn version(&self) -> u32 {
        M::VERSION
    }

    fn checkpoint(&self) -> Lineage {
        self.inner.model.read().checkpoint()
    }

    fn is_waiting(&self) -> bool {
        self.inner.steering.lock().waiting.is_some()
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        let letters = {
            let steering = self.inner.steering.lock();
            if steering.waiting.is_some() {
                return Ok(());
            }
            Arc::clone(&steering.letters)
        };
        let mut model = self.inner.model.write();
        let before = model.checkpoint().next;
        let applied = commits.iter().try_for_each(|commit| {
            // Whoever waits to read comes in between two commits, and waits for no more than one.
            RwLockWriteGuard::bump(&mut model);
            match step(&model.checkpoint(), commit) {
                Ok(Step::PassOver) => Ok(()),
                Ok(Step::TakeIn) => Self::take_in(&mut model, commit, &letters).map_err(Ok),
                Err(error) => Err(Err(error)),
            }
        });
        let reached = model.checkpoint().next;
        drop(model);
        self.inner.pace.note(reached.get() - before.get());
        self.tell(reached);
        match applied {
            Ok(()) => Ok(()),
            Err(Err(error)) => Err(error),
            Err(Ok(waiting)) => {
                tracing::error!(
                    projection = M::NAME, position = %waiting.position, reason = waiting.reason,
                    "an event cannot be taken in; a decision is waited for"
                );
                self.inner.steering.lock().waiting = Some(waiting);
                Ok(())
            }
        }
    }
}
