//! A history under the name of another store: the same commits, in the same places, with a chain of its own.
//!
//! The chain covers the store's UUID, so every head changes, and with it the CRC of every frame's header. All else stays: bodies
//! byte for byte (event ids, streams, tags, payloads, commands), positions, versions, recorded times, epochs, offsets. The
//! tree's leaves do not know the store, so what was signed of the old store holds for the same events here.

use crate::digest::{self, SegmentDigest};
use crate::format::bytes::put;
use crate::format::frame::{self, CrcSeed, Frame, FrameHeader, FrameKind};
use crate::format::segment_header::{Previous, SegmentHeader};
use crate::numbers::Digest;
use crate::replica::check::Before;
use crate::verify;
use std::ops::Range;
use uuid::Uuid;

/// Where the chain stands in a frame's header.
const CHAIN_AT: usize = 64;

/// The history of another store, segment by segment.
#[derive(Debug)]
pub(super) struct Rewriter {
    store: Uuid,
    chain: Digest,
    seed: CrcSeed,
    digest: SegmentDigest,
    /// What the next header says of the segment before it.
    previous: Previous,
    /// Frames that were shown and not written yet, each with its new head.
    shown: Vec<(FrameHeader, Digest)>,
}

impl Rewriter {
    pub(super) fn new(store: Uuid) -> Self {
        Self {
            store,
            chain: Digest::default(),
            seed: CrcSeed::new(&[0; 16]),
            digest: SegmentDigest::new(&[]),
            previous: Previous::NONE,
            shown: Vec::new(),
        }
    }

    /// The header of the next segment.
    pub(super) fn begin(&mut self, header: &SegmentHeader, salt: [u8; 16]) -> Vec<u8> {
        let previous = Previous { end: header.previous.end, ..self.previous };
        let header = SegmentHeader { store: self.store, salt, previous, ..*header };
        let bytes = header.encode();
        self.seed = CrcSeed::new(&salt);
        self.digest = SegmentDigest::new(&bytes);
        bytes
    }

    /// A frame that was checked.
    pub(super) fn frame(&mut self, frame: &Frame<'_>, body: Digest) {
        if frame.header.kind == FrameKind::Commit {
            let link = verify::link(&frame.header, frame.base_version_bytes(), body);
            self.chain = digest::chain(&self.chain, self.store, &link);
        }
        self.shown.push((frame.header, self.chain));
    }

    /// The bytes of the frames that were shown since, which stand at `range`.
    pub(super) fn frames(&mut self, bytes: &[u8], range: &Range<u64>) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut passed = 0;
        for (header, chain) in self.shown.drain(..) {
            let Some(head) = bytes.get_mut(passed..passed + header.header_len()) else { break };
            put(head, CHAIN_AT, &chain.0);
            let offset = range.start + passed as u64;
            frame::stamp(head, &self.seed, offset, header.durable_upto, header.durable_end);
            self.digest.frame(head);
            passed += header.frame_len();
        }
        bytes
    }

    /// The segment is over.
    pub(super) fn end(&mut self, end: &Before) {
        self.previous = Previous {
            valid_len: end.valid_len,
            chain: self.chain,
            digest: self.digest.clone().finish(),
            ..self.previous
        };
    }
}
