//! Checks while everything goes on, and those that go on by themselves.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[test]
fn a_check_under_load_finds_nothing_where_nothing_is_wrong() {
    let seed = Random::from_environment();
    let commits: u64 =
        std::env::var("SUNDAY_CHECK_COMMITS").ok().and_then(|commits| commits.parse().ok()).unwrap_or(3_000);
    let running = Running::over(with_items());
    let (is_over, checks, moved) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(seed.0);
            for _ in 0..commits / 10 {
                random_history(&running.world, &mut random, 10);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        // Repairs in between: they change nothing, and miss nothing of what is written meanwhile.
        scope.spawn(|| {
            let mut random = Random(seed.0 + 1);
            while !is_over.load(Ordering::Relaxed) {
                let entity = Entity::Item(item(&format!("K-{}", random.below(30))));
                for projection in ProjectionName::ALL {
                    running.projector.repairs().repair(projection, &entity).unwrap();
                }
            }
        });
        let mut number = 0;
        while !is_over.load(Ordering::Relaxed) {
            number += 1;
            let one_in = [1, 2, 7][number as usize % 3];
            let what = if number % 2 == 0 { Scope::All } else { Scope::Sample { one_in, seed: number } };
            let before = running.world.log().watermark();
            let found = running.check(&what);
            assert_eq!(found, [], "{what:?}");
            checks.fetch_add(1, Ordering::Relaxed);
            moved.fetch_add(running.world.log().watermark().get() - before.get(), Ordering::Relaxed);
        }
    });
    let (checks, moved) = (checks.into_inner(), moved.into_inner());
    eprintln!("{checks} checks, {moved} events while they went on");
    assert!(checks > 1 && moved > 0);
    let searcher = Searcher::open(running.world.data_dir(), running.world.log());
    settle(&running.world, &running.projector, &searcher);
    assert_eq!(running.check(&Scope::All), []);
    assert_eq!(running.projector.models().digest().1, replay(&running.world.log()).digest());
}

#[test]
fn the_check_in_the_background_counts_what_it_finds() {
    let running = Running::over(with_items());
    running.projector.models().write().item_to_spoil(item("K-1")).title = crate::models::Name::new("spoilt");
    let settings = CheckSettings { every: Duration::from_millis(1), one_in: 1 };
    let models = running.projector.read_models().clone();
    let dir = Some(running.world.data_dir().to_owned());
    let background = Background::start(settings, running.world.log(), models.clone(), dir).unwrap();
    let figures = background.figures();
    while figures.passes() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(figures.findings(Class::Stale) >= 2 && figures.compared() > 20);
    assert_eq!(figures.findings(Class::Orphaned), 0);
    let last = figures.last().unwrap();
    assert_eq!((last.counts, last.failure), ([0, 1, 0, 0], None));
    // Nobody asked for it, so nothing was repaired.
    assert_eq!(running.check(&Scope::All).len(), 1);
    Repairs::of(running.world.log(), models)
        .repair(ProjectionName::Models, &Entity::Item(item("K-1")))
        .unwrap();
    let repaired_at = figures.passes();
    while figures.passes() < repaired_at + 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(figures.last().unwrap().counts, [0; 4]);
    drop(background);
    let off = Background::start(
        CheckSettings::OFF,
        running.world.log(),
        running.projector.read_models().clone(),
        None,
    );
    assert_eq!(off.unwrap().figures().passes(), 0);
}
