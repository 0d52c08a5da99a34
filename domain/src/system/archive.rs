//! What was moved into the archive: one stream, so that the log itself says which of its bytes are elsewhere.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The stream.
pub const STREAM: &str = "sys-archive";
/// The only type of event in it.
pub const SEGMENTS_ARCHIVED: &str = "sys.segments_archived";
/// The version of its payload.
pub const SCHEMA_VERSION: u16 = 1;
/// Segments that one event names at most.
pub const SEGMENTS_MAX: usize = 1_000;

/// Segments of the log that are in its archive from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentsArchived {
    /// The archive.
    pub url: String,
    /// Oldest first.
    pub segments: Vec<ArchivedSegment>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedSegment {
    /// Its number.
    pub segment: u32,
    /// Position of its first event.
    pub first: u64,
    /// The next position after it.
    pub next: u64,
    /// Length of its object, bytes.
    pub bytes: u64,
    /// SHA-256 of its object, hexadecimal.
    pub sha256: String,
}

/// Which segments the stream says are in the archive: the fold of its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded(BTreeSet<(u32, String)>);

impl Recorded {
    /// Takes in the next event.
    pub fn apply(&mut self, event: &SegmentsArchived) {
        self.0.extend(event.segments.iter().map(|one| (one.segment, one.sha256.clone())));
    }

    /// Whether this very object is known.
    #[must_use]
    pub fn holds(&self, segment: &ArchivedSegment) -> bool {
        self.0.contains(&(segment.segment, segment.sha256.clone()))
    }
}
