//! Writing beside checking: one thread checks the next piece while another one writes and syncs the last.
//!
//! Invariant: what is written has been checked in the very pages that are written from.

use super::error::BackupError;
use super::source::bytes;
use crate::segment::Segment;
use crate::storage::StorageFile;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Pieces that wait for the disk at most.
const WAITING_MAX: usize = 4;

/// A file that is being written.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) path: PathBuf,
}

/// What is to be done with it.
#[derive(Debug)]
pub(super) enum Task {
    /// Bytes of a segment, to the same place.
    Copy(Arc<Segment>, Range<u64>),
    /// These bytes.
    Write(Vec<u8>, u64),
    /// Make it durable.
    Sync,
}

/// Hands tasks to the thread that carries them out.
#[derive(Debug)]
pub(super) struct Tasks(SyncSender<(Output, Task)>);

pub(super) fn channel() -> (Tasks, Receiver<(Output, Task)>) {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    (Tasks(sender), receiver)
}

impl Tasks {
    pub(super) fn push(&self, output: &Output, task: Task) {
        // Nobody receives once something has failed; that is told at the end.
        let _ = self.0.send((output.clone(), task));
    }
}

/// Carries out tasks until there are no more, or one fails.
pub(super) fn carry_out(tasks: &Receiver<(Output, Task)>) -> Result<(), BackupError> {
    for (Output { file, path }, task) in tasks {
        match task {
            Task::Copy(segment, range) => file
                .write_all_at(bytes(&segment, range.clone()), range.start)
                .map_err(BackupError::io("cannot write", path))?,
            Task::Write(bytes, at) => {
                file.write_all_at(&bytes, at).map_err(BackupError::io("cannot write", path))?;
            }
            Task::Sync => file.sync().map_err(BackupError::io("cannot sync", path))?,
        }
    }
    Ok(())
}
