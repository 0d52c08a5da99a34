//! What is copied: the segments of a log, up to an end at a frame boundary.
//!
//! Invariant: beside a live writer the end is what the control page says to be durable; without one it is what a recovery
//! would keep, and a log that a recovery would refuse is no source.

use super::error::BackupError;
use super::manifest::Manifest;
use crate::archive::NOT_FETCHED;
use crate::control;
use crate::error::{Damage, OpenError};
use crate::format::bytes::all_zero;
use crate::format::frame::{self, CrcSeed, FrameHeader};
use crate::format::segment_header::{PreviousEnd, SEGMENT_HEADER_BYTES};
use crate::limits::COMMIT_BYTES_MAX;
use crate::numbers::{LogOffset, Position, Timestamp};
use crate::recovery::{self, Survey};
use crate::replica::check::{Before, Cursor};
use crate::segment::{Segment, SegmentFile};
use crate::segments::used_segments;
use crate::storage::Storage;
use crate::store;
use rustix::io::Errno;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes that are checked and written in one go.
const PIECE: u64 = 2 << 20;
/// A frame can be a little longer than its body.
const FRAME_BYTES_MAX: u64 = COMMIT_BYTES_MAX as u64 + (64 << 10);

/// Segments up to an end.
#[derive(Debug)]
pub(super) struct Source {
    /// The data directory or the backup.
    pub(super) path: PathBuf,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) end: LogOffset,
    /// Whether there was more, which is not sound.
    pub(super) is_cut: bool,
    /// The next position at the end, where that was looked for.
    pub(super) next: Position,
}

impl Source {
    /// The log of a data directory, with or without a writer.
    pub(super) fn of_log(storage: &Arc<dyn Storage>, data_dir: &Path) -> Result<Self, BackupError> {
        let no_log = || BackupError::Open(OpenError::NoLog { path: data_dir.to_owned() });
        let path = data_dir.to_owned();
        if !store::is_locked(&**storage, data_dir) {
            let Survey { segments, last, walked, .. } =
                recovery::survey(storage, data_dir)?.ok_or_else(no_log)?;
            return Ok(Self {
                path,
                segments,
                end: LogOffset::new(last.header.sequence, walked.offset),
                is_cut: false,
                next: Position::ZERO,
            });
        }
        let published = control::last_published(&**storage, data_dir)?.ok_or_else(no_log)?;
        let end = published.durable_end;
        if end.offset() < SEGMENT_HEADER_BYTES as u64 {
            return Err(no_log());
        }
        let segments = used_segments(storage, &data_dir.join("log"), Some(end.segment()))?;
        let source = Self { path, segments, end, is_cut: false, next: Position::ZERO };
        if source.store() != Some(published.store) || source.segments.len() != end.segment() as usize + 1 {
            return Err(no_log());
        }
        Ok(source)
    }

    /// The log of a data directory up to the first thing that does not verify, and what that is.
    pub(super) fn sound(
        storage: &Arc<dyn Storage>,
        data_dir: &Path,
    ) -> Result<(Self, Option<Damage>), BackupError> {
        let log_dir = data_dir.join("log");
        let (mut segments, mut bad): (Vec<Arc<Segment>>, _) = (Vec::new(), None);
        for sequence in 0.. {
            let reason = match Segment::open(storage, &log_dir, sequence) {
                Ok(SegmentFile::Used(segment)) => {
                    segments.push(segment);
                    continue;
                }
                // The end, as far as this file tells.
                Ok(SegmentFile::Prepared) => break,
                Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => break,
                Ok(SegmentFile::Broken(error)) => error.to_string(),
                // What only cannot be reached is not lost.
                Err(OpenError::Io { action, path, source }) if !is_lost(&source) => {
                    return Err(OpenError::Io { action, path, source }.into());
                }
                Err(error) => error.to_string(),
            };
            bad = Some(Damage { segment: sequence, offset: 0, position: Position::ZERO, reason });
            break;
        }
        let path = data_dir.to_owned();
        let mut source =
            Self { path, segments, end: LogOffset::default(), is_cut: false, next: Position::ZERO };
        let mut before: Option<Before> = None;
        let mut tail = Vec::new();
        for sequence in 0.. {
            let Some(segment) = source.segment(sequence).map(Arc::clone) else { break };
            if let Some(reason) = unreadable(&segment, 0, SEGMENT_HEADER_BYTES as u64)? {
                bad = Some(Damage { segment: sequence, offset: 0, position: Position::ZERO, reason });
                break;
            }
            let header = bytes(&segment, 0..SEGMENT_HEADER_BYTES as u64);
            let mut cursor = match Cursor::enter(before.as_ref(), &tail, header) {
                Ok(cursor) => cursor,
                Err(error) => {
                    let position = before.map_or(Position::ZERO, |before| before.next);
                    bad = Some(Damage { segment: sequence, offset: 0, position, reason: error.to_string() });
                    break;
                }
            };
            let stop =
                source.successor(sequence).map_or(segment.len(), |next| next.header.previous.valid_len);
            let reason = pass_sound(&segment, &mut cursor, stop)?;
            source.end = cursor.place();
            before = Some(cursor.before());
            let is_last = source.successor(sequence).is_none();
            if cursor.offset < stop && !(is_last && reason.is_none()) {
                let reason = reason.unwrap_or_else(|| "there are zeros where frames were".to_owned());
                let (offset, position) = (cursor.offset, cursor.next);
                bad = Some(Damage { segment: sequence, offset, position, reason });
                break;
            }
            let range = source.tail(sequence)?;
            tail = bytes(&segment, range).to_vec();
        }
        if before.is_none() {
            return Err(OpenError::NoLog { path: data_dir.to_owned() }.into());
        }
        source.next = before.map_or(Position::ZERO, |before| before.next);
        if let Some(bad) = &mut bad {
            bad.position = source.next;
        }
        source.segments.truncate(source.end.segment() as usize + 1);
        source.is_cut = true;
        Ok((source, bad))
    }

