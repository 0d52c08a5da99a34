//! Failpoints: the places where a crash leaves something else on the disk than one before it.
//!
//! A test says of a directory that everything fails there from the n-th time on that a failpoint is passed, as after a crash: nothing that comes
//! later is written. Directories keep tests that run side by side apart. Where nobody has said so, a failpoint is one relaxed
//! load.

use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

static IS_ANY: AtomicBool = AtomicBool::new(false);
static PLANS: Mutex<Vec<Plan>> = Mutex::new(Vec::new());

struct Plan {
    below: PathBuf,
    /// The failpoint of the crash, and how often it is passed before.
    at: &'static str,
    left: u64,
    /// The one that the crash came at.
    crashed_at: Option<&'static str>,
}

/// Passes a place that concerns a file or directory.
pub(crate) fn failpoint(name: &'static str, path: &Path) -> io::Result<()> {
    if !IS_ANY.load(Ordering::Relaxed) {
        return Ok(());
    }
    #[cfg(test)]
    hold::pass(name, path);
    let mut plans = PLANS.lock();
    let Some(plan) = plans.iter_mut().find(|plan| path.starts_with(&plan.below)) else { return Ok(()) };
    if plan.crashed_at.is_none() {
        if plan.at != name {
            return Ok(());
        }
        if let Some(left) = plan.left.checked_sub(1) {
            plan.left = left;
            return Ok(());
        }
        plan.crashed_at = Some(name);
    }
    Err(io::Error::other(format!("it crashed at the failpoint {:?}", plan.at)))
}

/// Lets everything fail below a directory once a failpoint has been passed so often, until it is dropped.
#[cfg(test)]
pub(crate) struct Crash(PathBuf);

#[cfg(test)]
impl Crash {
    pub(crate) fn at(at: &'static str, passed: u64, below: &Path) -> Self {
        let below = below.to_owned();
        PLANS.lock().push(Plan { below: below.clone(), at, left: passed, crashed_at: None });
        IS_ANY.store(true, Ordering::Relaxed);
        Self(below)
    }

    /// At once, wherever it is.
    pub(crate) fn now(below: &Path) -> Self {
        let crash = Self::at("now", 0, below);
        PLANS
            .lock()
            .iter_mut()
            .filter(|plan| plan.below == below)
            .for_each(|plan| plan.crashed_at = Some(plan.at));
        crash
    }

    /// Where it came, if it has.
    pub(crate) fn crashed_at(&self) -> Option<&'static str> {
        PLANS.lock().iter().find(|plan| plan.below == self.0)?.crashed_at
    }
}

#[cfg(test)]
impl Drop for Crash {
    fn drop(&mut self) {
        PLANS.lock().retain(|plan| plan.below != self.0);
    }
}

#[cfg(test)]
pub(crate) use hold::Hold;

/// Threads that are made to wait at a failpoint.
#[cfg(test)]
mod hold {
    use super::{AtomicBool, IS_ANY, Mutex, Ordering, Path, PathBuf};
    use parking_lot::Condvar;
    use std::sync::Arc;

    static HOLDS: Mutex<Vec<Arc<Held>>> = Mutex::new(Vec::new());
    static CHANGED: Condvar = Condvar::new();

    struct Held {
        at: &'static str,
        below: PathBuf,
        except: Option<PathBuf>,
        is_reached: AtomicBool,
    }

    /// Holds whoever passes a failpoint below a directory, until it is dropped.
    pub(crate) struct Hold(Arc<Held>);

    impl Hold {
        pub(crate) fn at(at: &'static str, below: &Path) -> Self {
            Self::beside(at, below, None)
        }

        /// Lets those pass who are at work in a directory below it.
        pub(crate) fn beside(at: &'static str, below: &Path, except: Option<PathBuf>) -> Self {
            let (below, is_reached) = (below.to_owned(), AtomicBool::new(false));
            let held = Arc::new(Held { at, below, except, is_reached });
            HOLDS.lock().push(Arc::clone(&held));
            IS_ANY.store(true, Ordering::Relaxed);
            Self(held)
        }

        pub(crate) fn is_reached(&self) -> bool {
            self.0.is_reached.load(Ordering::Relaxed)
        }
    }

