//! Checking a log from outside: every byte of every segment, trusting nothing but the bytes.
//!
//! ```text
//!  files ─▶ segment headers ─▶ walk frame headers (CRCs)            one thread, reading large blocks
//!                                 └▶ bodies: CRCs, form, digests    all cores, a block of frames at a time
//!                                      └▶ link: chain, positions, versions   one thread, in order
//!                                           └▶ ids that stand twice          all cores, at the end
//! ```
//!
//! It goes on after a finding, as far as frames are provably whole, and reports all of them. What it remembers of a log
//! is 8 bytes an event and command, and a name and a version a stream.

mod check;
mod files;
mod ids;
mod link;
mod pool;
mod reader;
mod report;
mod twice;
mod walk;

pub(crate) use check::{Touched, check_body, link};
pub use report::{Class, Finding, Report};

use crate::control;
use crate::digest::SegmentDigest;
use crate::error::OpenError;
use crate::format::segment_header::{NEWER_VERSION, Previous, PreviousEnd, SegmentHeader, VERSION_1};
use crate::numbers::LogOffset;
use crate::storage::Environment;
use crate::store;
use files::SegmentFile;
use link::Linker;
use pool::Pool;
use reader::{Blocks, Hole, Reader};
use std::path::Path;
use walk::{Step, Walker};

/// How far a verification has come, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes looked at.
    pub done: u64,
    /// Bytes of all segments.
    pub total: u64,
}

/// Verifies the log of a data directory on this machine. With a live writer it stops at what that has published.
///
/// # Errors
/// When there is no log, it is of another format version, or its files cannot be opened; damage is not an error but a
/// [`Finding`], and so is a place that the disk cannot read.
pub fn verify(data_dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
    verify_in(&Environment::default(), data_dir, progress)
}

/// [`verify()`] of a log in some environment.
///
/// # Errors
/// As [`verify()`].
pub fn verify_in(
    environment: &Environment,
    data_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    let storage = &*environment.storage;
    let log_dir = data_dir.join("log");
    // The page is read before the files are listed: a live writer may begin a segment in between.
    let live = store::is_locked(storage, data_dir);
    let published = control::last_published(storage, data_dir)?;
    let segments = files::list(storage, &log_dir)?;
    let Some(first) = segments.first() else {
        return Err(OpenError::NoLog { path: data_dir.to_owned() });
    };
    if let Some(error @ (VERSION_1 | NEWER_VERSION)) = first.header_error {
        return Err(OpenError::BadSegment { segment: first.sequence, reason: error.to_string() });
    }
    let store = segments.iter().find_map(|segment| segment.header).map(|header| header.store);
    let published = published.filter(|published| store.is_none_or(|store| store == published.store));
    let mut run = Run {
        linker: Linker::new(),
        report: Report::default(),
        previous: Previous::NONE,
        ended: None,
        bound: None,
        end_unknown: false,
        walked: Vec::new(),
        progress,
        done: 0,
        total: segments.iter().map(|segment| segment.len).sum(),
    };
    for header in segments.iter().filter_map(|segment| segment.header) {
        run.linker.furthest = run.linker.furthest.max(header.durable_end);
    }
    if let Some(published) = published {
        run.linker.furthest = run.linker.furthest.max(published.durable_end);
        run.bound = live.then_some(published.end);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        // The last file is nearly always prepared and unused: 128 MiB of zeros, looked at beside the others.
        let last = segments.last().filter(|last| !live && last.is_unused());
        let unused = last.map(|last| scope.spawn(|| last.first_nonzero()));
        let (mut pool, mut blocks) = (Pool::start(scope, threads), Blocks::default());
        let mut expected = 0;
        for segment in &segments {
            if segment.sequence != expected {
                let message = format!("the file {expected:010}.seg is missing");
                run.find(Class::MissingSegment, expected, 0, message);
                run.linker.lost();
            }
            expected = segment.sequence.saturating_add(1);
            if last.is_some_and(|last| last.sequence == segment.sequence) {
                continue;
            }
            run.segment(segment, &segments, (&mut pool, &mut blocks));
            if run.bound.is_some_and(|bound| bound.segment() == segment.sequence) {
                break;
            }
        }
        if let (Some(last), Some(thread)) = (last, unused) {
            run.unused(last, thread.join().unwrap_or_else(|_| last.first_nonzero()));
        }
    });
    run.check_reach(segments.len());
    Ok(run.finish(&segments, threads))
}

/// Where frames were looked for: number of the file in the list, salt, and where the frames end at the latest.
type WalkedSegment = (usize, [u8; 16], u64);

struct Run<'p> {
    linker: Linker,
    report: Report,
    /// What the next segment's header has to say of the segments so far.
    previous: Previous,
    /// Where the frames of the last segment looked at end.
    ended: Option<LogOffset>,
    /// With a live writer: what it has published.
    bound: Option<LogOffset>,
    /// Whether the header that says how this segment ended cannot be read.
    end_unknown: bool,
    walked: Vec<WalkedSegment>,
    progress: &'p mut dyn FnMut(Progress),
    done: u64,
    total: u64,
}

impl Run<'_> {
    fn find(&mut self, class: Class, segment: u32, offset: u64, message: impl Into<String>) {
        let position = self.linker.next();
        self.report.findings.push(Finding::new(class, segment, offset, position, message));
    }

    fn holes(&mut self, segment: u32, holes: Vec<Hole>) {
        for Hole { bytes, error } in holes {
            let message = format!("{} bytes cannot be read: {error}", bytes.end - bytes.start);
            self.find(Class::Unreadable, segment, bytes.start, message);
        }
    }

    fn has_findings_in(&self, sequence: u32) -> bool {
        self.report.findings.iter().any(|finding| finding.segment == sequence)
    }

    fn segment(&mut self, segment: &SegmentFile, all: &[SegmentFile], tools: (&mut Pool, &mut Blocks)) {
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
            if let Some(Hole { bytes, error }) = &segment.hole {
                self.holes(sequence, vec![Hole { bytes: bytes.clone(), error: error.clone() }]);
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
        let (pool, blocks) = tools;
        let reader = Reader::new(&*segment.file, segment.len, blocks);
        let mut walker = Walker::new(reader, &salt, stop);
        self.frames(sequence, &mut walker, pool);
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
        self.done += segment.len;
        (self.progress)(Progress { done: self.done, total: self.total });
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
            let more = matches!(step, Step::Frames(_));
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
            (self.progress)(Progress { done: self.done + walker.offset(), total: self.total });
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
    fn unused(&mut self, segment: &SegmentFile, (first_nonzero, holes): (Option<u64>, Vec<Hole>)) {
        self.done += segment.len;
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
    fn check_reach(&mut self, files: usize) {
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

    fn finish(self, segments: &[SegmentFile], threads: usize) -> Report {
        let Self { linker, mut report, walked, total, .. } = self;
        report.frames = linker.frames;
        report.events = linker.events;
        report.streams = linker.streams();
        report.next = linker.next();
        report.chain = linker.chain().unwrap_or_default();
        report.bytes = total;
        let suspects = linker.ids.twice(threads);
        if !suspects.is_empty() {
            report.findings.append(&mut twice::find(segments, &walked, &suspects));
        }
        report.findings.sort_by_key(|finding| (finding.segment, finding.offset));
        report
    }
}