    /// What a manifest says of a backup.
    pub(super) fn of_backup(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        manifest: &Manifest,
    ) -> Result<Self, BackupError> {
        let end = manifest.end();
        let segments = used_segments(storage, &dir.join("log"), Some(end.segment()))?;
        let damaged = |reason: String| BackupError::Damaged { path: dir.join("log"), offset: 0, reason };
        if segments.len() != manifest.segments.len() {
            let (expected, found) = (manifest.segments.len(), segments.len());
            return Err(damaged(format!("{found} segments are there, the manifest names {expected}")));
        }
        let source = Self { path: dir.to_owned(), segments, end, is_cut: false, next: Position::ZERO };
        if source.store() != Some(manifest.store) {
            return Err(damaged(format!("its segments are not of store {}", manifest.store)));
        }
        Ok(source)
    }

    pub(super) fn store(&self) -> Option<Uuid> {
        self.segments.first().map(|segment| segment.header.store)
    }

    pub(super) fn segment(&self, sequence: u32) -> Option<&Arc<Segment>> {
        self.segments.get(sequence as usize)
    }

    /// Where the frames of a segment end.
    pub(super) fn stop(&self, sequence: u32) -> u64 {
        match self.successor(sequence) {
            Some(next) => next.header.previous.valid_len,
            None => self.end.offset(),
        }
    }

    /// What a crash has left behind them, if the next segment vouches for it: up to the last byte that is not zero.
    pub(super) fn tail(&self, sequence: u32) -> Result<Range<u64>, BackupError> {
        let stop = self.stop(sequence);
        let none = Ok(stop..stop);
        let (Some(segment), Some(next)) = (self.segment(sequence), self.successor(sequence)) else {
            return none;
        };
        if !matches!(next.header.previous.end, PreviousEnd::Abandoned(_)) {
            return none;
        }
        self.fault_in(segment, stop, segment.len())?;
        let rest = bytes(segment, stop..segment.len());
        let len = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        Ok(stop..stop + len)
    }

    /// Whether more of the log follows the segment.
    pub(super) fn is_ended(&self, sequence: u32) -> bool {
        self.successor(sequence).is_some()
    }

    fn successor(&self, sequence: u32) -> Option<&Arc<Segment>> {
        self.segments.get(sequence as usize + 1)
    }

    /// Bytes of all frames from a place on.
    pub(super) fn bytes_from(&self, first: u32) -> u64 {
        (first..)
            .take_while(|sequence| self.segment(*sequence).is_some())
            .map(|sequence| self.stop(sequence))
            .sum()
    }

    /// Whole frames from `at` on, up to `stop`. Where there is something else, all of it: whoever checks it says what.
    pub(super) fn piece(&self, segment: &Segment, at: u64, stop: u64) -> Result<Range<u64>, BackupError> {
        self.fault_in(segment, at, (PIECE + FRAME_BYTES_MAX).min(stop.saturating_sub(at)))?;
        let seed = CrcSeed::new(&segment.header.salt);
        let mut end = at;
        while end < stop && end - at < PIECE {
            match frame::decode_header(bytes(segment, end..stop), &seed, end) {
                Ok(Some(header)) if end + header.frame_len() as u64 <= stop => {
                    end += header.frame_len() as u64;
                }
                _ => return Ok(at..stop),
            }
        }
        Ok(at..end)
    }

