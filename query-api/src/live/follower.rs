//! A place in the log that follows what concerns one subscriber, whatever its events are then written as.
//!
//! ```text
//! up to the seam ─▶ silent bell: wait ─▶ rung: up to what it was rung for ─▶ …
//! ```
//!
//! Invariant: everything before `at` has been given or is not wanted. It moves only after what is before it was read, so a
//! reading that is given up is made once more.

use super::hub::Seat;
use super::reading::{Chunk, Form, Reading};
use crate::problems::unreadable;
use crate::selection::Wanted;
use crate::service::QueryService;
use eventstore::Position;
use std::sync::Arc;
use tokio::time::Instant;

/// Where one subscriber is.
#[derive(Debug)]
pub(super) struct Follower {
    service: QueryService,
    seat: Seat,
    wanted: Arc<Wanted>,
    form: Form,
    /// Only while there is something to read, so that nobody who waits keeps segments mapped.
    reading: Option<Reading>,
    at: Position,
    /// There may be something before this.
    until: Position,
    /// When the client's token has to be looked at again; he comes again for that.
    ends: Option<Instant>,
}

impl Follower {
    /// One that gets what is wanted, in this form, from a position on.
    pub(super) fn new(service: QueryService, seat: Seat, wanted: Wanted, form: Form, from: Position) -> Self {
        let ends = wanted.audience.time_left().and_then(|left| Instant::now().checked_add(left));
        Self {
            service,
            until: seat.seam,
            seat,
            wanted: Arc::new(wanted),
            form,
            reading: None,
            at: from,
            ends,
        }
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// How far it is behind what it knows of, in positions.
    pub(super) fn behind(&self) -> u64 {
        self.until.get().saturating_sub(self.at.get())
    }

    /// Whether all streams are to end.
    pub(super) fn is_closed(&self) -> bool {
        self.seat.is_closed()
    }

    /// Whether the client's token has to be looked at again.
    pub(super) fn is_expired(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }

    /// Whether there may be something to read. Where there is not, it has come as far as the hub has looked.
    pub(super) fn is_due(&mut self) -> bool {
        while self.at >= self.until {
            self.reading = None;
            // Before the bell: what is rung for after this is not before it.
            let looked = self.seat.looked();
            match self.seat.take() {
                Some(touched) => {
                    self.until = touched.next;
                    if touched.next > self.at {
                        self.at = self.at.max(touched.first);
                    }
                }
                None => {
                    self.at = self.at.max(looked);
                    return false;
                }
            }
        }
        true
    }

    /// Comes when there is a reason to look again, and then at the latest.
    pub(super) async fn wait(&self, until: Instant) {
        let until = self.ends.map_or(until, |ends| ends.min(until));
        let _ = tokio::time::timeout_at(until, self.seat.rung()).await;
    }

    /// What comes next, as much as is read in one go. Nothing when it cannot be read, which has been logged: a stream has no
    /// other way to say so than to end, and who comes again may have more luck.
    pub(super) async fn read(&mut self) -> Option<Chunk> {
        let turn = self.seat.turn().await;
        let (log, wanted) = (self.service.log().clone(), Arc::clone(&self.wanted));
        let (reading, form, at, until) = (self.reading.take(), self.form, self.at, self.until);
        let read = self.service.blocking(move || {
            // It belongs to the thread: a subscriber that is given up leaves the read running.
            let _turn = turn;
            let mut reading = reading.unwrap_or_else(|| Reading::new(&log, &wanted, form, at));
            let chunk = reading.read(&wanted, until);
            (reading, chunk)
        });
        let (reading, chunk) = read.await.ok()?;
        let chunk = chunk.inspect_err(|error| drop(unreadable(error))).ok()?;
        self.reading = Some(reading);
        self.at = self.at.max(chunk.at);
        Some(chunk)
    }
}
