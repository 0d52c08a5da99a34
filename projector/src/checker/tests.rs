//! Each fault is planted, found, named and repaired; and where there is none, none is found, whatever goes on meanwhile.

use super::*;
use crate::models::Place;
use crate::run::{Projector, Repairs};
use crate::search::{DocumentKey, DocumentKind, Effort, IndexStore, Searcher};
use crate::support::*;
use domain::{ItemId, WorkspaceId};
use eventstore::Position;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

const AT_ONCE: Manner<'static> = Manner { share: 1, is_stopped: &|| false };

/// A projector over a history, with nothing left to be taken in.
struct Running {
    projector: Projector,
    world: World,
}

impl Running {
    fn over(world: World) -> Self {
        let projector = Projector::start(world.data_dir(), world.log()).unwrap();
        let searcher = Searcher::open(world.data_dir(), world.log());
        settle(&world, &projector, &searcher);
        Self { projector, world }
    }

    fn check(&self, scope: &Scope) -> Vec<Finding> {
        let subjects = Subjects {
            read_models: Some(self.projector.read_models()),
            index_of: Some(self.world.data_dir()),
        };
        let checked = check(&self.world.log(), &subjects, scope, &AT_ONCE).unwrap();
        assert_eq!(checked.len(), 4);
        checked.into_iter().flat_map(|checked| checked.findings).collect()
    }

