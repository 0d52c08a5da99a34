//! Snapshots: the states of streams, kept so that long streams need not be folded from their beginning.
//!
//! A cache and nothing else. The log is what is true; a snapshot counts only if everything about it is beyond doubt,
//! and any doubt is answered with "there is none", never with an error. It is never synced, and deleting the directory
//! is always safe.
//!
//! Invariant: a state is given out only if the log has, at the snapshot's version of the stream, the very event that
//! the snapshot names, and the same chain head after it. So one of another store, of a rewound log or of a log that
//! lost its end is never given out, whatever has been appended since.

mod file;
mod fold;
mod held;
mod record;

pub use fold::{Folded, fold};

use crate::by_stream::event_at;
use crate::codec;
use crate::engine::lock;
use crate::error::{OpenError, ReadError};
use crate::log::Log;
use crate::names::StreamId;
use crate::numbers::{Digest, Version};
use crate::storage::{Access, Environment, Storage};
use file::SnapshotFile;
use held::Held;
use parking_lot::{Mutex, MutexGuard};
use record::{FILE_HEADER_BYTES, Record};
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const NAME: &str = "snapshots.dat";
const PREPARING: &str = "snapshots.dat.preparing";
/// Dead bytes that are never worth rewriting the file for.
const DEAD_BYTES_MIN: u64 = 64 << 10;
/// How long a snapshot waits for others that are being written. Whoever rewrites the file takes longer, and nobody
/// should wait for that.
const PATIENCE: Duration = Duration::from_millis(2);

/// How much is kept. What was used least recently goes first.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Snapshots at most.
    pub max_snapshots: usize,
    /// Bytes at most; the file has up to twice as many, and for a moment, while it is rewritten, three times.
    pub max_bytes: u64,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { max_snapshots: 65_536, max_bytes: 64 << 20 }
    }
}

/// A state as it was after the event at `version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot<S> {
    /// Of the last event that is in the state.
    pub version: Version,
    /// The state.
    pub state: S,
}

/// The newest snapshot of each stream: a cache of states over `<data-dir>/snapshots/`, so that long streams need not
/// be folded from their beginning. [`fold`] shows how it is used.
///
/// Nothing is lost with it. It is not synced, deleting the directory is always safe, and whatever is in doubt about a
/// snapshot (its bytes, its store, its schema version, whether the log ever had the past that it names) is answered
/// with `None`, never with an error. One process writes; others read what was there when they opened it.
///
/// What its owner must do: raise the schema version with every change to the shape or the meaning of a state. The
/// encoding does not describe itself, so bytes of an older shape may well decode to nonsense.
#[derive(Debug)]
pub struct Snapshots {
    known: Mutex<Known>,
    /// What only the writing process has.
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Known {
    held: Held,
    file: Option<SnapshotFile>,
}

struct Writer {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    /// Where the next record goes; `None` when the file could not be rewritten, and must not grow any more. Locked
    /// before `known`.
    end: Mutex<Option<u64>>,
    /// Held as long as this is open.
    _lock: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("dir", &self.dir).field("end", &self.end).finish_non_exhaustive()
    }
}

/// Why a snapshot is not given out.
enum Doubt {
    /// It may be right at another time, or for somebody else.
    Today(String),
    /// It will never be right again.
    Forever(String),
}

impl Snapshots {
    /// Opens (or makes) the snapshots of a data directory for reading and writing. What is not sound is left out.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process writes them; [`OpenError::Io`] when there is no writing here at all.
    pub fn open(data_dir: &Path, options: &SnapshotOptions) -> Result<Self, OpenError> {
        Self::open_in(&Environment::default(), data_dir, options)
    }

