//! A projection's stream, followed: what holds of the projection as far as the log has come.

use super::letters::Letters;
use domain::system::projections::{
    ControlEvent, PROJECTIONS, ProjectionState, RebuildOutcome, RepairRequested, stream_of,
};
use eventstore::{Direction, Log, Position, ReadError, StreamId, Version};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Events that are read at a time.
const PAGE: usize = 1_000;
/// Repairs that are kept until somebody takes them: the newest. No more are carried out at a time anyway.
const REPAIRS_MAX: usize = 1_024;

/// What a projection's stream said until it was last looked at.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    stream: Option<StreamId>,
    next: Version,
    state: ProjectionState,
    letters: Arc<Letters>,
    /// Repairs that nobody has taken yet, with where the log says so.
    repairs: VecDeque<(Position, RepairRequested)>,
    /// From where on they are wanted; nothing where nobody repairs.
    repairs_from: Option<Position>,
}

impl Followed {
    /// The stream of a projection, from its beginning on.
    pub(crate) fn of(projection: &str) -> Self {
        // The names are known and short; were one no name of a stream, there would be nothing to follow.
        let stream = StreamId::new(stream_of(projection)).ok();
        Self {
            stream,
            next: Version::ZERO,
            state: ProjectionState::default(),
            letters: Arc::default(),
            repairs: VecDeque::new(),
            repairs_from: None,
        }
    }

    /// The same, by whoever carries out the repairs that are asked for at a position or behind it.
    pub(crate) fn with_repairs(projection: &str, from: Position) -> Self {
        Self { repairs_from: Some(from), ..Self::of(projection) }
    }

    /// The stream of a projection, read to its end.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn until_now(projection: &str, log: &Log) -> Result<Self, ReadError> {
        let mut followed = Self::of(projection);
        followed.read_on(log)?;
        Ok(followed)
    }

    /// Reads on. True when something was said.
    ///
    /// # Errors
    /// When the log cannot be read; what was read until then is kept.
    pub(crate) fn read_on(&mut self, log: &Log) -> Result<bool, ReadError> {
        let Some(stream) = self.stream.clone() else { return Ok(false) };
        let mut is_changed = false;
        loop {
            let events = log.read_stream(&stream, self.next, Direction::Forward, PAGE)?;
            for event in &events {
                let Some(view) = event.get() else { continue };
                self.next = view.version().plus(1);
                let position = view.position();
                match ControlEvent::decode(view.event_type(), view.schema_version(), view.payload()) {
                    Ok(Some(ControlEvent::RepairRequested(repair))) => self.keep(position, repair),
                    Ok(Some(event)) => {
                        self.state.apply(&event, position.get());
                        if matches!(&event, ControlEvent::RebuildFinished(end) if end.outcome == RebuildOutcome::Swapped)
                        {
                            // All of it is made anew.
                            self.repairs.clear();
                        }
                    }
                    // A newer build says more than this one understands.
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%position, %error, "a control event cannot be read and is passed over");
                    }
                }
                is_changed = true;
            }
            if events.len() < PAGE {
                break;
            }
        }
        if is_changed {
            self.letters = Arc::new(Letters::of(&self.state));
        }
        Ok(is_changed)
    }

    fn keep(&mut self, position: Position, repair: RepairRequested) {
        if self.repairs_from.is_none_or(|from| position < from) {
            return;
        }
        self.repairs.retain(|(_, before)| before.entity != repair.entity);
        if self.repairs.len() == REPAIRS_MAX {
            tracing::warn!(%position, "too many repairs wait; the oldest has to be asked for again");
            self.repairs.pop_front();
        }
        self.repairs.push_back((position, repair));
    }

    /// What holds.
    pub(crate) fn state(&self) -> &ProjectionState {
        &self.state
    }

    /// What is passed over.
    pub(crate) fn letters(&self) -> &Arc<Letters> {
        &self.letters
    }

    /// The repairs that came since this was last asked.
    pub(crate) fn take_repairs(&mut self) -> VecDeque<(Position, RepairRequested)> {
        std::mem::take(&mut self.repairs)
    }

    /// Whether an event is of this stream.
    pub(crate) fn is_of(&self, stream: &str) -> bool {
        self.stream.as_ref().is_some_and(|own| own.as_str() == stream)
    }
}

/// What a projection passes over, as the log says now.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn letters_of(projection: &str, log: &Log) -> Result<Arc<Letters>, ReadError> {
    Ok(Arc::clone(Followed::until_now(projection, log)?.letters()))
}

/// What holds of each projection, for whoever asks now and then. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Controls {
    log: Log,
    followed: Arc<Mutex<BTreeMap<&'static str, Followed>>>,
}

impl Controls {
    /// As this log says.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log, followed: Arc::default() }
    }

    /// What holds of a projection now; nothing of one that does not exist. Reads the log: call it from a thread that may block.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn state(&self, projection: &str) -> Result<Option<ProjectionState>, ReadError> {
        let Some(name) = PROJECTIONS.into_iter().find(|name| *name == projection) else { return Ok(None) };
        let mut all = self.followed.lock();
        let followed = all.entry(name).or_insert_with(|| Followed::of(name));
        followed.read_on(&self.log)?;
        Ok(Some(followed.state.clone()))
    }
}

/// What holds of a projection, as the log says now.
///
/// # Errors
/// When the log cannot be read.
pub fn state_of(projection: &str, log: &Log) -> Result<ProjectionState, ReadError> {
    Ok(Followed::until_now(projection, log)?.state)
}
