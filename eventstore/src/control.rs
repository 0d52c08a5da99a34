//! The control page: how the writer tells readers in other processes how far they may read, and wakes them.
//!
//! Invariant: the page is written after the fdatasync whose result it tells, ends before positions, so what it says
//! is never ahead of the disk.

use crate::error::OpenError;
use crate::format::control_page::{
    CONTROL_MAGIC, CONTROL_PAGE_BYTES, CONTROL_VERSION, DURABLE_AT, DURABLE_END_AT, EPOCH_AT, FUTEX_AT,
    HEARTBEAT_AT, OPEN_AT, PUBLISHED_AT, PUBLISHED_END_AT, STORE_AT, VERSION_AT,
};
use crate::mapped::SharedPage;
use crate::numbers::{LogOffset, Position, Timestamp};
use crate::storage::{Access, Storage};
use rustix::thread::futex;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;
use uuid::Uuid;

/// Where the control page of a data directory is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control").join("log")
}

/// How far the log is, as the page tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) store: Uuid,
    pub(crate) epoch: u32,
    /// Log offset below which readers may form slices.
    pub(crate) end: LogOffset,
    /// Log offset below which everything is on disk. Never above `end`; below it only without fsync.
    pub(crate) durable_end: LogOffset,
}

/// The page as readers have it.
#[derive(Debug)]
pub(crate) struct ControlPage(SharedPage);

impl ControlPage {
    /// Maps the page for a reader; `None` when there is none yet.
    pub(crate) fn open_reader(storage: &dyn Storage, data_dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = path(data_dir);
        let file = match storage.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OpenError::Io { action: "cannot open", path, source }),
        };
        let page = match file.shared_page(CONTROL_PAGE_BYTES, false) {
            Ok(page) => Self(page),
            // A page that is too short is one that the writer is just making. Any other failure says nothing about the
            // page, and must not be taken for its absence.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Ok(None),
            Err(source) => return Err(OpenError::Io { action: "cannot map", path, source }),
        };
        Ok((page.0.long(0).load(Acquire) == u64::from_le_bytes(CONTROL_MAGIC)).then_some(page))
    }

    /// How far the log is; `None` until a writer has published for the first time.
    pub(crate) fn published(&self) -> Option<Published> {
        let end = LogOffset::from_bits(self.0.long(PUBLISHED_END_AT).load(Acquire));
        if self.0.word(VERSION_AT).load(Relaxed) != CONTROL_VERSION || end == LogOffset::default() {
            return None;
        }
        let [low, high] = [self.0.long(STORE_AT).load(Relaxed), self.0.long(STORE_AT + 8).load(Relaxed)];
        let durable_end = LogOffset::from_bits(self.0.long(DURABLE_END_AT).load(Relaxed)).min(end);
        let epoch = self.0.word(EPOCH_AT).load(Relaxed);
        Some(Published { store: whole(low, high), epoch, end, durable_end })
    }

    /// The futex word, to be read before looking at `published` and handed to `wait`.
    pub(crate) fn ticket(&self) -> u32 {
        self.0.word(FUTEX_AT).load(Acquire)
    }

    /// Sleeps until something is published after `ticket` was read, or `timeout` has passed.
    pub(crate) fn wait(&self, ticket: u32, timeout: Duration) {
        let timeout = rustix::fs::Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // Every return means the same: look again.
        let _ = futex::wait(self.0.word(FUTEX_AT), futex::Flags::empty(), ticket, Some(&timeout));
    }
}

/// The page as the one writer has it: the only type that stores into it.
#[derive(Debug)]
pub(crate) struct ControlWriter(SharedPage);

impl ControlWriter {
    /// Maps the page for the writer, making it if it is not there or not a page of this version.
    pub(crate) fn open_writer(
        storage: &dyn Storage,
        data_dir: &Path,
        store: Uuid,
        epoch: u32,
    ) -> Result<Self, OpenError> {
        let path = path(data_dir);
        let io = |action| {
            let path = path.clone();
            move |source| OpenError::Io { action, path, source }
        };
        if let Some(parent) = path.parent() {
            storage.create_dir(parent).map_err(io("cannot create the directory of"))?;
        }
        let file = storage.open(&path, Access::Open).map_err(io("cannot open"))?;
        // The same file is used over again, so that readers who have it mapped hear of the new writer.
        // What is there is written once more: a hole in the file would need room when the map is stored into, and would
        // find it missing by a signal.
        let mut bytes = [0; CONTROL_PAGE_BYTES];
        file.read_full_at(&mut bytes, 0).map_err(io("cannot read"))?;
        file.write_all_at(&bytes, 0).map_err(io("cannot make"))?;
        let page = file.shared_page(CONTROL_PAGE_BYTES, true).map_err(io("cannot map"))?;
        let [low, high] = halves(store);
        if [page.long(STORE_AT).load(Relaxed), page.long(STORE_AT + 8).load(Relaxed)] != [low, high] {
            // Another store's page: its ends must never be read as ours.
            page.long(PUBLISHED_END_AT).store(0, Release);
            page.long(DURABLE_END_AT).store(0, Release);
        }
        page.word(VERSION_AT).store(CONTROL_VERSION, Relaxed);
        page.long(STORE_AT).store(low, Relaxed);
        page.long(STORE_AT + 8).store(high, Relaxed);
        page.word(EPOCH_AT).store(epoch, Relaxed);
        page.word(OPEN_AT).store(1, Release);
        page.long(0).store(u64::from_le_bytes(CONTROL_MAGIC), Release);
        Ok(Self(page))
    }

    /// Tells everybody how far the log is durable and may be read, and wakes who waits.
    pub(crate) fn publish(
        &self,
        durable: (Position, LogOffset),
        published: (Position, LogOffset),
        now: Timestamp,
    ) {
        self.0.long(DURABLE_AT).store(durable.0.get(), Relaxed);
        self.0.long(PUBLISHED_AT).store(published.0.get(), Relaxed);
        self.0.long(DURABLE_END_AT).store(durable.1.bits(), Relaxed);
        self.0.long(PUBLISHED_END_AT).store(published.1.bits(), Release);
        self.beat(now);
        self.0.word(FUTEX_AT).fetch_add(1, Release);
        // Waking can only fail for a bad address, and readers look again every 100 ms anyway.
        let _ = futex::wake(self.0.word(FUTEX_AT), futex::Flags::empty(), u32::MAX >> 1);
    }

    /// Shows that the writer lives.
    pub(crate) fn beat(&self, now: Timestamp) {
        self.0.long(HEARTBEAT_AT).store(now.get().unsigned_abs(), Relaxed);
    }

    /// Shows that the writer has left in good order.
    pub(crate) fn close(&self) {
        self.0.word(OPEN_AT).store(0, Release);
        self.0.word(FUTEX_AT).fetch_add(1, Release);
        let _ = futex::wake(self.0.word(FUTEX_AT), futex::Flags::empty(), u32::MAX >> 1);
    }
}

fn halves(store: Uuid) -> [u64; 2] {
    let (high, low) = store.as_bytes().split_at(8);
    [high, low].map(|half| u64::from_le_bytes(half.try_into().unwrap_or_default()))
}

fn whole(low: u64, high: u64) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&low.to_le_bytes());
    bytes[8..].copy_from_slice(&high.to_le_bytes());
    Uuid::from_bytes(bytes)
}

/// What the page in a data directory says, once; `None` when there is no usable page.
pub(crate) fn last_published(storage: &dyn Storage, data_dir: &Path) -> Result<Option<Published>, OpenError> {
    Ok(ControlPage::open_reader(storage, data_dir)?.and_then(|page| page.published()))
}
