//! What each segment file of a log is.

use crate::error::OpenError;
use crate::format::frame::FrameKind;
use crate::format::segment_header::PreviousEnd;
use crate::numbers::{Digest, Position, Timestamp};
use crate::scan::{self, WalkEnd};
use crate::segment::{Segment, SegmentFile};
use crate::segments;
use crate::storage::Environment;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// What has become of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SegmentState {
    /// All zero, for later.
    Prepared,
    /// The one that is written.
    Open,
    /// Ended with a seal.
    Sealed,
    /// Ended by a crash; the next one names what it left.
    Abandoned,
    /// Its frames end where they should not.
    Damaged,
    /// Its header cannot be used.
    Unusable,
}

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentFacts {
    /// Its number.
    pub segment: u32,
    /// What has become of it.
    pub state: SegmentState,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The store that it belongs to.
    pub store: Option<Uuid>,
    /// Position of its first event.
    pub first: Position,
    /// Next position after its last event.
    pub next: Position,
    /// Commits, with and without events.
    pub commits: u64,
    /// Marks and seals.
    pub marks: u64,
    /// Bytes up to the end of its last sound frame.
    pub bytes: u64,
    /// Length of the file, bytes.
    pub capacity: u64,
    /// Epoch of its last frame.
    pub epoch: u32,
    /// When its first frame was recorded, ns since 1970.
    pub recorded_from: Option<Timestamp>,
    /// When its last one was.
    pub recorded_to: Option<Timestamp>,
    /// Chain head at its end.
    pub chain: Digest,
}

/// Every segment of a log, in order. Each is walked from its first frame to its last; beside a writer the last one may be shown as
/// damaged where a frame is being written.
///
/// # Errors
/// When the directory cannot be read, or a file between two others is missing.
pub fn segments(environment: &Environment, data_dir: &Path) -> Result<Vec<SegmentFacts>, OpenError> {
    let storage = &environment.storage;
    let log_dir = data_dir.join("log");
    let mut all = Vec::new();
    let mut opened = Vec::new();
    for sequence in segments::list(&**storage, &log_dir)? {
        opened.push((sequence, Segment::open(storage, &log_dir, sequence)?));
    }
    if opened.is_empty() {
        return Err(OpenError::NoLog { path: data_dir.to_owned() });
    }
    for (index, (sequence, file)) in opened.iter().enumerate() {
        let next = opened.get(index + 1).and_then(|(_, next)| match next {
            SegmentFile::Used(next) => Some(next),
            _ => None,
        });
        all.push(match file {
            SegmentFile::Used(segment) => used(segment, next),
            SegmentFile::Prepared => nothing_known(*sequence, SegmentState::Prepared, None),
            SegmentFile::Broken(error) => {
                nothing_known(*sequence, SegmentState::Unusable, Some(error.to_string()))
            }
        });
    }
    Ok(all)
}

fn nothing_known(segment: u32, state: SegmentState, reason: Option<String>) -> SegmentFacts {
    SegmentFacts {
        segment,
        state,
        reason,
        store: None,
        first: Position::ZERO,
        next: Position::ZERO,
        commits: 0,
        marks: 0,
        bytes: 0,
        capacity: 0,
        epoch: 0,
        recorded_from: None,
        recorded_to: None,
        chain: Digest::default(),
    }
}

fn used(segment: &Arc<Segment>, next: Option<&Arc<Segment>>) -> SegmentFacts {
    let (mut commits, mut marks, mut recorded_from) = (0, 0, None);
    let walked = scan::walk(segment, |_, frame| {
        if frame.header.kind == FrameKind::Commit {
            commits += 1;
        } else {
            marks += 1;
        }
        recorded_from.get_or_insert(frame.header.recorded_at);
    });
    let (state, reason) = match (walked.end, next.map(|next| next.header.previous)) {
        (_, Some(previous)) if previous.valid_len != walked.offset => {
            let expected = previous.valid_len;
            let reason = match walked.end {
                WalkEnd::Bad(error) => error.to_string(),
                _ => "its frames end here".to_owned(),
            };
            (SegmentState::Damaged, Some(format!("{reason}; {expected} bytes of it were in use")))
        }
        (_, Some(previous)) if matches!(previous.end, PreviousEnd::Abandoned(_)) => {
            (SegmentState::Abandoned, None)
        }
        (WalkEnd::Sealed, _) => (SegmentState::Sealed, None),
        (_, Some(_)) => (SegmentState::Damaged, Some("it should end with a seal".to_owned())),
        (WalkEnd::Bad(error), None) => (SegmentState::Damaged, Some(error.to_string())),
        (WalkEnd::Unwritten, None) => (SegmentState::Open, None),
    };
    SegmentFacts {
        segment: segment.header.sequence,
        state,
        reason,
        store: Some(segment.header.store),
        first: segment.header.first_position,
        next: walked.next,
        commits,
        marks,
        bytes: walked.offset,
        capacity: segment.header.capacity,
        epoch: walked.epoch,
        recorded_from,
        recorded_to: recorded_from.map(|_| walked.recorded_at),
        chain: walked.chain,
    }
}
