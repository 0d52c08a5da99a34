//! What a standby and a backup check before they write: everything that `verify` would check, of a piece in memory.
//!
//! Invariant: a [`Cursor`] only ever moves over what has been checked whole: CRCs, positions, epochs, versions, digests
//! and the chain.

use super::error::ReplicaError;
use crate::digest::{self, Batch, SegmentDigest, sha256};
use crate::error::ReadError;
use crate::format::FormatError;
use crate::format::body::Body;
use crate::format::bytes::{all_zero, u32_at};
use crate::format::frame::{self, CrcSeed, Frame, FrameHeader, FrameKind};
use crate::format::segment_header::{
    NEWER_VERSION, PreviousEnd, SEGMENT_HEADER_BYTES, SegmentHeader, VERSION_1,
};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::names::StreamId;
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use crate::verify::{self, Touched};
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Zeros that are hashed in one go.
const ZEROS: [u8; 4096] = [0; 4096];

/// Where a copy is, and all that what comes next has to continue.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    pub(crate) header: SegmentHeader,
    pub(super) seed: CrcSeed,
    /// Over what there is of the segment.
    pub(super) digest: SegmentDigest,
    pub(crate) offset: u64,
    pub(crate) next: Position,
    pub(crate) chain: Digest,
    pub(crate) recorded_at: Timestamp,
    pub(crate) epoch: u32,
    pub(crate) is_sealed: bool,
}

/// All that the header of a segment has to continue: what there is of the segment before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) store: Uuid,
    pub(crate) sequence: u32,
    pub(crate) capacity: u64,
    /// Bytes that count.
    pub(crate) valid_len: u64,
    pub(crate) next: Position,
    pub(crate) chain: Digest,
    pub(crate) recorded_at: Timestamp,
    pub(crate) epoch: u32,
    pub(crate) is_sealed: bool,
    pub(crate) digest: Digest,
}

impl Before {
    fn place(&self) -> LogOffset {
        LogOffset::new(self.sequence, self.valid_len)
    }
}

/// A sound frame, and what could be computed of it alone.
struct Hashed<'b> {
    frame: Frame<'b>,
    body: Digest,
    touched: Vec<Touched>,
}

/// What the log has of streams so far.
pub(crate) type Heads<'a> = &'a dyn Fn(&StreamId) -> Result<Option<Version>, ReadError>;

impl Cursor {
    pub(crate) fn place(&self) -> LogOffset {
        LogOffset::new(self.header.sequence, self.offset)
    }

    /// What the next segment's header has to continue, if this one ends here.
    pub(crate) fn before(&self) -> Before {
        Before {
            store: self.header.store,
            sequence: self.header.sequence,
            capacity: self.header.capacity,
            valid_len: self.offset,
            next: self.next,
            chain: self.chain,
            recorded_at: self.recorded_at,
            epoch: self.epoch,
            is_sealed: self.is_sealed,
            digest: self.digest.clone().finish(),
        }
    }

