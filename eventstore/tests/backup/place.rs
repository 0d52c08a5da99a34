//! A log that is written by hand, its backup, and what is compared.

use crate::support::{Random, command, event, small};
use eventstore::backup::{
    Backup, BackupError, BackupOptions, Parent, RestoreOptions, Restored, Target, backup, restore,
};
use eventstore::storage::Environment;
use eventstore::transparency::journal::{Entry, Journal};
use eventstore::transparency::{Checkpoint, EMPTY_ROOT, KeyName, SignatureKind, SigningKey, TreeHead};
use eventstore::{
    CommitBuilder, Log, LogOffset, Outcome, Position, PreparedCommit, Store, Timestamp, TreeSize, verify,
};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A data directory, a backup, and room for what is restored.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn backup(&self) -> PathBuf {
        self.dir.path().join("backup")
    }

    /// A directory that is not there yet.
    pub fn fresh(&self) -> PathBuf {
        (0..)
            .map(|number| self.dir.path().join(format!("restored-{number}")))
            .find(|path| !path.exists())
            .unwrap()
    }

    pub fn store(&self) -> Store {
        Store::open(&self.data(), &small()).unwrap()
    }

    /// A history over several segments, closed.
    pub fn filled(random: &mut Random, commits: u64) -> Self {
        let place = Self::new();
        let store = place.store();
        append(&store, random, commits);
        store.close();
        place
    }

    pub fn take(&self) -> Result<Backup, BackupError> {
        self.take_with(BackupOptions::default())
    }

    pub fn take_with(&self, options: BackupOptions) -> Result<Backup, BackupError> {
        backup(&Environment::default(), &self.data(), &self.backup(), options, &mut |_| {})
    }

    pub fn restore_to(&self, to: &Path, options: RestoreOptions) -> Result<Restored, BackupError> {
        restore_from(&self.backup(), to, options)
    }

    /// Restores all of it into a fresh directory.
    pub fn restored(&self) -> (PathBuf, Restored) {
        let to = self.fresh();
        let restored = self.restore_to(&to, RestoreOptions::default()).unwrap();
        (to, restored)
    }

    /// Signs a checkpoint of the log as it is, as the notary would.
    pub fn sign(&self) -> u64 {
        let log = Log::open_offline(&self.data()).unwrap();
        let lineage = log.lineage();
        let key = key();
        let head = TreeHead { size: TreeSize::new(lineage.next.get()), root: EMPTY_ROOT };
        let note = Checkpoint::signed(head, &key).unwrap();
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        let entry = Entry { made_at: Timestamp::new(1), lineage, note, checkpoint };
        let storage = Environment::default().storage;
        Journal::open(&storage, &self.data()).unwrap().0.append(&entry).unwrap();
        lineage.next.get()
    }
}

pub fn key() -> SigningKey {
    SigningKey::generate(KeyName::new("example.com/log").unwrap(), SignatureKind::Note).unwrap()
}

pub fn restore_from(from: &Path, to: &Path, options: RestoreOptions) -> Result<Restored, BackupError> {
    restore(&Environment::default(), from, to, options, &first_commit, &mut |_| {})
}

pub fn first_commit(parent: &Parent) -> Result<PreparedCommit, BackupError> {
    let mut commit = CommitBuilder::new();
    commit.event(event("sys-store", &format!("{} {}", parent.lineage.store, parent.lineage.next)));
    Ok(commit.prepare().unwrap())
}

pub fn to_position(position: u64) -> RestoreOptions {
    RestoreOptions { target: Target::Position(Position::new(position)), ..RestoreOptions::default() }
}

/// Commits of everything that there is: several streams, commands, no events.
pub fn append(store: &Store, random: &mut Random, commits: u64) {
    for _ in 0..commits {
        let mut commit = CommitBuilder::new();
        let id = random.next().to_string();
        if random.below(10) == 0 {
            commit.command(command(&id, &id, Outcome::Unchanged));
        } else {
            for _ in 0..=random.below(3) {
                let name = format!("thing-{}", random.below(20));
                commit.event(event(&name, &"x".repeat(random.below(1_500) as usize)));
            }
            commit.command(command(&id, &id, Outcome::Applied));
        }
        store.append(commit.prepare().unwrap()).unwrap();
    }
}

/// All that a reader can see of an event but the chain.
pub type Seen = (u64, String, u64, i64, uuid::Uuid, Vec<u8>, Vec<String>);

pub fn events(dir: &Path) -> Vec<Seen> {
    let log = Log::open_offline(dir).unwrap();
    assert_eq!(log.damage(), None);
    let mut seen = Vec::new();
    for commit in log.commits(Position::ZERO) {
        let commit = commit.unwrap();
        for event in commit.events() {
            let tags = event.tags().map(str::to_owned).collect();
            seen.push((
                event.position().get(),
                event.stream().to_owned(),
                event.version().get(),
                event.recorded_at().get(),
                event.id(),
                event.payload().to_vec(),
                tags,
            ));
        }
    }
    seen
}

/// Positions where a commit ends.
pub fn boundaries(dir: &Path) -> Vec<u64> {
    let log = Log::open_offline(dir).unwrap();
    let mut all = vec![0];
    all.extend(log.commits(Position::ZERO).map(|commit| commit.unwrap().next().get()));
    all.dedup();
    all
}

pub fn end(dir: &Path) -> LogOffset {
    Log::open_offline(dir).unwrap().durable_end()
}

pub fn assert_intact(dir: &Path) {
    let report = verify(dir, &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
}

pub fn segment(dir: &Path, sequence: u32) -> PathBuf {
    dir.join("log").join(format!("{sequence:010}.seg"))
}

/// What is in a directory, with the bytes of all files.
pub fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(contents(&entry.path()));
        } else {
            all.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    all.sort();
    all
}
