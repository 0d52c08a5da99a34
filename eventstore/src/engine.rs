//! The writer without threads: the caller turns the crank. [`crate::Store`] is this and its threads; a simulation
//! turns it by hand.
//!
//! ```text
//!  submit ─▶ queue ─▶ collect: sequence, encode ─▶ open group
//!                                                      │ begin_flush: stamp what is durable, CRC
//!                                                      ▼ (one flush at a time)
//!                                         Flush::run: write, sync
//!                                                      ▼
//!                         settle: it is durable ─▶ publish: index, watermark, control page, answers
//! ```
//!
//! Invariant: a frame is stamped only when the flush before it has been synced, so every whole frame on disk proves that
//! all groups before its own are there; and nobody is answered, shown or told anything before its group is.

use crate::commit::PreparedCommit;
use crate::control;
use crate::digest::SegmentDigest;
use crate::error::{AppendError, IndexError, OpenError, ReadError};
use crate::figures::Counters;
use crate::flush::{Flush, Group, NextSegment, Reach};
use crate::format::frame::{CrcSeed, FRAME_HEADER_BYTES, FrameKind};
use crate::format::segment_header::{Previous, PreviousEnd, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::limits::{GROUP_BYTES_MAX, SYNC_AFTER_MS};
use crate::log::Log;
use crate::names::{CommandId, StreamId, Tag};
use crate::numbers::{LogOffset, Position, Timestamp, Version};
use crate::page::ControlWriter;
use crate::pending::Pending;
use crate::preparer::Preparer;
use crate::queue::{Job, Queue};
use crate::receipt::{Durability, Receipt};
use crate::recorded::FoundCommand;
use crate::recovery::{self, Continue, Recovered, previous_of};
use crate::replica::marker;
use crate::segment::{self, Segment, SegmentFile};
use crate::sequencer::{Published, Sequencer, Stamped, Verdict};
use crate::storage::{Access, Environment, StorageFile};
use crate::store::StoreOptions;
use crate::tail::{Role, Shared};
use crate::transparency::journal;
use std::any::Any;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::{io, mem};
use tokio::sync::oneshot;

/// The segment that commits are sequenced into.
#[derive(Debug)]
struct Active {
    file: Arc<dyn StorageFile>,
    sequence: u32,
    capacity: u64,
}

/// The segment whose frames are stamped. It follows the active one when that is not begun on disk yet.
#[derive(Debug)]
struct Stamping {
    seed: CrcSeed,
    digest: SegmentDigest,
}

/// What a log is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Write,
    /// It has been a standby.
    Promote,
}

