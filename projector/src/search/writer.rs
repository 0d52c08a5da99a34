//! The search projection: remembers which documents are out of date, and a thread that makes them anew.
//!
//! Marking is cheap and happens in the tail's thread; making documents is not and happens in one of its own. A commit
//! happens 50 ms after the last change, 500 ms after the first, or at 50,000 documents, whichever comes first.
//!
//! Invariant: a commit's lineage is that of the marks it works off, never that of the models, which may be ahead: what
//! changed in between is marked again and would otherwise be missed after a restart.

use crate::backoff::Backoff;
use crate::control::Letters;
use crate::decode::{DecodedCommit, DecodedEvent, Happening, Subject};
use crate::models::{ItemModel, SharedModels};
use crate::projection::{Projection, ProjectionError, Step, step};
use crate::search::document::{DocumentKey, DocumentKind};
use crate::search::schema::SEARCH_VERSION;
use crate::search::searcher::SearchError;
use crate::search::store::{Effort, IndexStore, Writer};
use crate::tail;
use domain::{DomainEvent, board, comment, item};
use eventstore::{Lineage, Log, Position};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxHashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A commit this long after the last change …
const IDLE: Duration = Duration::from_millis(50);
/// … or this long after the first …
const DELAY_MAX: Duration = Duration::from_millis(500);
/// … or with this many documents.
const DOCUMENTS_MAX: usize = 50_000;
/// Tokenizing takes more than everything else together, and can wait: commands and queries come first.
const NICENESS: i32 = 10;

/// Keeps the search index up to date with the models.
#[derive(Debug)]
pub(crate) struct SearchProjection {
    models: SharedModels,
    log: Log,
    dir: PathBuf,
    /// What was marked; the index follows.
    checkpoint: Lineage,
    work: Arc<Work>,
    thread: Option<JoinHandle<()>>,
}

/// What the tail's thread and the writing thread share.
#[derive(Debug)]
struct Work {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    dirty: FxHashSet<DocumentKey>,
    /// What has been marked.
    marked: Lineage,
    /// What has been committed.
    committed: Lineage,
    /// When the oldest and the newest mark were made that are not worked off.
    waiting: Option<(Instant, Instant)>,
    ending: Option<Ending>,
    failure: Option<String>,
    /// A batch is being written.
    is_busy: bool,
    /// Somebody waits for everything that is marked.
    is_wanted: bool,
    /// What the documents were made under; nothing when some of them were made under others.
    made_under: Option<Arc<Letters>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Work off what is marked, then end.
    Finish,
    /// End at once, as a crash would.
    Abandon,
}

impl SearchProjection {
    /// Starts to keep an index up to date that has taken in `lineage`, all of it made under the models' dead letters
    /// or, where it is not `whole`, under others.
    pub(crate) fn start(
        store: IndexStore,
        lineage: Lineage,
        models: SharedModels,
        log: Log,
        whole: bool,
    ) -> io::Result<Self> {
        let work = Arc::new(Work::new(lineage, whole.then(|| models.letters())));
        let (dir, to_mark) = (store.dir().to_owned(), log.clone());
        let thread = {
            let (work, models) = (Arc::clone(&work), models.clone());
            std::thread::Builder::new()
                .name("search-write".to_owned())
                .spawn(move || work.run_guarded(|| work.run(&store, &models, &log)))?
        };
        Ok(Self { models, log: to_mark, dir, checkpoint: lineage, work, thread: Some(thread) })
    }

    /// Tells, from any thread, how far the index is.
    pub(crate) fn status(&self) -> SearchStatus {
        SearchStatus { work: Arc::new(Mutex::new(Arc::clone(&self.work))) }
    }

    /// The generation that it writes.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Some of its documents were made of models that are no more.
    pub(crate) fn is_whole_no_more(&self) {
        self.work.state.lock().made_under = None;
    }

    /// Whether all of its documents were made under the models' dead letters.
    pub(crate) fn is_whole(&self) -> bool {
        self.work.state.lock().made_under.is_some()
    }