    impl Drop for Hold {
        fn drop(&mut self) {
            HOLDS.lock().retain(|held| !Arc::ptr_eq(held, &self.0));
            CHANGED.notify_all();
        }
    }

    pub(super) fn pass(name: &str, path: &Path) {
        let mut holds = HOLDS.lock();
        let holds_here = |held: &&Arc<Held>| {
            held.at == name
                && path.starts_with(&held.below)
                && !held.except.as_ref().is_some_and(|except| path.starts_with(except))
        };
        while let Some(held) = holds.iter().find(holds_here) {
            held.is_reached.store(true, Ordering::Relaxed);
            CHANGED.wait(&mut holds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::{Manner, Scope, check_data_dir};
    use crate::search::Searcher;
    use crate::support::*;
    use crate::{Projector, rebuild};
    use std::time::Duration;

    /// A projector takes everything in, in two parts, and saves it; then all is made anew. It goes as far as it can.
    fn live(world: &World, searcher: &Searcher, crash: &Crash) -> Result<(), String> {
        let projector = Projector::start(world.data_dir(), world.log()).map_err(|error| error.to_string())?;
        for part in 0..2 {
            if part == 1 {
                world.comment("K-1", &Timed::name(), "a comment more");
            }
            let end = world.log().watermark();
            while projector.checkpoint() < end || searcher.checkpoint() < end {
                if let Some(at) = crash.crashed_at() {
                    // Dropped, as a process that is gone: nothing is saved.
                    return Err(at.to_owned());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        projector.stop().map_err(|error| error.to_string())?;
        rebuild(world.data_dir(), &[], &mut |_| {}).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Names that are new every time.
    struct Timed;

    impl Timed {
        fn name() -> String {
            uuid::Uuid::now_v7().to_string()
        }
    }

    #[test]
    fn after_a_crash_at_any_failpoint_the_next_start_makes_everything_whole() {
        let mut random = Random::from_environment();
        for name in ALL {
            for passed in 0.. {
                if !crash_and_start_again(&mut random, name, passed) {
                    assert!(passed > 0, "{name} is passed by nobody");
                    break;
                }
            }
        }
    }

    const ALL: [&str; 8] = [
        "CURRENT is to change",
        "a commit is done",
        "a commit is prepared",
        "a file is renamed",
        "a file is written",
        "a generation has begun",
        "a generation is swept",
        "documents are written",
    ];

    /// Whether it came to the crash.
    fn crash_and_start_again(random: &mut Random, name: &'static str, passed: u64) -> bool {
        let world = World::with_board();
        random_history(&world, random, 40);
        world.create_item("K-1", "one", "1");
        // In every second round there is something already, which may be half replaced.
        if passed % 2 == 1 {
            let before = Projector::start(world.data_dir(), world.log()).unwrap();
            settle(&world, &before, &Searcher::open(world.data_dir(), world.log()));
            before.stop().unwrap();
            world.comment("K-1", &Timed::name(), "since then");
        }
        let searcher = Searcher::open(world.data_dir(), world.log());
        let crash = Crash::at(name, passed, world.data_dir());
        let lived = live(&world, &searcher, &crash);
        let has_crashed = crash.crashed_at().is_some();
        drop(crash);
        assert_eq!(lived.is_err(), has_crashed, "{lived:?}");

        let projector = Projector::start(world.data_dir(), world.log()).unwrap();
        settle(&world, &projector, &searcher);
        while projector.checkpoint() < world.log().watermark() {
            std::thread::sleep(Duration::from_millis(1));
        }
        projector.stop().unwrap();
        let manner = Manner { share: 1, is_stopped: &|| false };
        let checked = check_data_dir(world.data_dir(), &world.log(), &Scope::All, &manner).unwrap();
        assert_eq!(checked.len(), 4, "{name} {passed}");
        assert!(checked.iter().all(|checked| checked.total() == 0), "{name} {passed}: {checked:#?}");
        let end = world.log().watermark();
        assert!(checked.iter().all(|checked| checked.position == end), "{name} {passed}: {checked:#?}");
        has_crashed
    }
}
