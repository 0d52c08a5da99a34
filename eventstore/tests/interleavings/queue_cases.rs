//! The queue between callers and the writer.

use crate::commit::PreparedCommit;
use crate::error::AppendError;
use crate::pending::Pending;
use crate::queue::{Queue, Woken};
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

fn commit(len: usize) -> PreparedCommit {
    PreparedCommit { body: vec![0; len] }
}

/// What a served job hears here: something that no queue says by itself.
fn served() -> AppendError {
    AppendError::Unreadable { reason: "served".to_owned() }
}

fn serve(queue: &Queue) -> usize {
    let jobs = queue.take();
    let count = jobs.len();
    for job in jobs {
        job.answer.send(Err(served())).unwrap();
    }
    count
}

fn answer(mut pending: Pending) -> AppendError {
    pending.try_answer().unwrap().unwrap_err()
}

/// Serves until the queue is closed and empty, as the writer's thread does.
fn writer(queue: &Queue) -> usize {
    let mut count = 0;
    loop {
        match queue.wait(Duration::ZERO) {
            Woken::Queue => count += serve(queue),
            Woken::Quiet => panic!("nothing times out here"),
        }
        if queue.is_closed() && queue.is_empty() {
            return count;
        }
    }
}

#[test]
fn every_job_is_served_once_and_the_writer_never_sleeps_over_one() {
    loom::model(|| {
        let queue = Arc::new(Queue::default());
        let writing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || writer(&queue)
        });
        let other = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push(commit(30)).unwrap()
        });
        let mine = queue.push(commit(8)).unwrap();
        let theirs = other.join().unwrap();
        queue.close();
        assert_eq!(writing.join().unwrap(), 2);
        assert!(matches!(answer(mine), AppendError::Unreadable { .. }));
        assert!(matches!(answer(theirs), AppendError::Unreadable { .. }));
    });
}

#[test]
fn a_job_that_races_with_the_end_is_served_or_refused() {
    loom::model(|| {
        let queue = Arc::new(Queue::default());
        let writing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || writer(&queue)
        });
        let pushing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push(commit(8))
        });
        queue.close();
        let served = writing.join().unwrap();
        match pushing.join().unwrap() {
            Ok(pending) => {
                assert_eq!(served, 1);
                assert!(matches!(answer(pending), AppendError::Unreadable { .. }));
            }
            Err(error) => assert!(served == 0 && matches!(error, AppendError::Closed)),
        }
    });
}

#[test]
fn a_job_that_races_with_a_failure_is_answered_once() {
    loom::model(|| {
        let queue = Arc::new(Queue::default());
        let pushing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push(commit(8))
        });
        let taking = thread::spawn({
            let queue = Arc::clone(&queue);
            move || serve(&queue)
        });
        queue.fail("the disk is gone");
        let served = taking.join().unwrap();
        match pushing.join().unwrap().map(answer) {
            Ok(AppendError::Unreadable { .. }) => assert_eq!(served, 1),
            Ok(AppendError::ReadOnly { .. }) | Err(AppendError::ReadOnly { .. }) => assert_eq!(served, 0),
            other => panic!("{other:?}"),
        }
        assert!(queue.is_empty());
    });
}

#[test]
fn a_full_queue_says_so_and_takes_again_what_has_been_taken_out() {
    loom::model(|| {
        let queue = Arc::new(Queue::default());
        let waiting = [8, 8].map(|len| queue.push(commit(len)).unwrap());
        let taking = thread::spawn({
            let queue = Arc::clone(&queue);
            move || serve(&queue)
        });
        let third = queue.push(commit(8));
        assert_eq!(taking.join().unwrap() + serve(&queue), 2 + usize::from(third.is_ok()));
        assert!(waiting.into_iter().all(|pending| matches!(answer(pending), AppendError::Unreadable { .. })));
        assert!(third.map_or_else(|error| matches!(error, AppendError::Overloaded), |_| true));
    });
}

/// Nobody closes the queue here: the commit alone has to wake the writer.
#[test]
fn one_commit_is_enough_to_wake_the_writer() {
    loom::model(|| {
        let queue = Arc::new(Queue::default());
        let writing = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                assert!(matches!(queue.wait(Duration::ZERO), Woken::Queue));
                serve(&queue)
            }
        });
        let pending = queue.push(commit(8)).unwrap();
        assert_eq!(writing.join().unwrap(), 1);
        assert!(matches!(answer(pending), AppendError::Unreadable { .. }));
    });
}
