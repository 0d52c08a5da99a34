//! Making a backup a log again: all of it, or up to a position or a time.
//!
//! Invariant: what was signed of a store is kept by whatever goes by its name. A restore that ends before the newest checkpoint
//! makes a new store, whose first commit names its parent.

use super::copy::{Sink, Start, copy};
use super::error::BackupError;
use super::files::{self, ANCESTORS_DIR};
use super::manifest::{Manifest, path_of};
use super::output::{self, Output, Task, Tasks};
use super::rewrite::Rewriter;
use super::source::{Source, bytes};
use super::taking::lock;
use crate::commit::PreparedCommit;
use crate::format::frame::Frame;
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::numbers::{Digest, Lineage, Position, Timestamp, TreeSize};
use crate::recovery;
use crate::replica::check::{Before, Cursor};
use crate::segment::{self, Segment};
use crate::storage::{Access, Environment, Storage};
use crate::store::{Store, StoreOptions};
use crate::verify::{Progress, verify_in};
use serde::Serialize;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Where everything is until it is whole.
const STAGING: &str = ".restoring";
/// What is moved out of it, in this order: with the log it is a data directory.
const MOVED: [&str; 3] = ["keys", "tree", "log"];
/// Zeros that are written in one go.
const BLOCK: u64 = 1 << 20;

/// How far a backup is restored, by whole commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// All of it.
    #[default]
    End,
    /// The events before this position.
    Position(Position),
    /// What was recorded until then, then included.
    Time(Timestamp),
}

/// How a backup is restored.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions {
    /// How far.
    pub target: Target,
    /// As a new store, even where that is not necessary: for a copy that lives beside the original.
    pub as_new_store: bool,
}

/// Where a new store comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The store, the position up to which its history was taken over, and its chain head there.
    pub lineage: Lineage,
    /// Size of the newest checkpoint that was signed of it, as far as the backup knows.
    pub checkpoint: Option<TreeSize>,
}

/// What a restore has made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The store that there is now.
    pub store: Uuid,
    /// The store that the backup is of, if that is another one.
    pub parent: Option<Uuid>,
    /// The next position of what was taken over.
    pub restored_to: Position,
    /// When the last commit of it was recorded, ns since 1970; none when nothing was taken over.
    pub recorded_at: Option<Timestamp>,
    /// Events of the backup that were left out.
    pub left_out: u64,
    /// The next position of the log.
    pub next: Position,
    /// Its chain head.
    pub chain: Digest,
    /// Size of the newest checkpoint that was signed of the backup's store.
    pub checkpoint: Option<TreeSize>,
    /// Whether the secret key is there.
    pub has_secret_key: bool,
}

