//! The digests of `FORMAT.md`: event, body, chain. Computed by producers when they prepare a commit, and again by
//! whoever verifies it; the writer only links the chain.

mod batch;
mod lanes;

pub(crate) use batch::Batch;
pub(crate) use lanes::sha256_each;

use crate::numbers::{Digest, Position, Timestamp};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
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

impl Link<'_> {
    /// Appends what is hashed: two blocks for a commit that touches one stream.
    fn write(&self, previous: &Digest, store: Uuid, text: &mut Vec<u8>) {
        let mut fixed = [0; 32 + 16 + 8 + 4 + 8 + 2];
        fixed[..32].copy_from_slice(&previous.0);
        fixed[32..48].copy_from_slice(store.as_bytes());
        fixed[48..56].copy_from_slice(&self.first.get().to_le_bytes());
        fixed[56..60].copy_from_slice(&self.events.to_le_bytes());
        fixed[60..68].copy_from_slice(&self.recorded_at.get().to_le_bytes());
        fixed[68..70].copy_from_slice(&self.streams.to_le_bytes());
        text.extend_from_slice(&fixed);
        text.extend_from_slice(self.base_versions);
        text.extend_from_slice(&self.body.0);
    }
}

/// The chain head after a commit.
pub(crate) fn chain(previous: &Digest, store: Uuid, link: &Link<'_>) -> Digest {
    let mut text = Vec::with_capacity(192);
    link.write(previous, store, &mut text);
    sha256(&text)
}

/// Chain heads of many commits, each after the predecessor that it names: hashed two at a time.
#[derive(Default)]
pub(crate) struct Chains {
    texts: Vec<u8>,
    ends: Vec<usize>,
}

impl Chains {
    pub(crate) fn link(&mut self, previous: &Digest, store: Uuid, link: &Link<'_>) {
        link.write(previous, store, &mut self.texts);
        self.ends.push(self.texts.len());
    }

    /// Hands `done` the chain head after each commit, by its number in order of `link`, and forgets them.
    pub(crate) fn hash(&mut self, done: impl FnMut(usize, Digest)) {
        sha256_each(self.ends.len(), |index| batch::piece(&self.texts, &self.ends, index), done);
        self.texts.clear();
        self.ends.clear();
    }
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
