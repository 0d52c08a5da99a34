//! What `verify` says of a log whose disk cannot read all of it, and of ids that stand twice.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use eventstore::storage::{Access, Environment, Storage, StorageFile};
use eventstore::verify::{Class, VerifyOptions, verify_with};
use eventstore::{CommitBuilder, ExpectedVersion, Map, Position, SharedPage, verify, verify_in};
use std::any::Any;
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use support::{event, one, open};

/// This machine's files, except that some bytes of the first segment cannot be read.
#[derive(Debug)]
struct BadSectors(Arc<dyn Storage>, Range<u64>);

#[derive(Debug)]
struct BadFile(Arc<dyn StorageFile>, Range<u64>);

impl Storage for BadSectors {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(dir)
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        let file = self.0.open(path, access)?;
        let is_bad = path.ends_with("0000000000.seg");
        Ok(if is_bad { Arc::new(BadFile(file, self.1.clone())) } else { file })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.0.lock(path, note)
    }
    fn is_locked(&self, path: &Path) -> bool {
        self.0.is_locked(path)
    }
}

impl StorageFile for BadFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.1.end && self.1.start < offset + buffer.len() as u64 {
            return Err(io::Error::other("the medium is worn"));
        }
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn map(&self) -> io::Result<Map> {
        self.0.map()
    }
    fn shared_page(&self, len: usize, writable: bool) -> io::Result<SharedPage> {
        self.0.shared_page(len, writable)
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..1_000 {
        store.append(one(&format!("s-{}", number % 7), ExpectedVersion::Any, "{}")).unwrap();
    }
    store.close();
    drop(store);
    // Frames, the header, and the zeros of a segment that is only prepared elsewhere.
    for bad in [20_480..20_481, 0..100, 65_000..65_536] {
        let sound = Environment::default();
        let storage = Arc::new(BadSectors(Arc::clone(&sound.storage), bad.clone()));
        let report = verify_in(&Environment { storage, ..sound }, dir.path(), &mut |_| {}).unwrap();
        let page = bad.start & !4095;
        let hole = report.findings.iter().find(|finding| finding.class == Class::Unreadable).unwrap();
        assert_eq!((hole.segment, hole.offset), (0, page), "{hole:?}");
        assert!(hole.message.contains("the medium is worn"), "{hole:?}");
        assert!(report.is_unreadable() && !report.is_tampered(), "{:?}", report.findings);
        assert_eq!(report.next, Position::new(1_000), "what follows is read: {:?}", report.findings);
    }
    assert!(verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

#[test]
fn an_event_id_that_stands_twice_is_found_wherever_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let twice = event("s-1", "once");
    for number in 0..600 {
        let mut commit = CommitBuilder::new();
        match number {
            3 => commit.event(twice.clone()),
            7 | 590 => commit.event(event("s-2", "{}")).event(twice.clone()),
            _ => commit.event(event("s-3", "{}")),
        };
        store.append(commit.prepare().unwrap()).unwrap();
    }
    store.close();
    drop(store);
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    let found: Vec<_> = report.findings.iter().map(|found| (found.class, found.position.get())).collect();
    // The second and third time: one and two commits before the last had two events.
    assert_eq!(found, [(Class::Duplicate, 8), (Class::Duplicate, 592)], "{:?}", report.findings);
    assert!(report.findings.iter().all(|found| found.actual == Some(twice.id.to_string())));
    assert!(report.findings[1].segment > report.findings[0].segment, "the log has several segments");
}

/// What has been found is told, whether the ids can be sorted or not.
#[test]
fn ids_that_cannot_be_sorted_hide_nothing_else() {
    const CHILD: &str = "SUNDAY_TEST_LOG_WITHOUT_TMPDIR";
    let Some(log) = std::env::var_os(CHILD) else {
        // The place of temporary files is the process's own.
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for _ in 0..50 {
            store.append(one("s-1", ExpectedVersion::Any, "{}")).unwrap();
        }
        store.close();
        let path = dir.path().join("log/0000000000.seg");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[6_000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "ids_that_cannot_be_sorted_hide_nothing_else"]);
        let output = child.env(CHILD, dir.path()).env("TMPDIR", "/nowhere/at/all").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    };
    let options = VerifyOptions { ids_memory: 16, ..VerifyOptions::default() };
    let report = verify_with(&Environment::default(), Path::new(&log), &options, &mut |_| true).unwrap();
    let classes: Vec<_> = report.findings.iter().map(|finding| finding.class).collect();
    assert!(classes.contains(&Class::Unreadable) && classes.len() > 1, "{:?}", report.findings);
    assert!(report.findings.iter().any(|finding| finding.message.contains("/nowhere/at/all")));
}
