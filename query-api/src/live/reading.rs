//! The log as a subscriber reads it: the events that he wants and may see, written as he takes them, chunk by chunk.
//!
//! Invariant: a chunk has at most [`CHUNK_BYTES_MAX`], or one event. It ends before an event or after one, and the position
//! that comes with it lies behind all that was looked at: the next chunk begins there.
//!
//! Reading touches mapped pages, which may have to come from the disk: call it on blocking threads.

use crate::selection::Wanted;
use eventstore::{Delivery, EventView, Log, Position, ReadError, Subscription};
use std::time::Duration;

/// A chunk is closed before it has more bytes than this, but never before its first event.
pub(super) const CHUNK_BYTES_MAX: usize = 64 << 10;
/// How much may be looked at for one chunk, wanted or not; what a commit counts, and what the many commits count that the
/// log passes over by itself. Whoever ends his stream waits for no more than this.
const LOOKS_MAX: u32 = 256;
const LOOK_COMMIT: u32 = 1;
const LOOK_UNWANTED: u32 = 16;

/// How an event is written.
pub(super) type Form = fn(&mut Vec<u8>, &EventView<'_>);

/// A place in the log, while there is something to read.
#[derive(Debug)]
pub(super) struct Reading {
    subscription: Subscription,
    /// A commit that did not fit into the last chunk as a whole.
    rest: Option<Delivery>,
    form: Form,
    at: Position,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// The last event in it.
    pub(super) last: Option<Position>,
    /// Everything before this has been looked at.
    pub(super) at: Position,
}

impl Reading {
    pub(super) fn new(log: &Log, wanted: &Wanted, form: Form, at: Position) -> Self {
        Self { subscription: log.subscribe(wanted.filter.clone(), at), rest: None, form, at }
    }

    /// Reads a chunk, up to `until` at least where it has room and time for that.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub(super) fn read(&mut self, wanted: &Wanted, until: Position) -> Result<Chunk, ReadError> {
        let mut chunk = Chunk::default();
        let mut looks = 0;
        while self.at < until && looks < LOOKS_MAX {
            let delivery = match self.rest.take() {
                Some(rest) => Some(rest),
                None => self.subscription.wait(Duration::ZERO)?,
            };
            looks += if delivery.as_ref().is_some_and(|delivery| !delivery.is_empty()) {
                LOOK_COMMIT
            } else {
                LOOK_UNWANTED
            };
            let Some(delivery) = delivery else { continue };
            if !self.take_in(&delivery, wanted, &mut chunk) {
                self.rest = Some(delivery);
                break;
            }
            self.at = self.at.max(delivery.checkpoint().next);
        }
        chunk.at = self.at;
        Ok(chunk)
    }

    /// Writes what is wanted of a delivery; false when the chunk was full before its end.
    fn take_in(&mut self, delivery: &Delivery, wanted: &Wanted, chunk: &mut Chunk) -> bool {
        let from = self.at;
        for event in delivery.events().skip_while(|event| event.position() < from) {
            if wanted.takes(&event) {
                let before = chunk.bytes.len();
                (self.form)(&mut chunk.bytes, &event);
                if before > 0 && chunk.bytes.len() > CHUNK_BYTES_MAX {
                    chunk.bytes.truncate(before);
                    return false;
                }
                chunk.last = Some(event.position());
            }
            self.at = event.position().plus(1);
        }
        true
    }
}
