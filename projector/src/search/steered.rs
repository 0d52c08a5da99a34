//! The search index, built anew when its stream says so: another generation beside the one in use.
//!
//! ```text
//! all documents (a thread) ─▶ marked like the live one (the tail) ─▶ both worked off ─▶ compared (a thread) ─▶ CURRENT swapped
//! ```
//!
//! Invariant: both are worked off while nothing moves the models, so they are compared at one and the same state of them, and
//! whoever opens the new one finds no older position than in the old one.
//!
//! The index has no dead letters of its own: it is made of the models, which have passed them over.

use super::census::{self, census};
use super::document::DocumentKey;
use super::schema;
use super::searcher::SearchError;
use super::store::{Effort, INDEX_DIR, IndexStore};
use super::writer::{SearchProjection, SearchStatus};
use crate::backoff::Backoff;
use crate::control::{
    Clerk, Differences, Followed, Handed, Permit, Phase, RepairHook, RepairPending, Reporter, Taken, Wanted,
};
use crate::decode::DecodedCommit;
use crate::generation::Generations;
use crate::models::SharedModels;
use crate::projection::{Projection, ProjectionError};
use crate::tail;
use domain::system::projections::{Built, ControlEvent, RebuildFinished, RebuildOutcome, RebuildSwapBegun};
use eventstore::{Lineage, Log, Position};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tantivy::ReloadPolicy;

const NAME: &str = "search";
/// Documents between two looks whether anybody still wants them.
const CHUNK: usize = 512;
/// How long the thread that feeds all waits for the index to be worked off, before it is left for later.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps the search index up to date, and builds it anew.
#[derive(Debug)]
pub(crate) struct SteeredSearch {
    live: SearchProjection,
    status: SearchStatus,
    models: SharedModels,
    log: Log,
    data_dir: PathBuf,
    followed: Followed,
    is_stale: bool,
    clerk: Clerk,
    permit: Permit,
    building: Option<Building>,
    handed: Handed,
    backoff: Backoff,
    not_before: Option<Instant>,
    repairs: Repairing,
}

/// What to do when a repair is asked for.
struct Repairing(Option<RepairHook>);

impl std::fmt::Debug for Repairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repairing").field(&self.0.is_some()).finish()
    }
}

#[derive(Debug)]
struct Building {
    wanted: Wanted,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    candidate: Option<SearchProjection>,
    /// What it came to, while it waits until nobody can cancel it any more.
    compared: Option<Comparison>,
    reporter: Option<Arc<Reporter>>,
    _taken: Taken,
}

#[derive(Debug, Default)]
struct Desk {
    end: Mutex<Option<Result<End, String>>>,
    is_cancelled: AtomicBool,
}

/// What a thread came to.
#[derive(Debug)]
enum End {
    Built(SearchProjection),
    Compared(Comparison),
}

#[derive(Debug)]
struct Comparison {
    position: Position,
    old: Built,
    new: Built,
    differences: Differences,
}

impl Building {
    fn run(
        &mut self,
        work: impl FnOnce(&Desk) -> Result<End, String> + Send + 'static,
    ) -> std::io::Result<()> {
        let desk = Arc::clone(&self.desk);
        self.join();
        self.thread = Some(std::thread::Builder::new().name("build-search".to_owned()).spawn(move || {
            let mut end = None;
            let ended = tail::guarded(|| end = Some(work(&desk)));
            let end = match ended {
                Ok(()) => end.unwrap_or_else(|| Err("it came to no end".to_owned())),
                Err(panic) => Err(panic),
            };
            *desk.end.lock() = Some(end);
        })?);
        Ok(())
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.desk.is_cancelled.store(true, Ordering::Relaxed);
        self.join();
    }
}

