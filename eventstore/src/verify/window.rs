//! Walking frames a window at a time, and hashing a window on all cores.

use crate::digest::{self, BodyDigest};
use crate::format::FormatError;
use crate::format::body::Body;
use crate::format::bytes::{all_zero, first_nonzero};
use crate::format::event::{EventIter, EventView};
use crate::format::frame::{self, CrcSeed, FRAME_MAGIC, Frame, FrameKind};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::numbers::Digest;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread::Scope;
use uuid::Uuid;

/// Frames hashed at a time: enough to occupy all cores, little enough to stay in their caches.
const WINDOW: usize = 1024;

/// A sound frame and where it stands.
pub(super) struct Walked<'a> {
    pub(super) offset: u64,
    pub(super) frame: Frame<'a>,
}

/// How a window ended.
pub(super) enum Step {
    More,
    End,
    Bad(u64, FormatError),
}

/// Walks the frames of one segment.
pub(super) struct Walker<'a> {
    bytes: &'a [u8],
    seed: &'a CrcSeed,
    stop: u64,
    offset: u64,
    sound_end: u64,
    last_kind: Option<FrameKind>,
    /// Whether everything from the end of the frames to `stop` was seen to be zero.
    rest_is_zero: bool,
}

impl<'a> Walker<'a> {
    pub(super) fn new(bytes: &'a [u8], seed: &'a CrcSeed, stop: u64) -> Self {
        let offset = SEGMENT_HEADER_BYTES as u64;
        Self { bytes, seed, stop, offset, sound_end: offset, last_kind: None, rest_is_zero: false }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// End of the last sound frame.
    pub(super) fn sound_end(&self) -> u64 {
        self.sound_end
    }

    pub(super) fn last_kind(&self) -> Option<FrameKind> {
        self.last_kind
    }

    pub(super) fn rest_is_zero(&self) -> bool {
        self.rest_is_zero
    }

    /// The next sound frames.
    pub(super) fn window(&mut self) -> (Vec<Walked<'a>>, Step) {
        let mut window = Vec::with_capacity(WINDOW);
        while window.len() < WINDOW {
            if self.offset >= self.stop || self.last_kind == Some(FrameKind::Seal) {
                return (window, Step::End);
            }
            match frame::decode(self.bytes, self.seed, self.offset) {
                Ok(Some(frame)) => {
                    window.push(Walked { offset: self.offset, frame });
                    self.offset += frame.header.frame_len() as u64;
                    self.sound_end = self.offset;
                    self.last_kind = Some(frame.header.kind);
                }
                // Zeros end a segment, unless sound frames follow: then somebody has wiped what was there.
                Ok(None) if self.nothing_follows() => return (window, Step::End),
                Ok(None) => {
                    return (
                        window,
                        Step::Bad(self.offset, FormatError("there are zeros where frames were")),
                    );
                }
                Err(error) => return (window, Step::Bad(self.offset, error)),
            }
        }
        (window, Step::More)
    }

    /// Goes on at the next sound frame after a bad one; false when there is none.
    pub(super) fn resume(&mut self) -> bool {
        let next = self.next_sound(self.offset + 8);
        if let Some(offset) = next {
            self.offset = offset;
        }
        next.is_some()
    }

    fn nothing_follows(&mut self) -> bool {
        let from = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let stop = usize::try_from(self.stop).unwrap_or(usize::MAX).min(self.bytes.len());
        self.rest_is_zero = all_zero(self.bytes.get(from..stop).unwrap_or_default());
        self.rest_is_zero || self.next_sound(self.offset).is_none()
    }

    fn next_sound(&self, from: u64) -> Option<u64> {
        let from = usize::try_from(from).ok()?;
        let stop = usize::try_from(self.stop).ok()?.min(self.bytes.len());
        let rest = self.bytes.get(from..stop)?;
        let from = from + (first_nonzero(rest)? & !7);
        let rest = self.bytes.get(from..stop)?;
        rest.chunks(8)
            .zip((from as u64..).step_by(8))
            .filter(|(chunk, _)| chunk.starts_with(&FRAME_MAGIC))
            .map(|(_, offset)| offset)
            .find(|offset| matches!(frame::decode(self.bytes, self.seed, *offset), Ok(Some(_))))
    }
}

/// What can be computed of a frame without knowing the frames before it.
pub(super) struct Hashed<'a> {
    pub(super) events: Vec<(Uuid, EventView<'a>)>,
    pub(super) body: Digest,
    pub(super) error: Option<FormatError>,
}

/// A window and what was computed of it.
pub(super) type HashedWindow<'a> = (Vec<Walked<'a>>, Vec<Hashed<'a>>);

/// Hashes windows on all cores while the caller walks ahead and links behind; windows come back in order.
pub(super) struct Pool<'a> {
    work: mpsc::Sender<Numbered<Vec<Walked<'a>>>>,
    done: mpsc::Receiver<Numbered<HashedWindow<'a>>>,
    /// Came back before their turn.
    early: BTreeMap<u64, HashedWindow<'a>>,
    sent: u64,
    returned: u64,
}

