//! A standby loses its power anywhere: between any two steps of its storage, with any sectors of what was not synced.
//! What is left is a standby that goes on, and one that can be promoted.

use crate::pair::{
    PIECE, assert_identical, assert_intact, catch_up, group, history, mark, segment, source, standby,
};
use crate::support::{Random, one, small};
use eventstore::storage::{Access, Environment, Storage, StorageFile};
use eventstore::{ExpectedVersion, Log, Map, Replica, SharedPage, Store, promote};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a disk loses it loses by sectors.
const SECTOR: usize = 512;

/// One step of a storage, and what the control page said when it was taken.
#[derive(Debug)]
struct Step {
    what: What,
    page: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
enum What {
    Made(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// This machine's files, and a list of what was done to them.
#[derive(Debug)]
struct Spied {
    real: Arc<dyn Storage>,
    root: PathBuf,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Spied {
    fn note(&self, what: What) {
        note(&self.steps, &self.root, what);
    }
}

fn note(steps: &Mutex<Vec<Step>>, root: &Path, what: What) {
    steps.lock().push(Step { what, page: fs::read(root.join("control/log")).ok() });
}

/// Indexes are no part of it: they are built anew when they are gone.
fn is_of_log(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.ends_with("log"))
}

impl Storage for Spied {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.real.list(dir)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        let real = self.real.open(path, access)?;
        if !is_of_log(path) || access == Access::Read {
            return Ok(real);
        }
        if access != Access::Write {
            self.note(What::Made(path.to_owned()));
        }
        let (root, steps) = (self.root.clone(), Arc::clone(&self.steps));
        // A file is known by the name that it got last; only names of the log's directory are ever changed.
        let name = Arc::new(Mutex::new(path.to_owned()));
        Ok(Arc::new(SpiedFile { real, root, name, steps }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if is_of_log(from) {
            self.note(What::Rename(from.to_owned(), to.to_owned()));
        }
        self.real.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if is_of_log(path) {
            self.note(What::Remove(path.to_owned()));
        }
        self.real.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.sync_dir(dir)
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.real.lock(path, note)
    }

    fn is_locked(&self, path: &Path) -> bool {
        self.real.is_locked(path)
    }
}

#[derive(Debug)]
struct SpiedFile {
    real: Arc<dyn StorageFile>,
    root: PathBuf,
    name: Arc<Mutex<PathBuf>>,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl SpiedFile {
    /// A segment is made under another name and keeps being written through the same handle.
    fn name(&self) -> PathBuf {
        let mut name = self.name.lock();
        if !name.exists() && name.extension().is_some_and(|extension| extension == "preparing") {
            *name = name.with_extension("").with_extension("seg");
        }
        name.clone()
    }
}

impl StorageFile for SpiedFile {
    fn len(&self) -> io::Result<u64> {
        self.real.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.real.set_len(len)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.real.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        note(&self.steps, &self.root, What::Write(self.name(), offset, bytes.to_vec()));
        self.real.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        note(&self.steps, &self.root, What::Sync(self.name()));
        self.real.sync()
    }

    fn map(&self) -> io::Result<Map> {
        self.real.map()
    }

    fn shared_page(&self, len: usize, writable: bool) -> io::Result<SharedPage> {
        self.real.shared_page(len, writable)
    }
}

/// A file as a disk has it: what was synced, and what may or may not have got there.
#[derive(Debug, Default, Clone)]
struct OnDisk {
    synced: Vec<u8>,
    written: Vec<(u64, Vec<u8>)>,
}

impl OnDisk {
    fn write(bytes: &mut Vec<u8>, offset: u64, piece: &[u8]) {
        let at = usize::try_from(offset).unwrap();
        if bytes.len() < at + piece.len() {
            bytes.resize(at + piece.len(), 0);
        }
        bytes[at..at + piece.len()].copy_from_slice(piece);
    }

    fn sync(&mut self) {
        for (offset, piece) in self.written.drain(..) {
            Self::write(&mut self.synced, offset, &piece);
        }
    }

    /// With some sectors of what was not synced.
    fn after_a_crash(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let luck = random.below(5);
        for (offset, piece) in &self.written {
            let mut at = usize::try_from(*offset).unwrap();
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let len = (SECTOR - at % SECTOR).min(rest.len());
                if random.below(4) < luck {
                    Self::write(&mut bytes, at as u64, &rest[..len]);
                } else if bytes.len() < at + len {
                    bytes.resize(at + len, 0);
                }
                at += len;
                rest = &rest[len..];
            }
        }
        bytes
    }
}

/// Lays out what a disk has when the power goes after the first `count` steps. Names are as durable as their order:
/// the standby syncs its directory after each.
fn lay_out(steps: &[Step], count: usize, random: &mut Random, from: &Path, to: &Path) {
    let mut files: BTreeMap<PathBuf, OnDisk> = BTreeMap::new();
    for step in &steps[..count] {
        match &step.what {
            What::Made(path) => {
                files.entry(path.clone()).or_default();
            }
            What::Write(path, offset, bytes) => {
                files.entry(path.clone()).or_default().written.push((*offset, bytes.clone()));
            }
            What::Sync(path) => files.entry(path.clone()).or_default().sync(),
            What::Rename(from, to) => {
                let file = files.remove(from).unwrap_or_default();
                files.insert(to.clone(), file);
            }
            What::Remove(path) => {
                files.remove(path);
            }
        }
    }
    fs::create_dir_all(to.join("log")).unwrap();
    for (path, file) in &files {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.after_a_crash(random)).unwrap();
    }
    // The control page is in memory: a disk has none, or any older one.
    if count > 0 && random.below(3) > 0 {
        let older = usize::try_from(random.below(count as u64)).unwrap();
        let pick = if random.below(2) == 0 { count - 1 } else { older };
        if let Some(page) = steps[pick].page.as_ref().filter(|page| page.len() == 4096) {
            fs::create_dir_all(to.join("control")).unwrap();
            fs::write(to.join("control/log"), page).unwrap();
        }
    }
}

/// Copies a source through a spied storage, opening the standby anew now and then.
fn copied(log: &Log, dir: &Path, random: &mut Random) -> Vec<Step> {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let world = Environment::default();
    let storage = Spied { real: Arc::clone(&world.storage), root: dir.to_owned(), steps: Arc::clone(&steps) };
    let world = Environment { storage: Arc::new(storage), ..world };
    let mut replica = Replica::open(&world, dir, "a spied source").unwrap();
    loop {
        let place = replica.place();
        let max = usize::try_from(1 + random.below(30_000)).unwrap();
        let piece = log.segment_piece(place.segment(), place.offset(), max).unwrap();
        if piece.bytes.is_empty() && !piece.ended {
            break;
        }
        replica.take(&piece).unwrap();
        if random.below(10) == 0 {
            drop(replica);
            replica = Replica::open(&world, dir, "a spied source").unwrap();
        }
    }
    drop(replica);
    std::mem::take(&mut *steps.lock())
}

/// A source with a crash of its own in its past.
fn torn_source(dir: &Path, random: &mut Random) -> eventstore::Engine {
    let mut engine = source(dir);
    history(&mut engine, random, 12);
    engine.close();
    let end = Log::open_offline(dir).unwrap().durable_end();
    let path = segment(dir, end.segment());
    let mut bytes = fs::read(&path).unwrap();
    let at = usize::try_from(end.offset()).unwrap();
    // The history may end just before the segment does.
    let torn = bytes.len().min(at + 800);
    bytes[torn.min(at + 8)..torn].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let mut engine = source(dir);
    history(&mut engine, random, 12);
    while engine.log().durable_end().segment() < 2 {
        history(&mut engine, random, 4);
        mark(&mut engine);
    }
    mark(&mut engine);
    engine
}

#[test]
fn a_standby_survives_the_loss_of_power_at_any_point() {
    let mut random = Random::seeded();
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = torn_source(left.path(), &mut random);
    let log = engine.log();
    let end = log.durable_end();
    assert!(end.segment() >= 2, "it rolls over");
    let steps = copied(&log, right.path(), &mut random);
    assert_identical(left.path(), right.path(), end);
    assert!(steps.len() > 50, "{}", steps.len());

    for count in 0..=steps.len() {
        let after = tempfile::tempdir().unwrap();
        lay_out(&steps, count, &mut random, right.path(), after.path());
        let promoted = tempfile::tempdir().unwrap();
        copy_dir(after.path(), promoted.path());

        let mut replica = Replica::open(&Environment::default(), after.path(), "a spied source")
            .unwrap_or_else(|error| panic!("after {count} of {} steps: {error}", steps.len()));
        catch_up(&log, &mut replica, PIECE);
        assert_eq!(replica.lineage(), Some(log.lineage()));
        assert_identical(left.path(), after.path(), end);
        drop(replica);
        assert_intact(after.path());

        // Instead, the source is gone for good: what got here is what there is.
        match promote(&Environment::default(), promoted.path()) {
            Ok(_) => {
                let store = Store::open(promoted.path(), &small()).unwrap();
                store.append(one("new-1", ExpectedVersion::NoStream, "{}")).unwrap();
                drop(store);
                assert_intact(promoted.path());
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("no log"), "after {count} of {} steps: {text}", steps.len());
            }
        }
    }
}

fn copy_dir(from: &Path, to: &Path) {
    for part in ["log", "control"] {
        let Ok(entries) = fs::read_dir(from.join(part)) else { continue };
        fs::create_dir_all(to.join(part)).unwrap();
        for entry in entries {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(part).join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// By the time a torn group comes again the source may be another one, which has gone another way.
#[test]
fn what_a_crash_has_torn_gives_way_to_what_comes() {
    let mut random = Random::seeded();
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = source(left.path());
    history(&mut engine, &mut random, 4);
    let mut replica = standby(right.path());
    catch_up(&engine.log(), &mut replica, PIECE);
    let place = replica.place();
    drop(replica);
    let path = segment(right.path(), place.segment());
    let mut bytes = fs::read(&path).unwrap();
    let at = usize::try_from(place.offset()).unwrap();
    bytes[at + 4..at + 5_000].fill(0xa5);
    // The last bytes of a segment are hardly ever reached by a frame.
    let last = bytes.len() - 1;
    bytes[last] = 0xa5;
    fs::write(&path, &bytes).unwrap();

    let mut replica = standby(right.path());
    assert_eq!(replica.place(), place);
    assert!(fs::read(&path).unwrap() == bytes, "it stays until something comes");
    // Less than was torn. Not only a mark: a log that is vouched for already gets none.
    group(&mut engine, [one("a-1", ExpectedVersion::Any, "{}")]);
    catch_up(&engine.log(), &mut replica, PIECE);
    assert_identical(left.path(), right.path(), engine.log().durable_end());
    history(&mut engine, &mut random, 30);
    mark(&mut engine);
    catch_up(&engine.log(), &mut replica, PIECE);
    let end = engine.log().durable_end();
    assert!(end.segment() > place.segment());
    assert_identical(left.path(), right.path(), end);
    drop(replica);
    assert_intact(right.path());
}
