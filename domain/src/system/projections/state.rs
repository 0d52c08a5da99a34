//! What holds of a projection, as its stream says.

use super::{
    Built, ControlEvent, DEAD_LETTERS_MAX, DIFFERENCES_MAX, DeadLetterAdded, ENTITY_BYTES_MAX,
    REASON_BYTES_MAX, RETRIED_MAX, RebuildFinished, RebuildOutcome, RebuildRequested,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Most hexadecimal digits of a digest.
const DIGEST_BYTES_MAX: usize = 128;

/// A rebuild that was asked for and has not come to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRebuild {
    /// Names it.
    pub id: Uuid,
    /// Whether it is only compared.
    pub shadow: bool,
    /// Where the log has the request.
    pub position: u64,
    /// Whether it is put into use, and cannot be cancelled any more.
    pub is_swapping: bool,
}

/// An event that is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event, and why it cannot be taken in.
    pub event: DeadLetterAdded,
    /// How many times that was found, the first one included.
    pub attempts: u32,
    /// Where the log has the newest decision.
    pub decided_at: u64,
}

/// What holds of a projection: a fold of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectionState {
    /// What is being built.
    pub rebuild: Option<OpenRebuild>,
    /// What the last rebuild came to, and where the log says so.
    pub finished: Option<(u64, RebuildFinished)>,
    /// The last one that was put into use, whatever others came to since.
    pub swapped: Option<Uuid>,
    /// What is passed over, by position.
    pub dead_letters: BTreeMap<u64, DeadLetter>,
    /// How many times those failed that are tried again.
    attempts: BTreeMap<u64, u32>,
}

