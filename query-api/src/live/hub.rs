//! The one task that follows the log for all subscribers, and wakes those whom a commit concerns.
//!
//! Invariant: whoever has joined is rung for every commit that concerns him and ends after his seam; what is before the
//! seam he reads without being told. Joining comes first and the seam is read then, so no commit falls between.
//!
//! Invariant: `looked` moves only after the bells for what is before it have been rung. A subscriber that is past its seam,
//! reads `looked` and then finds its bell silent has nothing to read before `looked`.
//!
//! Without subscribers nothing is followed, and a commit costs nothing here.

use super::topics::{Bell, Topic, Topics, Touched};
use eventstore::{Log, Position};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Commits that are looked at in one go on a blocking thread.
const COMMITS_AT_A_TIME: usize = 1_024;
/// Reads for subscribers that run at one time: fewer than the service's places, so that a commit that concerns everybody
/// leaves room for other requests.
const READS_MAX: usize = 16;

/// All subscribers of one service. They end when it is dropped or closed.
#[derive(Debug)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    subscribers_max: usize,
    topics: Mutex<Topics>,
    /// Nothing before this was there to be followed: somebody joined when nobody was there, with the log here.
    since: AtomicU64,
    looked: AtomicU64,
    wakes: AtomicU64,
    is_closed: AtomicBool,
    is_followed: AtomicBool,
    /// Tells the task that somebody has joined, or that it is over.
    stir: Notify,
    reads: Arc<Semaphore>,
}

/// A subscriber's place in the hub; he leaves by dropping it.
#[derive(Debug)]
pub(crate) struct Seat {
    inner: Arc<Inner>,
    id: u64,
    topics: Vec<Topic>,
    bell: Arc<Bell>,
    /// From here on he is told what concerns him.
    pub(crate) seam: Position,
}

impl Hub {
    /// A hub for at most so many subscribers.
    pub(crate) fn new(log: Log, subscribers_max: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                log,
                subscribers_max,
                topics: Mutex::default(),
                since: AtomicU64::new(0),
                looked: AtomicU64::new(0),
                wakes: AtomicU64::new(0),
                is_closed: AtomicBool::new(false),
                is_followed: AtomicBool::new(false),
                stir: Notify::new(),
                reads: Arc::new(Semaphore::new(READS_MAX)),
            }),
        }
    }

    /// Takes in a subscriber whom any of the topics concerns; none when there are too many. Within a tokio runtime only.
    pub(crate) fn join(&self, topics: Vec<Topic>) -> Option<Seat> {
        let inner = Arc::clone(&self.inner);
        let bell = Arc::new(Bell::default());
        let id = {
            let mut all = inner.topics.lock();
            if all.count() >= inner.subscribers_max {
                return None;
            }
            if all.count() == 0 {
                inner.since.store(inner.log.lineage().next.get(), Ordering::Relaxed);
            }
            all.join(&topics, &bell)
        };
        if !inner.is_followed.swap(true, Ordering::Relaxed) {
            tokio::spawn(Arc::clone(&inner).follow());
        }
        inner.stir.notify_one();
        let seam = inner.log.lineage().next;
        Some(Seat { inner, id, topics, bell, seam })
    }

    /// Subscribers there are.
    pub(crate) fn subscribers(&self) -> usize {
        self.inner.topics.lock().count()
    }

    /// How often a subscriber was woken because something concerned him.
    pub(crate) fn wakes(&self) -> u64 {
        self.inner.wakes.load(Ordering::Relaxed)
    }

    /// What ends all streams, kept apart from the hub so that it keeps nothing alive that is to end.
    pub(crate) fn closer(&self) -> impl FnOnce() + Send + use<> {
        let inner = Arc::downgrade(&self.inner);
        move || {
            if let Some(inner) = inner.upgrade() {
                inner.close();
            }
        }
    }

    /// Ends all streams, those to come included.
    pub(crate) fn close(&self) {
        self.inner.close();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        // Before the lock: whoever joins after it has been held sees this, everybody else is woken.
        self.is_closed.store(true, Ordering::Release);
        self.topics.lock().all().for_each(|bell| bell.shake());
        self.stir.notify_one();
    }

    /// Where to begin if somebody wants to know; nobody does otherwise.
    fn since(&self) -> Option<Position> {
        let topics = self.topics.lock();
        (topics.count() > 0).then(|| Position::new(self.since.load(Ordering::Relaxed)))
    }

    async fn follow(self: Arc<Self>) {
        let mut watermark = self.log.watch();
        let mut at = Position::ZERO;
        while !self.is_closed.load(Ordering::Acquire) {
            let Some(since) = self.since() else {
                self.stir.notified().await;
                continue;
            };
            at = at.max(since);
            // First, so that what comes while commits are looked at is seen as a change.
            watermark.borrow_and_update();
            if self.log.lineage().next > at {
                let before = at;
                let looking = tokio::task::spawn_blocking({
                    let this = Arc::clone(&self);
                    move || this.look(before)
                });
                at = match looking.await {
                    Ok(at) => at,
                    Err(error) => {
                        tracing::error!(%error, "commits could not be looked at for live streams");
                        self.leave_it_to_all(before)
                    }
                };
                if at > before {
                    continue;
                }
            }
            tokio::select! {
                Ok(()) = watermark.changed() => {}
                () = self.stir.notified() => {}
            }
        }
    }

    /// Looks at some commits from a position on and rings the bells of those whom they concern; says where to go on.
    fn look(&self, from: Position) -> Position {
        let mut at = from;
        for commit in self.log.commits(from).take(COMMITS_AT_A_TIME) {
            match commit {
                Ok(commit) => {
                    let woken = self.topics.lock().touch(&commit);
                    self.wakes.fetch_add(woken, Ordering::Relaxed);
                    at = at.max(commit.next());
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be followed for live streams");
                    return self.leave_it_to_all(from);
                }
            }
        }
        if at > from {
            let woken = self.topics.lock().touch_everything(from, at);
            self.wakes.fetch_add(woken, Ordering::Relaxed);
            self.looked.store(at.get(), Ordering::Release);
        }
        at
    }

    /// What cannot be looked at here, everybody looks at by himself, and meets there whatever is wrong with it.
    fn leave_it_to_all(&self, from: Position) -> Position {
        let next = self.log.lineage().next;
        let woken = self.topics.lock().touch_all(from, next);
        self.wakes.fetch_add(woken, Ordering::Relaxed);
        self.looked.store(next.get(), Ordering::Release);
        next
    }
}

