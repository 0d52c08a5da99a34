//! Reading the log: everything by position, one stream forward and backward, one event, one command.
//!
//! The same type serves the writer's process and every other. It hands out what has been tailed (`tail.rs`) and
//! nothing beyond. Whole commits only.

use crate::commits::Commits;
use crate::error::{Damage, OpenError, ReadError};
use crate::follow::{self, Follower};
use crate::lookup::Key;
use crate::names::{CommandId, StreamId, Tag};
use crate::numbers::{Digest, Lineage, Position, Version};
use crate::recorded::{FoundCommand, RecordedCommit, RecordedEvent};
use crate::storage::Environment;
use crate::tail::Shared;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// A handle to read a log. Cheap to clone; all clones share one index.
#[derive(Debug, Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    /// Follows the writer of another process; dropped with the last handle.
    _follower: Option<Arc<Follower>>,
    /// What a log that was opened offline ends before.
    damage: Option<Arc<Damage>>,
}

/// Which way to read a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards newer events.
    Forward,
    /// Towards older events.
    Backward,
}

impl Log {
    pub(crate) fn of_writer(shared: Arc<Shared>) -> Self {
        Self { shared, _follower: None, damage: None }
    }

    /// Opens the log of a data directory whose writer is another process, and follows that writer.
    ///
    /// # Errors
    /// [`OpenError::NoLog`] when no writer has ever published there; otherwise when the log cannot be read.
    pub fn open(data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_in(&Environment::default(), data_dir)
    }

    /// As [`Log::open`], in a given environment.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_in(environment: &Environment, data_dir: &Path) -> Result<Self, OpenError> {
        let (shared, follower) = follow::open(environment, data_dir)?;
        Ok(Self { shared, _follower: Some(Arc::new(follower)), damage: None })
    }

    /// Opens the log of a data directory as it is now, without a writer and without following one. A log that is damaged
    /// ends before the damage: ask [`Log::damage`]. Segments whose index is on disk are not read for this; what is
    /// damaged in them shows when it is read.
    ///
    /// # Errors
    /// When there is no log, or its beginning cannot be read.
    pub fn open_offline(data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_offline_in(&Environment::default(), data_dir)
    }

    /// As [`Log::open_offline`], in a given environment.
    ///
    /// # Errors
    /// As [`Log::open_offline`].
    pub fn open_offline_in(environment: &Environment, data_dir: &Path) -> Result<Self, OpenError> {
        let (shared, damage) = follow::open_offline(environment, data_dir)?;
        Ok(Self { shared, _follower: None, damage: damage.map(Arc::new) })
    }

    /// Why a log that was opened offline ends where it does, if there is more of it that cannot be read.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_deref()
    }

    /// The store that this log belongs to.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.shared.store
    }

    /// The next position to be published.
    #[must_use]
    pub fn watermark(&self) -> Position {
        *self.shared.watermark.borrow()
    }

    /// Changes whenever the watermark moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.shared.watermark.subscribe()
    }

    /// Blocks until the watermark is at least `position`; false when `timeout` passes first.
    #[must_use]
    pub fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut pause = Duration::from_micros(50);
        while self.watermark() < position {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        true
    }

    /// Whether all that stands from `position` on is on this machine. What is not would have to be fetched from the archive, to
    /// which the oldest goes first.
    #[must_use]
    pub fn is_here_from(&self, position: Position) -> bool {
        self.shared.is_here_from(position)
    }

    /// Whole commits in order of position; the first is the one that holds `from`. Ends at the watermark, and goes on
    /// when asked again after the watermark has moved. An error ends it for good.
    #[must_use]
    pub fn commits(&self, from: Position) -> Commits {
        Commits::new(Arc::clone(&self.shared), from)
    }

    /// The event at a position; `None` beyond the watermark.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub fn event(&self, position: Position) -> Result<Option<RecordedEvent>, ReadError> {
        Ok(self.commit_at(position)?.and_then(|commit| commit.event(position)))
    }

    /// The commit that the event at a position is in; `None` at or after the watermark.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub fn commit_at(&self, position: Position) -> Result<Option<RecordedCommit>, ReadError> {
        if position >= self.watermark() {
            return Ok(None);
        }
        // Commits without events may stand at the position, too.
        let mut commits =
            self.commits(position).skip_while(|commit| commit.as_ref().is_ok_and(RecordedCommit::is_empty));
        commits.next().transpose()
    }

    /// Last version of a stream; `None` when it does not exist.
    ///
    /// # Errors
    /// When the log is damaged where the stream was written last.
    pub fn stream_version(&self, stream: &StreamId) -> Result<Option<Version>, ReadError> {
        self.shared.stream_version(stream)
    }

    /// Up to `limit` events of a stream, from version `from` (included) on, forward or backward.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub fn read_stream(
        &self,
        stream: &StreamId,
        from: Version,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.shared.history(Key::Stream(stream.as_str()), from.get(), direction, limit)
    }

    /// Up to `limit` events with a tag, in order of position, from position `from` (included) on, forward or backward.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub fn read_tag(
        &self,
        tag: &Tag,
        from: Position,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.shared.history(Key::Tag(tag.as_str()), from.get(), direction, limit)
    }

    /// What the log remembers of a command.
    ///
    /// # Errors
    /// When the log is damaged where the command was recorded.
    pub fn find_command(&self, command: &CommandId) -> Result<Option<FoundCommand>, ReadError> {
        self.shared.find_command(command)
    }

    /// Position of the newest event with the tag.
    ///
    /// # Errors
    /// When the log is damaged where that event is.
    pub fn newest_with_tag(&self, tag: &Tag) -> Result<Option<Position>, ReadError> {
        self.shared.newest_with_tag(tag)
    }

    /// Where the log is: store, next position, chain head.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        let tail = self.shared.tail();
        Lineage { store: self.shared.store, next: tail.next, chain: tail.chain }
    }

    /// Whether a remembered lineage is one of this log's own: the same store, and the same chain head there.
    ///
    /// # Errors
    /// When the log is damaged there.
    pub fn confirms(&self, lineage: &Lineage) -> Result<bool, ReadError> {
        if lineage.store != self.shared.store || lineage.next > self.watermark() {
            return Ok(false);
        }
        if lineage.next == Position::ZERO && lineage.chain == Digest::default() {
            return Ok(true);
        }
        // Commits without events share a position, so several chain heads can stand at one.
        let before = Position::new(lineage.next.get().saturating_sub(1));
        for commit in self.commits(before) {
            let commit = commit?;
            if commit.first() > lineage.next {
                break;
            }
            if commit.next() == lineage.next && commit.chain() == lineage.chain {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
