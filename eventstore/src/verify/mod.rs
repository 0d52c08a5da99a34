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
//! is 8 bytes an event and command (those that find no room in memory, in a temporary file), and a name and a version a stream.

mod anchors;
mod archived;
mod check;
mod class;
mod files;
mod ids;
mod link;
mod pool;
mod reader;
mod report;
mod run;
mod runs;
mod tree;
mod tree_files;
mod twice;
mod walk;

pub use anchors::{Anchored, Anchors, Given, Trust};
pub(crate) use check::{Touched, check_body, link};
pub use class::{Class, Severity};
pub use report::{Extent, Finding, Reached, Report};
pub use runs::{Runs, check_runs};
pub use tree::Asked;
pub use tree_files::{TreeChecked, check_tree_files};

use crate::control;
use crate::error::OpenError;
use crate::format::segment_header::{NEWER_VERSION, Previous, VERSION_1};
use crate::numbers::{Position, TreeSize};
use crate::storage::Environment;
use crate::store;
use crate::transparency::Edge;
use link::Linker;
use pool::Pool;
use reader::Blocks;
use run::Run;
use std::path::Path;

/// How far a verification has come, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes looked at.
    pub done: u64,
    /// Bytes of all segments.
    pub total: u64,
}

/// How a log is verified.
#[derive(Default)]
pub struct VerifyOptions<'a> {
    /// Threads that check; 0 for as many as there are cores.
    pub threads: usize,
    /// Places that are remembered of the log: what it comes to there is told in [`Report::reached`]. Without any the tree is not made.
    pub asked: Vec<Asked>,
    /// Where it begins, if not at the beginning.
    pub from: Option<Start<'a>>,
    /// Bytes of memory for the fingerprints of all ids, 8 bytes each, beyond which they go to a temporary file; 0 for 256 MiB.
    pub ids_memory: usize,
    /// Leaves out the segment that is written, or was when its writer ended: what a crash may have left there is recovery's matter. Segments
    /// in the archive are left out as well.
    pub ended_only: bool,
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from = self.from.as_ref().map(|from| from.position);
        f.debug_struct("VerifyOptions")
            .field("asked", &self.asked.len())
            .field("from", &from)
            .finish_non_exhaustive()
    }
}

/// Where a verification begins that leaves out what was verified before.
///
/// It begins with the segment that holds the position. What it takes on trust is proven afterwards or not at all: the edge of the
/// tree by the root that it leads to, the chain head by nothing but the segment's own header.
pub struct Start<'a> {
    /// The next position after what is left out.
    pub position: Position,
    /// The edge of the tree of a size, from tiles that nobody has checked.
    pub edge_at: &'a dyn Fn(TreeSize) -> Result<Edge, String>,
}

impl std::fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").field("position", &self.position).finish_non_exhaustive()
    }
}

/// Whether somebody writes the log of a data directory right now.
#[must_use]
pub fn is_live(environment: &Environment, data_dir: &Path) -> bool {
    store::is_locked(&*environment.storage, data_dir)
}

/// Verifies the log of a data directory on this machine. With a live writer it stops at what that has published.
///
/// # Errors
/// When there is no log, it is of another format version, or its files cannot be opened; damage is not an error but a
/// [`Finding`], and so is a place that the disk cannot read, or that there is no room for sorting ids in a temporary file.
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
    let mut go_on = |at| {
        progress(at);
        true
    };
    verify_with(environment, data_dir, &VerifyOptions::default(), &mut go_on)
}

/// [`verify()`] in a given manner. It stops where `progress` answers with false; the report says so, and holds what was found
/// until then.
///
/// # Errors
/// As [`verify()`]; and when the edge of the tree is not to be had where it is to begin.
pub fn verify_with(
    environment: &Environment,
    data_dir: &Path,
    options: &VerifyOptions<'_>,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Report, OpenError> {
    let storage = &*environment.storage;
    let log_dir = data_dir.join("log");
    // The page is read before the files are listed: a live writer may begin a segment in between.
    let live = store::is_locked(storage, data_dir);
    let published = control::last_published(storage, data_dir)?;
    let segments = files::list(&environment.storage, &log_dir)?;
    let Some(first) = segments.first() else {
        return Err(OpenError::NoLog { path: data_dir.to_owned() });
    };
    if let Some(error @ (VERSION_1 | NEWER_VERSION)) = first.header_error {
        return Err(OpenError::BadSegment { segment: first.sequence, reason: error.to_string() });
    }
    let store = segments.iter().find_map(|segment| segment.header).map(|header| header.store);
    let published = published.filter(|published| store.is_none_or(|store| store == published.store));
    let mut run = Run {
        linker: Linker::new(options.ids_memory),
        report: Report::default(),
        previous: Previous::NONE,
        ended: None,
        bound: None,
        end_unknown: false,
        walked: Vec::new(),
        progress,
        done: 0,
        is_stopped: false,
        total: segments.iter().map(|segment| segment.len).sum(),
    };
    let begin = run.begin(&segments, options)?;
    for header in segments.iter().filter_map(|segment| segment.header) {
        run.linker.furthest = run.linker.furthest.max(header.durable_end);
    }
    if let Some(published) = published {
        run.linker.furthest = run.linker.furthest.max(published.durable_end);
        run.bound = live.then_some(published.end);
    }
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    std::thread::scope(|scope| {
        // The last file is nearly always prepared and unused: 128 MiB of zeros, looked at beside the others.
        let last = segments.last().filter(|last| !live && !options.ended_only && last.is_unused());
        let unused = last.map(|last| scope.spawn(|| last.first_nonzero()));
        let (mut pool, mut blocks) =
            (Pool::start(scope, threads, run.linker.tree.is_some()), Blocks::default());
        let mut expected = 0;
        for segment in &segments {
            if segment.sequence != expected {
                let message = format!("the file {expected:010}.seg is missing");
                run.find(Class::MissingSegment, expected, 0, message);
                run.linker.lost();
            }
            expected = segment.sequence.saturating_add(1);
            if segment.sequence < begin {
                run.leave_out(segment, &segments);
                continue;
            }
            if last.is_some_and(|last| last.sequence == segment.sequence) {
                continue;
            }
            let is_ended =
                segments.iter().any(|later| later.sequence > segment.sequence && later.header.is_some());
            if options.ended_only && !is_ended {
                break;
            }
            run.segment(segment, &segments, (&mut pool, &mut blocks));
            if run.is_stopped || run.bound.is_some_and(|bound| bound.segment() == segment.sequence) {
                break;
            }
        }
        if let (Some(last), Some(thread)) = (last, unused) {
            run.unused(last, thread.join().unwrap_or_else(|_| last.first_nonzero()));
        }
    });
    if !run.is_stopped && !options.ended_only {
        run.check_reach(segments.len());
    }
    Ok(run.finish(&segments, threads))
}