/// The one writer of a log, without threads.
#[derive(Debug)]
pub struct Engine {
    environment: Environment,
    options: StoreOptions,
    shared: Arc<Shared>,
    control: ControlWriter,
    queue: Arc<Queue>,
    sequencer: Sequencer,
    active: Active,
    stamping: Stamping,
    /// Set until the first group after a recovery that must not go on in the same segment.
    successor_of: Option<Previous>,
    preparer: Preparer,
    /// Everything below is on disk.
    durable: Reach,
    /// Everything below is written, in the order of flushes that have been settled.
    written: Reach,
    synced_at: Timestamp,
    /// Whether anything has been written since the last mark.
    unmarked: bool,
    /// Taken from the queue, not yet sequenced.
    backlog: VecDeque<Job>,
    open: Group,
    in_flight: bool,
    flushes: u64,
    counters: Arc<Counters>,
    /// Why nothing is written any more.
    poisoned: Option<String>,
    /// A buffer to be used again.
    buffer: Vec<u8>,
    /// Held as long as the engine lives; the operating system releases it whatever happens to us.
    _lock: Box<dyn Any + Send + Sync>,
}

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
    /// Opens (or makes) the log of a data directory for writing, and recovers it by the rule of `FORMAT.md`.
    ///
    /// # Errors
    /// As [`crate::Store::open`].
    pub fn open(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        Self::open_with(environment, data_dir, options, false)
    }

    /// As `open`; `ahead` says whether a thread may prepare the next segment.
    pub(crate) fn open_with(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
        ahead: bool,
    ) -> Result<Self, OpenError> {
        Self::open_as(environment, data_dir, options, ahead, Purpose::Write)
    }

    /// Opens the log of a standby for writing: from then on it is a writer's log.
    pub(crate) fn promote(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let mut engine = Self::open_as(environment, data_dir, options, false, Purpose::Promote)?;
        // Nothing needs to be vouched for, but the new epoch has to be on disk.
        engine.unmarked = true;
        Ok(engine)
    }

    fn open_as(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
        ahead: bool,
        purpose: Purpose,
    ) -> Result<Self, OpenError> {
        options.check()?;
        let storage = &environment.storage;
        let log_dir = data_dir.join("log");
        storage.create_dir(&log_dir).map_err(|source| OpenError::Io {
            action: "cannot create",
            path: log_dir.clone(),
            source,
        })?;
        let lock = lock(environment, &log_dir);
        if purpose == Purpose::Write {
            // More to the point than who has the lock.
            marker::refuse(&**storage, &log_dir)?;
        }
        let lock = lock?;
        let recovered = recovery::recover(environment, data_dir, options.segment_bytes)?;
        journal::hold_against(&**storage, data_dir, recovered.store, recovered.next)?;
        let shared =
            Arc::new(Shared::new(Arc::clone(storage), data_dir, recovered.segments.clone(), Role::Writer)?);
        recovered.index(&shared)?;
        if purpose == Purpose::Promote {
            marker::remove(&**storage, &log_dir)?;
        }
        // Only a log that is sound as a whole takes over the page.
        let control = control::open_writer(&**storage, data_dir, recovered.store, recovered.epoch)?;
        let reach = Reach { upto: recovered.next, end: recovered.end };
        let now = environment.clock.now();
        control.publish((reach.upto, reach.end), (reach.upto, reach.end), now);
        shared.durable_to(reach.end);

        let active = active_of(&recovered, environment, &log_dir)?;
        let (file, sequence) = (Arc::clone(&active.file), active.sequence);
        let mut preparer = Preparer::new(Arc::clone(storage), log_dir, options.segment_bytes, ahead);
        preparer.begin(sequence + 1);
        preparer.used(recovered.end.offset());
        Ok(Self {
            environment: environment.clone(),
            options: options.clone(),
            sequencer: Sequencer::new(
                recovered.store,
                recovered.epoch,
                recovered.next,
                recovered.chain,
                shared.tail().recorded_at,
                options.durability,
            ),
            stamping: Stamping { seed: recovered.seed(), digest: recovered.digest.clone() },
            successor_of: (recovered.continues != Continue::Here).then(|| previous_of(&recovered)),
            shared,
            control,
            queue: Arc::new(Queue::default()),
            active,
            preparer,
            durable: reach,
            written: reach,
            synced_at: now,
            unmarked: false,
            backlog: VecDeque::new(),
            open: Group::new(file, sequence, recovered.end.offset()),
            in_flight: false,
            flushes: 0,
            counters: Arc::default(),
            poisoned: None,
            buffer: Vec::new(),
            _lock: lock,
        })
    }

    /// A reader of the same log.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::of_writer(Arc::clone(&self.shared))
    }

    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Puts a commit into the queue.
    ///
    /// # Errors
    /// When the queue is full or the store takes no more; nothing was written then.
    pub fn submit(&self, commit: PreparedCommit) -> Result<Pending, AppendError> {
        self.queue.push(commit)
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// What its frames are stamped with.
    pub(crate) fn epoch(&self) -> u32 {
        self.sequencer.epoch()
    }

    /// Flushes begun so far.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes
    }

    /// Appends a commit on the calling thread. The engine is idle.
    pub(crate) fn append(&mut self, commit: PreparedCommit) -> Result<Receipt, AppendError> {
        let (answer, receiver) = oneshot::channel();
        let mut pending = Pending::new(receiver);
        self.backlog.push_back(Job { commit, answer });
        loop {
            // What others submit stays in the queue: the writer's thread has been woken for it.
            self.sequence_backlog(false);
            if let Some(mut flush) = self.begin_flush() {
                let done = flush.run();
                self.finish_flush(flush, done);
            }
            if let Some(answer) = pending.try_answer() {
                return answer;
            }
        }
    }

    /// Groups that have been begun and are not published yet.
    pub(crate) fn unpublished(&self) -> usize {
        self.sequencer.unpublished()
    }

    /// After a publication on another thread than the writer's: what rested on it is answered; and if the disk is at
    /// work, what has come meanwhile is sequenced, which the writer need not do then.
    pub(crate) fn use_the_wait(&mut self) {
        if self.in_flight {
            self.collect();
        } else if !self.open.needs_io() && self.sequencer.unpublished() == 0 {
            self.answer_open();
        }
    }

    /// Whether nothing is being collected, flushed or published.
    pub(crate) fn is_idle(&self) -> bool {
        !self.in_flight
            && self.sequencer.unpublished() == 0
            && self.poisoned.is_none()
            && self.open.answers.is_empty()
            && self.backlog.is_empty()
    }

    /// Sequences what waits in the queue into the open group, as far as the group takes it.
    pub fn collect(&mut self) {
        self.sequence_backlog(true);
    }

    /// Sequences the backlog; `refill` says whether it may be filled again from the queue.
    fn sequence_backlog(&mut self, refill: bool) {
        let now = self.environment.clock.now();
        while self.poisoned.is_none() && self.open.bytes.len() < GROUP_BYTES_MAX {
            if self.backlog.is_empty() && refill {
                self.backlog.extend(self.queue.take());
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
    fn fits(&self, frame_len: u64) -> bool {
        self.successor_of.is_none()
            && self.open.next_segment.is_none()
            && self.open.end() + frame_len + FRAME_HEADER_BYTES as u64 <= self.active.capacity
    }

    /// Ends the segment with the open group. An error means that there is no room: nothing has changed then.
    fn end_segment(&mut self, now: Timestamp) -> io::Result<()> {
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
        next.bytes = mem::take(&mut self.buffer);
        next.bytes.clear();
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
                self.buffer = flush.into_buffer();
            }
            Err(reason) => {
                for (waiter, _) in answers {
                    let _ = waiter.send(Err(AppendError::OutcomeUnknown { reason: reason.clone() }));
                }
            }
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
        let opened = Segment::open(&*self.environment.storage, self.shared.log_dir(), header.sequence);
        match opened.map_err(|error| failed(error.to_string()))? {
            SegmentFile::Used(segment) if segment.header == *header => Ok(segment),
            _ => Err(failed("its header is not what was written".to_owned())),
        }
    }

    /// One unit of work on the index of segments that have ended: a file written, or files merged. True when something
    /// was done, so that there may be more. Best done while nobody waits for the engine.
    ///
    /// # Errors
    /// When a file cannot be written, or a segment cannot be read. Nothing is lost by it, and it may be tried again.
    pub fn housekeep(&mut self) -> Result<bool, IndexError> {
        self.shared.housekeep()
    }

    /// What `housekeep` works on, for a thread that does it without holding the engine.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    fn answer_open(&mut self) {
        for (waiter, answer) in self.open.answers.drain(..) {
            let _ = waiter.send(answer);
        }
    }

    pub(crate) fn poison(&mut self, reason: &str) {
        tracing::error!(%reason, "the log takes no more writes");
        // None of these has been written.
        let jobs = self.backlog.drain(..).map(|job| job.answer);
        for waiter in self.open.answers.drain(..).map(|(waiter, _)| waiter).chain(jobs) {
            let _ = waiter.send(Err(AppendError::ReadOnly { reason: reason.to_owned() }));
        }
        self.queue.fail(reason);
        self.poisoned = Some(reason.to_owned());
    }

    /// Why the writer has ended for good, if it has.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// To be called after some quiet: what is written is synced, then vouched for by a mark, so that a quiet log vouches
    /// for all of itself. The next [`Engine::begin_flush`] does it. False when there is nothing left to do.
    pub fn quiet(&mut self) -> bool {
        let now = self.environment.clock.now();
        self.control.beat(now);
        if !self.is_idle() || self.open.needs_io() {
            return false;
        }
        if self.durable.end < self.written.end {
            self.open.sync = true;
            return true;
        }
        if !self.unmarked {
            return false;
        }
        if self.fits(FRAME_HEADER_BYTES as u64) {
            let mark = self.sequencer.vouch(FrameKind::Mark, now);
            self.open.push(&mark);
            self.open.sync = true;
        } else if let Err(error) = self.end_segment(now) {
            // No room for a mark: the seal and the next header vouch instead. Without room for those, the next quiet
            // moment tries again.
            tracing::debug!(%error, "the last segment is full and the next one cannot be begun");
            return false;
        }
        self.unmarked = false;
        true
    }

    /// Flushes what was submitted, and leaves a mark that vouches for all of it.
    pub fn close(mut self) {
        self.finish();
    }

    pub(crate) fn finish(&mut self) {
        self.queue.close();
        loop {
            self.collect();
            if let Some(mut flush) = self.begin_flush() {
                let done = flush.run();
                self.finish_flush(flush, done);
            } else if self.poisoned.is_some() || (self.queue.is_empty() && !self.quiet()) {
                break;
            }
        }
        if self.poisoned.is_none() {
            self.control.close();
        }
    }
}

