//! What all readers of one log in one process share: its mapped segments, its indexes, and how far it has been tailed.
//!
//! Invariant: `advance` passes every frame once, in order, checks it whole, and only then shows it to readers. Writer
//! and followers use the same code, so no process can see the log differently. Two things are not read again: what the
//! writer of this process has just written itself, and segments whose run is on disk.

use crate::error::{OpenError, ReadError};
use crate::format::FormatError;
use crate::format::body::Body;
use crate::format::frame::{Frame, FrameKind};
use crate::format::segment_header::{PreviousEnd, SEGMENT_HEADER_BYTES};
use crate::index::{Active, CommitSummary, Part, Run, RunFiles, Stamp, View};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::segment::{Segment, SegmentFile};
use crate::storage::Storage;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashSet;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use uuid::Uuid;

/// Segments of the archive whose bytes stay at hand.
const LENT_MAX: usize = 4;

/// What a process may do with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the one writer: it writes runs, too.
    Writer,
    /// It reads.
    Reader,
}

#[derive(Debug)]
pub(crate) struct Shared {
    log_dir: PathBuf,
    pub(crate) store: Uuid,
    pub(crate) role: Role,
    /// By segment number. Behind a lock only because it grows; readers clone an `Arc` and are gone.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// Numbers of the segments of the archive that were read last, the newest at the back.
    lent: Mutex<VecDeque<u32>>,
    pub(crate) runs: RunFiles,
    view: RwLock<Arc<View>>,
    /// Held by whoever turns segments into runs, merges runs or builds them anew.
    pub(crate) housekeeping: Mutex<()>,
    /// Runs whose files have shown rot in use: their names are not believed again.
    pub(crate) distrusted: Mutex<FxHashSet<(u32, u32)>>,
    /// Held while advancing, so that two callers never index one frame twice.
    tail: Mutex<Tail>,
    /// The tail's end, for readers.
    end: AtomicU64,
    pub(crate) watermark: watch::Sender<Position>,
    /// Everything below it is on disk, and below it copies may be taken. Never ahead of what is indexed.
    pub(crate) durable_end: watch::Sender<LogOffset>,
}

/// How far the log has been indexed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) end: LogOffset,
    pub(crate) next: Position,
    pub(crate) chain: Digest,
    /// Of the last frame: what the next one's may not fall below.
    pub(crate) recorded_at: Timestamp,
}

/// A frame that the writer of this process has written, with what it knows of it.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) place: LogOffset,
    /// Where it ends.
    pub(crate) end: LogOffset,
    /// The next position after it.
    pub(crate) next: Position,
    /// Chain head after it.
    pub(crate) chain: Digest,
    pub(crate) recorded_at: Timestamp,
    /// Of a commit, what is to be indexed, with the base versions of its streams. Nothing of a mark or seal.
    pub(crate) commit: Option<(CommitSummary, Vec<Version>)>,
}

