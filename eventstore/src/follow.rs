//! Following a writer in another process: catch-up and live are one loop over the published end.

use crate::control;
use crate::error::{Damage, OpenError, ReadError};
use crate::numbers::{LogOffset, Position};
use crate::page::ControlPage;
use crate::scan;
use crate::segment::{Segment, SegmentFile};
use crate::segments::used_segments;
use crate::storage::{Environment, Storage};
use crate::tail::{Role, Shared};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a follower sleeps at most: a wake that was lost costs no more than this.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often a follower that keeps an index in memory looks whether the writer's file has appeared.
const LOOK_FOR_RUNS: Duration = Duration::from_secs(1);

/// The thread that follows. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // The thread only ends by this flag; a panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Opens a log behind a live (or past) writer and catches up with what it has published.
pub(crate) fn open(environment: &Environment, data_dir: &Path) -> Result<(Arc<Shared>, Follower), OpenError> {
    let no_log = || OpenError::NoLog { path: data_dir.to_owned() };
    let page = control::open_reader(&*environment.storage, data_dir)?.ok_or_else(no_log)?;
    let published = page.published().ok_or_else(no_log)?;
    // Beyond what is published a live writer may be in the middle of a header.
    let last = published.end.segment();
    let segments = used_segments(&environment.storage, &data_dir.join("log"), Some(last))?;
    let shared = shared(environment, data_dir, segments)?;
    if published.store != shared.store {
        // The page is of a store that is not here (any more): nothing has been published of this one.
        return Err(no_log());
    }
    shared.catch_up(published.end).map_err(|error| match error {
        ReadError::InArchive { segment } => OpenError::InArchive { segment },
        error => {
            let Damage { segment, offset, position, reason } = damage(&shared, &error);
            OpenError::Damaged { segment, offset, position, durable_end: published.end, reason }
        }
    })?;
    shared.durable_to(published.durable_end);

    let stop = Arc::new(AtomicBool::new(false));
    let thread = {
        let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("log-follow".to_owned())
            .spawn(move || follow(&shared, &page, &stop))
            .map_err(|source| OpenError::Io {
                action: "cannot start a thread to follow",
                path: data_dir.into(),
                source,
            })?
    };
    Ok((shared, Follower { stop, thread: Some(thread) }))
}

fn follow(shared: &Shared, page: &ControlPage, stop: &AtomicBool) {
    let mut failed: Option<String> = None;
    let mut looked_for_runs = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let (ticket, published) = page.look();
        let published = published.filter(|published| published.store == shared.store);
        if let Some(published) = published
            && published.end > shared.tail().end
            && let Err(error) = shared.advance(published.end)
        {
            // Damage does not heal by looking again; say it once and stay where the log is sound.
            let error = error.to_string();
            if failed.as_ref() != Some(&error) {
                tracing::error!(%error, "the log cannot be followed");
                failed = Some(error);
            }
        }
        if let Some(published) = published {
            shared.durable_to(published.durable_end);
        }
        if looked_for_runs.elapsed() >= LOOK_FOR_RUNS && shared.wants_runs() {
            shared.adopt();
            looked_for_runs = Instant::now();
        }
        page.wait(ticket, LOOK_AGAIN);
    }
}

/// Opens a log as it is, up to the first thing that is not sound; that is told beside it. A log whose beginning cannot
/// be used is an error, and so is an archive that does not give what is needed: what is there is not known to be damaged.
pub(crate) fn open_offline(
    environment: &Environment,
    data_dir: &Path,
) -> Result<(Arc<Shared>, Option<Damage>), OpenError> {
    let (segments, mut damaged) = sound_segments(&environment.storage, &data_dir.join("log"))?;
    let Some(last) = segments.last().cloned() else {
        return Err(OpenError::NoLog { path: data_dir.to_owned() });
    };
    let shared = shared(environment, data_dir, segments)?;
    let published = control::last_published(&*environment.storage, data_dir)?;
    let published = published.filter(|page| page.store == last.header.store);
    let (end, durable_end) = match published {
        // A live writer may be in the middle of a frame or a header; what it has published is what there is.
        Some(published) if damaged.is_none() || published.end.segment() <= last.header.sequence => {
            damaged = None;
            (published.end, published.durable_end)
        }
        _ => {
            let walked = scan::walk(&last, |_, _| {});
            (LogOffset::new(last.header.sequence, walked.offset), walked.durable_end)
        }
    };
    match shared.catch_up(end) {
        Err(ReadError::InArchive { segment }) => return Err(OpenError::InArchive { segment }),
        Err(error) => damaged = Some(damage(&shared, &error)),
        Ok(()) => {
            if let Some(damage) = &mut damaged {
                damage.position = shared.tail().next;
            }
        }
    }
    shared.durable_to(durable_end);
    Ok((shared, damaged))
}

/// The segments that have been begun, up to the first one that cannot be used.
fn sound_segments(
    storage: &Arc<dyn Storage>,
    log_dir: &Path,
) -> Result<(Vec<Arc<Segment>>, Option<Damage>), OpenError> {
    let (bad, reason) = match used_segments(storage, log_dir, None) {
        Ok(segments) => return Ok((segments, None)),
        Err(OpenError::BadSegment { segment, reason }) if segment > 0 => (segment, reason),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for sequence in 0..bad {
        let SegmentFile::Used(segment) = Segment::open(storage, log_dir, sequence)? else { break };
        segments.push(segment);
    }
    Ok((segments, Some(Damage { segment: bad, offset: 0, position: Position::ZERO, reason })))
}

fn shared(
    environment: &Environment,
    data_dir: &Path,
    segments: Vec<Arc<Segment>>,
) -> Result<Arc<Shared>, OpenError> {
    Shared::new(Arc::clone(&environment.storage), data_dir, segments, Role::Reader).map(Arc::new)
}

/// Where a log that cannot be read on ends.
fn damage(shared: &Shared, error: &ReadError) -> Damage {
    let tail = shared.tail();
    let (segment, offset) = match error {
        ReadError::Damaged { segment, offset, .. } => (*segment, *offset),
        ReadError::Segment { segment, .. } | ReadError::InArchive { segment } => (*segment, 0),
        ReadError::OtherStore { .. } => (tail.end.segment() + 1, 0),
    };
    Damage { segment, offset, position: tail.next, reason: error.to_string() }
}
