//! Makes the next segment's file while the one before it is being filled.
//!
//! Invariant: the file appears under its final name only when all of it is zero and on disk; until then it is nobody's.
//! Invariant: it is made at the pace at which it will be needed. The disk is shared with the commits that somebody waits
//! for: 128 MiB written in one go would stand before them in its queue, and make one commit in a hundred take as long as
//! they do.

use crate::segment;
use crate::segments::first_nonzero_in;
use crate::storage::{Access, Storage, StorageFile};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

/// Bytes that are written in one go: few enough to stay in the processor's cache, where copying them is cheap.
const PIECE: usize = 128 << 10;

/// Bytes that the disk is given at once: what a commit may find before it in its queue.
const STEP: u64 = 256 << 10;

/// So far behind what is needed it does not wait for the disk any more: small pieces would make it slower still.
const BEHIND: u64 = 2 << 20;

/// How much of the file is made before anything of the segment before it is used.
const HEAD_START: u64 = 4 << 20;

/// For each byte of the segment before it that is used, so many are made: it is done when that is two thirds full.
const BYTES_PER_BYTE: (u64, u64) = (3, 2);

type Prepared = io::Result<Arc<dyn StorageFile>>;

/// Prepares one segment ahead.
#[derive(Debug)]
pub(crate) struct Preparer {
    storage: Arc<dyn Storage>,
    log_dir: PathBuf,
    capacity: u64,
    /// Whether there is a thread for it; without one a segment is prepared when it is needed.
    ahead: bool,
    pending: Option<Pending>,
}

/// A segment that a thread prepares.
#[derive(Debug)]
struct Pending {
    sequence: u32,
    done: mpsc::Receiver<Prepared>,
    pace: Arc<Pace>,
}

/// How far the thread may go.
#[derive(Debug, Default)]
struct Pace {
    need: Mutex<Need>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Need {
    /// Bytes of the segment before it that are used.
    used: u64,
    /// Somebody waits for it.
    is_urgent: bool,
    /// Nobody wants it any more.
    is_over: bool,
    /// How much the thread had made when it went to sleep; it is woken once it may go on, and not with every commit.
    asleep_at: Option<u64>,
}

impl Need {
    fn allows(self, made: u64) -> bool {
        let (made_bytes, used_bytes) = BYTES_PER_BYTE;
        self.is_urgent || self.is_over || made < HEAD_START + self.used / used_bytes * made_bytes
    }
}

impl Pace {
    fn set(&self, set: impl FnOnce(&mut Need)) {
        let mut need = self.need.lock();
        set(&mut need);
        let wake = need.asleep_at.is_some_and(|made| need.allows(made));
        drop(need);
        if wake {
            self.changed.notify_one();
        }
    }

    fn is_behind(&self, made: u64) -> bool {
        self.need.lock().allows(made + BEHIND)
    }

    /// Waits until more than `made` bytes are needed. False when none are.
    fn wait(&self, made: u64) -> bool {
        let mut need = self.need.lock();
        while !need.allows(made) {
            need.asleep_at = Some(made);
            self.changed.wait(&mut need);
        }
        need.asleep_at = None;
        !need.is_over
    }
}

impl Preparer {
    pub(crate) fn new(storage: Arc<dyn Storage>, log_dir: PathBuf, capacity: u64, ahead: bool) -> Self {
        Self { storage, log_dir, capacity, ahead, pending: None }
    }

    /// Begins to prepare a segment, unless one is under way.
    pub(crate) fn begin(&mut self, sequence: u32) {
        if self.pending.is_some() || !self.ahead {
            return;
        }
        let (sender, done) = mpsc::sync_channel(1);
        let (storage, log_dir, capacity) = (Arc::clone(&self.storage), self.log_dir.clone(), self.capacity);
        let pace = Arc::new(Pace::default());
        let kept = Arc::clone(&pace);
        let spawned = std::thread::Builder::new().name("log-prepare".to_owned()).spawn(move || {
            // Nobody listens when the store has been closed meanwhile; the file waits for the next opening.
            let _ = sender.send(prepare(&*storage, &log_dir, sequence, capacity, Some(&kept)));
        });
        if spawned.is_ok() {
            self.pending = Some(Pending { sequence, done, pace });
        }
    }

    /// Says how much of the active segment is used.
    pub(crate) fn used(&self, bytes: u64) {
        if let Some(pending) = &self.pending {
            pending.pace.set(|need| need.used = bytes);
        }
    }

