//! What becomes of a consumer when somebody acknowledges, refuses, retries, discards or resets.
//!
//! Invariant: a position is refused, retried, parked or discarded, one of them at most: an event that is parked twice is
//! parked once.

use super::{Happening, PARKED_MAX, Parked, REASON_LENGTH_MAX, REFUSED_MAX, Refused, State};

/// Why something is not done. `end` is how many events the log holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It was reset since that was delivered.
    #[error(
        "generation: the consumer was reset since and is at generation {current}, not {said}; what was delivered before \
         counts no more"
    )]
    StaleGeneration {
        /// The generation that was said.
        said: u64,
        /// The consumer's.
        current: u64,
    },
    /// There is no such event yet.
    #[error("position: the log ends before position {end}, so there is nothing at {position} yet")]
    BeyondEnd {
        /// What was said.
        position: u64,
        /// Where the log ends.
        end: u64,
    },
    /// It has been dealt with.
    #[error("position: event {position} has been acknowledged; reset the consumer to get it again")]
    AlreadyAcknowledged {
        /// What was said.
        position: u64,
    },
    /// Nothing is parked there.
    #[error("positions: event {position} is not parked")]
    NotParked {
        /// What was said.
        position: u64,
    },
    /// There is no more room.
    #[error("{PARKED_MAX} events are put aside; retry or discard some of them first")]
    TooManyParked,
    /// There is no more room.
    #[error("{REFUSED_MAX} events are refused for now; acknowledge or park some of them first")]
    TooManyRefused,
    /// The reason is too long.
    #[error("reason: at most {REASON_LENGTH_MAX} characters")]
    ReasonTooLong,
}

impl Refusal {
    /// A stable word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::StaleGeneration { .. } => "stale_generation",
            Self::BeyondEnd { .. } => "beyond_end",
            Self::AlreadyAcknowledged { .. } => "already_acknowledged",
            Self::NotParked { .. } => "not_parked",
            Self::TooManyParked => "too_many_parked",
            Self::TooManyRefused => "too_many_refused",
            Self::ReasonTooLong => "too_long",
        }
    }

    /// The member of the request that it is about, where it is about one.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::StaleGeneration { .. } => Some("generation"),
            Self::BeyondEnd { .. } | Self::AlreadyAcknowledged { .. } => Some("position"),
            Self::NotParked { .. } => Some("positions"),
            Self::ReasonTooLong => Some("reason"),
            Self::TooManyParked | Self::TooManyRefused => None,
        }
    }
}

/// What becomes of an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledged {
    /// It was acknowledged before.
    Before,
    /// The cursor moves here: it may be written a little later, together with those that come meanwhile.
    Cursor(u64),
    /// It was retried after it was parked, and is dealt with now.
    Settled(Box<State>),
}

/// What was wrong with an event, and what is to be done about it.
#[derive(Debug, Clone)]
pub struct Refuse {
    /// The event.
    pub position: u64,
    /// Whether to put it aside at once, however often it was tried.
    pub park: bool,
    /// Not to be delivered again before this, Unix time in milliseconds.
    pub not_before_ms: i64,
    /// Why.
    pub reason: Option<String>,
    /// The time, Unix time in milliseconds.
    pub now_ms: i64,
    /// How often it was tried, where somebody has counted more than stands here.
    pub attempts: u32,
}

/// Which of the parked events are meant.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// All of them.
    All,
    /// Those at these positions.
    These(&'a [u64]),
}

/// The consumer after something was done with some of its parked events.
type Taken = Option<(Vec<u64>, State)>;

impl State {
    /// That what somebody says was delivered by the consumer as it is now.
    ///
    /// # Errors
    /// When it was reset since.
    pub fn check_generation(&self, said: Option<u64>) -> Result<(), Refusal> {
        match said {
            Some(said) if said != self.generation => {
                Err(Refusal::StaleGeneration { said, current: self.generation })
            }
            _ => Ok(()),
        }
    }

    /// Everything up to an event, the event included, is dealt with; of what is retried only this event.
    ///
    /// # Errors
    /// When there is no such event.
    pub fn acknowledge(&self, position: u64, end: u64) -> Result<Acknowledged, Refusal> {
        if position >= end {
            return Err(Refusal::BeyondEnd { position, end });
        }
        if position >= self.cursor {
            return Ok(Acknowledged::Cursor(position + 1));
        }
        if !self.retried.iter().any(|retried| retried.position == position) {
            return Ok(Acknowledged::Before);
        }
        let mut next = self.clone();
        next.retried.retain(|retried| retried.position != position);
        Ok(Acknowledged::Settled(Box::new(next)))
    }

