//! What a verification found.

use super::class::{Class, Severity};
use super::tree::Asked;
use crate::numbers::{Digest, Position, TreeSize};
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of harm.
    pub class: Class,
    /// How grave it is.
    pub severity: Severity,
    /// The file, below the data directory, when it is not a segment of the log. Then `offset` is in that file, and `segment` says
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Number of the segment.
    pub segment: u32,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Position of the event that stands or should stand there.
    pub position: Position,
    /// The stream concerned, where one is; of a read model the thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What should be there, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

impl Finding {
    /// In a segment of the log.
    pub(crate) fn new(
        class: Class,
        segment: u32,
        offset: u64,
        position: Position,
        message: impl Into<String>,
    ) -> Self {
        Self {
            class,
            severity: class.severity(),
            file: None,
            segment,
            offset,
            position,
            stream: None,
            message: message.into(),
            expected: None,
            actual: None,
        }
    }

    /// In another file, by its path below the data directory.
    pub fn in_file(
        class: Class,
        file: impl Into<String>,
        offset: u64,
        position: Position,
        message: impl Into<String>,
    ) -> Self {
        Self { file: Some(file.into()), ..Self::new(class, 0, offset, position, message) }
    }

    /// As a warning, whatever its class usually is.
    #[must_use]
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// About a stream, or a thing.
    #[must_use]
    pub fn stream(self, stream: &str) -> Self {
        Self { stream: Some(stream.to_owned()), ..self }
    }

    /// With what should be there and what is.
    #[must_use]
    pub fn differs(self, expected: &dyn ToString, actual: &dyn ToString) -> Self {
        Self { expected: Some(expected.to_string()), actual: Some(actual.to_string()), ..self }
    }
}

/// A segment of the log, for whoever draws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// Its number.
    pub segment: u32,
    /// Length of its file, bytes.
    pub bytes: u64,
    /// How much of it frames take, bytes.
    pub used: u64,
    /// Its first position.
    pub first: Position,
    /// The next position after it.
    pub next: Position,
    /// Whether its bytes were looked at; not so before the place where a verification began.
    #[serde(rename = "checked")]
    pub is_checked: bool,
}

/// What the log comes to at a size that somebody asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The size.
    pub size: TreeSize,
    /// Root of the tree over so many events; nothing when the log ends before, or what is before cannot be read.
    pub root: Option<Digest>,
    /// Whether the chain head that was asked about is the log's there.
    pub has_chain: bool,
}

/// What a verification looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The store.
    pub store: Option<Uuid>,
    /// Segments in use.
    pub segments: u64,
    /// Frames: commits, marks, seals.
    pub frames: u64,
    /// Events.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Bytes of all segment files.
    pub bytes: u64,
    /// The next position.
    pub next: Position,
    /// Chain head, as hexadecimal digits in JSON.
    #[serde(serialize_with = "as_text")]
    pub chain: Digest,
    /// Everything that is not as it should be, in order of place.
    pub findings: Vec<Finding>,
    /// The segments, in order.
    pub extents: Vec<Extent>,
    /// What the log comes to at the places that were asked about, in order of size.
    #[serde(skip)]
    pub reached: Vec<(Asked, Reached)>,
    /// Where the tree could not be followed any further, because what stands there is damaged.
    #[serde(skip)]
    pub tree_ends: Option<Position>,
    /// How long it took to see, once all was read, that no id stands twice.
    #[serde(skip)]
    pub ids_took: Duration,
    /// Whether it was told to stop before its end.
    #[serde(skip)]
    pub is_stopped: bool,
    #[serde(skip)]
    pub(crate) sealed_last: bool,
}

fn as_text<S: serde::Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

impl Report {
    /// Whether nothing was found but warnings.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.gravest() <= Some(Severity::Warning)
    }

    /// The gravest of its findings.
    #[must_use]
    pub fn gravest(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Whether the disk could not read some of it.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.findings.iter().any(|finding| finding.class == Class::Unreadable)
    }

    /// Whether any finding is tampering rather than rot.
    #[must_use]
    pub fn is_tampered(&self) -> bool {
        self.gravest() == Some(Severity::Tampering)
    }
}
