//! Going over a source frame by frame, everything checked before anybody is given it.

use super::error::BackupError;
use super::source::{Source, bytes};
use crate::format::frame::Frame;
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::numbers::{Digest, LogOffset};
use crate::replica::check::{Before, Cursor};
use crate::segment::Segment;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Who takes what has been checked.
pub(super) trait Sink {
    /// A segment begins: its header is sound and continues what was before.
    fn begin(&mut self, segment: &Arc<Segment>, entered: &Cursor) -> Result<(), BackupError>;
    /// A frame is sound and the next one; this is the digest of its body.
    fn frame(&mut self, frame: &Frame<'_>, body: Digest);
    /// The frames that were shown last, as bytes of the segment.
    fn frames(&mut self, segment: &Arc<Segment>, range: Range<u64>) -> Result<(), BackupError>;
    /// The segment ends here, with this behind its frames.
    fn end(&mut self, segment: &Arc<Segment>, end: &Before, tail: Range<u64>) -> Result<(), BackupError>;
}

/// Where to go on: behind what is known already.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// The last segment that need not be looked at.
    pub(super) before: Option<Before>,
    /// What is known of the segment after it.
    pub(super) known: Option<Before>,
}

impl Start {
    /// The first segment that is looked at.
    pub(super) fn segment(&self) -> u32 {
        self.before.map_or(0, |before| before.sequence + 1)
    }
}

/// Checks a source from `start` on and gives it to the sink. `passed` hears of the bytes that have been looked at.
pub(super) fn copy(
    source: &Source,
    start: &Start,
    backup: &Path,
    sink: &mut dyn Sink,
    passed: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    let mut before = start.before;
    let mut tail: Vec<u8> = Vec::new();
    if let Some(known) = before.filter(|known| !known.is_sealed) {
        // The next header vouches for what a crash has left there.
        let range = source.tail(known.sequence)?;
        tail =
            source.segment(known.sequence).map(|segment| bytes(segment, range).to_vec()).unwrap_or_default();
    }
    for sequence in start.segment()..=source.end.segment() {
        let Some(segment) = source.segment(sequence) else { break };
        let unsound = |place: LogOffset, error| BackupError::unsound(&source.path, place, &error);
        // What is in an archive is fetched by this.
        source.fault_in(segment, 0, SEGMENT_HEADER_BYTES as u64)?;
        let header = bytes(segment, 0..SEGMENT_HEADER_BYTES as u64);
        let mut cursor = Cursor::enter(before.as_ref(), &tail, header)
            .map_err(|error| unsound(LogOffset::new(sequence, 0), error))?;
        sink.begin(segment, &cursor)?;
        let stop = source.stop(sequence);
        let known = start.known.filter(|known| known.sequence == sequence);
        let diverged = |reason: &str| BackupError::Diverged {
            path: backup.to_owned(),
            at: LogOffset::new(sequence, known.map_or(0, |known| known.valid_len)),
            reason: reason.to_owned(),
        };
        if known.is_some_and(|known| known.valid_len > stop) {
            return Err(diverged("it is shorter"));
        }
        if let Some(known) = known {
            pass(source, segment, &mut cursor, known.valid_len, sink, passed)?;
            if cursor.before() != known {
                return Err(diverged("it is not the same up to here"));
            }
        }
        pass(source, segment, &mut cursor, stop, sink, passed)?;
        let end = cursor.before();
        let range = source.tail(sequence)?;
        sink.end(segment, &end, range.clone())?;
        tail = bytes(segment, range).to_vec();
        before = Some(end);
    }
    Ok(())
}

fn pass(
    source: &Source,
    segment: &Arc<Segment>,
    cursor: &mut Cursor,
    stop: u64,
    sink: &mut dyn Sink,
    passed: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    while cursor.offset < stop {
        let range = source.piece(segment, cursor.offset, stop)?;
        let place = cursor.place();
        cursor
            .pass_each(bytes(segment, range.clone()), None, &mut |frame, body| sink.frame(frame, body))
            .map_err(|error| BackupError::unsound(&source.path, place, &error))?;
        sink.frames(segment, range.clone())?;
        passed(range.end - range.start);
    }
    Ok(())
}
