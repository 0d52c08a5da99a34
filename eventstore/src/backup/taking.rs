//! Taking a backup, or adding to one what is new.

use super::copy::{Sink, Start, copy};
use super::error::BackupError;
use super::files;
use super::manifest::{Manifest, SegmentEntry};
use super::output::{self, Output, Task, Tasks};
use super::source::{Source, bytes};
use super::{LOCK, MARKER};
use crate::error::Damage;
use crate::format::frame::Frame;
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::numbers::{Digest, LogOffset, Position, Timestamp, TreeSize};
use crate::replica::check::{Before, Cursor};
use crate::replica::marker;
use crate::segment::{self, Segment};
use crate::storage::{Access, Environment, Storage, StorageFile};
use crate::verify::Progress;
use serde::Serialize;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Zeros that are written in one go, and bytes that are compared.
const BLOCK: usize = 128 << 10;

/// How a backup is taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackupOptions {
    /// Ended segments become second names of the same files, on the same file system: quick and without room, but what
    /// rots there rots here.
    pub link: bool,
    /// The secret key that checkpoints are signed with goes with it.
    pub with_keys: bool,
}

/// What a backup holds now.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Of which store.
    pub store: Uuid,
    /// The next position after what it holds: the number of its events.
    pub next: Position,
    /// The chain head there.
    pub chain: Digest,
    /// When it was brought to this state, ns since 1970.
    pub made_at: Timestamp,
    /// Segments that it holds.
    pub segments: u32,
    /// Segments that were linked in this run.
    pub segments_linked: u32,
    /// Bytes of frames and headers that it holds.
    pub bytes: u64,
    /// Those that were written in this run.
    pub bytes_written: u64,
    /// Size of the newest checkpoint that was signed.
    pub checkpoint: Option<TreeSize>,
    /// Whether the secret key is in it.
    pub has_secret_key: bool,
}

