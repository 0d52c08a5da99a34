//! Checking a log from outside: every byte of every segment, trusting nothing but the bytes.
//!
//! ```text
//!  files ─▶ segment headers ─▶ walk frames (CRCs, padding)      one thread
//!                                 └▶ event and body digests      all cores, a window of frames at a time
//!                                      └▶ link: chain, positions, versions, ids   one thread, in order
//! ```
//!
//! It goes on after a finding, as far as frames are provably whole, and reports all of them.

mod link;
mod report;
mod window;

pub use report::{Class, Finding, Report};

use crate::control;
use crate::error::OpenError;
use crate::format::bytes::{all_zero, first_nonzero};
use crate::format::frame::{CrcSeed, FrameKind};
use crate::format::segment_header::{Previous, PreviousEnd, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::mapped::Map;
use crate::numbers::LogOffset;
use crate::{digest, segment, store};
use link::Linker;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::Scope;
use window::{Pool, Step, Walker};

/// How far a verification has come, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes looked at.
    pub done: u64,
    /// Bytes of all segments.
    pub total: u64,
}

/// One segment's bytes, header decoded or not.
struct Mapped {
    sequence: u32,
    path: PathBuf,
    map: Option<Map>,
}

impl Mapped {
    fn bytes(&self) -> &[u8] {
        self.map.as_ref().map(Map::bytes).unwrap_or_default()
    }

    /// Whether the place of its header is all zero, or too short to be a header and zero.
    fn is_unused(&self) -> bool {
        let bytes = self.bytes();
        all_zero(&bytes[..bytes.len().min(SEGMENT_HEADER_BYTES)])
    }
}

/// Verifies the log of a data directory. With a live writer it stops at what that has published.
///
/// # Errors
/// When there is no log or its files cannot be read; damage is not an error but a [`Finding`].
pub fn verify(data_dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
    let log_dir = data_dir.join("log");
    // The page is read before the files are listed: a live writer may begin a segment in between.
    let live = store::is_locked(&*crate::storage::Environment::default().storage, data_dir);
    let published = control::last_published(&*crate::storage::Environment::default().storage, data_dir)?;
    let segments = map_segments(&log_dir)?;
    if segments.is_empty() {
        return Err(OpenError::NoLog { path: data_dir.to_owned() });
    }
    let store = segments.iter().find_map(|segment| SegmentHeader::decode(segment.bytes()).ok().flatten());
    let published = published.filter(|published| store.is_none_or(|header| header.store == published.store));
    let total = segments.iter().map(|segment| segment.bytes().len() as u64).sum();
    let mut run = Run {
        linker: Linker::new(),
        report: Report::default(),
        previous: Previous::NONE,
        furthest: LogOffset::default(),
        ended: None,
        bound: None,
        end_unknown: false,
        rest_is_zero: false,
        progress,
        done: 0,
        total,
    };
    for header in segments.iter().filter_map(|segment| SegmentHeader::decode(segment.bytes()).ok().flatten())
    {
        run.furthest = run.furthest.max(header.durable_end);
    }
    if let Some(published) = published {
        run.furthest = run.furthest.max(published.end);
        run.bound = live.then_some(published.end);
    }
    std::thread::scope(|scope| {
        // The last file is nearly always prepared and unused: 128 MiB of zeros, looked at beside the others.
        let last = segments.last().filter(|last| !live && last.is_unused());
        let unused = last.map(|last| scope.spawn(|| first_nonzero(last.bytes())));
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
            run.segment(segment, &segments);
            if run.bound.is_some_and(|bound| bound.segment() == segment.sequence) {
                break;
            }
        }
        if let (Some(last), Some(thread)) = (last, unused) {
            run.unused(last, thread.join().unwrap_or_else(|_| first_nonzero(last.bytes())));
        }
    });
    run.check_reach(segments.len());
    Ok(run.finish())
}

fn map_segments(log_dir: &Path) -> Result<Vec<Mapped>, OpenError> {
    let io =
        |path: &Path, source: io::Error| OpenError::Io { action: "cannot read", path: path.into(), source };
    let mut segments = Vec::new();
    let entries = match fs::read_dir(log_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(segments),
        Err(error) => return Err(io(log_dir, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| io(log_dir, error))?;
        let name = entry.file_name();
        let digits =
            name.to_str().and_then(|name| name.strip_suffix(".seg")).filter(|digits| digits.len() == 10);
        let Some(sequence) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        let path = segment::path(log_dir, sequence);
        let file = File::open(&path).map_err(|error| io(&path, error))?;
        // An empty file cannot be mapped; it is one that a crash left half made.
        let empty = file.metadata().map_err(|error| io(&path, error))?.len() == 0;
        let map = if empty { None } else { Some(Map::new(&file).map_err(|error| io(&path, error))?) };
        segments.push(Mapped { sequence, path, map });
    }
    segments.sort_unstable_by_key(|segment| segment.sequence);
    Ok(segments)
}

struct Run<'p> {
    linker: Linker,
    report: Report,
    /// What the next segment's header has to say of the segments so far.
    previous: Previous,
    /// Furthest place that anything vouches for.
    furthest: LogOffset,
    /// Where the frames of the last segment looked at end.
    ended: Option<LogOffset>,
    /// With a live writer: what it has published.
    bound: Option<LogOffset>,
    /// Whether the header that says how this segment ended cannot be read.
    end_unknown: bool,
    /// Whether the walk of the segment has seen that only zeros follow its frames.
    rest_is_zero: bool,
    progress: &'p mut dyn FnMut(Progress),
    done: u64,
    total: u64,
}