    /// The prepared segment; waits for it.
    pub(crate) fn take(&mut self, sequence: u32) -> Prepared {
        let now = |this: &Self| prepare(&*this.storage, &this.log_dir, sequence, this.capacity, None);
        match self.pending.take() {
            Some(pending) if pending.sequence == sequence => {
                pending.pace.set(|need| need.is_urgent = true);
                pending.done.recv().unwrap_or_else(|_| now(self))
            }
            other => {
                self.pending = other;
                self.give_up();
                now(self)
            }
        }
    }

    /// Waits for the thread, so that nothing happens in the directory after the lock is released.
    fn give_up(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.pace.set(|need| need.is_over = true);
            let _ = pending.done.recv();
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Makes sure that the segment's file is there with its full length, all zero, synced under its final name.
/// Zeros are written rather than allocated: a later write into them changes no metadata, which halves its fdatasync.
///
/// A file that is already there is looked at whole before it is trusted: one whose header has been wiped may hold
/// frames, and those are not ours to erase. It is made under another name and renamed, so that a reader who has the
/// old one mapped keeps it.
fn prepare(
    storage: &dyn Storage,
    log_dir: &Path,
    sequence: u32,
    capacity: u64,
    pace: Option<&Pace>,
) -> Prepared {
    let path = segment::path(log_dir, sequence);
    match storage.open(&path, Access::Write) {
        Ok(file) => {
            if let Some(at) = first_nonzero_in(&*file)? {
                let reason = format!("{} should be unused, but has bytes at {at}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            if file.len()? == capacity {
                file.sync()?;
                storage.sync_dir(log_dir)?;
                return Ok(file);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let unfinished = path.with_extension("seg.preparing");
    let made = make(storage, &unfinished, capacity, pace);
    if made.is_err() {
        // A half-made file would hold on to the room that ran out. If it cannot be removed, the next try empties it.
        let _ = storage.remove(&unfinished);
    }
    let file = made?;
    storage.rename(&unfinished, &path)?;
    storage.sync_dir(log_dir)?;
    Ok(file)
}

/// Writes the zeros; with a pace in steps, each of which waits until it is needed.
fn make(storage: &dyn Storage, path: &Path, capacity: u64, pace: Option<&Pace>) -> Prepared {
    let file = storage.open(path, Access::Create)?;
    let zeros = vec![0; PIECE];
    let mut at = 0;
    while at < capacity {
        let piece = usize::try_from(capacity - at).map_or(PIECE, |left| left.min(PIECE));
        file.write_all_at(&zeros[..piece], at)?;
        at += piece as u64;
        if let Some(pace) = pace
            && at < capacity
            && at % STEP == 0
        {
            if !pace.is_behind(at) {
                file.write_back(at - STEP, STEP)?;
            }
            if !pace.wait(at) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "the log has been closed"));
            }
        }
    }
    file.sync()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Environment;
    use std::time::Duration;

    const CAPACITY: u64 = 16 << 20;

    fn preparing(log_dir: &Path) -> u64 {
        let path = segment::path(log_dir, 1).with_extension("seg.preparing");
        std::fs::metadata(path).map_or(0, |metadata| metadata.len())
    }

    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..2_000 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{what} did not come");
    }

    #[test]
    fn it_goes_as_far_as_it_is_needed_and_all_the_way_for_whoever_waits() {
        let dir = tempfile::tempdir().unwrap();
        let mut preparer =
            Preparer::new(Environment::default().storage, dir.path().to_owned(), CAPACITY, true);
        preparer.begin(1);
        wait_until("the head start", || preparing(dir.path()) == HEAD_START);
        preparer.used(2 << 20);
        wait_until("the next part", || preparing(dir.path()) == HEAD_START + (3 << 20));
        // It has not gone on by itself.
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(preparing(dir.path()), HEAD_START + (3 << 20));
        let file = preparer.take(1).unwrap();
        assert_eq!((file.len().unwrap(), preparing(dir.path())), (CAPACITY, 0));
        assert!(segment::path(dir.path(), 1).exists());
    }

    #[test]
    fn what_nobody_needs_any_more_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let mut preparer =
            Preparer::new(Environment::default().storage, dir.path().to_owned(), CAPACITY, true);
        preparer.begin(1);
        wait_until("the head start", || preparing(dir.path()) == HEAD_START);
        drop(preparer);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn it_is_done_before_it_is_needed() {
        let need = Need { used: CAPACITY * 2 / 3, ..Need::default() };
        assert!(need.allows(CAPACITY - STEP));
        assert!(!Need::default().allows(HEAD_START));
    }
}
