//! Subscriptions: everything that is wanted, once, in order, whoever writes meanwhile and whatever the index does.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use eventstore::{
    CommitBuilder, Delivery, ExpectedVersion, Filter, Lineage, Log, Position, ReadError, Store,
    SubscribeError, Subscription,
};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::seen::{Seen, everything};
use support::{copy, event, one, open, stream, tag};

/// Longer than anything here takes; nothing is asserted of it.
const LONG: Duration = Duration::from_secs(60);

/// Appends `count` events of one stream, each a commit of its own.
fn append(store: &Store, stream: &str, count: u64) {
    for _ in 0..count {
        store.append(one(stream, ExpectedVersion::Any, "{}")).unwrap();
    }
}

fn next(subscription: &mut Subscription) -> Delivery {
    subscription.wait(LONG).unwrap().expect("a delivery")
}

#[test]
fn what_is_not_wanted_moves_the_checkpoint_in_steps() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let pending: Vec<_> =
        (0..2500).map(|_| store.submit(one("item-1", ExpectedVersion::Any, "{}")).unwrap()).collect();
    pending.into_iter().for_each(|pending| assert!(pending.wait().is_ok()));
    let filter = Filter::Category("board".to_owned());
    let mut subscription = store.subscribe(filter, Position::ZERO);
    for expected in [1024, 2048, 2500] {
        let delivery = next(&mut subscription);
        assert!(delivery.is_empty());
        assert!(delivery.commit().is_none());
        assert_eq!(delivery.checkpoint().next, Position::new(expected));
    }
    assert!(subscription.wait(Duration::ZERO).unwrap().is_none());
    // By the index nothing is passed one by one.
    let mut by_index = store.subscribe(Filter::Stream(stream("board-1")), Position::ZERO);
    assert_eq!(next(&mut by_index).checkpoint(), store.lineage());
    // A wanted event tells all progress before it.
    append(&store, "item-1", 3);
    append(&store, "board-1", 1);
    for subscription in [&mut subscription, &mut by_index] {
        let mut delivery = next(subscription);
        while delivery.is_empty() {
            delivery = next(subscription);
        }
        assert_eq!(delivery.events().map(|event| event.position().get()).collect::<Vec<_>>(), [2503]);
        assert!(subscription.wait(Duration::ZERO).unwrap().is_none());
    }
}

#[test]
fn a_position_within_a_commit_and_one_beyond_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = CommitBuilder::new();
    (0..5).for_each(|_| {
        commit.event(event("item-1", "{}"));
    });
    store.append(commit.prepare().unwrap()).unwrap();
    for filter in [Filter::All, Filter::Stream(stream("item-1")), Filter::Tag(tag("of:item-1"))] {
        let mut within = store.subscribe(filter.clone(), Position::new(3));
        let delivery = next(&mut within);
        assert_eq!(delivery.events().map(|event| event.position().get()).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(delivery.commit().unwrap().len(), 5);

        let end = store.watermark();
        let mut beyond = store.subscribe(filter, end.plus(2));
        assert!(beyond.wait(Duration::ZERO).unwrap().is_none());
        append(&store, "item-1", 2);
        assert!(beyond.wait(Duration::ZERO).unwrap().is_none());
        append(&store, "item-1", 1);
        assert_eq!(next(&mut beyond).events().next().unwrap().position(), end.plus(2));
    }
}

#[test]
fn a_checkpoint_of_another_history_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 10);
    store.close();
    drop(store);
    copy(dir.path(), other.path());
    let store = open(dir.path());
    append(&store, "item-1", 10);
    let checkpoint = store.lineage();
    assert!(store.subscribe_from(Filter::All, &checkpoint).is_ok());
    assert!(store.subscribe_from(Filter::All, &Lineage { next: Position::ZERO, ..checkpoint }).is_err());

    // Restored from the copy: first it does not reach there, then it has gone another way.
    let restored = open(other.path());
    match restored.subscribe_from(Filter::All, &checkpoint) {
        Err(SubscribeError::Ahead { next, watermark }) => {
            assert_eq!((next, watermark), (Position::new(20), Position::new(10)));
        }
        other => panic!("{other:?}"),
    }
    append(&restored, "item-1", 20);
    match restored.subscribe_from(Filter::All, &checkpoint) {
        Err(SubscribeError::Rewritten { next, .. }) => assert_eq!(next, Position::new(20)),
        other => panic!("{other:?}"),
    }
    let foreign = tempfile::tempdir().unwrap();
    let foreign = open(foreign.path());
    append(&foreign, "item-1", 30);
    let refused = foreign.subscribe_from(Filter::All, &checkpoint);
    assert!(matches!(refused, Err(SubscribeError::OtherStore { .. })), "{refused:?}");
}

