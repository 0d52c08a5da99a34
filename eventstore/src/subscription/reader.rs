//! The loop of a subscription without its waiting: reads commits up to what is published and keeps what they hold for
//! the filter, until it is fetched.
//!
//! Invariant: everything below `at` is in a delivery that has been made, or was not wanted; nothing at or after it is.
//! `at` only moves forward and by whole commits, so no event is missed or comes twice, and there is no difference
//! between catching up and being live.

use super::delivery::Delivery;
use super::filter::Filter;
use super::source::Source;
use crate::by_stream::rotted;
use crate::error::ReadError;
use crate::log::Log;
use crate::numbers::{Lineage, Position};
use crate::recorded::RecordedCommit;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Deliveries that are kept ready at most.
const READY_MAX: usize = 64;
/// Commits that are looked at in one go: whoever cancels waits for no more than these.
const COMMITS_AT_A_TIME: usize = 256;
/// Events that are looked at in one go, give or take a commit.
const EVENTS_AT_A_TIME: usize = 4_096;
/// Unwanted commits after which the checkpoint is told while catching up.
pub(super) const CHECKPOINT_COMMITS: usize = 1_024;
/// How long progress is kept from the consumer at most once everything has been read.
const CHECKPOINT_AFTER: Duration = Duration::from_millis(250);
/// Pause before damage is looked at again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What there is to be done for a subscription.
#[derive(Debug)]
pub(super) enum Glance {
    /// This is next.
    Next(Box<Result<Delivery, ReadError>>),
    /// There may be more to read: call [`Reader::fill`].
    Unread,
    /// There is nothing to do until the watermark moves, or until then.
    Wait(Option<Instant>),
}

/// How far reading has come.
#[derive(Debug, Clone, Copy)]
enum State {
    Unread,
    /// Everything below has been looked at.
    CaughtUp(Position),
    /// At damage; look again then.
    Damaged(Instant),
}

#[derive(Debug)]
pub(super) struct Reader {
    log: Log,
    filter: Arc<Filter>,
    /// Where commits come from, from `at` on; made when there is something to read.
    source: Option<Source>,
    /// The next position to be looked at.
    at: Position,
    /// The same with its chain head, once a commit has been passed.
    passed: Option<Lineage>,
    /// Checkpoint of the newest delivery made.
    told: Position,
    /// Unwanted commits since then.
    untold: usize,
    /// When there was first something to tell and nothing more to read.
    untold_since: Option<Instant>,
    ready: VecDeque<Delivery>,
    error: Option<ReadError>,
    /// The error that was given out last, in words, while it lasts.
    failed: Option<String>,
    state: State,
}

impl Reader {
    pub(super) fn new(log: Log, filter: Filter, from: Position) -> Self {
        Self {
            log,
            filter: Arc::new(filter),
            source: None,
            at: from,
            passed: None,
            told: from,
            untold: 0,
            untold_since: None,
            ready: VecDeque::new(),
            error: None,
            failed: None,
            state: State::Unread,
        }
    }

    /// Looks at what is there without reading anything.
    pub(super) fn glance(&mut self, watermark: Position) -> Glance {
        if let Some(delivery) = self.ready.pop_front() {
            return Glance::Next(Box::new(Ok(delivery)));
        }
        if let Some(error) = self.error.take() {
            return Glance::Next(Box::new(Err(error)));
        }
        match self.state {
            State::CaughtUp(upto) if upto >= watermark => match self.untold_since {
                Some(since) if since.elapsed() >= CHECKPOINT_AFTER => match self.take_checkpoint() {
                    Some(delivery) => Glance::Next(Box::new(Ok(delivery))),
                    None => Glance::Wait(None),
                },
                since => Glance::Wait(since.and_then(|since| since.checked_add(CHECKPOINT_AFTER))),
            },
            State::Damaged(again) if again > Instant::now() => Glance::Wait(Some(again)),
            _ => Glance::Unread,
        }
    }

    /// News of progress that no delivery has told yet.
    pub(super) fn take_checkpoint(&mut self) -> Option<Delivery> {
        let passed = self.passed.filter(|passed| passed.next > self.told)?;
        self.has_told(passed.next);
        Some(Delivery::checkpoint_only(passed, Arc::clone(&self.filter)))
    }

    fn has_told(&mut self, checkpoint: Position) {
        self.told = checkpoint;
        self.untold = 0;
        self.untold_since = None;
    }

    fn make_checkpoint(&mut self) {
        let checkpoint = self.take_checkpoint();
        self.ready.extend(checkpoint);
    }

    /// Reads on, for a bounded time. Blocks on cold page faults.
    pub(super) fn fill(&mut self) {
        if !self.ready.is_empty() || self.error.is_some() {
            return;
        }
        match self.read() {
            Ok(state) => {
                self.state = state;
                if let State::CaughtUp(_) = state {
                    self.failed = None;
                    if self.passed.is_some_and(|passed| passed.next > self.told) {
                        self.untold_since.get_or_insert_with(Instant::now);
                    }
                }
            }
            Err(error) => {
                // What comes before the damage can be told, and is all that ever will be.
                self.make_checkpoint();
                self.state = State::Damaged(Instant::now() + TRY_AGAIN);
                let words = error.to_string();
                if self.failed.as_ref() != Some(&words) {
                    self.failed = Some(words);
                    self.error = Some(error);
                }
            }
        }
    }

    fn read(&mut self) -> Result<State, ReadError> {
        // Whatever is published by now is in the index by now; what comes later moves the watermark once more.
        let published = self.log.lineage();
        if published.next <= self.at {
            return Ok(State::CaughtUp(published.next));
        }
        // Taken out, and so dropped by an error: it has passed the damage then, and a subscription stays there.
        let source = self.source.take();
        let mut source = source.unwrap_or_else(|| Source::new(&self.log, &self.filter, self.at));
        let state = self.read_from(&mut source, published)?;
        self.source = Some(source);
        Ok(state)
    }

    fn read_from(&mut self, source: &mut Source, published: Lineage) -> Result<State, ReadError> {
        let mut events = 0;
        for _ in 0..COMMITS_AT_A_TIME {
            if self.ready.len() >= READY_MAX || events >= EVENTS_AT_A_TIME {
                return Ok(State::Unread);
            }
            let Some(commit) = source.next(&self.log, published.next)? else {
                if published.next > self.at {
                    self.pass(published);
                }
                return Ok(State::CaughtUp(published.next));
            };
            if commit.next() < self.at {
                continue;
            }
            events += commit.len();
            let wanted = self.wanted(&commit)?;
            if commit.next() > self.at {
                self.failed = None;
            }
            let from = self.at;
            self.pass(commit.lineage());
            if wanted > 0 {
                self.has_told(commit.next());
                self.ready.push_back(Delivery::events_of(commit, wanted, Arc::clone(&self.filter), from));
            } else {
                self.untold += 1;
                if self.untold >= CHECKPOINT_COMMITS {
                    self.make_checkpoint();
                }
            }
        }
        Ok(State::Unread)
    }

    fn pass(&mut self, to: Lineage) {
        self.at = to.next;
        self.passed = Some(to);
    }

    /// How many events of a commit are wanted.
    fn wanted(&self, commit: &RecordedCommit) -> Result<usize, ReadError> {
        let (mut all, mut wanted) = (0, 0);
        for event in commit.events() {
            all += 1;
            wanted += usize::from(event.position() >= self.at && self.filter.matches(&event));
        }
        // Fewer than there were means that they have rotted since their sum was checked.
        if all == commit.len() { Ok(wanted) } else { Err(rotted(commit)) }
    }
}