impl Shared {
    /// An empty tail before the first frame. `segments` are those that have been begun, in order.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        data_dir: &Path,
        segments: Vec<Arc<Segment>>,
        role: Role,
    ) -> Result<Self, OpenError> {
        let log_dir = data_dir.join("log");
        let Some(first) = segments.first() else {
            return Err(OpenError::NoLog { path: log_dir });
        };
        let end = LogOffset::new(0, SEGMENT_HEADER_BYTES as u64);
        let view =
            View { runs: Vec::new(), actives: vec![Arc::new(Active::new(0, first.header.first_position))] };
        Ok(Self {
            store: first.header.store,
            role,
            tail: Mutex::new(Tail {
                end,
                next: Position::ZERO,
                chain: Digest::default(),
                recorded_at: Timestamp::new(i64::MIN),
            }),
            log_dir,
            segments: RwLock::new(segments),
            lent: Mutex::default(),
            runs: RunFiles::new(storage, data_dir),
            view: RwLock::new(Arc::new(view)),
            housekeeping: Mutex::new(()),
            distrusted: Mutex::default(),
            end: AtomicU64::new(end.bits()),
            watermark: watch::Sender::new(Position::ZERO),
            durable_end: watch::Sender::new(LogOffset::default()),
        })
    }

    /// What is below `end` is on disk, as far as it is indexed.
    pub(crate) fn durable_to(&self, end: LogOffset) {
        let end = end.min(self.tail().end);
        self.durable_end.send_if_modified(|durable| {
            let moved = *durable < end;
            *durable = end.max(*durable);
            moved
        });
    }

    pub(crate) fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    pub(crate) fn tail(&self) -> Tail {
        *self.tail.lock()
    }

    /// Readers form slices below this place.
    pub(crate) fn end(&self) -> LogOffset {
        LogOffset::from_bits(self.end.load(Ordering::Acquire))
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// Puts a changed view in the place of the present one.
    pub(crate) fn change_view<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        let mut view = self.view.write();
        let mut changed = View::clone(&view);
        let answer = change(&mut changed);
        *view = Arc::new(changed);
        answer
    }

    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write();
        // A reader of this process may have come upon it first.
        if segments.len() == segment.header.sequence as usize {
            segments.push(segment);
        }
    }

    pub(crate) fn segment(&self, sequence: u32) -> Result<Arc<Segment>, ReadError> {
        let known = self.segments.read().get(sequence as usize).cloned();
        if let Some(segment) = known {
            if segment.reference().is_some() {
                self.lend(sequence);
            }
            return Ok(segment);
        }
        // Another process has begun it since we last looked.
        let mut segments = self.segments.write();
        while segments.len() <= sequence as usize {
            let next = u32::try_from(segments.len()).unwrap_or(u32::MAX);
            let failed = |reason: String| ReadError::Segment { segment: next, reason };
            match Segment::open(&self.runs.storage, &self.log_dir, next)
                .map_err(|error| failed(error.to_string()))?
            {
                SegmentFile::Used(segment) if segment.header.store == self.store => {
                    segments.push(segment);
                }
                SegmentFile::Used(segment) => {
                    return Err(ReadError::OtherStore { expected: self.store, found: segment.header.store });
                }
                SegmentFile::Prepared => {
                    return Err(failed("it has no header although it is in use".to_owned()));
                }
                SegmentFile::Broken(error) => return Err(failed(error.to_string())),
            }
        }
        Ok(Arc::clone(&segments[sequence as usize]))
    }

    /// The first frame of the last known segment that begins before a position. Commits without events may end the segment
    /// before, at the very position with which the next one begins: so one that begins there does not count.
    pub(crate) fn beginning_before(&self, position: Position) -> (Position, LogOffset) {
        let segments = self.segments.read();
        let at =
            segments.partition_point(|segment| segment.header.first_position < position).saturating_sub(1);
        let header = segments.get(at).map(|segment| &segment.header);
        let (sequence, first) =
            header.map_or((0, Position::ZERO), |header| (header.sequence, header.first_position));
        (first, LogOffset::new(sequence, SEGMENT_HEADER_BYTES as u64))
    }

    /// Whether the segment that a position is in, and so all later ones, can be read without the archive.
    pub(crate) fn is_here_from(&self, position: Position) -> bool {
        let segments = self.segments.read();
        // Of segments that begin at one position all but the last are without events.
        let at =
            segments.partition_point(|segment| segment.header.first_position <= position).saturating_sub(1);
        segments.get(at).is_some_and(|segment| segment.reference().is_none())
    }

    /// Notes that a segment of the archive is being read. Those that nobody has asked for in a while give back what was
    /// fetched of them, as soon as their last reader is gone: reading all of a log does not bring all of it back.
    fn lend(&self, sequence: u32) {
        let mut lent = self.lent.lock();
        if lent.back() == Some(&sequence) {
            return;
        }
        lent.retain(|one| *one != sequence);
        lent.push_back(sequence);
        if lent.len() > LENT_MAX
            && let Some(oldest) = lent.pop_front()
            && let Some(segment) = self.segments.write().get_mut(oldest as usize)
            && let Some(afresh) = segment.afresh()
        {
            *segment = Arc::new(afresh);
        }
    }

    /// Indexes everything up to `end`, which is published, and moves the watermark there.
    pub(crate) fn advance(&self, end: LogOffset) -> Result<(), ReadError> {
        let mut tail = self.tail.lock();
        let advanced = self.advance_to(&mut tail, end, None);
        self.show(&tail);
        advanced
    }

    /// As `advance`, for a log that is being opened: what runs cover is not read, and what they do not cover becomes runs
    /// at once, so that memory stays bounded.
    pub(crate) fn catch_up(&self, end: LogOffset) -> Result<(), ReadError> {
        let mut tail = self.tail.lock();
        // An index directory that cannot be listed is one that has to be built anew.
        let there = self.runs.list().unwrap_or_default();
        let advanced = self.advance_to(&mut tail, end, Some(&there));
        self.show(&tail);
        drop(tail);
        if self.role == Role::Writer && advanced.is_ok() {
            self.remove_leftovers();
        }
        advanced
    }

    /// Takes in what the writer of this process has just made durable, without reading it again: the frames of one segment
    /// since the last call, in order; marks and seals count. Frames that are not what comes next are left to `advance`,
    /// which reads them.
    pub(crate) fn append_durable(&self, frames: &[Appended]) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Ok(()) };
        let mut tail = self.tail.lock();
        let active = self.active()?;
        if first.place != tail.end || last.place.segment() != active.segment {
            let advanced = self.advance_to(&mut tail, last.end, None);
            self.show(&tail);
            return advanced;
        }
        let mut adding = active.add();
        for frame in frames {
            if let Some((summary, bases)) = &frame.commit {
                let stamp = Stamp { place: frame.place, first: tail.next };
                adding.commit(stamp, bases.iter().copied(), summary);
            }
            tail.next = frame.next;
        }
        adding.recorded(last.recorded_at);
        drop(adding);
        tail.end = last.end;
        tail.chain = last.chain;
        tail.recorded_at = tail.recorded_at.max(last.recorded_at);
        self.show(&tail);
        Ok(())
    }

    /// Shows readers how far the log has been indexed. Also after an error: what was passed before it counts.
    fn show(&self, tail: &Tail) {
        self.end.store(tail.end.bits(), Ordering::Release);
        self.watermark.send_if_modified(|watermark| {
            let moved = *watermark != tail.next;
            *watermark = tail.next;
            moved
        });
    }

    fn active(&self) -> Result<Arc<Active>, ReadError> {
        // There always is one: it is made with the view, and replaced only by its successor.
        let reason = || "it has no index".to_owned();
        self.view().actives.last().cloned().ok_or_else(|| ReadError::Segment { segment: 0, reason: reason() })
    }

    /// `there`: the runs on disk, when the log is being opened.
    fn advance_to(
        &self,
        tail: &mut Tail,
        end: LogOffset,
        there: Option<&[(u32, u32)]>,
    ) -> Result<(), ReadError> {
        while tail.end < end {
            let segment = self.segment(tail.end.segment())?;
            if end.segment() == tail.end.segment() {
                self.advance_within(tail, &segment, end.offset())?;
                continue;
            }
            if let Some(run) = there.and_then(|there| self.run_from(tail, end, there)) {
                self.skip(tail, run)?;
                continue;
            }
            // How much of a segment counts, its successor's header says: up to the seal, or to where it was torn.
            let next = self.segment(tail.end.segment() + 1)?;
            self.advance_within(tail, &segment, next.header.previous.valid_len)?;
            enter(tail, &next)?;
            self.change_view(|view| {
                let active = Active::new(next.header.sequence, next.header.first_position);
                view.actives.push(Arc::new(active));
            });
            if there.is_some() {
                self.settle()?;
            } else if self.role == Role::Reader {
                self.adopt();
            }
        }
        Ok(())
    }

    /// The longest believable run that begins where the tail is and does not reach beyond `end`.
    fn run_from(&self, tail: &Tail, end: LogOffset, there: &[(u32, u32)]) -> Option<Arc<Run>> {
        let first = tail.end.segment();
        if tail.end.offset() != SEGMENT_HEADER_BYTES as u64 || self.view().actives.len() != 1 {
            return None;
        }
        there
            .iter()
            .filter(|(from, to)| *from == first && *to < end.segment())
            .find_map(|(_, last)| self.believable(first, *last))
    }

    /// Steps over the segments that a run covers.
    fn skip(&self, tail: &mut Tail, run: Arc<Run>) -> Result<(), ReadError> {
        let next = self.segment(run.info.last_segment + 1)?;
        tail.next = run.info.next;
        tail.chain = run.info.chain;
        tail.recorded_at = tail.recorded_at.max(run.info.recorded_at);
        tail.end = LogOffset::new(run.info.last_segment, run.info.valid_len);
        enter(tail, &next)?;
        self.change_view(|view| {
            view.runs.push(run);
            let active = Active::new(next.header.sequence, next.header.first_position);
            view.actives = vec![Arc::new(active)];
        });
        Ok(())
    }

    fn advance_within(&self, tail: &mut Tail, segment: &Segment, stop: u64) -> Result<(), ReadError> {
        let active = self.active()?;
        pass(tail, segment, stop, &active, |frame, summary| self.check_heads(&active, frame, summary))
    }

    /// Whether a commit continues its streams. Hashes are asked first, which touches no old segment; only where they
    /// disagree the names have the word.
    fn check_heads(
        &self,
        active: &Active,
        frame: &Frame<'_>,
        summary: &CommitSummary,
    ) -> Result<Result<(), FormatError>, ReadError> {
        for (index, ((hash, _), base)) in summary.streams().iter().zip(base_versions(frame)).enumerate() {
            let continues = |head: Option<u64>| base.get() == head.map_or(0, |head| head.saturating_add(1));
            let newest = match active.newest_number(Part::Streams, *hash) {
                Some(newest) => Some(newest),
                None => self.view().newest_number(Part::Streams, *hash).unwrap_or_default(),
            };
            if continues(newest) {
                continue;
            }
            let name = Body::decode(frame.body).ok().and_then(|body| body.streams().nth(index)?.ok());
            let name = name.and_then(|name| std::str::from_utf8(&name[1..]).ok()).unwrap_or_default();
            if !continues(self.head_of(name)?.map(Version::get)) {
                return Ok(Err(FormatError("a commit does not continue its stream")));
            }
        }
        Ok(Ok(()))
    }
}

