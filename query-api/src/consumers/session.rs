//! What is on its way to a consumer, and what comes next. No I/O and no clock: time is handed in.
//!
//! ```text
//! cursor ─▶ on its way (at most so many) ─▶ at ─▶ not read yet
//!    └── first one: what nothing was acknowledged for in time is blamed on it
//! ```
//!
//! Invariant: what is on its way is in the order of the log, at or after the cursor and before `at`; or it is one event that is
//! retried after it was parked, and nothing else is on its way then.
//!
//! Whoever falls over an event falls over the first one that it has not acknowledged, or over one behind it. So after a failure
//! they come one at a time, until what was on its way then is done: the event that is to blame is the one that is counted.

use domain::system::consumers::State;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Session {
    state: State,
    /// The next position to be read.
    at: u64,
    /// Positions that were delivered and are not acknowledged.
    in_flight: VecDeque<u64>,
    /// The retried event that is on its way.
    retried: Option<u64>,
    /// The first one that was on its way when nothing was acknowledged in time, or when its reader went, and how often that was.
    failed: Option<(u64, u32)>,
    /// What is before this comes one at a time.
    careful_until: u64,
    /// When something was acknowledged last, or began to be on its way.
    progressed: Instant,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Deliver what there is from here on: so many, and nothing at or after `until`.
    Read { from: u64, room: usize, until: u64 },
    /// Deliver this one again, by itself.
    One(u64),
    /// This one was delivered as often as may be: it has to be parked.
    Exhausted { position: u64, attempts: u32 },
    /// Nothing, for so long or until something is new; for ever where it does not say.
    Wait(Option<Duration>),
}

impl Session {
    pub(super) fn new(state: State, now: Instant) -> Self {
        Self {
            at: state.cursor,
            state,
            in_flight: VecDeque::new(),
            retried: None,
            failed: None,
            careful_until: 0,
            progressed: now,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Nothing of what is before this is wanted, as far as it was not delivered.
    pub(super) fn pass(&mut self, at: u64) {
        self.at = self.at.max(at);
    }

    /// Whether nothing would be forgotten with it.
    pub(super) fn is_quiet(&self) -> bool {
        self.first().is_none() && self.failed.is_none()
    }

    /// What was delivered and is not acknowledged, the first of it.
    fn first(&self) -> Option<u64> {
        self.retried.or_else(|| self.in_flight.front().copied())
    }

    /// How often an event was tried before.
    fn tries(&self, position: u64) -> u32 {
        let failed = self.failed.filter(|(failed, _)| *failed == position).map_or(0, |(_, times)| times);
        let refused = self.state.refusal_of(position).map_or(0, |refused| refused.attempts);
        failed.saturating_add(refused)
    }

    /// The number of the delivery of an event that comes now.
    pub(super) fn attempt(&self, position: u64) -> u32 {
        self.tries(position).saturating_add(1)
    }

    /// What the consumer's stream says now.
    pub(super) fn take_in(&mut self, next: State, now: Instant) {
        let before = std::mem::replace(&mut self.state, next);
        let state = &self.state;
        if state.generation != before.generation {
            *self = Self::new(self.state.clone(), now);
            return;
        }
        let on_its_way = self.in_flight.len();
        let first = self.in_flight.front().copied();
        self.in_flight.retain(|position| *position >= state.cursor && !state.is_aside(*position));
        self.at = self.at.max(state.cursor);
        if self.in_flight.len() < on_its_way && self.in_flight.front().copied() != first {
            self.progressed = now;
        }
        // Refused, or parked no more: from there on everything comes again, in order.
        let is_refused_anew = |position: u64| {
            let times = |state: &State| state.refusal_of(position).map_or(0, |refused| refused.attempts);
            times(state) > times(&before)
        };
        let refused = state.refused.iter().map(|refused| refused.position).filter(|at| is_refused_anew(*at));
        let freed = before.parked.iter().map(|parked| parked.position);
        let freed = freed.filter(|at| *at >= state.cursor && !state.is_aside(*at));
        if let Some(back) = refused.chain(freed).filter(|position| *position < self.at).min() {
            self.careful_until = self.careful_until.max(self.in_flight.back().map_or(0, |last| last + 1));
            self.in_flight.retain(|position| *position < back);
            self.at = back;
            self.progressed = now;
        }
        if let Some(retried) = self.retried {
            let goes_on =
                state.retried.iter().any(|one| one.position == retried) && !is_refused_anew(retried);
            if !goes_on {
                self.retried = None;
                self.progressed = now;
            }
        }
        // What is dealt with, or counted in the log now, is not held against anybody.
        let is_over = |position: u64| {
            let is_retried = state.retried.iter().any(|one| one.position == position);
            (position < state.cursor && !is_retried) || state.is_aside(position) || is_refused_anew(position)
        };
        self.failed = self.failed.filter(|(position, _)| !is_over(*position));
    }

    /// What is on its way comes again, to whoever reads now.
    pub(super) fn go_back(&mut self, now: Instant) {
        let Some(first) = self.first() else { return };
        let times = self.failed.filter(|(failed, _)| *failed == first).map_or(0, |(_, times)| times);
        self.failed = Some((first, times.saturating_add(1)));
        if self.retried.take().is_none() {
            let last = self.in_flight.back().copied().unwrap_or(first);
            self.careful_until = self.careful_until.max(last + 1);
            self.in_flight.clear();
            self.at = first;
        }
        self.progressed = now;
    }

    /// Whether nothing was acknowledged in time.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.time_left(now).is_some_and(|left| left.is_zero())
    }

    /// How long something may still take to be acknowledged; nothing where nothing is on its way.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        self.first()?;
        let timeout = Duration::from_millis(self.state.settings.ack_timeout_ms);
        Some(timeout.saturating_sub(now.saturating_duration_since(self.progressed)))
    }

