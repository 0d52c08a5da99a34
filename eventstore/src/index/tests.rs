//! The parts of the index one by one, against the plainest models; and all of it under forced collisions.

#[path = "../../tests/support/mod.rs"]
#[allow(unused_qualifications, clippy::duplicate_mod, reason = "the support of the tests outside")]
mod support;

use super::active::Chain;
use super::run::Bytes;
use super::write::in_memory;
use super::{Active, Candidate, CommitSummary, Entry, Found, Part, Run, RunInfo, Stamp, collisions};
use super::{View, of_active, of_runs};
use crate::format::frame::{Frame, FrameHeader, FrameKind};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::storage::Environment;
use crate::{Durability, Engine, Log, PreparedCommit, StoreOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use support::Random;
use support::history::{Model, World, append};
use uuid::Uuid;

fn around<'a>(commit: &'a PreparedCommit, bases: &'a [u8]) -> Frame<'a> {
    let header = FrameHeader {
        kind: FrameKind::Commit,
        streams: commit.streams.len() as u16,
        events: commit.events as u32,
        body_len: commit.body.len() as u32,
        body_crc: commit.body_crc,
        epoch: 1,
        first: Position::ZERO,
        recorded_at: Timestamp::ZERO,
        durable_upto: Position::ZERO,
        durable_end: LogOffset::default(),
        chain: Digest::default(),
    };
    Frame::around(header, bases, &commit.body)
}

#[test]
fn a_summary_is_the_same_from_the_producer_and_from_the_frame() {
    let mut random = Random::seeded();
    let mut model = Model::default();
    for mask in [u64::MAX, 3, 0] {
        collisions::leave(mask);
        for _ in 0..500 {
            let commit = model.commit(&mut random, World { streams: 20, tags: 9, payload: 40 });
            let bases = vec![0; 8 * commit.streams.len()];
            assert_eq!(CommitSummary::of_frame(&around(&commit, &bases)).unwrap(), commit.summary);
        }
    }
}

#[test]
fn a_summary_refuses_a_body_that_does_not_fit_itself() {
    let mut commit = crate::CommitBuilder::new();
    commit.event(support::event("a-1", "{}")).event(support::event("a-2", "{}"));
    commit.event(support::event("a-1", "{}"));
    let commit = commit.prepare().unwrap();
    let bases = vec![0; 16];
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = commit.clone();
        change(&mut changed.body);
        CommitSummary::of_frame(&around(&changed, &bases)).unwrap_err().0
    };
    // The stream table begins at 8: length 3, `a-1`, length 3, `a-2`; then the first event.
    let first = 16;
    assert_eq!(refused(&|body| body[first + 28] = 1), "an event's ordinal does not continue its stream");
    assert_eq!(refused(&|body| body[first + 24] = 1), "an event's ordinal does not continue its stream");
    assert_eq!(refused(&|body| body[15] = b'1'), "a stream stands twice in the table");
    assert_eq!(refused(&|body| body[first + 24] = 2), "an event of a stream that is not in the table");
}

/// Entries by part and hash, in order.
type Plain = BTreeMap<(u8, u64), Vec<Candidate>>;

/// Random commits in an active index, and what should be found in it.
fn random_active(random: &mut Random, segment: u32, from: &mut u64, commits: u64) -> (Active, Plain) {
    let active = Active::new(segment, Position::new(*from));
    let mut plain = Plain::new();
    let mut heads: BTreeMap<u64, u64> = BTreeMap::new();
    let mut model = Model::default();
    let mut offset = 4096;
    for _ in 0..commits {
        let commit = model.commit(random, World { streams: 12, tags: 5, payload: 10 });
        let place = LogOffset::new(segment, offset);
        offset += 8 * (1 + random.below(100));
        let first = Position::new(*from);
        let bases: Vec<_> = (commit.summary.streams().iter())
            .map(|(hash, above)| {
                // As if every segment went on where the one before it has ended.
                let head = heads.entry(*hash).or_insert(u64::from(segment) * 1_000_000);
                let base = *head;
                *head += u64::from(*above) + 1;
                Version::new(base)
            })
            .collect();
        for ((hash, above), base) in commit.summary.streams().iter().zip(&bases) {
            let number = base.plus(u64::from(*above)).get();
            plain.entry((0, *hash)).or_default().push(Candidate { number, place });
        }
        for (hash, index) in commit.summary.tags() {
            let number = first.plus(u64::from(*index)).get();
            plain.entry((1, *hash)).or_default().push(Candidate { number, place });
        }
        for (hash, _) in commit.summary.commands() {
            plain.entry((2, *hash)).or_default().push(Candidate { number: 0, place });
        }
        let stamp = Stamp { place, first };
        active.add().commit(stamp, bases.into_iter(), &commit.summary);
        *from += commit.events as u64;
    }
    (active, plain)
}

