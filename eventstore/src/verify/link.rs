//! What can only be checked in order: the chain, positions, versions.

use super::check::{Checked, CheckedFrame, Touched, link};
use super::class::Class;
use super::ids::Ids;
use super::reader::Block;
use super::report::{Finding, Report};
use super::tree::Tree;
use crate::digest::{self, SegmentDigest};
use crate::format::FormatError;
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::format::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::numbers::{Digest, LogOffset, Position, Timestamp, Version};
use rustc_hash::FxHashMap;
use uuid::Uuid;

/// Memory for the fingerprints of ids, unless somebody says something else, bytes: of 33 million events and commands.
const IDS_MEMORY: usize = 256 << 20;

/// The state between frames.
pub(super) struct Linker {
    pub(super) store: Option<Uuid>,
    /// `None` after frames were lost: the next frame's chain cannot be checked.
    chain: Option<Digest>,
    next: Position,
    recorded_at: Timestamp,
    epoch: u32,
    pub(super) events: u64,
    pub(super) frames: u64,
    /// Furthest place that anything vouches for.
    pub(super) furthest: LogOffset,
    /// Whether frames were lost, or not looked at: streams may then be ahead of what was seen.
    lost: bool,
    /// The tree over the events, if it is wanted.
    pub(super) tree: Option<Tree>,
    /// By stream id with its length prefix, as stored.
    heads: FxHashMap<Box<[u8]>, Head>,
    pub(super) ids: Ids,
    segment: SegmentState,
}

/// Where a stream is.
struct Head {
    next: Version,
    /// Number of the frame that touched it last.
    frame: u64,
}

/// The state between the frames of one segment.
#[derive(Default)]
struct SegmentState {
    sequence: u32,
    /// If the next segment's header has one to compare it with.
    digest: Option<SegmentDigest>,
    /// End of the last sound frame.
    sound_end: u64,
    last_kind: Option<FrameKind>,
    /// Frames with sound headers only, after the last sound one: torn if nothing sound follows.
    doubtful: Vec<(u64, FrameHeader, FormatError)>,
}

/// How a segment's frames ended.
pub(super) struct SegmentEnd {
    pub(super) digest: Option<Digest>,
    /// End of the last sound frame.
    pub(super) sound_end: u64,
    pub(super) is_sealed: bool,
}

impl Linker {
    pub(super) fn new(ids_memory: usize) -> Self {
        let ids_memory = if ids_memory == 0 { IDS_MEMORY } else { ids_memory };
        Self {
            store: None,
            chain: Some(Digest::default()),
            next: Position::ZERO,
            recorded_at: Timestamp::new(i64::MIN),
            epoch: 0,
            events: 0,
            frames: 0,
            furthest: LogOffset::default(),
            lost: false,
            tree: None,
            heads: FxHashMap::default(),
            ids: Ids::new(ids_memory / size_of::<u64>()),
            segment: SegmentState::default(),
        }
    }

    /// Begins in the middle: what was before is taken from the header of the segment.
    pub(super) fn begin_at(&mut self, header: &SegmentHeader) {
        self.store = Some(header.store);
        self.chain = Some(header.previous.chain);
        self.next = header.first_position;
        self.epoch = header.epoch;
        self.furthest = header.durable_end;
        self.lost = true;
        if let Some(tree) = &mut self.tree {
            tree.has_chain(&header.previous.chain);
        }
    }

    /// Begins a segment; `digest` is wanted if the next header has one.
    pub(super) fn begin_segment(&mut self, sequence: u32, digest: Option<SegmentDigest>) {
        let sound_end = SEGMENT_HEADER_BYTES as u64;
        self.segment = SegmentState { sequence, digest, sound_end, ..SegmentState::default() };
    }

    /// Ends it: what is doubtful now has nothing sound behind it.
    pub(super) fn end_segment(&mut self, report: &mut Report) -> SegmentEnd {
        let SegmentState { sequence, digest, sound_end, last_kind, doubtful } =
            std::mem::take(&mut self.segment);
        for (offset, header, error) in doubtful {
            let is_torn = LogOffset::new(sequence, offset) >= self.furthest;
            let class = if is_torn { Class::TornTail } else { Class::Bitrot };
            report.findings.push(Finding::new(class, sequence, offset, header.first, error.0));
            if !is_torn {
                self.lost();
            }
        }
        let digest = digest.map(SegmentDigest::finish);
        SegmentEnd { digest, sound_end, is_sealed: last_kind == Some(FrameKind::Seal) }
    }

    pub(super) fn next(&self) -> Position {
        self.next
    }

    pub(super) fn chain(&self) -> Option<Digest> {
        self.chain
    }

    pub(super) fn streams(&self) -> u64 {
        self.heads.len() as u64
    }

    /// Frames between the last one and the next one are not readable.
    pub(super) fn lost(&mut self) {
        self.chain = None;
        self.lost = true;
        self.end_tree();
    }

    fn end_tree(&mut self) {
        if let Some(tree) = &mut self.tree {
            tree.end(self.next);
        }
    }

