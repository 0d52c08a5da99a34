//! How a standby writes what has been checked.
//!
//! Invariant: every step is a [`Flush`], as a writer's groups are: what is shown to anybody has been synced, and a flush that
//! failed is the last one.

use super::check::Cursor;
use super::error::ReplicaError;
use super::{Open, Replica};
use crate::control;
use crate::error::OpenError;
use crate::flush::{Flush, Group, NextSegment, Reach};
use crate::preparer::Preparer;
use crate::recovery;
use crate::segments::used_segments;
use crate::storage::StorageFile;
use crate::tail::{Role, Shared};
use std::fmt::Display;
use std::sync::Arc;

impl Replica {
    /// Writes a checked header, after everything before it.
    pub(super) fn begin(&mut self, header: &[u8], entered: Cursor) -> Result<(), ReplicaError> {
        self.clear_torn()?;
        let sequence = entered.header.sequence;
        let storage = Arc::clone(&self.environment.storage);
        let capacity = entered.header.capacity;
        let mut preparer = Preparer::new(Arc::clone(&storage), self.log_dir.clone(), capacity, false);
        let file =
            preparer.take(sequence).map_err(|source| ReplicaError::NoRoom { segment: sequence, source })?;
        let mut group = match &self.open {
            Some(open) => Group::new(Arc::clone(&open.file), sequence - 1, open.cursor.offset),
            None => {
                // Before the header, because with it there is a log, and nobody comes here again.
                let synced = recovery::sync_names(&*storage, &self.data_dir);
                synced.map_err(|source| OpenError::Io {
                    action: "cannot sync the directories above",
                    path: self.log_dir.clone(),
                    source,
                })?;
                Group::new(Arc::clone(&file), sequence, 0)
            }
        };
        // Empty where the segment before was sealed: that is on disk already.
        group.bytes = std::mem::take(&mut self.tail);
        let syncs = !group.bytes.is_empty();
        group.next_segment =
            Some(NextSegment { file: Arc::clone(&file), header: entered.header, after_seal: false });
        let reach = Reach { upto: entered.next, end: entered.place() };
        self.run(Flush::new(group, reach, syncs, Some(header.to_vec())))?;
        self.ended = false;
        match &mut self.open {
            Some(open) => (open.file, open.cursor) = (file, entered),
            None => {
                let begun = self.begun(file, entered);
                self.open = Some(begun.map_err(|error| self.fail(&error))?);
            }
        }
        self.publish()
    }

    /// The log, now that its first segment is there.
    fn begun(&self, file: Arc<dyn StorageFile>, cursor: Cursor) -> Result<Open, OpenError> {
        let storage = &self.environment.storage;
        let segments = used_segments(storage, &self.log_dir, Some(0))?;
        let shared = Arc::new(Shared::new(Arc::clone(storage), &self.data_dir, segments, Role::Writer)?);
        let control = control::open_writer(&**storage, &self.data_dir, shared.store, cursor.epoch)?;
        Ok(Open { shared, control, file, cursor })
    }

    /// Writes checked frames, with a sync before each of `syncs` and after the last one.
    pub(super) fn append(
        &mut self,
        frames: &[u8],
        passed: Cursor,
        syncs: &[usize],
    ) -> Result<(), ReplicaError> {
        if frames.is_empty() {
            return Ok(());
        }
        self.clear_torn()?;
        let mut written = 0;
        for end in syncs.iter().copied().chain([frames.len()]).filter(|end| *end > 0) {
            self.write_behind(written as u64, &frames[written..end])?;
            written = end;
        }
        if let Some(open) = &mut self.open {
            open.cursor = passed;
        }
        self.publish()
    }

    /// Zeros over what a crash of ours has torn. It comes again from the source, which may be another one by now and go
    /// another way.
    fn clear_torn(&mut self) -> Result<(), ReplicaError> {
        let from = self.open.as_ref().map_or(0, |open| open.cursor.offset);
        if self.torn_end > from {
            let len = usize::try_from(self.torn_end - from).unwrap_or(usize::MAX);
            self.write_behind(0, &vec![0; len])?;
        }
        self.torn_end = 0;
        Ok(())
    }

    /// Writes and syncs bytes so far behind the cursor.
    fn write_behind(&mut self, distance: u64, bytes: &[u8]) -> Result<(), ReplicaError> {
        let Some(open) = &self.open else { return Ok(()) };
        let (sequence, start) = (open.cursor.header.sequence, open.cursor.offset + distance);
        let mut group = Group::new(Arc::clone(&open.file), sequence, start);
        group.bytes = bytes.to_vec();
        let reach = Reach { upto: open.cursor.next, end: open.cursor.place() };
        self.run(Flush::new(group, reach, true, None))
    }

    fn run(&mut self, mut flush: Flush) -> Result<(), ReplicaError> {
        // As for a writer: after a failed sync the page cache may lie, so nothing is tried again.
        flush.run().map_err(|error| self.fail(&error))
    }

    /// Shows everybody what is on disk.
    pub(super) fn publish(&mut self) -> Result<(), ReplicaError> {
        let Some(open) = &self.open else { return Ok(()) };
        let end = open.cursor.place();
        if let Err(error) = open.shared.advance(end) {
            return Err(self.fail(&error));
        }
        open.shared.durable_to(end);
        let reach = (open.cursor.next, end);
        open.control.publish(reach, reach, self.environment.clock.now());
        Ok(())
    }

    fn fail(&mut self, error: &dyn Display) -> ReplicaError {
        let reason = error.to_string();
        tracing::error!(%reason, "the standby takes nothing more");
        self.failed = Some(reason.clone());
        ReplicaError::Failed { reason }
    }
}
