//! What happens on the disk, and in which order: a watcher sees every change before it is made, and holds it against
//! the rules of `FORMAT.md` as far as they can be seen from there.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;
#[path = "support/traced.rs"]
mod traced;

use eventstore::storage::{Clock, Environment};
use eventstore::{Engine, ExpectedVersion, Log, LogOffset, OpenError, Position, Store, Timestamp, verify};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use support::{Random, one, small};
use traced::{Change, traced};

/// What the watcher knows.
#[derive(Default)]
struct Watched {
    dir: PathBuf,
    /// By name: what has been written.
    files: BTreeMap<String, Vec<u8>>,
    /// Files with writes that no sync has followed.
    unsynced: BTreeSet<String>,
    /// Names that no sync of the directory has followed.
    unsynced_names: BTreeSet<String>,
    /// End of what has been written of the log, and of what has been synced.
    written: LogOffset,
    synced: LogOffset,
    frames: u32,
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn frame_len(header: &[u8]) -> usize {
    let streams = usize::from(u16::from_le_bytes([header[18], header[19]]));
    let body = u32::from_le_bytes(header[12..16].try_into().unwrap()) as usize;
    (96 + 8 * streams + body + 7) & !7
}

impl Watched {
    fn see(&mut self, change: &Change) {
        self.look_at_the_page();
        match change {
            Change::Write { name, offset, bytes } => self.write(name, *offset, bytes),
            Change::Resize { name, len } => assert!(!name.ends_with(".seg"), "{name} is cut to {len}"),
            Change::Sync { name } => {
                self.unsynced.remove(name);
                if name.ends_with(".seg") {
                    self.synced = self.written;
                }
            }
            Change::Rename { from, to } => {
                assert!(!self.unsynced.contains(from), "{from} is renamed before it is synced");
                let bytes = self.files.remove(from).unwrap_or_default();
                self.files.insert(to.clone(), bytes);
                self.unsynced_names.insert(to.clone());
            }
            Change::Remove { name } => {
                assert!(!name.ends_with(".seg"), "{name} is removed");
            }
            Change::SyncDir { name } => {
                if name == "log" {
                    self.unsynced_names.clear();
                }
            }
        }
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        let at = offset as usize;
        let file = self.files.entry(name.to_owned()).or_default();
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        if let Some(sequence) = name.strip_suffix(".seg") {
            assert!(!self.unsynced_names.contains(name), "{name} is used before its name is synced");
            let old = &file[at..at + bytes.len()];
            assert!(
                old.iter().zip(bytes).all(|(old, new)| *old == 0 || old == new),
                "bytes of {name} from {offset} on are overwritten with others"
            );
            let others = self.unsynced.iter().any(|other| other.ends_with(".seg") && other != name);
            assert!(offset > 0 || !others, "{name} is begun before the segment before it is on disk");
            self.frames(sequence.parse().unwrap(), at, bytes);
        }
        let file = self.files.entry(name.to_owned()).or_default();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        self.unsynced.insert(name.to_owned());
    }

    /// Every frame says exactly what was on disk before its own group was written.
    fn frames(&mut self, sequence: u32, at: usize, bytes: &[u8]) {
        let mut within = 0;
        while at > 0 && within < bytes.len() {
            let header = &bytes[within..];
            assert_eq!(&header[..4], b"SFRM", "at {}", at + within);
            assert_eq!(LogOffset::from_bits(number_at(header, 56)), self.synced, "durable_end of a frame");
            within += frame_len(header);
            self.frames += 1;
        }
        self.written = LogOffset::new(sequence, (at + bytes.len()) as u64);
    }

