//! Following a writer in another process: catch-up and live are one loop over the published end.

use crate::control;
use crate::error::OpenError;
use crate::numbers::LogOffset;
use crate::page::ControlPage;
use crate::scan;
use crate::segment::Segment;
use crate::segments::used_segments;
use crate::storage::Environment;
use crate::tail::Shared;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a follower sleeps at most: a wake that was lost costs no more than this.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
    let segments =
        used_segments(&*environment.storage, &data_dir.join("log"), Some(published.end.segment()))?;
    of_one_store(&segments)?;
    let shared = Arc::new(Shared::new(Arc::clone(&environment.storage), data_dir.join("log"), segments)?);
    if published.store != shared.store {
        // The page is of a store that is not here (any more): nothing has been published of this one.
        return Err(no_log());
    }
    catch_up(&shared, published.end)?;

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
    while !stop.load(Ordering::Acquire) {
        match page.beyond(shared.store, shared.tail().end).map(|published| shared.advance(published.end)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // Damage does not heal by looking again; say it once and stay where the log is sound.
                let error = error.to_string();
                if failed.as_ref() != Some(&error) {
                    tracing::error!(%error, "the log cannot be followed");
                    failed = Some(error);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
            Err(ticket) => page.wait(ticket, LOOK_AGAIN),
        }
    }
}

/// Opens a log as it is, up to the first thing that is not sound.
pub(crate) fn open_offline(environment: &Environment, data_dir: &Path) -> Result<Arc<Shared>, OpenError> {
    let segments = used_segments(&*environment.storage, &data_dir.join("log"), None)?;
    of_one_store(&segments)?;
    let Some(last) = segments.last().cloned() else {
        return Err(OpenError::NoLog { path: data_dir.to_owned() });
    };
    let shared = Arc::new(Shared::new(Arc::clone(&environment.storage), data_dir.join("log"), segments)?);
    let end = match control::last_published(&*environment.storage, data_dir)? {
        // A live writer may be in the middle of a frame; what it has published is what there is.
        Some(published) if published.store == last.header.store => published.end,
        _ => LogOffset::new(last.header.sequence, scan::walk(&last, |_, _| {}).offset),
    };
    catch_up(&shared, end)?;
    Ok(shared)
}

/// A segment of another store is named itself, not the one before it that it does not continue.
fn of_one_store(segments: &[Arc<Segment>]) -> Result<(), OpenError> {
    let Some(store) = segments.first().map(|first| first.header.store) else {
        return Ok(());
    };
    match segments.iter().find(|segment| segment.header.store != store) {
        Some(foreign) => {
            let reason = format!("it belongs to store {}, the log to store {store}", foreign.header.store);
            Err(OpenError::BadSegment { segment: foreign.header.sequence, reason })
        }
        None => Ok(()),
    }
}

fn catch_up(shared: &Shared, end: LogOffset) -> Result<(), OpenError> {
    if let Err(error) = shared.advance(end) {
        let tail = shared.tail();
        return Err(OpenError::Damaged {
            segment: tail.end.segment(),
            offset: tail.end.offset(),
            position: tail.next,
            durable_end: end,
            reason: error.to_string(),
        });
    }
    Ok(())
}