    /// An event could not be dealt with: it comes again later, or is put aside, which also happens when it was tried as often as
    /// may be. Nothing, where it was put aside already.
    ///
    /// # Errors
    /// When it was acknowledged before, or there is no room.
    pub fn refuse(&self, refuse: Refuse, end: u64) -> Result<Option<(Happening, Self)>, Refusal> {
        let Refuse { position, park, not_before_ms, reason, now_ms, attempts } = refuse;
        if position >= end {
            return Err(Refusal::BeyondEnd { position, end });
        }
        if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_LENGTH_MAX) {
            return Err(Refusal::ReasonTooLong);
        }
        if self.is_aside(position) {
            return Ok(None);
        }
        let is_retried = self.retried.iter().any(|retried| retried.position == position);
        if position < self.cursor && !is_retried {
            return Err(Refusal::AlreadyAcknowledged { position });
        }
        let before = self.refusal_of(position).map_or(0, |refused| refused.attempts);
        let attempts = before.saturating_add(1).max(attempts);
        let mut next = self.clone();
        next.refused.retain(|refused| refused.position != position);
        next.retried.retain(|retried| retried.position != position);
        if park || attempts >= self.settings.attempts_max {
            if next.aside() >= PARKED_MAX {
                return Err(Refusal::TooManyParked);
            }
            let parked = Parked { position, attempts, at_ms: now_ms, reason };
            insert(&mut next.parked, parked, |parked| parked.position);
            return Ok(Some((Happening::Parked, next)));
        }
        let refused = Refused { position, attempts, not_before_ms, reason };
        if is_retried {
            insert(&mut next.retried, refused, |retried| retried.position);
        } else {
            if next.refused.len() >= REFUSED_MAX {
                return Err(Refusal::TooManyRefused);
            }
            insert(&mut next.refused, refused, |refused| refused.position);
        }
        Ok(Some((Happening::Refused, next)))
    }

    /// Delivers parked events once more: those that the cursor has passed by themselves, the others in their order. With their
    /// positions; nothing where none is parked.
    ///
    /// # Errors
    /// When one of them is not parked.
    pub fn retry(&self, which: Which<'_>) -> Result<Taken, Refusal> {
        let Some((positions, mut next)) = self.take_parked(which)? else { return Ok(None) };
        for position in positions.iter().copied().filter(|position| *position < self.cursor) {
            let retried = Refused { position, attempts: 0, not_before_ms: 0, reason: None };
            insert(&mut next.retried, retried, |retried| retried.position);
        }
        Ok(Some((positions, next)))
    }

    /// Forgets parked events: they are never delivered. With their positions; nothing where none is parked.
    ///
    /// # Errors
    /// When one of them is not parked.
    pub fn discard(&self, which: Which<'_>) -> Result<Taken, Refusal> {
        let Some((positions, mut next)) = self.take_parked(which)? else { return Ok(None) };
        // What the cursor has not passed would be delivered again if nothing were known of it.
        for position in positions.iter().copied().filter(|position| *position >= self.cursor) {
            insert(&mut next.discarded, position, |position| *position);
        }
        Ok(Some((positions, next)))
    }

    fn take_parked(&self, which: Which<'_>) -> Result<Taken, Refusal> {
        let mut positions = match which {
            Which::All => self.parked.iter().map(|parked| parked.position).collect::<Vec<_>>(),
            Which::These(positions) => positions.to_vec(),
        };
        positions.sort_unstable();
        positions.dedup();
        if let Some(&position) = positions.iter().find(|position| !self.is_parked(**position)) {
            return Err(Refusal::NotParked { position });
        }
        if positions.is_empty() {
            return Ok(None);
        }
        let mut next = self.clone();
        next.parked.retain(|parked| positions.binary_search(&parked.position).is_err());
        Ok(Some((positions, next)))
    }

    /// Goes on from a position, whether that is behind or ahead. What is parked at or after it is parked no more, because it
    /// comes again.
    ///
    /// # Errors
    /// When the log does not reach that far.
    pub fn reset(&self, position: u64, end: u64) -> Result<Self, Refusal> {
        if position > end {
            return Err(Refusal::BeyondEnd { position, end });
        }
        let mut next = self.clone();
        next.cursor = position;
        next.generation = self.generation.saturating_add(1);
        next.refused.clear();
        next.retried.clear();
        next.discarded.clear();
        next.parked.retain(|parked| parked.position < position);
        Ok(next)
    }

    /// How many events are kept apart from the others.
    fn aside(&self) -> usize {
        self.parked.len() + self.retried.len() + self.discarded.len()
    }
}

/// Puts something where it belongs by its position.
fn insert<T>(sorted: &mut Vec<T>, entry: T, position: impl Fn(&T) -> u64) {
    let at = sorted.partition_point(|other| position(other) < position(&entry));
    sorted.insert(at, entry);
}