    /// Links the next chunk.
    pub(super) fn link(&mut self, checked: &Checked, report: &mut Report) {
        for frame in &checked.frames {
            let header_bytes = checked.block.from(frame.offset).get(..frame.header.header_len());
            if let (Some(digest), Some(bytes)) = (&mut self.segment.digest, header_bytes) {
                digest.frame(bytes);
            }
            if let Some(error) = frame.unsound {
                self.segment.doubtful.push((frame.offset, frame.header, error));
                continue;
            }
            self.pass_doubtful(report);
            self.frame(&checked.block, frame, report);
            if let Some(tree) = &mut self.tree
                && frame.header.kind == FrameKind::Commit
            {
                let CheckedFrame { header, leaves, .. } = frame;
                tree.commit(header.first, &checked.leaves[leaves.clone()], header.next(), &header.chain);
            }
            for touched in &checked.touched[frame.touched.clone()] {
                self.version(&checked.block, frame, touched, report);
            }
        }
        self.ids.add(&checked.ids);
    }

    /// Something sound follows: what was doubtful is damaged, and its headers say how much was there.
    pub(super) fn pass_doubtful(&mut self, report: &mut Report) {
        for (offset, header, error) in std::mem::take(&mut self.segment.doubtful) {
            let finding = Finding::new(Class::Bitrot, self.segment.sequence, offset, header.first, error.0);
            report.findings.push(finding);
            self.end_tree();
            self.advance(offset, &header, report);
            self.lost = true;
        }
    }

    fn frame(&mut self, block: &Block, frame: &CheckedFrame, report: &mut Report) {
        let CheckedFrame { offset, header, .. } = frame;
        let find = |message: String| {
            Finding::new(Class::Tampered, self.segment.sequence, *offset, header.first, message)
        };
        if header.durable_upto > header.first {
            report.findings.push(find("the frame vouches for more than there was before it".to_owned()));
        }
        if let Some(error) = frame.malformed {
            report.findings.push(find(format!("the CRC is good, but {error}")));
        }
        let expected = match (header.kind, self.chain, self.store) {
            _ if frame.malformed.is_some() => None,
            (FrameKind::Mark | FrameKind::Seal, previous, _) => previous,
            // The chunk's first commit could not be linked before its predecessor was known.
            (FrameKind::Commit, Some(previous), Some(store)) => frame.chain.or_else(|| {
                let bytes = block.from(*offset).get(FRAME_HEADER_BYTES..header.header_len());
                let link = link(header, bytes.unwrap_or_default(), frame.body);
                Some(digest::chain(&previous, store, &link))
            }),
            (FrameKind::Commit, ..) => None,
        };
        if let Some(expected) = expected.filter(|expected| *expected != header.chain) {
            let message = "the chain is broken".to_owned();
            report.findings.push(find(message).differs(&expected, &header.chain));
        }
        self.advance(*offset, header, report);
        self.frames += 1;
        self.events += u64::from(header.events);
        self.furthest = self.furthest.max(header.durable_end);
        self.segment.sound_end = offset + header.frame_len() as u64;
        self.segment.last_kind = Some(header.kind);
    }

    /// Checks that a header continues what was before it, and goes on with what it says: that names each harm once
    /// instead of every frame after it.
    fn advance(&mut self, offset: u64, header: &FrameHeader, report: &mut Report) {
        let mut find = |class, message: &str, expected: &dyn ToString, actual: &dyn ToString| {
            let finding = Finding::new(class, self.segment.sequence, offset, header.first, message);
            report.findings.push(finding.differs(expected, actual));
        };
        if header.first < self.next {
            find(Class::Reorder, "the frame begins at an earlier position", &self.next, &header.first);
        } else if header.first > self.next && (!self.lost || self.chain.is_some()) {
            find(Class::Gap, "the frame begins at a later position", &self.next, &header.first);
        }
        if header.recorded_at < self.recorded_at {
            let message = "the frame was recorded before its predecessor";
            find(Class::Reorder, message, &self.recorded_at, &header.recorded_at);
        }
        if header.epoch < self.epoch {
            let message = "the frame is of an older epoch than its predecessor";
            find(Class::Reorder, message, &self.epoch, &header.epoch);
        }
        self.chain = Some(header.chain);
        self.next = header.next();
        self.recorded_at = self.recorded_at.max(header.recorded_at);
        self.epoch = self.epoch.max(header.epoch);
    }

    fn version(&mut self, block: &Block, frame: &CheckedFrame, touched: &Touched, report: &mut Report) {
        let name = touched.name(block);
        let next = touched.base.plus(u64::from(touched.events));
        let head = Head { next, frame: self.frames };
        let before = match self.heads.get_mut(name) {
            Some(known) => std::mem::replace(known, head),
            None => {
                self.heads.insert(name.into(), head);
                Head { next: Version::ZERO, frame: 0 }
            }
        };
        let expected = before.next;
        let (class, message) = if before.frame == self.frames {
            (Class::Tampered, "the CRC is good, but the stream stands twice in the stream table")
        } else if touched.base < expected {
            (Class::Duplicate, "the stream already has this version")
        } else if touched.base > expected && !self.lost {
            (Class::Gap, "the stream misses a version")
        } else {
            return;
        };
        let position = frame.header.first.plus(u64::from(touched.first));
        let finding = Finding::new(class, self.segment.sequence, frame.offset, position, message);
        let stream = std::str::from_utf8(&name[1..]).unwrap_or_default();
        report.findings.push(finding.stream(stream).differs(&expected, &touched.base));
    }
}
