//! The notary's loop: take in what has become durable, sign when it is time, publish, go on.

use super::books::{Books, BooksError};
use super::push::{Cosigned, Push};
use super::{NotaryOptions, files, status};
use crate::tail::guarded;
use eventstore::storage::Environment;
use eventstore::transparency::SignedNote;
use eventstore::{Log, Position, RecordedCommit, follows};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Commits that are taken in at once at most, and events with which a batch ends.
const BATCH_COMMITS_MAX: usize = 1_024;
const BATCH_EVENTS: usize = 8_192;
/// Pause after a failure.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The same where the log contradicts what was signed: that takes a person, and looking takes a while.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long nothing happens until it looks again, at most.
const REST: Duration = Duration::from_millis(250);

/// What the notary's thread is given.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) data_dir: PathBuf,
    pub(super) log: Log,
    pub(super) options: NotaryOptions,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) status: status::Shared,
}

impl Work {
    pub(super) fn run(mut self) {
        let status = self.status.clone();
        if let Err(panic) = guarded(|| self.run_unguarded()) {
            tracing::error!(error = panic, "no checkpoints are signed any more");
            status.change(|status| status.failure = Some(panic));
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn run_unguarded(&mut self) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.fail(Some(&format!("cannot wait for the log: {error}"))),
        };
        // Before it has looked, it takes nothing back that an earlier process has said.
        let mut is_refused = true;
        while !self.is_stopped() {
            // A key made here would be a second one under the name of the log that it follows: a forgery to its auditors.
            if matches!(follows(&Environment::default(), &self.data_dir), Ok(Some(_))) {
                tracing::debug!("a standby signs nothing");
                self.pause(&runtime, TRY_AGAIN);
                continue;
            }
            let failed = match Books::open(&self.data_dir, &self.log, &self.options) {
                Ok(books) => self.keep(books, &runtime).err(),
                Err(error) => Some(error),
            };
            let Some(error) = failed else { continue };
            self.fail(Some(&error.to_string()));
            is_refused = matches!(error, BooksError::Refused(_));
            let pause = if is_refused { LOOK_AGAIN } else { TRY_AGAIN };
            self.pause(&runtime, pause);
        }
        // What only could not be done for now (an archive that did not answer, a full disk) is nobody's news once this process is
        // gone; a contradiction is, until somebody has looked at it.
        if !is_refused && let Err(error) = files::remove(&files::refused(&self.data_dir)) {
            tracing::error!(%error, "whether checkpoints are signed cannot be written down");
        }
    }

    /// Waits, or until it is stopped.
    fn pause(&self, runtime: &tokio::runtime::Runtime, pause: Duration) {
        let mut stop = self.stop.clone();
        runtime.block_on(async {
            let _ = tokio::time::timeout(pause, stop.wait_for(|stopped| *stopped)).await;
        });
    }

    /// Says what is wrong, once, in the log, in the status and in a file that other processes look at.
    fn fail(&self, failure: Option<&str>) {
        if self.status.get().failure.as_deref() == failure {
            return;
        }
        let path = files::refused(&self.data_dir);
        let told = match failure {
            Some(error) => {
                tracing::error!(error, "no checkpoints are signed");
                files::write(&path, &format!("{error}\n"))
            }
            None => {
                tracing::info!("checkpoints are signed again");
                files::remove(&path)
            }
        };
        if let Err(error) = told {
            tracing::error!(%error, "whether checkpoints are signed cannot be written down");
        }
        self.status.change(|status| status.failure = failure.map(str::to_owned));
    }

