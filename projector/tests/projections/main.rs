//! Promise: every projection is a function of the log. Whether it was replayed, taken in bit by bit, or put away as rows
//! and taken up again, it is the same, and it says what a fold of the events that knows nothing of it says.
//!
//! `SEED` repeats one run; every run prints its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod answers;
mod lives;
mod oracle;
#[path = "../support/mod.rs"]
mod support;

use eventstore::{Log, Position};
use lives::Lives;
use projector::activity::Activity;
use projector::analytics::Analytics;
use projector::decode::DecodedCommit;
use projector::image;
use projector::search::Searcher;
use projector::{Models, Projector, ReadModel, ReadModels};
use support::{Random, World, settle};

/// The model that a replay makes.
fn replayed<M: ReadModel>(log: &Log) -> M {
    let mut model = M::begin(log.store_id());
    for commit in log.commits(Position::ZERO) {
        model.apply(&DecodedCommit::decode(&commit.unwrap())).unwrap();
    }
    model
}

/// The model that is made bit by bit: it is asked for its digest now and then, put away as rows and taken up again, and
/// given again what it has had.
fn wandered<M: ReadModel>(log: &Log, random: &mut Random) -> M {
    let mut model = M::begin(log.store_id());
    let mut from = Position::ZERO;
    loop {
        for commit in log.commits(from).take(1 + random.below(40)) {
            model.apply(&DecodedCommit::decode(&commit.unwrap())).unwrap();
        }
        if random.below(3) == 0 {
            let kept = model.digest();
            let mut again = M::from_rows(&model.to_rows().unwrap(), model.checkpoint()).unwrap();
            // A digest that was kept along is the one of what is there.
            assert_eq!(again.digest(), kept, "{}", M::NAME);
            model = again;
        }
        if random.below(3) == 0 {
            model = M::from_rows(&model.to_rows().unwrap(), model.checkpoint()).unwrap();
        }
        let next = model.checkpoint().next;
        if next == log.watermark() {
            return model;
        }
        // Now and then from somewhere before: what was taken in is passed over.
        let back = if random.below(4) == 0 { random.below(80) } else { 0 };
        from = Position::new(next.get().saturating_sub(back as u64));
    }
}

fn both_ways<M: ReadModel>(log: &Log, random: &mut Random) -> M {
    let (mut replayed, mut wandered) = (replayed::<M>(log), wandered::<M>(log, random));
    assert_eq!(wandered.digest(), replayed.digest(), "{}", M::NAME);
    assert_eq!(wandered.count(), replayed.count(), "{}", M::NAME);
    // Commits without events have no position, so the last of them may not have been asked for.
    assert_eq!(wandered.checkpoint().next, replayed.checkpoint().next, "{}", M::NAME);
    wandered
}

#[test]
fn replayed_wandered_and_folded_by_hand_are_the_same() {
    let mut random = Random::from_environment();
    for _ in 0..6 {
        let world = World::new();
        Lives::new(&world, &mut random).live(400);
        let log = world.log();
        let facts = oracle::read(&log);
        let models: Models = both_ways(&log, &mut random);
        answers::compare_people(&models, &facts);
        // Rows heal what follows from them: who has what is looked at without any, too.
        answers::compare_people(&replayed(&log), &facts);
        let activity: Activity = both_ways(&log, &mut random);
        answers::compare_feeds(&activity, &facts, &mut random);
        let analytics: Analytics = both_ways(&log, &mut random);
        answers::compare_flows(&analytics, &models, &facts, &mut random);
    }
}

#[test]
fn sense_and_nonsense_give_the_same_digests_either_way() {
    let mut random = Random::from_environment();
    let world = World::with_board();
    support::random_history(&world, &mut random, 500);
    both_ways::<Models>(&world.log(), &mut random);
    both_ways::<Activity>(&world.log(), &mut random);
    both_ways::<Analytics>(&world.log(), &mut random);
}

#[test]
fn images_of_a_projector_that_stops_again_and_again_are_what_a_replay_makes() {
    let mut random = Random::from_environment();
    let world = World::new();
    let mut lives = Lives::new(&world, &mut random);
    for _ in 0..4 {
        lives.live(60);
        let projector = Projector::start(world.data_dir(), world.log()).unwrap();
        lives.live(20);
        settle(&world, &projector, &Searcher::open(world.data_dir(), world.log()));
        projector.stop().unwrap();
    }
    drop(lives);
    compare_image::<Models>(&world);
    compare_image::<Activity>(&world);
    compare_image::<Analytics>(&world);
}

