//! From the queue into the open group: every job sequenced against all that is on its way.

use super::{Active, Engine};
use crate::error::{AppendError, ReadError};
use crate::flush::NextSegment;
use crate::format::frame::{FRAME_HEADER_BYTES, FrameKind};
use crate::format::segment_header::{Previous, PreviousEnd, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::limits::GROUP_BYTES_MAX;
use crate::names::{CommandId, StreamId, Tag};
use crate::numbers::{LogOffset, Position, Timestamp, Version};
use crate::queue::Job;
use crate::recorded::FoundCommand;
use crate::sequencer::{Published, Stamped, Verdict};
use crate::tail::Shared;
use std::io;
use std::sync::Arc;

impl Published for Shared {
    fn stream_version(&self, stream: &StreamId) -> Result<Option<Version>, ReadError> {
        Self::stream_version(self, stream)
    }

    fn newest_with_tag(&self, tag: &Tag) -> Result<Option<Position>, ReadError> {
        Self::newest_with_tag(self, tag)
    }

    fn find_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError> {
        Self::find_command(self, command)
    }
}

impl Engine {
    /// Sequences what waits in the queue into the open group, as far as the group takes it.
    pub fn collect(&mut self) {
        self.sequence_backlog(true);
    }

    /// Sequences the backlog; `refill` says whether it may be filled again from the queue.
    pub(super) fn sequence_backlog(&mut self, refill: bool) {
        let mut now = self.environment.clock.now();
        while self.poisoned.is_none() && self.open.bytes.len() < GROUP_BYTES_MAX {
            if self.backlog.is_empty() && refill {
                self.backlog.extend(self.queue.take());
                // They came while others were sequenced, and nothing is recorded before it came.
                now = self.environment.clock.now();
            }
            let Some(frame_len) = self.backlog.front().map(|job| job.commit.frame_len() as u64) else {
                return;
            };
            // A job stays in the backlog until its turn has come, so that a failure answers it too.
            let mut room = Ok(());
            if frame_len <= self.frame_len_max() && !self.fits(frame_len) {
                if self.open.next_segment.is_some() {
                    // The next segment is begun by the flush of this group; what goes there waits for that.
                    return;
                }
                room = self.end_segment(now);
                if room.is_ok() {
                    return;
                }
            }
            let Some(job) = self.backlog.pop_front() else { return };
            match room {
                Ok(()) => self.sequence(job, now),
                Err(error) => {
                    let reason = format!("another segment cannot be begun: {error}");
                    self.open.answers.push((job.answer, Err(AppendError::ReadOnly { reason })));
                }
            }
        }
    }

    /// Takes one job into the open group.
    fn sequence(&mut self, Job { commit, answer }: Job, now: Timestamp) {
        let frame_len = commit.frame_len() as u64;
        let outcome = if frame_len > self.frame_len_max() {
            Err(AppendError::LargerThanSegment { bytes: frame_len, max: self.frame_len_max() })
        } else {
            match self.sequencer.sequence(&commit, &*self.shared, now) {
                Verdict::Append(stamped) => {
                    let Stamped { header, base_versions, receipt } = *stamped;
                    self.open.push_commit(&header, base_versions, &commit.body, commit.summary);
                    self.open.has_commits = true;
                    Ok(receipt)
                }
                Verdict::Duplicate(receipt) => Ok(receipt),
                Verdict::Refuse(error) => Err(error),
            }
        };
        // Refusals and duplicates wait like everybody else: they may rest on what is not durable yet.
        self.open.answers.push((answer, outcome));
    }

    /// The longest frame that a segment of this store holds beside its header, a mark and the seal.
    fn frame_len_max(&self) -> u64 {
        self.options.segment_bytes - (SEGMENT_HEADER_BYTES + 2 * FRAME_HEADER_BYTES) as u64
    }

    /// Whether a frame fits and leaves room for the seal.
    pub(super) fn fits(&self, frame_len: u64) -> bool {
        self.successor_of.is_none()
            && self.open.next_segment.is_none()
            && self.open.end() + frame_len + FRAME_HEADER_BYTES as u64 <= self.active.capacity
    }

    /// Ends the segment with the open group. An error means that there is no room: nothing has changed then.
    pub(super) fn end_segment(&mut self, now: Timestamp) -> io::Result<()> {
        let sequence = self.active.sequence + 1;
        let file = self.preparer.take(sequence).inspect_err(|_| self.preparer.begin(sequence))?;
        let previous = self.successor_of.take();
        if previous.is_none() {
            let seal = self.sequencer.vouch(FrameKind::Seal, now);
            self.open.push(&seal);
        }
        let header = SegmentHeader {
            store: self.shared.store,
            sequence,
            first_position: self.sequencer.next(),
            salt: self.environment.random.bytes(),
            epoch: self.sequencer.epoch(),
            capacity: self.options.segment_bytes,
            // Of a segment that ends with a seal the digest is known when the seal is stamped.
            previous: previous.unwrap_or(Previous {
                end: PreviousEnd::Sealed,
                valid_len: self.open.end(),
                chain: self.sequencer.chain(),
                ..Previous::NONE
            }),
            durable_end: LogOffset::new(self.active.sequence, self.open.end()),
        };
        self.open.next_segment =
            Some(NextSegment { file: Arc::clone(&file), header, after_seal: previous.is_none() });
        self.open.sync = true;
        self.active = Active { file, sequence, capacity: header.capacity };
        Ok(())
    }
}