type Numbered<T> = (u64, T);

impl<'a> Pool<'a> {
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> Self
    where
        'a: 'scope,
    {
        let (work, taken) = mpsc::channel::<Numbered<Vec<Walked<'a>>>>();
        let (finished, done) = mpsc::channel();
        let taken = Arc::new(Mutex::new(taken));
        for _ in 0..cores() {
            let (taken, finished) = (Arc::clone(&taken), finished.clone());
            scope.spawn(move || {
                let mut scratch = Vec::with_capacity(1024);
                loop {
                    let next = taken.lock().recv();
                    let Ok((number, window)) = next else { break };
                    let hashed =
                        window.iter().map(|walked| hash_frame(&walked.frame, &mut scratch)).collect();
                    if finished.send((number, (window, hashed))).is_err() {
                        break;
                    }
                }
            });
        }
        Self { work, done, early: BTreeMap::new(), sent: 0, returned: 0 }
    }

    /// Whether the caller should take windows back before it walks on.
    pub(super) fn is_full(&self) -> bool {
        self.sent - self.returned >= 2 * cores() as u64
    }

    pub(super) fn send(&mut self, window: Vec<Walked<'a>>) {
        // The workers live as long as this sender.
        if self.work.send((self.sent, window)).is_ok() {
            self.sent += 1;
        }
    }

    /// The next window in order; waits for it. `None` when all that were sent have come back.
    pub(super) fn next(&mut self) -> Option<HashedWindow<'a>> {
        while self.returned < self.sent {
            if let Some(window) = self.early.remove(&self.returned) {
                self.returned += 1;
                return Some(window);
            }
            let (number, window) = self.done.recv().ok()?;
            self.early.insert(number, window);
        }
        None
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn hash_frame<'a>(frame: &Frame<'a>, scratch: &mut Vec<u8>) -> Hashed<'a> {
    let mut hashed = Hashed { events: Vec::new(), body: Digest::default(), error: None };
    if frame.header.kind != FrameKind::Commit {
        return hashed;
    }
    if let Err(error) = hash_commit(frame, &mut hashed, scratch) {
        hashed.error = Some(error);
    }
    hashed
}

fn hash_commit<'a>(
    frame: &Frame<'a>,
    hashed: &mut Hashed<'a>,
    scratch: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let body = Body::decode(frame.body)?;
    body.check_commands()?;
    let mut digest = BodyDigest::new(frame.header.events);
    hashed.events.reserve(frame.header.events as usize);
    for event in EventIter::new(*frame)? {
        let event = event?;
        digest.event(&digest::event(&event, scratch));
        hashed.events.push((event.id(), event));
    }
    hashed.body = digest.finish(body.command_table);
    Ok(())
}
