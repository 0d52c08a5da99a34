//! What was promised, and whether it was kept.
//!
//! Commits are numbered as they are submitted, and the log takes them in in that order. So what must become of a
//! commit follows from the log itself: it met exactly the commits with smaller numbers. Every answer is checked against
//! that, and nothing that may still be lost counts: only what a reader has already seen.

use crate::dice::Dice;
use crate::history::{Decision, History, Seen, SeenEvent};
use crate::workload::{Wanted, number_of};
use eventstore::{
    AppendError, Direction, Durability, Log, LogOffset, Position, Receipt, RecordedCommit, RecordedEvent,
    StreamId, Tag, Version,
};
use std::collections::BTreeMap;

/// Something that was promised and not kept.
pub type Finding = String;

/// What is known of a commit that is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody has heard of it yet.
    Waiting,
    /// Its client will never know, or was told so: it may turn up when the log is recovered.
    Unknown,
    /// Its client was told that nothing was written.
    Refused,
}

#[derive(Debug)]
struct Submission {
    wanted: Wanted,
    frame_len: u64,
    standing: Standing,
}

#[derive(Debug, Default)]
pub struct Oracle {
    pub history: History,
    open: BTreeMap<u64, Submission>,
    numbers: u64,
    /// Commits that a power cut must leave.
    safe: usize,
    /// How far the log vouches for itself without the last group, and how far it has been published.
    vouched: LogOffset,
    published: LogOffset,
    /// Commits that must be there even though something has rotted.
    safe_from_rot: Option<usize>,
    /// Set when writing has failed: nothing may be acknowledged any more.
    pub poisoned: bool,
    pub acknowledged: u64,
}

/// What happened around an answer.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    pub durability: Durability,
    /// Faults that the process has met.
    pub injected: u64,
    pub dead: bool,
    pub frame_len_max: u64,
}

impl Oracle {
    pub fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub fn submitted(&mut self, number: u64, wanted: Wanted, frame_len: u64) {
        self.open.insert(number, Submission { wanted, frame_len, standing: Standing::Waiting });
    }

    /// Commits submitted and not answered.
    pub fn waiting(&self) -> u64 {
        self.open.values().filter(|submission| submission.standing == Standing::Waiting).count() as u64
    }

    /// A reader shows this commit as the one with this index.
    pub fn shown(&mut self, log: &Log, index: usize, commit: &RecordedCommit) -> Result<(), Finding> {
        if let Some(known) = self.history.commits().get(index) {
            return same(known, commit);
        }
        if index != self.history.len() {
            return Err(format!("a reader shows commit {index}, but there are {}", self.history.len()));
        }
        let number = self.number_of_new(log, commit)?;
        let Some(submission) = self.open.get(&number) else {
            return Err(format!("the log holds commit {number}, which is not on its way"));
        };
        if submission.standing == Standing::Refused {
            return Err(format!("the log holds commit {number}, which was refused"));
        }
        let wanted = &submission.wanted;
        let last = self.history.commits().last();
        if let Some(last) = last
            && (number <= last.number
                || commit.recorded_at() < last.recorded_at
                || commit.place() <= last.place)
        {
            let (place, time) = (commit.place(), commit.recorded_at());
            return Err(format!(
                "commit {number} at {place}, {time} does not follow commit {} at {}, {}",
                last.number, last.place, last.recorded_at
            ));
        }
        if commit.first() != self.history.next() || commit.next() != commit.first().plus(commit.len() as u64)
        {
            return Err(format!("commit {number} is at {} to {}", commit.first(), commit.next()));
        }
        let seen = Seen::of(commit, number, wanted);
        let expected = self.expected_events(wanted);
        if seen.events != expected {
            let (events, expected) = (seen.events.len(), expected.len());
            return Err(format!("commit {number} is not what was submitted ({events} events of {expected})"));
        }
        let decision = self.history.decide(wanted, index);
        if decision != Decision::Append {
            return Err(format!("commit {number} is in the log, but it should have been {decision:?}"));
        }
        self.open.remove(&number);
        self.history.push(seen);
        Ok(())
    }

    fn number_of_new(&self, log: &Log, commit: &RecordedCommit) -> Result<u64, Finding> {
        if let Some(event) = commit.events().next() {
            return Ok(number_of(event.id()));
        }
        // Without events, its commands say which one it is.
        let last = self.history.commits().last().map_or(0, |last| last.number);
        for (number, Submission { wanted, standing, .. }) in self.open.range(last + 1..) {
            // Several may want the same: only the first of them that could be taken in can be the one.
            if *standing == Standing::Refused
                || !wanted.events.is_empty()
                || self.history.decide(wanted, self.history.len()) != Decision::Append
            {
                continue;
            }
            let mut commands = wanted.commands.iter();
            if commands.all(|command| {
                log.find_command(&command.id).is_ok_and(|found| {
                    found.is_some_and(|found| {
                        found.chain == commit.chain() && found.fingerprint == command.fingerprint
                    })
                })
            }) {
                return Ok(*number);
            }
        }
        Err(format!("the log holds a commit without events at {} that nobody submitted", commit.place()))
    }