fn info(first_segment: u32, last_segment: u32) -> RunInfo {
    RunInfo {
        store: Uuid::from_u128(7),
        first_segment,
        last_segment,
        first: Position::ZERO,
        next: Position::new(1 << 40),
        valid_len: 4096,
        chain: Digest([last_segment as u8; 32]),
        recorded_at: Timestamp::ZERO,
    }
}

fn part(number: u8) -> Part {
    Part::ALL[usize::from(number)]
}

/// Compares what is found under a hash with what should be.
fn check_found(mut found: Found<'_>, expected: &[Candidate], random: &mut Random) {
    assert_eq!(found.len(), expected.len() as u64);
    let mut all = Vec::new();
    found.read(0..found.len(), &mut all).unwrap();
    assert_eq!(all, expected);
    for _ in 0..4 {
        let (from, to) = (random.below(found.len() + 1), random.below(found.len() + 1));
        let mut some = Vec::new();
        found.read(from.min(to)..from.max(to), &mut some).unwrap();
        assert_eq!(some, expected[from.min(to) as usize..from.max(to) as usize]);
        let near = expected[random.below(expected.len() as u64) as usize].number;
        let number = (near + random.below(3)).saturating_sub(1);
        let bound = expected.partition_point(|found| found.number < number) as u64;
        assert_eq!(found.lower_bound(number).unwrap(), bound);
    }
}

fn check_view(view: &View, plain: &Plain, random: &mut Random) {
    for ((number, hash), expected) in plain {
        let layer = view.layers().next().unwrap();
        check_found(layer.find(part(*number), *hash).unwrap().unwrap(), expected, random);
        assert!(layer.find(part(*number), hash.wrapping_add(1)).unwrap().is_none());
    }
}

#[test]
fn chains_and_runs_find_what_was_put_in() {
    let mut random = Random::seeded();
    let mut from = 0;
    let (mut runs, mut merged) = (Vec::new(), Plain::new());
    for segment in 0..8 {
        let (active, plain) = random_active(&mut random, segment, &mut from, 700);
        let run = in_memory(&info(segment, segment), &of_active(&active)).unwrap();
        for (key, found) in &plain {
            merged.entry(*key).or_default().extend(found);
        }
        let actives = vec![Arc::new(active)];
        check_view(&View { runs: Vec::new(), actives }, &plain, &mut random);
        let run = Arc::new(run);
        check_view(&View { runs: vec![Arc::clone(&run)], actives: Vec::new() }, &plain, &mut random);
        runs.push(run);
    }
    let run = in_memory(&info(0, 7), &of_runs(&runs)).unwrap();
    check_view(&View { runs: vec![Arc::new(run)], actives: Vec::new() }, &merged, &mut random);
    assert!(merged.values().any(|found| found.len() > 170), "some hash must fill more than a block");
}

/// A long chain: every depth is found, and found fast enough that a million steps do not hang the test.
#[test]
fn long_chains_are_searched_in_few_steps() {
    let active = Active::new(0, Position::ZERO);
    let summary = CommitSummary::of_parts([("s-1", 2)].into_iter(), std::iter::empty(), std::iter::empty());
    let count = 300_000_u64;
    for number in 0..count {
        let stamp = Stamp { place: LogOffset::new(0, 4096 + 8 * number), first: Position::ZERO };
        active.add().commit(stamp, [Version::new(2 * number)].into_iter(), &summary);
    }
    let hash = super::hash_name("s-1");
    let Some(Chain::Linked { newest, len }) = active.find(Part::Streams, hash) else { panic!() };
    assert_eq!(u64::from(len), count);
    let mut random = Random::seeded();
    for _ in 0..100_000 {
        let version = random.below(2 * count);
        let depth = active.lower_bound(Part::Streams, newest, version);
        assert_eq!(u64::from(depth), version / 2);
        let mut found = Vec::new();
        active.read(Part::Streams, newest, depth..depth + 1, &mut found);
        assert_eq!(found[0].number, 2 * u64::from(depth) + 1);
    }
}

