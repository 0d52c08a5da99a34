//! Asking a log everything that can be asked of it, and comparing with the history.

use crate::dice::Dice;
use crate::history::{History, Seen, SeenEvent};
use crate::oracle::Finding;
use eventstore::{Direction, Log, Position, RecordedCommit, RecordedEvent, StreamId, Tag, Version};

impl History {
    /// Compares a log with the history, as far as it goes; how many commits it has.
    pub fn compare(&self, log: &Log) -> Result<usize, Finding> {
        let mut len = 0;
        for commit in log.commits(Position::ZERO) {
            let commit = commit.map_err(|error| format!("a log cannot be read: {error}"))?;
            let Some(known) = self.commits().get(len) else {
                return Err(format!("a reader shows more than the {len} commits that were published"));
            };
            known.check(&commit)?;
            len += 1;
        }
        Ok(len)
    }

    /// Asks the log for single things, and compares.
    pub fn compare_places(&self, log: &Log, dice: &mut Dice) -> Result<(), Finding> {
        let position = Position::new(dice.below(self.next().get() + 2));
        let mut known = self.commits().iter().flat_map(|commit| &commit.events);
        let known = known.find(|event| event.position == position);
        let found =
            log.event(position).map_err(|error| format!("event {position} cannot be read: {error}"))?;
        let found = found.as_ref().and_then(RecordedEvent::get).map(|event| SeenEvent::of(&event));
        if found.as_ref() != known {
            return Err(format!("the event at {position} is {:?}", found.map(|event| event.id)));
        }
        let Some(commit) = self.commits().get(dice.index(self.len().max(1))) else {
            return Ok(());
        };
        for (command, fingerprint) in &commit.commands {
            let found = log.find_command(command).map_err(|error| format!("command {command}: {error}"))?;
            if !found.is_some_and(|found| found.chain == commit.chain && found.fingerprint == *fingerprint) {
                return Err(format!("command {command} of commit {} is not remembered", commit.number));
            }
        }
        for tag in commit.events.iter().flat_map(|event| &event.tags) {
            let tag = Tag::new(tag).expect("a name");
            let newest = log.newest_with_tag(&tag).map_err(|error| format!("tag {tag}: {error}"))?;
            if newest != self.newest_with_tag(&tag) {
                return Err(format!("the newest event with tag {tag} is at {newest:?}"));
            }
        }
        Ok(())
    }

    /// Asks the log for everything with one tag, and compares.
    pub fn compare_tag(&self, log: &Log, tag: &Tag) -> Result<(), Finding> {
        let events = self.commits().iter().flat_map(|commit| &commit.events);
        let known: Vec<Position> = events
            .filter(|event| event.tags.iter().any(|of| of == tag.as_str()))
            .map(|event| event.position)
            .collect();
        for (from, direction) in [(0, Direction::Forward), (u64::MAX, Direction::Backward)] {
            let found = log.read_tag(tag, Position::new(from), direction, usize::MAX);
            let found = found.map_err(|error| format!("tag {tag} cannot be read: {error}"))?;
            let mut found: Vec<Position> =
                found.iter().filter_map(|event| Some(event.get()?.position())).collect();
            if direction == Direction::Backward {
                found.reverse();
            }
            if found != known {
                return Err(format!("tag {tag} read {direction:?} has {} of {}", found.len(), known.len()));
            }
        }
        Ok(())
    }

    /// Asks the log for one stream, in both directions, and compares.
    pub fn compare_stream(&self, log: &Log, stream: &StreamId) -> Result<(), Finding> {
        let events = self.commits().iter().flat_map(|commit| &commit.events);
        let known: Vec<&SeenEvent> = events.filter(|event| event.stream == stream.as_str()).collect();
        let unreadable = |error| format!("stream {stream} cannot be read: {error}");
        let head = log.stream_version(stream).map_err(unreadable)?;
        if head != self.head(stream) {
            return Err(format!("stream {stream} is at {head:?}, not {:?}", self.head(stream)));
        }
        let forward =
            log.read_stream(stream, Version::ZERO, Direction::Forward, usize::MAX).map_err(unreadable)?;
        let mut backward = log
            .read_stream(stream, Version::new(u64::MAX), Direction::Backward, usize::MAX)
            .map_err(unreadable)?;
        backward.reverse();
        for (events, way) in [(forward, "forward"), (backward, "backward")] {
            let found: Vec<SeenEvent> =
                events.iter().filter_map(|event| Some(SeenEvent::of(&event.get()?))).collect();
            if !found.iter().eq(known.iter().copied()) {
                return Err(format!(
                    "stream {stream} read {way} has {} of {} events",
                    found.len(),
                    known.len()
                ));
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Whether the commit is still what it was when it was first seen.
    pub fn check(&self, commit: &RecordedCommit) -> Result<(), Finding> {
        let events: Vec<SeenEvent> = commit.events().map(|event| SeenEvent::of(&event)).collect();
        if self.first == commit.first()
            && self.next == commit.next()
            && self.recorded_at == commit.recorded_at()
            && self.chain == commit.chain()
            && self.place == commit.place()
            && self.events == events
        {
            return Ok(());
        }
        let (place, now) = (self.place, commit.place());
        Err(format!(
            "commit {} at {place} (position {}) is not what it was: now {now} (position {})",
            self.number,
            self.first,
            commit.first()
        ))
    }
}
