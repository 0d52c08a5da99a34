//! What all readers of one log in one process share: its mapped segments, its index, and how far it has been tailed.
//!
//! Invariant: `advance` passes every frame once, in order, checks it whole, and only then shows it to readers. Writer
//! and followers use the same code, so no process can see the log differently.

use crate::error::{OpenError, ReadError};
use crate::format::frame::FrameKind;
use crate::format::segment_header::{PreviousEnd, SEGMENT_HEADER_BYTES};
use crate::index::Index;
use crate::names::{CommandId, StreamId, Tag};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::recorded::{FoundCommand, RecordedCommit};
use crate::segment::{Segment, SegmentFile};
use crate::storage::Storage;
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// Frames that are indexed under one lock.
const INDEX_BATCH: usize = 512;

#[derive(Debug)]
pub(crate) struct Shared {
    storage: Arc<dyn Storage>,
    log_dir: PathBuf,
    pub(crate) store: Uuid,
    /// By segment number. Behind a lock only because it grows; readers clone an `Arc` and are gone.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// Written by whoever advances, read by everybody.
    pub(crate) index: RwLock<Index>,
    /// Held while advancing, so that two callers never index one frame twice.
    tail: Mutex<Tail>,
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

impl Shared {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        log_dir: PathBuf,
        segments: Vec<Arc<Segment>>,
    ) -> Result<Self, OpenError> {
        let Some(first) = segments.first() else {
            return Err(OpenError::NoLog { path: log_dir });
        };
        Ok(Self {
            store: first.header.store,
            tail: Mutex::new(Tail {
                end: LogOffset::new(0, SEGMENT_HEADER_BYTES as u64),
                next: Position::ZERO,
                chain: Digest::default(),
                recorded_at: Timestamp::new(i64::MIN),
            }),
            storage,
            log_dir,
            segments: RwLock::new(segments),
            index: RwLock::default(),
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

    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        self.segments.write().push(segment);
    }

    pub(crate) fn segment(&self, sequence: u32) -> Result<Arc<Segment>, ReadError> {
        if let Some(segment) = self.segments.read().get(sequence as usize) {
            return Ok(Arc::clone(segment));
        }
        // Another process has begun it since we last looked.
        let mut segments = self.segments.write();
        while segments.len() <= sequence as usize {
            let next = u32::try_from(segments.len()).unwrap_or(u32::MAX);
            let failed = |reason: String| ReadError::Segment { segment: next, reason };
            match Segment::open(&*self.storage, &self.log_dir, next)
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

    /// Indexes everything up to `end`, which is published, and moves the watermark there.
    pub(crate) fn advance(&self, end: LogOffset) -> Result<(), ReadError> {
        let mut tail = self.tail.lock();
        let advanced = self.advance_to(&mut tail, end);
        // Also after an error: what was passed before it is indexed, and watermark and index must agree.
        self.watermark.send_if_modified(|watermark| {
            let moved = *watermark != tail.next;
            *watermark = tail.next;
            moved
        });
        advanced
    }

    fn advance_to(&self, tail: &mut Tail, end: LogOffset) -> Result<(), ReadError> {
        while tail.end < end {
            let segment = self.segment(tail.end.segment())?;
            if end.segment() == tail.end.segment() {
                self.advance_within(tail, &segment, end.offset())?;
            } else {
                // How much of a segment counts, its successor's header says: up to the seal, or to where it was torn.
                let next = self.segment(tail.end.segment() + 1)?;
                self.advance_within(tail, &segment, next.header.previous.valid_len)?;
                enter(tail, &next)?;
            }
        }
        Ok(())
    }

    /// Takes in the frames of one segment up to `stop`.
    fn advance_within(&self, tail: &mut Tail, segment: &Segment, stop: u64) -> Result<(), ReadError> {
        let damaged = |offset, reason: &str| ReadError::Damaged {
            segment: segment.header.sequence,
            offset,
            reason: reason.to_owned(),
        };
        while tail.end.offset() < stop {
            let mut index = self.index.write();
            for _ in 0..INDEX_BATCH {
                let offset = tail.end.offset();
                if offset >= stop {
                    break;
                }
                let frame = match segment.frame(offset) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return Err(damaged(offset, "there are zeros where frames were published")),
                    Err(error) => return Err(damaged(offset, error.0)),
                };
                let header = &frame.header;
                if header.first != tail.next {
                    return Err(damaged(offset, "the frame does not continue the positions"));
                }
                if header.kind == FrameKind::Commit {
                    index.add(tail.end, &frame).map_err(|error| damaged(offset, error.0))?;
                } else if header.chain != tail.chain {
                    return Err(damaged(offset, "a mark or seal with another chain head"));
                }
                tail.end = LogOffset::new(segment.header.sequence, offset + header.frame_len() as u64);
                tail.next = header.next();
                tail.chain = header.chain;
                tail.recorded_at = tail.recorded_at.max(header.recorded_at);
            }
        }
        Ok(())
    }

    pub(crate) fn commit_at(&self, place: LogOffset) -> Result<RecordedCommit, ReadError> {
        let segment = self.segment(place.segment())?;
        let damaged = |reason: &str| ReadError::Damaged {
            segment: place.segment(),
            offset: place.offset(),
            reason: reason.to_owned(),
        };
        // The CRCs are checked at every read: bytes that were sound when they were indexed may have rotted since.
        let header = match segment.frame(place.offset()) {
            Ok(Some(frame)) => frame.header,
            Ok(None) => return Err(damaged("a frame has become zero")),
            Err(error) => return Err(damaged(error.0)),
        };
        Ok(RecordedCommit::new(segment, place, header))
    }

    pub(crate) fn stream_version(&self, stream: &StreamId) -> Result<Option<Version>, ReadError> {
        Ok(self.index.read().stream_version(stream.as_str()))
    }

    pub(crate) fn newest_with_tag(&self, tag: &Tag) -> Result<Option<Position>, ReadError> {
        Ok(self.index.read().newest_with_tag(tag.as_str()))
    }

    pub(crate) fn find_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError> {
        let Some(place) = self.index.read().command(command) else {
            return Ok(None);
        };
        self.commit_at(place)?.found_command(command)
    }
}

/// Steps from the end of one segment to the first frame of the next, which must continue it exactly.
fn enter(tail: &mut Tail, next: &Segment) -> Result<(), ReadError> {
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
