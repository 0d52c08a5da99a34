//! Making a standby the log that is written.
//!
//! Invariant: the marker goes only once the log has proved sound, and the first thing written after that is of a new
//! epoch, so whoever follows this log from then on takes nothing more from the old leader.

use super::error::ReplicaError;
use super::marker;
use crate::engine::Engine;
use crate::error::OpenError;
use crate::numbers::{Lineage, LogOffset};
use crate::segment::{Segment, SegmentFile};
use crate::segments;
use crate::storage::{Environment, Storage};
use crate::store::StoreOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a standby has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promoted {
    /// Where its history is; from here on it is its own.
    pub lineage: Lineage,
    /// The epoch that has begun.
    pub epoch: u32,
    /// Where its bytes end, with the mark that vouches for the new epoch.
    pub end: LogOffset,
}

/// Makes the standby of a directory a log of its own: recovers it, ends its being a standby, and leaves a mark of a new
/// epoch. Whoever writes there next goes on behind that.
///
/// # Errors
/// [`ReplicaError::NotAStandby`] when it is none; [`OpenError::Locked`] while it is being followed; otherwise as
/// [`crate::Store::open`]. It remains a standby when its log is not sound.
pub fn promote(environment: &Environment, data_dir: &Path) -> Result<Promoted, ReplicaError> {
    let storage = &*environment.storage;
    let log_dir = data_dir.join("log");
    if marker::read(storage, &log_dir)?.is_none() {
        let is_there = !segments::list(storage, &log_dir)?.is_empty();
        let no_log = OpenError::NoLog { path: data_dir.to_owned() };
        return Err(if is_there { ReplicaError::NotAStandby { path: log_dir } } else { no_log.into() });
    }
    let capacity = capacity(&environment.storage, &log_dir)?;
    let segment_bytes = capacity.ok_or_else(|| OpenError::NoLog { path: data_dir.to_owned() })?;
    let options = StoreOptions { segment_bytes, ..StoreOptions::default() };
    let mut engine = Engine::promote(environment, data_dir, &options)?;
    let (log, epoch) = (engine.log(), engine.epoch());
    let before = log.durable_end();
    engine.finish();
    let end = log.durable_end();
    if let Some(reason) = engine.poisoned() {
        return Err(ReplicaError::Failed { reason: reason.to_owned() });
    }
    if end == before {
        // It is a writer's log all the same; the next writer's first frame does what the mark should have done.
        let source = io::Error::from(io::ErrorKind::StorageFull);
        return Err(ReplicaError::NoRoom { segment: end.segment() + 1, source });
    }
    Ok(Promoted { lineage: log.lineage(), epoch, end })
}

/// Length of the last segment in use.
fn capacity(storage: &Arc<dyn Storage>, log_dir: &Path) -> Result<Option<u64>, OpenError> {
    let mut capacity = None;
    for sequence in segments::list(&**storage, log_dir)? {
        if let SegmentFile::Used(segment) = Segment::open(storage, log_dir, sequence)? {
            capacity = Some(segment.header.capacity);
        }
    }
    Ok(capacity)
}
