//! A log whose old segments are in an archive is the same log: answers do not change, whatever the archive does, and
//! nothing is removed that has not been read back.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use eventstore::archive::{
    Archive, ArchiveError, ArchiveOptions, Archived, Archives, Directories, answers, archive, url_of,
};
use eventstore::backup::{BackupError, BackupOptions, backup, sound_end};
use eventstore::storage::Environment;
use eventstore::{
    Durability, Engine, Log, LogOffset, OpenError, PieceError, Position, ReadError, StoreOptions, inspect,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::Random;
use support::history::{Model, World, append};

const WORLD: World = World { streams: 40, tags: 20, payload: 1500 };

fn engine_in(environment: &Environment, dir: &Path) -> Engine {
    let options = StoreOptions { segment_bytes: 64 << 10, durability: Durability::Os };
    Engine::open(environment, dir, &options).unwrap()
}

fn engine(dir: &Path) -> Engine {
    engine_in(&Environment::default(), dir)
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

/// A log over so many segments with all its runs, closed; and a place for its archive.
struct Filled {
    dir: tempfile::TempDir,
    place: tempfile::TempDir,
    model: Model,
    random: Random,
}

impl Filled {
    fn new(segments: usize) -> Self {
        let (dir, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut model, mut random) = (Model::default(), Random::seeded());
        let mut writer = engine(dir.path());
        while files(&dir.path().join("log"), "seg").len() <= segments {
            append(&mut writer, &mut model, &mut random, WORLD, 10);
        }
        while writer.housekeep().unwrap() {}
        writer.close();
        Self { dir, place, model, random }
    }

    fn options(&self) -> ArchiveOptions {
        let url = format!("file://{}", self.place.path().display());
        ArchiveOptions { url, below: Position::new(u64::MAX), unsigned: true }
    }

    fn archive(&self) -> Result<Vec<Archived>, ArchiveError> {
        archive(&Environment::default(), self.dir.path(), &self.options(), |_| {})
    }

    /// What readers of every kind see is what was appended.
    fn check(&mut self) {
        self.model.check(&Log::open_offline(self.dir.path()).unwrap(), &mut self.random, WORLD, 60);
        let writer = engine(self.dir.path());
        self.model.check(&writer.log(), &mut self.random, WORLD, 60);
        writer.close();
    }

    fn objects(&self) -> Vec<PathBuf> {
        let stores = fs::read_dir(self.place.path()).unwrap();
        stores.flat_map(|store| files(&store.unwrap().path(), "seg")).collect()
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

/// Every event is read, or the first error is told.
fn read_all(log: &Log) -> Result<usize, ReadError> {
    let mut events = 0;
    for commit in log.commits(Position::ZERO) {
        events += commit?.events().count();
    }
    Ok(events)
}

#[test]
fn answers_do_not_change_when_segments_leave_beside_a_writer_and_its_readers() {
    let mut filled = Filled::new(6);
    let mut writer = engine(filled.dir.path());
    let reader = Log::open(filled.dir.path()).unwrap();
    // Some commits are of a command alone.
    let mut commits = reader.commits(Position::ZERO).map(Result::unwrap);
    let early = commits.find(|commit| !commit.is_empty()).unwrap();
    let archived = filled.archive().unwrap();
    assert!(archived.len() >= 5 && archived.iter().all(|one| one.moved), "{archived:?}");
    assert_eq!(files(&filled.log_dir(), "ref").len(), archived.len());
    assert!(!filled.log_dir().join("0000000000.seg").exists());
    assert_eq!(filled.objects().len(), archived.len());

    // Who had them mapped has them still; the writer goes on; who comes later fetches.
    assert!(early.events().count() > 0);
    filled.model.check(&reader, &mut filled.random, WORLD, 60);
    assert!(files(&filled.dir.path().join("cache"), "seg").is_empty());
    append(&mut writer, &mut filled.model, &mut filled.random, WORLD, 200);
    filled.model.check(&writer.log(), &mut filled.random, WORLD, 60);
    writer.close();
    drop(reader);
    filled.check();
    assert!(!files(&filled.dir.path().join("cache"), "seg").is_empty());

    // What was written in the meantime can follow it.
    let mut writer = engine(filled.dir.path());
    while writer.housekeep().unwrap() {}
    writer.close();
    let again = filled.archive().unwrap();
    assert!(again.len() > archived.len() && !again[0].moved && again.last().unwrap().moved);
    filled.check();
}

#[test]
fn opening_asks_nothing_of_the_archive_and_an_archive_that_is_gone_is_an_error_not_an_answer() {
    let mut filled = Filled::new(4);
    let archived = filled.archive().unwrap();
    let away = filled.place.path().with_extension("away");
    fs::rename(filled.place.path(), &away).unwrap();
    let writer = engine(filled.dir.path());
    let here = Position::new(archived.last().unwrap().next.get() + 1);
    assert!(writer.log().event(here).unwrap().is_some(), "what is here is read");
    let error = writer.log().event(Position::ZERO).unwrap_err();
    assert!(matches!(error, ReadError::InArchive { segment: 0 }), "not here is not damaged: {error}");
    assert!(matches!(
        writer.log().segment_piece(1, 0, 1 << 20),
        Err(PieceError::Read(ReadError::InArchive { .. }))
    ));
    assert!(read_all(&writer.log()).is_err());
    // The same process reads on when it is back.
    fs::rename(&away, filled.place.path()).unwrap();
    assert_eq!(read_all(&writer.log()).unwrap(), filled.model.events.len());
    let standby = writer.log().segment_piece(1, 0, 1 << 20).unwrap();
    assert!(standby.bytes.len() > 40_000, "a standby is fed from the archive, too");
    writer.close();
    filled.check();
}

/// Nobody may take for lost what is only out of reach: a repair would give it up.
#[test]
fn without_its_archive_nothing_is_taken_for_damaged() {
    let filled = Filled::new(4);
    let _ = filled.archive().unwrap();
    let environment = Environment::default();
    let dir = filled.dir.path();
    let away = filled.place.path().with_extension("away");
    fs::rename(filled.place.path(), &away).unwrap();
    // Without its indexes a log has to be read to be opened.
    fs::remove_dir_all(dir.join("index")).unwrap();
    let refused = |error: OpenError| assert!(matches!(error, OpenError::InArchive { segment: 0 }), "{error}");
    refused(Log::open_offline(dir).unwrap_err());
    refused(Log::open(dir).unwrap_err());
    let options = StoreOptions { segment_bytes: 64 << 10, durability: Durability::Os };
    refused(Engine::open(&environment, dir, &options).unwrap_err());
    refused(inspect::frame(&environment, dir, LogOffset::new(0, 4096)).unwrap_err());
    match sound_end(&environment, dir) {
        Err(BackupError::Open(error)) => refused(error),
        other => panic!("{other:?}"),
    }
    let to = tempfile::tempdir().unwrap();
    match backup(&environment, dir, &to.path().join("backup"), BackupOptions::default(), &mut |_| {}) {
        Err(BackupError::Open(error)) => refused(error),
        other => panic!("{other:?}"),
    }
    let unreachable = answers(&environment, dir).unwrap_err();
    assert!(unreachable.to_string().contains("segment"), "{unreachable}");

    fs::rename(&away, filled.place.path()).unwrap();
    assert!(answers(&environment, dir).unwrap());
    let facts = inspect::frame(&environment, dir, LogOffset::new(0, 4096)).unwrap();
    assert!(facts.problem.is_none() && facts.length > 96, "{facts:?}");
    let (end, damage) = sound_end(&environment, dir).unwrap();
    assert!(damage.is_none() && end.get() as usize == filled.model.events.len(), "{end} {damage:?}");
}

/// As long as nothing is there, a slip of the pen can be mended.
#[test]
fn where_the_archive_is_may_change_until_something_is_there() {
    let filled = Filled::new(2);
    let url = |name: &str| format!("file://{}/{name}", filled.place.path().display());
    fs::create_dir(filled.place.path().join("right")).unwrap();
    let archive_to = |url: String, below| {
        let options = ArchiveOptions { url, below: Position::new(below), unsigned: true };
        archive(&Environment::default(), filled.dir.path(), &options, |_| {})
    };
    assert!(archive_to(url("a-slip"), 0).unwrap().is_empty());
    assert!(!archive_to(url("right"), u64::MAX).unwrap().is_empty());
    let refused = archive_to(url("elsewhere"), u64::MAX);
    assert!(matches!(refused, Err(ArchiveError::OtherArchive { .. })), "{refused:?}");
    assert_eq!(url_of(&Environment::default(), filled.dir.path()).unwrap(), Some(url("right")));
}

/// What was fetched is given out, whether it can be kept or not; and what others left half fetched does not pile up.
#[test]
fn a_cache_that_cannot_be_kept_fails_nobody() {
    let filled = Filled::new(3);
    let _ = filled.archive().unwrap();
    let cache = filled.dir.path().join("cache");
    for number in 0..20 {
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join(format!("0000000001.77-{number}.part")), b"half").unwrap();
    }
    // Directories in the place of what should be there can be neither replaced nor removed as files.
    fs::create_dir_all(cache.join("0000000000.seg/in")).unwrap();
    let log = Log::open_offline(filled.dir.path()).unwrap();
    assert_eq!(read_all(&log).unwrap(), filled.model.events.len());
    assert!(cache.join("0000000000.seg/in").is_dir() && cache.join("0000000001.seg").is_file());
    assert!(files(&cache, "part").len() <= 8, "{:?}", files(&cache, "part"));
}

#[test]
fn bytes_that_are_not_what_was_put_there_are_never_given_out() {
    let filled = Filled::new(4);
    filled.archive().unwrap();
    let object = filled.objects().remove(1);
    let bytes = fs::read(&object).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let longer = [&bytes[..], b"x"].concat();
    for wrong in [&flipped[..], &bytes[..bytes.len() - 1], &longer[..], b""] {
        fs::write(&object, wrong).unwrap();
        // It answers, and what it says is wrong: that is damage, and not a matter of trying again.
        let error = read_all(&Log::open_offline(filled.dir.path()).unwrap()).unwrap_err();
        assert!(matches!(error, ReadError::Damaged { segment: 1, .. }), "{error}");
        let (end, damage) = sound_end(&Environment::default(), filled.dir.path()).unwrap();
        let damage = damage.unwrap();
        assert!(damage.segment == 1 && damage.position == end && end > Position::ZERO, "{end} {damage}");
    }
    let newest = filled.objects().pop().unwrap();
    let whole = fs::read(&newest).unwrap();
    for wrong in [&b""[..], &whole[..100], &[7; 5_000]] {
        fs::write(&newest, wrong).unwrap();
        let error = answers(&Environment::default(), filled.dir.path()).unwrap_err();
        assert!(error.to_string().contains("not the one"), "{error}");
    }
    fs::write(&newest, &whole).unwrap();
    assert!(answers(&Environment::default(), filled.dir.path()).unwrap());
    fs::write(&object, &bytes).unwrap();
    read_all(&Log::open_offline(filled.dir.path()).unwrap()).unwrap();
    // Nor what has rotted in the cache: it is fetched anew.
    let cached = filled.dir.path().join("cache/0000000001.seg");
    let mut rotten = fs::read(&cached).unwrap();
    rotten[5000] ^= 1;
    fs::write(&cached, &rotten).unwrap();
    assert_eq!(read_all(&Log::open_offline(filled.dir.path()).unwrap()).unwrap(), filled.model.events.len());
    // A reference that has rotted is named.
    let reference = filled.log_dir().join("0000000002.ref");
    let mut rotten = fs::read(&reference).unwrap();
    rotten[4100] ^= 1;
    fs::write(&reference, &rotten).unwrap();
    let error =
        Engine::open(&Environment::default(), filled.dir.path(), &StoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("segment 2"), "{error}");
}

#[test]
fn reading_all_of_it_keeps_little_of_it_here() {
    let filled = Filled::new(14);
    let archived = filled.archive().unwrap();
    assert!(archived.len() > 10);
    let log = Log::open_offline(filled.dir.path()).unwrap();
    assert_eq!(read_all(&log).unwrap(), filled.model.events.len());
    let cached = files(&filled.dir.path().join("cache"), "seg").len();
    assert!((1..=8).contains(&cached), "{cached}");
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let cache = filled.dir.path().join("cache").display().to_string();
    let mapped = maps.lines().filter(|line| line.contains(&cache)).count();
    assert!((1..=5).contains(&mapped), "{mapped} segments of the archive are mapped");
}

#[test]
fn only_what_is_below_and_signed_and_indexed_and_sound_leaves() {
    let mut filled = Filled::new(5);
    let options = ArchiveOptions { unsigned: false, ..filled.options() };
    let none = archive(&Environment::default(), filled.dir.path(), &options, |_| {}).unwrap();
    assert_eq!(none, [], "no checkpoint was ever signed");

    let second = {
        let log = Log::open_offline(filled.dir.path()).unwrap();
        let in_second =
            log.commits(Position::ZERO).map(Result::unwrap).find(|one| one.place().segment() == 1);
        in_second.unwrap().first()
    };
    for (below, expected) in [(second.get() - 1, 0), (second.get(), 1)] {
        let options = ArchiveOptions { below: Position::new(below), ..filled.options() };
        let moved = archive(&Environment::default(), filled.dir.path(), &options, |_| {}).unwrap();
        assert_eq!(moved.len(), expected, "below {below}");
    }

    let other = ArchiveOptions { url: "file:///elsewhere".to_owned(), ..filled.options() };
    let error = archive(&Environment::default(), filled.dir.path(), &other, |_| {}).unwrap_err();
    assert!(matches!(error, ArchiveError::OtherArchive { .. }), "{error}");

    let hidden = filled.dir.path().join("hidden");
    fs::rename(filled.dir.path().join("index"), &hidden).unwrap();
    assert_eq!(filled.archive().unwrap().len(), 1, "without an index the next opening would fetch them");
    fs::rename(&hidden, filled.dir.path().join("index")).unwrap();

    let path = filled.log_dir().join("0000000002.seg");
    let sound = fs::read(&path).unwrap();
    let mut rotten = sound.clone();
    rotten[9000] ^= 4;
    fs::write(&path, &rotten).unwrap();
    let error = filled.archive().unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { segment: 2, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), rotten, "it stays where it is");
    assert_eq!(filled.objects().len(), 2, "the one before it has left, it has not");
    fs::write(&path, &sound).unwrap();
    filled.archive().unwrap();
    filled.check();
}

#[test]
fn a_url_that_nobody_understands_is_not_noted() {
    let filled = Filled::new(2);
    for url in ["", "s3://bucket", "file://relative", "ftp://x\n", &"x".repeat(3000)] {
        let options = ArchiveOptions { url: url.to_owned(), ..filled.options() };
        assert!(archive(&Environment::default(), filled.dir.path(), &options, |_| {}).is_err(), "{url:?}");
        assert!(!filled.log_dir().join("ARCHIVE").exists(), "{url:?}");
    }
    filled.archive().unwrap();
}

/// An archive that fails, lies or ends the work at its n-th call.
#[derive(Debug)]
struct Failing {
    calls: Arc<AtomicU32>,
    fails_at: u32,
    lies: bool,
    inner: Option<Arc<dyn Archive>>,
}

impl Archives for Failing {
    fn open(&self, url: &str) -> io::Result<Arc<dyn Archive>> {
        let (calls, inner) = (Arc::clone(&self.calls), Some(Directories.open(url)?));
        Ok(Arc::new(Self { calls, inner, ..*self }))
    }
}

impl Failing {
    fn fails(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) == self.fails_at
    }
}

impl Archive for Failing {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.fails() {
            return Err(io::Error::other("the network is gone"));
        }
        self.inner.as_ref().unwrap().put(name, bytes)
    }

    fn get(&self, name: &str, piece: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<()> {
        match (self.fails(), self.lies) {
            (true, true) => piece(b"something else"),
            (true, false) => Err(io::Error::other("the network is gone")),
            _ => self.inner.as_ref().unwrap().get(name, piece),
        }
    }
}

#[test]
fn an_archive_that_fails_or_lies_at_any_call_costs_nothing() {
    for lies in [false, true] {
        for fails_at in 0..6 {
            let mut filled = Filled::new(3);
            let failing = Failing { calls: Arc::default(), fails_at, lies, inner: None };
            let environment = Environment::with_archives(Arc::new(failing));
            let failed = archive(&environment, filled.dir.path(), &filled.options(), |_| {});
            // A lie is told by reading only.
            assert!(failed.is_err(), "call {fails_at}, lies: {lies}");
            // Every segment is here, or whole in the archive.
            for sequence in 0..3 {
                let name = filled.log_dir().join(format!("{sequence:010}"));
                assert!(name.with_extension("seg").exists() || name.with_extension("ref").exists());
            }
            filled.check();
            filled.archive().unwrap();
            filled.check();
        }
    }
}

#[test]
fn a_crash_between_any_two_steps_leaves_a_log_that_opens() {
    // What is on disk after each step of a segment's way: object; object and reference; both, and the segment.
    let mut filled = Filled::new(3);
    let before = tempfile::tempdir().unwrap();
    support::copy(&filled.log_dir(), before.path());
    filled.archive().unwrap();
    for sequence in 0..3 {
        let seg = format!("{sequence:010}.seg");
        fs::copy(before.path().join(&seg), filled.log_dir().join(&seg)).unwrap();
        filled.check();
        // The reference is gone again, or half: the segment counts.
        let reference = filled.log_dir().join(format!("{sequence:010}.ref"));
        let bytes = fs::read(&reference).unwrap();
        fs::write(&reference, &bytes[..100]).unwrap();
        filled.check();
        fs::remove_file(&reference).unwrap();
        filled.check();
        assert!(filled.archive().unwrap()[sequence].moved);
        filled.check();
    }
    // Leftovers of a process that died while it wrote or fetched are in nobody's way.
    fs::write(filled.log_dir().join("0000000001.writing"), b"half").unwrap();
    fs::create_dir_all(filled.dir.path().join("cache")).unwrap();
    fs::write(filled.dir.path().join("cache/0000000001.77-1.part"), b"half").unwrap();
    filled.check();
}

#[test]
fn verify_sees_through_to_the_archive_and_says_what_is_wrong_with_it() {
    use eventstore::verify::{Class, VerifyOptions, check_runs, verify_with};
    let filled = Filled::new(6);
    let data = filled.dir.path();
    let before = eventstore::verify(data, &mut |_| {}).unwrap();
    assert!(before.is_intact(), "{:?}", before.findings);
    let archived = filled.archive().unwrap().len();
    let after = eventstore::verify(data, &mut |_| {}).unwrap();
    assert!(after.is_intact(), "{:?}", after.findings);
    assert_eq!(
        (after.events, after.next, after.chain, after.extents.len()),
        (before.events, before.next, before.chain, before.extents.len())
    );
    let environment = Environment::default();
    let runs = check_runs(&environment, data, 0, &mut || true).unwrap();
    assert!(runs.compared > 0 && runs.findings.is_empty(), "{runs:?}");
    assert!(files(&data.join("cache"), "seg").is_empty(), "nothing is written");

    // What goes on all the time does not fetch.
    let ended = VerifyOptions { ended_only: true, ..VerifyOptions::default() };
    let scrubbed = verify_with(&environment, data, &ended, &mut |_| true).unwrap();
    assert!(scrubbed.is_intact(), "{:?}", scrubbed.findings);
    let checked = scrubbed.extents.iter().filter(|extent| extent.is_checked).count();
    assert_eq!(checked, 0, "all that have ended are in the archive: {:?}", scrubbed.extents);

    // An archive that gives other bytes, one that gives none, and a reference that is rotten.
    let object = filled.objects().remove(2);
    let bytes = fs::read(&object).unwrap();
    let mut changed = bytes.clone();
    changed[9_000] ^= 1;
    fs::write(&object, changed).unwrap();
    let found = eventstore::verify(data, &mut |_| {}).unwrap();
    assert!(
        found.findings.iter().any(|it| it.class == Class::Bitrot && it.segment == 2),
        "{:?}",
        found.findings
    );
    assert!(!found.is_tampered() && !found.is_unreadable());
    fs::remove_file(&object).unwrap();
    let found = eventstore::verify(data, &mut |_| {}).unwrap();
    assert!(found.is_unreadable() && !found.is_tampered(), "{:?}", found.findings);
    fs::write(&object, bytes).unwrap();
    let reference = &files(&filled.log_dir(), "ref")[archived - 1];
    let mut rotten = fs::read(reference).unwrap();
    rotten[4_110] ^= 1;
    fs::write(reference, rotten).unwrap();
    let found = eventstore::verify(data, &mut |_| {}).unwrap();
    assert!(found.findings.iter().any(|it| it.class == Class::Bitrot), "{:?}", found.findings);
}
