//! Frames: what one commit, mark or seal is on disk. The header's CRC is seeded with the segment's salt and the
//! frame's offset, so bytes from another place or another life of the disk never pass for a frame.

use super::FormatError;
use super::bytes::{align8, all_zero, array, i64_at, put, slice, u16_at, u32_at, u64_at};
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_STREAMS_MAX};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};

/// Length of the fixed part of a frame's header, bytes.
pub const FRAME_HEADER_BYTES: usize = 96;
/// First bytes of a frame; probing looks for them.
pub const FRAME_MAGIC: [u8; 4] = *b"SFRM";
const CRC_FROM: usize = 8;
const _: () = assert!(FRAME_HEADER_BYTES.is_multiple_of(8));

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Events and commands.
    Commit = 1,
    /// Vouches for everything before it.
    Mark = 2,
    /// Ends a segment.
    Seal = 3,
}

/// The fixed part of a frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame is.
    pub kind: FrameKind,
    /// Streams touched.
    pub streams: u16,
    /// Events in the body.
    pub events: u32,
    /// Length of the body without padding.
    pub body_len: u32,
    /// CRC-32 of the body.
    pub body_crc: u32,
    /// The writer's epoch.
    pub epoch: u32,
    /// Position of the first event, or the next position if there is none.
    pub first: Position,
    /// When the writer took it in.
    pub recorded_at: Timestamp,
    /// Next position after the last one known durable when it was written.
    pub durable_upto: Position,
    /// The same as a place.
    pub durable_end: LogOffset,
    /// Chain head after it.
    pub chain: Digest,
}

impl FrameHeader {
    /// Length of the header with its base versions.
    #[must_use]
    pub fn header_len(&self) -> usize {
        FRAME_HEADER_BYTES + 8 * usize::from(self.streams)
    }

    /// Length of the whole frame, padding included.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        align8(self.header_len() + self.body_len as usize)
    }

    /// The next position after this frame.
    #[must_use]
    pub fn next(&self) -> Position {
        self.first.plus(u64::from(self.events))
    }
}

/// Length of the frame that a body of this size makes.
#[must_use]
pub(crate) fn frame_len(streams: usize, body_len: usize) -> usize {
    align8(FRAME_HEADER_BYTES + 8 * streams + body_len)
}

/// The seed of a segment's frame CRCs, with the salt already taken in.
#[derive(Debug, Clone)]
pub struct CrcSeed(crc32fast::Hasher);

impl CrcSeed {
    /// From a segment's salt.
    #[must_use]
    pub fn new(salt: &[u8; 16]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(salt);
        Self(hasher)
    }

    pub(super) fn header_crc(&self, offset: u64, header: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(&offset.to_le_bytes());
        hasher.update(&header[CRC_FROM..]);
        hasher.finalize()
    }
}

/// Appends a whole frame to `out`: header, base versions, body, padding. All but what [`stamp`] adds.
pub(crate) fn encode(out: &mut Vec<u8>, header: &FrameHeader, base_versions: &[Version], body: &[u8]) {
    debug_assert_eq!(base_versions.len(), usize::from(header.streams));
    debug_assert_eq!(body.len(), header.body_len as usize);
    let start = out.len();
    let header_len = header.header_len();
    out.resize(start + header_len, 0);
    let bytes = &mut out[start..];
    put(bytes, 0, &FRAME_MAGIC);
    put(bytes, 8, &header.body_crc.to_le_bytes());
    put(bytes, 12, &header.body_len.to_le_bytes());
    bytes[16] = header.kind as u8;
    put(bytes, 18, &header.streams.to_le_bytes());
    put(bytes, 20, &header.events.to_le_bytes());
    put(bytes, 24, &header.epoch.to_le_bytes());
    put(bytes, 32, &header.first.get().to_le_bytes());
    put(bytes, 40, &header.recorded_at.get().to_le_bytes());
    put(bytes, 64, &header.chain.0);
    for (index, version) in base_versions.iter().enumerate() {
        put(bytes, FRAME_HEADER_BYTES + 8 * index, &version.get().to_le_bytes());
    }
    out.extend_from_slice(body);
    out.resize(start + header.frame_len(), 0);
}

/// Completes the header of an encoded frame, when what is durable before it is known: that, and the CRC. `header` is
/// the frame's header with its base versions, `offset` where it will stand.
pub(crate) fn stamp(
    header: &mut [u8],
    seed: &CrcSeed,
    offset: u64,
    durable_upto: Position,
    durable_end: LogOffset,
) {
    put(header, 48, &durable_upto.get().to_le_bytes());
    put(header, 56, &durable_end.bits().to_le_bytes());
    let crc = seed.header_crc(offset, header);
    put(header, 4, &crc.to_le_bytes());
}

/// What the bytes at `offset` say the length of the frame there is, unchecked but within the limits: so much has to
/// be readable before the frame is looked at.
pub(crate) fn claimed_len(segment: &[u8], offset: u64) -> u64 {
    let fixed = usize::try_from(offset).ok().and_then(|at| slice(segment, at, FRAME_HEADER_BYTES).ok());
    let lengths = fixed.and_then(|fixed| Some((u16_at(fixed, 18).ok()?, u32_at(fixed, 12).ok()?)));
    lengths.map_or(0, |(streams, body)| {
        let streams = usize::from(streams).min(COMMIT_STREAMS_MAX);
        frame_len(streams, (body as usize).min(COMMIT_BYTES_MAX)) as u64
    })
}

