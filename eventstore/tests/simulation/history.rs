//! What the log must hold, in the plainest form: a list of commits, and what follows from any beginning of it.
//!
//! Any state that the log has ever been in is a beginning of this list, so every question is asked of a length.

use crate::workload::Wanted;
use eventstore::{
    AppendError, CommandId, Digest, Durability, EventView, Fingerprint, Guard, LogOffset, Metadata, Outcome,
    Position, Receipt, RecordedCommit, StreamId, Tag, Timestamp, Version,
};
use std::collections::BTreeMap;

/// A commit as a reader has seen it. Two sightings of one commit are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub number: u64,
    pub first: Position,
    pub next: Position,
    pub recorded_at: Timestamp,
    pub chain: Digest,
    pub place: LogOffset,
    pub events: Vec<SeenEvent>,
    pub commands: Vec<(CommandId, Fingerprint)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEvent {
    pub id: uuid::Uuid,
    pub position: Position,
    pub stream: String,
    pub version: Version,
    pub event_type: String,
    pub content_type: u8,
    pub schema_version: u16,
    pub tags: Vec<String>,
    pub metadata: Metadata,
    pub payload: Vec<u8>,
}

impl SeenEvent {
    pub fn of(event: &EventView<'_>) -> Self {
        Self {
            id: event.id(),
            position: event.position(),
            stream: event.stream().to_owned(),
            version: event.version(),
            event_type: event.event_type().to_owned(),
            content_type: event.content_type() as u8,
            schema_version: event.schema_version(),
            tags: event.tags().map(str::to_owned).collect(),
            metadata: event.metadata().to_owned(),
            payload: event.payload().to_vec(),
        }
    }
}

impl Seen {
    pub fn of(commit: &RecordedCommit, number: u64, wanted: &Wanted) -> Self {
        Self {
            number,
            first: commit.first(),
            next: commit.next(),
            recorded_at: commit.recorded_at(),
            chain: commit.chain(),
            place: commit.place(),
            events: commit.events().map(|event| SeenEvent::of(&event)).collect(),
            commands: wanted.commands.iter().map(|command| (command.id, command.fingerprint)).collect(),
        }
    }

    /// What its client is told.
    pub fn receipt(&self, duplicate: bool, durability: Durability) -> Receipt {
        let mut versions: Vec<(StreamId, Version)> = Vec::new();
        for event in &self.events {
            match versions.iter_mut().find(|(stream, _)| stream.as_str() == event.stream) {
                Some((_, version)) => *version = event.version,
                None => versions.push((StreamId::new(&event.stream).expect("a name"), event.version)),
            }
        }
        Receipt {
            first: self.first,
            next: self.next,
            recorded_at: self.recorded_at,
            versions,
            outcome: if self.events.is_empty() { Outcome::Unchanged } else { Outcome::Applied },
            duplicate,
            durability,
        }
    }
}

/// What must become of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Append,
    /// It is this one again, by its index in the history.
    Duplicate(usize),
    Refuse(AppendError),
}

#[derive(Debug, Default)]
pub struct History {
    commits: Vec<Seen>,
    heads: BTreeMap<StreamId, Vec<(usize, Version)>>,
    tagged: BTreeMap<Tag, Vec<(usize, Position)>>,
    commands: BTreeMap<CommandId, (usize, Fingerprint)>,
}

/// The last entry of a beginning.
fn last_before<T: Copy>(entries: Option<&Vec<(usize, T)>>, len: usize) -> Option<T> {
    let entries = entries?;
    let before = entries.partition_point(|(index, _)| *index < len);
    Some(entries[before.checked_sub(1)?].1)
}

impl History {
    pub fn commits(&self) -> &[Seen] {
        &self.commits
    }

    pub fn len(&self) -> usize {
        self.commits.len()
    }

    pub fn next(&self) -> Position {
        self.commits.last().map_or(Position::ZERO, |last| last.next)
    }