    /// Ends the source before the first frame that `is_beyond` is true of, which is in segment `sequence` or later. Returns
    /// where it ends now.
    pub(super) fn cut(
        &mut self,
        sequence: u32,
        is_beyond: impl Fn(&FrameHeader) -> bool,
    ) -> Result<(Position, Timestamp), BackupError> {
        let mut reached = None;
        for sequence in sequence..=self.end.segment() {
            let Some(segment) = self.segment(sequence).map(Arc::clone) else { break };
            let stop = self.stop(sequence);
            self.fault_in(&segment, 0, stop)?;
            let seed = CrcSeed::new(&segment.header.salt);
            let mut at = SEGMENT_HEADER_BYTES as u64;
            reached.get_or_insert((segment.header.first_position, Timestamp::new(i64::MIN)));
            while at < stop {
                let header = frame::decode_header(bytes(&segment, at..stop), &seed, at)
                    .ok()
                    .flatten()
                    .filter(|header| at + header.frame_len() as u64 <= stop);
                let Some(header) = header else {
                    let reason = "there is no sound frame here".to_owned();
                    let at = LogOffset::new(sequence, at & !7);
                    return Err(BackupError::Unsound { path: self.path.clone(), at, reason });
                };
                if is_beyond(&header) {
                    self.segments.truncate(sequence as usize + 1);
                    self.end = LogOffset::new(sequence, at);
                    return Ok(reached.unwrap_or_default());
                }
                reached = Some((header.next(), header.recorded_at));
                at += header.frame_len() as u64;
            }
        }
        Ok(reached.unwrap_or_default())
    }

    pub(super) fn fault_in(&self, segment: &Segment, from: u64, len: u64) -> Result<(), BackupError> {
        let at = LogOffset::new(segment.header.sequence, from & !7);
        match unreadable(segment, from, len)? {
            Some(reason) => Err(BackupError::Unsound { path: self.path.clone(), at, reason }),
            None => Ok(()),
        }
    }
}

/// Whether an error says that a disk or its file system has lost bytes, and not that they cannot be had by this process now.
fn is_lost(error: &io::Error) -> bool {
    let lost = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODATA];
    error.raw_os_error().is_some_and(|code| lost.iter().any(|lost| lost.raw_os_error() == code))
}

/// Why the disk cannot read bytes of a segment. That the archive cannot be asked for them is an error instead, and no
/// reason to take them for lost.
fn unreadable(segment: &Segment, from: u64, len: u64) -> Result<Option<String>, OpenError> {
    match segment.fault_in(from, len) {
        Ok(()) => Ok(None),
        Err(NOT_FETCHED) => Err(OpenError::InArchive { segment: segment.header.sequence }),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Goes over sound frames, one by one, up to `stop`; why it stopped before, if not for want of frames.
fn pass_sound(segment: &Segment, cursor: &mut Cursor, stop: u64) -> Result<Option<String>, OpenError> {
    let seed = CrcSeed::new(&segment.header.salt);
    while cursor.offset < stop && !cursor.is_sealed {
        let at = cursor.offset;
        if let Some(reason) = unreadable(segment, at, FRAME_BYTES_MAX.min(stop - at))? {
            return Ok(Some(reason));
        }
        let rest = bytes(segment, at..stop);
        let header = match frame::decode_header(rest, &seed, at) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            // Too little room for another frame.
            Err(_) if rest.len() < frame::FRAME_HEADER_BYTES && all_zero(rest) => return Ok(None),
            Err(error) => return Ok(Some(error.to_string())),
        };
        let end = at + header.frame_len() as u64;
        let mut next = cursor.clone();
        if let Err(error) = next.pass_each(bytes(segment, at..end.min(stop)), None, &mut |_, _| {}) {
            return Ok(Some(error.to_string()));
        }
        *cursor = next;
    }
    Ok(None)
}

/// Bytes of a segment; fewer where it ends.
pub(super) fn bytes(segment: &Segment, range: Range<u64>) -> &[u8] {
    let all = segment.bytes();
    let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
    all.get(index(range.start)..index(range.end)).unwrap_or_default()
}
