//! Walking the headers of a segment's frames: where each frame is, as far as its header's CRC vouches for it. What is
//! in the frames is checked by others, a chunk at a time.

use super::reader::{Block, Reader};
use crate::format::FormatError;
use crate::format::bytes::first_nonzero;
use crate::format::frame::{self, CrcSeed, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, FrameKind};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::limits::COMMIT_STREAMS_MAX;
use std::sync::Arc;

/// Room for the longest header of a frame.
const HEADER_BYTES_MAX: usize = FRAME_HEADER_BYTES + 8 * COMMIT_STREAMS_MAX;
/// Bytes looked at in one go where there are no frames.
const STRIDE: usize = 256 << 10;

/// Frames with sound headers, and the bytes that they are in.
pub(super) struct Chunk {
    pub(super) block: Arc<Block>,
    pub(super) frames: Vec<(u64, FrameHeader)>,
}

/// What comes next in a segment.
pub(super) enum Step {
    Frames(Chunk),
    End,
    Bad(u64, FormatError),
}

/// Walks the frames of one segment up to `stop`.
pub(super) struct Walker<'f> {
    reader: Reader<'f>,
    seed: CrcSeed,
    stop: u64,
    offset: u64,
    sealed: bool,
    rest_is_zero: bool,
}

impl<'f> Walker<'f> {
    pub(super) fn new(reader: Reader<'f>, salt: &[u8; 16], stop: u64) -> Self {
        let stop = stop.min(reader.len());
        let offset = SEGMENT_HEADER_BYTES as u64;
        Self { reader, seed: CrcSeed::new(salt), stop, offset, sealed: false, rest_is_zero: false }
    }

    /// Where the walk is.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether everything from the end of the frames to `stop` was seen to be zero.
    pub(super) fn rest_is_zero(&self) -> bool {
        self.rest_is_zero
    }

    pub(super) fn into_reader(self) -> Reader<'f> {
        self.reader
    }

    pub(super) fn next(&mut self) -> Step {
        let mut frames = Vec::new();
        while self.offset < self.stop && !self.sealed {
            let known = self.reader.has(self.offset, HEADER_BYTES_MAX)
                && self.reader.has(self.offset, claimed_len(self.reader.block().from(self.offset)));
            if !known && !frames.is_empty() {
                break;
            }
            match self.header() {
                Ok(Some(header)) => {
                    frames.push((self.offset, header));
                    self.offset += header.frame_len() as u64;
                    self.sealed = header.kind == FrameKind::Seal;
                }
                // What is not a frame is looked into once the frames before it are out of the way.
                Ok(None) | Err(_) if !frames.is_empty() => break,
                // Zeros end a segment, unless sound frames follow: then somebody has wiped what was there.
                Ok(None) if self.nothing_follows() => return Step::End,
                Ok(None) => {
                    return Step::Bad(self.offset, FormatError("there are zeros where frames were"));
                }
                Err(error) => return Step::Bad(self.offset, error),
            }
        }
        if frames.is_empty() {
            Step::End
        } else {
            Step::Frames(Chunk { block: Arc::clone(self.reader.block()), frames })
        }
    }

    /// Goes on at the next sound frame after a bad one; false when there is none.
    pub(super) fn resume(&mut self) -> bool {
        let next = self.next_sound(self.offset + 8);
        if let Some(offset) = next {
            self.offset = offset;
        }
        next.is_some()
    }

    /// The header at the current place, with the whole frame read.
    fn header(&mut self) -> Result<Option<FrameHeader>, FormatError> {
        let len = claimed_len(self.reader.bytes(self.offset, HEADER_BYTES_MAX));
        let header = frame::decode_header(self.reader.bytes(self.offset, len), &self.seed, self.offset)?;
        if header.is_some_and(|header| self.offset + header.frame_len() as u64 > self.reader.len()) {
            return Err(FormatError("the segment ends inside a frame"));
        }
        Ok(header)
    }

    fn nothing_follows(&mut self) -> bool {
        self.rest_is_zero = self.first_nonzero(self.offset, self.stop).is_none();
        self.rest_is_zero || self.next_sound(self.offset).is_none()
    }

    /// The first byte other than zero in a part of the file.
    pub(super) fn first_nonzero(&mut self, from: u64, to: u64) -> Option<u64> {
        first_nonzero_of(&mut self.reader, from, to)
    }

    /// Probes every multiple of 8 for a whole sound frame.
    fn next_sound(&mut self, from: u64) -> Option<u64> {
        let mut at = self.first_nonzero(from, self.stop)? & !7;
        while at < self.stop {
            let bytes = self.reader.bytes(at, STRIDE);
            let len = bytes.len().min(STRIDE);
            let magic = bytes[..len].chunks(8).position(|chunk| chunk.starts_with(&FRAME_MAGIC));
            let Some(index) = magic else {
                at += len.max(8) as u64;
                continue;
            };
            at += 8 * index as u64;
            if at < self.stop && self.is_sound(at) {
                return Some(at);
            }
            at += 8;
        }
        None
    }

    fn is_sound(&mut self, at: u64) -> bool {
        let len = claimed_len(self.reader.bytes(at, HEADER_BYTES_MAX));
        let bytes = self.reader.bytes(at, len);
        let header = frame::decode_header(bytes, &self.seed, at).ok().flatten();
        header.is_some_and(|header| frame::decode_rest(bytes, header).is_ok())
    }
}

/// What the frame that `bytes` begin with says its length is; at least the longest header, so that all of it is there.
fn claimed_len(bytes: &[u8]) -> usize {
    usize::try_from(frame::claimed_len(bytes, 0)).unwrap_or(0).max(HEADER_BYTES_MAX)
}

/// The first byte other than zero in a part of a file.
pub(super) fn first_nonzero_of(reader: &mut Reader<'_>, from: u64, to: u64) -> Option<u64> {
    let mut at = from;
    while at < to {
        let bytes = reader.bytes(at, STRIDE);
        let len = usize::try_from(to - at).unwrap_or(usize::MAX).min(bytes.len());
        if len == 0 {
            return None;
        }
        if let Some(found) = first_nonzero(&bytes[..len]) {
            return Some(at + found as u64);
        }
        at += len as u64;
    }
    None
}
