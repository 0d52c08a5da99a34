//! How a log is opened for writing: locked, recovered, indexed, and only then taken over.

use super::{Active, Engine, Stamping};
use crate::control;
use crate::error::OpenError;
use crate::flush::{Group, Reach};
use crate::numbers::Lineage;
use crate::preparer::Preparer;
use crate::queue::Queue;
use crate::recovery::{self, Continue, Recovered, previous_of};
use crate::replica::marker;
use crate::segment;
use crate::sequencer::Sequencer;
use crate::storage::{Access, Environment};
use crate::store::StoreOptions;
use crate::tail::{Role, Shared};
use crate::transparency::journal;
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a log is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Write,
    /// It has been a standby.
    Promote,
}

impl Engine {
    /// Opens (or makes) the log of a data directory for writing, and recovers it by the rule of `FORMAT.md`.
    ///
    /// # Errors
    /// As [`crate::Store::open`].
    pub fn open(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        Self::open_with(environment, data_dir, options, false)
    }

    /// As `open`; `ahead` says whether a thread may prepare the next segment.
    pub(crate) fn open_with(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
        ahead: bool,
    ) -> Result<Self, OpenError> {
        Self::open_as(environment, data_dir, options, ahead, Purpose::Write)
    }

    /// Opens the log of a standby for writing: from then on it is a writer's log.
    pub(crate) fn promote(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let mut engine = Self::open_as(environment, data_dir, options, false, Purpose::Promote)?;
        // Nothing needs to be vouched for, but the new epoch has to be on disk.
        engine.unmarked = true;
        Ok(engine)
    }

    fn open_as(
        environment: &Environment,
        data_dir: &Path,
        options: &StoreOptions,
        ahead: bool,
        purpose: Purpose,
    ) -> Result<Self, OpenError> {
        options.check()?;
        let storage = &environment.storage;
        let log_dir = data_dir.join("log");
        storage.create_dir(&log_dir).map_err(|source| OpenError::Io {
            action: "cannot create",
            path: log_dir.clone(),
            source,
        })?;
        let lock = lock(environment, &log_dir, "LOCK");
        if purpose == Purpose::Write {
            // More to the point than who has the lock.
            marker::refuse(&**storage, &log_dir)?;
        }
        let lock = lock?;
        let recovered = recovery::recover(environment, data_dir, options.segment_bytes)?;
        journal::hold_against(&**storage, data_dir, recovered.store, recovered.next)?;
        let shared =
            Arc::new(Shared::new(Arc::clone(storage), data_dir, recovered.segments.clone(), Role::Writer)?);
        recovered.index(&shared)?;
        if purpose == Purpose::Promote {
            marker::promote(&**storage, &log_dir, recovered.next)?;
        }
        // Only a log that is sound as a whole takes over the page.
        let control = control::open_writer(&**storage, data_dir, recovered.store, recovered.epoch)?;
        let reach = Reach { upto: recovered.next, end: recovered.end };
        let now = environment.clock.now();
        control.publish((reach.upto, reach.end), (reach.upto, reach.end), now);
        shared.durable_to(reach.end);

        let active = active_of(&recovered, environment, &log_dir)?;
        let (file, sequence) = (Arc::clone(&active.file), active.sequence);
        let mut preparer = Preparer::new(Arc::clone(storage), log_dir, options.segment_bytes, ahead);
        preparer.begin(sequence + 1);
        preparer.used(recovered.end.offset());
        Ok(Self {
            environment: environment.clone(),
            options: options.clone(),
            sequencer: Sequencer::new(
                recovered.store,
                recovered.epoch,
                recovered.next,
                recovered.chain,
                shared.tail().recorded_at,
                options.durability,
            ),
            stamping: Stamping { seed: recovered.seed(), digest: recovered.digest.clone() },
            successor_of: (recovered.continues != Continue::Here).then(|| previous_of(&recovered)),
            shared,
            control,
            queue: Arc::new(Queue::default()),
            active,
            preparer,
            durable: reach,
            written: reach,
            synced_at: now,
            unmarked: false,
            backlog: VecDeque::new(),
            open: Group::new(file, sequence, recovered.end.offset()),
            in_flight: false,
            flushes: 0,
            counters: Arc::default(),
            poisoned: None,
            buffers: Vec::new(),
            _lock: lock,
        })
    }
}

fn active_of(recovered: &Recovered, environment: &Environment, log_dir: &Path) -> Result<Active, OpenError> {
    let last = recovered.segments.last().ok_or_else(|| OpenError::NoLog { path: log_dir.to_owned() })?;
    let path = segment::path(log_dir, last.header.sequence);
    let file = environment.storage.open(&path, Access::Write).map_err(|source| OpenError::Io {
        action: "cannot open for writing",
        path,
        source,
    })?;
    Ok(Active { file, sequence: last.header.sequence, capacity: last.len() })
}

/// Opens a log as a writer does, and leaves a mark behind what was recovered: a torn group is then set aside for good, in a segment that
/// the next one's header vouches for.
///
/// # Errors
/// As [`crate::Store::open`]; and when the mark cannot be written.
pub fn recover(environment: &Environment, data_dir: &Path) -> Result<Lineage, OpenError> {
    let outlook = crate::inspect::outlook(environment, data_dir)?;
    let outlook = outlook.ok_or_else(|| OpenError::NoLog { path: data_dir.to_owned() })?;
    let options = StoreOptions { segment_bytes: outlook.segment_bytes, ..StoreOptions::default() };
    let mut engine = Engine::open(environment, data_dir, &options)?;
    engine.unmarked = true;
    engine.finish();
    match engine.poisoned() {
        None => Ok(engine.log().lineage()),
        Some(reason) => Err(OpenError::Setting(format!("the mark that ends a recovery: {reason}"))),
    }
}

/// Takes the lock of a directory, or of one kind of work there, that only one process does.
pub(crate) fn lock(
    environment: &Environment,
    dir: &Path,
    name: &str,
) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    let path = dir.join(name);
    let storage = &environment.storage;
    storage.lock(&path, &format!("process {}", std::process::id())).map_err(|source| {
        if source.kind() != io::ErrorKind::WouldBlock {
            return OpenError::Io { action: "cannot lock", path: path.clone(), source };
        }
        let mut note = [0; 200];
        let read = storage.open(&path, Access::Read).and_then(|file| file.read_full_at(&mut note, 0));
        let holder = String::from_utf8_lossy(&note[..read.unwrap_or(0)]).trim().to_owned();
        OpenError::Locked { path: path.clone(), holder: Some(holder).filter(|holder| !holder.is_empty()) }
    })
}
