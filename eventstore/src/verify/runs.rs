//! The index runs of a log against its segments. A segment is read once more for it, all cores at a time.

use super::class::Class;
use super::files::{self, SegmentFile};
use super::reader::{Blocks, Reader};
use super::report::Finding;
use super::walk::{Step, Walker};
use crate::error::OpenError;
use crate::format::frame::{self, FrameKind};
use crate::format::segment_header::SegmentHeader;
use crate::index::{CommitSummary, Expected, Flaw, Run, RunFiles, compare};
use crate::numbers::{LogOffset, Position};
use crate::storage::Environment;
use parking_lot::Mutex;
use serde::Serialize;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a look at the index runs found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// Runs that were compared.
    pub compared: u64,
    /// Entries in them.
    pub entries: u64,
    /// Runs that were not compared: of another version, or of segments that are damaged themselves.
    pub passed_over: u64,
    /// Everything that is not as it should be.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// Compares the index runs of a data directory with its segments. `go_on` is asked between segments; when it answers with false
/// what was found until then is told.
///
/// # Errors
/// When segments or the directory of the index cannot be opened. What is wrong with a run is a finding.
pub fn check_runs(
    environment: &Environment,
    data_dir: &Path,
    threads: usize,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Runs, OpenError> {
    let run_files = RunFiles::new(Arc::clone(&environment.storage), data_dir);
    let listed = run_files.list().map_err(|source| OpenError::Io {
        action: "cannot list",
        path: run_files.dir.clone(),
        source,
    })?;
    let segments = files::list(&environment.storage, &data_dir.join("log"))?;
    let wanted: Vec<_> = segments
        .iter()
        .filter(|segment| listed.iter().any(|(first, last)| (*first..=*last).contains(&segment.sequence)))
        .collect();
    let [a, b, c, d, e, f, g, h, ..] = environment.random.bytes();
    let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let expected = expected_of(&wanted, &segments, key, threads, go_on);
    let mut runs = Runs::default();
    for (first, last) in listed {
        if !go_on() {
            break;
        }
        let path = run_files.path(first, last);
        let name = path.strip_prefix(data_dir).unwrap_or(&path).display().to_string();
        let header = |sequence: u32| header_of(&segments, sequence);
        let position = header(first).map_or(Position::ZERO, |header| header.first_position);
        let find = |class, message: String| Finding::in_file(class, &*name, 0, position, message);
        let run = match run_files.open(first, last) {
            Ok(run) => Arc::new(run),
            // A writer has merged it since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.to_string() == OTHER_VERSION => {
                runs.passed_over += 1;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                runs.findings.push(find(Class::Bitrot, error.to_string()));
                continue;
            }
            Err(error) => {
                runs.findings.push(find(Class::Unreadable, error.to_string()));
                continue;
            }
        };
        let (Some(begin), Some(successor)) = (header(first), header(last.saturating_add(1))) else {
            runs.passed_over += 1;
            continue;
        };
        if !run.info.is_of(&begin, &successor) {
            let message = "it is of other segments than those that are there".to_owned();
            runs.findings.push(find(Class::IndexMismatch, message));
            continue;
        }
        match expected.sum(first, last, key) {
            Some(expected) => judge(&run, &expected, &mut runs, find),
            None => runs.passed_over += 1,
        }
    }
    Ok(runs)
}

/// How `Run::open` names what an older or newer build wrote.
const OTHER_VERSION: &str = "the run is of another version";

fn judge(run: &Arc<Run>, expected: &Expected, runs: &mut Runs, find: impl Fn(Class, String) -> Finding) {
    match compare(run, expected) {
        Ok(entries) => runs.entries += entries,
        Err(Flaw::Rotten) => {
            runs.findings.push(find(Class::Bitrot, "one of its blocks fails its checksum".to_owned()));
        }
        Err(Flaw::Differs { what, expected, actual }) => {
            runs.findings.push(find(Class::IndexMismatch, what).differs(&expected, &actual));
        }
    }
    runs.compared += 1;
}

fn header_of(segments: &[SegmentFile], sequence: u32) -> Option<SegmentHeader> {
    segments.iter().find(|segment| segment.sequence == sequence).and_then(|segment| segment.header)
}

/// What segments come to; of damaged ones nothing is known.
struct BySegment(Vec<(u32, Option<Expected>)>);

impl BySegment {
    /// Of adjacent segments together.
    fn sum(&self, first: u32, last: u32, key: u64) -> Option<Expected> {
        let mut sum = Expected::new(key);
        for sequence in first..=last {
            let (_, expected) = self.0.iter().find(|(found, _)| *found == sequence)?;
            sum.join(expected.as_ref()?);
        }
        Some(sum)
    }
}

fn expected_of(
    wanted: &[&SegmentFile],
    all: &[SegmentFile],
    key: u64,
    threads: usize,
    go_on: &mut dyn FnMut() -> bool,
) -> BySegment {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (next, is_stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::with_capacity(wanted.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(wanted.len()) {
            scope.spawn(|| {
                let mut blocks = Blocks::default();
                while !is_stopped.load(Ordering::Relaxed)
                    && let Some(segment) = wanted.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let successor = segment.sequence.checked_add(1).and_then(|next| header_of(all, next));
                    let expected =
                        successor.and_then(|successor| expected(segment, &successor, key, &mut blocks));
                    segment.forget();
                    done.lock().push((segment.sequence, expected));
                }
            });
        }
        while done.lock().len() < wanted.len() {
            if !go_on() {
                is_stopped.store(true, Ordering::Relaxed);
                break;
            }
            std::thread::sleep(LOOK);
        }
    });
    BySegment(done.into_inner())
}

/// How often whoever waits for the threads asks whether to go on.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// What the frames of one segment come to; nothing when one of them is not sound.
fn expected(
    segment: &SegmentFile,
    successor: &SegmentHeader,
    key: u64,
    blocks: &mut Blocks,
) -> Option<Expected> {
    let header = segment.header?;
    let stop = successor.previous.valid_len;
    let mut walker = Walker::new(Reader::new(&*segment.file, segment.len, blocks), &header.salt, stop);
    let mut expected = Expected::new(key);
    loop {
        let chunk = match walker.next() {
            Step::Frames(chunk) => chunk,
            Step::End => return (walker.offset() == stop).then_some(expected),
            Step::Bad(..) => return None,
        };
        for (offset, header) in chunk.frames {
            let frame = frame::decode_rest(chunk.block.from(offset), header).ok()?;
            if header.kind == FrameKind::Commit {
                let summary = CommitSummary::of_frame(&frame).ok()?;
                let bases = (0..usize::from(header.streams)).filter_map(|stream| frame.base_version(stream));
                expected.commit(LogOffset::new(segment.sequence, offset), header.first, bases, &summary);
            }
            expected.recorded(header.recorded_at);
        }
    }
}
