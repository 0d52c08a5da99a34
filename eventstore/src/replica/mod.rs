//! The writer of a standby: it appends verified frames from elsewhere, byte for byte, in place of commits.
//!
//! ```text
//!  Log::segment_piece ──bytes──▶ Replica::take: check all of it ─▶ write, sync ─▶ index ─▶ publish
//!   (the source)                  (CRCs, digests, chain)           (a Flush)      (the standby's control page)
//! ```
//!
//! Invariant: the segments of a standby are its source's, byte for byte, up to where the standby is. What is shown to
//! readers here was checked before it was written and synced before it is shown, as in a writer's log, so local
//! projectors and query services tail a standby as they tail a writer.
//!
//! Invariant: a frame says how much was durable when it was written. It is written here only after as much is durable
//! here, so that recovery reads a crash of the standby as what it is; `FORMAT.md` (Standby) has the rule.

pub(crate) mod check;
mod error;
pub(crate) mod marker;
mod piece;
mod promote;
mod write;

pub use error::ReplicaError;
pub use piece::{Kinship, PieceError, SegmentPiece};
pub use promote::{Promoted, promote};

use crate::control;
use crate::engine::lock;
use crate::error::{IndexError, OpenError};
use crate::format::bytes::{all_zero, first_nonzero};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::log::Log;
use crate::names::StreamId;
use crate::numbers::{Lineage, LogOffset, Position};
use crate::page::ControlWriter;
use crate::recovery::{self, Continue, Recovered};
use crate::segment;
use crate::storage::{Access, Environment, StorageFile};
use crate::tail::{Role, Shared};
use check::Cursor;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// What the log of a data directory follows; nothing of a log that follows none.
///
/// # Errors
/// When the directory cannot be read.
pub fn follows(environment: &Environment, data_dir: &Path) -> Result<Option<String>, OpenError> {
    marker::read(&*environment.storage, &data_dir.join("log"))
}

/// The first position of a data directory's log that is its own, where it was promoted (by a build that leaves a file about it): what
/// stands before is another log's too, which has the same name.
///
/// # Errors
/// When the directory cannot be read, or does not say it well.
pub fn promoted_at(environment: &Environment, data_dir: &Path) -> Result<Option<Position>, OpenError> {
    marker::promoted_at(&*environment.storage, &data_dir.join("log"))
}

/// The one writer of a standby's log, without threads.
#[derive(Debug)]
pub struct Replica {
    environment: Environment,
    data_dir: PathBuf,
    log_dir: PathBuf,
    /// `None` until the first segment has been begun.
    open: Option<Open>,
    /// What a crash of the source has left behind the last frame, until the next header vouches for it.
    tail: Vec<u8>,
    /// Whether the source has said that the segment is over.
    ended: bool,
    /// End of what a crash of ours has left behind the last frame; 0 when there is nothing.
    torn_end: u64,
    /// Why nothing is taken any more.
    failed: Option<String>,
    /// Held as long as the replica lives.
    _lock: Box<dyn Any + Send + Sync>,
}

/// A log that has been begun.
#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    control: ControlWriter,
    file: Arc<dyn StorageFile>,
    /// Everything before it is on disk, indexed and published.
    cursor: Cursor,
}

impl Replica {
    /// Makes an empty directory a standby, or goes on with one. `follows` says what it follows, for people.
    ///
    /// # Errors
    /// [`ReplicaError::NotAStandby`] when the directory has a log that is written there; otherwise as
    /// [`crate::Store::open`].
    pub fn open(environment: &Environment, data_dir: &Path, follows: &str) -> Result<Self, ReplicaError> {
        let storage = &*environment.storage;
        let log_dir = data_dir.join("log");
        storage.create_dir(&log_dir).map_err(|source| OpenError::Io {
            action: "cannot create",
            path: log_dir.clone(),
            source,
        })?;
        let lock = lock(environment, &log_dir, "LOCK")?;
        let known = marker::read(storage, &log_dir)?;
        if known.is_none() && marker::has_log(environment, data_dir, &log_dir)? {
            return Err(ReplicaError::NotAStandby { path: log_dir });
        }
        if known.as_deref() != Some(follows) {
            marker::write(storage, &log_dir, follows)?;
        }
        let recovered = recovery::recover_existing(environment, data_dir)?;
        let mut replica = Self {
            environment: environment.clone(),
            data_dir: data_dir.to_owned(),
            log_dir,
            open: None,
            tail: Vec::new(),
            ended: false,
            torn_end: 0,
            failed: None,
            _lock: lock,
        };
        if let Some(recovered) = recovered {
            replica.resume(&recovered)?;
        }
        Ok(replica)
    }

