//! What has left for the archive becomes an event: the log says itself which of its segments are elsewhere.
//!
//! `sunday archive` moves segments beside a running writer and needs nobody's leave; what it has moved shows in the log's
//! directory. The writer looks there and records what it finds new in `sys-archive`, so a record cannot be forgotten by a
//! command that was cut short.

use crate::service::{Refusal, command_id, uuid_v7};
use domain::Extras;
use domain::system::archive::{
    ArchivedSegment, Recorded, SCHEMA_VERSION, SEGMENTS_ARCHIVED, SEGMENTS_MAX, STREAM, SegmentsArchived,
};
use eventstore::archive::{Archived, archived, references, url_of};
use eventstore::storage::Environment;
use eventstore::{
    CommitBuilder, ContentType, Direction, EventType, ExpectedVersion, Metadata, NewEvent, Store, StreamId,
    Timestamp, Version,
};
use http_kit::auth::LOCAL_SUBJECT;
use parking_lot::{Condvar, Mutex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the directory is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Records what is in a log's archive, at once and from time to time, until it is dropped.
#[derive(Debug)]
pub struct ArchiveLedger {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl ArchiveLedger {
    /// Begins to look.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(store: Store, data_dir: &Path) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (stopped, data_dir) = (Arc::clone(&stop), data_dir.to_owned());
        let thread = std::thread::Builder::new().name("archive-ledger".to_owned()).spawn(move || {
            let mut ledger = Ledger { store, data_dir, known: None };
            let (flag, changed) = &*stopped;
            let mut is_over = flag.lock();
            while !*is_over {
                drop(is_over);
                if let Err(error) = ledger.look() {
                    tracing::warn!(%error, "what is in the archive could not be recorded; it is tried again");
                }
                is_over = flag.lock();
                if !*is_over {
                    changed.wait_for(&mut is_over, LOOK_AGAIN);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for ArchiveLedger {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Ledger {
    store: Store,
    data_dir: PathBuf,
    /// How many references there were when everything was recorded.
    known: Option<usize>,
}

impl Ledger {
    fn look(&mut self) -> Result<(), Refusal> {
        let there = references(&Environment::default(), &self.data_dir).map_err(|error| fault(&error))?;
        // Segments do not come back, so as many are the same ones.
        if self.known != Some(there) {
            if there > 0 {
                record_archived(&self.store, &self.data_dir)?;
            }
            self.known = Some(there);
        }
        Ok(())
    }
}

/// Appends what is in the archive of a log and not yet recorded; the number of segments that were. Blocks.
///
/// # Errors
/// When the directory cannot be read, or the log takes nothing.
pub fn record_archived(store: &Store, data_dir: &Path) -> Result<usize, Refusal> {
    let environment = Environment::default();
    let stream = StreamId::new(STREAM).map_err(|error| fault(&error))?;
    let (mut recorded, mut last) = (Recorded::default(), None);
    for event in store.read_stream(&stream, Version::ZERO, Direction::Forward, usize::MAX)? {
        let Some(view) = event.get() else { continue };
        last = Some(view.version());
        match serde_json::from_slice::<SegmentsArchived>(view.payload()) {
            Ok(event) => recorded.apply(&event),
            Err(error) => {
                tracing::warn!(position = %view.position(), %error, "an event of the archive cannot be read and is passed over");
            }
        }
    }
    let Some(url) = url_of(&environment, data_dir).map_err(|error| fault(&error))? else { return Ok(0) };
    let all = archived(&environment, data_dir).map_err(|error| fault(&error))?;
    let new: Vec<_> = all.iter().map(told).filter(|one| !recorded.holds(one)).collect();
    for segments in new.chunks(SEGMENTS_MAX) {
        let event = SegmentsArchived { url: url.clone(), segments: segments.to_vec() };
        let mut commit = CommitBuilder::new();
        commit.expect(stream.clone(), last.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact));
        commit.event(NewEvent {
            id: uuid_v7(Timestamp::now().get()),
            stream: stream.clone(),
            event_type: EventType::new(SEGMENTS_ARCHIVED).map_err(|error| fault(&error))?,
            content_type: ContentType::Json,
            schema_version: SCHEMA_VERSION,
            tags: Vec::new(),
            metadata: Metadata {
                command_id: Some(command_id()),
                extras: Extras::new(LOCAL_SUBJECT, None, None).encode(),
                ..Metadata::default()
            },
            payload: serde_json::to_vec(&event).map_err(|error| fault(&error))?,
        });
        let receipt = store.append(commit.prepare()?)?;
        last = receipt.versions.first().map(|(_, version)| *version).or(last);
    }
    Ok(new.len())
}

fn told(archived: &Archived) -> ArchivedSegment {
    ArchivedSegment {
        segment: archived.segment,
        first: archived.first.get(),
        next: archived.next.get(),
        bytes: archived.bytes,
        sha256: archived.digest.to_string(),
    }
}

fn fault(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::Fault(error.to_string())
}
