//! Who reads for which consumer in this process, and what is on its way to it between two readers.
//!
//! Invariant: a session is worked on by the reader whose number the slot has, and by nobody else; whoever has been overtaken
//! finds that out at the next touch.

use super::session::Session;
use eventstore::StreamId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Consumers of one process with a reader, or with something on its way, at most.
const SLOTS_MAX: usize = 10_000;

/// All slots, by the streams of their consumers.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<HashMap<StreamId, Arc<Slot>>>);

#[derive(Debug, Default)]
struct Slot {
    place: Mutex<Place>,
    /// Tells the reader that it was overtaken.
    overtaken: Notify,
}

#[derive(Debug, Default)]
struct Place {
    /// The number of the newest reader.
    reader: u64,
    is_taken: bool,
    session: Option<Session>,
}

/// A reader's place; it is given back by dropping it.
#[derive(Debug)]
pub(super) struct Chair {
    slots: Arc<Slots>,
    slot: Arc<Slot>,
    stream: StreamId,
    reader: u64,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoChair {
    /// Somebody else reads.
    Taken,
    /// There are too many readers in all.
    TooMany,
}

impl Slots {
    /// Takes the place at a consumer; `takes_over` also from somebody who has it. `begin` makes a session where there is none, and
    /// is told to go on with one that there is.
    pub(super) fn sit(
        self: &Arc<Self>,
        stream: &StreamId,
        takes_over: bool,
        begin: impl FnOnce(Option<Session>) -> Session,
    ) -> Result<Chair, NoChair> {
        let slot = {
            let mut slots = self.0.lock();
            if slots.len() >= SLOTS_MAX && !slots.contains_key(stream) {
                // What has no reader is only what was on its way: it comes again from the durable place.
                slots.retain(|_, slot| Arc::strong_count(slot) > 1);
                if slots.len() >= SLOTS_MAX {
                    return Err(NoChair::TooMany);
                }
            }
            Arc::clone(slots.entry(stream.clone()).or_default())
        };
        let mut place = slot.place.lock();
        if place.is_taken && !takes_over {
            return Err(NoChair::Taken);
        }
        place.reader += 1;
        place.is_taken = true;
        let session = begin(place.session.take());
        place.session = Some(session);
        let reader = place.reader;
        drop(place);
        slot.overtaken.notify_waiters();
        Ok(Chair { slots: Arc::clone(self), slot, stream: stream.clone(), reader })
    }
}

impl Chair {
    /// Works on the session; nothing where somebody has taken over.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut place = self.slot.place.lock();
        if place.reader != self.reader {
            return None;
        }
        place.session.as_mut().map(work)
    }

    /// Comes when somebody takes over after this was called.
    pub(super) fn overtaken(&self) -> impl Future<Output = ()> + Send + '_ {
        self.slot.overtaken.notified()
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        // All slots first, so that nobody takes this one while it goes.
        let mut slots = self.slots.0.lock();
        let mut place = self.slot.place.lock();
        if place.reader != self.reader {
            return;
        }
        place.is_taken = false;
        let is_quiet = place.session.as_ref().is_none_or(Session::is_quiet);
        drop(place);
        // The map's and this one: nobody else is about to take it.
        if is_quiet && Arc::strong_count(&self.slot) == 2 {
            slots.remove(&self.stream);
        }
    }
}
