//! A projection's stream, followed: what holds of the projection as far as the log has come.

use super::letters::Letters;
use domain::system::projections::{ControlEvent, PROJECTIONS, ProjectionState, RepairRequested, stream_of};
use eventstore::{Direction, Log, Position, ReadError, StreamId, Version};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events that are read at a time.
const PAGE: usize = 1_000;

/// What a projection's stream said until it was last looked at.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    stream: Option<StreamId>,
    next: Version,
    state: ProjectionState,
    letters: Arc<Letters>,
    /// Repairs that were asked for since this process follows the stream, with where the log says so.
    repairs: Vec<(Position, RepairRequested)>,
    /// Repairs from before are not for this process.
    is_begun: bool,
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
            repairs: Vec::new(),
            is_begun: false,
        }
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
                    Ok(Some(ControlEvent::RepairRequested(repair))) => {
                        if self.is_begun {
                            self.repairs.push((position, repair));
                        }
                    }
                    Ok(Some(event)) => self.state.apply(&event, position.get()),
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
        self.is_begun = true;
        if is_changed {
            self.letters = Arc::new(Letters::of(&self.state));
        }
        Ok(is_changed)
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
    pub(crate) fn take_repairs(&mut self) -> Vec<(Position, RepairRequested)> {
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
    let mut followed = Followed::of(projection);
    followed.read_on(log)?;
    Ok(Arc::clone(followed.letters()))
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
        // Repairs are carried out elsewhere.
        followed.take_repairs();
        Ok(Some(followed.state.clone()))
    }
}

/// What holds of a projection, as the log says now.
///
/// # Errors
/// When the log cannot be read.
pub fn state_of(projection: &str, log: &Log) -> Result<ProjectionState, ReadError> {
    let mut followed = Followed::of(projection);
    followed.read_on(log)?;
    Ok(followed.state)
}
