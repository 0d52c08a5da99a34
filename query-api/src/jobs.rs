//! Jobs that somebody asks for and does not wait for: one of a kind at a time, in a thread of its own.
//!
//! Invariant: a job ends by itself, when the service ends, or when it has taken too long, and whatever becomes of its thread
//! the next one can begin. The next one forgets what it found.

use eventstore::Timestamp;
use parking_lot::Mutex;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The jobs of one kind: each is about an `A`, and finds an `F`. Dropping them ends the one that goes on.
#[derive(Debug)]
pub(crate) struct Jobs<A, F> {
    /// The name of their threads.
    thread: &'static str,
    time_max: Duration,
    newest: Mutex<Option<Arc<Job<A, F>>>>,
    is_ending: Arc<AtomicBool>,
}

/// A job that was asked for.
#[derive(Debug)]
pub(crate) struct Job<A, F> {
    /// What it is about.
    pub(crate) about: A,
    /// When it was asked for.
    pub(crate) began: Timestamp,
    end: OnceLock<End<F>>,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) struct End<F> {
    /// How long it took.
    pub(crate) took: Duration,
    /// What was found, or why it did not come to its end.
    pub(crate) outcome: Result<F, String>,
}

/// What a job has to look at now and then while it goes on.
#[derive(Debug)]
pub(crate) struct Course {
    started: Instant,
    time_max: Duration,
    is_ending: Arc<AtomicBool>,
}

impl Course {
    /// Whether it is to end, done or not.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed) || self.is_late()
    }

    /// Whether it has taken too long.
    pub(crate) fn is_late(&self) -> bool {
        self.started.elapsed() >= self.time_max
    }
}

impl<A, F> Job<A, F> {
    /// How it ended; nothing while it goes on.
    pub(crate) fn end(&self) -> Option<&End<F>> {
        self.end.get()
    }
}

impl<A: Send + Sync + 'static, F: Send + Sync + 'static> Jobs<A, F> {
    /// Those whose threads have this name, and which end after so long, done or not.
    pub(crate) fn new(thread: &'static str, time_max: Duration) -> Self {
        Self { thread, time_max, newest: Mutex::default(), is_ending: Arc::default() }
    }

    /// The one that was asked for last; nothing where nobody asked for any.
    pub(crate) fn newest(&self) -> Option<Arc<Job<A, F>>> {
        self.newest.lock().clone()
    }

    /// Begins one; false when one is going on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn begin(
        &self,
        about: A,
        work: impl FnOnce(&A, &Course) -> Result<F, String> + Send + 'static,
    ) -> io::Result<bool> {
        let mut newest = self.newest.lock();
        if newest.as_ref().is_some_and(|job| job.end().is_none()) {
            return Ok(false);
        }
        let job = Arc::new(Job { about, began: Timestamp::now(), end: OnceLock::new() });
        let (begun, time_max, is_ending) = (Arc::clone(&job), self.time_max, Arc::clone(&self.is_ending));
        std::thread::Builder::new().name(self.thread.to_owned()).spawn(move || {
            let course = Course { started: Instant::now(), time_max, is_ending };
            let outcome = Err("it ended unexpectedly".to_owned());
            let mut ending = Ending { job: begun, started: course.started, outcome };
            ending.outcome = work(&ending.job.about, &course);
        })?;
        *newest = Some(job);
        Ok(true)
    }
}

impl<A, F> Drop for Jobs<A, F> {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }
}

/// Tells how a job ended, however it did.
struct Ending<A, F> {
    job: Arc<Job<A, F>>,
    started: Instant,
    outcome: Result<F, String>,
}

impl<A, F> Drop for Ending<A, F> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(String::new()));
        // Only this thread says it, and says it once.
        let _ = self.job.end.set(End { took: self.started.elapsed(), outcome });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(3_600);

    /// The newest job, once it has ended.
    fn ended(jobs: &Jobs<u32, u32>) -> Arc<Job<u32, u32>> {
        for _ in 0..3_000 {
            let newest = jobs.newest().unwrap();
            if newest.end().is_some() {
                return newest;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    #[test]
    fn one_goes_on_at_a_time_and_tells_what_it_found() {
        let jobs = Jobs::<u32, u32>::new("one", LONG);
        assert!(jobs.newest().is_none());
        let (go, wait) = mpsc::channel();
        let work = move |about: &u32, _: &Course| {
            wait.recv().map_err(|error| error.to_string())?;
            Ok(about + 1)
        };
        assert!(jobs.begin(7, work).unwrap());
        assert!(!jobs.begin(8, |_, _| Ok(0)).unwrap());
        let first = jobs.newest().unwrap();
        assert_eq!((first.about, first.end().is_none()), (7, true));
        go.send(()).unwrap();
        assert_eq!(ended(&jobs).end().unwrap().outcome, Ok(8));
        assert!(jobs.begin(9, |_, _| Err("no".to_owned())).unwrap());
        let second = ended(&jobs);
        assert_eq!((second.about, &second.end().unwrap().outcome), (9, &Err("no".to_owned())));
        assert_eq!(first.end().unwrap().outcome, Ok(8), "who has it keeps it");
    }

    #[test]
    fn after_a_panic_the_next_one_can_begin() {
        let jobs = Jobs::<u32, u32>::new("panics", LONG);
        assert!(jobs.begin(1, |_, _| panic!("a bug")).unwrap());
        assert_eq!(ended(&jobs).end().unwrap().outcome, Err("it ended unexpectedly".to_owned()));
        assert!(jobs.begin(2, |_, _| Ok(2)).unwrap());
        assert_eq!(ended(&jobs).end().unwrap().outcome, Ok(2));
    }

    #[test]
    fn it_is_stopped_when_it_is_late_and_when_the_service_ends() {
        let until_stopped = |_: &u32, course: &Course| {
            while !course.is_stopped() {
                std::thread::yield_now();
            }
            Ok(u32::from(course.is_late()))
        };
        let jobs = Jobs::<u32, u32>::new("late", Duration::from_millis(5));
        assert!(jobs.begin(1, until_stopped).unwrap());
        assert_eq!(ended(&jobs).end().unwrap().outcome, Ok(1));

        let jobs = Jobs::<u32, u32>::new("stopped", LONG);
        let (tell, told) = mpsc::channel();
        let work = move |about: &u32, course: &Course| {
            let outcome = until_stopped(about, course);
            let _ = tell.send(course.is_late());
            outcome
        };
        assert!(jobs.begin(1, work).unwrap());
        drop(jobs);
        assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(false));
    }
}