    /// Checks the header of the next segment against everything before it, and steps behind it. `tail` is what a crash
    /// of the source has left behind the last frame.
    pub(crate) fn enter(previous: Option<&Before>, tail: &[u8], bytes: &[u8]) -> Result<Self, ReplicaError> {
        let sequence = previous.map_or(0, |previous| previous.sequence + 1);
        let at = LogOffset::new(sequence, 0);
        let unsound = |reason: &str| ReplicaError::Unsound { at, reason: reason.to_owned() };
        let header = match SegmentHeader::decode(bytes) {
            Ok(Some(header)) => header,
            Ok(None) => {
                return Err(ReplicaError::Damaged { at, reason: "there are zeros instead of a header" });
            }
            Err(VERSION_1 | NEWER_VERSION) => {
                let version = u32_at(bytes, 12).unwrap_or(0);
                return Err(ReplicaError::UnsupportedFormat { segment: sequence, version });
            }
            Err(error) => return Err(ReplicaError::Damaged { at, reason: error.0 }),
        };
        if let Some(expected) = previous.map(|previous| previous.store).filter(|store| *store != header.store)
        {
            return Err(ReplicaError::OtherStore { expected, found: header.store });
        }
        let gap = |what, expected, found| ReplicaError::Gap { at, what, expected, found };
        if header.sequence != sequence {
            return Err(gap("segment", sequence.into(), header.sequence.into()));
        }
        let next = previous.map_or(Position::ZERO, |previous| previous.next);
        if header.first_position != next {
            return Err(gap("position", next.get(), header.first_position.get()));
        }
        let chain = previous.map_or(Digest::default(), |previous| previous.chain);
        if header.previous.chain != chain {
            let theirs = header.previous.chain;
            return Err(ReplicaError::Diverged { position: next, ours: chain, theirs });
        }
        let before = previous.map_or(LogOffset::default(), Before::place);
        if header.previous.valid_len != before.offset() {
            return Err(gap("a segment after offset", before.offset(), header.previous.valid_len));
        }
        let epoch = previous.map_or(0, |previous| previous.epoch);
        if header.epoch < epoch {
            return Err(ReplicaError::OlderEpoch { at, epoch: header.epoch, newest: epoch });
        }
        let in_range = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&header.capacity);
        if !in_range || !header.capacity.is_multiple_of(4096) {
            return Err(unsound("no segment has such a length"));
        }
        if header.durable_end > before {
            return Err(unsound("the header vouches for more than there was before it"));
        }
        match (header.previous.end, previous) {
            (PreviousEnd::None, None) => {}
            (PreviousEnd::Sealed, Some(previous)) if previous.is_sealed && tail.is_empty() => {}
            (PreviousEnd::Abandoned(digest), Some(previous)) if !previous.is_sealed => {
                if tail_digest(tail, previous.capacity - previous.valid_len) != Some(digest) {
                    let reason = "what a crash left in the segment before is not what the header says";
                    return Err(ReplicaError::Damaged { at, reason });
                }
            }
            _ => return Err(unsound("the segment before did not end as the header says")),
        }
        if previous.is_some_and(|previous| previous.digest != header.previous.digest) {
            return Err(unsound("the segment before is not byte for byte what the header says"));
        }
        Ok(Self {
            header,
            seed: CrcSeed::new(&header.salt),
            digest: SegmentDigest::new(&bytes[..SEGMENT_HEADER_BYTES]),
            offset: SEGMENT_HEADER_BYTES as u64,
            next,
            chain,
            recorded_at: previous.map_or(Timestamp::new(i64::MIN), |previous| previous.recorded_at),
            epoch: header.epoch,
            is_sealed: false,
        })
    }

    /// Checks whole frames and steps over them. Everything before them is on disk. Returns the offsets within `bytes`
    /// before which a sync has to come: a frame says what was on disk when it was written, and that has to be true
    /// here as well, or a crash here would look like damage.
    pub(super) fn pass(&mut self, bytes: &[u8], heads: Heads<'_>) -> Result<Vec<usize>, ReplicaError> {
        self.pass_each(bytes, Some(heads), &mut |_, _| {})
    }

    /// As [`Cursor::pass`]; `each` is shown every frame with the digest of its body once it has proved sound. Without
    /// `heads` nobody asks whether streams go on where they were: that takes all of the log, and the chain covers it.
    pub(crate) fn pass_each(
        &mut self,
        bytes: &[u8],
        heads: Option<Heads<'_>>,
        each: &mut dyn FnMut(&Frame<'_>, Digest),
    ) -> Result<Vec<usize>, ReplicaError> {
        let frames = self.hash(bytes)?;
        let mut pending = FxHashMap::default();
        let (mut syncs, mut durable) = (Vec::new(), self.place());
        let mut passed = 0;
        for Hashed { frame, body, touched } in &frames {
            let (at, header) = (self.place(), &frame.header);
            self.continues(header)?;
            if header.durable_end > durable {
                syncs.push(passed);
                durable = at;
            }
            let chain = match header.kind {
                FrameKind::Mark | FrameKind::Seal => self.chain,
                FrameKind::Commit => {
                    if let Some(heads) = heads {
                        check_versions(at, frame, touched, &mut pending, heads)?;
                    }
                    let link = verify::link(header, frame.base_version_bytes(), *body);
                    digest::chain(&self.chain, self.header.store, &link)
                }
            };
            if chain != header.chain {
                let (ours, theirs) = (chain, header.chain);
                return Err(ReplicaError::Diverged { position: header.first, ours, theirs });
            }
            each(frame, *body);
            self.digest.frame(&bytes[passed..passed + header.header_len()]);
            passed += header.frame_len();
            self.offset += header.frame_len() as u64;
            self.next = header.next();
            self.chain = header.chain;
            self.recorded_at = header.recorded_at;
            self.epoch = header.epoch;
            self.is_sealed = header.kind == FrameKind::Seal;
        }
        Ok(syncs)
    }

    /// Checks what can be checked of frames without those before them, and hashes their bodies.
    fn hash<'b>(&self, bytes: &'b [u8]) -> Result<Vec<Hashed<'b>>, ReplicaError> {
        let mut frames: Vec<Hashed<'b>> = Vec::new();
        let (mut batch, mut commits) = (Batch::default(), Vec::new());
        let mut passed = 0;
        while passed < bytes.len() {
            let offset = self.offset + passed as u64;
            let at = LogOffset::new(self.header.sequence, offset);
            let damaged = |error: FormatError| ReplicaError::Damaged { at, reason: error.0 };
            let header = frame::decode_header(&bytes[passed..], &self.seed, offset)
                .map_err(damaged)?
                .ok_or(ReplicaError::Damaged { at, reason: "there are zeros instead of a frame" })?;
            let frame = frame::decode_rest(&bytes[passed..], header).map_err(damaged)?;
            let mut touched = Vec::new();
            if header.kind == FrameKind::Commit {
                batch.begin(header.events);
                let body = verify::check_body(&frame, 0, &mut touched, |event| batch.event(event))
                    .map_err(|error| ReplicaError::Unsound { at, reason: error.0.to_owned() })?;
                batch.end(body.command_table);
                commits.push(frames.len());
            }
            passed += header.frame_len();
            frames.push(Hashed { frame, body: Digest::default(), touched });
        }
        batch.hash(|number, digest| frames[commits[number]].body = digest);
        Ok(frames)
    }

    /// Whether a sound frame is the next one, as far as its header tells.
    fn continues(&self, header: &FrameHeader) -> Result<(), ReplicaError> {
        let at = self.place();
        if header.first != self.next {
            let (expected, found) = (self.next.get(), header.first.get());
            return Err(ReplicaError::Gap { at, what: "position", expected, found });
        }
        if header.epoch < self.epoch {
            return Err(ReplicaError::OlderEpoch { at, epoch: header.epoch, newest: self.epoch });
        }
        let reason = if header.recorded_at < self.recorded_at {
            "it was recorded before its predecessor"
        } else if header.durable_end > at || header.durable_upto > header.first {
            "it vouches for more than there was before it"
        } else if self.offset + header.frame_len() as u64 > self.header.capacity {
            "it does not fit into its segment"
        } else {
            return Ok(());
        };
        Err(ReplicaError::Unsound { at, reason: reason.to_owned() })
    }
}

