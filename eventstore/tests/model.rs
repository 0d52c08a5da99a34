//! A long random life of a store, compared step by step with a model that is nothing but vectors and maps.
//!
//! Appends with every kind of expectation and guard, commands used once, again and with other content, several streams
//! in a commit, submissions that share a group, clean and unclean ends. The seed is printed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use eventstore::{
    AppendError, CommitBuilder, Direction, ExpectedVersion, Guard, Log, Outcome, Position, PreparedCommit,
    Store, Version,
};
use std::collections::HashMap;
use support::{Random, command, event, open, stream, tag};

/// What the store should be, in the plainest words.
#[derive(Default)]
struct Model {
    /// Stream and payload of every event, by position.
    events: Vec<(String, String)>,
    /// Command name → content and the range of positions that it was answered with.
    commands: HashMap<String, (String, u64, u64)>,
}

/// What the model says of a commit.
#[derive(Debug, PartialEq)]
enum Answer {
    Appended(u64, u64),
    Duplicate(u64, u64),
    WrongVersion,
    GuardFailed,
    Reused,
}

struct Plan {
    writes: Vec<(String, ExpectedVersion, String)>,
    guard: Option<(String, u64)>,
    command: Option<(String, String)>,
}

impl Model {
    fn version(&self, stream: &str) -> Option<u64> {
        self.events.iter().filter(|(of, _)| of == stream).count().checked_sub(1).map(|version| version as u64)
    }

    fn apply(&mut self, plan: &Plan) -> Answer {
        if let Some((name, content)) = &plan.command
            && let Some((before, first, next)) = self.commands.get(name)
        {
            return if before == content { Answer::Duplicate(*first, *next) } else { Answer::Reused };
        }
        for (stream, expected, _) in &plan.writes {
            let current = self.version(stream);
            let holds = match expected {
                ExpectedVersion::Any => true,
                ExpectedVersion::NoStream => current.is_none(),
                ExpectedVersion::StreamExists => current.is_some(),
                ExpectedVersion::Exact(version) => current == Some(version.get()),
            };
            if !holds {
                return Answer::WrongVersion;
            }
        }
        if let Some((stream, position)) = &plan.guard {
            let newest = self.events.iter().rposition(|(of, _)| of == stream).map(|newest| newest as u64);
            if newest.is_some_and(|newest| newest >= *position) {
                return Answer::GuardFailed;
            }
        }
        let first = self.events.len() as u64;
        self.events.extend(plan.writes.iter().map(|(stream, _, payload)| (stream.clone(), payload.clone())));
        let next = self.events.len() as u64;
        if let Some((name, content)) = &plan.command {
            self.commands.insert(name.clone(), (content.clone(), first, next));
        }
        Answer::Appended(first, next)
    }

    fn plan(&self, random: &mut Random) -> Plan {
        let mut streams: Vec<String> =
            (0..=random.below(3)).map(|_| format!("s-{}", random.below(9))).collect();
        streams.sort();
        streams.dedup();
        let writes = streams.into_iter().map(|stream| {
            let expected = match random.below(6) {
                0 => ExpectedVersion::NoStream,
                1 => ExpectedVersion::StreamExists,
                2 | 3 => self.version(&stream).map_or(ExpectedVersion::NoStream, |version| {
                    // Mostly right, sometimes behind or ahead.
                    ExpectedVersion::Exact(Version::new(
                        (version + random.below(5) / 4).saturating_sub(random.below(5) / 4),
                    ))
                }),
                _ => ExpectedVersion::Any,
            };
            (
                stream,
                expected,
                format!("{}{}", random.next(), "y".repeat(usize::try_from(random.below(900)).unwrap())),
            )
        });
        let writes = writes.collect();
        let around = (self.events.len() as u64 + 3).saturating_sub(random.below(12));
        let guard = (random.below(4) == 0).then(|| (format!("s-{}", random.below(9)), around));
        let command = (random.below(3) == 0)
            .then(|| (format!("c{}", random.below(60)), format!("v{}", random.below(3) / 2)));
        Plan { writes, guard, command }
    }
}

