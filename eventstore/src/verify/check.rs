//! What can be checked of frames without knowing what comes before them: their bodies' CRCs and form, and every digest.
//! Done on all cores, a chunk at a time.

use super::ids::{self, Kind};
use super::reader::Block;
use super::walk::Chunk;
use crate::digest::{Batch, Chains, Link};
use crate::format::FormatError;
use crate::format::body::{BODY_HEADER_BYTES, Body};
use crate::format::event::{EventIter, EventView};
use crate::format::frame::{self, Frame, FrameHeader, FrameKind};
use crate::numbers::{Digest, Version};
use crate::transparency::PendingLeaves;
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

/// Events that are hashed side by side: enough to keep all lanes busy, few enough for what is hashed to stay in a
/// core's cache.
const SIDE_BY_SIDE: usize = 256;

/// A chunk and what was found out about it.
pub(super) struct Checked {
    pub(super) block: Arc<Block>,
    pub(super) frames: Vec<CheckedFrame>,
    /// Of all frames.
    pub(super) touched: Vec<Touched>,
    /// Fingerprints of the ids of all events and commands.
    pub(super) ids: Vec<u64>,
    /// Hashes of the leaves of all events, when they were asked for.
    pub(super) leaves: Vec<Digest>,
}

/// A frame with a sound header.
pub(super) struct CheckedFrame {
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
    /// Its body or padding is not what its header says.
    pub(super) unsound: Option<FormatError>,
    /// Its CRCs are good, but its body is not what an encoder makes.
    pub(super) malformed: Option<FormatError>,
    pub(super) body: Digest,
    /// The chain head after it, if its predecessor in the chunk tells the truth; the first has none.
    pub(super) chain: Option<Digest>,
    /// The streams that it touches.
    pub(super) touched: Range<usize>,
    /// The hashes of its events' leaves.
    pub(super) leaves: Range<usize>,
}

/// A stream that a commit touches.
pub(crate) struct Touched {
    /// Where its name with the length prefix is in the file.
    name: Range<u64>,
    pub(crate) base: Version,
    pub(crate) events: u32,
    /// Number of its first event in the commit.
    pub(super) first: u32,
}

impl Touched {
    pub(super) fn name<'b>(&self, block: &'b Block) -> &'b [u8] {
        let len = usize::try_from(self.name.end - self.name.start).unwrap_or(0);
        block.from(self.name.start).get(..len).unwrap_or_default()
    }
}

/// Checks a chunk of the log of a store; with the leaves that the transparency tree has for its events, if they are wanted.
pub(super) fn check(chunk: Chunk, store: Option<Uuid>, with_leaves: bool) -> Checked {
    let Chunk { block, frames: headers } = chunk;
    let mut frames = Vec::with_capacity(headers.len());
    let (mut touched, mut ids) = (Vec::new(), Vec::new());
    let pending = with_leaves.then(PendingLeaves::default);
    let mut hasher = Hasher { store, pending, ..Hasher::default() };
    for (offset, header) in headers {
        let mut checked = CheckedFrame {
            offset,
            header,
            unsound: None,
            malformed: None,
            body: Digest::default(),
            chain: None,
            touched: 0..0,
            leaves: 0..0,
        };
        match frame::decode_rest(block.from(offset), header) {
            Ok(frame) if header.kind == FrameKind::Commit => {
                let (sound, first_leaf) = ((touched.len(), ids.len()), hasher.leaves());
                hasher.begin(frames.len(), &frame);
                let form = check_body(&frame, offset, &mut touched, |view| {
                    hasher.event(view);
                    ids.push(ids::fingerprint(Kind::Event, view.id().as_bytes()));
                });
                match form {
                    Ok(body) => {
                        hasher.batch.end(body.command_table);
                        ids.extend(body.command_ids().map(|id| ids::fingerprint(Kind::Command, id)));
                        checked.touched = sound.0..touched.len();
                        checked.leaves = first_leaf..hasher.leaves();
                    }
                    Err(error) => {
                        // A digest of half a body says nothing.
                        hasher.batch.end(&[]);
                        checked.malformed = Some(error);
                        touched.truncate(sound.0);
                        ids.truncate(sound.1);
                    }
                }
            }
            Ok(_) => {}
            Err(error) => checked.unsound = Some(error),
        }
        frames.push(checked);
        if hasher.events >= SIDE_BY_SIDE {
            hasher.hash(&mut frames);
        }
    }
    hasher.hash(&mut frames);
    let leaves = hasher.hashed;
    Checked { block, frames, touched, ids, leaves }
}

