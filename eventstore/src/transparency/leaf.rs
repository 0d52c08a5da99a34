//! The leaf of an event: a fixed record of what the log's frame says of it, hashed into the tree.
//!
//! Invariant: a leaf depends on its event and on what the log assigned to it, never on another leaf. The tree is what binds
//! them; a second structure that must agree with it would be one more thing to forge.

use super::hash::{leaf_hashes, leaf_prefix};
use crate::digest::{Batch, sha256_each};
use crate::format::event::EventView;
use crate::numbers::{Digest, Position, Timestamp, Version};

/// Length of a leaf's record, bytes.
pub const LEAF_BYTES: usize = 89;
/// The version of leaves that this build makes: the record's first byte.
pub const LEAF_VERSION: u8 = 1;
/// A record with the prefix that leaves are hashed with.
const TEXT_BYTES: usize = 1 + LEAF_BYTES;

const _: () = assert!(LEAF_BYTES == 1 + 8 + 8 + 32 + 8 + 32);

/// What the tree says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Position of the event, which is also the number of the leaf.
    pub position: Position,
    /// When the log took the event in.
    pub recorded_at: Timestamp,
    /// SHA-256 of the stream's id.
    pub stream: Digest,
    /// Version of the event in its stream.
    pub version: Version,
    /// The event's digest, which covers its id, names, tags, metadata and payload (see `FORMAT.md`).
    pub event: Digest,
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// Another length.
    #[error("a leaf has {LEAF_BYTES} bytes, these are {0}")]
    Length(usize),
    /// A leaf of a newer build.
    #[error("a leaf of version {0}; this build knows version {LEAF_VERSION}")]
    Version(u8),
}

impl Leaf {
    /// Its record, as it is hashed and handed out.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[0] = LEAF_VERSION;
        bytes[1..9].copy_from_slice(&self.position.get().to_le_bytes());
        bytes[9..17].copy_from_slice(&self.recorded_at.get().to_le_bytes());
        bytes[17..49].copy_from_slice(&self.stream.0);
        bytes[49..57].copy_from_slice(&self.version.get().to_le_bytes());
        bytes[57..89].copy_from_slice(&self.event.0);
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When it has another length, or is of a version that this build does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LeafError> {
        let bytes: &[u8; LEAF_BYTES] = bytes.try_into().map_err(|_| LeafError::Length(bytes.len()))?;
        if bytes[0] != LEAF_VERSION {
            return Err(LeafError::Version(bytes[0]));
        }
        let long = |at: usize| {
            let mut long = [0; 8];
            long.copy_from_slice(&bytes[at..at + 8]);
            long
        };
        let digest = |at: usize| {
            let mut digest = [0; 32];
            digest.copy_from_slice(&bytes[at..at + 32]);
            Digest(digest)
        };
        Ok(Self {
            position: Position::new(u64::from_le_bytes(long(1))),
            recorded_at: Timestamp::new(i64::from_le_bytes(long(9))),
            stream: digest(17),
            version: Version::new(u64::from_le_bytes(long(49))),
            event: digest(57),
        })
    }

    /// The leaf of one event. For many, [`Leaves`] is faster.
    #[must_use]
    pub fn of(event: &EventView<'_>) -> Self {
        let mut leaf = Self {
            position: event.position(),
            recorded_at: event.recorded_at(),
            stream: crate::digest::sha256(event.stream().as_bytes()),
            version: event.version(),
            event: Digest::default(),
        };
        let mut batch = Batch::default();
        batch.event(event);
        batch.hash_events(|_, digest| leaf.event = digest);
        leaf
    }
}

/// Makes the leaves of many events, whose digests are hashed side by side.
#[derive(Default)]
pub struct Leaves<'a> {
    batch: Batch<'a>,
    pending: PendingLeaves<'a>,
}

impl std::fmt::Debug for Leaves<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaves").field("events", &self.pending.len()).finish_non_exhaustive()
    }
}

impl<'a> Leaves<'a> {
    /// Takes in the next event.
    pub fn push(&mut self, event: &EventView<'a>) {
        self.batch.event(event);
        self.pending.push(event);
    }

    /// Number of events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.len() == 0
    }

    /// The leaves in order, each with the hash that it has in the tree; empties this.
    pub fn finish(&mut self) -> Vec<(Leaf, Digest)> {
        let Self { batch, pending } = self;
        batch.hash_events(|index, digest| pending.digest(index, digest));
        pending.finish()
    }
}

/// Leaves whose events are hashed by somebody else, who hashes them anyway.
#[derive(Default)]
pub(crate) struct PendingLeaves<'a> {
    leaves: Vec<Leaf>,
    streams: Vec<&'a str>,
}

impl<'a> PendingLeaves<'a> {
    /// Takes in the next event.
    pub(crate) fn push(&mut self, event: &EventView<'a>) {
        self.streams.push(event.stream());
        self.leaves.push(Leaf {
            position: event.position(),
            recorded_at: event.recorded_at(),
            stream: Digest::default(),
            version: event.version(),
            event: Digest::default(),
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// The digest of an event, by its number.
    pub(crate) fn digest(&mut self, index: usize, digest: Digest) {
        if let Some(leaf) = self.leaves.get_mut(index) {
            leaf.event = digest;
        }
    }

    /// As [`Leaves::finish`].
    pub(crate) fn finish(&mut self) -> Vec<(Leaf, Digest)> {
        let Self { leaves, streams } = self;
        sha256_each(
            streams.len(),
            |index| streams[index].as_bytes(),
            |index, digest| leaves[index].stream = digest,
        );
        let mut texts = Vec::with_capacity(leaves.len() * TEXT_BYTES);
        for leaf in &*leaves {
            texts.push(leaf_prefix());
            texts.extend_from_slice(&leaf.to_bytes());
        }
        let hashes = leaf_hashes(&texts, TEXT_BYTES);
        streams.clear();
        leaves.drain(..).zip(hashes).collect()
    }
}
