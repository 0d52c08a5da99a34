//! The writer turned by hand: what waits for what, and what a disk that fails does to it.
#![allow(clippy::unwrap_used)]

mod support;

use eventstore::storage::{Access, Environment, Storage, StorageFile};
use eventstore::{
    AppendError, CommitBuilder, Durability, Engine, ExpectedVersion, Guard, Log, Map, Outcome, Position,
    SharedPage, Store, StoreOptions, Version, verify,
};
use std::any::Any;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{command, event, one, small, stream, tag};

fn engine(dir: &Path) -> Engine {
    Engine::open(&Environment::default(), dir, &small()).unwrap()
}

fn turn(engine: &mut Engine) {
    engine.collect();
    if let Some(mut flush) = engine.begin_flush() {
        let done = flush.run();
        engine.finish_flush(flush, done);
    }
}

#[test]
fn nothing_is_shown_or_answered_before_its_flush_has_been_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine(dir.path());
    let mut pending = engine.submit(one("a-1", ExpectedVersion::NoStream, "{}")).unwrap();
    engine.collect();
    assert!(pending.try_answer().is_none());
    let mut flush = engine.begin_flush().unwrap();
    flush.run().unwrap();
    assert!(pending.try_answer().is_none());
    assert_eq!(engine.log().watermark(), Position::ZERO);
    engine.finish_flush(flush, Ok(()));
    assert_eq!(engine.log().watermark(), Position::new(1));
    assert_eq!(pending.try_answer().unwrap().unwrap().durability, Durability::Fsync);
}

/// Refusals and duplicates that rest on a group under way wait for it, although they write nothing themselves.
#[test]
fn no_answer_rests_on_what_is_not_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine(dir.path());
    let mut commit = CommitBuilder::new();
    commit.expect(stream("a-1"), ExpectedVersion::NoStream).event(event("a-1", "{}"));
    commit.command(command("once", "same", Outcome::Applied));
    let commit = commit.prepare().unwrap();
    let mut first = engine.submit(commit.clone()).unwrap();
    engine.collect();
    let mut flush = engine.begin_flush().unwrap();

    let mut duplicate = engine.submit(commit).unwrap();
    let mut refused = engine.submit(one("a-1", ExpectedVersion::NoStream, "{}")).unwrap();
    let mut guarded = CommitBuilder::new();
    guarded.guard(Guard::NoNewer(tag("of:a-1"), Position::ZERO)).event(event("b-1", "{}"));
    let mut guarded = engine.submit(guarded.prepare().unwrap()).unwrap();
    engine.collect();
    assert!(engine.begin_flush().is_none(), "one flush at a time");
    assert!(duplicate.try_answer().is_none() && refused.try_answer().is_none());
    assert!(guarded.try_answer().is_none());

    flush.run().unwrap();
    engine.finish_flush(flush, Ok(()));
    assert!(engine.begin_flush().is_none(), "there is nothing to write");
    let receipt = first.try_answer().unwrap().unwrap();
    let again = duplicate.try_answer().unwrap().unwrap();
    assert!(again.duplicate && again.first == receipt.first && again.versions == receipt.versions);
    assert!(matches!(
        refused.try_answer(),
        Some(Err(AppendError::WrongExpectedVersion { current: Some(Version::ZERO), .. }))
    ));
    assert!(matches!(guarded.try_answer(), Some(Err(AppendError::GuardFailed { current: Some(0), .. }))));
}

#[test]
fn a_full_queue_is_a_typed_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine(dir.path());
    let commit = one("a-1", ExpectedVersion::Any, "{}");
    let mut pending = Vec::new();
    let refused = loop {
        match engine.submit(commit.clone()) {
            Ok(accepted) => pending.push(accepted),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::Overloaded);
    assert_eq!(pending.len(), eventstore::limits::QUEUE_COMMITS_MAX);
    while engine.log().watermark() < Position::new(pending.len() as u64) {
        turn(&mut engine);
    }
    assert!(pending.into_iter().all(|mut pending| pending.try_answer().unwrap().is_ok()));
}

