//! Images and rebuilds: what is derived can always be made again, and is the same then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use projector::image::{self, ImageError};
use projector::rebuild::ProjectionName;
use projector::search::{Expression, SearchQuery, Searcher};
use projector::{Models, Projector, SharedModels};
use std::fs;
use std::path::PathBuf;
use support::*;

/// Runs a projector until everything is projected, and stops it cleanly.
fn project_all(world: &World) {
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    settle(world, &projector, &Searcher::open(world.data_dir(), world.log()));
    projector.stop().unwrap();
}

fn image_path(world: &World) -> PathBuf {
    let images = world.data_dir().join("images");
    let current = fs::read_to_string(images.join("CURRENT")).unwrap();
    images.join(current.trim()).join("models.img")
}

#[test]
fn models_from_an_image_equal_replayed_ones_and_go_on_alike() {
    let mut random = Random::from_environment();
    let world = World::with_board();
    random_history(&world, &mut random, 400);
    project_all(&world);
    let mut loaded = image::load::<Models>(world.data_dir(), &world.log()).unwrap();
    let mut replayed = world.models();
    assert_eq!(loaded.checkpoint(), replayed.checkpoint());
    assert_eq!(loaded.counts(), replayed.counts());
    assert_eq!(loaded.digest(), replayed.digest());
    // What follows from the rows is the same too: boards compare with their columns' items.
    assert_eq!(loaded.board(board()), replayed.board(board()));

    random_history(&world, &mut random, 100);
    let shared = SharedModels::open(world.data_dir(), &world.log());
    assert!(shared.checkpoint() > eventstore::Position::ZERO);
    let _following = shared.follow(world.log()).unwrap();
    assert!(wait(&shared, world.log().watermark()));
    assert_eq!(shared.digest().1, world.models().digest());
    assert_eq!(shared.read().board(board()), world.models().board(board()));
}

#[test]
fn an_image_with_any_byte_flipped_is_refused_and_the_log_replayed() {
    let mut random = Random::from_environment();
    let world = World::with_board();
    random_history(&world, &mut random, 60);
    project_all(&world);
    let path = image_path(&world);
    let image = fs::read(&path).unwrap();
    let digest = world.models().digest();
    // Every byte of the header and the digest, and a sample of the rows.
    let sample = (0..200).map(|_| random.below(image.len())).collect::<Vec<_>>();
    let tail = image.len() - 40..image.len();
    for at in (0..96).chain(sample).chain(tail) {
        let mut bent = image.clone();
        bent[at] ^= 1 << random.below(8);
        fs::write(&path, &bent).unwrap();
        let refused = image::load::<Models>(world.data_dir(), &world.log());
        assert!(matches!(refused, Err(ImageError::Damaged { .. })), "offset {at}");
    }
    fs::write(&path, &image[..image.len() - 1]).unwrap();
    assert!(image::load::<Models>(world.data_dir(), &world.log()).is_err());

    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    settle(&world, &projector, &Searcher::open(world.data_dir(), world.log()));
    assert_eq!(projector.models().digest().1, digest);
    projector.stop().unwrap();
    assert_eq!(image::load::<Models>(world.data_dir(), &world.log()).unwrap().digest(), digest);
}

#[test]
fn a_rebuild_ends_with_equal_digests() {
    let mut random = Random::from_environment();
    let world = World::with_board();
    random_history(&world, &mut random, 300);
    project_all(&world);
    // The old ones are behind now and have to be brought along.
    random_history(&world, &mut random, 100);
    let before = image_path(&world);
    let mut heard = Vec::new();
    let report = projector::rebuild(world.data_dir(), &[], &mut |progress| heard.push(progress)).unwrap();
    assert_eq!(report.projections.len(), 4);
    for rebuilt in &report.projections {
        assert_eq!(rebuilt.is_equal(), Some(true), "{rebuilt:?}");
        assert_eq!(rebuilt.new.position, world.log().watermark());
        assert!(rebuilt.new.count > 2, "{rebuilt:?}");
        let last = heard.iter().rfind(|progress| progress.projection == rebuilt.projection).unwrap();
        assert_eq!(last.done, last.total);
    }
    assert_eq!(report.projections[0].new.digest, world.models().digest());
    // The new generation is in use, the old one is gone.
    assert_ne!(image_path(&world), before);
    assert!(!before.exists());
    assert_eq!(
        image::load::<Models>(world.data_dir(), &world.log()).unwrap().checkpoint().next,
        world.log().watermark()
    );
}