    /// Goes on behind the last whole frame. What a crash has torn behind it stays until the source's bytes are here.
    fn resume(&mut self, recovered: &Recovered) -> Result<(), ReplicaError> {
        let storage = &self.environment.storage;
        let shared = Arc::new(Shared::new(
            Arc::clone(storage),
            &self.data_dir,
            recovered.segments.clone(),
            Role::Writer,
        )?);
        recovered.index(&shared)?;
        let last =
            recovered.segments.last().ok_or_else(|| OpenError::NoLog { path: self.log_dir.clone() })?;
        let rest = usize::try_from(recovered.end.offset()).ok().and_then(|end| last.bytes().get(end..));
        let rest = rest.unwrap_or_default();
        if first_nonzero(rest).is_some() {
            let torn = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            self.torn_end = recovered.end.offset() + torn;
        }
        let cursor = Cursor {
            header: last.header,
            seed: recovered.seed(),
            digest: recovered.digest.clone(),
            offset: recovered.end.offset(),
            next: recovered.next,
            chain: recovered.chain,
            recorded_at: shared.tail().recorded_at,
            epoch: recovered.last_epoch,
            is_sealed: recovered.continues == Continue::AfterSeal,
        };
        let path = segment::path(&self.log_dir, cursor.header.sequence);
        let file = storage.open(&path, Access::Write).map_err(|source| OpenError::Io {
            action: "cannot open for writing",
            path,
            source,
        })?;
        // Only a log that is sound as a whole takes over the page.
        let control = control::open_writer(&**storage, &self.data_dir, shared.store, cursor.epoch)?;
        self.open = Some(Open { shared, control, file, cursor });
        self.publish()
    }

    /// A reader of the same log; `None` until the first segment has been begun.
    #[must_use]
    pub fn log(&self) -> Option<Log> {
        self.open.as_ref().map(|open| Log::of_writer(Arc::clone(&open.shared)))
    }

    /// What is wanted next: a place in the source's log. Offset 0 asks for a segment's header.
    #[must_use]
    pub fn place(&self) -> LogOffset {
        let place = self.open.as_ref().map_or(LogOffset::default(), |open| open.cursor.place());
        if self.ended { LogOffset::new(place.segment() + 1, 0) } else { place }
    }

    /// The store, the next position and the chain head there; `None` until the first segment has been begun.
    #[must_use]
    pub fn lineage(&self) -> Option<Lineage> {
        let open = self.open.as_ref()?;
        let Cursor { next, chain, .. } = open.cursor;
        Some(Lineage { store: open.shared.store, next, chain })
    }

    /// Appends a piece of the source's log: durable and published when this returns.
    ///
    /// # Errors
    /// When it is not exactly what comes next here; then nothing of it has been written. [`ReplicaError::Failed`] when
    /// writing failed; then nothing more is taken.
    pub fn take(&mut self, piece: &SegmentPiece) -> Result<(), ReplicaError> {
        self.check_place(piece)?;
        if piece.is_tail {
            self.hold_tail(&piece.bytes)?;
        } else if piece.offset == 0 {
            let header_len = SEGMENT_HEADER_BYTES.min(piece.bytes.len());
            let (header, frames) = piece.bytes.split_at(header_len);
            let entered = self.enter(header, piece.store)?;
            // All of it is checked before any of it is written.
            let (passed, syncs) = self.pass(&entered, frames)?;
            self.begin(header, entered)?;
            self.append(frames, passed, &syncs)?;
        } else {
            self.append_frames(&piece.bytes)?;
        }
        self.ended = piece.ended;
        Ok(())
    }