fn compare_image<M: ReadModel>(world: &World) {
    let log = world.log();
    let mut imaged: M = image::load(world.data_dir(), &log).unwrap();
    let mut replayed = replayed::<M>(&log);
    // Commits without events may have come after the last one that was waited for: they have no position.
    assert_eq!(imaged.checkpoint().next, replayed.checkpoint().next, "{}", M::NAME);
    assert_eq!(imaged.digest(), replayed.digest(), "{}", M::NAME);
}

#[test]
fn a_broken_image_costs_the_replay_of_its_own_model_alone() {
    let mut random = Random::from_environment();
    let world = World::new();
    Lives::new(&world, &mut random).live(60);
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    settle(&world, &projector, &Searcher::open(world.data_dir(), world.log()));
    projector.stop().unwrap();
    let end = world.log().watermark();

    let images = world.data_dir().join("images");
    let current = images.join(std::fs::read_to_string(images.join("CURRENT")).unwrap().trim());
    let mut bent = std::fs::read(current.join("activity.img")).unwrap();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    std::fs::write(current.join("activity.img"), bent).unwrap();
    // The image of one model in the place of another's.
    std::fs::copy(current.join("models.img"), current.join("analytics.img")).unwrap();

    let log = world.log();
    let opened = ReadModels::open(world.data_dir(), &log);
    assert_eq!(opened.models.checkpoint(), end);
    assert_eq!(opened.activity.checkpoint(), Position::ZERO);
    assert_eq!(opened.analytics.checkpoint(), Position::ZERO);
    assert_eq!(opened.checkpoint(), Position::ZERO);
    let _following = opened.follow(log.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let wait = std::time::Duration::from_secs(20);
    assert!(runtime.block_on(opened.wait_for(end, wait)), "{:?}", opened.failure());
    assert_eq!(opened.models.digest().1, replayed::<Models>(&log).digest());
    assert_eq!(opened.activity.digest().1, ReadModel::digest(&mut replayed::<Activity>(&log)));
    assert_eq!(opened.analytics.digest().1, ReadModel::digest(&mut replayed::<Analytics>(&log)));
}

#[test]
fn the_order_of_the_log_between_items_does_not_show_in_the_flow() {
    let mut random = Random::from_environment();
    let (in_order, shuffled) = (World::with_board(), World::with_board());
    let lives = lives::of_items(&mut random, 40);
    let mut by_time: Vec<_> = lives.iter().flatten().cloned().collect();
    by_time.sort_by_key(|deed| deed.at);
    by_time.iter().for_each(|deed| deed.append(&in_order));
    // Each item's events in their own order, but the items in any.
    let mut left: Vec<_> = lives.into_iter().map(std::collections::VecDeque::from).collect();
    while !left.is_empty() {
        let place = random.below(left.len());
        match left[place].pop_front() {
            Some(deed) => deed.append(&shuffled),
            None => drop(left.swap_remove(place)),
        }
    }
    let [one, other]: [Analytics; 2] = [&in_order, &shuffled].map(|world| replayed(&world.log()));
    let (from, to) = (lives::day("2026-01-01"), lives::day("2026-03-31"));
    let flow = |analytics: &Analytics| {
        let mut flow = analytics.flow(support::board(), from, to).unwrap();
        flow.cycle_times.sort_unstable();
        flow.lead_times.sort_unstable();
        flow
    };
    assert_eq!(flow(&one), flow(&other));
    assert!(flow(&one).days.iter().any(|day| day.completed > 0 && day.work_in_progress > 0));
}

#[test]
fn a_feed_takes_few_bytes_an_event() {
    let mut random = Random(7);
    let world = World::new();
    // As in the real histories, a handful of events to an item.
    Lives::new(&world, &mut random).live(4_000);
    let activity: Activity = replayed(&world.log());
    let events = world.log().watermark().get() as usize;
    let bytes = activity.memory_bytes();
    eprintln!("{bytes} bytes for {events} events: {} bytes an event", bytes / events);
    assert!(bytes / events < 64, "{bytes} bytes for {events} events");
}