    /// The control page never says more than the disk has.
    fn look_at_the_page(&self) {
        let Ok(page) = fs::read(self.dir.join("control/log")) else { return };
        if page.len() == 4096 {
            let (durable, published) = (number_at(&page, 64), number_at(&page, 72));
            let published_end = LogOffset::from_bits(published);
            assert!(published_end <= self.synced, "published {published_end}, synced {}", self.synced);
            assert!(durable <= published);
        }
    }
}

fn watched(dir: &Path) -> (Environment, Arc<Mutex<Watched>>) {
    let watched = Arc::new(Mutex::new(Watched { dir: dir.to_owned(), ..Watched::default() }));
    let environment = traced({
        let watched = Arc::clone(&watched);
        move |change| {
            watched.lock().see(change);
            Ok(())
        }
    });
    (environment, watched)
}

fn turn(engine: &mut Engine) {
    engine.collect();
    while let Some(mut flush) = engine.begin_flush() {
        let done = flush.run();
        engine.finish_flush(flush, done);
        engine.collect();
    }
}

#[test]
fn bytes_are_synced_before_anybody_hears_of_them_and_names_before_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (environment, watched) = watched(dir.path());
    let mut engine = Engine::open(&environment, dir.path(), &small()).unwrap();
    let mut random = Random::seeded();
    for round in 0..200 {
        let mut waiting: Vec<_> = (0..=random.below(3))
            .map(|_| {
                let payload = "x".repeat(random.below(3_000) as usize);
                engine.submit(one("s-1", ExpectedVersion::Any, &payload)).unwrap()
            })
            .collect();
        engine.collect();
        while let Some(mut flush) = engine.begin_flush() {
            // Those of an earlier flush of this round have their answer.
            waiting.retain_mut(|pending| pending.try_answer().is_none());
            while let Some(step) = flush.step() {
                step.unwrap();
                let watched = watched.lock();
                watched.look_at_the_page();
                for pending in &mut waiting {
                    let unsynced = watched.synced < watched.written;
                    assert!(!unsynced || pending.try_answer().is_none(), "answered before it is synced");
                }
            }
            assert!(watched.lock().unsynced.iter().all(|name| !name.ends_with(".seg")), "round {round}");
            // A reader who comes now sees what is published, not what is written.
            let before = engine.log().watermark();
            assert_eq!(Log::open(dir.path()).unwrap().watermark(), before);
            engine.finish_flush(flush, Ok(()));
            engine.collect();
        }
        if random.below(4) == 0 {
            engine.quiet();
            turn(&mut engine);
        }
    }
    engine.close();
    let watched = watched.lock();
    assert!(watched.frames > 200 && watched.files.len() > 3, "the test must roll over segments");
    assert_eq!(watched.synced, watched.written);
}

/// What a crash has left only in the page cache is written again, the same bytes, and synced before it is believed.
#[test]
fn recovery_writes_the_same_bytes_again_and_syncs_them_before_it_publishes() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Engine::open(&Environment::default(), dir.path(), &small()).unwrap();
    let mut first = engine.submit(one("s-1", ExpectedVersion::NoStream, "1")).unwrap();
    turn(&mut engine);
    first.try_answer().unwrap().unwrap();
    let _lost = engine.submit(one("s-1", ExpectedVersion::Any, "2")).unwrap();
    engine.collect();
    let mut flush = engine.begin_flush().unwrap();
    flush.step().unwrap().unwrap();
    // The machine dies between the write and the sync; the bytes happen to be there.
    drop(flush);
    drop(engine);

    let path = dir.path().join("log/0000000000.seg");
    let before = fs::read(&path).unwrap();
    let changes = Arc::new(Mutex::new(Vec::new()));
    let environment = traced({
        let (changes, page) = (Arc::clone(&changes), dir.path().join("control/log"));
        move |change| {
            changes.lock().push((change.clone(), fs::read(&page).unwrap()[72..80].to_vec()));
            Ok(())
        }
    });
    let engine = Engine::open(&environment, dir.path(), &small()).unwrap();
    assert_eq!(engine.log().watermark(), Position::new(2));
    assert!(fs::read(&path).unwrap() == before);
    let changes = changes.lock();
    let of_segment = |change: &Change| match change {
        Change::Write { name, offset, bytes } if name == "0000000000.seg" => {
            let at = *offset as usize;
            assert!(bytes[..] == before[at..at + bytes.len()], "other bytes are written");
            Some("write")
        }
        Change::Sync { name } if name == "0000000000.seg" => Some("sync"),
        Change::Resize { name, .. } if name == "0000000000.seg" => panic!("a segment is cut"),
        _ => None,
    };
    let seen: Vec<_> = changes.iter().filter_map(|(change, _)| of_segment(change)).collect();
    assert_eq!(seen, ["write", "sync"]);
    // Until the sync the page still told of the first commit only.
    let upto_sync = changes.iter().position(|(change, _)| of_segment(change) == Some("sync")).unwrap();
    assert!(changes[..=upto_sync].iter().all(|(_, page)| *page == changes[0].1));
    drop(changes);
    engine.close();
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

/// A clock that is set by hand.
#[derive(Debug)]
struct ByHand(AtomicI64);

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp::new(self.0.load(Ordering::Relaxed))
    }
}

fn by_hand(clock: &Arc<ByHand>) -> Environment {
    Environment { clock: Arc::clone(clock) as Arc<dyn Clock>, ..Environment::default() }
}

