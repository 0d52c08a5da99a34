//! Rebuilds that do not come to their end as planned: cancelled, crashed in each of their phases, or kept from the disk for a
//! while. Afterwards one generation is in use, nothing is half there, and the log says what happened.

use super::{DecisionError, Decisions, state_of};
use crate::checker::{Manner, Scope, check_data_dir};
use crate::failpoint::{Crash, Hold};
use crate::generation::Generations;
use crate::image::IMAGES_DIR;
use crate::run::{Connections, Projector};
use crate::search::{INDEX_DIR, Searcher};
use crate::support::*;
use domain::system::projections::{
    ControlEvent, ProjectionState, RebuildCancelled, RebuildFinished, RebuildOutcome, RebuildRequested,
    Refused, stream_of,
};
use eventstore::Store;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What happens when a decision is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// The process is gone before it stands in the log …
    CrashBefore(&'static str),
    /// … or right after.
    CrashAfter(&'static str),
    /// Somebody cancels the rebuild just before.
    CancelBefore(&'static str),
}

/// Writes what makes sense, as the command API does, as long as the process is there.
struct Court {
    store: Store,
    dir: PathBuf,
    plan: Option<Plan>,
    crash: Mutex<Option<Crash>>,
    has_come: AtomicBool,
}

impl std::fmt::Debug for Court {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Court").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Court {
    fn crash(&self) -> DecisionError {
        self.crash.lock().get_or_insert_with(|| Crash::now(&self.dir));
        DecisionError::Unavailable("it is gone".to_owned())
    }

    fn is_gone(&self) -> bool {
        self.crash.lock().as_ref().is_some_and(|crash| crash.crashed_at().is_some())
    }

    /// As the command API does: what is refused is not appended.
    fn ask(&self, projection: &str, event: &ControlEvent) -> Result<(), Refused> {
        let state = state_of(projection, &self.store.log()).unwrap();
        state.admit(event)?;
        if state.changes(event) {
            let mut commit = eventstore::CommitBuilder::new();
            let payload = serde_json::from_slice(&event.payload().unwrap()).unwrap();
            commit.event(crate::support::event(
                "op",
                None,
                &stream_of(projection),
                event.event_type(),
                payload,
            ));
            self.store.append(commit.prepare().unwrap()).unwrap();
        }
        Ok(())
    }
}

impl Decisions for Court {
    fn write(&self, projection: &'static str, event: &ControlEvent) -> Result<(), DecisionError> {
        if self.is_gone() {
            return Err(DecisionError::Unavailable("it is gone".to_owned()));
        }
        let is_it = |what: &str| what == event.event_type() && !self.has_come.swap(true, Ordering::Relaxed);
        match self.plan {
            Some(Plan::CrashBefore(what)) if is_it(what) => return Err(self.crash()),
            Some(Plan::CancelBefore(what)) if is_it(what) => {
                let open = state_of(projection, &self.store.log()).unwrap().rebuild.unwrap();
                let cancel = ControlEvent::RebuildCancelled(RebuildCancelled { rebuild_id: open.id });
                self.ask(projection, &cancel).unwrap();
            }
            _ => {}
        }
        self.ask(projection, event).map_err(|refused| DecisionError::Refused(refused.to_string()))?;
        match self.plan {
            Some(Plan::CrashAfter(what)) if is_it(what) => Err(self.crash()),
            _ => Ok(()),
        }
    }
}

/// A projector over a small history, all of it taken in and saved.
struct Scene {
    court: Arc<Court>,
    projector: Option<Projector>,
    searcher: Searcher,
    world: World,
}

impl Scene {
    fn new(plan: Option<Plan>) -> Self {
        let world = World::with_board();
        for number in 0..20 {
            world.create_item(&format!("K-{number}"), "one of many", "1");
        }
        let court = Court {
            store: world.store.clone(),
            dir: world.data_dir().to_owned(),
            plan,
            crash: Mutex::default(),
            has_come: AtomicBool::new(false),
        };
        let searcher = Searcher::open(world.data_dir(), world.log());
        let mut scene = Self { court: Arc::new(court), projector: None, searcher, world };
        scene.start();
        scene.settle();
        scene
    }

    fn start(&mut self) {
        let decisions: Arc<dyn Decisions> = self.court.clone();
        let connections = Connections { decisions: Some(decisions), ..Connections::default() };
        self.projector =
            Some(Projector::start_with(self.world.data_dir(), self.world.log(), connections).unwrap());
    }

    fn settle(&self) {
        settle(&self.world, self.projector.as_ref().unwrap(), &self.searcher);
    }

    fn state(&self, name: &str) -> ProjectionState {
        state_of(name, &self.world.log()).unwrap()
    }

    fn request(&self, name: &str) -> Uuid {
        let rebuild_id = Uuid::now_v7();
        let wish = ControlEvent::RebuildRequested(RebuildRequested { rebuild_id, shadow: false });
        self.court.ask(name, &wish).unwrap();
        rebuild_id
    }

    fn cancel(&self, name: &str, rebuild_id: Uuid) -> Result<(), Refused> {
        self.court.ask(name, &ControlEvent::RebuildCancelled(RebuildCancelled { rebuild_id }))
    }

    fn end_of(&self, name: &str, id: Uuid) -> Option<RebuildFinished> {
        let finished = self.state(name).finished;
        finished.map(|(_, end)| end).filter(|end| end.rebuild_id == id)
    }

    fn until_end(&self, name: &str, id: Uuid) -> RebuildFinished {
        until(&format!("an end of the rebuild of {name}"), || self.end_of(name, id).is_some());
        self.end_of(name, id).unwrap()
    }

    fn current(&self, name: &str) -> Option<PathBuf> {
        Generations::new(self.world.data_dir(), kind(name)).current()
    }

    /// A rebuild from the wish to its end, to which nothing happens.
    fn rebuild(&self, name: &str) {
        let before = self.current(name);
        let id = self.request(name);
        let end = self.until_end(name, id);
        assert_eq!((end.outcome, end.is_equal()), (RebuildOutcome::Swapped, Some(true)), "{name}: {end:?}");
        assert_ne!(self.current(name), before);
    }

    /// Saved and looked through: one generation of each kind, and what stands there is what the log says.
    fn expect_whole(&mut self, what: &str) {
        self.settle();
        self.projector.take().unwrap().stop().unwrap();
        for kind in [IMAGES_DIR, INDEX_DIR] {
            let dirs = generations(&self.world.data_dir().join(kind));
            assert_eq!(dirs, 1, "{what}: generations of {kind}");
        }
        let control = self.world.data_dir().join("control");
        let told = std::fs::read_dir(control).into_iter().flatten();
        let told: Vec<_> = told
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("rebuild-"))
            .collect();
        assert!(told.is_empty(), "{what}: {told:?} is told to be under way");
        let manner = Manner { share: 1, is_stopped: &|| false };
        let log = self.world.log();
        let checked = check_data_dir(self.world.data_dir(), &log, &Scope::All, &manner).unwrap();
        assert_eq!(checked.len(), 4, "{what}");
        for checked in checked {
            assert_eq!((checked.total(), checked.position), (0, log.watermark()), "{what}: {checked:#?}");
        }
    }
}

fn kind(name: &str) -> &'static str {
    if name == "search" { INDEX_DIR } else { IMAGES_DIR }
}

