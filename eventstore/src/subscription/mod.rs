//! Subscriptions: the events that somebody wants, from a position on, for ever.
//!
//! Catching up and being live are one loop over the watermark (`reader.rs`): there is no hand-over to lose events in.
//! What the index can find is not searched for (`source.rs`), which changes the cost and never the result. Memory is
//! bounded: a consumer that is slow makes the loop wait, and nothing pile up.

mod delivery;
mod error;
mod filter;
mod park;
mod reader;
mod source;

pub use delivery::Delivery;
pub use error::SubscribeError;
pub use filter::Filter;

use crate::error::ReadError;
use crate::log::Log;
use crate::numbers::{Lineage, Position};
use parking_lot::Mutex;
use reader::{Glance, Reader};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The events that a filter wants, commit by commit, from a position on. Made by [`Log::subscribe`] and
/// [`Log::subscribe_from`].
///
/// [`Subscription::wait`] blocks, [`Subscription::next`] is for async code; both continue where the other has ended.
/// Each [`Delivery`] names the checkpoint to keep once it is dealt with. Commits of which nothing is wanted move the
/// checkpoint too: an empty delivery tells of it every 1,024 such commits, and soon after the end of the log is reached.
///
/// ```
/// use eventstore::{CommitBuilder, ContentType, EventType, Filter, Metadata, NewEvent, Position, Store, StreamId};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), &Default::default())?;
/// for stream in ["item-1", "board-1", "item-2"] {
///     let mut commit = CommitBuilder::new();
///     commit.event(NewEvent {
///         id: uuid::Uuid::now_v7(),
///         stream: StreamId::new(stream)?,
///         event_type: EventType::new("thing.made")?,
///         content_type: ContentType::Json,
///         schema_version: 1,
///         tags: Vec::new(),
///         metadata: Metadata::default(),
///         payload: b"{}".to_vec(),
///     });
///     store.append(commit.prepare()?)?;
/// }
///
/// let mut items = store.subscribe(Filter::Category("item".to_owned()), Position::ZERO);
/// let first = items.wait(Duration::from_secs(5))?.ok_or("the log holds an item")?;
/// assert_eq!(first.events().map(|event| event.stream()).collect::<Vec<_>>(), ["item-1"]);
///
/// // Another process, another day: the checkpoint is confirmed, and nothing comes twice.
/// let mut items = store.subscribe_from(Filter::Category("item".to_owned()), &first.checkpoint())?;
/// let second = items.wait(Duration::from_secs(5))?.ok_or("the log holds another item")?;
/// assert_eq!(second.events().map(|event| event.stream()).collect::<Vec<_>>(), ["item-2"]);
/// assert!(items.wait(Duration::ZERO)?.is_none(), "nothing more, for now");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Subscription {
    /// Shared with the blocking work of a `next` that was dropped while it ran; nobody else locks it.
    reader: Arc<Mutex<Reader>>,
    watermark: watch::Receiver<Position>,
    cancelled: watch::Receiver<bool>,
    canceller: Canceller,
}

/// Ends a [`Subscription`] from elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<watch::Sender<bool>>);

impl Canceller {
    /// Ends the subscription: who waits in it hears `None` at once, and so does everybody later.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Log {
    /// The events that `filter` wants, from `from` on, for ever. A position beyond the end of the log is waited for.
    ///
    /// Who has kept a checkpoint uses [`Log::subscribe_from`], which notices another or a rewound log.
    #[must_use]
    pub fn subscribe(&self, filter: Filter, from: Position) -> Subscription {
        let (sender, cancelled) = watch::channel(false);
        Subscription {
            watermark: self.watch(),
            reader: Arc::new(Mutex::new(Reader::new(self.clone(), filter, from))),
            cancelled,
            canceller: Canceller(Arc::new(sender)),
        }
    }