/// Takes the frames of one segment up to `stop` into its index. `check` has the last word on every commit.
pub(crate) fn pass(
    tail: &mut Tail,
    segment: &Segment,
    stop: u64,
    active: &Active,
    mut check: impl FnMut(&Frame<'_>, &CommitSummary) -> Result<Result<(), FormatError>, ReadError>,
) -> Result<(), ReadError> {
    while tail.end.offset() < stop {
        let offset = tail.end.offset();
        let place = LogOffset::new(segment.header.sequence, offset);
        let damaged = |error: FormatError| ReadError::at(place, error);
        let zeros = FormatError("there are zeros where frames were published");
        let frame = segment.frame(offset).and_then(|frame| frame.ok_or(zeros)).map_err(damaged)?;
        let header = &frame.header;
        if header.first != tail.next {
            return Err(damaged(FormatError("the frame does not continue the positions")));
        }
        if header.kind == FrameKind::Commit {
            let summary = CommitSummary::of_frame(&frame).map_err(damaged)?;
            check(&frame, &summary)?.map_err(damaged)?;
            let stamp = Stamp { place: tail.end, first: header.first };
            let mut adding = active.add();
            adding.commit(stamp, base_versions(&frame), &summary);
            adding.recorded(header.recorded_at);
        } else if header.chain != tail.chain {
            return Err(damaged(FormatError("a mark or seal with another chain head")));
        } else {
            active.add().recorded(header.recorded_at);
        }
        tail.end = LogOffset::new(segment.header.sequence, offset + header.frame_len() as u64);
        tail.next = header.next();
        tail.chain = header.chain;
        tail.recorded_at = tail.recorded_at.max(header.recorded_at);
    }
    Ok(())
}

/// Base versions of the streams that a commit touches.
fn base_versions<'a>(frame: &Frame<'a>) -> impl Iterator<Item = Version> + use<'a> {
    let frame = *frame;
    (0..usize::from(frame.header.streams)).map_while(move |index| frame.base_version(index))
}

/// Steps from the end of one segment to the first frame of the next, which must continue it exactly.
pub(crate) fn enter(tail: &mut Tail, next: &Segment) -> Result<(), ReadError> {
    let header = &next.header;
    let previous = &header.previous;
    if previous.end == PreviousEnd::None
        || previous.valid_len != tail.end.offset()
        || previous.chain != tail.chain
        || header.first_position != tail.next
    {
        let reason = "it does not continue the one before it".to_owned();
        return Err(ReadError::Segment { segment: header.sequence, reason });
    }
    tail.end = LogOffset::new(header.sequence, SEGMENT_HEADER_BYTES as u64);
    Ok(())
}