fn generations(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Side by side: most of it is waiting.
fn side_by_side<T: Send>(cases: Vec<T>, case: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for one in cases {
            let case = &case;
            scope.spawn(move || case(one));
        }
    });
}

#[test]
fn a_rebuild_that_is_cancelled_leaves_what_is_in_use_and_nothing_else() {
    // Held with a generation begun, with documents in it, and with all of them committed.
    let cases = vec![
        ("models", "a generation has begun"),
        ("activity", "a file is written"),
        ("search", "a generation has begun"),
        ("search", "documents are written"),
        ("search", "a commit is done"),
    ];
    side_by_side(cases, |(name, held)| {
        let mut scene = Scene::new(None);
        let before = scene.current(name);
        // What is in use may be saved at any time, and is not what is held.
        let hold = Hold::beside(held, &scene.world.data_dir().join(kind(name)), before.clone());
        let id = scene.request(name);
        until("the build to be there", || hold.is_reached());
        assert_eq!(generations(&scene.world.data_dir().join(kind(name))), 2);
        scene.cancel(name, id).unwrap();
        drop(hold);
        until("the half built to be swept", || generations(&scene.world.data_dir().join(kind(name))) == 1);
        assert_eq!(scene.current(name), before);
        assert!(scene.state(name).rebuild.is_none() && scene.end_of(name, id).is_none());
        // What is in use goes on, and another one can be asked for.
        scene.world.create_item("later", "and one more", "2");
        scene.settle();
        scene.rebuild(name);
        scene.expect_whole(&format!("{name} cancelled at {held}"));
    });
}

#[test]
fn a_rebuild_is_cancelled_or_put_into_use_and_the_log_says_which() {
    side_by_side(vec!["models", "search"], |name| {
        // The cancellation comes first, at the last moment: nothing may be swapped then.
        let mut scene = Scene::new(Some(Plan::CancelBefore("sys.rebuild_swap_begun")));
        let before = scene.current(name);
        let id = scene.request(name);
        until("to be cancelled", || scene.state(name).rebuild.is_none());
        until("the built to be swept", || generations(&scene.world.data_dir().join(kind(name))) == 1);
        assert_eq!(scene.current(name), before, "{name}");
        assert_eq!(scene.end_of(name, id), None);
        scene.rebuild(name);
        scene.expect_whole(&format!("{name} cancelled at the last moment"));

        // It comes a moment later: refused, and the end is that of any rebuild.
        let mut scene = Scene::new(None);
        let hold = Hold::at("CURRENT is to change", &scene.world.data_dir().join(kind(name)));
        let id = scene.request(name);
        until("the swap", || hold.is_reached());
        assert_eq!(scene.cancel(name, id), Err(Refused::RebuildSwapping(id)));
        drop(hold);
        assert_eq!(scene.until_end(name, id).outcome, RebuildOutcome::Swapped);
        scene.expect_whole(&format!("{name} cancelled too late"));
    });
}

