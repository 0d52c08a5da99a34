//! Everything that was committed, in order of position: frame after frame through the mapped segments.

use crate::error::ReadError;
use crate::format::FormatError;
use crate::format::frame::FrameKind;
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::numbers::{LogOffset, Position};
use crate::recorded::RecordedCommit;
use crate::segment::Segment;
use crate::tail::Shared;
use std::sync::Arc;

/// Iterates over whole commits. Blocks on cold page faults only. An error ends it: what comes after a damaged frame
/// cannot be told from the frame.
#[derive(Debug)]
pub struct Commits {
    shared: Arc<Shared>,
    from: Position,
    /// Where the next frame is, and how far the log went when that was last looked at.
    at: LogOffset,
    end: LogOffset,
    /// First position of the next frame.
    next: Position,
    segment: Option<Arc<Segment>>,
    /// Offset at which the current segment ends, as far as it is known.
    stop: u64,
    failed: Option<ReadError>,
    is_over: bool,
}

impl Commits {
    pub(crate) fn new(shared: Arc<Shared>, from: Position) -> Self {
        let start = shared.before(from);
        let (failed, (next, at)) = match start {
            Ok(start) => (None, start),
            Err(error) => (Some(error), (Position::ZERO, LogOffset::default())),
        };
        Self {
            shared,
            from,
            at,
            end: LogOffset::default(),
            next,
            segment: None,
            stop: 0,
            failed,
            is_over: false,
        }
    }

    fn step(&mut self) -> Result<Option<RecordedCommit>, ReadError> {
        loop {
            if self.at >= self.end {
                self.end = self.shared.end();
                self.stop = 0;
                if self.at >= self.end {
                    return Ok(None);
                }
            }
            let segment = self.segment()?;
            if self.at.offset() >= self.stop {
                self.at = LogOffset::new(self.at.segment() + 1, SEGMENT_HEADER_BYTES as u64);
                continue;
            }
            let place = self.at;
            let damaged = |reason: &'static str| ReadError::at(place, FormatError(reason));
            let Some(unchecked) = segment.peek(self.at.offset()).map_err(|error| damaged(error.0))? else {
                return Err(damaged("a frame has become zero"));
            };
            let header = unchecked.frame.header;
            if header.first != self.next {
                return Err(damaged("the frame does not continue the positions"));
            }
            let is_wanted = header.kind == FrameKind::Commit
                // Commits before `from` are stepped over; also the one before it when nothing stands at `from` yet.
                && (header.next() > self.from || header.first >= self.from);
            if is_wanted {
                unchecked.check().map_err(|error| damaged(error.0))?;
            }
            let place = self.at;
            self.at = LogOffset::new(place.segment(), place.offset() + header.frame_len() as u64);
            self.next = header.next();
            if is_wanted {
                return Ok(Some(RecordedCommit::new(segment, place, header)));
            }
        }
    }

    /// The segment that the next frame is in; sets where it stops.
    fn segment(&mut self) -> Result<Arc<Segment>, ReadError> {
        let sequence = self.at.segment();
        let segment = match self.segment.take() {
            Some(segment) if segment.header.sequence == sequence => segment,
            _ => {
                self.stop = 0;
                self.shared.segment(sequence)?
            }
        };
        if self.stop == 0 {
            self.stop = if self.end.segment() == sequence {
                self.end.offset()
            } else {
                // How much of an ended segment counts, its successor says.
                self.shared.segment(sequence + 1)?.header.previous.valid_len
            };
        }
        self.segment = Some(Arc::clone(&segment));
        Ok(segment)
    }
}

impl Iterator for Commits {
    type Item = Result<RecordedCommit, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = match self.failed.take() {
            Some(error) => Err(error),
            None => self.step(),
        };
        self.is_over = next.is_err();
        next.transpose()
    }
}
