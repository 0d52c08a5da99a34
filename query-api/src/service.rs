//! What all handlers share: the log, the models that follow it, and the index.
//!
//! Invariant: a read that was asked for a position happens after its source has reached it, and tells a position
//! that was read under the same lock (or before), so an answer never covers less than it says.

use crate::checks::Checks;
use crate::consumers::{Exhausted, Listener, Slots};
use crate::export::ExportPlaces;
use crate::freshness::{Freshness, Refusal, stamp};
use crate::live::{Hub, Rooms, SUBSCRIBERS_MAX};
use crate::past::RECALLS_MAX;
use crate::problems::{interrupted, not_caught_up};
use crate::verification::Verifications;
use crate::views::Views;
use axum::response::{IntoResponse, Response};
use eventstore::{Log, Position, RecordedEvent, Timestamp};
use http_kit::problem::Problem;
use http_kit::shutdown::Shutdown;
use projector::activity::Activity;
use projector::analytics::Analytics;
use projector::audit::ScrubSettings;
use projector::checker::{CheckFigures, CheckSettings};
use projector::control::{Controls, Underway};
use projector::models::Models;
use projector::notary::{Published, ReaderError, TreeReader};
use projector::search::Searcher;
use projector::{Following, ReadModel, ReadModels, SharedModels};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Reads that run at one time; the next ones wait. It bounds threads, and the memory of answers that are being made.
const READS_MAX: usize = 64;
/// A projection may be this many seconds behind, unless configured otherwise.
pub const BEHIND_SECONDS_MAX: u64 = 60;
/// How often a request that waits for the index looks whether it has come.
const INDEX_LOOK: Duration = Duration::from_millis(5);
/// How often a request that waits for a checkpoint looks whether it has come.
const CHECKPOINT_LOOK: Duration = Duration::from_millis(10);

/// The query side of one data directory. Cheap to clone; all clones share one set of models.
#[derive(Debug, Clone)]
pub struct QueryService {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    models: ReadModels,
    searcher: Searcher,
    audit: TreeReader,
    /// Whatever keeps the models and the index fresh.
    source: Source,
    /// What the log had when this service began: until the models have that, answers would be of the past.
    began_at: Position,
    caught_up: AtomicBool,
    /// A place belongs to a read on its thread, not to the request that waits for it: requests are given up, reads
    /// are not.
    reads: Arc<Semaphore>,
    exports: ExportPlaces,
    recalls: Arc<Semaphore>,
    live: Hub,
    rooms: Rooms,
    views: Views,
    checks: Checks,
    verifications: Verifications,
    controls: Controls,
    data_dir: PathBuf,
    /// Seconds that a projection may be behind; 0 for any number.
    behind_max: AtomicU64,
    consumers: Arc<Slots>,
    exhausted: OnceLock<Listener>,
}

/// Tells why the projections do not move; owns the thread that moves them, where it is ours.
struct Source(Box<dyn Fn() -> Option<String> + Send + Sync>);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&(self.0)()).finish()
    }
}