/// Copies the log of a data directory, with or without a writer at work, into a directory of its own, or adds what is new to
/// the backup that is there.
///
/// # Errors
/// When the log or what is new of it does not verify, is not the one that was filed before, or files cannot be read or written.
/// The backup is then as it was.
pub fn backup(
    environment: &Environment,
    data_dir: &Path,
    to: &Path,
    options: BackupOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Backup, BackupError> {
    take(environment, data_dir, to, options, &Source::of_log, progress)
}

/// Takes a backup of what is sound at the beginning of a log that cannot be opened: up to the first thing that does not verify,
/// which is told beside it. What was signed of what is lost is in it, so restoring it makes a new store.
///
/// # Errors
/// When not even its beginning is sound, and as [`backup`].
pub fn backup_sound(
    environment: &Environment,
    data_dir: &Path,
    to: &Path,
    options: BackupOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Backup, Option<Damage>), BackupError> {
    let found = Cell::new(None);
    let sound = |storage: &Arc<dyn Storage>, data_dir: &Path| {
        let (source, damage) = Source::sound(storage, data_dir)?;
        found.set(damage);
        Ok(source)
    };
    let taken = take(environment, data_dir, to, options, &sound, progress)?;
    Ok((taken, found.take()))
}

/// How far the log of a data directory is sound, and what ends it there; see [`backup_sound`].
///
/// # Errors
/// When not even its beginning is sound.
pub fn sound_end(
    environment: &Environment,
    data_dir: &Path,
) -> Result<(Position, Option<Damage>), BackupError> {
    let (source, damage) = Source::sound(&environment.storage, data_dir)?;
    Ok((source.next, damage))
}

/// What is to be copied of a data directory.
type Open<'a> = &'a dyn Fn(&Arc<dyn Storage>, &Path) -> Result<Source, BackupError>;

fn take(
    environment: &Environment,
    data_dir: &Path,
    to: &Path,
    options: BackupOptions,
    open: Open<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Backup, BackupError> {
    let storage = &*environment.storage;
    check_target(storage, to)?;
    storage.create_dir(to).map_err(BackupError::io("cannot create", to))?;
    let _lock = lock(storage, to)?;
    let known = check_target(storage, to)?;
    let log_dir = to.join("log");
    storage.create_dir(&log_dir).map_err(BackupError::io("cannot create", &log_dir))?;
    if marker::read(storage, &log_dir)?.is_none() {
        marker::write(storage, &log_dir, MARKER)?;
    }
    // The journal comes first: what is signed is durable, so the log that is looked at afterwards covers all of it.
    let (mut filed, promises) = files::take_journal(storage, data_dir, to, known.as_ref())?;
    let source = open(&environment.storage, data_dir)?;
    let store = source.store().unwrap_or_default();
    let (start, kept) = match &known {
        Some(known) => start(storage, to, known, &source)?,
        None => (Start::default(), Vec::new()),
    };
    let checkpoint = promises.newest(store).max(known.as_ref().and_then(|known| known.checkpoint));
    let from = start.before.map_or(Position::ZERO, |before| before.next);
    let (tasks, waiting) = output::channel();
    let mut taker = Taker {
        storage,
        source: &source,
        dir: to,
        link: options.link,
        tasks,
        known: start.known.filter(|known| is_there(storage, &log_dir, known)),
        entries: kept,
        current: None,
        from: 0,
        promises: promises.after(store, from.get()),
        linked: 0,
        written: 0,
    };
    let total = source.bytes_from(start.segment());
    let mut done = 0;
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || output::carry_out(&waiting));
        let copied = copy(&source, &start, to, &mut taker, &mut |bytes| {
            done += bytes;
            progress(Progress { done, total });
        });
        let (left, entries, linked, written) = taker.finish();
        let carried_out = match writer.join() {
            Ok(carried_out) => carried_out,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        copied?;
        carried_out?;
        if let Some((size, _)) = left.first_key_value().filter(|_| !source.is_cut) {
            let end = entries.last().map_or(0, |last| last.end.next.get());
            let reason =
                if *size > end { "the log ends before it" } else { "the log's chain is another one there" };
            return Err(BackupError::Checkpoint { size: TreeSize::new(*size), reason });
        }
        storage.sync_dir(&log_dir).map_err(BackupError::io("cannot sync", &log_dir))?;
        filed.extend(files::take_others(storage, data_dir, to, known.as_ref(), options.with_keys)?);
        let made_at = environment.clock.now();
        let manifest = Manifest { store, made_at, checkpoint, segments: entries, files: filed };
        manifest.write(storage, to)?;
        files::show_keys(storage, to, &manifest)?;
        files::sweep_keys(storage, to, &manifest)?;
        Ok(Backup {
            store,
            next: manifest.next(),
            chain: manifest.chain(),
            made_at,
            segments: manifest.end().segment() + 1,
            segments_linked: linked,
            bytes: manifest.segments.iter().map(|segment| segment.end.valid_len).sum(),
            bytes_written: written,
            checkpoint,
            has_secret_key: manifest.file(files::SECRET).is_some(),
        })
    })
}

pub(super) fn lock(
    storage: &dyn Storage,
    dir: &Path,
) -> Result<Box<dyn std::any::Any + Send + Sync>, BackupError> {
    let path = dir.join(LOCK);
    storage.lock(&path, &format!("process {}", std::process::id())).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => BackupError::Locked { path },
        _ => BackupError::Io { action: "cannot lock", path, source },
    })
}

