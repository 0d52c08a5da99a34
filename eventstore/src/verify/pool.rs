//! Checking chunks on all cores while the caller walks ahead and links behind. They come back in order.

use super::check::{self, Checked};
use super::walk::Chunk;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread::Scope;
use uuid::Uuid;

type Work = (u64, Chunk, Option<Uuid>);

/// Threads that check chunks.
pub(super) struct Pool {
    work: mpsc::Sender<Work>,
    done: mpsc::Receiver<(u64, Checked)>,
    /// Came back before their turn.
    early: BTreeMap<u64, Checked>,
    sent: u64,
    returned: u64,
    threads: usize,
}

impl Pool {
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, threads: usize, leaves: bool) -> Self {
        let (work, taken) = mpsc::channel::<Work>();
        let (finished, done) = mpsc::channel();
        let taken = Arc::new(Mutex::new(taken));
        for _ in 0..threads {
            let (taken, finished) = (Arc::clone(&taken), finished.clone());
            scope.spawn(move || {
                loop {
                    let next = taken.lock().recv();
                    let Ok((number, chunk, store)) = next else { break };
                    if finished.send((number, check::check(chunk, store, leaves))).is_err() {
                        break;
                    }
                }
            });
        }
        Self { work, done, early: BTreeMap::new(), sent: 0, returned: 0, threads }
    }

    /// Whether the caller should take chunks back before it walks on.
    pub(super) fn is_full(&self) -> bool {
        self.sent - self.returned >= 2 * self.threads as u64
    }

    pub(super) fn send(&mut self, chunk: Chunk, store: Option<Uuid>) {
        // The workers live as long as this sender.
        if self.work.send((self.sent, chunk, store)).is_ok() {
            self.sent += 1;
        }
    }

    /// The next chunk in order; waits for it. `None` when all that were sent have come back.
    pub(super) fn next(&mut self) -> Option<Checked> {
        while self.returned < self.sent {
            if let Some(checked) = self.early.remove(&self.returned) {
                self.returned += 1;
                return Some(checked);
            }
            let (number, checked) = self.done.recv().ok()?;
            self.early.insert(number, checked);
        }
        None
    }
}