    /// An event is on its way.
    pub(super) fn deliver(&mut self, position: u64, now: Instant) {
        if self.first().is_none() {
            self.progressed = now;
        }
        if position < self.state.cursor {
            self.retried = Some(position);
        } else {
            self.in_flight.push_back(position);
            self.at = self.at.max(position + 1);
        }
    }

    /// What comes next; `now_ms` is Unix time.
    pub(super) fn step(&self, now: Instant, now_ms: i64) -> Step {
        let due_in = |not_before_ms: i64| {
            Duration::from_millis(u64::try_from(not_before_ms.saturating_sub(now_ms)).unwrap_or(0))
        };
        let soonest = |one: Option<Duration>, other: Option<Duration>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if self.first().is_none()
            && let Some((position, _)) = self.failed
            && self.tries(position) >= self.state.settings.attempts_max
        {
            return Step::Exhausted { position, attempts: self.tries(position) };
        }
        let left = self.time_left(now);
        if self.retried.is_some() {
            return Step::Wait(left);
        }
        let next_retried = self.state.retried.iter().min_by_key(|one| (one.not_before_ms, one.position));
        let next_retried_in = next_retried.map(|one| due_in(one.not_before_ms));
        if let (Some(one), Some(Duration::ZERO)) = (next_retried, next_retried_in) {
            return if self.in_flight.is_empty() { Step::One(one.position) } else { Step::Wait(left) };
        }
        let refused = self.state.refused.iter().find(|refused| !due_in(refused.not_before_ms).is_zero());
        let barrier = refused.map_or(u64::MAX, |refused| refused.position);
        // The one that is on trial is by itself as long as it is on its way.
        let is_careful = self.first().unwrap_or(self.at) < self.careful_until;
        let room = if is_careful {
            usize::from(self.in_flight.is_empty())
        } else {
            usize::try_from(self.state.settings.in_flight_max)
                .unwrap_or(usize::MAX)
                .saturating_sub(self.in_flight.len())
        };
        if room == 0 || self.at >= barrier {
            let until = soonest(left, refused.map(|refused| due_in(refused.not_before_ms)));
            return Step::Wait(soonest(until, next_retried_in));
        }
        Step::Read { from: self.at, room, until: barrier }
    }

    /// How long one may wait for events where there are none to read.
    pub(super) fn patience(&self, now: Instant, now_ms: i64) -> Option<Duration> {
        let retried = self.state.retried.iter().map(|one| one.not_before_ms.saturating_sub(now_ms));
        let retried = retried.min().map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        [self.time_left(now), retried].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
