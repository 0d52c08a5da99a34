//! Random histories, and a model of them that is nothing but vectors and maps.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::panic
)]

use super::{Random, command, event, stream, tag};
use eventstore::{CommitBuilder, Direction, Engine, Log, Outcome, Position, PreparedCommit, Version};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

#[derive(Clone)]
pub struct Event {
    pub id: Uuid,
    pub stream: String,
    pub version: u64,
    pub tags: Vec<String>,
}

/// What the log should be, in the plainest words.
#[derive(Default, Clone)]
pub struct Model {
    pub events: Vec<Event>,
    /// First position of every commit and number of its events.
    pub commits: Vec<(u64, u64)>,
    streams: BTreeMap<String, Vec<usize>>,
    tags: BTreeMap<String, Vec<usize>>,
    /// Name → first and next position of the commit, and whether it appended anything.
    commands: HashMap<String, (u64, u64, Outcome)>,
}

/// How large the world is.
#[derive(Clone, Copy)]
pub struct World {
    pub streams: u64,
    pub tags: u64,
    pub payload: u64,
}

impl Model {
    /// A random commit; the model takes it in at once.
    pub fn commit(&mut self, random: &mut Random, world: World) -> PreparedCommit {
        let mut commit = CommitBuilder::new();
        let first = self.events.len() as u64;
        let mut names = Vec::new();
        if random.below(20) > 0 {
            let streams: Vec<String> =
                (0..=random.below(3)).map(|_| format!("s-{}", skewed(random, world.streams))).collect();
            for _ in 0..=random.below(5) {
                let name = &streams[random.below(streams.len() as u64) as usize];
                let mut event = event(name, &"x".repeat(random.below(world.payload) as usize));
                let mut tags: Vec<String> =
                    (0..random.below(4)).map(|_| format!("t:{}", skewed(random, world.tags))).collect();
                tags.sort();
                tags.dedup();
                event.tags = tags.iter().map(|name| tag(name)).collect();
                self.take(&event, tags);
                commit.event(event);
            }
            if random.below(2) == 0 {
                let name = format!("c{}", self.commands.len());
                commit.command(command(&name, &name, Outcome::Applied));
                names.push((name, Outcome::Applied));
            }
        } else {
            for number in 0..=random.below(2) {
                let name = format!("c{}", self.commands.len() as u64 + number);
                commit.command(command(&name, &name, Outcome::Unchanged));
                names.push((name, Outcome::Unchanged));
            }
        }
        let next = self.events.len() as u64;
        self.commits.push((first, next - first));
        for (name, outcome) in names {
            self.commands.insert(name, (first, next, outcome));
        }
        commit.prepare().unwrap()
    }

    fn take(&mut self, event: &eventstore::NewEvent, tags: Vec<String>) {
        let at = self.events.len();
        let stream = event.stream.to_string();
        let of_stream = self.streams.entry(stream.clone()).or_default();
        let version = of_stream.len() as u64;
        of_stream.push(at);
        for tag in &tags {
            self.tags.entry(tag.clone()).or_default().push(at);
        }
        self.events.push(Event { id: event.id, stream, version, tags });
    }

    /// Asks the log `questions` random questions of every kind.
    pub fn check(&self, log: &Log, random: &mut Random, world: World, questions: u64) {
        assert_eq!(log.watermark(), Position::new(self.events.len() as u64));
        for _ in 0..questions {
            self.check_stream(log, random, world);
            self.check_tag(log, random, world);
            self.check_command(log, random);
            self.check_position(log, random);
        }
    }

    fn check_stream(&self, log: &Log, random: &mut Random, world: World) {
        // Also streams that do not exist.
        let name = format!("s-{}", skewed(random, world.streams + 3));
        let at = self.streams.get(&name).map(Vec::as_slice).unwrap_or_default();
        let version = log.stream_version(&stream(&name)).unwrap();
        assert_eq!(version.map(Version::get), (at.len() as u64).checked_sub(1), "{name}");
        let from = random.below(at.len() as u64 + 2);
        let limit = random.below(30) as usize;
        let read =
            |direction| ids(&log.read_stream(&stream(&name), Version::new(from), direction, limit).unwrap());
        let forward: Vec<_> =
            at.iter().skip(from as usize).take(limit).map(|at| self.events[*at].id).collect();
        assert_eq!(read(Direction::Forward), forward, "{name} from {from}, {limit}");
        let before = at.iter().take(from as usize + 1).rev().take(limit);
        let backward: Vec<_> = before.map(|at| self.events[*at].id).collect();
        assert_eq!(read(Direction::Backward), backward, "{name} back from {from}, {limit}");
        let all = log.read_stream(&stream(&name), Version::ZERO, Direction::Forward, limit).unwrap();
        for (event, at) in all.iter().zip(at) {
            let view = event.get().unwrap();
            let expected = &self.events[*at];
            assert_eq!((view.version().get(), view.position().get()), (expected.version, *at as u64));
            assert_eq!(view.stream(), expected.stream);
            assert_eq!(view.tags().collect::<Vec<_>>(), expected.tags);
        }
    }