impl Run<'_> {
    fn find(&mut self, class: Class, segment: u32, offset: u64, message: impl Into<String>) {
        let position = self.linker.next();
        self.report.findings.push(Finding::new(class, segment, offset, position, message));
    }

    fn segment(&mut self, segment: &Mapped, all: &[Mapped]) {
        let bytes = segment.bytes();
        let sequence = segment.sequence;
        let header = match SegmentHeader::decode(bytes) {
            _ if segment.is_unused() => {
                if all.iter().any(|later| later.sequence > sequence && !later.is_unused()) {
                    let message = "the segment's header is gone, but later segments are in use";
                    self.find(Class::Bitrot, sequence, 0, message);
                    self.linker.lost();
                }
                return self.unused(segment, first_nonzero(bytes));
            }
            Ok(header) => header,
            Err(error) => {
                self.find(Class::Bitrot, sequence, 0, error.0);
                None
            }
        };
        self.report.segments += 1;
        if let Some(header) = &header {
            self.check_header(header, sequence, bytes.len() as u64);
        }
        // Without a sound header the salt may still be sound: then the frames say so themselves.
        let salt = header.as_ref().map(|header| header.salt).or_else(|| bytes.get(48..64)?.try_into().ok());
        let Some(salt) = salt else { return self.linker.lost() };
        let next = all.iter().find(|other| Some(other.sequence) == sequence.checked_add(1));
        let next_header = next.and_then(|next| SegmentHeader::decode(next.bytes()).ok()?);
        // Only that header could say whether what follows the last sound frame was set aside or is damage. It is a
        // finding itself.
        self.end_unknown = next_header.is_none() && next.is_some_and(|next| !next.is_unused());
        let stop = match (&self.bound, &next_header) {
            (Some(bound), _) if bound.segment() == sequence => bound.offset(),
            (_, Some(next)) if next.previous.valid_len <= bytes.len() as u64 => next.previous.valid_len,
            _ => bytes.len() as u64,
        };
        let seed = CrcSeed::new(&salt);
        let digest = std::thread::scope(|scope| {
            // The digest that the next header has of this segment is computed beside the walk.
            let digest = next_header.as_ref().map(|next| {
                let counted = usize::try_from(next.previous.valid_len).unwrap_or(usize::MAX).min(bytes.len());
                scope.spawn(move || segment_digest(&bytes[..counted]))
            });
            self.frames(scope, sequence, (bytes, &seed, stop));
            digest.and_then(|thread| thread.join().ok())
        });
        if let Some(next) = &next_header
            && self.previous.valid_len < next.previous.valid_len
            && self.report.findings.iter().all(|finding| finding.segment != sequence)
        {
            let message =
                format!("its frames end here, but {} bytes of it were in use", next.previous.valid_len);
            self.find(Class::Bitrot, sequence, self.previous.valid_len, message);
            self.linker.lost();
        }
        if let (Some(actual), Some(next)) = (digest, &next_header)
            && actual != next.previous.digest
            && self.report.findings.iter().all(|finding| finding.segment != sequence)
        {
            self.find(
                Class::Tampered,
                sequence,
                0,
                "the segment does not have the digest that its successor names",
            );
        }
        self.after_frames(segment, next_header.as_ref());
        self.done += bytes.len() as u64;
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
                self.find(
                    Class::Tampered,
                    sequence,
                    16,
                    format!("it belongs to store {}, not {store}", header.store),
                );
            }
        }
        self.linker.begin_segment(header.store);
        self.furthest = self.furthest.max(header.durable_end);
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

    fn frames<'a, 'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sequence: u32,
        (bytes, seed, stop): (&'a [u8], &'a CrcSeed, u64),
    ) where
        'a: 'scope,
    {
        let mut walker = Walker::new(bytes, seed, stop);
        let mut pool = Pool::start(scope);
        loop {
            let (window, step) = walker.window();
            for frame in &window {
                self.furthest = self.furthest.max(frame.frame.header.durable_end);
            }
            self.report.frames += window.len() as u64;
            pool.send(window);
            // Before anything is said of a bad frame, everything before it is linked.
            while (pool.is_full() || !matches!(step, Step::More))
                && let Some(hashed) = pool.next()
            {
                self.linker.link(sequence, &hashed, &mut self.report);
            }
            (self.progress)(Progress { done: self.done + walker.offset(), total: self.total });
            match step {
                Step::More => {}
                Step::End => break,
                Step::Bad(offset, error) => {
                    let resumed = walker.resume();
                    let position = self.linker.next();
                    let frames_beyond = resumed || LogOffset::new(sequence, offset) < self.furthest;
                    let class = if frames_beyond { Class::Bitrot } else { Class::TornTail };
                    if resumed || !self.end_unknown {
                        self.report.findings.push(Finding::new(class, sequence, offset, position, error.0));
                    }
                    if class == Class::Bitrot || self.end_unknown {
                        self.linker.lost();
                    }
                    if !resumed {
                        break;
                    }
                }
            }
        }
        self.ended = Some(LogOffset::new(sequence, walker.sound_end()));
        self.previous.valid_len = walker.sound_end();
        self.rest_is_zero = walker.rest_is_zero() && stop == bytes.len() as u64;
        self.report.sealed_last = walker.last_kind() == Some(FrameKind::Seal);
    }

    /// Everything after the last frame: zeros, or the abandoned tail that the next header vouches for.
    fn after_frames(&mut self, segment: &Mapped, next: Option<&SegmentHeader>) {
        let (bytes, sequence) = (segment.bytes(), segment.sequence);
        if self.bound.is_some_and(|bound| bound.segment() == sequence) {
            return;
        }
        let from = next.map_or(self.previous.valid_len, |next| next.previous.valid_len);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        match next.map(|next| next.previous.end) {
            Some(PreviousEnd::Abandoned(tail)) => {
                if digest::sha256(&bytes[from..]) != tail {
                    let message = "the tail that a crash left has changed since it was set aside";
                    self.find(Class::Bitrot, sequence, from as u64, message);
                }
            }
            _ if self.rest_is_zero || self.end_unknown => {}
            _ => {
                let reported = self
                    .report
                    .findings
                    .iter()
                    .any(|finding| finding.segment == sequence && finding.offset >= from as u64);
                if let Some(at) = first_nonzero(&bytes[from..]).filter(|_| !reported) {
                    let class = if next.is_some() || self.report.sealed_last {
                        Class::Bitrot
                    } else {
                        Class::TornTail
                    };
                    let message = "there are bytes where nothing has been written";
                    self.find(class, sequence, (from + at) as u64, message);
                }
            }
        }
    }

    /// A prepared segment, with its first byte that is not zero.
    fn unused(&mut self, segment: &Mapped, first_nonzero: Option<usize>) {
        self.done += segment.bytes().len() as u64;
        if self.bound.is_some() {
            // The writer may be preparing it right now.
            return;
        }
        if let Some(at) = first_nonzero {
            let message = format!("{} is prepared and unused, but not all zero", segment.path.display());
            self.find(Class::Bitrot, segment.sequence, at as u64, message);
        }
    }

    /// Whether the log reaches as far as anything says it did.
    fn check_reach(&mut self, files: usize) {
        let ended = self.ended.unwrap_or_default();
        if ended >= self.furthest
            || self.report.findings.iter().any(|finding| finding.class != Class::MissingSegment)
        {
            return;
        }
        let message = format!(
            "acknowledged data is gone: the log reached {}, its frames end at {ended}",
            self.furthest
        );
        let class =
            if self.furthest.segment() as usize >= files { Class::MissingSegment } else { Class::Truncated };
        self.find(class, ended.segment(), ended.offset(), message);
    }

    fn finish(mut self) -> Report {
        self.report.events = self.linker.events();
        self.report.streams = self.linker.streams();
        self.report.next = self.linker.next();
        self.report.chain = self.linker.chain().unwrap_or_default();
        self.report.bytes = self.total;
        self.report
    }
}

/// The digest that the next header has of a segment, over its first bytes as they are.
fn segment_digest(counted: &[u8]) -> crate::numbers::Digest {
    let at = SEGMENT_HEADER_BYTES.min(counted.len());
    let mut digest = digest::SegmentDigest::new(&counted[..at]);
    let mut at = at;
    while let Some(frame) = counted.get(at..).filter(|rest| rest.len() >= 96) {
        let header = 96 + 8 * usize::from(u16::from_le_bytes([frame[18], frame[19]]));
        digest.frame(&frame[..header.min(frame.len())]);
        at += usize::try_from(crate::format::frame::claimed_len(counted, at as u64))
            .unwrap_or(usize::MAX)
            .max(8);
    }
    digest.finish()
}