    fn expected_events(&self, wanted: &Wanted) -> Vec<SeenEvent> {
        let mut heads: BTreeMap<&StreamId, Version> = BTreeMap::new();
        let events = (0..).zip(&wanted.events).map(|(index, event)| {
            let head = heads.get(&event.stream).copied().or_else(|| self.history.head(&event.stream));
            let version = head.map_or(Version::ZERO, |head| head.plus(1));
            heads.insert(&event.stream, version);
            SeenEvent {
                id: event.id,
                position: self.history.next().plus(index),
                stream: event.stream.as_str().to_owned(),
                version,
                event_type: event.event_type.as_str().to_owned(),
                content_type: event.content_type as u8,
                schema_version: event.schema_version,
                tags: event.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
                metadata: event.metadata.clone(),
                payload: event.payload.clone(),
            }
        });
        events.collect()
    }

    /// The writer has published up to `published`, of which everything before `durable` is on disk, as it says.
    pub fn published(&mut self, durability: Durability, published: LogOffset, durable: LogOffset) {
        if published > self.published {
            self.vouched = self.published;
            self.published = published;
        }
        let commits = self.history.commits();
        let safe = match durability {
            Durability::Fsync => commits.len(),
            Durability::Os => commits.partition_point(|commit| commit.place < durable),
        };
        self.safe = self.safe.max(safe);
    }

    /// Everything is on disk.
    pub fn all_safe(&mut self) {
        self.safe = self.history.len();
    }

    /// One bit of a segment has turned while the machine was off. What no later frame vouches for may go with it, unless
    /// the control page still does: it says that the log is on disk up to `durable`. Whether anything may go.
    pub fn rotted(&mut self, segment: Option<u32>, offset: u64, durable: LogOffset) -> bool {
        let vouched = self.vouched.max(durable);
        let at_the_end = segment.is_some_and(|segment| {
            segment > vouched.segment() || segment == vouched.segment() && offset >= vouched.offset()
        });
        let commits = self.history.commits();
        let vouched = commits.partition_point(|commit| commit.place < vouched);
        let safe = if at_the_end { vouched } else { self.safe };
        self.safe_from_rot = Some(safe);
        at_the_end
    }

    /// A client hears of its commit.
    pub fn answered(
        &mut self,
        number: u64,
        answer: &Result<Receipt, AppendError>,
        around: Around,
    ) -> Result<(), Finding> {
        let wrong = |should: &dyn std::fmt::Debug| {
            Err(format!("commit {number} was answered {answer:?}, should be {should:?}"))
        };
        let met = self.history.before(number);
        match answer {
            Ok(_) if self.poisoned => wrong(&"nothing good: writing has failed before"),
            Ok(receipt) if !receipt.duplicate => {
                let Some(seen) = self.history.commits().get(met).filter(|seen| seen.number == number) else {
                    return wrong(&"withheld: no reader sees it yet");
                };
                if *receipt != seen.receipt(false, around.durability) {
                    return wrong(&seen.receipt(false, around.durability));
                }
                self.acknowledged += seen.events.len() as u64;
                Ok(())
            }
            Ok(receipt) => {
                let Some(submission) = self.open.remove(&number) else {
                    return wrong(&"not a duplicate: it is in the log itself");
                };
                let Decision::Duplicate(first) = self.history.decide(&submission.wanted, met) else {
                    return wrong(&self.history.decide(&submission.wanted, met));
                };
                let first = self.history.commits()[first].receipt(true, around.durability);
                if *receipt == first { Ok(()) } else { wrong(&first) }
            }
            // Not to know is never wrong, once there is a reason for it: not even of a commit that is in the log.
            Err(AppendError::OutcomeUnknown { .. }) => {
                if let Some(submission) = self.open.get_mut(&number) {
                    submission.standing = Standing::Unknown;
                }
                if self.poisoned || around.dead { Ok(()) } else { wrong(&"known") }
            }
            Err(error) => {
                let Some(submission) = self.open.get_mut(&number) else {
                    return wrong(&"good: it is in the log");
                };
                let too_long = submission.frame_len > around.frame_len_max;
                let may_be = match error {
                    AppendError::ReadOnly { .. } => around.injected > 0 || around.dead,
                    AppendError::LargerThanSegment { .. } => too_long,
                    _ => {
                        let decision = self.history.decide(&submission.wanted, met);
                        decision == Decision::Refuse(error.clone())
                    }
                };
                submission.standing = Standing::Refused;
                if may_be { Ok(()) } else { wrong(&self.history.decide(&self.open[&number].wanted, met)) }
            }
        }
    }

