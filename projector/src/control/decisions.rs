//! How a projector's decisions get into the log, of which somebody else is the only writer.

use crate::backoff::Backoff;
use domain::system::projections::{ControlEvent, ProjectionState};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Decisions that wait to be written at most; each projection has one or two.
const WAITING_MAX: usize = 64;
/// A decision that is not in the log yet is handed over again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// Writes decisions into the log.
///
/// An implementation MUST append the event to the stream of the projection, or know that it stands there, before it
/// answers. It is called from a thread that may block, again and again until it does not say
/// [`DecisionError::Unavailable`]; the same decision may come twice.
pub trait Decisions: fmt::Debug + Send + Sync + 'static {
    /// Writes a decision about a projection.
    ///
    /// # Errors
    /// See [`DecisionError`].
    fn write(&self, projection: &'static str, event: &ControlEvent) -> Result<(), DecisionError>;
}

/// Why a decision was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// It makes no sense any more: the rebuild was cancelled, say.
    #[error("refused: {0}")]
    Refused(String),
    /// Not now; later perhaps.
    #[error("{0}")]
    Unavailable(String),
}

/// The thread that hands decisions over, so that no projection waits for the network. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Clerk {
    desk: Arc<Desk>,
}

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(crate) struct ClerkThread {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Desk {
    tray: Mutex<Tray>,
    changed: Condvar,
    is_manned: bool,
}

#[derive(Debug, Default)]
struct Tray {
    waiting: VecDeque<(&'static str, ControlEvent)>,
    is_closed: bool,
    failure: Option<String>,
}

impl Clerk {
    /// One with a thread of its own; without anybody to write to, it takes nothing.
    pub(crate) fn start(decisions: Option<Arc<dyn Decisions>>) -> io::Result<(Self, ClerkThread)> {
        let desk = Arc::new(Desk {
            tray: Mutex::default(),
            changed: Condvar::new(),
            is_manned: decisions.is_some(),
        });
        let thread = match decisions {
            None => None,
            Some(decisions) => {
                let desk = Arc::clone(&desk);
                let work = move || desk.work(&*decisions);
                Some(std::thread::Builder::new().name("decisions".to_owned()).spawn(work)?)
            }
        };
        Ok((Self { desk: Arc::clone(&desk) }, ClerkThread { desk, thread }))
    }

    /// Whether there is anybody to write to.
    pub(crate) fn is_manned(&self) -> bool {
        self.desk.is_manned
    }

    /// Hands over a decision, unless the same one waits already.
    pub(crate) fn hand_over(&self, projection: &'static str, event: ControlEvent) {
        let mut tray = self.desk.tray.lock();
        let decision = (projection, event);
        if tray.waiting.len() < WAITING_MAX && !tray.waiting.contains(&decision) {
            tray.waiting.push_back(decision);
            drop(tray);
            self.desk.changed.notify_all();
        }
    }

    /// Why decisions cannot be written at the moment.
    pub(crate) fn failure(&self) -> Option<String> {
        self.desk.tray.lock().failure.clone()
    }
}

/// What a projection has handed over and does not find in its stream yet: the newest of each kind.
#[derive(Debug, Default)]
pub(crate) struct Handed(Vec<(ControlEvent, Instant)>);

impl Handed {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the end of that rebuild is on its way into the log.
    pub(crate) fn ends(&self, rebuild: Uuid) -> bool {
        self.0.iter().any(|(event, _)| {
            matches!(event, ControlEvent::RebuildFinished(finished) if finished.rebuild_id == rebuild)
        })
    }

    /// Hands a decision over, unless the same one was already, or there is nobody to write it.
    pub(crate) fn hand_over(&mut self, clerk: &Clerk, projection: &'static str, event: ControlEvent) {
        if !clerk.is_manned() || self.0.iter().any(|(handed, _)| *handed == event) {
            return;
        }
        clerk.hand_over(projection, event.clone());
        self.0.retain(|(handed, _)| handed.event_type() != event.event_type());
        self.0.push((event, Instant::now()));
    }

    /// Forgets what the log says by now, and hands the rest over once more when it takes long.
    pub(crate) fn look_again(&mut self, clerk: &Clerk, projection: &'static str, state: &ProjectionState) {
        self.0.retain(|(event, _)| !is_told(event, state));
        for (event, at) in self.0.iter_mut().filter(|(_, at)| at.elapsed() > AGAIN) {
            clerk.hand_over(projection, event.clone());
            *at = Instant::now();
        }
    }
}

/// Whether a decision stands in the log, or does not matter any more.
fn is_told(event: &ControlEvent, state: &ProjectionState) -> bool {
    let is_open = |id| state.rebuild.as_ref().is_some_and(|open| open.id == id);
    match event {
        ControlEvent::DeadLetterAdded(added) => state.dead_letters.contains_key(&added.position),
        ControlEvent::RebuildFinished(finished) => !is_open(finished.rebuild_id),
        ControlEvent::RebuildSwapBegun(begun) => {
            !is_open(begun.rebuild_id) || state.is_swapping(begun.rebuild_id)
        }
        _ => true,
    }
}

impl Desk {
    fn work(&self, decisions: &dyn Decisions) {
        let mut backoff = Backoff::default();
        loop {
            let (projection, event) = {
                let mut tray = self.tray.lock();
                loop {
                    if tray.is_closed {
                        return;
                    }
                    if let Some(decision) = tray.waiting.front() {
                        break decision.clone();
                    }
                    self.changed.wait(&mut tray);
                }
            };
            // It stays in the tray while it is written, so that nobody hands it over again meanwhile.
            let written = decisions.write(projection, &event);
            let mut tray = self.tray.lock();
            match written {
                Err(DecisionError::Unavailable(reason)) => {
                    if tray.failure.as_ref() != Some(&reason) {
                        tracing::error!(projection, reason, "a decision cannot be written");
                        tray.failure = Some(reason);
                    }
                    let until = Instant::now() + backoff.failed();
                    while !tray.is_closed && !self.changed.wait_until(&mut tray, until).timed_out() {}
                }
                Err(DecisionError::Refused(reason)) => {
                    tracing::warn!(
                        projection,
                        event = event.event_type(),
                        reason,
                        "a decision was not taken"
                    );
                    tray.settled(&mut backoff);
                }
                Ok(()) => tray.settled(&mut backoff),
            }
        }
    }
}

impl Tray {
    fn settled(&mut self, backoff: &mut Backoff) {
        self.waiting.pop_front();
        self.failure = None;
        backoff.succeeded();
    }
}

impl Drop for ClerkThread {
    fn drop(&mut self) {
        self.desk.tray.lock().is_closed = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