/// Flips a bit in the body of the commit at `position`; done twice, it is as before.
fn flip(dir: &Path, log: &Log, position: u64) {
    let place = log
        .commits(Position::ZERO)
        .find_map(|commit| {
            // The damaged one cannot be asked where it is; the one before it can.
            let commit = commit.ok()?;
            (commit.next().get() == position).then(|| commit.place())
        })
        .unwrap();
    let path = dir.join("log").join(format!("{:010}.seg", place.segment()));
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut frame = [0; 16];
    file.read_exact_at(&mut frame, place.offset()).unwrap();
    let body = u64::from(u32::from_le_bytes(frame[12..].try_into().unwrap()));
    // All commits here have the same form: one stream, one event.
    let at = place.offset() + (104 + body).next_multiple_of(8) + 150;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

#[test]
fn damage_is_told_once_and_never_passed() {
    let tagged = Filter::Tag(tag("of:item-1"));
    for filter in [Filter::All, Filter::Stream(stream("item-1")), tagged, Filter::Types(Vec::new())] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        append(&store, "item-1", 20);
        flip(dir.path(), &store, 12);
        let wants_all = filter != Filter::Types(Vec::new());
        let mut subscription = store.subscribe(filter, Position::ZERO);
        let mut seen = Seen::default();
        let error = loop {
            match subscription.wait(LONG) {
                Ok(delivery) => seen.take(&delivery.unwrap()),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
        assert_eq!(seen.deliveries.len(), if wants_all { 12 } else { 0 });
        assert_eq!(seen.checkpoint().unwrap().next, Position::new(12));
        // Neither time nor more events change anything.
        append(&store, "item-1", 1);
        for _ in 0..3 {
            assert!(subscription.wait(Duration::from_millis(600)).unwrap().is_none());
        }
        flip(dir.path(), &store, 12);
        while !seen.has_reached(Position::new(21)) {
            seen.take(&next(&mut subscription));
        }
        assert_eq!(seen.deliveries.len(), if wants_all { 21 } else { 0 });
    }
}

#[test]
fn damage_before_the_beginning_does_not_matter() {
    for filter in [Filter::All, Filter::Stream(stream("item-1")), Filter::Tag(tag("of:item-1"))] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        append(&store, "item-1", 20);
        flip(dir.path(), &store, 19);
        let mut subscription = store.subscribe(filter, Position::new(20));
        assert!(subscription.wait(Duration::ZERO).unwrap().is_none());
        append(&store, "item-1", 1);
        assert_eq!(next(&mut subscription).checkpoint().next, Position::new(21));
    }
}

#[test]
fn cancelling_ends_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 1);
    let mut blocking = store.subscribe(Filter::All, Position::ZERO);
    let canceller = blocking.canceller();
    next(&mut blocking);
    let waiting =
        std::thread::spawn(move || blocking.wait(Duration::MAX).map(|end| (end.is_none(), blocking)));
    canceller.cancel();
    let (is_end, mut blocking) = waiting.join().unwrap().unwrap();
    assert!(is_end && blocking.is_cancelled());
    append(&store, "item-1", 1);
    assert!(blocking.wait(LONG).unwrap().is_none());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut subscription = store.subscribe(Filter::All, Position::ZERO);
        let canceller = subscription.canceller();
        for _ in 0..2 {
            assert_eq!(subscription.next().await.unwrap().unwrap().len(), 1);
        }
        let waiting = tokio::spawn(async move { subscription.next().await });
        tokio::task::yield_now().await;
        canceller.cancel();
        assert!(waiting.await.unwrap().unwrap().is_none());
    });
}

/// Many subscriptions that wait need neither threads nor turns: every one of them hears of every commit.
#[test]
fn many_wait_on_one_thread() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let heard = Arc::new(tokio::sync::Semaphore::new(0));
        let consumers: Vec<_> = (0..200)
            .map(|number| {
                let filter = Filter::Stream(stream(&format!("item-{}", number % 2)));
                let mut subscription = store.subscribe(filter, Position::ZERO);
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let mut events = 0;
                    while events < 5 {
                        events += subscription.next().await.unwrap().unwrap().len();
                    }
                    heard.add_permits(1);
                    events
                })
            })
            .collect();
        for number in 0..10 {
            store
                .submit(one(&format!("item-{}", number % 2), ExpectedVersion::Any, "{}"))
                .unwrap()
                .await
                .unwrap();
        }
        let _all = heard.acquire_many(200).await.unwrap();
        for consumer in consumers {
            assert_eq!(consumer.await.unwrap(), 5);
        }
    });
}

const CHILD: &str = "SUNDAY_TEST_SUBSCRIBER_DIR";

/// What the other process of the next test does; nothing otherwise.
#[test]
fn as_another_process() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let log = Log::open(Path::new(&dir)).unwrap();
    let mut subscription = log.subscribe(Filter::Category("item".to_owned()), Position::ZERO);
    let mut events = 0;
    while events < 300 {
        let delivery = next(&mut subscription);
        delivery.events().for_each(|event| eprintln!("saw {}", event.position()));
        events += delivery.len();
    }
}

#[test]
fn another_process_sees_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append(&store, "item-1", 100);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_another_process", "--nocapture"])
        .env(CHILD, dir.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for number in 0..100 {
        append(&store, "board-1", number % 3);
        append(&store, "item-2", 2);
    }
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let seen: Vec<u64> = lines.filter_map(|line| line.strip_prefix("saw ")?.parse().ok()).collect();
    assert!(child.wait().unwrap().success());
    let items = everything(&store).into_iter().filter(|event| event.stream.starts_with("item-"));
    assert_eq!(seen, items.map(|event| event.position).collect::<Vec<_>>());
}