/// A frame whose CRCs and padding are sound, as a view of the segment's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    base_versions: &'a [u8],
    /// Its body, without padding.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Puts parts together that were not read from a segment.
    pub(crate) fn around(header: FrameHeader, base_versions: &'a [u8], body: &'a [u8]) -> Self {
        Self { header, base_versions, body }
    }

    /// The version that the first event of this commit has in the stream of this index.
    #[inline]
    #[must_use]
    pub fn base_version(&self, stream: usize) -> Option<Version> {
        u64_at(self.base_versions, 8 * stream).ok().map(Version::new)
    }

    /// All base versions as stored: 8 bytes each.
    #[must_use]
    pub fn base_version_bytes(&self) -> &'a [u8] {
        self.base_versions
    }
}

/// Reads the frame at `offset` of a segment whose bytes are `segment`, and checks both CRCs and the padding.
/// `Ok(None)` when the header there is all zero: nothing has been written.
///
/// # Errors
/// When there is something other than a sound frame.
pub fn decode<'a>(segment: &'a [u8], seed: &CrcSeed, offset: u64) -> Result<Option<Frame<'a>>, FormatError> {
    peek(segment, seed, offset)?.map(Unchecked::check).transpose()
}

/// A frame whose header is sound, and whose body has not been looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unchecked<'a> {
    /// The header is sound, the body is what is there.
    pub(crate) frame: Frame<'a>,
    padding: &'a [u8],
}

impl<'a> Unchecked<'a> {
    /// Checks the body's CRC and the padding.
    pub(crate) fn check(self) -> Result<Frame<'a>, FormatError> {
        if crc32fast::hash(self.frame.body) != self.frame.header.body_crc {
            return Err(FormatError("the frame's body fails its CRC"));
        }
        if !all_zero(self.padding) {
            return Err(FormatError("the frame's padding is not zero"));
        }
        Ok(self.frame)
    }
}

/// As [`decode`], without a look at the body: enough to step over it, or to find out whether it is worth a look.
pub(crate) fn peek<'a>(
    segment: &'a [u8],
    seed: &CrcSeed,
    offset: u64,
) -> Result<Option<Unchecked<'a>>, FormatError> {
    let at = usize::try_from(offset).map_err(|_| FormatError("the offset is too large"))?;
    let bytes = segment.get(at..).ok_or(ENDS_INSIDE)?;
    decode_header(bytes, seed, offset)?.map(|header| around(bytes, header)).transpose()
}

const ENDS_INSIDE: FormatError = FormatError("the segment ends inside a frame");

/// Reads the header of the frame that `bytes` begin with and that stands at `offset` of its segment, and checks its
/// CRC: a sound header vouches for the extent of the frame, its body is still to be checked.
pub(crate) fn decode_header(
    bytes: &[u8],
    seed: &CrcSeed,
    offset: u64,
) -> Result<Option<FrameHeader>, FormatError> {
    let fixed = slice(bytes, 0, FRAME_HEADER_BYTES).map_err(|_| ENDS_INSIDE)?;
    if fixed[..4] != FRAME_MAGIC {
        return if all_zero(fixed) { Ok(None) } else { Err(FormatError("there is no frame here")) };
    }
    let streams = u16_at(fixed, 18)?;
    let events = u32_at(fixed, 20)?;
    let body_len = u32_at(fixed, 12)?;
    // Limits come before the CRC, so that garbage never makes us look at megabytes.
    if usize::from(streams) > COMMIT_STREAMS_MAX
        || events as usize > COMMIT_EVENTS_MAX
        || body_len as usize > COMMIT_BYTES_MAX
    {
        return Err(FormatError("the frame's lengths are beyond the limits"));
    }
    let header_len = FRAME_HEADER_BYTES + 8 * usize::from(streams);
    let header_bytes = slice(bytes, 0, header_len).map_err(|_| ENDS_INSIDE)?;
    if seed.header_crc(offset, header_bytes) != u32_at(fixed, 4)? {
        return Err(FormatError("the frame's header fails its CRC"));
    }
    let kind = match fixed[16] {
        1 => FrameKind::Commit,
        2 => FrameKind::Mark,
        3 => FrameKind::Seal,
        _ => return Err(FormatError("the frame is of an unknown kind")),
    };
    if fixed[17] != 0 || u32_at(fixed, 28)? != 0 {
        return Err(FormatError("the frame's header has bits where zeros belong"));
    }
    if kind != FrameKind::Commit && (body_len != 0 || events != 0 || streams != 0) {
        return Err(FormatError("a mark or seal with a body"));
    }
    if u64_at(fixed, 32)?.checked_add(u64::from(events)).is_none() {
        return Err(FormatError("the frame's positions overflow"));
    }
    Ok(Some(FrameHeader {
        kind,
        streams,
        events,
        body_len,
        body_crc: u32_at(fixed, 8)?,
        epoch: u32_at(fixed, 24)?,
        first: Position::new(u64_at(fixed, 32)?),
        recorded_at: Timestamp::new(i64_at(fixed, 40)?),
        durable_upto: Position::new(u64_at(fixed, 48)?),
        durable_end: LogOffset::from_bits(u64_at(fixed, 56)?),
        chain: Digest(array(fixed, 64)?),
    }))
}

/// The frame that `bytes` begin with, whose header is sound: checks its body's CRC and its padding.
pub(crate) fn decode_rest(bytes: &[u8], header: FrameHeader) -> Result<Frame<'_>, FormatError> {
    around(bytes, header)?.check()
}

fn around(bytes: &[u8], header: FrameHeader) -> Result<Unchecked<'_>, FormatError> {
    let whole = slice(bytes, 0, header.frame_len()).map_err(|_| ENDS_INSIDE)?;
    let (header_bytes, rest) = whole.split_at(header.header_len());
    let (body, padding) = rest.split_at(header.body_len as usize);
    let frame = Frame { header, base_versions: &header_bytes[FRAME_HEADER_BYTES..], body };
    Ok(Unchecked { frame, padding })
}
