//! What was recorded until a time, and events by their ids, which say when they were made.

use crate::error::ReadError;
use crate::log::Log;
use crate::numbers::{Position, Timestamp};
use crate::recorded::RecordedEvent;
use std::time::Duration;
use uuid::Uuid;

/// Events that are looked through for one by its id, behind the time when that was made and before it.
const LOOKED_THROUGH_MAX: u64 = 65_536;
/// How much later than the log a producer's clock may be for that, nanoseconds.
const CLOCK_SLACK: i64 = 1_000_000_000;

impl Log {
    /// How many events were recorded at or before a time: by halves, as their times never go back.
    ///
    /// # Errors
    /// When the log is damaged where it is looked at.
    pub fn recorded_by(&self, time: Timestamp) -> Result<Position, ReadError> {
        let (mut low, mut high) = (0, self.watermark().get());
        while low < high {
            let middle = low + (high - low) / 2;
            let event = self.event(Position::new(middle))?;
            let recorded_at = event.as_ref().and_then(RecordedEvent::get).map(|event| event.recorded_at());
            if recorded_at.is_some_and(|recorded_at| recorded_at <= time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(Position::new(low))
    }

    /// The event with an id that was made when it was recorded, or shortly before: there is no index of ids.
    ///
    /// An id says when it was made (`UUIDv7`), and the log knows what it recorded from then on: soon after, nearly always. Only
    /// if it is not there, what was recorded before is looked at: whoever made the id may have had another clock.
    ///
    /// # Errors
    /// When the log is damaged where it is looked at.
    pub fn event_with_id(&self, id: Uuid) -> Result<Option<RecordedEvent>, ReadError> {
        let Some(made) = made_at(id) else { return Ok(None) };
        let from = self.recorded_by(Timestamp::new(made.saturating_sub(1)))?;
        let most = Position::new(from.get().saturating_add(LOOKED_THROUGH_MAX));
        if let Some(event) = self.find_between(id, from, most, Timestamp::new(i64::MAX))? {
            return Ok(Some(event));
        }
        let least = Position::new(from.get().saturating_sub(LOOKED_THROUGH_MAX));
        let before = self.recorded_by(Timestamp::new(made.saturating_sub(CLOCK_SLACK)))?;
        self.find_between(id, before.max(least), from, Timestamp::new(i64::MAX))
    }

    /// As [`Log::event_with_id`], for an id that was made by the clock of this log, and at most `delay` before its event was
    /// recorded: so it need not be looked for before, nor long after.
    ///
    /// # Errors
    /// When the log is damaged where it is looked at.
    pub fn event_with_own_id(&self, id: Uuid, delay: Duration) -> Result<Option<RecordedEvent>, ReadError> {
        let Some(made) = made_at(id) else { return Ok(None) };
        let from = self.recorded_by(Timestamp::new(made.saturating_sub(1)))?;
        let delay = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
        self.find_between(id, from, Position::new(u64::MAX), Timestamp::new(made.saturating_add(delay)))
    }

    /// The event with an id, if it is in a commit that has an event from `from` to before `to`, and was recorded by `until`.
    fn find_between(
        &self,
        id: Uuid,
        from: Position,
        to: Position,
        until: Timestamp,
    ) -> Result<Option<RecordedEvent>, ReadError> {
        for commit in self.commits(from) {
            let commit = commit?;
            if commit.first() >= to || commit.recorded_at() > until {
                break;
            }
            if let Some(event) = commit.events().find(|event| event.id() == id) {
                return self.event(event.position());
            }
        }
        Ok(None)
    }
}

/// When an id was made, nanoseconds since 1970; nothing of an id that does not say.
fn made_at(id: Uuid) -> Option<i64> {
    let made = id.get_timestamp().filter(|_| id.get_version_num() == 7)?;
    let (seconds, nanoseconds) = made.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(i64::from(nanoseconds))
}
