//! Random filters against a plain scan, while somebody writes: blocking and async, in the writer's process and behind
//! the control page, with consumers that begin again and futures that are dropped. The seed is printed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use eventstore::{CommitBuilder, EventType, Filter, Log, Outcome, Position};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::seen::Seen;
use support::{Random, command, event, open, stream, tag};

/// Longer than anything here takes; nothing is asserted of it.
const LONG: Duration = Duration::from_secs(60);

fn event_type(number: u64) -> EventType {
    EventType::new(format!("type.{number}")).unwrap()
}

/// A commit of up to six events of few streams, types and tags; sometimes of a command only.
fn random_commit(random: &mut Random) -> eventstore::PreparedCommit {
    let mut commit = CommitBuilder::new();
    let events = random.below(7);
    for _ in 0..events {
        let category = ["item", "board", "item-of-old", "user"][usize::try_from(random.below(4)).unwrap()];
        let mut event = event(&format!("{category}-{}", random.below(4)), "{}");
        event.event_type = event_type(random.below(4));
        event.tags = (0..random.below(3)).map(|_| tag(&format!("tag:{}", random.below(4)))).collect();
        event.tags.dedup();
        commit.event(event);
    }
    if events == 0 {
        commit.command(command(&format!("c{}", random.next()), "", Outcome::Unchanged));
    }
    commit.prepare().unwrap()
}

fn random_filter(random: &mut Random) -> Filter {
    let one = |random: &mut Random| match random.below(5) {
        0 => Filter::Stream(stream(&format!("item-{}", random.below(5)))),
        1 => Filter::Category(
            ["item", "board", "none", "item-of"][usize::try_from(random.below(4)).unwrap()].into(),
        ),
        2 => Filter::Types((0..random.below(3)).map(event_type).collect()),
        3 => Filter::Tag(tag(&format!("tag:{}", random.below(5)))),
        _ => Filter::All,
    };
    let first = one(random);
    if random.below(3) == 0 { first.and(one(random)) } else { first }
}

/// Consumes by blocking until `end` is known and reached; begins again from its checkpoint now and then.
fn consume(log: &Log, filter: &Filter, from: u64, end: &AtomicBool, mut random: Random) -> Seen {
    let mut seen = Seen::default();
    let mut subscription = log.subscribe(filter.clone(), Position::new(from));
    let writer_end = |log: &Log| end.load(Ordering::Acquire).then(|| log.watermark());
    loop {
        if let Some(delivery) = subscription.wait(Duration::from_millis(random.below(4))).unwrap() {
            seen.take(&delivery);
        }
        if let Some(checkpoint) = seen.checkpoint().filter(|_| random.below(40) == 0) {
            subscription = log.subscribe_from(filter.clone(), &checkpoint).unwrap();
        }
        if writer_end(log).is_some_and(|end| seen.has_reached(end) || end.get() <= from) {
            return seen;
        }
    }
}

/// The same in async code, where futures are dropped at any time.
async fn consume_async(log: &Log, filter: &Filter, from: u64, end: &AtomicBool, mut random: Random) -> Seen {
    let mut seen = Seen::default();
    let mut subscription = log.subscribe(filter.clone(), Position::new(from));
    loop {
        let patience = Duration::from_micros(random.below(600));
        if let Ok(next) = tokio::time::timeout(patience, subscription.next()).await {
            seen.take(&next.unwrap().unwrap());
        }
        if let Some(checkpoint) = seen.checkpoint().filter(|_| random.below(40) == 0) {
            subscription = log.subscribe_from(filter.clone(), &checkpoint).unwrap();
        }
        if end.load(Ordering::Acquire) {
            let end = log.watermark();
            if seen.has_reached(end) || end.get() <= from {
                return seen;
            }
        }
    }
}

#[test]
fn random_filters_deliver_what_a_plain_scan_would() {
    let mut random = Random::seeded();
    for round in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for _ in 0..random.below(300) {
            store.append(random_commit(&mut random)).unwrap();
        }
        // Another process shares no more with the writer than this reader does: files and the control page.
        let reader = Log::open(dir.path()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut consumers = Vec::new();
            for number in 0..8 {
                let log = if number % 2 == 0 { store.log() } else { reader.clone() };
                let filter = random_filter(&mut random);
                let from = random.below(store.watermark().get() + 50);
                let from = if random.below(3) == 0 { 0 } else { from };
                let seed = Random(random.next());
                let done = &done;
                consumers.push(scope.spawn(move || {
                    let seen = if number < 4 {
                        consume(&log, &filter, from, done, seed)
                    } else {
                        let runtime =
                            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                        runtime.block_on(consume_async(&log, &filter, from, done, seed))
                    };
                    (seen, filter, from)
                }));
            }
            for _ in 0..400 {
                store.append(random_commit(&mut random)).unwrap();
            }
            // Only now is the end the end, for the reader as well.
            assert!(reader.wait_for(store.watermark(), LONG));
            done.store(true, Ordering::Release);
            for consumer in consumers {
                let (seen, filter, from) = consumer.join().unwrap();
                seen.check(&store, &filter, from);
            }
        });
        eprintln!("round {round}: {} events", store.watermark());
    }
}