/// Hashes the commits of a chunk.
#[derive(Default)]
struct Hasher<'b> {
    store: Option<Uuid>,
    batch: Batch<'b>,
    chains: Chains,
    /// Numbers of the frames in the batch, and their base versions as stored.
    commits: Vec<(usize, &'b [u8])>,
    events: usize,
    /// The leaves of the events in the batch, if they are wanted.
    pending: Option<PendingLeaves<'b>>,
    /// Hashes of the leaves of the batches before.
    hashed: Vec<Digest>,
}

impl<'b> Hasher<'b> {
    fn begin(&mut self, index: usize, frame: &Frame<'b>) {
        self.commits.push((index, frame.base_version_bytes()));
        self.batch.begin(frame.header.events);
        self.events += (frame.header.events as usize).max(1);
    }

    fn event(&mut self, view: &EventView<'b>) {
        self.batch.event(view);
        if let Some(pending) = &mut self.pending {
            pending.push(view);
        }
    }

    /// How many leaves there are in the chunk so far.
    fn leaves(&self) -> usize {
        self.hashed.len() + self.pending.as_ref().map_or(0, PendingLeaves::len)
    }

    fn hash(&mut self, frames: &mut [CheckedFrame]) {
        let Self { store, batch, chains, commits, events, pending, hashed } = self;
        let note = |number: usize, digest| {
            if let Some(pending) = pending {
                pending.digest(number, digest);
            }
        };
        batch.hash_with(note, |number, digest| frames[commits[number].0].body = digest);
        if let Some(pending) = pending {
            hashed.extend(pending.finish().into_iter().map(|(_, hash)| hash));
        }
        let mut linked = Vec::with_capacity(commits.len());
        if let Some(store) = store {
            for (index, base_versions) in commits.iter() {
                let frame = &frames[*index];
                let previous = index.checked_sub(1).map(|before| frames[before].header.chain);
                if let Some(previous) = previous.filter(|_| frame.malformed.is_none()) {
                    chains.link(&previous, *store, &link(&frame.header, base_versions, frame.body));
                    linked.push(*index);
                }
            }
        }
        chains.hash(|number, digest| frames[linked[number]].chain = Some(digest));
        commits.clear();
        *events = 0;
    }
}

/// What the chain covers of a commit.
pub(crate) fn link<'b>(header: &FrameHeader, base_versions: &'b [u8], body: Digest) -> Link<'b> {
    Link {
        first: header.first,
        events: header.events,
        recorded_at: header.recorded_at,
        streams: header.streams,
        base_versions,
        body,
    }
}

/// Checks that a body is what its encoder makes of its content, to the last byte: no digest covers lengths, indices and
/// the order of tables, so nothing of them may be free. Whether a name stands twice is left to whoever looks the names up
/// anyway. Appends the streams to `touched`, shows `visit` every event.
pub(crate) fn check_body<'b>(
    frame: &Frame<'b>,
    offset: u64,
    touched: &mut Vec<Touched>,
    mut visit: impl FnMut(&EventView<'b>),
) -> Result<Body<'b>, FormatError> {
    let body = Body::decode(frame.body)?;
    body.check_commands(frame.header.events)?;
    let first_touched = touched.len();
    let mut at = offset + (frame.header.header_len() + BODY_HEADER_BYTES) as u64;
    for (index, name) in body.streams().enumerate() {
        let name = at..at + name?.len() as u64;
        at = name.end;
        let base = frame.base_version(index).ok_or(FormatError("a stream without a base version"))?;
        touched.push(Touched { name, base, events: 0, first: 0 });
    }
    let streams = &mut touched[first_touched..];
    let mut met = 0;
    for (number, event) in (0..).zip(EventIter::new(*frame)?) {
        let event = event?;
        let index = event.stream_index();
        let stream = streams.get_mut(index).filter(|_| index <= met);
        let stream = stream.ok_or(FormatError("the stream table is not in order of first touch"))?;
        if index == met {
            met += 1;
            stream.first = number;
        }
        if event.ordinal() != stream.events {
            return Err(FormatError("an event does not have the ordinal that follows in its stream"));
        }
        stream.events += 1;
        visit(&event);
    }
    if met != streams.len() {
        return Err(FormatError("the stream table has a stream that no event is of"));
    }
    if streams.iter().any(|stream| stream.base.get().checked_add(u64::from(stream.events)).is_none()) {
        return Err(FormatError("the versions of a stream overflow"));
    }
    Ok(body)
}