    /// The events that `filter` wants, from a kept checkpoint on, if the checkpoint is of this log. Reads a commit.
    ///
    /// # Errors
    /// When the checkpoint is of another store, ahead of this log, or of another history of it: what was built up to
    /// it must be built again then. [`SubscribeError::Read`] when the log is damaged there.
    pub fn subscribe_from(
        &self,
        filter: Filter,
        checkpoint: &Lineage,
    ) -> Result<Subscription, SubscribeError> {
        let Lineage { store, next, .. } = *checkpoint;
        if store != self.store_id() {
            return Err(SubscribeError::OtherStore { expected: store, found: self.store_id() });
        }
        let watermark = self.watermark();
        if next > watermark {
            return Err(SubscribeError::Ahead { next, watermark });
        }
        if !self.confirms(checkpoint)? {
            return Err(SubscribeError::Rewritten { next, chain: checkpoint.chain });
        }
        Ok(self.subscribe(filter, next))
    }
}

impl Subscription {
    /// The next delivery; `None` when `timeout` has passed without one, or the subscription was cancelled. Blocks:
    /// async code awaits [`Subscription::next`]. When the time is up, progress that has not been told yet is told in
    /// an empty delivery.
    ///
    /// # Errors
    /// When the log is damaged: once, after everything before the damage. The subscription stays at the damage, and
    /// goes on should it heal.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<Delivery>, ReadError> {
        // One that cannot be reckoned never comes.
        let deadline = Instant::now().checked_add(timeout);
        let is_late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        let mut has_read = false;
        while !self.is_cancelled() {
            let watermark = *self.watermark.borrow_and_update();
            let mut reader = self.reader.lock();
            match reader.glance(watermark) {
                Glance::Next(next) => return next.map(Some),
                Glance::Unread if has_read && is_late() => return Ok(None),
                Glance::Unread => {
                    reader.fill();
                    has_read = true;
                }
                Glance::Wait(_) if is_late() => return Ok(reader.take_checkpoint()),
                Glance::Wait(until) => {
                    drop(reader);
                    let until = [until, deadline].into_iter().flatten().min();
                    park::until(news(&mut self.watermark, &mut self.cancelled), until);
                }
            }
        }
        Ok(None)
    }

    /// The next delivery; `None` when the subscription was cancelled, or the runtime is shutting down. Dropping the
    /// future loses nothing. Reading, which may wait for a disk, is done on the runtime's blocking threads.
    ///
    /// # Errors
    /// As [`Subscription::wait`].
    ///
    /// # Panics
    /// As everything in tokio that waits: outside of a runtime, or inside one without time enabled.
    pub async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        while !self.is_cancelled() {
            let watermark = *self.watermark.borrow_and_update();
            // Held only by the work of a `next` that was dropped; then waiting for it is blocking work as well.
            let glance = self.reader.try_lock().map_or(Glance::Unread, |mut reader| reader.glance(watermark));
            match glance {
                Glance::Next(next) => return next.map(Some),
                Glance::Unread => {
                    let reader = Arc::clone(&self.reader);
                    // It only makes ready: what is fetched by `glance` cannot be lost with this future.
                    match tokio::task::spawn_blocking(move || reader.lock().fill()).await {
                        Ok(()) => {}
                        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                        Err(_) => return Ok(None),
                    }
                }
                Glance::Wait(None) => news(&mut self.watermark, &mut self.cancelled).await,
                Glance::Wait(Some(until)) => {
                    let news = news(&mut self.watermark, &mut self.cancelled);
                    // Both are reasons to look again.
                    let _ = tokio::time::timeout_at(until.into(), news).await;
                }
            }
        }
        Ok(None)
    }

    /// What ends this subscription from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Whether it has been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }
}

/// Comes when the watermark moves or the subscription is cancelled.
async fn news(watermark: &mut watch::Receiver<Position>, cancelled: &mut watch::Receiver<bool>) {
    tokio::select! {
        Ok(()) = watermark.changed() => {}
        _ = cancelled.wait_for(|cancelled| *cancelled) => {}
    }
}