    /// The process is gone.
    pub fn ended(&mut self) {
        self.poisoned = false;
        for submission in self.open.values_mut() {
            if submission.standing == Standing::Waiting {
                submission.standing = Standing::Unknown;
            }
        }
    }

    /// Compares a recovered log with what was promised, and takes it for the truth from now on.
    pub fn recovered(&mut self, log: &Log, may_be_lost: bool) -> Result<(), Finding> {
        let mut index = 0;
        for commit in log.commits(Position::ZERO) {
            let commit = commit.map_err(|error| format!("the recovered log cannot be read: {error}"))?;
            self.shown(log, index, &commit)?;
            index += 1;
        }
        let mut promised = if may_be_lost { self.safe } else { self.history.len() };
        promised = self.safe_from_rot.take().map_or(promised, |safe| safe.min(promised));
        if index < promised {
            return Err(format!("{promised} commits were promised, {index} are there"));
        }
        self.history.cut(index);
        self.safe = self.safe.min(index);
        // Whoever is not in the log now was never written, and nobody will write it.
        self.open.clear();
        let end = log.watermark();
        if end != self.history.next() {
            return Err(format!("the watermark is {end}, the last commit ends at {}", self.history.next()));
        }
        Ok(())
    }

    /// The writer says where the recovered log ends.
    pub fn continues_at(&mut self, published: LogOffset) {
        self.published = published;
        self.vouched = self.vouched.min(published);
    }

    /// Compares a log with the history, as far as it goes; how many commits it has.
    pub fn compare(&self, log: &Log) -> Result<usize, Finding> {
        let mut len = 0;
        for commit in log.commits(Position::ZERO) {
            let commit = commit.map_err(|error| format!("a log cannot be read: {error}"))?;
            let Some(known) = self.history.commits().get(len) else {
                return Err(format!("a reader shows more than the {len} commits that were published"));
            };
            same(known, &commit)?;
            len += 1;
        }
        Ok(len)
    }

    /// Asks the log for single things, and compares.
    pub fn compare_places(&self, log: &Log, dice: &mut Dice) -> Result<(), Finding> {
        let position = Position::new(dice.below(self.history.next().get() + 2));
        let mut known = self.history.commits().iter().flat_map(|commit| &commit.events);
        let known = known.find(|event| event.position == position);
        let found =
            log.event(position).map_err(|error| format!("event {position} cannot be read: {error}"))?;
        let found = found.as_ref().and_then(RecordedEvent::get).map(|event| SeenEvent::of(&event));
        if found.as_ref() != known {
            return Err(format!("the event at {position} is {:?}", found.map(|event| event.id)));
        }
        let Some(commit) = self.history.commits().get(dice.index(self.history.len().max(1))) else {
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
            if newest != self.history.newest_with_tag(&tag) {
                return Err(format!("the newest event with tag {tag} is at {newest:?}"));
            }
        }
        Ok(())
    }

    /// Asks the log for everything with one tag, and compares.
    pub fn compare_tag(&self, log: &Log, tag: &Tag) -> Result<(), Finding> {
        let events = self.history.commits().iter().flat_map(|commit| &commit.events);
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
        let events = self.history.commits().iter().flat_map(|commit| &commit.events);
        let known: Vec<&SeenEvent> = events.filter(|event| event.stream == stream.as_str()).collect();
        let unreadable = |error| format!("stream {stream} cannot be read: {error}");
        let head = log.stream_version(stream).map_err(unreadable)?;
        if head != self.history.head(stream) {
            return Err(format!("stream {stream} is at {head:?}, not {:?}", self.history.head(stream)));
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

/// Whether a commit is still what it was when it was first seen.
fn same(known: &Seen, commit: &RecordedCommit) -> Result<(), Finding> {
    let events: Vec<SeenEvent> = commit.events().map(|event| SeenEvent::of(&event)).collect();
    if known.first == commit.first()
        && known.next == commit.next()
        && known.recorded_at == commit.recorded_at()
        && known.chain == commit.chain()
        && known.place == commit.place()
        && known.events == events
    {
        return Ok(());
    }
    let (place, now) = (known.place, commit.place());
    Err(format!(
        "commit {} at {place} (position {}) is not what it was: now {now} (position {})",
        known.number,
        known.first,
        commit.first()
    ))
}
