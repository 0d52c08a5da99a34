//! Places: how many requests a service works on at one time, and who comes next.
//!
//! ```text
//! enter ─▶ a place is free and the party has share left ─▶ Place ─▶ (work) ─▶ dropped: the next party's turn
//!       ─▶ otherwise wait, in the party's own line ───────▶ Place
//!       ─▶ the party's line is full: 429 tenant_busy; all lines together are: 503 overloaded
//! ```
//!
//! Invariant: parties take turns. However long one's line is, another one's request waits for at most one request of
//! each party before it, and a party never has more than its share of the places.
//! Invariant: a place is given back when its holder drops it, and one that nobody takes any more goes on to the next.
//! Invariant: nothing is kept about a party that neither has a place nor waits.

use super::party::Party;
use super::settings::LimitSettings;
use crate::problem::Problem;
use axum::http::StatusCode;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Seconds that a client is asked to wait when it was refused: lines of this length are gone long before.
const RETRY_AFTER_S: u32 = 1;

/// How many places there are, and how long the lines may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceSizes {
    /// Places.
    pub places: usize,
    /// Places of one party.
    pub places_per_party: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests of one party that wait.
    pub waiting_per_party: usize,
}

impl PlaceSizes {
    /// As the settings say; there is at least one place, or nothing would ever be done.
    #[must_use]
    pub fn of(settings: &LimitSettings) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            places: size(settings.places).max(1),
            places_per_party: size(settings.places_per_tenant).max(1),
            waiting: size(settings.waiting),
            waiting_per_party: size(settings.waiting_per_tenant),
        }
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Too many requests wait already.
    #[error("too many requests are waiting already; nothing was done, so it can be sent again later")]
    Overloaded,
    /// Too many requests of this party wait already; others are still taken.
    #[error(
        "too many requests of this tenant are waiting already; nothing was done, so it can be sent again later"
    )]
    PartyBusy,
}

impl From<NoPlace> for Problem {
    fn from(no_place: NoPlace) -> Self {
        let (status, code) = match no_place {
            NoPlace::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            NoPlace::PartyBusy => (StatusCode::TOO_MANY_REQUESTS, "tenant_busy"),
        };
        Self::new(status, code, no_place.to_string()).retry_after(RETRY_AFTER_S)
    }
}

/// The places of a service. Cheap to clone; all clones are the same places.
#[derive(Clone)]
pub struct Places(Arc<Inner>);

struct Inner {
    sizes: PlaceSizes,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    refused: u64,
    parties: HashMap<Party, Lines>,
    /// Parties that wait and have share left, in the order of their turns; each stands here once.
    turns: VecDeque<Party>,
}

#[derive(Default)]
struct Lines {
    running: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
    has_turn: bool,
}

impl Lines {
    fn is_gone(&self) -> bool {
        self.running == 0 && self.waiting.is_empty() && !self.has_turn
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("running", &self.running()).field("waiting", &self.waiting()).finish()
    }
}

impl Places {
    /// So many places.
    #[must_use]
    pub fn new(sizes: PlaceSizes) -> Self {
        Self(Arc::new(Inner { sizes, state: Mutex::default() }))
    }

    /// A place for a request of a party, now or when it is its turn. Whoever drops this before leaves the line.
    ///
    /// # Errors
    /// When too many wait already; then nothing has been waited for.
    pub async fn enter(&self, party: &Party) -> Result<Place, NoPlace> {
        match self.ask(party)? {
            Asked::Taken(place) => Ok(place),
            Asked::InLine(mut line) => {
                // The sender lives in the line until it sends, so this never fails.
                (&mut line.turn).await.map_err(|_| NoPlace::Overloaded)
            }
        }
    }

    /// A place without waiting, if there is one.
    #[must_use]
    pub fn try_enter(&self, party: &Party) -> Option<Place> {
        self.0.take_now(&mut self.0.state.lock(), party).then(|| self.place(party))
    }

