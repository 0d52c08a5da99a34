//! Loom's locks and atomics, under the names and with the signatures of the real ones.

pub(crate) mod sync {
    use std::ops::{Deref, DerefMut};
    use std::time::Instant;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard(Some(self.0.lock().unwrap()))
        }
    }

    /// `None` only while it waits.
    pub(crate) struct Guard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    pub(crate) struct NeverTimedOut;

    impl NeverTimedOut {
        pub(crate) fn timed_out(&self) -> bool {
            false
        }
    }

    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn wait_until<T>(&self, guard: &mut Guard<'_, T>, _until: Instant) -> NeverTimedOut {
            guard.0 = guard.0.take().map(|held| self.0.wait(held).unwrap());
            NeverTimedOut
        }
    }
}

pub(crate) mod mapped {
    use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    use loom::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    /// The words of the page that are used; both sides have the same ones.
    #[derive(Debug, Clone)]
    pub(crate) struct SharedPage(Arc<Words>);

    #[derive(Debug)]
    struct Words {
        words: [(usize, AtomicU32); 4],
        longs: [(usize, AtomicU64); 8],
        sleepers: Mutex<()>,
        woken: Condvar,
    }

    impl SharedPage {
        pub(crate) fn zeroed() -> Self {
            Self(Arc::new(Words {
                words: [8, 12, 32, 36].map(|at| (at, AtomicU32::new(0))),
                longs: [0, 16, 24, 40, 48, 56, 64, 72].map(|at| (at, AtomicU64::new(0))),
                sleepers: Mutex::new(()),
                woken: Condvar::new(),
            }))
        }

        pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
            self.0.words.iter().find(|(word, _)| *word == at).map(|(_, word)| word).unwrap()
        }

        pub(crate) fn long(&self, at: usize) -> &AtomicU64 {
            self.0.longs.iter().find(|(long, _)| *long == at).map(|(_, long)| long).unwrap()
        }

        /// A futex: it is compared and slept on in one step, as the kernel does it.
        pub(crate) fn wait(&self, at: usize, value: u32, _timeout: Duration) {
            let sleepers = self.0.sleepers.lock().unwrap();
            if self.word(at).load(Ordering::Acquire) == value {
                drop(self.0.woken.wait(sleepers).unwrap());
            }
        }

        pub(crate) fn wake(&self, _at: usize) {
            let _sleepers = self.0.sleepers.lock().unwrap();
            self.0.woken.notify_all();
        }
    }
}