/// The manifest that is there; an error when there is something else than a backup.
fn check_target(storage: &dyn Storage, to: &Path) -> Result<Option<Manifest>, BackupError> {
    if let Some(manifest) = Manifest::read(storage, to)? {
        return Ok(Some(manifest));
    }
    let names = match storage.list(to) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BackupError::Io { action: "cannot list", path: to.to_owned(), source }),
    };
    let log_dir = to.join("log");
    let is_begun = match storage.list(&log_dir) {
        // Not even the marker of a backup had been written.
        Ok(names) if names.iter().all(|name| name.to_string_lossy().starts_with("STANDBY")) => true,
        Ok(_) => marker::read(storage, &log_dir)?.as_deref() == Some(MARKER),
        Err(_) => true,
    };
    let of_ours = ["log", "tree", "keys", LOCK, "MANIFEST.writing"];
    let foreign = names.iter().map(|name| name.to_string_lossy());
    let foreign = foreign.filter(|name| !is_begun || !of_ours.contains(&&**name)).min();
    match foreign {
        None => Ok(None),
        Some(found) => Err(BackupError::NotEmpty {
            path: to.to_owned(),
            found: found.into_owned(),
            wanted: "A backup begins in an empty directory and is added to in its own",
        }),
    }
}

/// What need not be copied again, when the log is the one that was filed.
fn start(
    storage: &dyn Storage,
    dir: &Path,
    known: &Manifest,
    source: &Source,
) -> Result<(Start, Vec<SegmentEntry>), BackupError> {
    let found = source.store().unwrap_or_default();
    if found != known.store {
        return Err(BackupError::OtherStore { path: dir.to_owned(), expected: known.store, found });
    }
    let diverged = |sequence: u32, offset: u64, reason: &str| {
        Err(BackupError::Diverged {
            path: dir.to_owned(),
            at: LogOffset::new(sequence, offset),
            reason: reason.to_owned(),
        })
    };
    let log_dir = dir.join("log");
    let Some((last, ended)) = known.segments.split_last() else {
        return Ok((Start::default(), Vec::new()));
    };
    for SegmentEntry { end, .. } in ended {
        let Some(next) = source.segment(end.sequence + 1) else {
            return diverged(end.sequence + 1, 0, "it is shorter");
        };
        let previous = next.header.previous;
        if (previous.valid_len, previous.chain, previous.digest) != (end.valid_len, end.chain, end.digest) {
            return diverged(end.sequence, end.valid_len, "it is not the same up to here");
        }
    }
    if source.segment(last.end.sequence).is_none() {
        return diverged(last.end.sequence, 0, "it is shorter");
    }
    // A file that has gone is copied again, with all after it.
    let kept: Vec<SegmentEntry> =
        ended.iter().copied().take_while(|entry| is_there(storage, &log_dir, &entry.end)).collect();
    let before = kept.last().map(|entry| entry.end);
    Ok((Start { before, known: Some(last.end) }, kept))
}

fn is_there(storage: &dyn Storage, log_dir: &Path, end: &Before) -> bool {
    let file = storage.open(&segment::path(log_dir, end.sequence), Access::Read);
    file.and_then(|file| file.len()).is_ok_and(|len| len == end.capacity)
}

/// Writes what has been checked into the backup.
struct Taker<'a> {
    storage: &'a dyn Storage,
    source: &'a Source,
    dir: &'a Path,
    link: bool,
    tasks: Tasks,
    /// The segment that goes on behind what was filed of it.
    known: Option<Before>,
    entries: Vec<SegmentEntry>,
    /// `None` where the segment is linked.
    current: Option<Output>,
    /// What is before it in the segment has been filed: it is compared.
    from: u64,
    /// Checkpoints that the log has to come by.
    promises: BTreeMap<u64, Vec<Digest>>,
    linked: u32,
    written: u64,
}

