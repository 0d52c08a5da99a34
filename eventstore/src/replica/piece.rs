//! What a standby is fed with: pieces of segments, as their bytes are on disk.
//!
//! Invariant: a piece holds nothing that is not published and durable here, and no frame whose CRCs do not hold: a copy
//! never has what its source may lose, and damage here is not passed on.

use crate::error::ReadError;
use crate::format::FormatError;
use crate::format::segment_header::{PreviousEnd, SEGMENT_HEADER_BYTES};
use crate::log::Log;
use crate::numbers::{Digest, Lineage, LogOffset, Position};
use crate::segment::Segment;
use tokio::sync::watch;
use uuid::Uuid;

/// Some bytes of a segment: whole frames, with the segment's header before them when it begins at offset 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPiece {
    /// The store that the segment belongs to.
    pub store: Uuid,
    /// Number of the segment.
    pub segment: u32,
    /// Where the bytes begin.
    pub offset: u64,
    /// As on disk. None when there is nothing new.
    pub bytes: Vec<u8>,
    /// Whether the bytes are no frames, but what a crash left behind the last one: the next header vouches for them.
    /// The zeros to the end of the file are left out.
    pub is_tail: bool,
    /// Whether the segment is over after these bytes: the next one has been begun.
    pub ended: bool,
}

/// Why there is no such piece.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PieceError {
    /// The segment has not been begun.
    #[error("there is no segment {segment} yet; the log reaches {end}")]
    UnknownSegment {
        /// Its number.
        segment: u32,
        /// How far the log is durable.
        end: LogOffset,
    },
    /// No frame begins there.
    #[error("segment {segment}: no frame begins at offset {offset}")]
    NotABoundary {
        /// Number of the segment.
        segment: u32,
        /// What was asked for.
        offset: u64,
    },
    /// The segment does not reach that far.
    #[error("segment {segment} offset {offset} is beyond the end: it reaches {end}")]
    BeyondEnd {
        /// Number of the segment.
        segment: u32,
        /// What was asked for.
        offset: u64,
        /// Where its frames end.
        end: u64,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// How a remembered place is related to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// It is one of the log's own.
    Same,
    /// The log does not reach that far.
    Beyond,
    /// The log has another history there; this is its chain head.
    Diverged(Digest),
    /// The log is of another store.
    OtherStore,
}

impl Log {
    /// Everything below is published and on disk.
    #[must_use]
    pub fn durable_end(&self) -> LogOffset {
        *self.shared.durable_end.borrow()
    }

    /// Changes whenever [`Log::durable_end`] moves.
    #[must_use]
    pub fn watch_durable(&self) -> watch::Receiver<LogOffset> {
        self.shared.durable_end.subscribe()
    }

    /// The bytes of a segment from `offset` on: whole frames, at most `max` bytes of them, but at least one; preceded
    /// by the segment's header when `offset` is 0. Empty at the end of what is durable.
    ///
    /// # Errors
    /// When there is nothing of the kind, or the log is damaged there.
    pub fn segment_piece(&self, segment: u32, offset: u64, max: usize) -> Result<SegmentPiece, PieceError> {
        let durable = self.durable_end();
        if durable == LogOffset::default() || segment > durable.segment() {
            return Err(PieceError::UnknownSegment { segment, end: durable });
        }
        let source = self.shared.segment(segment)?;
        // How much of a segment counts, its successor's header says.
        let next = match durable.segment() {
            last if last == segment => None,
            _ => Some(self.shared.segment(segment + 1)?),
        };
        let stop = next.as_ref().map_or(durable.offset(), |next| next.header.previous.valid_len);
        let is_torn =
            next.as_ref().is_some_and(|next| matches!(next.header.previous.end, PreviousEnd::Abandoned(_)));
        if offset > stop {
            return Err(PieceError::BeyondEnd { segment, offset, end: stop });
        }
        let mut piece = SegmentPiece {
            store: self.shared.store,
            segment,
            offset,
            bytes: Vec::new(),
            is_tail: is_torn && offset == stop,
            ended: next.is_some(),
        };
        if piece.is_tail {
            piece.bytes = tail_of(&source, stop)?;
            return Ok(piece);
        }
        let at = copy_frames(&source, offset, stop, max, &mut piece.bytes)?;
        // What a crash left behind the frames is a piece of its own.
        piece.ended = next.is_some() && at == stop && !is_torn;
        Ok(piece)
    }

