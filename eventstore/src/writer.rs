//! The thin shell around the sequencer: a queue, a thread, one file.
//!
//! Group commit without a timer: while one group is being synced, the next one collects in the queue. Order of a
//! group: sequence and stamp → write → fdatasync → index and publish → answer. What fails on the way is final.

use crate::control::ControlWriter;
use crate::error::{AppendError, OpenError, ReadError};
use crate::format::frame::{self, CrcSeed, FRAME_HEADER_BYTES, FrameKind};
use crate::format::segment_header::{Previous, PreviousEnd, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::limits::MARK_AFTER_MS;
use crate::names::{CommandId, StreamId, Tag};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::queue::{Answer, Job, Queue};
use crate::recorded::FoundCommand;
use crate::recovery::{Continue, Recovered, previous_of, write_header};
use crate::segment::{self, Segment, SegmentFile};
use crate::segments::Preparer;
use crate::sequencer::{Durable, Sequencer, Verdict, Vouched};
use crate::store::StoreOptions;
use crate::tail::Shared;
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    file: File,
    seed: CrcSeed,
    sequence: u32,
    capacity: u64,
    /// Where the next frame goes.
    offset: u64,
    /// SHA-256 of everything before `offset`, for the next segment's header.
    digest: Sha256,
}

/// Frames written but not yet synced, and who waits for them.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

/// The writer: owns the file and the sequencer, lives on its own thread.
#[derive(Debug)]
pub(crate) struct Writer {
    log_dir: PathBuf,
    store: Uuid,
    segment_bytes: u64,
    shared: Arc<Shared>,
    control: ControlWriter,
    queue: Arc<Queue>,
    sequencer: Sequencer,
    active: Active,
    /// Set until the first group after a recovery that must not go on in the same segment.
    successor_of: Option<Previous>,
    preparer: Preparer,
    vouched: Vouched,
    /// Whether anything has been written since the last mark.
    unmarked: bool,
    group: Group,
    /// Taken from the queue, not yet sequenced.
    backlog: VecDeque<Job>,
}