    /// As [`Snapshots::open`], in a given environment.
    ///
    /// # Errors
    /// As [`Snapshots::open`].
    pub fn open_in(
        environment: &Environment,
        data_dir: &Path,
        options: &SnapshotOptions,
    ) -> Result<Self, OpenError> {
        let storage = Arc::clone(&environment.storage);
        let dir = data_dir.join("snapshots");
        let io = |action, path: &Path, source| OpenError::Io { action, path: path.to_owned(), source };
        storage.create_dir(&dir).map_err(|error| io("cannot create", &dir, error))?;
        let lock = lock(environment, &dir, "LOCK")?;
        let mut held = Held::new(options);
        let (file, end) = match continue_file(&*storage, &dir, &mut held) {
            Ok(opened) => opened,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, dir = %dir.display(), "the snapshots cannot be used; beginning anew");
                }
                held = Held::new(options);
                new_file(&*storage, &dir).map_err(|error| io("cannot write snapshots to", &dir, error))?
            }
        };
        let known = Mutex::new(Known { held, file: Some(file) });
        let writer = Writer { storage, dir, end: Mutex::new(Some(end)), _lock: lock };
        Ok(Self { known, writer: Some(writer) })
    }

    /// Opens the snapshots that another process writes, as they are now. [`Snapshots::put`] does nothing then.
    #[must_use]
    pub fn open_reader(data_dir: &Path) -> Self {
        let storage = Environment::default().storage;
        let mut held = Held::new(&SnapshotOptions { max_snapshots: usize::MAX, max_bytes: u64::MAX });
        let opened = SnapshotFile::open(&*storage, &data_dir.join("snapshots").join(NAME), Access::Read);
        let opened = opened.and_then(|file| {
            file.scan(|record, offset| held.insert(record, offset))?;
            Ok(file)
        });
        if let Err(error) = &opened {
            tracing::debug!(%error, "no snapshots to read");
        }
        Self { known: Mutex::new(Known { held, file: opened.ok() }), writer: None }
    }

    /// Number of snapshots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.lock().held.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps `state` as that of `stream` after its event at `version`. False when it is not kept: the log has no such
    /// event, there is a newer snapshot, it is too large, this is a reader, or somebody is rewriting the file just now.
    ///
    /// Writes to the page cache; now and then, when half of the file is dead, it copies the other half. Not for the
    /// threads of an async runtime.
    pub fn put<S: Serialize>(
        &self,
        log: &Log,
        stream: &StreamId,
        version: Version,
        schema_version: u32,
        state: &S,
    ) -> bool {
        let found = match commit_of(log, stream, version) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%stream, %error, "no snapshot: the log cannot be read");
                return false;
            }
        };
        let Some((writer, (event, chain))) = self.writer.as_ref().zip(found) else { return false };
        let payload = match codec::encode(state) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::warn!(%stream, %error, "no snapshot: the state cannot be encoded");
                return false;
            }
        };
        let Ok(payload_len) = u32::try_from(payload.len()) else { return false };
        let record = Record {
            store: log.store_id(),
            stream: stream.clone(),
            version,
            event,
            chain,
            schema_version,
            payload_len,
            payload_crc: crc32fast::hash(&payload),
        };
        let Some(mut end) = writer.end.try_lock_for(PATIENCE) else { return false };
        if !self.is_news(log, &record) {
            return false;
        }
        self.append(writer, &mut end, record, &payload)
    }

    /// Whether a snapshot tells more than the one that is held.
    fn is_news(&self, log: &Log, new: &Record) -> bool {
        let Some(old) = self.known.lock().held.peek(&new.stream).cloned() else { return true };
        if old.store != new.store || old.schema_version != new.schema_version || old.version < new.version {
            return true;
        }
        // One that is as new or newer is better, if it is of this log at all.
        let found = commit_of(log, &old.stream, old.version);
        !found.is_ok_and(|found| found == Some((old.event, old.chain)))
    }

    fn append(
        &self,
        writer: &Writer,
        end: &mut MutexGuard<'_, Option<u64>>,
        record: Record,
        payload: &[u8],
    ) -> bool {
        let mut known = self.known.lock();
        let (Some(at), Some(file)) = (**end, known.file.clone()) else { return false };
        if record.len() as u64 > known.held.max_bytes() {
            tracing::debug!(stream = %record.stream, bytes = record.len(), "no snapshot: it is too large");
            return false;
        }
        drop(known);
        if let Err(error) = file.write(&record, payload, at) {
            // Whatever of it has been written is written over by the next.
            tracing::warn!(stream = %record.stream, %error, "no snapshot: it cannot be written");
            return false;
        }
        let next = at + record.len() as u64;
        **end = Some(next);
        known = self.known.lock();
        known.held.insert(record, at);
        let live = known.held.bytes();
        drop(known);
        if next - live > live + DEAD_BYTES_MIN {
            **end = match self.rewrite(writer, &file) {
                Ok(end) => Some(end),
                Err(error) => {
                    tracing::warn!(%error, "snapshots cannot be rewritten; no more are kept until the next start");
                    None
                }
            };
        }
        true
    }

    /// Writes what is live into a file of the next generation, which takes the place of the old one.
    fn rewrite(&self, writer: &Writer, old: &SnapshotFile) -> io::Result<u64> {
        let storage = &*writer.storage;
        let preparing = writer.dir.join(PREPARING);
        // Written in order of use, so that the order of a scan is that of use.
        let live = self.known.lock().held.in_order_of_use();
        let new = SnapshotFile::create(storage, &preparing, old.generation.wrapping_add(1))?;
        let mut end = FILE_HEADER_BYTES as u64;
        let mut moved = FxHashMap::default();
        for (record, offset) in live {
            let bytes = match old.read(&record, offset) {
                Ok(bytes) => bytes,
                Err(reason) => {
                    tracing::warn!(stream = %record.stream, reason, "a snapshot is damaged; left out");
                    continue;
                }
            };
            if let Ok(payload) = record.payload(&bytes) {
                new.write(&record, payload, end)?;
                moved.insert(offset, end);
                end += record.len() as u64;
            }
        }
        storage.rename(&preparing, &writer.dir.join(NAME))?;
        let mut known = self.known.lock();
        known.held.moved(&moved);
        known.file = Some(new);
        Ok(end)
    }

    /// The state of `stream` by its snapshot, if there is one beyond doubt: of this log, of this schema version, whole.
    /// `None` says no more than that the stream must be folded from its beginning.
    #[must_use]
    pub fn get<S: DeserializeOwned>(
        &self,
        log: &Log,
        stream: &StreamId,
        schema_version: u32,
    ) -> Option<Snapshot<S>> {
        let (record, offset, file) = {
            let mut known = self.known.lock();
            let (record, offset) = known.held.take_up(stream)?;
            // With the file that the offset is of: it may be replaced at any time.
            (record, offset, known.file.clone()?)
        };
        match state(log, &record, offset, &file, schema_version) {
            Ok(state) => Some(Snapshot { version: record.version, state }),
            Err(Doubt::Today(reason)) => {
                tracing::debug!(%stream, reason, "a snapshot is not used");
                None
            }
            Err(Doubt::Forever(reason)) => {
                tracing::warn!(%stream, reason, "a snapshot is forgotten");
                self.known.lock().held.forget(stream, offset);
                None
            }
        }
    }
}