    pub fn head(&self, stream: &StreamId) -> Option<Version> {
        self.head_at(stream, self.len())
    }

    pub fn head_at(&self, stream: &StreamId, len: usize) -> Option<Version> {
        last_before(self.heads.get(stream), len)
    }

    pub fn newest_with_tag(&self, tag: &Tag) -> Option<Position> {
        self.newest_with_tag_at(tag, self.len())
    }

    pub fn newest_with_tag_at(&self, tag: &Tag, len: usize) -> Option<Position> {
        last_before(self.tagged.get(tag), len)
    }

    fn command_at(&self, command: &CommandId, len: usize) -> Option<(usize, Fingerprint)> {
        self.commands.get(command).copied().filter(|(index, _)| *index < len)
    }

    /// How many commits came before the one with this number. Commits are taken in in the order of their numbers.
    pub fn before(&self, number: u64) -> usize {
        self.commits.partition_point(|commit| commit.number < number)
    }

    pub fn push(&mut self, seen: Seen) {
        let index = self.len();
        for event in &seen.events {
            let stream = StreamId::new(&event.stream).expect("a name");
            self.heads.entry(stream).or_default().push((index, event.version));
            for tag in &event.tags {
                let tag = Tag::new(tag).expect("a name");
                self.tagged.entry(tag).or_default().push((index, event.position));
            }
        }
        for (command, fingerprint) in &seen.commands {
            self.commands.insert(*command, (index, *fingerprint));
        }
        self.commits.push(seen);
    }

    /// Forgets everything from `len` on: a crash has taken it.
    pub fn cut(&mut self, len: usize) {
        self.commits.truncate(len);
        for entries in self.heads.values_mut() {
            entries.retain(|(index, _)| *index < len);
        }
        for entries in self.tagged.values_mut() {
            entries.retain(|(index, _)| *index < len);
        }
        self.commands.retain(|_, (index, _)| *index < len);
    }

    /// What must become of a commit that meets the first `len` commits.
    pub fn decide(&self, wanted: &Wanted, len: usize) -> Decision {
        let mut known = None;
        for (index, command) in wanted.commands.iter().enumerate() {
            match (self.command_at(&command.id, len), known) {
                (Some((_, fingerprint)), _) if fingerprint != command.fingerprint => {
                    return Decision::Refuse(AppendError::CommandReused { command: command.id });
                }
                (Some((found, _)), None) if index == 0 => known = Some(found),
                (Some((found, _)), Some(first)) if found == first => {}
                (None, None) => {}
                _ => return Decision::Refuse(AppendError::CommandsSplit { command: command.id }),
            }
        }
        if let Some(first) = known {
            return Decision::Duplicate(first);
        }
        for stream in wanted.streams() {
            let (expected, current) = (wanted.expected(stream), self.head_at(stream, len));
            let holds = match expected {
                eventstore::ExpectedVersion::Any => true,
                eventstore::ExpectedVersion::NoStream => current.is_none(),
                eventstore::ExpectedVersion::StreamExists => current.is_some(),
                eventstore::ExpectedVersion::Exact(version) => current == Some(version),
            };
            if !holds {
                let stream = stream.clone();
                return Decision::Refuse(AppendError::WrongExpectedVersion { stream, expected, current });
            }
        }
        for guard in &wanted.guards {
            let (holds, current) = match guard {
                Guard::StreamAt(stream, version) => {
                    let current = self.head_at(stream, len);
                    (current == *version, current.map(Version::get))
                }
                Guard::NoNewer(tag, position) => {
                    let newest = self.newest_with_tag_at(tag, len);
                    (newest.is_none_or(|newest| newest < *position), newest.map(Position::get))
                }
            };
            if !holds {
                return Decision::Refuse(AppendError::GuardFailed { guard: guard.clone(), current });
            }
        }
        Decision::Append
    }
}