impl QueryService {
    /// Serves a data directory: the models start from the newest image, when there is one, and follow the log in a
    /// thread of their own; the index is read as the projector writes it. Blocks while an image is read.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(data_dir: &Path, log: Log) -> io::Result<Self> {
        let models = ReadModels::open(data_dir, &log);
        let following = models.follow(log.clone())?;
        let searcher = Searcher::open(data_dir, log.clone());
        let failure = move || Following::failure(&following);
        Ok(Self::new(data_dir, log, models, searcher, Source(Box::new(failure))))
    }

    /// Serves models that somebody else in this process keeps up to date, such as its projector; `failure` tells why
    /// they do not move, when something is wrong there.
    #[must_use]
    pub fn over(
        data_dir: &Path,
        log: Log,
        models: ReadModels,
        failure: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let searcher = Searcher::open(data_dir, log.clone());
        Self::new(data_dir, log, models, searcher, Source(Box::new(failure)))
    }

    fn new(data_dir: &Path, log: Log, models: ReadModels, searcher: Searcher, source: Source) -> Self {
        let audit = TreeReader::new(data_dir);
        let began_at = log.watermark();
        let caught_up = AtomicBool::new(false);
        let reads = Arc::new(Semaphore::new(READS_MAX));
        let exports = ExportPlaces::default();
        let recalls = Arc::new(Semaphore::new(RECALLS_MAX));
        let live = Hub::new(log.clone(), SUBSCRIBERS_MAX);
        let rooms = Rooms::default();
        let views = Views::default();
        let checks = Checks::default();
        let controls = Controls::new(log.clone());
        let behind_max = AtomicU64::new(BEHIND_SECONDS_MAX);
        let data_dir = data_dir.to_owned();
        let shared = Shared {
            log,
            models,
            searcher,
            audit,
            source,
            began_at,
            caught_up,
            reads,
            exports,
            recalls,
            live,
            rooms,
            views,
            checks,
            verifications: Verifications::default(),
            controls,
            data_dir,
            behind_max,
            consumers: Arc::default(),
            exhausted: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The log that answers come from.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// The models that most answers come from.
    #[must_use]
    pub fn models(&self) -> &SharedModels {
        &self.shared.models.models
    }

    /// Which events concern what.
    #[must_use]
    pub fn activity(&self) -> &projector::Shared<Activity> {
        &self.shared.models.activity
    }

    /// What happened on each board, day by day.
    #[must_use]
    pub fn analytics(&self) -> &projector::Shared<Analytics> {
        &self.shared.models.analytics
    }

    /// All read models that answers come from.
    #[must_use]
    pub fn read_models(&self) -> &ReadModels {
        &self.shared.models
    }

    /// The index that searches are made in.
    #[must_use]
    pub fn searcher(&self) -> &Searcher {
        &self.shared.searcher
    }

    /// What is asked of projections and decided about them.
    pub(crate) fn controls(&self) -> &Controls {
        &self.shared.controls
    }

    /// The rebuild of a projection that is carried out, as far as its projector says.
    pub(crate) fn underway(&self, projection: &str) -> Option<Underway> {
        projector::control::underway(&self.shared.data_dir, projection)
    }

    /// It is not ready while one of its projections is this many seconds behind; 0 for never.
    pub fn tolerate_behind(&self, seconds: u64) {
        self.shared.behind_max.store(seconds, Ordering::Relaxed);
    }

    /// What was signed of the log.
    pub(crate) fn audit(&self) -> &TreeReader {
        &self.shared.audit
    }

    /// Events that the published checkpoint covers.
    pub(crate) fn checkpointed(&self) -> u64 {
        let published = self.audit().published();
        published.ok().flatten().map_or(0, |published| published.checkpoint.head.size.get())
    }

    /// Those who get events as they happen.
    pub(crate) fn live(&self) -> &Hub {
        &self.shared.live
    }

    /// Boards' views that have been written.
    pub(crate) fn views(&self) -> &Views {
        &self.shared.views
    }

    /// Checks of the read models.
    pub(crate) fn checks(&self) -> &Checks {
        &self.shared.checks
    }

    /// Verifications of the data directory.
    pub(crate) fn verifications(&self) -> &Verifications {
        &self.shared.verifications
    }

    /// Where everything is.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.shared.data_dir
    }

    /// Verifies segments that have ended all the time, slowly, in a thread of its own; what it finds makes this service not ready.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn scrub_in_background(&self, settings: ScrubSettings) -> io::Result<()> {
        self.shared.verifications.scrub(&self.shared.data_dir, settings)
    }

    /// Compares samples of the read models with the log now and then, in a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn check_in_background(&self, settings: CheckSettings) -> io::Result<()> {
        self.shared.checks.go_on(settings, self.log().clone(), self.read_models().clone())
    }

    /// Tells what somebody else in this process finds who checks the same read models.
    pub fn tell_checks(&self, figures: CheckFigures) {
        self.shared.checks.tell(figures);
    }

    /// Who reads for which named consumer.
    pub(crate) fn consumers(&self) -> &Arc<Slots> {
        &self.shared.consumers
    }

    /// Says who is to be told of events that were delivered to a consumer as often as may be: whoever can park them. It is called on
    /// the runtime's own threads and must not block. The first one counts.
    pub fn on_exhausted(&self, listener: impl Fn(Exhausted) + Send + Sync + 'static) {
        // A second one would park the same events once more.
        let _ = self.shared.exhausted.set(Listener(Box::new(listener)));
    }

    /// Tells of an exhausted event; false when nobody listens.
    pub(crate) fn tell_exhausted(&self, exhausted: Exhausted) -> bool {
        self.shared.exhausted.get().map(|listener| (listener.0)(exhausted)).is_some()
    }

    /// Who looks at which board.
    pub(crate) fn rooms(&self) -> &Rooms {
        &self.shared.rooms
    }

    /// Places for answers about the past.
    pub(crate) fn recalls(&self) -> &Arc<Semaphore> {
        &self.shared.recalls
    }

    /// The places of exports.
    pub(crate) fn exports(&self) -> &ExportPlaces {
        &self.shared.exports
    }

    /// Ends all live streams, those to come included: they would keep a server from stopping.
    pub fn end_live_streams(&self) {
        self.shared.live.close();
    }

    /// Ends all live streams when the shutdown goes off. Must be called within a tokio runtime.
    pub fn end_live_streams_at(&self, shutdown: Shutdown) {
        let close = self.shared.live.closer();
        tokio::spawn(async move {
            shutdown.wait().await;
            close();
        });
    }

    /// Why the models, or the index where it is kept in this process, do not move, when something is wrong.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        (self.shared.source.0)()
    }

    /// Whether it can do its work: the models have taken in what the log had at the start, and go on.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn readiness(&self) -> Result<(), String> {
        let shared = &self.shared;
        if let Some(failure) = self.failure() {
            return Err(format!("the projections stand still: {failure}"));
        }
        if let Some((projection, waiting)) = shared.models.waiting() {
            return Err(format!("the projection {projection} waits: {waiting}"));
        }
        if let Some(refusal) = self.audit().refusal() {
            return Err(format!("no checkpoint is signed: {refusal}"));
        }
        if let Some(alarm) = shared.verifications.scrubbed().and_then(|scrubbed| scrubbed.alarm()) {
            return Err(alarm);
        }
        if shared.caught_up.load(Ordering::Relaxed) {
            return self.is_behind().map_or(Ok(()), Err);
        }
        let reached = shared.models.checkpoint();
        if reached < shared.began_at {
            // All wait for whichever is replayed, because its image was of no use: it is named.
            let models = &shared.models;
            let positions = [
                (Models::NAME, models.models.checkpoint()),
                (Activity::NAME, models.activity.checkpoint()),
                (Analytics::NAME, models.analytics.checkpoint()),
            ];
            let behind = positions.iter().filter(|(_, position)| *position < shared.began_at);
            let behind: Vec<_> = behind.map(|(name, position)| format!("{name} {position}")).collect();
            return Err(format!(
                "the read models have taken in {reached} of {} events ({})",
                shared.began_at,
                behind.join(", ")
            ));
        }
        shared.caught_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Which projection is further behind than it may be.
    fn is_behind(&self) -> Option<String> {
        let shared = &self.shared;
        let max = shared.behind_max.load(Ordering::Relaxed);
        if max == 0 {
            return None;
        }
        let positions = [
            ("models", shared.models.models.checkpoint()),
            ("activity", shared.models.activity.checkpoint()),
            ("analytics", shared.models.analytics.checkpoint()),
            ("search", shared.searcher.checkpoint()),
        ];
        let watermark = shared.log.watermark();
        positions.into_iter().filter(|(_, position)| *position < watermark).find_map(|(name, position)| {
            // A log that cannot be read there is told by whoever has to read it.
            let next = shared.log.event(position).ok().flatten()?;
            let age = Timestamp::now().get().saturating_sub(RecordedEvent::get(&next)?.recorded_at().get());
            let seconds = u64::try_from(age / 1_000_000_000).unwrap_or_default();
            let lag = watermark.get().saturating_sub(position.get());
            (seconds > max).then(|| format!("the projection {name} is {lag} events and {seconds} s behind"))
        })
    }

    /// Answers from the models: `copy` takes out what is needed while they are locked, `finish` makes the answer of
    /// it and may read the log. Answers and refusals tell the position that they rest on.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        freshness: Freshness,
        copy: impl FnOnce(&Models) -> Result<T, Problem> + Send + 'static,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        self.reaches(self.models(), &freshness).await?;
        let service = self.clone();
        let answer = self.blocking(move || {
            let (copied, position) = {
                let models = service.models().read();
                (copy(&models), models.checkpoint().next)
            };
            let answer = copied.and_then(|copied| finish(copied, service.log()));
            stamp(answer.unwrap_or_else(IntoResponse::into_response), position)
        });
        Ok(answer.await?)
    }

    /// The same for what is too much to be copied under one lock: `collect` locks the models as often as it likes, and says
    /// the position that it has read first.
    pub(crate) async fn read_in_pieces<T: Send + 'static>(
        &self,
        freshness: Freshness,
        collect: impl FnOnce(&SharedModels) -> (T, Position) + Send + 'static,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        self.reaches(self.models(), &freshness).await?;
        let service = self.clone();
        let answer = self.blocking(move || {
            let (collected, position) = collect(service.models());
            let answer = finish(collected, service.log());
            stamp(answer.unwrap_or_else(IntoResponse::into_response), position)
        });
        Ok(answer.await?)
    }

    /// The same for one thing, which is soon copied: on the thread of the request, unless `lacks` says that the log has to be
    /// read for it. To hand a small answer to another thread and back costs more than to make it.
    pub(crate) async fn read_one<T: Send + 'static>(
        &self,
        freshness: Freshness,
        copy: impl FnOnce(&Models) -> Result<T, Problem>,
        lacks: impl FnOnce(&T) -> bool,
        finish: impl FnOnce(T, &Log) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Refusal> {
        self.reaches(self.models(), &freshness).await?;
        let (copied, position) = {
            let models = self.models().read();
            (copy(&models), models.checkpoint().next)
        };
        let is_lacking = copied.as_ref().is_ok_and(lacks);
        let answer = move |log: &Log| {
            let answer = copied.and_then(|copied| finish(copied, log));
            stamp(answer.unwrap_or_else(IntoResponse::into_response), position)
        };
        if is_lacking {
            let log = self.log().clone();
            Ok(self.blocking(move || answer(&log)).await?)
        } else {
            Ok(answer(self.log()))
        }
    }

    /// Waits until the models are as far as was asked.
    pub(crate) async fn models_reach(&self, freshness: &Freshness) -> Result<(), Refusal> {
        self.reaches(self.models(), freshness).await
    }

    /// Waits until a read model is as far as was asked.
    pub(crate) async fn reaches<M: ReadModel>(
        &self,
        model: &projector::Shared<M>,
        freshness: &Freshness,
    ) -> Result<(), Refusal> {
        let wanted = freshness.min_position;
        if model.checkpoint() >= wanted || model.wait_for(wanted, freshness.timeout).await {
            Ok(())
        } else {
            let reached = model.checkpoint();
            Err(Refusal::at(reached, not_caught_up(wanted, reached)))
        }
    }

    /// Waits until the models and another read model are as far as was asked.
    pub(crate) async fn models_and<M: ReadModel>(
        &self,
        model: &projector::Shared<M>,
        freshness: &Freshness,
    ) -> Result<(), Refusal> {
        let deadline = Instant::now() + freshness.timeout;
        self.models_reach(freshness).await?;
        let timeout = deadline.saturating_duration_since(Instant::now());
        self.reaches(model, &Freshness { timeout, ..*freshness }).await
    }

    /// Waits until the log itself is as far as was asked.
    pub(crate) async fn log_reaches(&self, freshness: &Freshness) -> Result<(), Refusal> {
        let wanted = freshness.min_position;
        let mut watermark = self.log().watch();
        match tokio::time::timeout(freshness.timeout, watermark.wait_for(|at| *at >= wanted)).await {
            Ok(Ok(_)) => Ok(()),
            _ => {
                let reached = self.log().watermark();
                Err(Refusal::at(reached, not_caught_up(wanted, reached)))
            }
        }
    }

    /// Waits until the published checkpoint is as far as was asked, or the time is up; answers with it.
    pub(crate) async fn audit_reaches(
        &self,
        freshness: &Freshness,
    ) -> Result<Option<Arc<Published>>, ReaderError> {
        let deadline = Instant::now() + freshness.timeout;
        loop {
            let published = self.audit().published()?;
            let size = published.as_ref().map_or(0, |published| published.checkpoint.head.size.get());
            if size >= freshness.min_position.get() || Instant::now() >= deadline {
                return Ok(published);
            }
            tokio::time::sleep(CHECKPOINT_LOOK).await;
        }
    }

    /// Waits until the models and the index are as far as was asked: for answers that are made of both.
    pub(crate) async fn both_reach(&self, freshness: &Freshness) -> Result<(), Refusal> {
        let deadline = Instant::now() + freshness.timeout;
        self.models_reach(freshness).await?;
        let wanted = freshness.min_position;
        if wanted == Position::ZERO {
            return Ok(());
        }
        loop {
            // Looking may load a new index, which reads files.
            let searcher = self.searcher().clone();
            let reached = self.blocking(move || searcher.checkpoint()).await?;
            if reached >= wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Refusal::at(reached, not_caught_up(wanted, reached)));
            }
            tokio::time::sleep(INDEX_LOOK).await;
        }
    }

    /// Runs a read that may have to wait for the disk where waiting is allowed.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        // It fails only when the semaphore is closed, which nobody does.
        let place = Arc::clone(&self.shared.reads).acquire_owned().await;
        let result = tokio::task::spawn_blocking(move || {
            let _place = place;
            read()
        });
        result.await.map_err(|error| interrupted(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventstore::{Store, StoreOptions};
    use std::sync::mpsc;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_keeps_its_place_when_its_request_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let models = ReadModels::open(dir.path(), &store.log());
        let service = QueryService::over(dir.path(), store.log(), models, || None);
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let request = tokio::spawn({
            let service = service.clone();
            async move {
                let read = move || {
                    started.send(()).unwrap();
                    // It ends when the test lets go of the other side.
                    let _ = released.recv();
                };
                service.blocking(read).await
            }
        });
        tokio::task::block_in_place(|| has_started.recv().unwrap());
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        let reads = &service.shared.reads;
        assert_eq!(reads.available_permits(), READS_MAX - 1, "the thread is still at it");
        drop(release);
        let all = u32::try_from(READS_MAX).unwrap();
        let places = tokio::time::timeout(Duration::from_secs(10), reads.acquire_many(all)).await;
        assert!(places.is_ok(), "the place comes back");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_rotten_image_keeps_all_of_them_from_being_ready_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        for number in 0..7 {
            let mut commit = eventstore::CommitBuilder::new();
            commit.event(eventstore::NewEvent {
                id: uuid::Uuid::now_v7(),
                stream: eventstore::StreamId::new(format!("order-{number}")).unwrap(),
                event_type: eventstore::EventType::new("order.placed").unwrap(),
                content_type: eventstore::ContentType::Json,
                schema_version: 1,
                tags: Vec::new(),
                metadata: eventstore::Metadata::default(),
                payload: b"{}".to_vec(),
            });
            store.append(commit.prepare().unwrap()).unwrap();
        }
        let projector = projector::Projector::start(dir.path(), store.log()).unwrap();
        let all = projector.read_models().clone();
        assert!(all.wait_for(Position::new(7), Duration::from_secs(20)).await);
        projector.stop().unwrap();
        let images = dir.path().join("images");
        let generation = std::fs::read_to_string(images.join("CURRENT")).unwrap();
        let image = images.join(generation.trim()).join("activity.img");
        let mut bytes = std::fs::read(&image).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&image, bytes).unwrap();

        let models = ReadModels::open(dir.path(), &store.log());
        let service = QueryService::over(dir.path(), store.log(), models.clone(), || None);
        let refused = service.readiness().unwrap_err();
        assert_eq!(refused, "the read models have taken in 0 of 7 events (activity 0)");
        let _following = models.follow(store.log()).unwrap();
        assert!(models.wait_for(Position::new(7), Duration::from_secs(20)).await);
        assert_eq!(service.readiness(), Ok(()));
    }

    #[tokio::test]
    async fn it_is_not_ready_while_its_projector_fails() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let models = ReadModels::open(dir.path(), &store.log());
        let is_failing = Arc::new(AtomicBool::new(false));
        let failure = {
            let is_failing = Arc::clone(&is_failing);
            move || is_failing.load(Ordering::Relaxed).then(|| "the disk is full".to_owned())
        };
        let service = QueryService::over(dir.path(), store.log(), models, failure);
        assert_eq!(service.readiness(), Ok(()));
        is_failing.store(true, Ordering::Relaxed);
        assert!(service.readiness().unwrap_err().contains("the disk is full"));
        is_failing.store(false, Ordering::Relaxed);
        assert_eq!(service.readiness(), Ok(()));
    }
}