    /// Begins the next segment with the header that the source's has.
    ///
    /// # Errors
    /// As [`Replica::take`].
    pub fn begin_segment(&mut self, header: &[u8]) -> Result<(), ReplicaError> {
        self.check_alive()?;
        let store = self.open.as_ref().map_or(Uuid::nil(), |open| open.shared.store);
        let entered = self.enter(header, store)?;
        self.begin(header, entered)
    }

    /// Appends whole frames to the segment.
    ///
    /// # Errors
    /// As [`Replica::take`].
    pub fn append_frames(&mut self, frames: &[u8]) -> Result<(), ReplicaError> {
        self.check_alive()?;
        let Some(open) = &self.open else {
            return Err(ReplicaError::Gap {
                at: LogOffset::default(),
                what: "a frame before the header at offset",
                expected: 0,
                found: SEGMENT_HEADER_BYTES as u64,
            });
        };
        let (passed, syncs) = self.pass(&open.cursor, frames)?;
        self.append(frames, passed, &syncs)
    }

    /// One unit of background work: the index of an ended segment, or a merge of indexes; true = there is more.
    ///
    /// # Errors
    /// When a file cannot be written; what it would hold stays in memory, and nothing is lost.
    pub fn housekeep(&mut self) -> Result<bool, IndexError> {
        self.open.as_ref().map_or(Ok(false), |open| open.shared.housekeep())
    }

    /// Shows local readers that somebody is at work, although nothing comes.
    pub fn beat(&self) {
        if let Some(open) = &self.open {
            open.control.beat(self.environment.clock.now());
        }
    }

    /// Leaves the standby in good order, for the next opening to go on.
    pub fn close(self) {
        drop(self);
    }

    fn check_alive(&self) -> Result<(), ReplicaError> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(ReplicaError::Failed { reason: reason.clone() }),
        }
    }

    fn check_place(&self, piece: &SegmentPiece) -> Result<(), ReplicaError> {
        self.check_alive()?;
        let at = self.place();
        if let Some(open) = &self.open
            && open.shared.store != piece.store
        {
            return Err(ReplicaError::OtherStore { expected: open.shared.store, found: piece.store });
        }
        let gap = |what, expected, found| Err(ReplicaError::Gap { at, what, expected, found });
        if piece.segment != at.segment() {
            return gap("segment", at.segment().into(), piece.segment.into());
        }
        if piece.offset != at.offset() {
            return gap("offset", at.offset(), piece.offset);
        }
        Ok(())
    }

    /// Keeps a tail until the next header says whether it is the right one.
    fn hold_tail(&mut self, tail: &[u8]) -> Result<(), ReplicaError> {
        let at = self.place();
        let room = self.open.as_ref().map_or(0, |open| open.cursor.header.capacity - open.cursor.offset);
        if tail.is_empty() || tail.len() as u64 > room || all_zero(tail) {
            return Err(ReplicaError::Damaged { at, reason: "no crash leaves such a tail" });
        }
        self.tail = tail.to_vec();
        Ok(())
    }

    fn enter(&mut self, header: &[u8], store: Uuid) -> Result<Cursor, ReplicaError> {
        let previous = self.open.as_ref().map(|open| open.cursor.before());
        let entered = Cursor::enter(previous.as_ref(), &self.tail, header).inspect_err(|error| {
            // Which of the two was damaged, the tail or the header, is not known: both come again.
            if matches!(error, ReplicaError::Damaged { .. }) && !self.tail.is_empty() {
                self.tail = Vec::new();
                self.ended = false;
            }
        })?;
        if !store.is_nil() && entered.header.store != store {
            return Err(ReplicaError::OtherStore { expected: store, found: entered.header.store });
        }
        Ok(entered)
    }

    fn pass(&self, cursor: &Cursor, frames: &[u8]) -> Result<(Cursor, Vec<usize>), ReplicaError> {
        let mut cursor = cursor.clone();
        let shared = self.open.as_ref().map(|open| Arc::clone(&open.shared));
        let heads = move |stream: &StreamId| match &shared {
            Some(shared) => shared.stream_version(stream),
            None => Ok(None),
        };
        let syncs = cursor.pass(frames, &heads)?;
        Ok((cursor, syncs))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let (Some(open), None) = (&self.open, &self.failed) {
            open.control.close();
        }
    }
}