impl Seat {
    /// Whether the streams are to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.is_closed.load(Ordering::Acquire)
    }

    /// How far the hub has looked.
    pub(crate) fn looked(&self) -> Position {
        Position::new(self.inner.looked.load(Ordering::Acquire))
    }

    /// Where there is something since this was asked last.
    pub(crate) fn take(&self) -> Option<Touched> {
        self.bell.take()
    }

    /// Whether there is news in the stream of the consumer that this seat is for.
    pub(crate) fn has_news(&self) -> bool {
        self.bell.has_news()
    }

    /// The same; what is new then has yet to be read.
    pub(crate) fn take_news(&self) -> bool {
        self.bell.take_news()
    }

    /// Says whether an acknowledgement is worth being woken for.
    pub(crate) fn heed_acknowledgements(&self, heeds: bool) {
        self.bell.heed_acknowledgements(heeds);
    }

    /// Comes when there may be something new, or the streams are to end.
    pub(crate) async fn rung(&self) {
        self.bell.rung().await;
    }

    /// The right to read the log; none is ever refused, as nobody closes the semaphore.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.reads).acquire_owned().await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.inner.topics.lock().leave(self.id, &self.topics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventstore::{Store, StoreOptions};

    #[tokio::test]
    async fn too_many_are_refused_until_one_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let hub = Hub::new(store.log(), 2);
        let topic = |name: &str| vec![Topic::Tag(name.to_owned()), Topic::Everything];
        let (one, _two) = (hub.join(topic("a")).unwrap(), hub.join(topic("a")).unwrap());
        assert!(hub.join(topic("b")).is_none());
        drop(one);
        let three = hub.join(topic("b")).unwrap();
        assert_eq!(hub.subscribers(), 2);
        drop(hub);
        assert!(three.is_closed(), "nobody outlives the hub unknowingly");
    }
}