#[test]
fn a_rebuild_shows_that_the_old_one_was_wrong() {
    let world = World::with_board();
    world.create_item("1", "one", "1");
    project_all(&world);
    // An index that lost a document without anybody noticing.
    let index = tantivy::Index::open_in_dir(
        world
            .data_dir()
            .join("search")
            .join(fs::read_to_string(world.data_dir().join("search/CURRENT")).unwrap().trim()),
    )
    .unwrap();
    let mut writer: tantivy::IndexWriter = index.writer_with_num_threads(1, 20_000_000).unwrap();
    let payload = index.load_metas().unwrap().payload.unwrap();
    writer.delete_term(tantivy::Term::from_field_text(index.schema().get_field("kind").unwrap(), "item"));
    let mut commit = writer.prepare_commit().unwrap();
    commit.set_payload(&payload);
    commit.commit().unwrap();
    drop(writer);

    let report = projector::rebuild(world.data_dir(), &[ProjectionName::Search], &mut |_| {}).unwrap();
    assert_eq!(report.projections.len(), 1);
    assert_eq!(report.projections[0].is_equal(), Some(false));
    let searcher = Searcher::open(world.data_dir(), world.log());
    let page = searcher
        .search(&SearchQuery {
            expression: Expression::parse("one").unwrap(),
            limit: 5,
            ..SearchQuery::default()
        })
        .unwrap();
    assert_eq!(page.total, 1);
}

#[test]
fn a_rebuild_is_refused_while_a_projector_is_at_work_and_needs_nothing_to_begin_with() {
    let world = World::with_board();
    let projector = Projector::start(world.data_dir(), world.log()).unwrap();
    let refused = projector::rebuild(world.data_dir(), &[], &mut |_| {});
    assert!(matches!(refused, Err(projector::rebuild::RebuildError::Lock(_))));
    projector.stop().unwrap();
    fs::remove_dir_all(world.data_dir().join("images")).unwrap();
    fs::remove_dir_all(world.data_dir().join("search")).unwrap();
    let report = projector::rebuild(world.data_dir(), &[], &mut |_| {}).unwrap();
    assert!(report.projections.iter().all(|rebuilt| rebuilt.old.is_none()));
}

#[test]
fn derived_data_of_a_foreign_log_is_made_anew() {
    let here = World::with_board();
    here.create_item("1", "one", "1");
    let there = World::with_board();
    there.create_item("1", "another", "1");
    project_all(&there);
    for kind in ["images", "search"] {
        copy(&there.data_dir().join(kind), &here.data_dir().join(kind));
    }
    assert!(matches!(image::load::<Models>(here.data_dir(), &here.log()), Err(ImageError::Foreign(_))));
    let searcher = Searcher::open(here.data_dir(), here.log());
    assert_eq!(searcher.checkpoint(), eventstore::Position::ZERO);
    project_all(&here);
    let find = |text: &str| {
        searcher
            .search(&SearchQuery {
                expression: Expression::parse(text).unwrap(),
                limit: 5,
                ..SearchQuery::default()
            })
            .unwrap()
            .total
    };
    assert_eq!((find("one"), find("another")), (1, 0));
    assert_eq!(image::load::<Models>(here.data_dir(), &here.log()).unwrap().digest(), here.models().digest());
}
