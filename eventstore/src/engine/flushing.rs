//! From the open group to the disk, and from there to everybody: stamped, run, settled, published.

use super::{Engine, Stamping};
use crate::digest::SegmentDigest;
use crate::error::{AppendError, ReadError};
use crate::flush::{Flush, Group, Reach};
use crate::format::frame::CrcSeed;
use crate::format::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::limits::SYNC_AFTER_MS;
use crate::numbers::LogOffset;
use crate::receipt::Durability;
use crate::segment::{Segment, SegmentFile};
use std::io;
use std::mem;
use std::sync::Arc;

/// Buffers that are kept: of the group that is collected, of one on its way, and of one that is being published.
const BUFFERS_MAX: usize = 3;
/// Longest buffer of which more than one is kept, bytes.
const BUFFER_BYTES_MAX: usize = 1 << 20;

impl Engine {
    /// The I/O of the open group. `None` when there is nothing to write, or a flush is under way: a frame says what is
    /// durable before it, so it is not completed before that is known.
    pub fn begin_flush(&mut self) -> Option<Flush> {
        if self.in_flight || self.poisoned.is_some() {
            return None;
        }
        if !self.open.needs_io() {
            // What was refused or known already may rest on a group that is on disk and not shown to anybody yet.
            if self.sequencer.unpublished() == 0 {
                self.answer_open();
            }
            return None;
        }
        let now = self.environment.clock.now();
        let ends_segment = self.open.next_segment.is_some();
        let start = if ends_segment { SEGMENT_HEADER_BYTES as u64 } else { self.open.end() };
        let mut next = Group::new(Arc::clone(&self.active.file), self.active.sequence, start);
        next.bytes = self.buffers.pop().unwrap_or_default();
        let mut group = mem::replace(&mut self.open, next);
        let Stamping { seed, digest } = &mut self.stamping;
        group.stamp(seed, self.durable, |header| digest.frame(header));
        let sync_is_due = now.get().saturating_sub(self.synced_at.get()) >= SYNC_AFTER_MS * 1_000_000;
        let syncs = self.options.durability == Durability::Fsync || group.sync || sync_is_due;
        if syncs {
            self.synced_at = now;
        }
        let mut reach =
            Reach { upto: self.sequencer.next(), end: LogOffset::new(group.segment, group.end()) };
        let next_header = group.next_segment.as_mut().map(|next| {
            if next.after_seal {
                next.header.previous.digest = self.stamping.digest.clone().finish();
            }
            let header = next.header.encode();
            self.stamping =
                Stamping { seed: CrcSeed::new(&next.header.salt), digest: SegmentDigest::new(&header) };
            reach.end = LogOffset::new(next.header.sequence, SEGMENT_HEADER_BYTES as u64);
            header
        });
        self.sequencer.close_group();
        self.preparer.used(self.open.end());
        self.in_flight = true;
        self.flushes += 1;
        if group.has_commits {
            self.unmarked = true;
        }
        Some(Flush::new(group, reach, syncs, next_header))
    }

    /// Takes back a flush that has been run: it is published and answered, or ends the writer for good.
    pub fn finish_flush(&mut self, flush: Flush, done: io::Result<()>) {
        self.settle(&flush, done);
        self.publish(flush);
    }

    /// A flush has been run. After this the next one may begin, even before this one is published.
    ///
    /// A failed write or sync is final: the page cache may now show bytes that the disk does not have, so nothing that
    /// rests on them may ever be published. Trying again would lie.
    pub fn settle(&mut self, flush: &Flush, done: io::Result<()>) {
        self.in_flight = false;
        match done {
            Ok(()) => {
                let commits = flush.group.appended.iter().filter(|frame| frame.commit.is_some()).count();
                self.counters.flushed(commits, flush.len(), flush.took);
                self.written = flush.reach;
                if flush.syncs {
                    self.durable = flush.reach;
                }
            }
            Err(error) => self.poison(&format!("writing or syncing the log failed: {error}")),
        }
    }

    /// Shows a settled flush to everybody, then answers, one by one.
    pub fn publish(&mut self, mut flush: Flush) {
        let durable = (self.durable.upto, self.durable.end);
        let published = match &self.poisoned {
            Some(reason) => Err(reason.clone()),
            None => self.index(&mut flush).map_err(|error| {
                let reason = format!("what was written cannot be read back: {error}");
                self.poison(&reason);
                reason
            }),
        };
        let answers = mem::take(&mut flush.group.answers);
        match published {
            Ok(()) => {
                self.sequencer.group_is_published();
                let reach = (flush.reach.upto, flush.reach.end);
                // A later flush may have been settled meanwhile, never one that is not published in turn.
                let durable = (durable.0.min(reach.0), durable.1.min(reach.1));
                self.control.publish(durable, reach, self.environment.clock.now());
                self.shared.durable_to(durable.1);
                for (waiter, answer) in answers {
                    // A caller that has gone away needs no answer; its commit is durable all the same.
                    let _ = waiter.send(answer);
                }
                self.keep(flush.into_buffer());
            }
            Err(reason) => {
                for (waiter, _) in answers {
                    let _ = waiter.send(Err(AppendError::OutcomeUnknown { reason: reason.clone() }));
                }
            }
        }
    }

    /// Keeps a buffer for a group to come: one for each that may be under way, as long as they are not very long.
    fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.is_empty()
            || self.buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX
        {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    fn index(&mut self, flush: &mut Flush) -> Result<(), ReadError> {
        // What can fail comes first: whoever hears that the outcome is unknown has shown it to nobody.
        let next =
            flush.group.next_segment.take().map(|next| self.begun_segment(&next.header)).transpose()?;
        self.shared.append_durable(&mem::take(&mut flush.group.appended))?;
        if let Some(segment) = next {
            self.preparer.begin(segment.header.sequence + 1);
            self.shared.add_segment(segment);
        }
        // Only a step into the next segment is left.
        self.shared.advance(flush.reach.end)
    }

    /// The segment that a flush has begun, as everybody else will find it.
    fn begun_segment(&self, header: &SegmentHeader) -> Result<Arc<Segment>, ReadError> {
        let failed = |reason: String| ReadError::Segment { segment: header.sequence, reason };
        let opened = Segment::open(&self.environment.storage, self.shared.log_dir(), header.sequence);
        match opened.map_err(|error| failed(error.to_string()))? {
            SegmentFile::Used(segment) if segment.header == *header => Ok(segment),
            _ => Err(failed("its header is not what was written".to_owned())),
        }
    }
}