/// Something that ends the writer for good.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("{action}: {source}")]
    Io { action: &'static str, source: io::Error },
    #[error("what was written cannot be read back: {0}")]
    ReadBack(#[from] ReadError),
}

impl Durable for Shared {
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

impl Writer {
    pub(crate) fn new(
        recovered: &Recovered,
        options: &StoreOptions,
        shared: Arc<Shared>,
        control: ControlWriter,
        queue: Arc<Queue>,
    ) -> Result<Self, OpenError> {
        let log_dir = shared.log_dir().to_owned();
        let last = recovered.segments.last().ok_or_else(|| OpenError::NoLog { path: log_dir.clone() })?;
        let path = segment::path(&log_dir, last.header.sequence);
        let file = OpenOptions::new().write(true).open(&path).map_err(|source| OpenError::Io {
            action: "cannot open for writing",
            path,
            source,
        })?;
        let counted = usize::try_from(recovered.end.offset()).unwrap_or(usize::MAX).min(last.bytes().len());
        let active = Active {
            file,
            seed: CrcSeed::new(&last.header.salt),
            sequence: last.header.sequence,
            capacity: last.len(),
            offset: recovered.end.offset(),
            digest: Sha256::new_with_prefix(&last.bytes()[..counted]),
        };
        let mut preparer = Preparer::new(log_dir.clone(), options.segment_bytes);
        preparer.begin(active.sequence + 1);
        Ok(Self {
            log_dir,
            store: recovered.store,
            segment_bytes: options.segment_bytes,
            sequencer: Sequencer::new(
                recovered.store,
                recovered.epoch,
                recovered.next,
                recovered.chain,
                shared.tail().recorded_at,
            ),
            successor_of: (recovered.continues != Continue::Here).then(|| previous_of(recovered)),
            vouched: Vouched { upto: recovered.next, end: recovered.end },
            shared,
            control,
            queue,
            active,
            preparer,
            unmarked: false,
            group: Group::default(),
            backlog: VecDeque::new(),
        })
    }

    pub(crate) fn run(mut self) {
        let quiet = Duration::from_millis(MARK_AFTER_MS);
        while let Some(jobs) = self.queue.take(quiet) {
            let done = if jobs.is_empty() {
                self.control.beat();
                let marked = self.mark();
                self.housekeep();
                marked
            } else {
                self.backlog.extend(jobs);
                self.take_in()
            };
            if let Err(fatal) = done {
                self.poison(&fatal);
                return;
            }
        }
        match self.mark() {
            Ok(()) => self.control.close(),
            Err(fatal) => self.poison(&fatal),
        }
    }

    /// Indexes what has ended, while nobody waits.
    fn housekeep(&self) {
        if let Err(error) = self.shared.housekeep() {
            tracing::warn!(%error, "an index stays in memory for now");
        }
    }

    /// A failed write or sync is final: the page cache may now show bytes that the disk does not have, so nothing
    /// that rests on them may ever be published. Trying again would lie.
    fn poison(&mut self, fatal: &Fatal) {
        let reason = fatal.to_string();
        tracing::error!(%reason, "the log takes no more writes");
        for (waiter, _) in self.group.answers.drain(..) {
            let _ = waiter.send(Err(AppendError::OutcomeUnknown { reason: reason.clone() }));
        }
        for job in self.backlog.drain(..) {
            let _ = job.answer.send(Err(AppendError::ReadOnly { reason: reason.clone() }));
        }
        self.queue.fail(&reason);
    }

    fn take_in(&mut self) -> Result<(), Fatal> {
        let now = Timestamp::now();
        while let Some(frame_len) = self.backlog.front().map(|job| job.commit.frame_len() as u64) {
            // A job stays in the backlog while the segment is changed for it, so that a failure there answers it too.
            let room = if frame_len <= self.frame_len_max() && !self.fits(frame_len) {
                self.commit_group()?;
                self.roll()?
            } else {
                Ok(())
            };
            let Some(Job { commit, answer }) = self.backlog.pop_front() else { break };
            if frame_len > self.frame_len_max() {
                let refusal = AppendError::LargerThanSegment { bytes: frame_len, max: self.frame_len_max() };
                self.group.answers.push((answer, Err(refusal)));
                continue;
            }
            if let Err(error) = room {
                let reason = format!("another segment cannot be begun: {error}");
                self.group.answers.push((answer, Err(AppendError::ReadOnly { reason })));
                continue;
            }
            let verdict = self.sequencer.sequence(&commit, &*self.shared, now, self.vouched);
            let outcome = match verdict {
                Verdict::Append(stamped) => {
                    let offset = self.active.offset + self.group.bytes.len() as u64;
                    frame::encode(
                        &mut self.group.bytes,
                        &self.active.seed,
                        offset,
                        &stamped.header,
                        &stamped.base_versions,
                        &commit.body,
                    );
                    Ok(stamped.receipt)
                }
                Verdict::Duplicate(receipt) => Ok(receipt),
                Verdict::Refuse(error) => Err(error),
            };
            // Refusals and duplicates wait like everybody else: they may rest on this group.
            self.group.answers.push((answer, outcome));
        }
        self.commit_group()
    }

    /// The longest frame that a segment of this store holds beside its header, a mark and the seal.
    fn frame_len_max(&self) -> u64 {
        self.segment_bytes - (SEGMENT_HEADER_BYTES + 2 * FRAME_HEADER_BYTES) as u64
    }

    /// Whether a frame fits and leaves room for the seal.
    fn fits(&self, frame_len: u64) -> bool {
        let used = self.active.offset + self.group.bytes.len() as u64;
        self.successor_of.is_none() && used + frame_len + FRAME_HEADER_BYTES as u64 <= self.active.capacity
    }

    /// Makes the group durable, publishes it, answers.
    fn commit_group(&mut self) -> Result<(), Fatal> {
        if !self.group.bytes.is_empty() {
            self.make_durable()?;
            self.unmarked = true;
        }
        for (waiter, answer) in self.group.answers.drain(..) {
            // A caller that has gone away needs no answer; its commit is durable all the same.
            let _ = waiter.send(answer);
        }
        Ok(())
    }

    /// The one step between a group's bytes and everybody's eyes.
    fn make_durable(&mut self) -> Result<(), Fatal> {
        let io = |action| move |source| Fatal::Io { action, source };
        let active = &mut self.active;
        active.file.write_all_at(&self.group.bytes, active.offset).map_err(io("writing a group"))?;
        active.file.sync_data().map_err(io("syncing a group"))?;
        active.offset += self.group.bytes.len() as u64;
        active.digest.update(&self.group.bytes);
        self.group.bytes.clear();
        let end = LogOffset::new(active.sequence, active.offset);
        self.publish(end)
    }

    fn publish(&mut self, end: LogOffset) -> Result<(), Fatal> {
        self.vouched = Vouched { upto: self.sequencer.next(), end };
        self.shared.advance(end)?;
        self.sequencer.group_is_durable();
        self.control.publish(self.vouched.upto, end);
        Ok(())
    }

    /// Vouches for everything written so far, once there has been quiet.
    fn mark(&mut self) -> Result<(), Fatal> {
        if !self.unmarked {
            return Ok(());
        }
        if !self.fits(FRAME_HEADER_BYTES as u64) {
            // No room for a mark: the seal and the next header vouch instead. Without room for those, the next quiet
            // moment tries again.
            if self.roll()?.is_ok() {
                self.unmarked = false;
            }
            return Ok(());
        }
        self.append_bodiless(FrameKind::Mark);
        self.make_durable()?;
        self.unmarked = false;
        Ok(())
    }

    fn append_bodiless(&mut self, kind: FrameKind) {
        let header = self.sequencer.vouch(kind, Timestamp::now(), self.vouched);
        let offset = self.active.offset + self.group.bytes.len() as u64;
        frame::encode(&mut self.group.bytes, &self.active.seed, offset, &header, &[], &[]);
    }

    /// Ends the segment and begins the next. The inner error means that there is no room: nothing has changed then.
    fn roll(&mut self) -> Result<io::Result<()>, Fatal> {
        let sequence = self.active.sequence + 1;
        let file = match self.preparer.take(sequence) {
            Ok(file) => file,
            Err(error) => {
                self.preparer.begin(sequence);
                return Ok(Err(error));
            }
        };
        let previous = match self.successor_of {
            Some(previous) => previous,
            None => {
                self.append_bodiless(FrameKind::Seal);
                self.make_durable()?;
                Previous {
                    end: PreviousEnd::Sealed,
                    valid_len: self.active.offset,
                    chain: self.sequencer.chain(),
                    digest: Digest(self.active.digest.clone().finalize().into()),
                }
            }
        };
        let header = SegmentHeader {
            store: self.store,
            sequence,
            first_position: self.sequencer.next(),
            salt: *Uuid::new_v4().as_bytes(),
            epoch: self.sequencer.epoch(),
            capacity: self.segment_bytes,
            previous,
            durable_end: self.vouched.end,
        };
        write_header(&file, &header).map_err(|source| Fatal::Io { action: "beginning a segment", source })?;
        let opened = Segment::open(&self.log_dir, sequence);
        let Ok(SegmentFile::Used(segment)) = opened else {
            let source = io::Error::other("the new segment cannot be read back");
            return Err(Fatal::Io { action: "beginning a segment", source });
        };
        self.shared.add_segment(Arc::new(segment));
        self.active = Active {
            file,
            seed: CrcSeed::new(&header.salt),
            sequence,
            capacity: header.capacity,
            offset: SEGMENT_HEADER_BYTES as u64,
            digest: Sha256::new_with_prefix(header.encode()),
        };
        self.successor_of = None;
        self.preparer.begin(sequence + 1);
        self.publish(LogOffset::new(sequence, SEGMENT_HEADER_BYTES as u64))?;
        Ok(Ok(()))
    }
}
