//! Repairs that somebody asks for.

use super::*;

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
    let ask = |projection: &str| ask_for_repair(&running.world, projection, one);
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
