//! The index on disk is never authoritative: whatever becomes of its files, answers stay those of the log.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use eventstore::storage::Environment;
use eventstore::{Direction, Durability, Engine, Log, OpenError, Position, ReadError, StoreOptions, Version};
use std::fs;
use std::path::{Path, PathBuf};
use support::history::{Model, World, append};
use support::{Random, stream};

const WORLD: World = World { streams: 300, tags: 60, payload: 1500 };

fn engine(dir: &Path) -> Engine {
    let options = StoreOptions { segment_bytes: 64 << 10, durability: Durability::Os };
    Engine::open(&Environment::default(), dir, &options).unwrap()
}

fn keep_house(engine: &mut Engine) {
    while engine.housekeep().unwrap() {}
}

fn runs(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir.join("index")) else { return Vec::new() };
    let mut runs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    runs
}

fn segments(dir: &Path) -> u32 {
    let used = |sequence: &u32| {
        fs::read(dir.join(format!("log/{sequence:010}.seg"))).is_ok_and(|bytes| bytes[..8] != [0; 8])
    };
    (0..).take_while(used).count() as u32
}

/// A log over `count` segments, indexed as far as it goes, closed.
fn filled(random: &mut Random, count: u32) -> (tempfile::TempDir, Model) {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let mut engine = engine(dir.path());
    while segments(dir.path()) < count {
        append(&mut engine, &mut model, random, WORLD, 20);
    }
    keep_house(&mut engine);
    engine.close();
    (dir, model)
}

#[test]
fn answers_are_those_of_the_model_over_rolls_merges_reopenings_and_lost_or_rotten_files() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let mut writer = engine(dir.path());
    append(&mut writer, &mut model, &mut random, WORLD, 5);
    let reader = Log::open(dir.path()).unwrap();
    for round in 0..40 {
        let count = random.below(120);
        append(&mut writer, &mut model, &mut random, WORLD, count);
        for _ in 0..random.below(12) {
            writer.housekeep().unwrap();
        }
        model.check(&writer.log(), &mut random, WORLD, 20);
        if round % 4 == 0 {
            let watermark = Position::new(model.events.len() as u64);
            assert!(reader.wait_for(watermark, std::time::Duration::from_secs(20)));
            model.check(&reader, &mut random, WORLD, 20);
        }
        // Files may rot while they are in use, and before they are opened.
        harm(dir.path(), &mut random);
        model.check(&writer.log(), &mut random, WORLD, 20);
        if random.below(4) == 0 {
            writer.close();
            harm(dir.path(), &mut random);
            model.check(&Log::open_offline(dir.path()).unwrap(), &mut random, WORLD, 20);
            writer = engine(dir.path());
        }
    }
    model.check_all(&writer.log());
    keep_house(&mut writer);
    model.check(&writer.log(), &mut random, WORLD, 200);
    model.check(&reader, &mut random, WORLD, 200);
    writer.close();
    assert!(eventstore::verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

/// Does something to an index that must not matter.
fn harm(dir: &Path, random: &mut Random) {
    let runs = runs(dir);
    if runs.is_empty() {
        return;
    }
    let run = &runs[random.below(runs.len() as u64) as usize];
    match random.below(6) {
        0 => fs::remove_file(run).unwrap(),
        1 => {
            // In place, as a disk does it: whoever has it mapped sees it.
            use std::os::unix::fs::FileExt;
            let file = fs::File::options().read(true).write(true).open(run).unwrap();
            let len = file.metadata().unwrap().len();
            for _ in 0..random.below(40).min(len) {
                let at = random.below(len);
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1 << random.below(8)], at).unwrap();
            }
        }
        2 => {
            // Another run under this name; the old file stays for whoever has it mapped.
            let other = fs::read(&runs[random.below(runs.len() as u64) as usize]).unwrap();
            fs::remove_file(run).unwrap();
            fs::write(run, other).unwrap();
        }
        3 => {
            let bytes = fs::read(run).unwrap();
            fs::remove_file(run).unwrap();
            fs::write(run, &bytes[..random.below(bytes.len() as u64 + 1) as usize]).unwrap();
        }
        4 => fs::write(run.with_extension("idx.tmp"), b"half of a run").unwrap(),
        _ => {}
    }
}

