//! One verification: segment after segment, what their headers say of each other, and what stands between frames.

use super::class::Class;
use super::files::SegmentFile;
use super::link::Linker;
use super::pool::Pool;
use super::reader::{Blocks, Hole, Reader};
use super::report::{Extent, Finding, Report};
use super::tree::Tree;
use super::walk::{self, Step, Walker};
use super::{Progress, Start, VerifyOptions, twice};
use crate::digest::SegmentDigest;
use crate::error::OpenError;
use crate::format::segment_header::{Previous, PreviousEnd, SegmentHeader};
use crate::numbers::{Digest, LogOffset, Position, TreeSize};
use crate::transparency::Edge;
use rustc_hash::FxHashSet;
use std::time::Instant;

/// Where frames were looked for: number of the file in the list, salt, and where the frames end at the latest.
pub(super) type WalkedSegment = (usize, [u8; 16], u64);

pub(super) struct Run<'p> {
    pub(super) linker: Linker,
    pub(super) report: Report,
    /// What the next segment's header has to say of the segments so far.
    pub(super) previous: Previous,
    /// Where the frames of the last segment looked at end.
    pub(super) ended: Option<LogOffset>,
    /// With a live writer: what it has published.
    pub(super) bound: Option<LogOffset>,
    /// Whether the header that says how this segment ended cannot be read.
    pub(super) end_unknown: bool,
    pub(super) walked: Vec<WalkedSegment>,
    pub(super) progress: &'p mut dyn FnMut(Progress) -> bool,
    pub(super) is_stopped: bool,
    pub(super) done: u64,
    pub(super) total: u64,
}

