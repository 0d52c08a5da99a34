//! Walking the frames of one segment, and probing for frames where the walk has ended.

use crate::format::FormatError;
use crate::format::bytes::first_nonzero;
use crate::format::frame::{FRAME_MAGIC, Frame, FrameKind};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::numbers::{Digest, LogOffset, Position, Timestamp};
use crate::segment::Segment;

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalkEnd {
    /// Nothing has been written from here on.
    Unwritten,
    /// With a seal.
    Sealed,
    /// There is something that is not a sound frame, or not the next one.
    Bad(FormatError),
}

/// Where a walk has arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walked {
    pub(crate) end: WalkEnd,
    /// Offset of the first byte that does not count.
    pub(crate) offset: u64,
    pub(crate) next: Position,
    pub(crate) chain: Digest,
    pub(crate) recorded_at: Timestamp,
    pub(crate) epoch: u32,
    /// Highest `durable_end` of the frames passed.
    pub(crate) durable_end: LogOffset,
}

/// Walks a segment from its first frame. `visit` sees each sound frame with its offset.
pub(crate) fn walk(segment: &Segment, mut visit: impl FnMut(u64, &Frame<'_>)) -> Walked {
    let mut at = Walked {
        end: WalkEnd::Unwritten,
        offset: SEGMENT_HEADER_BYTES as u64,
        next: segment.header.first_position,
        chain: segment.header.previous.chain,
        recorded_at: Timestamp::new(i64::MIN),
        epoch: segment.header.epoch,
        durable_end: segment.header.durable_end,
    };
    loop {
        if at.offset == segment.len() {
            return at;
        }
        let frame = match segment.frame(at.offset) {
            Ok(Some(frame)) => frame,
            Ok(None) => return at,
            Err(error) => return Walked { end: WalkEnd::Bad(error), ..at },
        };
        if let Err(error) = continues(&at, &frame) {
            return Walked { end: WalkEnd::Bad(error), ..at };
        }
        visit(at.offset, &frame);
        at.offset += frame.header.frame_len() as u64;
        at.next = frame.header.next();
        at.chain = frame.header.chain;
        at.recorded_at = frame.header.recorded_at;
        at.epoch = frame.header.epoch;
        at.durable_end = at.durable_end.max(frame.header.durable_end);
        if frame.header.kind == FrameKind::Seal {
            return Walked { end: WalkEnd::Sealed, ..at };
        }
    }
}

/// Whether a sound frame is the next one.
fn continues(at: &Walked, frame: &Frame<'_>) -> Result<(), FormatError> {
    if frame.header.first != at.next {
        return Err(FormatError("the frame does not continue the positions"));
    }
    if frame.header.recorded_at < at.recorded_at {
        return Err(FormatError("the frame was recorded before its predecessor"));
    }
    if frame.header.epoch < at.epoch {
        return Err(FormatError("the frame is of an older epoch than its predecessor"));
    }
    if frame.header.kind != FrameKind::Commit && frame.header.chain != at.chain {
        return Err(FormatError("a mark or seal with another chain head"));
    }
    Ok(())
}

/// What lies after the end of a walk.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beyond {
    /// Offset of the first byte other than zero.
    pub(crate) first_nonzero: Option<u64>,
    /// Highest `durable_end` of the sound frames found there.
    pub(crate) durable_end: LogOffset,
    /// Offset of the first sound frame found there.
    pub(crate) frame: Option<u64>,
}

/// Probes every multiple of 8 from `from` for sound frames.
pub(crate) fn probe(segment: &Segment, from: u64) -> Beyond {
    let mut beyond = Beyond::default();
    let Some(rest) = usize::try_from(from).ok().and_then(|from| segment.bytes().get(from..)) else {
        return beyond;
    };
    let Some(first) = first_nonzero(rest) else {
        return beyond;
    };
    beyond.first_nonzero = Some(from + first as u64);
    let mut at = first & !7;
    while let Some(bytes) = rest.get(at..at + 8) {
        if bytes[..4] == FRAME_MAGIC
            && let Ok(Some(frame)) = segment.frame(from + at as u64)
        {
            beyond.durable_end = beyond.durable_end.max(frame.header.durable_end);
            beyond.frame.get_or_insert(from + at as u64);
            at += frame.header.frame_len();
        } else {
            at += 8;
        }
    }
    beyond
}