/// Every byte of a run, one at a time: an answer is right, or the run is known to be rotten.
#[test]
fn no_byte_of_a_run_can_make_it_lie() {
    let mut random = Random::seeded();
    let (active, plain) = random_active(&mut random, 3, &mut 0, 60);
    let expected = info(3, 3);
    let run = in_memory(&expected, &of_active(&active)).unwrap();
    let sound = run.unsaved().unwrap().to_vec();
    let absent: Vec<u64> = (0..20).map(|_| random.next()).collect();
    let positions: Vec<Entry> = active.sorted(Part::Positions);
    let (mut refused, mut rotten) = (0, 0);
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << random.below(8);
        let Ok(run) = Run::open(Bytes::Memory(bytes)) else {
            refused += 1;
            continue;
        };
        // What the segments' headers are compared with.
        assert_eq!(run.info, expected);
        let mut is_rotten = false;
        for ((number, hash), expected) in &plain {
            match Found::in_run(&run, part(*number), *hash) {
                Ok(Some(mut found)) => {
                    let mut all = Vec::new();
                    match found.read(0..found.len(), &mut all) {
                        Ok(()) => assert_eq!(all, *expected, "byte {at}"),
                        Err(_) => is_rotten = true,
                    }
                }
                Ok(None) => panic!("byte {at}: something is not found"),
                Err(_) => is_rotten = true,
            }
        }
        for hash in &absent {
            match Found::in_run(&run, Part::Streams, *hash) {
                Ok(found) => assert!(found.is_none(), "byte {at}"),
                Err(_) => is_rotten = true,
            }
        }
        match run.before(Position::new(u64::MAX)) {
            Ok(found) => assert_eq!(found.unwrap().1, positions.last().unwrap().place, "byte {at}"),
            Err(_) => is_rotten = true,
        }
        rotten += u32::from(is_rotten);
    }
    assert!(refused >= 4096 - 16 && rotten > 4 * 4000, "{refused} {rotten} of {}", sound.len());
}

fn engine(dir: &Path) -> Engine {
    let options = StoreOptions { segment_bytes: 64 << 10, durability: Durability::Os };
    Engine::open(&Environment::default(), dir, &options).unwrap()
}

/// With two bits of every hash left nearly everything collides, within a commit, a segment, and over runs.
#[test]
fn answers_are_exact_when_hashes_collide() {
    const WORLD: World = World { streams: 30, tags: 12, payload: 900 };
    for mask in [0, 3, 3 << 60] {
        collisions::leave(mask);
        let mut random = Random::seeded();
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::default();
        let mut writer = engine(dir.path());
        for round in 0..12 {
            append(&mut writer, &mut model, &mut random, WORLD, 60);
            while round % 3 > 0 && writer.housekeep().unwrap() {}
            model.check(&writer.log(), &mut random, WORLD, 15);
            if round % 5 == 4 {
                writer.close();
                model.check(&Log::open_offline(dir.path()).unwrap(), &mut random, WORLD, 15);
                writer = engine(dir.path());
            }
        }
        let view = writer.log().shared.view();
        assert!(view.runs.iter().any(|run| run.info.segments() == 8), "{:?}", view.runs.len());
        model.check(&writer.log(), &mut random, WORLD, 100);
        model.check_all(&writer.log());
    }
}

/// A reader holds what it has indexed itself until the writer's file is there, then takes that.
#[test]
fn a_reader_swaps_to_the_files_of_the_writer() {
    const WORLD: World = World { streams: 30, tags: 12, payload: 900 };
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let mut writer = engine(dir.path());
    append(&mut writer, &mut model, &mut random, WORLD, 1);
    let reader = Log::open(dir.path()).unwrap();
    let caught_up = |model: &Model| {
        let watermark = Position::new(model.events.len() as u64);
        assert!(reader.wait_for(watermark, std::time::Duration::from_secs(20)));
    };
    append(&mut writer, &mut model, &mut random, WORLD, 700);
    caught_up(&model);
    let view = reader.shared.view();
    assert!(view.runs.is_empty() && view.actives.len() > 9, "nothing has been written yet");
    model.check(&reader, &mut random, WORLD, 30);

    while writer.housekeep().unwrap() {}
    reader.shared.adopt();
    let (view, of_writer) = (reader.shared.view(), writer.log().shared.view());
    let ranges = |view: &View| view.runs.iter().map(|run| run.info).collect::<Vec<_>>();
    assert_eq!((ranges(&view), view.actives.len()), (ranges(&of_writer), 1));
    assert!(view.runs.iter().all(|run| run.unsaved().is_none()));
    model.check(&reader, &mut random, WORLD, 30);
}
