//! What is wrong in the search index.

use super::*;
use crate::search::{DocumentKey, DocumentKind, Effort, IndexStore};

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