impl SteeredSearch {
    pub(crate) fn new(
        live: SearchProjection,
        models: &SharedModels,
        log: &Log,
        data_dir: &Path,
        clerk: Clerk,
        permit: Permit,
    ) -> Self {
        Self {
            status: live.status(),
            live,
            models: models.clone(),
            log: log.clone(),
            data_dir: data_dir.to_owned(),
            // All that were asked for since it was built: an index may be committed between a wish and its being heard, and
            // documents that are written once more cost little.
            followed: Followed::with_repairs(NAME, Position::ZERO),
            is_stale: true,
            clerk,
            permit,
            building: None,
            handed: Handed::default(),
            backoff: Backoff::default(),
            not_before: None,
            repairs: Repairing(None),
        }
    }

    /// What to do when a repair is asked for.
    pub(crate) fn repair_with(&mut self, hook: RepairHook) {
        self.repairs = Repairing(Some(hook));
        self.ask_for_repairs();
    }

    fn ask_for_repairs(&mut self) {
        // Until there is somebody, they are kept.
        let Some(hook) = &self.repairs.0 else { return };
        for (position, repair) in self.followed.take_repairs() {
            hook(NAME, position, &repair, RepairPending::default());
        }
    }

    pub(crate) fn status(&self) -> SearchStatus {
        self.status.clone()
    }

    /// Works off what is marked and ends.
    pub(crate) fn finish(self) -> Result<(), SearchError> {
        drop(self.building);
        self.live.finish()
    }

    fn wanted(&self) -> Option<Wanted> {
        if !self.live.is_whole() {
            return Some(Wanted::Remake);
        }
        let open = self.followed.state().rebuild.as_ref()?;
        (self.clerk.is_manned() && !self.handed.ends(open.id))
            .then_some(Wanted::Rebuild { id: open.id, shadow: open.shadow })
    }

    fn steer(&mut self) {
        if self.is_stale || !self.handed.is_empty() {
            match self.followed.read_on(&self.log) {
                Ok(_) => self.is_stale = false,
                Err(error) => tracing::warn!(%error, "what is asked of the search index cannot be read"),
            }
            self.ask_for_repairs();
        }
        if let Some((since, entities)) = self.models.take_replaced() {
            // Its documents are made of models that are no more.
            if self.building.is_some() {
                self.cancel();
            }
            if let Err(error) = self.live.mark_replaced(since, &entities) {
                tracing::error!(%error, "documents of replaced models are not marked; the index is built anew");
                self.live.is_whole_no_more();
            }
        }
        let wanted = self.wanted();
        if self.building.as_ref().is_some_and(|building| wanted.as_ref() != Some(&building.wanted)) {
            tracing::info!("the index that was being built is not wanted any more");
            self.cancel();
        }
        match (wanted, &self.building) {
            (Some(wanted), None) if self.not_before.is_none_or(|at| Instant::now() >= at) => {
                self.begin(wanted);
            }
            (Some(_), Some(_)) => self.look_at_building(),
            _ => {}
        }
        self.handed.look_again(&self.clerk, NAME, self.followed.state());
    }

    fn cancel(&mut self) {
        self.building = None;
        self.sweep();
    }

    fn sweep(&self) {
        if let Err(error) = Generations::new(&self.data_dir, INDEX_DIR).sweep() {
            tracing::warn!(%error, "older indexes are left until the next start");
        }
    }

    fn begin(&mut self, wanted: Wanted) {
        let Some(taken) = self.permit.take() else { return };
        tracing::info!(?wanted, "the search index is built beside the one in use");
        let reporter = match &wanted {
            Wanted::Rebuild { id, .. } => Some(Arc::new(Reporter::new(&self.data_dir, NAME, *id))),
            _ => None,
        };
        let mut building = Building {
            wanted,
            desk: Arc::default(),
            thread: None,
            candidate: None,
            compared: None,
            reporter: reporter.clone(),
            _taken: taken,
        };
        let (data_dir, models, log) = (self.data_dir.clone(), self.models.clone(), self.log.clone());
        let started = building.run(move |desk| {
            let built = build(&data_dir, &models, &log, desk, reporter.as_deref());
            built.map(End::Built).map_err(|error| error.to_string())
        });
        match started {
            Ok(()) => self.building = Some(building),
            Err(error) => self.failed(&building.wanted.clone(), &error.to_string()),
        }
    }

