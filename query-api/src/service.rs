//! What all handlers share: the log, the models that follow it, and the index.
//!
//! Invariant: a read that was asked for a position happens after its source has reached it, and tells a position
//! that was read under the same lock (or before), so an answer never covers less than it says.

mod at_hand;
mod readiness;
pub(crate) mod reading;

use crate::checks::Checks;
use crate::consumers::{Exhausted, Listener, Slots};
use crate::export::ExportPlaces;
use crate::live::{Hub, Rooms, SUBSCRIBERS_MAX};
use crate::past::RECALLS_MAX;
use crate::verification::Verifications;
use crate::views::Views;
use eventstore::{Log, Position};
use http_kit::shutdown::Shutdown;
use projector::activity::Activity;
use projector::analytics::Analytics;
use projector::audit::ScrubSettings;
use projector::checker::{CheckFigures, CheckSettings};
use projector::control::{Controls, Underway};
use projector::notary::TreeReader;
use projector::search::Searcher;
use projector::{Following, ReadModels, SharedModels};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;

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
    at_hand: at_hand::AtHand,
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
        let checks = Checks::new();
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
            at_hand: at_hand::AtHand::new(),
            exports,
            recalls,
            live,
            rooms,
            views,
            checks,
            verifications: Verifications::new(),
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
}