#[test]
fn runs_stay_few_and_the_files_are_those_in_use() {
    let mut random = Random::seeded();
    let (dir, model) = filled(&mut random, 75);
    let names = |dir| -> Vec<String> {
        runs(dir).iter().map(|run| run.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let found = names(dir.path());
    // 74 ended segments in base 8: one of 64, one of 8, and two.
    let sealed = segments(dir.path()) - 1;
    let digits = sealed / 64 + sealed % 64 / 8 + sealed % 8;
    assert_eq!(found.len() as u32, digits, "{found:?}");
    assert_eq!(found[0], "0000000000-0000000063");
    fs::write(dir.path().join("index/0000000001-0000000002.idx"), b"left behind").unwrap();
    fs::write(dir.path().join("index/of-somebody-else"), b"not ours").unwrap();
    let writer = engine(dir.path());
    model.check(&writer.log(), &mut random, WORLD, 100);
    writer.close();
    let mut expected = found;
    expected.push("of-somebody-else".to_owned());
    assert_eq!(names(dir.path()), expected);
    // All of it lost: the writer makes the same files again.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    model.check(&Log::open_offline(dir.path()).unwrap(), &mut random, WORLD, 100);
    assert!(runs(dir.path()).is_empty(), "a reader writes nothing");
    engine(dir.path()).close();
    expected.pop();
    assert_eq!(names(dir.path()), expected);
}

#[test]
fn opening_reads_no_ended_segment_and_damage_there_is_told_when_it_is_met() {
    let mut random = Random::seeded();
    let (dir, model) = filled(&mut random, 12);
    let path = dir.path().join("log/0000000005.seg");
    let sound = fs::read(&path).unwrap();
    let mut bytes = sound.clone();
    bytes[20_000..60_000].fill(0x55);
    fs::write(&path, &bytes).unwrap();

    let check = |log: &Log, what: &str| {
        let mut commits = log.commits(Position::ZERO);
        let read: Vec<_> = commits.by_ref().take_while(Result::is_ok).map(Result::unwrap).collect();
        assert!(commits.next().is_none(), "{what}: an error ends it");
        let shape: Vec<_> = read.iter().map(|commit| (commit.first().get(), commit.len() as u64)).collect();
        assert_eq!(shape[..], model.commits[..shape.len()], "{what}");
        assert!(shape.len() < model.commits.len(), "{what}");
        assert_eq!(read.last().unwrap().place().segment(), 5, "{what}");
        // Every answer is right or an error that names the segment.
        let mut refused = 0;
        for number in 0..300 {
            let name = format!("s-{number}");
            let expected: Vec<_> =
                model.events.iter().filter(|event| event.stream == name).map(|event| event.id).collect();
            match log.read_stream(&stream(&name), Version::ZERO, Direction::Forward, usize::MAX) {
                Ok(events) => assert_eq!(
                    events.iter().map(|event| event.get().unwrap().id()).collect::<Vec<_>>(),
                    expected
                ),
                Err(ReadError::Damaged { segment: 5, .. }) => refused += 1,
                Err(error) => panic!("{what}: {error}"),
            }
            match log.stream_version(&stream(&name)) {
                Ok(version) => {
                    assert_eq!(version.map_or(0, |version| version.get() + 1), expected.len() as u64);
                }
                Err(ReadError::Damaged { segment: 5, .. }) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
        assert!(refused > 0, "{what}");
    };
    let offline = Log::open_offline(dir.path()).unwrap();
    assert!(offline.damage().is_none());
    assert_eq!(offline.watermark(), Position::new(model.events.len() as u64));
    check(&offline, "offline");
    let writer = engine(dir.path());
    check(&writer.log(), "the writer");
    check(&Log::open(dir.path()).unwrap(), "a follower");
    writer.close();

    // Without an index the segment has to be read, and what is not sound is not indexed.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let options = StoreOptions { segment_bytes: 64 << 10, durability: Durability::Os };
    match Engine::open(&Environment::default(), dir.path(), &options) {
        Err(OpenError::Damaged { segment: 5, offset, .. }) => {
            assert!(offset <= 20_000, "{offset}");
        }
        other => panic!("{:?}", other.err()),
    }
    assert!(matches!(Log::open(dir.path()), Err(OpenError::Damaged { segment: 5, .. })));
    let offline = Log::open_offline(dir.path()).unwrap();
    let damage = offline.damage().unwrap();
    assert_eq!((damage.segment, damage.position), (5, offline.watermark()));
    let read = offline.commits(Position::ZERO).map(Result::unwrap).count();
    assert_eq!(model.commits[read].0, offline.watermark().get());

    fs::write(&path, &sound).unwrap();
    engine(dir.path()).close();
    model.check_all(&Log::open_offline(dir.path()).unwrap());
}

#[test]
fn a_log_whose_later_segment_is_lost_is_readable_up_to_there() {
    let mut random = Random::seeded();
    let (dir, model) = filled(&mut random, 6);
    fs::remove_file(dir.path().join("log/0000000003.seg")).unwrap();
    let log = Log::open_offline(dir.path()).unwrap();
    let damage = log.damage().unwrap();
    assert_eq!((damage.segment, damage.position), (3, log.watermark()));
    let commits: Vec<_> = log.commits(Position::ZERO).map(Result::unwrap).collect();
    assert_eq!(commits.last().unwrap().place().segment(), 2);
    let shape: Vec<_> = commits.iter().map(|commit| (commit.first().get(), commit.len() as u64)).collect();
    assert_eq!(shape[..], model.commits[..shape.len()]);
}

#[test]
fn an_index_that_cannot_be_written_stays_in_memory_until_it_can() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    // A file in the place of the directory: nothing can be listed, written or opened there.
    fs::write(dir.path().join("index"), b"").unwrap();
    let mut writer = engine(dir.path());
    while segments(dir.path()) < 20 {
        append(&mut writer, &mut model, &mut random, WORLD, 20);
        assert_eq!(writer.housekeep().is_err(), segments(dir.path()) > 1);
    }
    model.check(&writer.log(), &mut random, WORLD, 50);
    model.check(&Log::open(dir.path()).unwrap(), &mut random, WORLD, 50);
    writer.close();
    let mut writer = engine(dir.path());
    model.check(&writer.log(), &mut random, WORLD, 50);
    model.check(&Log::open_offline(dir.path()).unwrap(), &mut random, WORLD, 50);
    assert!(writer.housekeep().is_err());

    fs::remove_file(dir.path().join("index")).unwrap();
    keep_house(&mut writer);
    assert!(runs(dir.path()).len() > 1);
    model.check(&writer.log(), &mut random, WORLD, 50);
}

/// The files of another log's index, names and all: not of these segments, so not believed, in use or at opening.
#[test]
fn the_index_of_another_log_is_not_believed() {
    let mut random = Random::seeded();
    let (dir, model) = filled(&mut random, 12);
    let (other, _) = filled(&mut random, 12);
    let replace = || {
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        fs::create_dir(dir.path().join("index")).unwrap();
        for run in runs(other.path()) {
            fs::copy(&run, dir.path().join("index").join(run.file_name().unwrap())).unwrap();
        }
    };
    replace();
    model.check(&Log::open_offline(dir.path()).unwrap(), &mut random, WORLD, 100);
    let writer = engine(dir.path());
    model.check(&writer.log(), &mut random, WORLD, 100);
    replace();
    model.check(&Log::open(dir.path()).unwrap(), &mut random, WORLD, 100);
    writer.close();
    engine(dir.path()).close();
    model.check(&Log::open_offline(dir.path()).unwrap(), &mut random, WORLD, 100);
}