impl Run<'_> {
    /// Number of the segment to begin with.
    pub(super) fn begin(
        &mut self,
        segments: &[SegmentFile],
        options: &VerifyOptions<'_>,
    ) -> Result<u32, OpenError> {
        let wants_tree = !options.asked.is_empty();
        if options.ended_only {
            // What is in the archive is not fetched again and again; it is older than all that is here.
            let here = segments.iter().find(|segment| !segment.is_archived());
            let header = here.and_then(|here| here.header).filter(|header| header.sequence > 0);
            if let Some(header) = header.filter(|_| segments[0].is_archived()) {
                self.linker.begin_at(&header);
                self.previous = header.previous;
                return Ok(header.sequence);
            }
        }
        let Some(Start { position, edge_at }) = &options.from else {
            let mut tree = Tree::new(Edge::default(), &options.asked);
            tree.has_chain(&Digest::default());
            self.linker.tree = wants_tree.then_some(tree);
            return Ok(0);
        };
        let mut headers = segments.iter().rev().filter_map(|segment| segment.header);
        let first = headers.find(|header| header.first_position <= *position && header.sequence > 0);
        let Some(header) = first else {
            return self.begin(
                segments,
                &VerifyOptions { from: None, asked: options.asked.clone(), ..VerifyOptions::default() },
            );
        };
        if wants_tree {
            let size = TreeSize::new(header.first_position.get());
            let edge =
                edge_at(size).map_err(|reason| OpenError::BadSegment { segment: header.sequence, reason })?;
            self.linker.tree = Some(Tree::new(edge, &options.asked));
        }
        self.linker.begin_at(&header);
        self.previous = header.previous;
        Ok(header.sequence)
    }

    /// A segment that is not looked at.
    pub(super) fn leave_out(&mut self, segment: &SegmentFile, all: &[SegmentFile]) {
        let next = all.iter().find(|other| Some(other.sequence) == segment.sequence.checked_add(1));
        let next = next.and_then(|next| next.header);
        let first = segment.header.map_or(Position::ZERO, |header| header.first_position);
        self.report.extents.push(Extent {
            segment: segment.sequence,
            bytes: segment.len,
            used: next.map_or(0, |next| next.previous.valid_len),
            first,
            next: next.map_or(first, |next| next.first_position),
            is_checked: false,
        });
        self.done += segment.len;
    }

    /// Tells how far it is, and hears whether to go on.
    fn tell(&mut self, ahead: u64) {
        self.is_stopped |= !(self.progress)(Progress { done: self.done + ahead, total: self.total });
    }

    pub(super) fn find(&mut self, class: Class, segment: u32, offset: u64, message: impl Into<String>) {
        let position = self.linker.next();
        self.report.findings.push(Finding::new(class, segment, offset, position, message));
    }

    fn holes(&mut self, segment: u32, holes: Vec<Hole>) {
        for Hole { bytes, error, is_other } in holes {
            let class = if is_other { Class::Bitrot } else { Class::Unreadable };
            let message = format!("{} bytes cannot be read: {error}", bytes.end - bytes.start);
            self.find(class, segment, bytes.start, message);
        }
    }

    fn has_findings_in(&self, sequence: u32) -> bool {
        self.report.findings.iter().any(|finding| finding.segment == sequence)
    }

    pub(super) fn segment(
        &mut self,
        segment: &SegmentFile,
        all: &[SegmentFile],
        tools: (&mut Pool, &mut Blocks),
    ) {
        let sequence = segment.sequence;
        if segment.is_unused() {
            if all.iter().any(|later| later.sequence > sequence && !later.is_unused()) {
                let message = "the segment's header is gone, but later segments are in use";
                self.find(Class::Bitrot, sequence, 0, message);
                self.linker.lost();
            }
            return self.unused(segment, segment.first_nonzero());
        }
        if let (Some(error), None) = (segment.header_error, &segment.hole) {
            self.find(Class::Bitrot, sequence, 0, error.0);
        }
        self.report.segments += 1;
        if let Some(header) = &segment.header {
            self.check_header(header, sequence, segment.len);
        }
        // Without a sound header the salt may still be sound: then the frames say so themselves.
        let salt = segment.header_bytes.get(48..64).and_then(|salt| salt.try_into().ok());
        let Some(salt) = salt else {
            // A header that cannot be read at all is a hole; the walk over the rest finds it again.
            if let Some(hole) = &segment.hole {
                self.holes(sequence, vec![hole.clone()]);
            }
            return self.linker.lost();
        };
        let next = all.iter().find(|other| Some(other.sequence) == sequence.checked_add(1));
        let next_header = next.and_then(|next| next.header);
        // Only that header could say whether what follows the last sound frame was set aside or is damage. It is a
        // finding itself.
        self.end_unknown = next_header.is_none() && next.is_some_and(|next| !next.is_unused());
        let stop = match (&self.bound, &next_header) {
            (Some(bound), _) if bound.segment() == sequence => bound.offset(),
            (_, Some(next)) if next.previous.valid_len <= segment.len => next.previous.valid_len,
            _ => segment.len,
        };
        let index = all.iter().position(|other| other.sequence == sequence).unwrap_or_default();
        self.walked.push((index, salt, stop));
        self.linker
            .begin_segment(sequence, next_header.as_ref().map(|_| SegmentDigest::new(&segment.header_bytes)));
        let first = segment.header.map_or(self.linker.next(), |header| header.first_position);
        let (pool, blocks) = tools;
        let reader = Reader::new(&*segment.file, segment.len, blocks);
        let mut walker = Walker::new(reader, &salt, stop);
        self.frames(sequence, &mut walker, pool);
        if self.is_stopped {
            return;
        }
        let end = self.linker.end_segment(&mut self.report);
        self.ended = Some(LogOffset::new(sequence, end.sound_end));
        self.previous.valid_len = end.sound_end;
        self.report.sealed_last = end.is_sealed;
        if let Some(next) = &next_header
            && !self.has_findings_in(sequence)
        {
            if end.sound_end < next.previous.valid_len {
                let message =
                    format!("its frames end here, but {} bytes of it were in use", next.previous.valid_len);
                self.find(Class::Bitrot, sequence, end.sound_end, message);
                self.linker.lost();
            } else if end.digest != Some(next.previous.digest) {
                let message = "the segment does not have the digest that its successor names";
                self.find(Class::Tampered, sequence, 0, message);
            }
        }
        let rest_is_zero = walker.rest_is_zero() && stop == segment.len;
        let mut reader = walker.into_reader();
        self.after_frames(segment, next_header.as_ref(), rest_is_zero, &mut reader);
        let holes = reader.into_holes();
        self.holes(sequence, holes);
        self.report.extents.push(Extent {
            segment: sequence,
            bytes: segment.len,
            used: end.sound_end,
            first,
            next: self.linker.next(),
            is_checked: true,
        });
        segment.forget();
        self.done += segment.len;
        self.tell(0);
    }

    fn check_header(&mut self, header: &SegmentHeader, sequence: u32, len: u64) {
        if header.sequence != sequence {
            self.find(Class::Reorder, sequence, 32, format!("the header names segment {}", header.sequence));
        }
        if header.capacity != len {
            let message = format!("the file has {len} bytes, its header names {}", header.capacity);
            self.find(Class::Bitrot, sequence, len.min(header.capacity), message);
        }
        match self.report.store {
            None => self.report.store = Some(header.store),
            Some(store) if store == header.store => {}
            Some(store) => {
                let message = format!("it belongs to store {}, not {store}", header.store);
                self.find(Class::Tampered, sequence, 16, message);
            }
        }
        self.linker.store.get_or_insert(header.store);
        let sound_so_far = self.report.findings.is_empty();
        if sound_so_far
            && (header.first_position != self.linker.next()
                || header.previous.valid_len != self.previous.valid_len
                || header.previous.chain != self.linker.chain().unwrap_or(header.previous.chain))
        {
            self.find(Class::Tampered, sequence, 40, "it does not continue the segment before it");
        }
        if (header.previous.end == PreviousEnd::None) != (sequence == 0) {
            self.find(Class::Tampered, sequence, 69, "only the first segment has none before it");
        }
    }

    fn frames(&mut self, sequence: u32, walker: &mut Walker<'_>, pool: &mut Pool) {
        loop {
            let step = walker.next();
            let more = matches!(step, Step::Frames(_)) && !self.is_stopped;
            let bad = match step {
                Step::Frames(chunk) => {
                    pool.send(chunk, self.linker.store);
                    None
                }
                Step::End => None,
                Step::Bad(offset, error) => Some((offset, error)),
            };
            // Before anything is said of a bad frame, everything before it is linked.
            while (pool.is_full() || !more)
                && let Some(checked) = pool.next()
            {
                self.linker.link(&checked, &mut self.report);
            }
            if self.is_stopped {
                return;
            }
            self.tell(walker.offset());
            match bad {
                None if more => {}
                None => return,
                Some((offset, error)) => {
                    let resumed = walker.resume();
                    if resumed {
                        self.linker.pass_doubtful(&mut self.report);
                    }
                    let vouched_for = LogOffset::new(sequence, offset) < self.linker.furthest;
                    let class = if resumed || vouched_for { Class::Bitrot } else { Class::TornTail };
                    if resumed || !self.end_unknown {
                        self.find(class, sequence, offset, error.0);
                    }
                    if class == Class::Bitrot || self.end_unknown {
                        self.linker.lost();
                    }
                    if !resumed {
                        return;
                    }
                }
            }
        }
    }

    /// Everything after the last frame: zeros, or the abandoned tail that the next header vouches for.
    fn after_frames(
        &mut self,
        segment: &SegmentFile,
        next: Option<&SegmentHeader>,
        rest_is_zero: bool,
        reader: &mut Reader<'_>,
    ) {
        let sequence = segment.sequence;
        if self.bound.is_some_and(|bound| bound.segment() == sequence) {
            return;
        }
        let from = next.map_or(self.previous.valid_len, |next| next.previous.valid_len).min(segment.len);
        match next.map(|next| next.previous.end) {
            Some(PreviousEnd::Abandoned(tail)) => {
                if reader.sha256(from) != tail {
                    let message = "the tail that a crash left has changed since it was set aside";
                    self.find(Class::Bitrot, sequence, from, message);
                }
            }
            _ if rest_is_zero || self.end_unknown => {}
            _ => {
                let findings = &self.report.findings;
                let reported =
                    findings.iter().any(|finding| finding.segment == sequence && finding.offset >= from);
                let first_nonzero = walk::first_nonzero_of(reader, from, segment.len);
                if let Some(at) = first_nonzero.filter(|_| !reported) {
                    let written = next.is_some() || self.report.sealed_last;
                    let class = if written { Class::Bitrot } else { Class::TornTail };
                    self.find(class, sequence, at, "there are bytes where nothing has been written");
                }
            }
        }
    }

    /// A prepared segment, with its first byte that is not zero.
    pub(super) fn unused(&mut self, segment: &SegmentFile, (first_nonzero, holes): (Option<u64>, Vec<Hole>)) {
        self.done += segment.len;
        let next = self.linker.next();
        self.report.extents.push(Extent {
            segment: segment.sequence,
            bytes: segment.len,
            used: 0,
            first: next,
            next,
            is_checked: true,
        });
        if self.bound.is_some() {
            // The writer may be preparing it right now.
            return;
        }
        if let Some(at) = first_nonzero {
            let message = format!("{} is prepared and unused, but not all zero", segment.path.display());
            self.find(Class::Bitrot, segment.sequence, at, message);
        }
        self.holes(segment.sequence, holes);
    }

    /// Whether the log reaches as far as anything says it did.
    pub(super) fn check_reach(&mut self, files: usize) {
        let (ended, furthest) = (self.ended.unwrap_or_default(), self.linker.furthest);
        if ended >= furthest
            || self.report.findings.iter().any(|finding| finding.class != Class::MissingSegment)
        {
            return;
        }
        let message =
            format!("acknowledged data is gone: the log reached {furthest}, its frames end at {ended}");
        let class =
            if furthest.segment() as usize >= files { Class::MissingSegment } else { Class::Truncated };
        self.find(class, ended.segment(), ended.offset(), message);
    }

    pub(super) fn finish(self, segments: &[SegmentFile], threads: usize) -> Report {
        let Self { mut linker, mut report, walked, total, is_stopped, .. } = self;
        report.frames = linker.frames;
        report.events = linker.events;
        report.streams = linker.streams();
        report.next = linker.next();
        report.chain = linker.chain().unwrap_or_default();
        report.bytes = total;
        report.is_stopped = is_stopped;
        if let Some(tree) = linker.tree.take() {
            (report.reached, report.tree_ends) = tree.finish();
        }
        let began = Instant::now();
        let suspects = if is_stopped {
            FxHashSet::default()
        } else {
            linker.ids.twice(threads).unwrap_or_else(|error| {
                // Everything else has been looked at, and is told.
                let dir = std::env::temp_dir();
                let message = format!(
                    "whether an id stands twice is not known: they cannot be sorted in a temporary file in {} (TMPDIR \
                     says where): {error}",
                    dir.display()
                );
                report.findings.push(Finding::new(Class::Unreadable, 0, 0, Position::ZERO, message));
                FxHashSet::default()
            })
        };
        report.ids_took = began.elapsed();
        if !suspects.is_empty() {
            report.findings.append(&mut twice::find(segments, &walked, &suspects));
        }
        report.findings.sort_by_key(|finding| (finding.segment, finding.offset));
        report
    }
}
