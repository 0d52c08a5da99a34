//! What a verification found.

use crate::numbers::{Digest, Position};
use serde::Serialize;
use uuid::Uuid;

/// What kind of harm a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// Bytes after the last sound frame: a group that a crash cut short, possibly acknowledged.
    TornTail,
    /// A CRC fails, or there are bytes where zeros belong.
    Bitrot,
    /// CRCs are good but a digest or the chain is not: somebody made it look right.
    Tampered,
    /// Sound frames, but a position or version is missing.
    Gap,
    /// Sound frames, but an id or version stands twice.
    Duplicate,
    /// Sound frames in the wrong order or place.
    Reorder,
    /// A segment file is not there.
    MissingSegment,
    /// The log ends before a place that it is known to have reached.
    Truncated,
    /// The disk cannot read it: nothing is known of these bytes.
    Unreadable,
}

impl Class {
    /// Whether somebody must have done it on purpose.
    #[must_use]
    pub fn is_tampering(self) -> bool {
        // A producer that uses an event id twice makes a duplicate without meaning harm.
        matches!(self, Self::Tampered | Self::Gap | Self::Reorder)
    }

    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TornTail => "torn_tail",
            Self::Bitrot => "bitrot",
            Self::Tampered => "tampered",
            Self::Gap => "gap",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::MissingSegment => "missing_segment",
            Self::Truncated => "truncated",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of harm.
    pub class: Class,
    /// Number of the segment.
    pub segment: u32,
    /// Offset in the segment file, bytes.
    pub offset: u64,
    /// Position of the event that stands or should stand there.
    pub position: Position,
    /// The stream concerned, where one is.
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
    pub(crate) fn new(
        class: Class,
        segment: u32,
        offset: u64,
        position: Position,
        message: impl Into<String>,
    ) -> Self {
        Self {
            class,
            segment,
            offset,
            position,
            stream: None,
            message: message.into(),
            expected: None,
            actual: None,
        }
    }

    pub(crate) fn stream(self, stream: &str) -> Self {
        Self { stream: Some(stream.to_owned()), ..self }
    }

    pub(crate) fn differs(self, expected: &dyn ToString, actual: &dyn ToString) -> Self {
        Self { expected: Some(expected.to_string()), actual: Some(actual.to_string()), ..self }
    }
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
    #[serde(skip)]
    pub(crate) sealed_last: bool,
}

fn as_text<S: serde::Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether the disk could not read some of it.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.findings.iter().any(|finding| finding.class == Class::Unreadable)
    }

    /// Whether any finding is tampering rather than rot.
    #[must_use]
    pub fn is_tampered(&self) -> bool {
        self.findings.iter().any(|finding| finding.class.is_tampering())
    }
}