/// Makes a new data directory of a backup. `first_commit` is the first commit of a new store's own: it names the parent.
///
/// # Errors
/// When the backup does not verify, does not reach as far, or files cannot be read or written; then there is no log in `to`, and
/// the next restore begins anew.
pub fn restore(
    environment: &Environment,
    from: &Path,
    to: &Path,
    options: RestoreOptions,
    first_commit: &dyn Fn(&Parent) -> Result<PreparedCommit, BackupError>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Restored, BackupError> {
    let storage = &*environment.storage;
    let manifest = Manifest::read(storage, from)?;
    let manifest = manifest.ok_or_else(|| BackupError::NoBackup { path: from.to_owned() })?;
    let mut source = Source::of_backup(&environment.storage, from, &manifest)?;
    let (restored_to, recorded_at) = cut(&mut source, &manifest, options.target)?;
    let is_behind = manifest.checkpoint.is_some_and(|size| restored_to.get() < size.get());
    let is_new = is_behind || options.as_new_store;
    let staging = stage(storage, to)?;
    let _lock = lock(storage, &staging)?;
    let store = if is_new { recovery::new_store_id(environment) } else { manifest.store };
    let filed = restore_files(storage, from, &staging, &manifest, is_new)?;
    let chain = write_log(environment, &source, &manifest, &staging, is_new.then_some(store), progress)?;
    if is_new {
        let lineage = Lineage { store: manifest.store, next: restored_to, chain };
        let parent = Parent { lineage, checkpoint: manifest.checkpoint };
        begin_store(environment, &staging, &source, first_commit(&parent)?)?;
    }
    let report = verify_in(environment, &staging, &mut |_| {})?;
    if !report.is_intact() || report.store != Some(store) {
        return Err(BackupError::Unverified { path: staging, report: Box::new(report) });
    }
    move_out(storage, &staging, to)?;
    Ok(Restored {
        store,
        parent: is_new.then_some(manifest.store),
        restored_to,
        recorded_at: (recorded_at > Timestamp::new(i64::MIN)).then_some(recorded_at),
        left_out: manifest.next().get() - restored_to.get(),
        next: report.next,
        chain: report.chain,
        checkpoint: manifest.checkpoint,
        has_secret_key: filed,
    })
}

/// Ends the source at the last commit that is wanted.
fn cut(
    source: &mut Source,
    manifest: &Manifest,
    target: Target,
) -> Result<(Position, Timestamp), BackupError> {
    let first_with = |is_beyond: &dyn Fn(&Before) -> bool| {
        let beyond = manifest.segments.iter().find(|segment| is_beyond(&segment.end));
        beyond.or(manifest.segments.last()).map_or(0, |segment| segment.end.sequence)
    };
    let at_end = manifest.segments.last().map(|last| (last.end.next, last.end.recorded_at));
    let at_end = at_end.unwrap_or_default();
    match target {
        Target::End => Ok(at_end),
        Target::Position(wanted) if wanted > manifest.next() => {
            Err(BackupError::BeyondEnd { next: manifest.next(), wanted })
        }
        Target::Position(wanted) => {
            let first = first_with(&|end| end.next > wanted);
            source.cut(first, |header| header.next() > wanted)
        }
        Target::Time(wanted) if wanted >= at_end.1 => Ok(at_end),
        Target::Time(wanted) => {
            let first = first_with(&|end| end.recorded_at > wanted);
            let reached = source.cut(first, |header| header.recorded_at > wanted)?;
            if reached.0 == Position::ZERO {
                let recorded =
                    source.segments.first().and_then(|first| first.frame(SEGMENT_HEADER_BYTES as u64).ok());
                let first = recorded.flatten().map_or(at_end.1, |frame| frame.header.recorded_at);
                return Err(BackupError::BeforeBeginning { first });
            }
            Ok(reached)
        }
    }
}

/// An empty place to build in, below a directory that is empty but for what a restore left that was cut short.
fn stage(storage: &dyn Storage, to: &Path) -> Result<PathBuf, BackupError> {
    let staging = to.join(STAGING);
    storage.create_dir(to).map_err(BackupError::io("cannot create", to))?;
    let names = storage.list(to).map_err(BackupError::io("cannot list", to))?;
    let is_unfinished = names.iter().any(|name| name == STAGING) && !names.iter().any(|name| name == "log");
    let found = names.iter().map(|name| name.to_string_lossy());
    let foreign = found.filter(|name| !is_unfinished || !(MOVED.contains(&&**name) || name == STAGING)).min();
    if let Some(found) = foreign {
        return Err(BackupError::NotEmpty {
            path: to.to_owned(),
            found: found.into_owned(),
            wanted: "A restore goes into a directory that is not there or is empty",
        });
    }
    if is_unfinished {
        // Somebody may be at it right now.
        drop(lock(storage, &staging)?);
        for name in MOVED {
            remove_all(&to.join(name))?;
        }
        remove_all(&staging)?;
    }
    storage.create_dir(&staging).map_err(BackupError::io("cannot create", &staging))?;
    storage.sync_dir(to).map_err(BackupError::io("cannot sync", to))?;
    Ok(staging)
}

fn remove_all(path: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::Io { action: "cannot remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The journal and the keys; those of a parent are kept as what they are. Whether the secret key is there.
fn restore_files(
    storage: &dyn Storage,
    from: &Path,
    staging: &Path,
    manifest: &Manifest,
    is_new: bool,
) -> Result<bool, BackupError> {
    let mut has_secret = false;
    for entry in &manifest.files {
        let bytes = files::read_filed(storage, from, entry)?;
        let is_secret = entry.path == files::SECRET;
        if is_new && is_secret {
            // It signs for the parent, and two logs must not be signed for by one key under one name.
            continue;
        }
        let path = match entry.path.strip_prefix("tree/").or_else(|| entry.path.strip_prefix("keys/")) {
            Some(rest) if is_new && !entry.path.starts_with(ANCESTORS_DIR) => {
                let kind = if entry.path.starts_with("keys/") { "keys/" } else { "" };
                format!("{ANCESTORS_DIR}/{}/{kind}{rest}", manifest.store)
            }
            _ => entry.path.clone(),
        };
        files::write_whole(storage, &path_of(staging, &path), &bytes, is_secret)?;
        has_secret |= is_secret;
    }
    Ok(has_secret)
}

/// Writes the segments; the chain head that the backup has at the end.
fn write_log(
    environment: &Environment,
    source: &Source,
    manifest: &Manifest,
    staging: &Path,
    store: Option<Uuid>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Digest, BackupError> {
    let storage = &*environment.storage;
    let log_dir = staging.join("log");
    storage.create_dir(&log_dir).map_err(BackupError::io("cannot create", &log_dir))?;
    let (tasks, waiting) = output::channel();
    let mut maker = Maker {
        environment,
        source,
        manifest,
        log_dir: &log_dir,
        tasks,
        rewriter: store.map(Rewriter::new),
        current: None,
        chain: Digest::default(),
    };
    let (mut done, total) = (0, source.bytes_from(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || output::carry_out(&waiting));
        let copied = copy(source, &Start::default(), &source.path, &mut maker, &mut |bytes| {
            done += bytes;
            progress(Progress { done, total });
        });
        let chain = maker.chain;
        drop(maker);
        let carried_out = match writer.join() {
            Ok(carried_out) => carried_out,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        copied?;
        carried_out?;
        for dir in [&*log_dir, staging] {
            storage.sync_dir(dir).map_err(BackupError::io("cannot sync", dir))?;
        }
        Ok(chain)
    })
}

/// Appends the first commit of a store's own.
fn begin_store(
    environment: &Environment,
    staging: &Path,
    source: &Source,
    commit: PreparedCommit,
) -> Result<(), BackupError> {
    let capacity = source.segments.last().map(|last| last.header.capacity);
    let segment_bytes = capacity.unwrap_or(StoreOptions::default().segment_bytes);
    let options = StoreOptions { segment_bytes, ..StoreOptions::default() };
    let store = Store::open_in(environment, staging, &options)?;
    let appended = store.append(commit);
    store.close();
    appended?;
    Ok(())
}

/// Moves what is whole to where it belongs; the log last.
fn move_out(storage: &dyn Storage, staging: &Path, to: &Path) -> Result<(), BackupError> {
    let move_all = || {
        for name in MOVED {
            let from = staging.join(name);
            if storage.list(&from).is_ok() {
                storage.rename(&from, &to.join(name))?;
            }
        }
        storage.sync_dir(to)?;
        recovery::sync_names(storage, to)
    };
    move_all().map_err(BackupError::io("cannot move what was restored to", to))?;
    // What a writer has made beside it (an index, a control page) can be made again.
    remove_all(staging)
}

/// Writes what has been checked as a log.
struct Maker<'a> {
    environment: &'a Environment,
    source: &'a Source,
    manifest: &'a Manifest,
    log_dir: &'a Path,
    tasks: Tasks,
    rewriter: Option<Rewriter>,
    current: Option<Output>,
    /// The backup's chain head so far.
    chain: Digest,
}

impl Maker<'_> {
    fn push(&self, task: Task) {
        if let Some(current) = &self.current {
            self.tasks.push(current, task);
        }
    }
}

impl Sink for Maker<'_> {
    fn begin(&mut self, segment: &Arc<Segment>, entered: &Cursor) -> Result<(), BackupError> {
        let path = segment::path(self.log_dir, entered.header.sequence);
        let storage = &*self.environment.storage;
        let make = || {
            let file = storage.open(&path, Access::Create)?;
            file.set_len(entered.header.capacity)?;
            Ok(file)
        };
        let file = make().map_err(BackupError::io("cannot make", &path))?;
        self.current = Some(Output { file, path });
        let header = match &mut self.rewriter {
            Some(rewriter) => {
                Task::Write(rewriter.begin(&entered.header, self.environment.random.bytes()), 0)
            }
            None => Task::Copy(Arc::clone(segment), 0..SEGMENT_HEADER_BYTES as u64),
        };
        self.push(header);
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, body: Digest) {
        self.chain = frame.header.chain;
        if let Some(rewriter) = &mut self.rewriter {
            rewriter.frame(frame, body);
        }
    }

    fn frames(&mut self, segment: &Arc<Segment>, range: Range<u64>) -> Result<(), BackupError> {
        let task = match &mut self.rewriter {
            Some(rewriter) => {
                Task::Write(rewriter.frames(bytes(segment, range.clone()), &range), range.start)
            }
            None => Task::Copy(Arc::clone(segment), range),
        };
        self.push(task);
        Ok(())
    }

    fn end(&mut self, segment: &Arc<Segment>, end: &Before, tail: Range<u64>) -> Result<(), BackupError> {
        let known = self.manifest.segments.get(end.sequence as usize).map(|known| known.end);
        if known.is_some_and(|known| known.valid_len == end.valid_len && known != *end) {
            return Err(BackupError::Damaged {
                path: segment::path(&self.source.path.join("log"), end.sequence),
                offset: end.valid_len,
                reason: "up to here it is not what the manifest says".to_owned(),
            });
        }
        if let Some(rewriter) = &mut self.rewriter {
            rewriter.end(end);
        }
        if tail.end > tail.start {
            self.push(Task::Copy(Arc::clone(segment), tail.clone()));
        }
        if !self.source.is_ended(end.sequence) && !end.is_sealed {
            // The writer goes on here, and counts on room that it need not ask for.
            let mut at = end.valid_len;
            while at < end.capacity {
                let len = BLOCK.min(end.capacity - at);
                self.push(Task::Write(vec![0; usize::try_from(len).unwrap_or(0)], at));
                at += len;
            }
        }
        self.push(Task::Sync);
        Ok(())
    }
}