fn active_of(recovered: &Recovered, environment: &Environment, log_dir: &Path) -> Result<Active, OpenError> {
    let last = recovered.segments.last().ok_or_else(|| OpenError::NoLog { path: log_dir.to_owned() })?;
    let path = segment::path(log_dir, last.header.sequence);
    let file = environment.storage.open(&path, Access::Write).map_err(|source| OpenError::Io {
        action: "cannot open for writing",
        path,
        source,
    })?;
    Ok(Active { file, sequence: last.header.sequence, capacity: last.len() })
}

/// Takes the lock of a directory that only one process writes.
pub(crate) fn lock(environment: &Environment, dir: &Path) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    let path = dir.join("LOCK");
    let storage = &environment.storage;
    storage.lock(&path, &format!("process {}", std::process::id())).map_err(|source| {
        if source.kind() != io::ErrorKind::WouldBlock {
            return OpenError::Io { action: "cannot lock", path: path.clone(), source };
        }
        let mut note = [0; 200];
        let read = storage.open(&path, Access::Read).and_then(|file| file.read_full_at(&mut note, 0));
        let holder = String::from_utf8_lossy(&note[..read.unwrap_or(0)]).trim().to_owned();
        OpenError::Locked { path: path.clone(), holder: Some(holder).filter(|holder| !holder.is_empty()) }
    })
}