#[test]
fn after_a_crash_in_any_phase_of_a_rebuild_the_next_start_brings_it_to_its_end() {
    let failpoints = [
        "a generation has begun",
        "documents are written",
        "a commit is prepared",
        "a commit is done",
        "a file is written",
        "CURRENT is to change",
        "a file is renamed",
        "a generation is swept",
    ];
    let decisions = [
        Plan::CrashBefore("sys.rebuild_swap_begun"),
        Plan::CrashAfter("sys.rebuild_swap_begun"),
        Plan::CrashBefore("sys.rebuild_finished"),
        Plan::CrashAfter("sys.rebuild_finished"),
    ];
    let mut cases = Vec::new();
    for name in ["activity", "search"] {
        for at in failpoints {
            // A file is written for the images themselves, and then for CURRENT.
            for passed in 0..if at.starts_with("a file") { 2 } else { 1 } {
                cases.push((name, Some((at, passed)), None));
            }
        }
        cases.extend(decisions.map(|plan| (name, None, Some(plan))));
    }
    let come = Mutex::new(std::collections::BTreeMap::new());
    side_by_side(cases, |(name, failpoint, plan)| {
        let mut scene = Scene::new(plan);
        let what = format!("{name}, {failpoint:?}, {plan:?}");
        if let Some((at, passed)) = failpoint {
            let below = scene.world.data_dir().join(kind(name));
            *scene.court.crash.lock() = Some(Crash::at(at, passed, &below));
        }
        let id = scene.request(name);
        // That crash comes a moment behind the end.
        let ends_first = plan == Some(Plan::CrashAfter("sys.rebuild_finished"));
        let has_ended = || !ends_first && scene.end_of(name, id).is_some();
        until("a crash or an end", || scene.court.is_gone() || has_ended());
        let has_come = scene.court.is_gone();
        *come.lock().entry((name, format!("{failpoint:?}{plan:?}"))).or_insert(false) |= has_come;
        // Dropped, as a process that is gone: nothing is saved.
        scene.projector = None;
        *scene.court.crash.lock() = None;
        scene.start();
        let end = scene.until_end(name, id);
        assert_eq!((end.outcome, end.is_equal()), (RebuildOutcome::Swapped, Some(true)), "{what}: {end:?}");
        assert!(scene.state(name).rebuild.is_none(), "{what}");
        scene.expect_whole(&what);
    });
    let come = come.into_inner();
    for plan in decisions {
        for name in ["activity", "search"] {
            assert!(come[&(name, format!("None{:?}", Some(plan)))], "{name}: it never came to {plan:?}");
        }
    }
    for at in failpoints {
        let is_at = |key: &str| key.contains(at);
        assert!(come.iter().any(|((_, key), come)| *come && is_at(key)), "{at} is passed by nobody");
    }
}

#[test]
fn a_disk_that_fails_for_a_while_ends_a_rebuild_in_the_log_and_stops_nobody() {
    let failpoints = [
        "a generation has begun",
        "a file is written",
        "CURRENT is to change",
        "a file is renamed",
        "a generation is swept",
    ];
    let cases = ["activity", "search"].into_iter().flat_map(|name| failpoints.map(|at| (name, at)));
    side_by_side(cases.collect(), |(name, at)| {
        let mut scene = Scene::new(None);
        let before = scene.current(name);
        let below = scene.world.data_dir().join(kind(name));
        // The last one that is passed: the file of the images is written before the one that names their generation.
        let passed = u64::from(name != "search" && at.starts_with("a file"));
        let crash = Crash::at(at, passed, &below);
        let id = scene.request(name);
        let end = scene.until_end(name, id);
        assert!(crash.crashed_at().is_some(), "{name}, {at}");
        drop(crash);
        // In the log stands what is in use.
        let is_swapped = scene.current(name) != before;
        assert_eq!(end.outcome == RebuildOutcome::Swapped, is_swapped, "{name}, {at}: {end:?}");
        assert_eq!(end.reason.is_none(), is_swapped, "{name}, {at}: {end:?}");
        scene.world.create_item("later", "and one more", "2");
        scene.settle();
        scene.rebuild(name);
        scene.expect_whole(&format!("{name}, {at}"));
    });
}