/// Every stream of a commit goes on where it is. The form is sound.
fn check_versions(
    at: LogOffset,
    frame: &Frame<'_>,
    touched: &[Touched],
    pending: &mut FxHashMap<StreamId, Version>,
    heads: Heads<'_>,
) -> Result<(), ReplicaError> {
    let unsound = |reason: String| ReplicaError::Unsound { at, reason };
    let malformed = |error: FormatError| unsound(error.0.to_owned());
    let body = Body::decode(frame.body).map_err(malformed)?;
    let mut names = FxHashSet::default();
    for (touched, name) in touched.iter().zip(body.streams()) {
        let name = name.map_err(malformed)?;
        if frame.header.streams > 1 && !names.insert(name) {
            return Err(unsound("a stream stands twice in its table".to_owned()));
        }
        let name = String::from_utf8_lossy(&name[1..]);
        let stream = StreamId::new(&*name).map_err(|error| unsound(error.to_string()))?;
        let head = match pending.get(&stream) {
            Some(head) => Some(*head),
            None => heads(&stream)?,
        };
        if touched.base != head.map_or(Version::ZERO, |head| head.plus(1)) {
            return Err(unsound(format!("it does not continue stream {stream}")));
        }
        pending.insert(stream, touched.base.plus(u64::from(touched.events) - 1));
    }
    Ok(())
}

/// Digest of a tail with the zeros after it; `None` when it is longer than the room there is.
fn tail_digest(tail: &[u8], room: u64) -> Option<Digest> {
    let mut zeros = room.checked_sub(tail.len() as u64)?;
    if all_zero(tail) {
        // An end without anything behind it is no abandoned one.
        return None;
    }
    if zeros == 0 {
        return Some(sha256(tail));
    }
    let mut hasher = Sha256::new_with_prefix(tail);
    while zeros > 0 {
        let piece = usize::try_from(zeros).map_or(ZEROS.len(), |zeros| zeros.min(ZEROS.len()));
        hasher.update(&ZEROS[..piece]);
        zeros -= piece as u64;
    }
    Some(Digest(hasher.finalize().into()))
}