    fn failed(&mut self, wanted: &Wanted, reason: &str) {
        self.cancel();
        let pause = self.backoff.failed();
        tracing::error!(reason, ?pause, "the search index could not be built anew");
        self.not_before = Some(Instant::now() + pause);
        if let Wanted::Rebuild { id, .. } = wanted {
            let position = self.live.checkpoint().next.get();
            self.hand_over(ControlEvent::RebuildFinished(RebuildFinished::failed(*id, position, reason)));
        }
    }

    fn look_at_building(&mut self) {
        let Some(building) = &mut self.building else { return };
        let wanted = building.wanted.clone();
        let end = building.desk.end.lock().take();
        let stepped = match end {
            None => self.put_into_use_if_due(&wanted),
            Some(Ok(End::Built(candidate))) => {
                building.candidate = Some(candidate);
                self.compare()
            }
            Some(Ok(End::Compared(comparison))) => {
                building.compared = Some(comparison);
                self.put_into_use_if_due(&wanted)
            }
            Some(Err(reason)) => Err(reason),
        };
        if let Err(reason) = stepped {
            self.failed(&wanted, &reason);
        }
    }

    /// Brings both to the same state, and has them compared as they are then.
    fn compare(&mut self) -> Result<(), String> {
        let Some(building) = &mut self.building else { return Ok(()) };
        let Some(candidate) = &mut building.candidate else { return Ok(()) };
        let live = self.live.checkpoint().next;
        tail::catch_up_to(&self.log, &mut [candidate], live, |_| true).map_err(|error| error.to_string())?;
        if !candidate.flush(PATIENCE) || !self.live.flush(PATIENCE) {
            return Err("the index could not be worked off in time to be compared".to_owned());
        }
        if let Some(reporter) = &building.reporter {
            reporter.tell(Phase::Comparing, live.get(), live.get());
        }
        let (old, new) = (snapshot(self.live.dir()), snapshot(candidate.dir()));
        let (old, new) = (old.map_err(|error| error.to_string())?, new.map_err(|error| error.to_string())?);
        let work = move |_: &Desk| {
            let compared = compare(&old, &new, live);
            compared.map(End::Compared).map_err(|error| error.to_string())
        };
        building.run(work).map_err(|error| error.to_string())
    }

    /// A rebuild that was compared is put into use when the log says that nobody can cancel it any more.
    fn put_into_use_if_due(&mut self, wanted: &Wanted) -> Result<(), String> {
        let Some(building) = self.building.as_mut().filter(|building| building.compared.is_some()) else {
            return Ok(());
        };
        if let Wanted::Rebuild { id, shadow: false } = wanted
            && !self.followed.state().is_swapping(*id)
        {
            self.hand_over(ControlEvent::RebuildSwapBegun(RebuildSwapBegun { rebuild_id: *id }));
            return Ok(());
        }
        match building.compared.take() {
            Some(comparison) => self.put_into_use(wanted, comparison),
            None => Ok(()),
        }
    }

    fn put_into_use(&mut self, wanted: &Wanted, comparison: Comparison) -> Result<(), String> {
        let Some(mut building) = self.building.take() else { return Ok(()) };
        let outcome = if matches!(wanted, Wanted::Rebuild { shadow: true, .. }) {
            drop(building);
            self.sweep();
            RebuildOutcome::Compared
        } else {
            let Some(mut candidate) = building.candidate.take() else { return Ok(()) };
            let live = self.live.checkpoint().next;
            tail::catch_up_to(&self.log, &mut [&mut candidate], live, |_| true)
                .map_err(|error| error.to_string())?;
            if !candidate.flush(PATIENCE) {
                return Err("the new index could not be worked off in time".to_owned());
            }
            let generations = Generations::new(&self.data_dir, INDEX_DIR);
            generations.make_current(candidate.dir()).map_err(|error| error.to_string())?;
            self.status.turn_to(&candidate);
            self.live = candidate;
            drop(building);
            self.sweep();
            tracing::info!(position = %live, "the search index that was built is in use");
            RebuildOutcome::Swapped
        };
        self.backoff.succeeded();
        self.not_before = None;
        if let Wanted::Rebuild { id, .. } = wanted {
            let Comparison { position, old, new, differences } = comparison;
            self.hand_over(ControlEvent::RebuildFinished(RebuildFinished {
                rebuild_id: *id,
                outcome,
                position: position.get(),
                old: Some(old),
                new: Some(new),
                differing: differences.len() as u64,
                differences: differences.listed(),
                reason: None,
            }));
        }
        Ok(())
    }