    /// How a remembered place is related to this log.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub fn kinship(&self, lineage: &Lineage) -> Result<Kinship, ReadError> {
        if lineage.store != self.shared.store {
            return Ok(Kinship::OtherStore);
        }
        if lineage.next > self.watermark() {
            return Ok(Kinship::Beyond);
        }
        if self.confirms(lineage)? {
            return Ok(Kinship::Same);
        }
        let mut theirs = Digest::default();
        for commit in self.commits(Position::new(lineage.next.get().saturating_sub(1))) {
            let commit = commit?;
            if commit.next() > lineage.next {
                break;
            }
            theirs = commit.chain();
        }
        Ok(Kinship::Diverged(theirs))
    }
}

/// Copies header and whole frames; returns where they end.
fn copy_frames(
    source: &Segment,
    offset: u64,
    stop: u64,
    max: usize,
    bytes: &mut Vec<u8>,
) -> Result<u64, PieceError> {
    let segment = source.header.sequence;
    let slice = |from: u64, len: usize| {
        usize::try_from(from).ok().and_then(|from| source.bytes().get(from..from + len)).unwrap_or_default()
    };
    let mut at = offset;
    if at == 0 {
        // Of a segment in the archive nothing is here before somebody asks for it.
        source
            .fault_in(0, SEGMENT_HEADER_BYTES as u64)
            .map_err(|error| ReadError::at(LogOffset::new(segment, 0), error))?;
        bytes.extend_from_slice(slice(0, SEGMENT_HEADER_BYTES));
        at = SEGMENT_HEADER_BYTES as u64;
    } else if at < SEGMENT_HEADER_BYTES as u64 || !at.is_multiple_of(8) {
        return Err(PieceError::NotABoundary { segment, offset });
    }
    while at < stop {
        let len = match source.frame(at) {
            Ok(Some(frame)) => frame.header.frame_len(),
            // What is sound goes out; whoever asks for what is not hears of it.
            _ if at > offset && !bytes.is_empty() => break,
            Ok(None) => {
                return Err(not_a_frame(source, at, FormatError("there are zeros where frames were")));
            }
            Err(error) => return Err(not_a_frame(source, at, error)),
        };
        if !bytes.is_empty() && bytes.len() + len > max {
            break;
        }
        bytes.extend_from_slice(slice(at, len));
        at += len as u64;
    }
    Ok(at)
}

/// Whether somebody asked for what is no frame, or there is no frame where one should be.
fn not_a_frame(source: &Segment, asked: u64, error: FormatError) -> PieceError {
    let segment = source.header.sequence;
    let mut boundary = SEGMENT_HEADER_BYTES as u64;
    while boundary < asked {
        match source.frame(boundary) {
            Ok(Some(frame)) => boundary += frame.header.frame_len() as u64,
            _ => break,
        }
    }
    if boundary > asked {
        return PieceError::NotABoundary { segment, offset: asked };
    }
    PieceError::Read(ReadError::at(LogOffset::new(segment, boundary), error))
}

/// What follows the frames of a segment that a crash ended, up to its last byte that is not zero.
fn tail_of(source: &Segment, from: u64) -> Result<Vec<u8>, ReadError> {
    let place = LogOffset::new(source.header.sequence, from);
    source.fault_in(from, source.len()).map_err(|error| ReadError::at(place, error))?;
    let tail = usize::try_from(from).ok().and_then(|from| source.bytes().get(from..)).unwrap_or_default();
    let len = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Ok(tail[..len].to_vec())
}