    /// That exactly these are found, and that repairs leave nothing to be found.
    #[track_caller]
    fn expect(&self, projection: ProjectionName, expected: &[(Class, Entity)]) {
        let found = self.check(&Scope::All);
        let told: std::collections::BTreeSet<_> =
            found.iter().map(|finding| (finding.class, finding.entity.clone())).collect();
        assert_eq!(told, expected.iter().cloned().collect(), "{found:#?}");
        for (_, entity) in expected {
            self.projector.repairs().repair(projection, entity).unwrap();
        }
        if projection == ProjectionName::Search {
            // It is written anew by a thread of its own.
            for _ in 0..200 {
                if self.check(&Scope::All).is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        assert_eq!(self.check(&Scope::All), [], "after repairs");
        let models = self.projector.read_models();
        assert_eq!(models.models.digest().1, replay(&self.world.log()).digest());
    }
}

fn with_items() -> World {
    let world = World::with_board();
    for number in 0..6 {
        let key = format!("K-{number}");
        let mut payload = created(&key, &format!("title {number}"), &format!("{number}5"), "Open");
        payload["assignees"] = json!(["ann"]);
        world.append(&item(&key).stream_id(), "item.created", payload);
        world.comment(&key, "c", "a comment");
    }
    world.append(&item("K-5").stream_id(), "item.completed", json!({}));
    world
}

#[test]
fn where_nothing_is_wrong_nothing_is_found() {
    let mut random = Random::from_environment();
    for _ in 0..4 {
        let world = World::with_board();
        random_history(&world, &mut random, 300);
        world.append_unchanged("at the end");
        let running = Running::over(world);
        assert_eq!(running.check(&Scope::All), []);
        for one_in in [1, 2, 5, 1_000] {
            let scope = Scope::Sample { one_in, seed: random.0 };
            assert_eq!(running.check(&scope), [], "{scope:?}");
        }
        for entity in [
            Entity::Workspace(workspace()),
            Entity::Project(project()),
            Entity::Board(board()),
            Entity::Item(item("K-1")),
            Entity::Comment(comment("K-1", "c0")),
            Entity::Person("ann".to_owned()),
        ] {
            for projection in [ProjectionName::Models, ProjectionName::Activity, ProjectionName::Analytics] {
                let repaired = running.projector.repairs().repair(projection, &entity).unwrap();
                assert!(!repaired, "{projection:?} {entity}");
            }
        }
        running.projector.stop().unwrap();
        // The same of the files alone.
        let world = running.world;
        for scope in [Scope::All, Scope::Sample { one_in: 3, seed: random.0 }] {
            let checked = check_data_dir(world.data_dir(), &world.log(), &scope, &AT_ONCE).unwrap();
            assert_eq!(checked.len(), 4, "{checked:?}");
            let compared: Vec<_> = checked.iter().map(|checked| checked.compared).collect();
            // A third of a few items may be none.
            assert!(scope != Scope::All || compared.iter().all(|compared| *compared > 0), "{compared:?}");
            assert!(checked.iter().all(|checked| checked.findings.is_empty()), "{checked:#?}");
        }
    }
}

#[test]
fn what_is_wrong_in_the_models_is_found_and_repaired() {
    let running = Running::over(with_items());
    let models = running.projector.models().clone();
    let (one, other) = (item("K-1"), item("K-2"));
    let unknown = ItemId::new(Uuid::from_u128(7));
    let expect = |class, entity| running.expect(ProjectionName::Models, &[(class, entity)]);

    models.write().item_to_spoil(one).title = crate::models::Name::new("spoilt");
    expect(Class::Stale, Entity::Item(one));

    models.write().spoil(|tables| drop(tables.comments.remove(comment("K-1", "c"))));
    expect(Class::Missing, Entity::Comment(comment("K-1", "c")));

    models.write().spoil(|tables| {
        let mut copy = tables.items.get(one).unwrap().clone();
        copy.id = unknown;
        copy.external_key = None;
        tables.items.insert(copy);
    });
    expect(Class::Orphaned, Entity::Item(unknown));

    // In two columns at once; in none; under another rank.
    let place = |rank: &str, item| Place { rank: crate::models::Name::new(rank), item };
    let items_of = |name: &str, change: &dyn Fn(&mut std::collections::BTreeSet<Place>)| {
        let id = column(name);
        models
            .write()
            .spoil(|tables| change(tables.boards.edit_derived(board()).unwrap().items_of(id).unwrap()));
    };
    items_of("Done", &|items| assert!(items.insert(place("9", one))));
    expect(Class::Duplicate, Entity::Item(one));
    items_of("Open", &|items| items.retain(|place| place.item != one));
    expect(Class::Missing, Entity::Item(one));
    items_of("Doing", &|items| assert!(items.insert(place("9", unknown))));
    expect(Class::Orphaned, Entity::Item(unknown));

    // Somebody's work, and what a key leads to.
    models.write().spoil(|tables| {
        let place = tables.items.place(other).unwrap();
        tables.assigned.remove(place, &[crate::models::Name::new("ann")]);
    });
    expect(Class::Missing, Entity::Item(other));
    models.write().spoil(|tables| {
        let place = tables.items.place(other).unwrap();
        let items = &*tables.items;
        tables.keys.forget(place, |place| items.at(place)?.external_key.as_deref());
    });
    expect(Class::Missing, Entity::Item(other));

    models.write().spoil(|tables| tables.projects.edit(project()).unwrap().statistics.completed = 5);
    expect(Class::Stale, Entity::Project(project()));
    models.write().spoil(|tables| tables.workspaces.edit(workspace()).unwrap().archived = true);
    expect(Class::Stale, Entity::Workspace(workspace()));
    models.write().spoil(|tables| tables.boards.edit(board()).unwrap().name = crate::models::Name::new("x"));
    expect(Class::Stale, Entity::Board(board()));
    // A digest that was remembered says nothing of what was altered behind its back.
    let _ = models.digest();
    models.write().spoil(|tables| tables.boards.edit_derived(board()).unwrap().deleted = true);
    assert!(!running.check(&Scope::All).is_empty());
    assert!(running.projector.repairs().repair(ProjectionName::Models, &Entity::Board(board())).unwrap());
    assert_eq!(running.check(&Scope::All), []);
}

#[test]
fn a_sample_finds_what_is_in_it() {
    let running = Running::over(with_items());
    let one = item("K-1");
    running.projector.models().write().item_to_spoil(one).title = crate::models::Name::new("spoilt");
    let (mut seen, mut passes) = (0, 0);
    for seed in 0..40 {
        let scope = Scope::Sample { one_in: 3, seed };
        let found = running.check(&scope);
        assert_eq!(!found.is_empty(), scope.has_item(one), "{scope:?} {found:?}");
        seen += usize::from(!found.is_empty());
        passes += 1;
    }
    assert!((4..30).contains(&seen), "{seen} of {passes}");
}

#[test]
fn what_is_wrong_in_feeds_and_figures_is_found_and_repaired() {
    let running = Running::over(with_items());
    let read_models = running.projector.read_models().clone();
    let nobody = WorkspaceId::new(Uuid::from_u128(9));

    for entity in [Entity::Board(board()), Entity::Workspace(workspace())] {
        read_models.activity.write().spoil(&entity, Some(Position::new(1_000)));
        running.expect(ProjectionName::Activity, &[(Class::Stale, entity.clone())]);
        read_models.activity.write().spoil(&entity, None);
        running.expect(ProjectionName::Activity, &[(Class::Missing, entity)]);
    }
    read_models.activity.write().spoil(&Entity::Workspace(nobody), Some(Position::new(3)));
    running.expect(ProjectionName::Activity, &[(Class::Orphaned, Entity::Workspace(nobody))]);
    let ann = Entity::Person("ann".to_owned());
    read_models.activity.write().spoil(&ann, None);
    running.expect(ProjectionName::Activity, &[(Class::Missing, ann)]);
    assert_eq!(read_models.activity.digest().1, {
        let scope = Scope::All;
        let mut replay = replay::Replay::<Activity>::begin(&running.world.log(), &scope, Arc::default());
        while replay.step(running.world.log().watermark()).unwrap() {}
        ReadModel::digest(&mut replay.model)
    });

    read_models.analytics.write().spoil(board(), |track, _| track.open = 77);
    running.expect(ProjectionName::Analytics, &[(Class::Stale, Entity::Board(board()))]);
    read_models.analytics.write().spoil(board(), |_, row| row.created = 77);
    running.expect(ProjectionName::Analytics, &[(Class::Stale, Entity::Board(board()))]);
}

#[test]
fn what_is_wrong_in_the_index_is_found_and_repaired() {
    let running = Running::over(with_items());
    let key = |id: ItemId| DocumentKey { kind: DocumentKind::Item, id: id.uuid() };
    let (one, two, three) = (item("K-1"), item("K-2"), item("K-3"));
    let unknown = ItemId::new(Uuid::from_u128(7));
    let Running { world, projector } = running;
    projector.stop().unwrap();
    {
        // Behind the projector's back: models that know other things are written over the index, at its own lineage.
        let (store, lineage) = IndexStore::open(world.data_dir(), &world.log()).unwrap();
        let spoilt = Shared::new(replay(&world.log()));
        spoilt.write().item_to_spoil(two).completion = None;
        spoilt.write().item_to_spoil(two).title = crate::models::Name::new("an older title");
        spoilt.write().spoil(|tables| {
            let mut copy = tables.items.get(one).unwrap().clone();
            copy.id = unknown;
            tables.items.insert(copy);
            tables.items.remove(one);
        });
        let mut writer = store.writer(Effort::LIVE).unwrap();
        writer.write(&[key(one), key(two), key(unknown)], &spoilt, &world.log(), |_| {}).unwrap();
        writer.add_again(&[key(three)], &spoilt, &world.log());
        writer.commit(&lineage, Some(&crate::control::Letters::default())).unwrap();
    }
    let running = Running::over(world);
    // The sample of everything sees the same, by another way through the index.
    let sampled = running.check(&Scope::Sample { one_in: 1, seed: 3 });
    assert_eq!(sampled.len(), 4, "{sampled:#?}");
    for finding in &sampled {
        assert_eq!(finding.expected.is_none(), finding.class == Class::Orphaned, "{finding:?}");
        assert_eq!(finding.actual.is_none(), finding.class == Class::Missing, "{finding:?}");
    }
    running.expect(
        ProjectionName::Search,
        &[
            (Class::Missing, Entity::Item(one)),
            (Class::Stale, Entity::Item(two)),
            (Class::Duplicate, Entity::Item(three)),
            (Class::Orphaned, Entity::Item(unknown)),
        ],
    );
}

#[test]
fn a_forged_image_with_right_digests_is_found() {
    let running = Running::over(with_items());
    let Running { world, projector } = running;
    projector.stop().unwrap();
    let mut forged = replay(&world.log());
    forged.item_to_spoil(item("K-4")).assignees = [crate::models::Name::new("mallory")].into_iter().collect();
    let generation =
        crate::generation::Generations::new(world.data_dir(), image::IMAGES_DIR).current().unwrap();
    image::write(&generation, &forged, &crate::control::Letters::default()).unwrap();
    let checked = check_data_dir(world.data_dir(), &world.log(), &Scope::All, &AT_ONCE).unwrap();
    let models = &checked[0];
    let told: Vec<_> = models.findings.iter().map(|finding| (finding.class, &finding.entity)).collect();
    let one = Entity::Item(item("K-4"));
    // The row; and who is to do it, twice, which follows from the row.
    assert_eq!(
        told,
        [(Class::Stale, &one), (Class::Missing, &one), (Class::Duplicate, &one)],
        "{checked:#?}"
    );
    assert_eq!(models.counts, [1, 1, 1, 0]);
    assert!(checked[1..].iter().all(|checked| checked.total() == 0));
    // A projector that trusts it is repaired, and writes a true one.
    let running = Running::over(world);
    assert_eq!(running.check(&Scope::All).len(), 3);
    assert!(running.projector.repairs().repair(ProjectionName::Models, &one).unwrap());
    assert_eq!(running.check(&Scope::All), []);
}

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

#[test]
fn repairs_that_are_asked_for_are_carried_out_and_nonsense_is_not() {
    let running = Running::over(with_items());
    running.projector.models().write().item_to_spoil(item("K-1")).title = crate::models::Name::new("spoilt");
    let queue = RepairQueue::start(running.projector.repairs()).unwrap();
    for (projection, entity) in [
        ("models", "item:7"),
        ("modles", "item:01980000-0000-7000-8000-000000000003"),
        ("models", "column:01980000-0000-7000-8000-000000000003"),
    ] {
        assert!(!queue.ask(projection, entity), "{projection} {entity}");
    }
    assert!(
        queue.ask("models", "item:01980000-0000-7000-8000-000000000003"),
        "what nobody has is nothing to repair"
    );
    assert!(queue.ask("models", &Entity::Item(item("K-1")).to_string()));
    drop(queue);
    assert_eq!(running.check(&Scope::All), []);
}

#[test]
fn what_the_log_asks_to_be_repaired_is_repaired_in_every_process() {
    let running = Running::over(with_items());
    // A reader beside the projector, with models of its own.
    let reader = ReadModels::open(running.world.data_dir(), &running.world.log());
    let following = reader.follow(running.world.log()).unwrap();
    assert!(wait(&reader.models, running.world.log().watermark()));
    let one = item("K-1");
    for models in [running.projector.models(), &reader.models] {
        models.write().item_to_spoil(one).title = crate::models::Name::new("spoilt");
    }
    // Written anew, so that the index tells what the models say.
    running.projector.repairs().repair(ProjectionName::Search, &Entity::Item(one)).unwrap();
    while running.check(&Scope::All).len() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ask = |projection: &str| {
        let asked = domain::system::projections::RepairRequested {
            repair_id: Uuid::now_v7(),
            entity: Entity::Item(one).to_string(),
        };
        let stream = domain::system::projections::stream_of(projection);
        let payload = serde_json::to_value(&asked).unwrap();
        running.world.append(&stream, "sys.repair_requested", payload);
    };
    let subjects = Subjects { read_models: Some(&reader), index_of: None };
    let findings = |index_of| {
        let subjects = Subjects { index_of, ..subjects };
        let checked = check(&running.world.log(), &subjects, &Scope::All, &AT_ONCE).unwrap();
        checked.iter().map(Checked::total).sum::<u64>()
    };
    assert_eq!(findings(None), 1);
    ask("models");
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    let settled = |projection: &str, is_done: &dyn Fn() -> bool| {
        while !is_done() {
            assert!(std::time::Instant::now() < patience, "{projection} was not repaired");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    settled("models", &|| findings(None) == 0 && running.check(&Scope::All).len() == 1);
    // The models are right again; the document was made before that, and nobody has asked for it yet.
    ask("search");
    settled("search", &|| running.check(&Scope::All).is_empty());
    drop(following);
}

#[test]
fn a_document_that_was_written_early_is_right_and_one_that_never_was_so_is_not() {
    let running = Running::over(with_items());
    let Running { world, projector } = running;
    projector.stop().unwrap();
    let title = |title: &str| {
        let changes = json!({"changes": {"title": {"to": title}}});
        world.append(&item("K-1").stream_id(), "item.updated", changes);
    };
    title("a newer title");
    let early = Shared::new(replay(&world.log()));
    title("the newest title");
    // The models were ahead when it was written, and are further ahead now: its commit says neither.
    let write = |models: &Shared<Models>| {
        let (store, lineage) = IndexStore::open(world.data_dir(), &world.log()).unwrap();
        let mut writer = store.writer(Effort::LIVE).unwrap();
        let key = DocumentKey { kind: DocumentKind::Item, id: item("K-1").uuid() };
        writer.write(&[key], models, &world.log(), |_| {}).unwrap();
        writer.commit(&lineage, Some(&crate::control::Letters::default())).unwrap();
        let checked = check_data_dir(world.data_dir(), &world.log(), &Scope::All, &AT_ONCE).unwrap();
        checked[3].counts
    };
    assert_eq!(write(&early), [0; 4]);
    early.write().item_to_spoil(item("K-1")).title = crate::models::Name::new("a title of no time");
    assert_eq!(write(&early), [0, 1, 0, 0]);
}

/// Asks in the log for a repair of an item.
fn ask_for_repair(world: &World, projection: &str, one: ItemId) {
    let asked = domain::system::projections::RepairRequested {
        repair_id: Uuid::now_v7(),
        entity: Entity::Item(one).to_string(),
    };
    let stream = domain::system::projections::stream_of(projection);
    world.append(&stream, "sys.repair_requested", serde_json::to_value(&asked).unwrap());
}

#[test]
fn repairs_that_were_asked_for_while_nobody_was_there_are_carried_out_by_whoever_starts() {
    let Running { world, projector } = Running::over(with_items());
    let one = item("K-1");
    projector.models().write().item_to_spoil(one).title = crate::models::Name::new("spoilt");
    projector.repairs().repair(ProjectionName::Search, &Entity::Item(one)).unwrap();
    let moved = world.comment("K-2", "c", "so that there is something to save");
    assert!(wait(projector.models(), moved));
    projector.stop().unwrap();
    let found = || {
        let checked = check_data_dir(world.data_dir(), &world.log(), &Scope::All, &AT_ONCE).unwrap();
        checked.iter().map(Checked::total).collect::<Vec<_>>()
    };
    assert_eq!(found(), [1, 0, 0, 1], "image and index are spoilt");

    // A projector that hears of the repair and is gone before it was carried out: its image must not stand for it.
    ask_for_repair(&world, "models", one);
    let kept = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let hook: crate::control::RepairHook = {
        let kept = Arc::clone(&kept);
        Arc::new(move |name, _, asked: &domain::system::projections::RepairRequested, pending| {
            kept.lock().push((name, asked.entity.clone(), pending));
        })
    };
    let connections = crate::run::Connections { repairs: Some(hook), ..Default::default() };
    let projector = Projector::start_with(world.data_dir(), world.log(), connections).unwrap();
    assert!(wait(projector.models(), world.log().watermark()));
    assert_eq!(kept.lock().iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["models"]);
    projector.stop().unwrap();
    kept.lock().clear();

    // A reader that starts from the image, and the next projector.
    let reader = ReadModels::open(world.data_dir(), &world.log());
    assert!(reader.models.checkpoint() > Position::ZERO, "it starts from the image");
    let _following = reader.follow(world.log()).unwrap();
    let title = |models: &crate::SharedModels| models.read().item(one).unwrap().title.to_string();
    let within = |what: &str, is_so: &dyn Fn() -> bool| {
        let began = std::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    within("the reader's repair", &|| title(&reader.models) != "spoilt");
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    within("the projector's repair", &|| title(projector.models()) != "spoilt");
    assert!(wait(projector.models(), world.log().watermark()));
    projector.stop().unwrap();
    assert_eq!(found(), [0, 0, 0, 1], "the index was not asked for");
    // The same of the index, whose commit says nothing of what was asked for before it.
    ask_for_repair(&world, "search", one);
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    within("the document", &|| found()[3] == 0);
    projector.stop().unwrap();
}
