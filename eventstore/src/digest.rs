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

/// Digest of one event.
pub(crate) fn event(view: &EventView<'_>) -> Digest {
    let mut metadata = Sha256::new();
    metadata.update([view.metadata().presence()]);
    metadata.update(view.metadata().bytes());
    let payload = Sha256::digest(view.payload());

    let mut hasher = Sha256::new();
    hasher.update(view.id().as_bytes());
    hasher.update([view.content_type() as u8]);
    hasher.update(view.schema_version().to_le_bytes());
    hasher.update(view.key_id().to_le_bytes());
    // Stored names carry their one-byte length prefix already, except the type, whose length stands in the record.
    hasher.update(view.prefixed_stream());
    hasher.update([view.type_len()]);
    hasher.update(view.event_type().as_bytes());
    hasher.update([view.tag_count()]);
    hasher.update(view.prefixed_tags());
    hasher.update(metadata.finalize());
    hasher.update(payload);
    Digest(hasher.finalize().into())
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
    let mut hasher = Sha256::new();
    hasher.update(previous.0);
    hasher.update(store.as_bytes());
    hasher.update(link.first.get().to_le_bytes());
    hasher.update(link.events.to_le_bytes());
    hasher.update(link.recorded_at.get().to_le_bytes());
    hasher.update(link.streams.to_le_bytes());
    hasher.update(link.base_versions);
    hasher.update(link.body.0);
    Digest(hasher.finalize().into())
}