impl Taker<'_> {
    fn finish(self) -> (BTreeMap<u64, Vec<Digest>>, Vec<SegmentEntry>, u32, u64) {
        (self.promises, self.entries, self.linked, self.written)
    }

    fn path(&self, sequence: u32) -> PathBuf {
        segment::path(&self.dir.join("log"), sequence)
    }

    fn push(&mut self, task: Task, len: u64) {
        if let Some(current) = &self.current {
            self.tasks.push(current, task);
            self.written += len;
        }
    }

    /// Goes on in a file that was filed in part.
    fn go_on(&self, path: &Path, known: &Before) -> io::Result<Arc<dyn StorageFile>> {
        let file = self.storage.open(path, Access::Write)?;
        // What a run that was cut short has left there.
        let (mut block, mut at) = (vec![0; BLOCK], known.valid_len);
        loop {
            let read = file.read_full_at(&mut block, at)?;
            if read == 0 {
                return Ok(file);
            }
            if block[..read].iter().any(|byte| *byte != 0) {
                file.write_all_at(&vec![0; read], at)?;
            }
            at += read as u64;
        }
    }

    /// What was filed of a segment is still what the log has.
    fn compare(&self, segment: &Segment, range: Range<u64>) -> Result<(), BackupError> {
        let Some(Output { file, path }) = &self.current else { return Ok(()) };
        let mut block = vec![0; BLOCK];
        let mut at = range.start;
        while at < range.end {
            let expected = bytes(segment, at..range.end.min(at + BLOCK as u64));
            let found = &mut block[..expected.len()];
            let read = file.read_full_at(found, at).map_err(BackupError::io("cannot read", path))?;
            let differs = expected.iter().zip(&found[..read]).position(|(left, right)| left != right);
            if let Some(first) = differs.or((read < expected.len()).then_some(read)) {
                let reason = "it is not what was filed: the log has another byte here. Move this file away, and the next \
                              backup copies the segment again";
                let (path, offset) = (path.clone(), at + first as u64);
                return Err(BackupError::Damaged { path, offset, reason: reason.to_owned() });
            }
            at += expected.len() as u64;
        }
        Ok(())
    }
}

impl Sink for Taker<'_> {
    fn begin(&mut self, segment: &Arc<Segment>, entered: &Cursor) -> Result<(), BackupError> {
        let sequence = entered.header.sequence;
        let path = self.path(sequence);
        self.from = 0;
        self.current = None;
        if let Some(known) = self.known.filter(|known| known.sequence == sequence) {
            let file = self.go_on(&path, &known).map_err(BackupError::io("cannot go on with", &path))?;
            self.current = Some(Output { file, path });
            self.from = known.valid_len;
            return self.compare(segment, 0..SEGMENT_HEADER_BYTES as u64);
        }
        // The name may be a second one of the log's own file: it goes, and nothing is written through it.
        match self.storage.remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::Io { action: "cannot remove", path, source });
            }
            _ => {}
        }
        // What is in an archive has no file here that could have a second name.
        if self.link && self.source.is_ended(sequence) && segment.reference().is_none() {
            let from = segment::path(&self.source.path.join("log"), sequence);
            self.storage
                .link(&from, &path)
                .map_err(BackupError::io("cannot link (without --link it is copied)", &path))?;
            self.linked += 1;
            return Ok(());
        }
        let make = || {
            let file = self.storage.open(&path, Access::Create)?;
            file.set_len(entered.header.capacity)?;
            Ok(file)
        };
        let file = make().map_err(BackupError::io("cannot make", &path))?;
        self.current = Some(Output { file, path });
        let header = 0..SEGMENT_HEADER_BYTES as u64;
        self.push(Task::Copy(Arc::clone(segment), header.clone()), header.end);
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, _body: Digest) {
        let next = frame.header.next().get();
        if let Some(heads) = self.promises.get_mut(&next) {
            heads.retain(|chain| *chain != frame.header.chain);
            if heads.is_empty() {
                self.promises.remove(&next);
            }
        }
    }

    fn frames(&mut self, segment: &Arc<Segment>, range: Range<u64>) -> Result<(), BackupError> {
        if range.end <= self.from {
            return self.compare(segment, range);
        }
        self.push(Task::Copy(Arc::clone(segment), range.clone()), range.end - range.start);
        Ok(())
    }

    fn end(&mut self, segment: &Arc<Segment>, end: &Before, tail: Range<u64>) -> Result<(), BackupError> {
        let len = tail.end - tail.start;
        if len > 0 {
            self.push(Task::Copy(Arc::clone(segment), tail), len);
        }
        self.push(Task::Sync, 0);
        self.entries.push(SegmentEntry { end: *end, tail: len });
        Ok(())
    }
}
