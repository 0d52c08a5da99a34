//! What clients submit: small commits on few streams, so that they get in each other's way.

use crate::dice::Dice;
use crate::history::History;
use eventstore::{
    Command, CommandId, CommitBuilder, ContentType, EventType, ExpectedVersion, Fingerprint, Guard, Metadata,
    NewEvent, Outcome, Position, PreparedCommit, StreamId, Tag, Timestamp, Version,
};
use uuid::Uuid;

const STREAMS: u64 = 6;
const TAGS: u64 = 4;
const COMMANDS: u64 = 60;

/// One commit as its client wants it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub commands: Vec<Command>,
    pub expectations: Vec<(StreamId, ExpectedVersion)>,
    pub guards: Vec<Guard>,
    pub events: Vec<NewEvent>,
    /// How many of the events each command claims.
    claims: Vec<usize>,
}

impl Wanted {
    pub fn prepare(&self) -> PreparedCommit {
        let mut commit = CommitBuilder::new();
        for (stream, expected) in &self.expectations {
            commit.expect(stream.clone(), *expected);
        }
        for guard in &self.guards {
            commit.guard(guard.clone());
        }
        let mut events = self.events.iter().cloned();
        for (command, claims) in self.commands.iter().zip(&self.claims) {
            for event in events.by_ref().take(*claims) {
                commit.event(event);
            }
            commit.command(*command);
        }
        for event in events {
            commit.event(event);
        }
        commit.prepare().expect("the workload keeps to the limits")
    }

    /// The streams it writes, in order of first touch.
    pub fn streams(&self) -> Vec<&StreamId> {
        let mut streams: Vec<&StreamId> = Vec::new();
        for event in &self.events {
            if !streams.contains(&&event.stream) {
                streams.push(&event.stream);
            }
        }
        streams
    }

    /// What is expected of a stream it writes.
    pub fn expected(&self, stream: &StreamId) -> ExpectedVersion {
        let last = self.expectations.iter().rev().find(|(named, _)| named == stream);
        last.map_or(ExpectedVersion::Any, |(_, expected)| *expected)
    }
}

/// Clients: what they believe is mostly right, and sometimes behind or ahead.
#[derive(Debug)]
pub struct Clients {
    dice: Dice,
    /// Payloads are mostly below this, bytes.
    payload: u64,
}

impl Clients {
    pub fn new(mut dice: Dice) -> Self {
        let payload = *dice.pick(&[40, 300, 900, 2_500]);
        Self { dice, payload }
    }

    pub fn stream(&mut self) -> StreamId {
        StreamId::new(format!("s-{}", self.dice.below(STREAMS))).expect("a name")
    }

    pub fn tag(&mut self) -> Tag {
        Tag::new(format!("t:{}", self.dice.below(TAGS))).expect("a name")
    }

    fn command(&mut self, outcome: Outcome) -> Command {
        let (name, content) = (self.dice.below(COMMANDS), u64::from(self.dice.one_in(12)));
        Command {
            id: CommandId::derive(&[&name.to_le_bytes()]),
            fingerprint: Fingerprint::of(&[&content.to_le_bytes()]),
            outcome,
        }
    }

    /// The next commit, as number `number` of the run.
    pub fn want(&mut self, number: u64, history: &History, ahead: u64) -> Wanted {
        let mut wanted = Wanted::default();
        if self.dice.one_in(10) {
            for _ in 0..=self.dice.below(8) / 7 {
                let command = self.command(Outcome::Unchanged);
                if wanted.commands.iter().all(|other| other.id != command.id) {
                    wanted.commands.push(command);
                    wanted.claims.push(0);
                }
            }
        } else {
            let events =
                if self.dice.one_in(15) { self.dice.between(5, 25) } else { self.dice.between(1, 3) };
            for index in 0..events {
                let event = self.event(number, index, events);
                wanted.events.push(event);
            }
            self.claim(&mut wanted);
        }
        for stream in wanted.streams().into_iter().cloned().collect::<Vec<_>>() {
            let expected = self.expectation(history.head(&stream), ahead);
            wanted.expectations.push((stream, expected));
        }
        while self.dice.one_in(5) {
            let guard = self.guard(history, ahead);
            wanted.guards.push(guard);
        }
        wanted
    }

    fn claim(&mut self, wanted: &mut Wanted) {
        let mut left = wanted.events.len();
        while left > 0 && self.dice.one_in(2) {
            let command = self.command(Outcome::Applied);
            if wanted.commands.iter().any(|other| other.id == command.id) {
                break;
            }
            let claims = self.dice.between(1, left as u64) as usize;
            left -= claims;
            wanted.commands.push(command);
            wanted.claims.push(claims);
        }
    }

    fn event(&mut self, number: u64, index: u64, events: u64) -> NewEvent {
        let len = match self.dice.below(40) {
            0..5 => 0,
            5 if events == 1 => self.dice.below(70_000),
            6..8 if events < 5 => self.dice.below(12_000),
            _ => self.dice.below(self.payload),
        };
        let seed = self.dice.next();
        let payload = (0..len).map(|at| (seed >> (at % 57)) as u8 ^ at as u8).collect();
        let metadata = Metadata {
            correlation_id: self.dice.one_in(4).then(|| Uuid::from_u64_pair(seed, number)),
            occurred_at: self.dice.one_in(4).then(|| Timestamp::new(seed as i64)),
            extras: if self.dice.one_in(3) { seed.to_le_bytes().to_vec() } else { Vec::new() },
            ..Metadata::default()
        };
        let mut tags: Vec<Tag> = (0..self.dice.below(3)).map(|_| self.tag()).collect();
        tags.dedup();
        NewEvent {
            id: Uuid::from_u64_pair(number, index),
            stream: self.stream(),
            event_type: EventType::new(format!("thing.happened{}", seed % 3)).expect("a name"),
            content_type: if seed & 1 == 0 { ContentType::Bytes } else { ContentType::Json },
            schema_version: (seed % 5) as u16,
            tags,
            metadata,
            payload,
        }
    }

    fn expectation(&mut self, head: Option<Version>, ahead: u64) -> ExpectedVersion {
        match self.dice.below(8) {
            0 => ExpectedVersion::NoStream,
            1 => ExpectedVersion::StreamExists,
            2..5 => self.around(head, ahead).map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact),
            _ => ExpectedVersion::Any,
        }
    }

    /// Mostly what is known; often a little more, because commits are on their way; seldom nonsense.
    fn around(&mut self, head: Option<Version>, ahead: u64) -> Option<Version> {
        let more = if self.dice.one_in(3) { self.dice.below(ahead + 2) } else { 0 };
        match head {
            None if more == 0 => None,
            None => Some(Version::new(more - 1)),
            Some(head) if self.dice.one_in(8) => head.get().checked_sub(1).map(Version::new),
            Some(head) => Some(head.plus(more)),
        }
    }

    fn guard(&mut self, history: &History, ahead: u64) -> Guard {
        if self.dice.one_in(2) {
            let stream = self.stream();
            let version = self.around(history.head(&stream), ahead);
            Guard::StreamAt(stream, version)
        } else {
            let tag = self.tag();
            let newest = history.newest_with_tag(&tag).map_or(0, |newest| newest.get() + 1);
            let position = match self.dice.below(6) {
                0 => newest.saturating_sub(1),
                1 => newest + self.dice.below(6),
                2 => history.next().get(),
                _ => newest,
            };
            Guard::NoNewer(tag, Position::new(position))
        }
    }
}

/// The number of the commit that an event belongs to.
pub fn number_of(event: Uuid) -> u64 {
    event.as_u64_pair().0
}