/// Threads that append by themselves and submitters that do not share one log, one order, one version each.
#[test]
fn callers_that_flush_themselves_and_callers_that_do_not_keep_one_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &small()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..200 {
                    let commit = one("shared-1", ExpectedVersion::Any, &format!("[{thread},{number}]"));
                    let receipt = if (thread + number) % 3 == 0 {
                        store.submit(commit).unwrap().wait().unwrap()
                    } else {
                        store.append(commit).unwrap()
                    };
                    assert!(
                        store.event(receipt.first).unwrap().is_some(),
                        "what is acknowledged can be read"
                    );
                }
            });
        }
    });
    assert_eq!(store.stream_version(&stream("shared-1")).unwrap(), Some(Version::new(799)));
    drop(store);
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

#[test]
fn what_the_receipt_promises_is_what_the_store_was_opened_with() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { durability: Durability::Os, ..small() };
    let store = Store::open(dir.path(), &options).unwrap();
    for _ in 0..500 {
        let receipt = store.append(one("a-1", ExpectedVersion::Any, "{}")).unwrap();
        assert_eq!(receipt.durability, Durability::Os);
    }
    drop(store);
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
    assert_eq!(support::open(dir.path()).watermark(), Position::new(500));
}

/// The file system, whose n-th sync of a segment fails once and reports success ever after, as real ones do.
#[derive(Debug)]
struct FailsToSync {
    real: Arc<dyn Storage>,
    left: Arc<AtomicU32>,
}

#[derive(Debug)]
struct File {
    real: Arc<dyn StorageFile>,
    left: Arc<AtomicU32>,
}

impl Storage for FailsToSync {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.real.list(dir)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(File { real: self.real.open(path, access)?, left: Arc::clone(&self.left) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
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

impl StorageFile for File {
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
        // Short writes are legal: everything is written in pieces.
        self.real.write_at(&bytes[..bytes.len().min(1000)], offset)
    }

    fn sync(&self) -> io::Result<()> {
        match self.left.load(Ordering::Relaxed) {
            0 => self.real.sync(),
            left => {
                self.left.store(left - 1, Ordering::Relaxed);
                if left == 1 { Err(io::Error::from_raw_os_error(5)) } else { self.real.sync() }
            }
        }
    }

    fn map(&self) -> io::Result<Map> {
        self.real.map()
    }

    fn shared_page(&self, len: usize, writable: bool) -> io::Result<SharedPage> {
        self.real.shared_page(len, writable)
    }
}

/// A failed fsync is final: its waiters hear that the outcome is unknown, nobody sees what it wrote, nothing is written
/// after it although the next sync would report success; reading goes on.
#[test]
fn a_failed_sync_ends_the_writer_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let left = Arc::new(AtomicU32::new(0));
    let storage = FailsToSync { real: Environment::default().storage, left: Arc::clone(&left) };
    let environment = Environment { storage: Arc::new(storage), ..Environment::default() };
    let mut engine = Engine::open(&environment, dir.path(), &small()).unwrap();
    let mut good = engine.submit(one("a-1", ExpectedVersion::Any, "{}")).unwrap();
    turn(&mut engine);
    assert!(good.try_answer().unwrap().is_ok());

    let mut unknown = engine.submit(one("a-1", ExpectedVersion::Any, "{}")).unwrap();
    engine.collect();
    let mut flush = engine.begin_flush().unwrap();
    let mut behind = engine.submit(one("a-1", ExpectedVersion::Any, "{}")).unwrap();
    engine.collect();
    left.store(1, Ordering::Relaxed);
    let done = flush.run();
    engine.finish_flush(flush, done);
    assert!(matches!(unknown.try_answer(), Some(Err(AppendError::OutcomeUnknown { .. }))));
    assert!(matches!(behind.try_answer(), Some(Err(AppendError::ReadOnly { .. }))));
    assert!(engine.poisoned().is_some());
    assert!(matches!(
        engine.submit(one("a-1", ExpectedVersion::Any, "{}")),
        Err(AppendError::ReadOnly { .. })
    ));
    assert!(engine.begin_flush().is_none() && !engine.quiet());
    assert_eq!(engine.log().watermark(), Position::new(1));
    assert_eq!(Log::open(dir.path()).unwrap().watermark(), Position::new(1));
    engine.close();

    // The next opening decides what became of it; either way the log is whole.
    let engine = self::engine(dir.path());
    assert!((1..=2).contains(&engine.log().watermark().get()));
    engine.close();
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}
