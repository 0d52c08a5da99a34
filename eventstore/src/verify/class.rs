//! The kinds of harm that a verification tells apart, what each means, and how grave it is.

use serde::Serialize;

/// What kind of harm a finding is. `docs/verify.md` has them as a table.
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
    /// The log ends before a checkpoint that was signed of it.
    TruncatedBelowCheckpoint,
    /// The log is sound by itself, and not the one that a checkpoint was signed of.
    Fork,
    /// A known key's signature is not good.
    BadSignature,
    /// No known key has signed it.
    UnknownKey,
    /// A checkpoint that was signed is not in the journal, which forgets none.
    MissingCheckpoint,
    /// The tree's files are not what the leaves come to.
    TreeMismatch,
    /// A snapshot is not what the log's events come to.
    SnapshotMismatch,
    /// An index run is not what the log's segments come to.
    IndexMismatch,
    /// A read model's image, or a document of the search index, is not what a replay comes to.
    ReadmodelMismatch,
    /// Events that no checkpoint covers yet.
    UnanchoredTail,
    /// Too few witnesses have cosigned, or nobody asked for any.
    Unwitnessed,
    /// The published checkpoint is older than the newest in the journal.
    StaleCheckpoint,
}

/// What a finding means for the whole: the exit code follows from the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Warning,
    /// What was asked for is not there: the policy is not met.
    Policy,
    /// Bytes are not what they were, or missing.
    Corruption,
    /// The disk could not read some of it.
    Unreadable,
    /// Somebody changed it and made it look right.
    Tampering,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::TornTail,
        Self::Bitrot,
        Self::Tampered,
        Self::Gap,
        Self::Duplicate,
        Self::Reorder,
        Self::MissingSegment,
        Self::Truncated,
        Self::Unreadable,
        Self::TruncatedBelowCheckpoint,
        Self::Fork,
        Self::BadSignature,
        Self::UnknownKey,
        Self::MissingCheckpoint,
        Self::TreeMismatch,
        Self::SnapshotMismatch,
        Self::IndexMismatch,
        Self::ReadmodelMismatch,
        Self::UnanchoredTail,
        Self::Unwitnessed,
        Self::StaleCheckpoint,
    ];

    /// Whether somebody must have done it on purpose.
    #[must_use]
    pub fn is_tampering(self) -> bool {
        self.severity() == Severity::Tampering
    }

    /// How grave it is, unless a finding says otherwise.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Tampered
            | Self::Gap
            | Self::Reorder
            | Self::TruncatedBelowCheckpoint
            | Self::Fork
            | Self::BadSignature
            | Self::UnknownKey
            | Self::MissingCheckpoint
            | Self::SnapshotMismatch
            | Self::IndexMismatch
            | Self::ReadmodelMismatch => Severity::Tampering,
            // A producer that uses an event id twice makes a duplicate without meaning harm; the tree's files have no
            // sums, so nobody can tell rot from intent there.
            Self::TornTail
            | Self::Bitrot
            | Self::Duplicate
            | Self::MissingSegment
            | Self::Truncated
            | Self::TreeMismatch => Severity::Corruption,
            Self::Unreadable => Severity::Unreadable,
            Self::Unwitnessed => Severity::Policy,
            Self::UnanchoredTail | Self::StaleCheckpoint => Severity::Warning,
        }
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
            Self::TruncatedBelowCheckpoint => "truncated_below_checkpoint",
            Self::Fork => "fork",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::MissingCheckpoint => "missing_checkpoint",
            Self::TreeMismatch => "tree_mismatch",
            Self::SnapshotMismatch => "snapshot_mismatch",
            Self::IndexMismatch => "index_mismatch",
            Self::ReadmodelMismatch => "readmodel_mismatch",
            Self::UnanchoredTail => "unanchored_tail",
            Self::Unwitnessed => "unwitnessed",
            Self::StaleCheckpoint => "stale_checkpoint",
        }
    }

    /// What it means, in words for people who do not know the format.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::TornTail => {
                "bytes after the last sound frame: a crash cut a group short, possibly an acknowledged one"
            }
            Self::Bitrot => {
                "a checksum fails, or there are bytes where zeros belong: a disk's or a copy's fault"
            }
            Self::Tampered => "the checksums are right and the digests are not: somebody made it look right",
            Self::Gap => "sound frames, but a position or a version is missing between them",
            Self::Duplicate => "an event id, a command id or a version stands twice",
            Self::Reorder => "sound frames in the wrong order or place, or a time that goes back",
            Self::MissingSegment => "a segment's file is not there",
            Self::Truncated => "the log ends before a place that it says itself to have reached",
            Self::Unreadable => "the disk cannot read these bytes: nothing is known of them",
            Self::TruncatedBelowCheckpoint => "the log ends before a checkpoint that was signed of it",
            Self::Fork => "the log agrees with itself, and is not the one that a checkpoint was signed of",
            Self::BadSignature => "a signature in the name of a known key is not that key's",
            Self::UnknownKey => "a checkpoint that none of the known keys has signed",
            Self::MissingCheckpoint => {
                "a checkpoint that was signed is not in the journal, which forgets none"
            }
            Self::TreeMismatch => "the files of the Merkle tree are not what their leaves come to",
            Self::SnapshotMismatch => "a snapshot of a state is not what the log's events come to",
            Self::IndexMismatch => "an index of the log is not what its segments come to",
            Self::ReadmodelMismatch => {
                "a read model or the search index is not what a replay of the log comes to"
            }
            Self::UnanchoredTail => {
                "events that no checkpoint covers (yet): they can be changed without a trace"
            }
            Self::Unwitnessed => {
                "fewer witnesses have cosigned than were asked for; a warning where none were asked for"
            }
            Self::StaleCheckpoint => "the published checkpoint is older than the newest one that was signed",
        }
    }
}

impl Severity {
    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Policy => "policy",
            Self::Corruption => "corruption",
            Self::Unreadable => "unreadable",
            Self::Tampering => "tampering",
        }
    }

    /// The exit code of a verification whose gravest finding this is.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Warning => 0,
            Self::Tampering => 1,
            Self::Unreadable => 3,
            Self::Corruption => 4,
            Self::Policy => 5,
        }
    }
}