    /// Keeps the books until it is stopped or something fails.
    fn keep(&self, mut books: Books, runtime: &tokio::runtime::Runtime) -> Result<(), BooksError> {
        // What an earlier process left; this one has just found that nothing is wrong.
        files::remove(&files::refused(&self.data_dir))?;
        self.fail(None);
        let push = Push::start(&self.data_dir, &self.options.policy, &self.status)?;
        if let Some(newest) = books.newest() {
            let note = newest.note.clone();
            self.status.change(|status| status.signed = newest.checkpoint.head.size);
            self.offer(&push, &note)?;
        }
        let mut commits = self.log.commits(Position::new(books.size().get()));
        let mut held: Option<RecordedCommit> = None;
        let mut durable = self.log.watch_durable();
        let mut stop = self.stop.clone();
        let mut signed_at = None::<Instant>;
        while !self.is_stopped() {
            let end = *durable.borrow_and_update();
            let (mut batch, mut events) = (Vec::new(), 0);
            while batch.len() < BATCH_COMMITS_MAX && events < BATCH_EVENTS {
                let Some(commit) = held.take().map(Ok).or_else(|| commits.next()).transpose()? else { break };
                if commit.place() >= end {
                    held = Some(commit);
                    break;
                }
                // Commits without events move the chain and not the tree; one may stand before the first event that is wanted.
                if !commit.is_empty() || commit.first().get() >= books.size().get() {
                    events += commit.len();
                    batch.push(commit);
                }
            }
            books.take_in(&batch)?;
            self.status.change(|status| status.tree = books.size());
            for cosigned in push.take() {
                self.cosigned(&mut books, cosigned)?;
            }
            let left =
                signed_at.map_or(Duration::ZERO, |at| self.options.interval.saturating_sub(at.elapsed()));
            if books.has_news() && left.is_zero() {
                let entry = books.sign()?;
                signed_at = Some(Instant::now());
                let note = entry.note.clone();
                self.status.change(|status| status.signed = entry.checkpoint.head.size);
                self.offer(&push, &note)?;
            } else if batch.is_empty() {
                let rest = if books.has_news() { left } else { REST };
                runtime.block_on(async {
                    tokio::select! {
                        changed = durable.changed() => if changed.is_err() { tokio::time::sleep(rest).await },
                        _ = stop.wait_for(|stopped| *stopped) => {}
                        () = push.wait() => {}
                        () = tokio::time::sleep(rest) => {}
                    }
                });
            }
        }
        // What was taken in is signed before the end, so that a quiet store's newest checkpoint covers all of it.
        if books.has_news() {
            let note = books.sign()?.note.clone();
            self.offer(&push, &note)?;
        }
        Ok(())
    }

    /// Shows a checkpoint: to the world when no witness has to see it first, and to the witnesses.
    fn offer(&self, push: &Push, note: &SignedNote) -> Result<(), BooksError> {
        let policy = &self.options.policy;
        let has = |key: &eventstore::transparency::VerifierKey| note.verify(&[key]).is_ok();
        if policy.is_met(has) {
            self.publish(note)?;
        }
        push.offer(note.clone());
        Ok(())
    }

    /// A witness has cosigned: that is kept, and shown once enough have.
    fn cosigned(&self, books: &mut Books, cosigned: Cosigned) -> Result<(), BooksError> {
        let Cosigned { note, is_met } = cosigned;
        let Some(newest) = books.newest() else { return Ok(()) };
        // One that was overtaken while witnesses thought about it is worth as much.
        let checkpoint = eventstore::transparency::Checkpoint::parse(note.text());
        let Ok(checkpoint) = checkpoint else { return Ok(()) };
        if !is_met || checkpoint.head.size < self.status.get().published {
            return Ok(());
        }
        if checkpoint == newest.checkpoint {
            let entry = eventstore::transparency::journal::Entry { note: note.clone(), ..newest.clone() };
            books.keep_cosigned(&entry)?;
        }
        self.publish(&note)
    }

    fn publish(&self, note: &SignedNote) -> Result<(), BooksError> {
        files::write(&files::published(&self.data_dir), &note.to_string())?;
        if let Ok(checkpoint) = eventstore::transparency::Checkpoint::parse(note.text()) {
            self.status.change(|status| status.published = checkpoint.head.size);
        }
        Ok(())
    }
}