    fn hand_over(&mut self, event: ControlEvent) {
        self.handed.hand_over(&self.clerk, NAME, event);
    }
}

impl Projection for SteeredSearch {
    fn name(&self) -> &'static str {
        self.live.name()
    }

    fn version(&self) -> u32 {
        self.live.version()
    }

    fn checkpoint(&self) -> Lineage {
        self.live.checkpoint()
    }

    fn is_waiting(&self) -> bool {
        self.live.is_waiting()
    }

    fn apply(&mut self, commits: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
        let mut events = commits.iter().flat_map(|commit| &commit.events);
        if !self.is_stale && events.any(|event| self.followed.is_of(event.view.stream())) {
            self.is_stale = true;
        }
        self.live.apply(commits)?;
        match self.building.as_mut().and_then(|building| building.candidate.as_mut()) {
            Some(candidate) => candidate.apply(commits),
            None => Ok(()),
        }
    }

    fn rest(&mut self) {
        self.steer();
        self.live.rest();
        if let Some(candidate) = self.building.as_mut().and_then(|building| building.candidate.as_mut()) {
            candidate.rest();
        }
    }
}

/// Makes all documents, and has what happens meanwhile marked.
fn build(
    data_dir: &Path,
    models: &SharedModels,
    log: &Log,
    desk: &Desk,
    reporter: Option<&Reporter>,
) -> Result<SearchProjection, SearchError> {
    let store = IndexStore::begin(data_dir)?;
    let (keys, lineage, letters) = {
        let read = models.read();
        (DocumentKey::all(&read), read.checkpoint(), models.letters())
    };
    let total = keys.len() as u64;
    let mut done = 0;
    let mut writer = store.writer(Effort::REBUILD)?;
    for chunk in keys.chunks(CHUNK) {
        writer.write(chunk, models, log, |written| {
            done += written as u64;
            if let Some(reporter) = reporter {
                reporter.tell(Phase::Building, done, total);
            }
        })?;
        if desk.is_cancelled.load(Ordering::Relaxed) {
            return Err(SearchError::Index("it was cancelled".to_owned()));
        }
    }
    writer.commit(&lineage, Some(&letters))?;
    drop(writer);
    let failed = |error: &dyn std::fmt::Display| SearchError::Index(error.to_string());
    let mut built = SearchProjection::start(store, lineage, models.clone(), log.clone(), true)
        .map_err(|error| failed(&error))?;
    let go_on = |_| !desk.is_cancelled.load(Ordering::Relaxed);
    tail::catch_up_to(log, &mut [&mut built], models.checkpoint(), go_on).map_err(|error| failed(&error))?;
    Ok(built)
}

/// An index as it is committed now, whatever becomes of it.
struct Snapshot {
    searcher: tantivy::Searcher,
    fields: schema::Fields,
}

fn snapshot(dir: &Path) -> Result<Snapshot, SearchError> {
    let (index, fields) = schema::open(dir)?;
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
    let reader: tantivy::IndexReader = reader;
    Ok(Snapshot { searcher: reader.searcher(), fields })
}

fn compare(old: &Snapshot, new: &Snapshot, position: Position) -> Result<Comparison, SearchError> {
    let of = |side: &Snapshot| census(&side.searcher, &side.fields);
    let (before, after) = (of(old)?, of(new)?);
    let differences = if before == after {
        Differences::default()
    } else {
        let by_name = |side: &Snapshot| census::by_name(&side.searcher, &side.fields);
        Differences::of(by_name(old)?, by_name(new)?.into_iter())
    };
    let told = |census: census::Census| Built { digest: census.digest.to_string(), count: census.documents };
    Ok(Comparison { position, old: told(before), new: told(after), differences })
}