#[test]
fn recorded_at_never_goes_back_whatever_the_clock_does() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ByHand(AtomicI64::new(1_000)));
    let mut random = Random::seeded();
    let mut count = 0;
    for _ in 0..5 {
        let mut engine = Engine::open(&by_hand(&clock), dir.path(), &small()).unwrap();
        for _ in 0..60 {
            let jump = random.below(2_000_000_000) as i64 - 1_000_000_000;
            clock.0.fetch_add(jump, Ordering::Relaxed);
            let mut pending = engine.submit(one("s-1", ExpectedVersion::Any, &"x".repeat(700))).unwrap();
            turn(&mut engine);
            pending.try_answer().unwrap().unwrap();
            count += 1;
            engine.quiet();
            turn(&mut engine);
        }
        // The longest way back between two sessions, and before 1970.
        clock.0.store(-i64::from(count), Ordering::Relaxed);
        engine.close();
    }
    let log = Log::open_offline(dir.path()).unwrap();
    let times: Vec<_> = log.commits(Position::ZERO).map(|commit| commit.unwrap().recorded_at()).collect();
    assert_eq!(times.len(), 5 * 60);
    assert!(times.is_sorted());
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
}

/// A clock that goes on by one whenever somebody looks.
#[derive(Debug, Default)]
struct Counted(AtomicI64);

impl Clock for Counted {
    fn now(&self) -> Timestamp {
        Timestamp::new(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// Whoever looks at the clock before it sends finds no earlier time in the log: ids are searched for from then on.
#[test]
fn nothing_is_recorded_before_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Counted::default());
    let environment = Environment { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Environment::default() };
    let store = Store::open_in(&environment, dir.path(), &small()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (store, clock) = (&store, &clock);
            scope.spawn(move || {
                for _ in 0..1_000 {
                    let commit = one(&format!("s-{writer}"), ExpectedVersion::Any, "{}");
                    let before = clock.now();
                    let recorded_at = store.append(commit).unwrap().recorded_at;
                    assert!(before <= recorded_at, "sent at {before}, recorded at {recorded_at}");
                }
            });
        }
    });
}

/// The end that something vouches for is the end of the log: that is not damage. One byte less is.
#[test]
fn a_log_that_ends_where_it_is_vouched_for_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Engine::open(&Environment::default(), dir.path(), &small()).unwrap();
    for _ in 0..3 {
        drop(engine.submit(one("s-1", ExpectedVersion::Any, "{}")).unwrap());
        turn(&mut engine);
    }
    // Without a mark: the page alone vouches for the last commit.
    drop(engine);
    let options = small();
    drop(Engine::open(&Environment::default(), dir.path(), &options).unwrap());
    let path = dir.path().join("log/0000000000.seg");
    let sound = fs::read(&path).unwrap();
    let last = sound.iter().rposition(|byte| *byte != 0).unwrap();
    let mut harmed = sound.clone();
    harmed[last] = 0;
    fs::write(&path, &harmed).unwrap();
    let refused = Engine::open(&Environment::default(), dir.path(), &options);
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    // Nor may the last frame be gone as if it had never been written.
    let mut last_frame = 4096;
    while sound[last_frame + frame_len(&sound[last_frame..])] != 0 {
        last_frame += frame_len(&sound[last_frame..]);
    }
    harmed[last_frame..].fill(0);
    fs::write(&path, &harmed).unwrap();
    let refused = Engine::open(&Environment::default(), dir.path(), &options);
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    fs::write(&path, &sound).unwrap();
    assert_eq!(
        Engine::open(&Environment::default(), dir.path(), &options).unwrap().log().watermark(),
        Position::new(3)
    );
}

/// Each writer has an epoch of its own, above all before it, whatever the control page says: a frame tells who wrote it.
#[test]
fn every_opening_has_a_higher_epoch() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        if round == 2 {
            fs::remove_dir_all(dir.path().join("control")).unwrap();
        }
        let mut engine = Engine::open(&Environment::default(), dir.path(), &small()).unwrap();
        drop(engine.submit(one("s-1", ExpectedVersion::Any, "{}")).unwrap());
        turn(&mut engine);
        engine.close();
    }
    let bytes = fs::read(dir.path().join("log/0000000000.seg")).unwrap();
    let (mut at, mut epochs) = (4096, Vec::new());
    while &bytes[at..at + 4] == b"SFRM" {
        epochs.push(u32::from_le_bytes(bytes[at + 24..at + 28].try_into().unwrap()));
        at += frame_len(&bytes[at..]);
    }
    // A commit and the mark of its writer's end.
    let expected: Vec<_> = epochs.iter().step_by(2).flat_map(|epoch| [*epoch, *epoch]).collect();
    assert_eq!(epochs, expected);
    epochs.dedup();
    assert_eq!(epochs.len(), 4);
    assert!(epochs.is_sorted());
}