/// Why an event may not be appended to a projection's stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// One rebuild at a time.
    #[error("the rebuild {0} is under way; wait for its end or cancel it")]
    RebuildUnderWay(Uuid),
    /// It has ended, or never was.
    #[error("no rebuild is under way")]
    NoRebuild,
    /// It has come too far.
    #[error("the rebuild {0} is being put into use and cannot be cancelled any more; wait for its end")]
    RebuildSwapping(Uuid),
    /// Another one is.
    #[error("the rebuild {0} is under way, and no other")]
    AnotherRebuild(Uuid),
    /// There is nothing to try again.
    #[error("there are no dead letters")]
    NoDeadLetters,
    /// No event there is passed over.
    #[error("there is no dead letter at position {0}")]
    NoSuchDeadLetter(u64),
    /// Something must be wrong with more than some events.
    #[error("there are {DEAD_LETTERS_MAX} dead letters, and no room for more")]
    TooManyDeadLetters,
    /// It is longer than it may be.
    #[error("{field}: {reason}")]
    Invalid {
        /// The member.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ProjectionState {
    /// Whether an event makes sense now. What is already so is no error; see [`ProjectionState::changes`].
    ///
    /// # Errors
    /// Why it does not.
    pub fn admit(&self, event: &ControlEvent) -> Result<(), Refused> {
        match event {
            ControlEvent::RebuildRequested(asked) => match &self.rebuild {
                Some(open) if open.id != asked.rebuild_id => Err(Refused::RebuildUnderWay(open.id)),
                _ => Ok(()),
            },
            ControlEvent::RebuildCancelled(cancelled) => {
                self.is_open(cancelled.rebuild_id)?;
                let swapping = self.rebuild.as_ref().filter(|open| open.is_swapping);
                swapping.map_or(Ok(()), |open| Err(Refused::RebuildSwapping(open.id)))
            }
            ControlEvent::RebuildSwapBegun(begun) => self.is_open(begun.rebuild_id),
            ControlEvent::RebuildFinished(finished) => {
                self.is_open(finished.rebuild_id)?;
                if finished.differences.len() > DIFFERENCES_MAX {
                    return Err(invalid("differences", format!("at most {DIFFERENCES_MAX} are listed")));
                }
                let sides =
                    finished.differences.iter().flat_map(|difference| [&difference.old, &difference.new]);
                let digests = sides
                    .flatten()
                    .chain(finished.old.iter().chain(&finished.new).map(|built| &built.digest));
                if digests.map(String::len).max().unwrap_or_default() > DIGEST_BYTES_MAX {
                    return Err(invalid(
                        "differences",
                        format!("a digest has at most {DIGEST_BYTES_MAX} digits"),
                    ));
                }
                let names = finished.differences.iter().map(|difference| difference.entity.len());
                if names.max().unwrap_or_default() > ENTITY_BYTES_MAX {
                    return Err(invalid(
                        "differences",
                        format!("an entity has at most {ENTITY_BYTES_MAX} bytes"),
                    ));
                }
                check_reason(finished.reason.as_deref().unwrap_or_default())
            }
            ControlEvent::DeadLetterAdded(added) => {
                check_reason(&added.reason)?;
                let is_known = self.dead_letters.contains_key(&added.position);
                if !is_known && self.dead_letters.len() >= DEAD_LETTERS_MAX {
                    return Err(Refused::TooManyDeadLetters);
                }
                Ok(())
            }
            ControlEvent::DeadLettersRetried(retried) => match &retried.positions {
                None if self.dead_letters.is_empty() => Err(Refused::NoDeadLetters),
                None => Ok(()),
                Some(positions) if positions.is_empty() || positions.len() > RETRIED_MAX => {
                    Err(invalid("positions", format!("1 to {RETRIED_MAX} positions; all if absent")))
                }
                Some(positions) => {
                    let strange = positions.iter().find(|position| !self.dead_letters.contains_key(position));
                    strange.map_or(Ok(()), |position| Err(Refused::NoSuchDeadLetter(*position)))
                }
            },
            ControlEvent::RepairRequested(repair) => match repair.entity.len() {
                1..=ENTITY_BYTES_MAX => Ok(()),
                _ => Err(invalid("entity", format!("1 to {ENTITY_BYTES_MAX} bytes"))),
            },
        }
    }

    /// Whether an event that is admitted would change anything: what was decided before need not be said twice.
    #[must_use]
    pub fn changes(&self, event: &ControlEvent) -> bool {
        match event {
            ControlEvent::RebuildRequested(_) => self.rebuild.is_none(),
            ControlEvent::DeadLetterAdded(added) => !self.dead_letters.contains_key(&added.position),
            ControlEvent::RebuildSwapBegun(begun) => !self.is_swapping(begun.rebuild_id),
            _ => true,
        }
    }

    /// Takes in an event that the log has at `position`. Total: what makes no sense changes nothing.
    pub fn apply(&mut self, event: &ControlEvent, position: u64) {
        match event {
            ControlEvent::RebuildRequested(asked) => {
                if self.rebuild.is_none() {
                    let RebuildRequested { rebuild_id: id, shadow } = *asked;
                    self.rebuild = Some(OpenRebuild { id, shadow, position, is_swapping: false });
                }
            }
            ControlEvent::RebuildCancelled(cancelled) => {
                if self.is_open(cancelled.rebuild_id).is_ok() {
                    self.rebuild = None;
                }
            }
            ControlEvent::RebuildSwapBegun(begun) => {
                if let Some(open) = self.rebuild.as_mut().filter(|open| open.id == begun.rebuild_id) {
                    open.is_swapping = true;
                }
            }
            ControlEvent::RebuildFinished(finished) => {
                if self.is_open(finished.rebuild_id).is_ok() {
                    self.rebuild = None;
                    if finished.outcome == RebuildOutcome::Swapped {
                        self.swapped = Some(finished.rebuild_id);
                    }
                    self.finished = Some((position, finished.clone()));
                }
            }
            ControlEvent::DeadLetterAdded(added) => {
                let attempts = self.attempts.remove(&added.position).unwrap_or_default().saturating_add(1);
                let letter = DeadLetter { event: added.clone(), attempts, decided_at: position };
                self.dead_letters.entry(added.position).or_insert(letter);
            }
            ControlEvent::DeadLettersRetried(retried) => match &retried.positions {
                None => {
                    std::mem::take(&mut self.dead_letters)
                        .into_values()
                        .for_each(|letter| self.retry(&letter));
                }
                Some(positions) => {
                    for position in positions {
                        if let Some(letter) = self.dead_letters.remove(position) {
                            self.retry(&letter);
                        }
                    }
                }
            },
            ControlEvent::RepairRequested(_) => {}
        }
    }

    fn retry(&mut self, letter: &DeadLetter) {
        self.attempts.insert(letter.event.position, letter.attempts);
        // Those that went well are never looked at again; the oldest are forgotten first.
        if self.attempts.len() > DEAD_LETTERS_MAX {
            self.attempts.pop_first();
        }
    }

    /// Whether that rebuild is under way and is put into use.
    #[must_use]
    pub fn is_swapping(&self, id: Uuid) -> bool {
        self.rebuild.as_ref().is_some_and(|open| open.id == id && open.is_swapping)
    }

    fn is_open(&self, id: Uuid) -> Result<(), Refused> {
        match &self.rebuild {
            None => Err(Refused::NoRebuild),
            Some(open) if open.id == id => Ok(()),
            Some(open) => Err(Refused::AnotherRebuild(open.id)),
        }
    }
}

impl RebuildFinished {
    /// Whether old and new are equal; `None` where they were not compared.
    #[must_use]
    pub fn is_equal(&self) -> Option<bool> {
        self.old.as_ref().zip(self.new.as_ref()).map(|(old, new): (&Built, &Built)| old == new)
    }

    /// A rebuild that could not be carried out.
    #[must_use]
    pub fn failed(rebuild_id: Uuid, position: u64, reason: &str) -> Self {
        Self {
            rebuild_id,
            outcome: RebuildOutcome::Failed,
            position,
            old: None,
            new: None,
            differing: 0,
            differences: Vec::new(),
            reason: Some(bounded(reason)),
        }
    }
}

/// A reason, cut to what is taken.
#[must_use]
pub fn bounded(reason: &str) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

fn check_reason(reason: &str) -> Result<(), Refused> {
    if reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    Err(invalid("reason", format!("at most {REASON_BYTES_MAX} bytes")))
}

fn invalid(field: &'static str, reason: String) -> Refused {
    Refused::Invalid { field, reason }
}
