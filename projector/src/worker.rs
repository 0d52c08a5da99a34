//! A worker: a thread that does something now and then beside everything else, until its owner lets go of it.
//!
//! Invariant: dropping a worker wakes it out of its rest, and returns once its thread has ended. What takes long in it asks
//! now and then whether it is stopped.

use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: Arc<StopSignal>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread knows of its end.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl StopSignal {
    /// Whether it is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.lock()
    }

    /// Waits so long, or until it is to end: false then.
    pub(crate) fn rest(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        self.changed.wait_while_for(&mut stopped, |stopped| !*stopped, time);
        !*stopped
    }

    fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }
}

impl Worker {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(name: &str, work: impl FnOnce(&StopSignal) + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(StopSignal::default());
        let known = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&known))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Nobody rests so long.
    const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
    /// Whoever has not ended by now does not end.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Drops a worker beside the test, so that one that does not end is a failure and no test without an end.
    fn dropped(worker: Worker) {
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            drop(worker);
            let _ = ended.send(());
        });
        end.recv_timeout(PATIENCE).expect("the worker ends");
    }

    #[test]
    fn dropping_it_wakes_its_rest_and_waits_for_its_end() {
        let (tell, told) = mpsc::channel();
        let worker = Worker::start("resting", move |stop| {
            tell.send("rests").unwrap();
            let goes_on = stop.rest(FOR_EVER);
            // An end that takes its time is waited for, too.
            std::thread::sleep(Duration::from_millis(50));
            tell.send(if goes_on { "goes on" } else { "ends" }).unwrap();
        });
        assert_eq!(told.recv(), Ok("rests"));
        dropped(worker.unwrap());
        // The thread has said its last word by now: nothing is waited for here.
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["ends"]);
    }

    #[test]
    fn whoever_is_stopped_already_does_not_rest() {
        let (tell, told) = mpsc::channel();
        let worker = Worker::start("busy", move |stop| {
            while !stop.is_stopped() {
                std::thread::yield_now();
            }
            tell.send(stop.rest(FOR_EVER)).unwrap();
        });
        dropped(worker.unwrap());
        assert_eq!(told.recv(), Ok(false));
    }

    #[test]
    fn a_rest_has_its_end_and_the_work_goes_on() {
        let (tell, told) = mpsc::channel();
        let worker = Worker::start("working", move |stop| {
            while stop.rest(Duration::from_millis(1)) && tell.send(stop.is_stopped()).is_ok() {}
        });
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [false; 3]);
        dropped(worker.unwrap());
    }
}
