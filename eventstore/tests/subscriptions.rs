//! Subscriptions: everything that is wanted, once, in order, whoever writes meanwhile and whatever the index does.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use eventstore::{
    CommitBuilder, Delivery, EventType, ExpectedVersion, Filter, Lineage, Log, Outcome, Position, ReadError,
    Store, SubscribeError, Subscription,
};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Random, command, event, one, open, stream, tag};

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

/// An event in the plainest words, and whether a filter wants it in the plainest way.
#[derive(Debug, Clone)]
struct Plain {
    position: u64,
    commit: u64,
    stream: String,
    event_type: String,
    tags: Vec<String>,
}

fn wants(filter: &Filter, event: &Plain) -> bool {
    match filter {
        Filter::All => true,
        Filter::Stream(stream) => event.stream == stream.to_string(),
        Filter::Category(category) => event.stream.split('-').next() == Some(category),
        Filter::Types(types) => types.iter().any(|wanted| wanted.to_string() == event.event_type),
        Filter::Tag(tag) => event.tags.contains(&tag.to_string()),
        Filter::Every(parts) => parts.iter().all(|part| wants(part, event)),
    }
}

fn everything(log: &Log) -> Vec<Plain> {
    let mut all = Vec::new();
    for commit in log.commits(Position::ZERO) {
        let commit = commit.unwrap();
        for event in commit.events() {
            all.push(Plain {
                position: event.position().get(),
                commit: commit.first().get(),
                stream: event.stream().to_owned(),
                event_type: event.event_type().to_owned(),
                tags: event.tags().map(str::to_owned).collect(),
            });
        }
    }
    all
}

/// What a consumer has seen: positions by delivery, and the checkpoints.
#[derive(Debug, Default)]
struct Seen {
    deliveries: Vec<Vec<u64>>,
    checkpoints: Vec<Lineage>,
}

impl Seen {
    fn take(&mut self, delivery: &Delivery) {
        let positions: Vec<u64> = delivery.events().map(|event| event.position().get()).collect();
        assert_eq!(positions.len(), delivery.len());
        assert_eq!(positions.is_empty(), delivery.is_empty());
        if !positions.is_empty() {
            self.deliveries.push(positions);
        }
        self.checkpoints.push(delivery.checkpoint());
    }

    fn checkpoint(&self) -> Option<Lineage> {
        self.checkpoints.last().copied()
    }

    fn has_reached(&self, end: Position) -> bool {
        self.checkpoint().is_some_and(|checkpoint| checkpoint.next >= end)
    }

    fn check(&self, log: &Log, filter: &Filter, from: u64) {
        let all = everything(log);
        let wanted: Vec<&Plain> =
            all.iter().filter(|event| event.position >= from && wants(filter, event)).collect();
        let whole: Vec<Vec<u64>> = wanted
            .chunk_by(|one, other| one.commit == other.commit)
            .map(|commit| commit.iter().map(|event| event.position).collect())
            .collect();
        assert_eq!(self.deliveries, whole, "{filter:?} from {from}");
        assert!(self.checkpoints.is_sorted_by_key(|checkpoint| checkpoint.next), "{filter:?}");
        for checkpoint in &self.checkpoints {
            assert!(log.confirms(checkpoint).unwrap(), "{filter:?} {checkpoint:?}");
        }
    }
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
    for filter in [Filter::All, Filter::Stream(stream("item-1"))] {
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

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
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
    for filter in [Filter::All, Filter::Stream(stream("item-1")), Filter::Types(Vec::new())] {
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
    for filter in [Filter::All, Filter::Stream(stream("item-1"))] {
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