fn prepare(plan: &Plan) -> PreparedCommit {
    let mut commit = CommitBuilder::new();
    for (name, expected, payload) in &plan.writes {
        commit.expect(stream(name), *expected).event(event(name, payload));
    }
    if let Some((of, position)) = &plan.guard {
        commit.guard(Guard::NoNewer(tag(&format!("of:{of}")), Position::new(*position)));
    }
    if let Some((name, content)) = &plan.command {
        commit.command(command(name, content, Outcome::Applied));
    }
    commit.prepare().unwrap()
}

fn compare(log: &Log, model: &Model) {
    let recorded: Vec<(String, String)> = log
        .commits(Position::ZERO)
        .map(Result::unwrap)
        .flat_map(|commit| {
            commit
                .events()
                .map(|event| {
                    (event.stream().to_owned(), String::from_utf8(event.payload().to_vec()).unwrap())
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(recorded, model.events);
    for number in 0..9 {
        let name = format!("s-{number}");
        let expected: Vec<_> =
            model.events.iter().filter(|(of, _)| *of == name).map(|(_, payload)| payload).collect();
        let head = log.stream_version(&stream(&name)).unwrap();
        assert_eq!(head.map(Version::get), model.version(&name));
        let forward = log.read_stream(&stream(&name), Version::ZERO, Direction::Forward, usize::MAX).unwrap();
        assert_eq!(forward.len(), expected.len());
        let mut backward =
            log.read_stream(&stream(&name), Version::new(u64::MAX), Direction::Backward, usize::MAX).unwrap();
        backward.reverse();
        for ((one, other), payload) in forward.iter().zip(&backward).zip(expected) {
            assert_eq!(one.get().unwrap().payload(), payload.as_bytes());
            assert_eq!(other.get().unwrap().id(), one.get().unwrap().id());
        }
    }
    for position in 0..model.events.len() as u64 {
        let event = log.event(Position::new(position)).unwrap().unwrap();
        assert_eq!(event.get().unwrap().position(), Position::new(position));
    }
}

#[test]
fn a_long_life_is_like_the_model() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let mut store = open(dir.path());
    for round in 0..60 {
        // Submitted without waiting: the commits of a round share groups, and are checked against pending ones.
        let plans: Vec<Plan> = (0..=random.below(30)).map(|_| model.plan(&mut random)).collect();
        let pending: Vec<_> = plans.iter().map(|plan| store.submit(prepare(plan)).unwrap()).collect();
        for (plan, pending) in plans.iter().zip(pending) {
            let expected = model.apply(plan);
            let answer = match pending.wait() {
                Ok(receipt) if receipt.duplicate => {
                    Answer::Duplicate(receipt.first.get(), receipt.next.get())
                }
                Ok(receipt) => Answer::Appended(receipt.first.get(), receipt.next.get()),
                Err(AppendError::WrongExpectedVersion { .. }) => Answer::WrongVersion,
                Err(AppendError::GuardFailed { .. }) => Answer::GuardFailed,
                Err(AppendError::CommandReused { .. }) => Answer::Reused,
                Err(error) => panic!("round {round}: {error}"),
            };
            assert_eq!(answer, expected, "round {round}");
        }
        if random.below(5) == 0 {
            drop(store);
            if random.below(2) == 0 {
                // As after a power cut: the control page is gone, only the segments speak.
                std::fs::remove_file(dir.path().join("control/log")).unwrap();
            }
            store = open(dir.path());
        }
    }
    compare(&store, &model);
    drop(store);
    compare(&Store::open(dir.path(), &support::small()).unwrap().log(), &model);
    let report = eventstore::verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert_eq!(report.events, model.events.len() as u64);
    eprintln!("{} events, {} commands, {} segments", report.events, model.commands.len(), report.segments);
}
