//! What a recovery would find in the log of a directory, and who is at work there.

use crate::control;
use crate::error::OpenError;
use crate::format::bytes::{array, i64_at, u32_at, u64_at};
use crate::format::control_page::CONTROL_PAGE_BYTES;
use crate::numbers::{Digest, Lineage, LogOffset, Position, Timestamp};
use crate::recovery::{self, Survey};
use crate::replica::marker;
use crate::scan::WalkEnd;
use crate::storage::{Access, Environment};
use crate::store;
use std::io;
use std::path::Path;
use uuid::Uuid;

/// Most bytes of a lock's note that are shown.
const NOTE_BYTES_MAX: usize = 200;

/// A log that a writer could open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Where the log would be.
    pub lineage: Lineage,
    /// Where its sound frames end.
    pub end: LogOffset,
    /// How far it is known to have been durable.
    pub vouched_for: LogOffset,
    /// When its last frame was recorded; none in an empty log.
    pub recorded_at: Option<Timestamp>,
    /// Segments in use.
    pub segments: u32,
    /// Length of the last one's file, bytes.
    pub segment_bytes: u64,
    /// What a crash has left behind the last frame.
    pub torn: Option<Torn>,
    /// A segment whose header a crash has torn before it held anything.
    pub torn_header: Option<u32>,
}

/// Bytes behind the last sound frame that nobody was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub segment: u32,
    /// Where the first of them is.
    pub offset: u64,
}

/// What a writer that opens the log of a directory without a writer would find; `None` when there is no log.
///
/// # Errors
/// As [`crate::Store::open`] would refuse: damage to acknowledged data, a missing or foreign segment, files that cannot be read.
pub fn outlook(environment: &Environment, data_dir: &Path) -> Result<Option<Outlook>, OpenError> {
    let Some(survey) = recovery::survey(&environment.storage, data_dir)? else { return Ok(None) };
    let end = survey.end();
    let Survey { store, segments, last, walked, beyond, durable_end, torn_header, .. } = survey;
    let torn = beyond.first_nonzero.filter(|_| walked.end != WalkEnd::Sealed);
    Ok(Some(Outlook {
        lineage: Lineage { store, next: walked.next, chain: walked.chain },
        end,
        vouched_for: durable_end,
        recorded_at: Some(walked.recorded_at).filter(|at| *at > Timestamp::new(i64::MIN)),
        segments: u32::try_from(segments.len()).unwrap_or(u32::MAX),
        segment_bytes: last.header.capacity,
        torn: torn.map(|offset| Torn { segment: last.header.sequence, offset }),
        torn_header: torn_header.map(|torn| torn.sequence),
    }))
}

/// Who writes the log of a directory right now, by the note in its lock.
#[must_use]
pub fn writer(environment: &Environment, data_dir: &Path) -> Option<String> {
    let storage = &*environment.storage;
    if !store::is_locked(storage, data_dir) {
        return None;
    }
    let mut note = [0; NOTE_BYTES_MAX];
    let file = storage.open(&data_dir.join("log").join("LOCK"), Access::Read);
    let len = file.and_then(|file| file.read_full_at(&mut note, 0)).unwrap_or(0);
    Some(String::from_utf8_lossy(&note[..len]).trim().to_owned())
}

/// What the log of a directory follows, if it is a standby or a backup.
///
/// # Errors
/// When that cannot be read.
pub fn standby(environment: &Environment, data_dir: &Path) -> Result<Option<String>, OpenError> {
    marker::read(&*environment.storage, &data_dir.join("log"))
}

/// What the control page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Of which store.
    pub store: Uuid,
    /// The epoch of the writer that wrote it.
    pub epoch: u32,
    /// Whether that writer has not closed the log.
    pub is_open: bool,
    /// When it last showed that it is at work, ns since 1970.
    pub heartbeat: Timestamp,
    /// Next position known durable.
    pub durable: Position,
    /// Next position that readers may see.
    pub published: Position,
    /// Everything below is on disk.
    pub durable_end: LogOffset,
    /// Readers form slices only below it.
    pub published_end: LogOffset,
}

/// The control page of a directory; `None` when there is no page that can be used. Beside a writer its parts may be of different
/// moments.
///
/// # Errors
/// When it cannot be read.
pub fn page(environment: &Environment, data_dir: &Path) -> Result<Option<Page>, OpenError> {
    let storage = &*environment.storage;
    if control::last_published(storage, data_dir)?.is_none() {
        return Ok(None);
    }
    let path = control::path(data_dir);
    let mut bytes = [0; CONTROL_PAGE_BYTES];
    let read = storage.open(&path, Access::Read).and_then(|file| file.read_full_at(&mut bytes, 0));
    match read {
        Ok(_) => Ok(decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Io { action: "cannot read", path, source }),
    }
}

fn decode(bytes: &[u8]) -> Option<Page> {
    Some(Page {
        store: Uuid::from_bytes(array(bytes, 16).ok()?),
        epoch: u32_at(bytes, 32).ok()?,
        is_open: u32_at(bytes, 36).ok()? != 0,
        heartbeat: Timestamp::new(i64_at(bytes, 40).ok()?),
        durable: Position::new(u64_at(bytes, 48).ok()?),
        published: Position::new(u64_at(bytes, 56).ok()?),
        durable_end: LogOffset::from_bits(u64_at(bytes, 64).ok()?),
        published_end: LogOffset::from_bits(u64_at(bytes, 72).ok()?),
    })
}

impl Outlook {
    /// The chain head at the end.
    #[must_use]
    pub fn chain(&self) -> Digest {
        self.lineage.chain
    }
}