    /// Requests that have a place.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.state.lock().running
    }

    /// Requests that wait for one.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.state.lock().waiting
    }

    /// Requests that were refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.state.lock().refused
    }

    fn ask(&self, party: &Party) -> Result<Asked, NoPlace> {
        let mut guard = self.0.state.lock();
        let state = &mut *guard;
        if self.0.take_now(state, party) {
            return Ok(Asked::Taken(self.place(party)));
        }
        let sizes = &self.0.sizes;
        if state.waiting >= sizes.waiting {
            state.refused += 1;
            return Err(NoPlace::Overloaded);
        }
        if state.parties.get(party).map_or(0, |lines| lines.waiting.len()) >= sizes.waiting_per_party {
            state.refused += 1;
            return Err(NoPlace::PartyBusy);
        }
        let (sender, turn) = oneshot::channel();
        let lines = state.parties.entry(party.clone()).or_default();
        lines.waiting.push_back(sender);
        if lines.running < sizes.places_per_party && !lines.has_turn {
            lines.has_turn = true;
            state.turns.push_back(party.clone());
        }
        state.waiting += 1;
        drop(guard);
        Ok(Asked::InLine(Line { places: self.clone(), party: party.clone(), turn }))
    }

    fn place(&self, party: &Party) -> Place {
        Place { places: self.clone(), party: party.clone() }
    }

    /// Gives a place back and hands on all that are free.
    fn leave(&self, party: &Party) {
        let mut given = Vec::new();
        {
            let mut guard = self.0.state.lock();
            let state = &mut *guard;
            state.running = state.running.saturating_sub(1);
            if let Some(lines) = state.parties.get_mut(party) {
                lines.running = lines.running.saturating_sub(1);
                if !lines.waiting.is_empty() && !lines.has_turn {
                    lines.has_turn = true;
                    state.turns.push_back(party.clone());
                }
                if lines.is_gone() {
                    state.parties.remove(party);
                }
            }
            self.give(state, &mut given);
        }
        // Without the lock: a place that nobody takes any more comes back here.
        for (sender, place) in given {
            drop(sender.send(place));
        }
    }

    fn give(&self, state: &mut State, given: &mut Vec<(oneshot::Sender<Place>, Place)>) {
        let sizes = &self.0.sizes;
        while state.running < sizes.places
            && let Some(party) = state.turns.pop_front()
        {
            let Some(lines) = state.parties.get_mut(&party) else { continue };
            lines.has_turn = false;
            while let Some(sender) = lines.waiting.pop_front() {
                state.waiting -= 1;
                if !sender.is_closed() {
                    lines.running += 1;
                    state.running += 1;
                    given.push((sender, self.place(&party)));
                    break;
                }
            }
            if !lines.waiting.is_empty() && lines.running < sizes.places_per_party {
                lines.has_turn = true;
                state.turns.push_back(party);
            } else if lines.is_gone() {
                state.parties.remove(&party);
            }
        }
    }

    /// Takes those out of a party's line who do not wait any more.
    fn forget_gone(&self, party: &Party) {
        let mut guard = self.0.state.lock();
        let state = &mut *guard;
        let Some(lines) = state.parties.get_mut(party) else { return };
        let before = lines.waiting.len();
        lines.waiting.retain(|sender| !sender.is_closed());
        state.waiting -= before - lines.waiting.len();
        // A turn without a line is passed over when it comes.
        if lines.is_gone() {
            state.parties.remove(party);
        }
    }
}

impl Inner {
    fn take_now(&self, state: &mut State, party: &Party) -> bool {
        if state.running >= self.sizes.places {
            return false;
        }
        match state.parties.get_mut(party) {
            // Whoever waits although places are free has no share left, so nobody is overtaken.
            Some(lines) if lines.running >= self.sizes.places_per_party => return false,
            Some(lines) => lines.running += 1,
            None => {
                let lines = Lines { running: 1, ..Lines::default() };
                state.parties.insert(party.clone(), lines);
            }
        }
        state.running += 1;
        true
    }
}

enum Asked {
    Taken(Place),
    InLine(Line),
}

/// Somebody in a line.
struct Line {
    places: Places,
    party: Party,
    turn: oneshot::Receiver<Place>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.turn.is_terminated() {
            return;
        }
        self.turn.close();
        // The place may have come in this very moment; dropped, it goes on to the next.
        if self.turn.try_recv().is_err() {
            self.places.forget_gone(&self.party);
        }
    }
}

/// The right to work on one request; given back when it is dropped.
pub struct Place {
    places: Places,
    party: Party,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("party", &self.party).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(&self.party);
    }
}

#[cfg(test)]
mod tests;
