//! A group of commits on its way to the disk: what is written, what is synced, in which order.
//!
//! This is the one step between a commit and its durability. It knows nothing of the log: a list of writes and syncs
//! that can be run on any thread, step by step, or replaced by another way of making the same bytes durable.

use crate::error::AppendError;
use crate::format::frame::{self, CrcSeed, FrameHeader};
use crate::format::segment_header::SegmentHeader;
use crate::index::CommitSummary;
use crate::numbers::{LogOffset, Position, Version};
use crate::receipt::Receipt;
use crate::storage::StorageFile;
use crate::tail::Appended;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a waiter hears.
pub(crate) type Answer = Result<Receipt, AppendError>;

/// A place in the log and the next position there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) upto: Position,
    pub(crate) end: LogOffset,
}

/// Commits that share a sync, as they are collected.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) segment: u32,
    /// Where in the segment the bytes begin.
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` each frame begins, with the length of its header.
    frames: Vec<(usize, usize)>,
    /// The same frames, as the index will need them.
    pub(crate) appended: Vec<Appended>,
    pub(crate) answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// Set when the segment ends with this group: the segment that comes after it.
    pub(crate) next_segment: Option<NextSegment>,
    /// Whether it is to be synced even if the store does not ask for it.
    pub(crate) sync: bool,
    /// Whether it holds a commit, and so something that no mark has vouched for yet.
    pub(crate) has_commits: bool,
}

/// A segment that is begun by the group before it.
#[derive(Debug)]
pub(crate) struct NextSegment {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) header: SegmentHeader,
    /// Whether the group ends with a seal: then the digest in the header is known when the group is stamped.
    pub(crate) after_seal: bool,
}

impl Group {
    pub(crate) fn new(file: Arc<dyn StorageFile>, segment: u32, start: u64) -> Self {
        Self {
            file,
            segment,
            start,
            bytes: Vec::new(),
            frames: Vec::new(),
            appended: Vec::new(),
            answers: Vec::new(),
            next_segment: None,
            sync: false,
            has_commits: false,
        }
    }

    /// Appends a frame without a body.
    pub(crate) fn push(&mut self, header: &FrameHeader) {
        self.push_frame(header, &[], &[]);
        self.note(header, None);
    }

    /// Appends a commit.
    pub(crate) fn push_commit(
        &mut self,
        header: &FrameHeader,
        base_versions: Vec<Version>,
        body: &[u8],
        summary: CommitSummary,
    ) {
        self.push_frame(header, &base_versions, body);
        self.note(header, Some((summary, base_versions)));
    }

    fn push_frame(&mut self, header: &FrameHeader, base_versions: &[Version], body: &[u8]) {
        self.frames.push((self.bytes.len(), header.header_len()));
        frame::encode(&mut self.bytes, header, base_versions, body);
    }

    /// Keeps for the index what is known of the frame that was pushed last.
    fn note(&mut self, header: &FrameHeader, commit: Option<(CommitSummary, Vec<Version>)>) {
        let end = self.end();
        self.appended.push(Appended {
            place: LogOffset::new(self.segment, end - header.frame_len() as u64),
            end: LogOffset::new(self.segment, end),
            next: header.next(),
            chain: header.chain,
            recorded_at: header.recorded_at,
            commit,
        });
    }

    /// Where in the segment the next frame will stand.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Whether there is anything to be written or synced.
    pub(crate) fn needs_io(&self) -> bool {
        !self.bytes.is_empty() || self.next_segment.is_some() || self.sync
    }

    /// Completes the headers of all frames; `stamped` sees each of them.
    pub(crate) fn stamp(&mut self, seed: &CrcSeed, durable: Reach, mut stamped: impl FnMut(&[u8])) {
        for (at, header_len) in self.frames.drain(..) {
            let header = &mut self.bytes[at..at + header_len];
            frame::stamp(header, seed, self.start + at as u64, durable.upto, durable.end);
            stamped(header);
        }
    }
}

/// One step of a flush.
#[derive(Debug)]
enum Step {
    Write(Arc<dyn StorageFile>, u64, Vec<u8>),
    Sync(Arc<dyn StorageFile>),
}

/// The I/O of one group. [`Flush::run`] is what makes it durable; nothing is acknowledged before it has returned.
#[derive(Debug)]
pub struct Flush {
    steps: Vec<Step>,
    done: usize,
    pub(crate) group: Group,
    /// How far the log reaches after it.
    pub(crate) reach: Reach,
    /// Whether everything up to `reach` is on disk after it.
    pub(crate) syncs: bool,
    /// How long it took to run. Only counted, nothing depends on it.
    pub(crate) took: Duration,
}

impl Flush {
    pub(crate) fn new(mut group: Group, reach: Reach, syncs: bool, next_header: Option<Vec<u8>>) -> Self {
        let mut steps = Vec::with_capacity(4);
        if !group.bytes.is_empty() {
            let bytes = std::mem::take(&mut group.bytes);
            steps.push(Step::Write(Arc::clone(&group.file), group.start, bytes));
        }
        if syncs {
            steps.push(Step::Sync(Arc::clone(&group.file)));
        }
        if let (Some(next), Some(header)) = (&group.next_segment, next_header) {
            // Only once all of the old segment is on disk may a new one say so.
            steps.push(Step::Write(Arc::clone(&next.file), 0, header));
            steps.push(Step::Sync(Arc::clone(&next.file)));
        }
        Self { steps, done: 0, group, reach, syncs, took: Duration::ZERO }
    }

    /// Runs the next step; `None` when all are done.
    pub fn step(&mut self) -> Option<io::Result<()>> {
        let step = self.steps.get(self.done)?;
        self.done += 1;
        Some(match step {
            Step::Write(file, offset, bytes) => file.write_all_at(bytes, *offset),
            Step::Sync(file) => file.sync(),
        })
    }

    /// Runs all steps in order, up to the first that fails. What fails is final: nothing is tried again.
    ///
    /// # Errors
    /// What the storage says.
    pub fn run(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let mut done = Ok(());
        while done.is_ok()
            && let Some(step) = self.step()
        {
            done = step;
        }
        self.took = began.elapsed();
        done
    }

    /// Bytes that it writes.
    pub(crate) fn len(&self) -> usize {
        let written = |step: &Step| match step {
            Step::Write(_, _, bytes) => bytes.len(),
            Step::Sync(_) => 0,
        };
        self.steps.iter().map(written).sum()
    }

    /// The buffer, to be used again.
    pub(crate) fn into_buffer(mut self) -> Vec<u8> {
        let buffers = self.steps.drain(..).filter_map(|step| match step {
            Step::Write(_, _, bytes) => Some(bytes),
            Step::Sync(_) => None,
        });
        buffers.max_by_key(Vec::capacity).unwrap_or_default()
    }
}