    /// Works off what is marked now; false when that takes longer than `patience`, or fails.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.work.state.lock();
        state.is_wanted = true;
        self.work.changed.notify_all();
        let is_done = |state: &State| {
            state.waiting.is_none() && !state.is_busy && state.committed.next >= state.marked.next
        };
        while !is_done(&state) && !self.work.changed.wait_until(&mut state, until).timed_out() {}
        state.is_wanted = false;
        is_done(&state)
    }

    /// Marks what is other since the models were replaced: these entities, and whatever happened since they were compared.
    pub(crate) fn mark_replaced(
        &mut self,
        since: Position,
        entities: &[String],
    ) -> Result<(), ProjectionError> {
        let mut dirty: FxHashSet<_> = entities.iter().filter_map(|name| DocumentKey::named(name)).collect();
        for commit in self.log.commits(since) {
            let commit = commit?;
            if commit.first() >= self.checkpoint.next {
                break;
            }
            DecodedCommit::decode(&commit).events.iter().for_each(|event| self.mark(event, &mut dirty));
        }
        let mut state = self.work.state.lock();
        state.dirty.extend(dirty);
        let now = Instant::now();
        state.waiting = Some((state.waiting.map_or(now, |(oldest, _)| oldest), now));
        drop(state);
        self.work.changed.notify_all();
        Ok(())
    }

    /// From now on its documents are made under what the models obey.
    fn note_letters(&self) {
        let letters = self.models.letters();
        if let Some(made_under) = &mut self.work.state.lock().made_under {
            *made_under = letters;
        }
    }

    /// Works off what is marked and ends.
    pub(crate) fn finish(mut self) -> Result<(), SearchError> {
        self.end(Ending::Finish);
        match self.work.state.lock().failure.take() {
            None => Ok(()),
            Some(failure) => Err(SearchError::Index(failure)),
        }
    }

    fn end(&mut self, ending: Ending) {
        self.work.state.lock().ending.get_or_insert(ending);
        self.work.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }

    /// Everything whose document an event changes.
    fn mark(&self, event: &DecodedEvent<'_>, dirty: &mut FxHashSet<DocumentKey>) {
        let Happening::Known(known) = &event.happening else { return };
        dirty.extend(DocumentKey::of(event.subject));
        match (event.subject, known) {
            // Items in a removed column are in another one now. Those that have moved on since have events of their own.
            (Subject::Board(board), DomainEvent::Board(board::Event::ColumnRemoved(event))) => {
                let models = self.models.read();
                let column_id = models.board(board).map(|board| board.resolve(event.items_to));
                let items = column_id.and_then(|column_id| models.column_items(board, column_id));
                dirty.extend(
                    items.into_iter().flatten().filter_map(|item| DocumentKey::of(Subject::Item(item.id))),
                );
            }
            // An item says whether it has comments; so the first of those that it has now says something new of it. Those
            // that were deleted since have events of their own.
            (Subject::Comment(comment), DomainEvent::Comment(comment::Event::Added(event))) => {
                let models = self.models.read();
                let is_first = |item: &ItemModel| item.comments.first() == Some(&comment);
                if models.item(event.item_id).is_none_or(is_first) {
                    dirty.extend(DocumentKey::of(Subject::Item(event.item_id)));
                }
            }
            (Subject::Comment(_), DomainEvent::Comment(comment::Event::Deleted(event))) => {
                dirty.extend(DocumentKey::of(Subject::Item(event.item_id)));
            }
            // The comments of a deleted item are gone with it.
            (Subject::Item(item), DomainEvent::Item(item::Event::Deleted(_))) => {
                dirty.extend(self.models.read().item(item).into_iter().flat_map(comments_of));
            }
            // The items of a deleted board, and their comments, are gone with it. Those that came later have events of
            // their own.
            (Subject::Board(board), DomainEvent::Board(board::Event::Deleted(_))) => {
                let models = self.models.read();
                for item in models.board_items(board) {
                    dirty.extend(DocumentKey::of(Subject::Item(item.id)));
                    dirty.extend(comments_of(item));
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn comments_of(item: &ItemModel) -> impl Iterator<Item = DocumentKey> + '_ {
    item.comments.iter().map(|id| DocumentKey { kind: DocumentKind::Comment, id: id.uuid() })
}

/// How far the index is, and what is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct SearchStatus {
    work: Arc<Mutex<Arc<Work>>>,
}

impl SearchStatus {
    /// The next position that the index will take in.
    pub(crate) fn committed(&self) -> Position {
        self.work().state.lock().committed.next
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.work().state.lock().failure.clone()
    }

    /// Tells of another index from now on.
    pub(crate) fn turn_to(&self, other: &SearchProjection) {
        *self.work.lock() = Arc::clone(&other.work);
    }

    fn work(&self) -> Arc<Work> {
        Arc::clone(&self.work.lock())
    }

    /// Has documents written anew from the newest state of the models, whether anything changed or not: what stands there
    /// twice stands there once then, and what should not be there does not.
    pub(crate) fn renew(&self, keys: impl IntoIterator<Item = DocumentKey>) {
        let work = self.work();
        let mut state = work.state.lock();
        state.dirty.extend(keys);
        let now = Instant::now();
        state.waiting = Some((state.waiting.map_or(now, |(oldest, _)| oldest), now));
        drop(state);
        work.changed.notify_all();
    }
}

impl Drop for SearchProjection {
    fn drop(&mut self) {
        self.end(Ending::Abandon);
    }
}

impl Projection for SearchProjection {
    fn name(&self) -> &'static str {
        "search"
    }

    fn version(&self) -> u32 {
        SEARCH_VERSION
    }

    fn checkpoint(&self) -> Lineage {
        self.checkpoint
    }

    fn is_waiting(&self) -> bool {
        self.models.waiting().is_some() && self.checkpoint.next >= self.models.checkpoint()
    }

    fn rest(&mut self) {
        self.note_letters();
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        let mut dirty = FxHashSet::default();
        let before = self.checkpoint.next;
        let reached = self.models.checkpoint();
        for commit in commits {
            // Documents are made of the models, so the index is never ahead of them.
            if commit.lineage.next > reached {
                break;
            }
            if step(&self.checkpoint, commit)? == Step::TakeIn {
                commit.events.iter().for_each(|event| self.mark(event, &mut dirty));
                self.checkpoint = commit.lineage;
            }
        }
        let mut state = self.work.state.lock();
        state.dirty.extend(dirty);
        state.marked = self.checkpoint;
        // Commits without events change nothing that anybody could wait for.
        if self.checkpoint.next != before {
            let now = Instant::now();
            state.waiting = Some((state.waiting.map_or(now, |(oldest, _)| oldest), now));
            drop(state);
            self.work.changed.notify_all();
        }
        Ok(())
    }
}

impl Work {
    fn new(lineage: Lineage, made_under: Option<Arc<Letters>>) -> Self {
        let state = State {
            dirty: FxHashSet::default(),
            marked: lineage,
            committed: lineage,
            waiting: None,
            ending: None,
            failure: None,
            is_busy: false,
            is_wanted: false,
            made_under,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A panic ends the thread; what it said stays the failure.
    fn run_guarded(&self, run: impl FnOnce()) {
        if let Err(panic) = tail::guarded(run) {
            tracing::error!(error = panic, "the search index stands still");
            self.state.lock().failure = Some(panic);
        }
    }

    fn run(&self, store: &IndexStore, models: &SharedModels, log: &Log) {
        // For the calling thread only, and for those that it starts: tantivy's inherit it.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "the search index is written at the usual priority");
        }
        let mut writer = None;
        let mut backoff = Backoff::default();
        while let Some((keys, lineage, made_under)) = self.next_batch() {
            let batch: Vec<_> = keys.into_iter().collect();
            match self.write_batch(store, &mut writer, &batch, (&lineage, made_under.as_deref()), models, log)
            {
                Ok(()) => {
                    backoff.succeeded();
                    let mut state = self.state.lock();
                    state.is_busy = false;
                    self.changed.notify_all();
                    if state.failure.take().is_some() {
                        tracing::info!("the search index goes on");
                    }
                }
                Err(error) => {
                    // A writer that failed is of no use; a new one begins at the last commit.
                    writer = None;
                    if self.failed(&batch, error.to_string(), backoff.failed()) {
                        return;
                    }
                }
            }
        }
    }

    /// Puts a batch back. True when it is not to be tried again.
    fn failed(&self, batch: &[DocumentKey], failure: String, pause: Duration) -> bool {
        let mut state = self.state.lock();
        state.is_busy = false;
        if state.failure.as_ref() != Some(&failure) {
            tracing::error!(error = failure, "the search index stands still");
        }
        state.failure = Some(failure);
        state.dirty.extend(batch);
        let now = Instant::now();
        state.waiting = state.waiting.or(Some((now, now)));
        // New marks wake this up too; they are no reason to try again sooner.
        while state.ending.is_none() && !self.changed.wait_until(&mut state, now + pause).timed_out() {}
        state.ending.is_some()
    }

    /// What is to be committed next, once it is time; `None` at the end.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        loop {
            match (state.ending, state.waiting) {
                (Some(Ending::Abandon), _) => return None,
                (Some(Ending::Finish), Some(_)) => return Some(take(&mut state)),
                (Some(Ending::Finish), None) => return None,
                (None, None) => self.changed.wait(&mut state),
                (None, Some((oldest, newest))) => {
                    let due = (newest + IDLE).min(oldest + DELAY_MAX);
                    if state.is_wanted || state.dirty.len() >= DOCUMENTS_MAX || Instant::now() >= due {
                        return Some(take(&mut state));
                    }
                    self.changed.wait_until(&mut state, due);
                }
            }
        }
    }

    fn write_batch(
        &self,
        store: &IndexStore,
        writer: &mut Option<Writer>,
        keys: &[DocumentKey],
        (lineage, made_under): (&Lineage, Option<&Letters>),
        models: &SharedModels,
        log: &Log,
    ) -> Result<(), SearchError> {
        let effort = writer.as_ref().map_or(Effort::LIVE, Writer::effort).for_batch(keys.len());
        // Only one writer may be open. What the old one was given has been committed, or else it would be gone.
        if writer.as_ref().is_some_and(|writer| writer.effort() != effort) {
            *writer = None;
        }
        let writer = match writer {
            Some(writer) => writer,
            None => writer.insert(store.writer(effort)?),
        };
        writer.write(keys, models, log, |_| {})?;
        if self.state.lock().ending == Some(Ending::Abandon) {
            // A crash would not have come as far as to the commit.
            return Ok(());
        }
        writer.commit(lineage, made_under)?;
        self.state.lock().committed = *lineage;
        Ok(())
    }
}

/// Documents to be made, what is taken in with them, and under which dead letters.
type Batch = (FxHashSet<DocumentKey>, Lineage, Option<Arc<Letters>>);

fn take(state: &mut MutexGuard<'_, State>) -> Batch {
    state.waiting = None;
    state.is_busy = true;
    (std::mem::take(&mut state.dirty), state.marked, state.made_under.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use eventstore::Digest;
    use uuid::Uuid;

    #[test]
    fn a_panic_of_the_writing_thread_is_told_as_a_failure() {
        let lineage = Lineage { store: Uuid::nil(), next: Position::ZERO, chain: Digest::default() };
        let work = Arc::new(Work::new(lineage, None));
        work.run_guarded(|| panic!("a bug"));
        let failure = SearchStatus { work: Arc::new(Mutex::new(work)) }.failure().unwrap();
        assert!(failure.contains("panicked: a bug"), "{failure}");
    }
}