/// What a snapshot names of the log: the id of the event at a version, and the chain head after its commit.
fn commit_of(log: &Log, stream: &StreamId, version: Version) -> Result<Option<(Uuid, Digest)>, ReadError> {
    let event = event_at(log, stream, version)?;
    Ok(event.and_then(|event| Some((event.get()?.id(), event.commit().chain()))))
}

/// The state in a snapshot, if nothing speaks against it.
fn state<S: DeserializeOwned>(
    log: &Log,
    record: &Record,
    offset: u64,
    file: &SnapshotFile,
    schema_version: u32,
) -> Result<S, Doubt> {
    if record.store != log.store_id() {
        return Err(Doubt::Forever(format!("it is of store {}", record.store)));
    }
    if record.schema_version != schema_version {
        return Err(Doubt::Today(format!("its schema version is {}", record.schema_version)));
    }
    let found = commit_of(log, &record.stream, record.version);
    match found.map_err(|error| Doubt::Today(format!("the log cannot be read: {error}")))? {
        Some(found) if found == (record.event, record.chain) => {}
        Some(_) => {
            return Err(Doubt::Forever(format!("the log has another past at version {}", record.version)));
        }
        None => return Err(Doubt::Today("the stream does not reach to its version".to_owned())),
    }
    let bytes = file.read(record, offset).map_err(Doubt::Forever)?;
    let payload = record.payload(&bytes).map_err(|error| Doubt::Forever(error.0.to_owned()))?;
    codec::decode(payload).map_err(|error| Doubt::Forever(format!("it cannot be decoded: {error}")))
}

/// Opens the file that is there and cuts off what is not sound.
fn continue_file(storage: &dyn Storage, dir: &Path, held: &mut Held) -> io::Result<(SnapshotFile, u64)> {
    let file = SnapshotFile::open(storage, &dir.join(NAME), Access::Write)?;
    let (end, is_whole) = file.scan(|record, offset| held.insert(record, offset))?;
    if !is_whole {
        tracing::debug!(end, "the end of the snapshots is not sound; cut off");
        // Otherwise an old record behind it might be met again one day.
        file.cut(end)?;
    }
    Ok((file, end))
}

fn new_file(storage: &dyn Storage, dir: &Path) -> io::Result<(SnapshotFile, u64)> {
    // Under another name first: a reader may have the old file open.
    let preparing = dir.join(PREPARING);
    let file = SnapshotFile::create(storage, &preparing, 0)?;
    storage.rename(&preparing, &dir.join(NAME))?;
    Ok((file, FILE_HEADER_BYTES as u64))
}
