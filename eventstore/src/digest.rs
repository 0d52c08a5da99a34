//! The digests of `FORMAT.md`: event, body, chain. Computed by producers when they prepare a commit, and again by
//! whoever verifies it; the writer only links the chain.

use crate::format::event::EventView;
use crate::numbers::{Digest, Position, Timestamp};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Digest of one event. `scratch` is a buffer to be used again: one piece of 300 bytes is hashed faster than ten
/// small ones.
pub(crate) fn event(view: &EventView<'_>, scratch: &mut Vec<u8>) -> Digest {
    scratch.clear();
    scratch.push(view.metadata().presence());
    scratch.extend_from_slice(view.metadata().bytes());
    let metadata = Sha256::digest(&scratch[..]);
    let payload = Sha256::digest(view.payload());

    scratch.clear();
    scratch.extend_from_slice(view.id().as_bytes());
    scratch.push(view.content_type() as u8);
    scratch.extend_from_slice(&view.schema_version().to_le_bytes());
    scratch.extend_from_slice(&view.key_id().to_le_bytes());
    // Stored names carry their one-byte length prefix already, except the type, whose length stands in the record.
    scratch.extend_from_slice(view.prefixed_stream());
    scratch.push(view.type_len());
    scratch.extend_from_slice(view.type_bytes());
    scratch.push(view.tag_count());
    scratch.extend_from_slice(view.prefixed_tags());
    scratch.extend_from_slice(&metadata);
    scratch.extend_from_slice(&payload);
    sha256(scratch)
}

/// Digest of a commit's body: its events and its command table.
pub(crate) struct BodyDigest(Sha256);

impl BodyDigest {
    pub(crate) fn new(events: u32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(events.to_le_bytes());
        Self(hasher)
    }

    pub(crate) fn event(&mut self, digest: &Digest) {
        self.0.update(digest.0);
    }

    pub(crate) fn finish(mut self, command_table: &[u8]) -> Digest {
        // A command table is far below 4 GiB: the body that holds it is limited to 16 MiB.
        let len = u32::try_from(command_table.len()).unwrap_or(u32::MAX);
        self.0.update(len.to_le_bytes());
        self.0.update(command_table);
        Digest(self.0.finalize().into())
    }
}

/// What the chain covers of a commit besides its predecessor and the store.
pub(crate) struct Link<'a> {
    pub(crate) first: Position,
    pub(crate) events: u32,
    pub(crate) recorded_at: Timestamp,
    pub(crate) streams: u16,
    /// 8 bytes each, as stored.
    pub(crate) base_versions: &'a [u8],
    pub(crate) body: Digest,
}

/// The chain head after a commit.
pub(crate) fn chain(previous: &Digest, store: Uuid, link: &Link<'_>) -> Digest {
    // Two blocks for a commit that touches one stream; put together first, for the same reason as above.
    let mut linked = [0; 32 + 16 + 8 + 4 + 8 + 2];
    linked[..32].copy_from_slice(&previous.0);
    linked[32..48].copy_from_slice(store.as_bytes());
    linked[48..56].copy_from_slice(&link.first.get().to_le_bytes());
    linked[56..60].copy_from_slice(&link.events.to_le_bytes());
    linked[60..68].copy_from_slice(&link.recorded_at.get().to_le_bytes());
    linked[68..70].copy_from_slice(&link.streams.to_le_bytes());
    let mut hasher = Sha256::new_with_prefix(linked);
    hasher.update(link.base_versions);
    hasher.update(link.body.0);
    Digest(hasher.finalize().into())
}

/// Digest of a segment, for the header of the next one: the segment's header, then the header of each frame with its
/// base versions. The frames' headers hold the chain and the CRC of each body, so every byte is covered, and none of
/// them is hashed twice.
#[derive(Debug, Clone)]
pub(crate) struct SegmentDigest(Sha256);

impl SegmentDigest {
    /// Begins with the segment's header.
    pub(crate) fn new(header: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(header))
    }

    /// Takes in the next frame: its header with its base versions.
    pub(crate) fn frame(&mut self, header: &[u8]) {
        self.0.update(header);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