    fn check_tag(&self, log: &Log, random: &mut Random, world: World) {
        let name = format!("t:{}", skewed(random, world.tags + 3));
        let at = self.tags.get(&name).map(Vec::as_slice).unwrap_or_default();
        let newest = log.newest_with_tag(&tag(&name)).unwrap();
        assert_eq!(newest.map(Position::get), at.last().map(|at| *at as u64), "{name}");
        let from = random.below(self.events.len() as u64 + 2);
        let limit = random.below(30) as usize;
        let read =
            |direction| ids(&log.read_tag(&tag(&name), Position::new(from), direction, limit).unwrap());
        let split = at.partition_point(|at| (*at as u64) < from);
        let forward: Vec<_> = at[split..].iter().take(limit).map(|at| self.events[*at].id).collect();
        assert_eq!(read(Direction::Forward), forward, "{name} from {from}, {limit}");
        let split = at.partition_point(|at| (*at as u64) <= from);
        let backward: Vec<_> = at[..split].iter().rev().take(limit).map(|at| self.events[*at].id).collect();
        assert_eq!(read(Direction::Backward), backward, "{name} back from {from}, {limit}");
    }

    fn check_command(&self, log: &Log, random: &mut Random) {
        let name = format!("c{}", random.below(self.commands.len() as u64 + 3));
        let found = log.find_command(&command(&name, &name, Outcome::Applied).id).unwrap();
        let found = found.map(|found| (found.receipt.first.get(), found.receipt.next.get(), found.outcome));
        assert_eq!(found, self.commands.get(&name).copied(), "{name}");
    }

    fn check_position(&self, log: &Log, random: &mut Random) {
        let from = random.below(self.events.len() as u64 + 2);
        let event = log.event(Position::new(from)).unwrap();
        let id = event.and_then(|event| event.get().map(|view| view.id()));
        assert_eq!(id, self.events.get(from as usize).map(|event| event.id), "position {from}");
        let start = self.commits.partition_point(|(first, count)| *first < from && first + count <= from);
        let commits = log.commits(Position::new(from)).take(5).map(|commit| {
            let commit = commit.unwrap();
            (commit.first().get(), commit.len() as u64)
        });
        let expected: Vec<_> = self.commits[start..].iter().copied().take(5).collect();
        assert_eq!(commits.collect::<Vec<_>>(), expected, "commits from {from}");
    }

    /// Reads all of it.
    pub fn check_all(&self, log: &Log) {
        let commits: Vec<_> = log.commits(Position::ZERO).map(Result::unwrap).collect();
        let shape: Vec<_> =
            commits.iter().map(|commit| (commit.first().get(), commit.len() as u64)).collect();
        assert_eq!(shape, self.commits);
        let recorded = commits.iter().flat_map(eventstore::RecordedCommit::events).map(|event| event.id());
        assert!(recorded.eq(self.events.iter().map(|event| event.id)));
    }
}

fn ids(events: &[eventstore::RecordedEvent]) -> Vec<Uuid> {
    events.iter().map(|event| event.get().unwrap().id()).collect()
}

/// A few are asked for often, most seldom.
fn skewed(random: &mut Random, bound: u64) -> u64 {
    let below = random.below(bound) + 1;
    random.below(below)
}

/// Appends random commits in random groups.
pub fn append(engine: &mut Engine, model: &mut Model, random: &mut Random, world: World, mut count: u64) {
    while count > 0 {
        let group = count.min(random.below(20) + 1);
        count -= group;
        let pending: Vec<_> =
            (0..group).map(|_| engine.submit(model.commit(random, world)).unwrap()).collect();
        for mut pending in pending {
            let answer = loop {
                engine.collect();
                if let Some(mut flush) = engine.begin_flush() {
                    let done = flush.run();
                    engine.finish_flush(flush, done);
                }
                if let Some(answer) = pending.try_answer() {
                    break answer;
                }
            };
            answer.unwrap();
        }
    }
}
