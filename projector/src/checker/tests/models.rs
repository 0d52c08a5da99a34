//! What is wrong in the read models, in memory and on disk.

use super::*;
use crate::models::Place;

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
